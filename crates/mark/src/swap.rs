//! Swaps: dropping kept positions of chip −1 and keeping pruned ones of chip +1, without any other trace.
//!
//! A swap stays within one carrier, one panel and one output channel (a *cell*). So each carrier's sparsity, each
//! output channel's degree and each panel's n stay exactly as they were, and the panel's hits rise by one. Where the mask has
//! an N:M pattern, a cell is one of its blocks within the panel, so that N of every M are kept still; there is less room then.
//!
//! What is dropped is spread over the strata of scores: of k to be dropped from N candidates, one comes from each of k
//! consecutive strata of the candidates in order of score. Dropping only the cheapest does less harm to accuracy, but
//! pruning by magnitude afterwards removes what is left of chip −1 and of chip +1 alike and the marked positions first:
//! −130 becomes −2. Within a stratum the cell is preferred that has given least for its number of candidates, so that
//! channels share the burden. What is kept instead are the best-scored pruned positions of chip +1 in the cell.

use counterfoil_ticket::{Block, Mask};

use crate::candidate::ordered;
use crate::stream::KeyStream;
use crate::{Candidate, ChipMap, Ranking};

/// Number of panels there can be: the public one and four sealed ones.
pub(crate) const PANELS: usize = 5;

/// How positions move.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Way {
    /// A kept position of chip −1 for a pruned one of chip +1.
    #[default]
    Swap,
    /// A kept position of chip −1 for nothing (`thin.rs`).
    Thin,
}

/// What one panel holds in one carrier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    /// Kept active positions.
    pub(crate) n: u64,
    /// Those with chip +1.
    pub(crate) hits: u64,
    /// Moves there is room for. Swaps: over the cells, the smaller of kept −1 and pruned +1. Thinning: kept −1.
    pub(crate) room: u64,
}

/// Counts what each panel holds in one carrier.
pub(crate) fn holdings(candidate: Candidate<'_>, chips: &ChipMap, way: Way) -> [Holding; PANELS] {
    let mut held = [Holding::default(); PANELS];
    for cell in candidate.cells() {
        let mut against = [0u64; PANELS];
        let mut wanted = [0u64; PANELS];
        for (position, panel, chip) in active(cell, chips) {
            match (candidate.mask.keeps(position), chip > 0) {
                (true, true) => held[panel].hits += 1,
                (true, false) if candidate.may_move(position) => against[panel] += 1,
                (true, false) => held[panel].n += 1,
                (false, true) if candidate.may_move(position) => wanted[panel] += 1,
                (false, _) => {}
            }
        }
        for (held, (against, wanted)) in held.iter_mut().zip(against.into_iter().zip(wanted)) {
            held.n += against;
            held.room += match way {
                Way::Swap => against.min(wanted),
                Way::Thin => against,
            };
        }
    }
    held.map(|held| Holding { n: held.n + held.hits, ..held })
}

/// The moves made in one carrier; both lists are in ascending order. Swaps are as many in both, thinning adds nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moves {
    /// Kept positions that are pruned now.
    pub dropped: Vec<usize>,
    /// Pruned positions that are kept now.
    pub added: Vec<usize>,
}

impl Moves {
    /// The mask after the moves.
    pub(crate) fn applied_to(&self, mask: &Mask) -> Mask {
        let mut mask = mask.clone();
        self.dropped.iter().for_each(|&position| mask.set(position, false));
        self.added.iter().for_each(|&position| mask.set(position, true));
        mask
    }
}

/// Chooses the positions of so many swaps per panel in one carrier; `order` ranks pruned positions without scores.
///
/// Panics if a panel is to get more swaps than it has room for.
pub(crate) fn choose(candidate: Candidate<'_>, chips: &ChipMap, swaps: &[u64; PANELS], mut order: KeyStream) -> Moves {
    let mut moves = Moves::default();
    if swaps.iter().all(|&swaps| swaps == 0) {
        return moves;
    }
    let all = candidate.cells();
    let given = candidates(candidate, &all, chips).into_iter().zip(swaps).map(|(candidates, &swaps)| {
        let (dropped, given) = spread(candidates, swaps, all.len());
        moves.dropped.extend(dropped);
        given
    });
    let given: Vec<Vec<u32>> = given.collect();

    let mut cells: [Vec<(u32, usize)>; PANELS] = Default::default();
    let mut random: Vec<u32> = Vec::new();
    for (number, block) in all.iter().enumerate() {
        if let Ranking::Weights(_) = candidate.ranking {
            random.clear();
            random.extend((0..block.count).map(|_| order.word()));
        }
        for (position, panel, chip) in active(*block, chips) {
            let is_wanted = chip > 0 && !candidate.mask.keeps(position) && candidate.may_move(position);
            if given[panel][number] > 0 && is_wanted {
                let rank = match candidate.ranking {
                    Ranking::Scores(scores) => ordered(scores[position]),
                    Ranking::Weights(_) => random[(position - block.start) / block.step],
                };
                cells[panel].push((rank, position));
            }
        }
        for (cell, given) in cells.iter_mut().zip(&given) {
            moves.added.extend(best(cell, given[number] as usize));
            cell.clear();
        }
    }
    moves.dropped.sort_unstable();
    moves.added.sort_unstable();
    moves
}

