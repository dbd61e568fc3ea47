//! Thinning: dropping kept positions of chip −1 and taking none in, where whole channels leave nothing to swap.
//!
//! How much each carrier keeps enters the seeds (docs/protocol.md, "Seeds"), so how much it drops is fixed before there
//! are chips: the same share of what each carrier keeps. Of that, positions of chip −1 go first, one at a time to the
//! panel that has it worst; what is left to drop are positions that are not active, which change nothing. A panel's n
//! falls by what it drops, its hits stay, and log2 p gains about half of what as many swaps give.
//!
//! As with swaps, what is dropped is spread over the strata of scores and over the output channels. Pruned channels
//! stay pruned. It can be seen: what is missing in an otherwise full channel is what was dropped. Whoever fills it with
//! weights that are small beside the others is read by rank; noise of a tenth of their root mean square hides the mark.

use std::collections::BTreeSet;

use crate::allot::{Counts, weakest};
use crate::swap::{Droppable, Holding, Moves, PANELS, spread};
use crate::{Candidate, ChipMap};

/// Whether every carrier keeps all that joins some of its output channels to some of its input channels, and nothing else.
/// Swaps would find room there only in channels that are gone, where weights do nothing.
pub(crate) fn is_of_whole_channels(ticket: &[Candidate<'_>]) -> bool {
    ticket.iter().all(|Candidate { carrier, mask, .. }| {
        let (row, taps) = (carrier.shape.row(), carrier.shape.taps());
        let outputs: BTreeSet<usize> = mask.positions().map(|position| position / row).collect();
        let inputs: BTreeSet<usize> = mask.positions().map(|position| position % row / taps).collect();
        mask.kept() == outputs.len() * inputs.len() * taps
    })
}

/// How many positions each carrier drops.
pub(crate) fn quotas(ticket: &[Candidate<'_>], share: f64) -> Vec<u64> {
    ticket.iter().map(|candidate| (candidate.mask.kept() as f64 * share).floor() as u64).collect()
}

/// How many of its quota each carrier drops in each panel; `None` if a carrier has too little that may be dropped.
/// `counts` are the panels' over all carriers, `idle` the positions of each that may be dropped and have no chip.
pub(crate) fn shared_out(
    counts: &[Counts],
    held: &[[Holding; PANELS]],
    idle: &[u64],
    quotas: &[u64],
) -> Option<Vec<[u64; PANELS]>> {
    let mut totals = vec![0; counts.len()];
    let shared = held.iter().zip(idle).zip(quotas).map(|((held, &idle), &quota)| {
        let mut dropped = [0; PANELS];
        for left in (1..=quota).rev() {
            let Some(panel) = weakest(counts, &totals, |panel| dropped[panel] < held[panel].room) else {
                return (left <= idle).then_some(dropped);
            };
            dropped[panel] += 1;
            totals[panel] += 1;
        }
        Some(dropped)
    });
    shared.collect()
}

/// How many kept positions without a chip may be dropped.
pub(crate) fn idle(candidate: Candidate<'_>, chips: &ChipMap) -> u64 {
    candidate.mask.positions().filter(|&p| chips.chip[p] == 0 && candidate.may_move(p)).count() as u64
}

/// Chooses the positions: so many of chip −1 in each panel, and the rest of the quota of those without a chip.
///
/// Panics if there are fewer.
pub(crate) fn choose(candidate: Candidate<'_>, chips: &ChipMap, numbers: &[u64; PANELS], quota: u64) -> Moves {
    let cells = candidate.cells();
    let mut against: [Vec<Droppable>; PANELS] = Default::default();
    let mut idle = Vec::new();
    for (number, cell) in cells.iter().enumerate() {
        for position in cell.positions().filter(|&p| candidate.mask.keeps(p) && candidate.may_move(p)) {
            let rank = candidate.ranking.of_kept(position);
            let droppable = Droppable { rank, position, cell: number as u32 };
            match chips.chip[position] {
                0 => idle.push(droppable),
                -1 => against[usize::from(chips.panel[position])].push(droppable),
                _ => {}
            }
        }
    }
    let rest = quota - numbers.iter().sum::<u64>();
    let mut moves = Moves::default();
    for (mut droppable, number) in against.into_iter().chain([idle]).zip(numbers.iter().copied().chain([rest])) {
        droppable.sort_unstable();
        moves.dropped.extend(spread(droppable, number, cells.len()).0);
    }
    moves.dropped.sort_unstable();
    moves
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use counterfoil_ticket::{Carrier, Mask};
    use proptest::prelude::*;

    use super::*;
    use crate::Ranking;
    use crate::swap::{Way, holdings};

    proptest! {
        #[test]
        fn each_carrier_drops_its_quota_and_no_hits(
            positions in prop::collection::vec((any::<bool>(), 0u8..3, -1i8..=1, -4i8..4, prop::bool::weighted(0.2)), 12 * 5),
            share in 0.0..=1.0,
        ) {
            let carrier = Carrier::number([("w", &[5usize, 12][..])]).remove(0);
            let mask = Mask::from_fn(positions.len(), |p| positions[p].0);
            let chips = ChipMap {
                panel: positions.iter().map(|p| p.1).collect(),
                chip: positions.iter().map(|p| p.2).collect(),
            };
            let scores: Vec<f32> = positions.iter().map(|p| f32::from(p.3)).collect();
            let held = Mask::from_fn(positions.len(), |p| positions[p].4);
            let candidate = Candidate {
                carrier: &carrier, mask: &mask, ranking: Ranking::Scores(&scores), held: Some(&held), pattern: None,
            };

            let before = holdings(candidate, &chips, Way::Thin);
            let counts: Vec<Counts> = before[..3].iter()
                .map(|held| Counts { n: held.n, hits: held.hits, room: held.room, way: Way::Thin })
                .collect();
            let quotas = quotas(&[candidate], share);
            let idle = idle(candidate, &chips);
            let Some(shared) = shared_out(&counts, &[before], &[idle], &quotas) else {
                prop_assert!(before.iter().map(|held| held.room).sum::<u64>() + idle < quotas[0]);
                return Ok(());
            };
            let moves = choose(candidate, &chips, &shared[0], quotas[0]);
            let after_mask = moves.applied_to(&mask);
            prop_assert_eq!((moves.dropped.len() as u64, moves.added.len()), (quotas[0], 0));
            prop_assert_eq!(after_mask.kept() as u64 + quotas[0], mask.kept() as u64);
            prop_assert!(moves.dropped.iter().all(|&p| !held.keeps(p) && chips.chip[p] <= 0));
            let after = holdings(Candidate { mask: &after_mask, ..candidate }, &chips, Way::Thin);
            for ((before, after), dropped) in before.iter().zip(after).zip(shared[0]) {
                prop_assert_eq!((after.n, after.hits, after.room), (before.n - dropped, before.hits, before.room - dropped));
            }
            // Positions without a chip go only when there is none of chip −1 left.
            let of_chips = shared[0].iter().sum::<u64>();
            prop_assert!(of_chips == quotas[0] || before.iter().zip(shared[0]).all(|(held, dropped)| held.room == dropped));
        }
    }

    #[test]
    fn the_panel_that_has_it_worst_drops_first() {
        let holding = |n, hits| Holding { n, hits, room: n - hits };
        let held = [[holding(100, 60), holding(50, 20), holding(50, 28), Holding::default(), Holding::default()]];
        let counts: Vec<Counts> = held[0][..3]
            .iter()
            .map(|held| Counts { n: held.n, hits: held.hits, room: held.room, way: Way::Thin })
            .collect();
        // The sealed half has 48 hits of 100; 20 dropped leave it at 48 of 80, which is the public half's share.
        let shared = shared_out(&counts, &held, &[0], &[20]).unwrap();
        assert_eq!(shared, [[0, 17, 3, 0, 0]]);
    }
}