/// A kept position of chip −1, in the order in which candidates are cut into strata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Droppable {
    pub(crate) rank: u32,
    pub(crate) position: usize,
    /// Number of its cell, whatever the panel.
    pub(crate) cell: u32,
}

/// What could be dropped from each panel, all at once, in order of rank.
///
/// Where a cell has fewer positions to take in than to drop, those that may be dropped are spread over its ranks.
fn candidates(candidate: Candidate<'_>, cells: &[Block], chips: &ChipMap) -> [Vec<Droppable>; PANELS] {
    let mut droppable: [Vec<Droppable>; PANELS] = Default::default();
    for (number, cell) in cells.iter().enumerate() {
        let starts = droppable.each_ref().map(Vec::len);
        let mut wanted = [0; PANELS];
        let movable = active(*cell, chips).filter(|&(position, ..)| candidate.may_move(position));
        for (position, panel, chip) in movable {
            match (candidate.mask.keeps(position), chip > 0) {
                (true, false) => droppable[panel].push(Droppable {
                    rank: candidate.ranking.of_kept(position),
                    position,
                    cell: number as u32,
                }),
                (false, true) => wanted[panel] += 1,
                _ => {}
            }
        }
        for (droppable, (start, wanted)) in droppable.iter_mut().zip(starts.into_iter().zip(wanted)) {
            let against = droppable.len() - start;
            if wanted < against {
                droppable[start..].sort_unstable();
                for i in 0..wanted {
                    droppable[start + i] = droppable[start + (2 * i + 1) * against / (2 * wanted)];
                }
                droppable.truncate(start + wanted);
            }
        }
    }
    droppable.iter_mut().for_each(|droppable| droppable.sort_unstable());
    droppable
}

/// Takes one candidate from each of `swaps` strata of candidates in order of rank; also says how many each of the cells
/// gave.
pub(crate) fn spread(candidates: Vec<Droppable>, swaps: u64, cells: usize) -> (Vec<usize>, Vec<u32>) {
    let (count, swaps) = (candidates.len(), swaps as usize);
    assert!(swaps <= count, "{swaps} moves for {count} candidates");
    let mut given = vec![0u32; cells];
    let mut offered = vec![0u32; cells];
    candidates.iter().for_each(|candidate| offered[candidate.cell as usize] += 1);
    let edge = |stratum: usize| (stratum as u128 * count as u128 / swaps as u128) as usize;
    let dropped = (0..swaps)
        .map(|stratum| {
            // What the cell owes: its share of all swaps, less what it has given, times the number of candidates.
            let owed = |candidate: &&Droppable| {
                let cell = candidate.cell as usize;
                i128::from(offered[cell]) * swaps as i128 - i128::from(given[cell]) * count as i128
            };
            let chosen = candidates[edge(stratum)..edge(stratum + 1)]
                .iter()
                .max_by_key(|candidate| (owed(candidate), std::cmp::Reverse(candidate.position)))
                .expect("no stratum is empty, since there are at least as many candidates as strata");
            given[chosen.cell as usize] += 1;
            chosen.position
        })
        .collect();
    (dropped, given)
}

/// The positions of the `count` highest ranks, ties to the lower position.
fn best(cell: &mut [(u32, usize)], count: usize) -> impl Iterator<Item = usize> + '_ {
    assert!(count <= cell.len(), "{count} positions of {}", cell.len());
    if 0 < count && count < cell.len() {
        cell.select_nth_unstable_by_key(count - 1, |&(rank, position)| (std::cmp::Reverse(rank), position));
    }
    cell[..count].iter().map(|&(_, position)| position)
}

/// The active positions of a cell, of all panels, with their panels and chips.
fn active(cell: Block, chips: &ChipMap) -> impl Iterator<Item = (usize, usize, i8)> + '_ {
    let Block { start, count, step } = cell;
    let end = start + count.saturating_sub(1) * step + count.min(1);
    let (chip, panel) = (chips.chip[start..end].iter(), chips.panel[start..end].iter());
    chip.step_by(step)
        .zip(panel.step_by(step))
        .enumerate()
        .filter(|(_, (chip, _))| **chip != 0)
        .map(move |(i, (&chip, &panel))| (start + i * step, usize::from(panel), chip))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use counterfoil_ticket::{Carrier, Pattern};
    use proptest::prelude::*;

    use super::*;

    fn carrier(out: usize, row: usize) -> Carrier {
        Carrier::number([("w", &[out, row][..])]).remove(0)
    }

    fn order() -> KeyStream {
        KeyStream::new(&[7; 32])
    }

    /// A carrier with a mask, chips and scores, and how many of the swaps that there is room for are wanted.
    #[derive(Debug, Clone)]
    struct Case {
        carrier: Carrier,
        mask: Mask,
        chips: ChipMap,
        values: Vec<f32>,
        scored: bool,
        held: Mask,
        pattern: Option<Pattern>,
        parts: [f64; PANELS],
    }

    impl Case {
        fn candidate(&self) -> Candidate<'_> {
            let ranking = if self.scored { Ranking::Scores(&self.values) } else { Ranking::Weights(&self.values) };
            Candidate {
                carrier: &self.carrier,
                mask: &self.mask,
                ranking,
                held: Some(&self.held),
                pattern: self.pattern,
            }
        }
    }

    fn cases() -> impl Strategy<Value = Case> {
        let position = (any::<bool>(), 0u8..5, -1i8..=1, -4i8..4, prop::bool::weighted(0.2));
        (1usize..6, 1usize..40).prop_flat_map(move |(out, row)| {
            let positions = prop::collection::vec(position.clone(), out * row);
            let pattern = prop::option::of((1u32..4).prop_map(|kept| Pattern::new(kept, 4).unwrap()));
            let parts = prop::array::uniform5(0.0..=1.0);
            (positions, any::<bool>(), pattern, parts).prop_map(move |(positions, scored, pattern, parts)| Case {
                carrier: carrier(out, row),
                mask: Mask::from_fn(positions.len(), |p| positions[p].0),
                chips: ChipMap {
                    panel: positions.iter().map(|p| p.1).collect(),
                    chip: positions.iter().map(|p| p.2).collect(),
                },
                values: positions.iter().map(|p| f32::from(p.3)).collect(),
                scored,
                held: Mask::from_fn(positions.len(), |p| positions[p].4),
                pattern,
                parts,
            })
        })
    }

    proptest! {
        #[test]
        fn swaps_change_nothing_but_the_hits(case in cases()) {
            let before = holdings(case.candidate(), &case.chips, Way::Swap);
            let swaps: [u64; PANELS] = std::array::from_fn(|panel| (case.parts[panel] * before[panel].room as f64) as u64);
            let moves = choose(case.candidate(), &case.chips, &swaps, order());
            let mask = moves.applied_to(&case.mask);

            let moved = swaps.iter().sum::<u64>() as usize;
            prop_assert_eq!((moves.dropped.len(), moves.added.len()), (moved, moved));
            prop_assert!(moves.dropped.iter().all(|&p| case.mask.keeps(p) && !mask.keeps(p) && case.chips.chip[p] == -1));
            prop_assert!(moves.added.iter().all(|&p| !case.mask.keeps(p) && mask.keeps(p) && case.chips.chip[p] == 1));

            prop_assert!(moves.dropped.iter().chain(&moves.added).all(|&p| !case.held.keeps(p)));

            prop_assert_eq!(mask.kept(), case.mask.kept());
            for cell in case.candidate().cells() {
                for panel in 0..PANELS as u8 {
                    let degree = |mask: &Mask| {
                        cell.positions().filter(|&p| mask.keeps(p) && case.chips.panel[p] == panel).count()
                    };
                    prop_assert_eq!(degree(&mask), degree(&case.mask));
                }
            }
            let after = holdings(Candidate { mask: &mask, ..case.candidate() }, &case.chips, Way::Swap);
            for ((before, after), swaps) in before.iter().zip(after).zip(swaps) {
                prop_assert_eq!((after.n, after.hits), (before.n, before.hits + swaps));
                prop_assert_eq!(after.room, before.room - swaps);
            }
        }

        #[test]
        fn one_is_dropped_from_each_stratum(ranks in prop::collection::vec((0u32..50, 0u32..7), 1..200), part in 0.0..=1.0) {
            let mut all: Vec<Droppable> = (ranks.iter().enumerate())
                .map(|(position, &(rank, cell))| Droppable { rank, position, cell })
                .collect();
            all.sort_unstable();
            let (count, swaps) = (all.len(), (part * all.len() as f64) as usize);
            let (dropped, given) = spread(all.clone(), swaps as u64, 7);
            prop_assert_eq!(given.iter().sum::<u32>() as usize, swaps);
            let place = |position: usize| all.iter().position(|d| d.position == position).unwrap();
            for (stratum, &position) in dropped.iter().enumerate() {
                let place = place(position);
                prop_assert!(stratum * count / swaps <= place && place < (stratum + 1) * count / swaps);
            }
            // A place within stratum j of k is off its middle by less than half a stratum, so the mean quantile of the
            // dropped is off 1/2 by less than that, 1/(2k), and the rounding of two edges, 1/N.
            if swaps > 0 {
                let quantiles = dropped.iter().map(|&p| (place(p) as f64 + 0.5) / count as f64);
                let mean = quantiles.sum::<f64>() / swaps as f64;
                prop_assert!((mean - 0.5).abs() <= 0.5 / swaps as f64 + 1.0 / count as f64, "{}", mean);
            }
        }
    }

    #[test]
    fn the_best_of_the_pruned_is_taken_in() {
        let carrier = carrier(1, 6);
        let mask = Mask::from_fn(6, |p| p < 2);
        let chips = ChipMap { panel: vec![0; 6], chip: vec![-1, -1, 1, 1, 1, -1] };
        let scores = [5.0, 6.0, -3.0, -1.0, -2.0, 4.0];
        let candidate =
            Candidate { carrier: &carrier, mask: &mask, ranking: Ranking::Scores(&scores), held: None, pattern: None };
        assert_eq!(holdings(candidate, &chips, Way::Swap)[0], Holding { n: 2, hits: 0, room: 2 });
        assert_eq!(choose(candidate, &chips, &[1, 0, 0, 0, 0], order()).added, [3]);
        assert_eq!(choose(candidate, &chips, &[2, 0, 0, 0, 0], order()).added, [3, 4]);
    }

    #[test]
    fn without_scores_the_pruned_come_in_the_order_of_the_stream() {
        let carrier = carrier(1, 20);
        let mask = Mask::from_fn(20, |p| p < 10);
        let chips = ChipMap { panel: vec![0; 20], chip: (0..20).map(|p| if p < 10 { -1 } else { 1 }).collect() };
        let weights: Vec<f32> = (0..20).map(|p| p as f32 - 10.0).collect();
        let candidate = Candidate {
            carrier: &carrier,
            mask: &mask,
            ranking: Ranking::Weights(&weights),
            held: None,
            pattern: None,
        };
        let added = |key: u8| choose(candidate, &chips, &[3, 0, 0, 0, 0], KeyStream::new(&[key; 32])).added;
        let mut stream = KeyStream::new(&[7; 32]);
        let mut words: Vec<(u32, usize)> = (0..20).map(|p| (stream.word(), p)).skip(10).collect();
        words.sort_unstable_by(|a, b| b.cmp(a));
        let mut expected: Vec<usize> = words[..3].iter().map(|&(_, p)| p).collect();
        expected.sort_unstable();
        assert_eq!(added(7), expected);
        assert_ne!(added(7), added(8));
    }

    #[test]
    fn a_cell_with_little_to_take_in_gives_from_all_its_ranks() {
        // Nine against, three wanted: one of each third, the middle one.
        let carrier = carrier(1, 12);
        let mask = Mask::from_fn(12, |p| p < 9);
        let chips = ChipMap { panel: vec![0; 12], chip: (0..12).map(|p| if p < 9 { -1 } else { 1 }).collect() };
        let scores: Vec<f32> = (0..12).map(|p| p as f32).collect();
        let candidate =
            Candidate { carrier: &carrier, mask: &mask, ranking: Ranking::Scores(&scores), held: None, pattern: None };
        assert_eq!(choose(candidate, &chips, &[3, 0, 0, 0, 0], order()).dropped, [1, 4, 7]);
    }

    #[test]
    fn channels_share_the_burden_in_proportion() {
        // Channel 0 offers 12 candidates, channels 1 and 2 offer 6 each, at evenly mixed ranks; 8 swaps are 4, 2 and 2.
        let mut all: Vec<Droppable> =
            (0..24usize).map(|i| Droppable { rank: i as u32, position: i, cell: [0, 1, 0, 2][i % 4] }).collect();
        all.sort_unstable();
        assert_eq!(spread(all, 8, 3).1, [4, 2, 2]);
    }
}
