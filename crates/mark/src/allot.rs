//! How many moves each panel gets, from its counts alone; and, within a panel, each carrier.
//!
//! A swap raises a panel's hits s by one and leaves its n as it was; thinning lowers its n by one and leaves its hits.
//! So everything here is decided on (n, s, how many moves there is room for). First every panel is brought to the
//! target: fewer moves would leave one that nobody can disclose with effect. Then, within the comfortable number, one
//! move at a time goes to the weaker half (public, or all sealed panels pooled), and there to the panel with the
//! smallest share of hits. Halves are compared by excess² / n, to which log2 p is proportional, in integers: the same
//! on every machine.

use counterfoil_claim::Dilution;

use crate::swap::Way;
use crate::{Chance, Log2P, Tally, hits_for, log2_upper_tail};

/// Most kept positions that a ticket is ever asked to have: beyond, tails take seconds each to sum, for nothing.
const MOST_KEPT: u64 = 1 << 32;

/// What a panel holds over all carriers, and how many moves it has room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Kept active positions.
    pub(crate) n: u64,
    /// Those of them with chip +1.
    pub(crate) hits: u64,
    /// Moves it has room for, at most n − hits.
    pub(crate) room: u64,
    /// What a move is.
    pub(crate) way: Way,
}

impl Counts {
    /// With this many moves made, at most as many as there is room for.
    fn after(self, moves: u64) -> Self {
        let room = self.room - moves;
        match self.way {
            Way::Swap => Self { hits: self.hits + moves, room, ..self },
            Way::Thin => Self { n: self.n - moves, room, ..self },
        }
    }

    /// The tally with this many moves made.
    pub(crate) fn tally(self, moves: u64) -> Tally {
        let Self { n, hits, .. } = self.after(moves);
        Tally::new(n, hits).expect("there is room for at most n - hits moves")
    }

    /// log2 p with this many moves made.
    pub(crate) fn strength(self, moves: u64) -> Log2P {
        log2_upper_tail(self.tally(moves), Chance::HALF)
    }

    /// Moves that bring it to the target; `None` if it has not enough room or positions.
    fn needed(self, target: Log2P) -> Option<u64> {
        let moves = match self.way {
            Way::Swap => hits_for(self.n, Chance::HALF, target)?.saturating_sub(self.hits),
            Way::Thin => {
                // log2 p falls with each position of chip −1 that goes.
                let (mut least, mut enough) = (0, self.room + 1);
                while least < enough {
                    let middle = least + (enough - least) / 2;
                    if middle > self.room || self.strength(middle) <= target {
                        enough = middle;
                    } else {
                        least = middle + 1;
                    }
                }
                enough
            }
        };
        (moves <= self.room).then_some(moves)
    }

    fn pooled(panels: &[Self], moves: &[u64]) -> Self {
        let after = panels.iter().zip(moves).map(|(panel, &moves)| panel.after(moves));
        let sum = |a: Self, b: Self| Self { n: a.n + b.n, hits: a.hits + b.hits, room: a.room + b.room, ..a };
        after.reduce(sum).unwrap_or_default()
    }

    /// Whether it is weaker than the other: sign(excess) · excess² / n, compared in integers.
    fn weaker_than(self, other: Self) -> bool {
        let signed_square = |c: Self| {
            let twice_excess = 2 * i128::from(c.hits) - i128::from(c.n);
            twice_excess * twice_excess.abs()
        };
        // Without positions there is no evidence at all: 0 / 1.
        let n = |c: Self| i128::from(c.n.max(1));
        signed_square(self).saturating_mul(n(other)) < signed_square(other).saturating_mul(n(self))
    }

    /// Whether a smaller share of it are hits than of the other.
    fn smaller_share_than(self, other: Self) -> bool {
        u128::from(self.hits) * u128::from(other.n) < u128::from(other.hits) * u128::from(self.n)
    }
}

/// What to reach and what it may cost; numbers of moves over all carriers and panels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// What each panel must reach.
    pub(crate) target: Log2P,
    /// What each half should reach.
    pub(crate) goal: Log2P,
    /// Moves up to which strength beyond the target is worth having.
    pub(crate) comfort: u64,
    /// Moves that are never exceeded.
    pub(crate) most: u64,
}

/// Moves per panel, and what they achieve.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Allotment {
    /// Moves of each panel, the public one first.
    pub(crate) moves: Vec<u64>,
    /// Their sum.
    pub(crate) moved: u64,
    /// log2 p of the weaker half.
    pub(crate) weaker_half: Log2P,
    /// Whether both halves reach the goal.
    pub(crate) reaches_goal: bool,
}

/// Allots moves to the panels, the public one first; `None` if the target is out of reach within the budget.
pub(crate) fn allot(panels: &[Counts], budget: Budget) -> Option<Allotment> {
    let mut moves = panels.iter().map(|&panel| panel.needed(budget.target)).collect::<Option<Vec<u64>>>()?;
    let mut moved: u64 = moves.iter().sum();
    if moved > budget.most {
        return None;
    }
    // Of each half, how many more moves bring it to the goal.
    let mut missing = [0, 1].map(|h| pooled_half(panels, &moves, h).needed(budget.goal));

    while moved < budget.comfort {
        let is_open = |i: usize| moves[i] < panels[i].room && missing[usize::from(i > 0)] != Some(0);
        let Some(panel) = weakest(panels, &moves, is_open) else { break };
        moves[panel] += 1;
        moved += 1;
        let missing = &mut missing[usize::from(panel > 0)];
        *missing = missing.map(|more| more - 1);
    }
    Some(Allotment {
        weaker_half: weaker_half(panels, &moves),
        reaches_goal: missing.iter().all(|&more| more == Some(0)),
        moves,
        moved,
    })
}

/// What so many moves in each panel achieve; `None` if a panel misses the target.
pub(crate) fn allotted(panels: &[Counts], moves: Vec<u64>, moved: u64, budget: Budget) -> Option<Allotment> {
    let reaches = panels.iter().zip(&moves).all(|(panel, &moves)| panel.strength(moves) <= budget.target);
    let weaker_half = weaker_half(panels, &moves);
    reaches.then_some(Allotment { weaker_half, reaches_goal: weaker_half <= budget.goal, moves, moved })
}

/// The panel that the next move goes to: of the half that is weaker, the one with the smallest share of hits.
pub(crate) fn weakest(panels: &[Counts], moves: &[u64], is_open: impl Fn(usize) -> bool) -> Option<usize> {
    let after = |i: usize| panels[i].after(moves[i]);
    let of_half = |h: usize| {
        let open = half(panels, h).filter(|&i| is_open(i));
        open.reduce(|a, b| if after(b).smaller_share_than(after(a)) { b } else { a })
    };
    match [of_half(0), of_half(1)] {
        [Some(public), Some(sealed)] => {
            let [first, second] = [0, 1].map(|h| pooled_half(panels, moves, h));
            Some(if second.weaker_than(first) { sealed } else { public })
        }
        [public, sealed] => public.or(sealed),
    }
}

/// The panels of the public half (0) or of the sealed one (1).
fn half(panels: &[Counts], h: usize) -> std::ops::Range<usize> {
    if h == 0 { 0..1 } else { 1..panels.len() }
}

fn pooled_half(panels: &[Counts], moves: &[u64], h: usize) -> Counts {
    Counts::pooled(&panels[half(panels, h)], &moves[half(panels, h)])
}

fn weaker_half(panels: &[Counts], moves: &[u64]) -> Log2P {
    let [public, sealed] = [0, 1].map(|h| pooled_half(panels, moves, h));
    let weaker = if sealed.weaker_than(public) { sealed } else { public };
    weaker.strength(0)
}

/// log2 p of the weakest panel if so many swaps are spread as evenly as they can be.
pub(crate) fn within_reach(panels: &[Counts], moves: u64) -> Log2P {
    let mut raised = panels.to_vec();
    for _ in 0..moves {
        let weakest = raised.iter_mut().reduce(|a, b| if b.weaker_than(*a) { b } else { a });
        match weakest {
            Some(panel) if panel.room > 0 => *panel = panel.after(1),
            _ => break,
        }
    }
    let weakest = raised.into_iter().reduce(|a, b| if b.weaker_than(a) { b } else { a });
    weakest.unwrap_or_default().strength(0)
}

/// About how many kept positions a ticket must have for every panel to reach the target within a share of moves.
///
/// Takes the split over panels and chips at two standard deviations to the bad side, so that a ticket of that size will
/// do under nearly any key. `room_share` is the room for moves there is per kept active position (½ if nothing but
/// chips limits it). `None` if no number of positions up to [`MOST_KEPT`] would do, as without room.
pub(crate) fn kept_needed(
    dilutions: &[Dilution],
    sealed: u8,
    target: Log2P,
    most_moved: f64,
    way: Way,
    room_share: f64,
) -> Option<u64> {
    let unlucky = |n: f64| {
        let n = (n - 2.0 * n.sqrt()).max(0.0);
        let hits = (n / 2.0 - n.sqrt()).max(0.0) as u64;
        let room = ((room_share * n + n.sqrt()) as u64).min(n as u64 - hits);
        Counts { n: n as u64, hits, room, way }.needed(target).map(|moves| moves as f64)
    };
    let moves = |kept: u64, dilution: Dilution| {
        let half = kept as f64 / 2.0 / f64::from(dilution.get());
        Some(unlucky(half)? + f64::from(sealed) * unlucky(half / f64::from(sealed))?)
    };
    let enough = |kept: u64| dilutions.iter().any(|&d| moves(kept, d).is_some_and(|m| m <= most_moved * kept as f64));

    let (mut few, mut many) = (0, 1 << 8);
    while !enough(many) {
        (few, many) = (many, many.checked_mul(2).filter(|&kept| kept <= MOST_KEPT)?);
    }
    while many - few > 1 {
        let middle = few + (many - few) / 2;
        if enough(middle) { many = middle } else { few = middle }
    }
    Some(many)
}

/// Splits a number of moves over the places in proportion to their room: whole parts first, then one each to the
/// largest remainders, ties to the earlier place. Panics if there is less room than moves.
pub(crate) fn proportional(moves: u64, room: &[u64]) -> Vec<u64> {
    let total: u64 = room.iter().sum();
    assert!(moves <= total, "{moves} moves for a room of {total}");
    if total == 0 {
        return vec![0; room.len()];
    }
    let exact = |room: u64| u128::from(moves) * u128::from(room);
    let mut shares: Vec<u64> = room.iter().map(|&r| (exact(r) / u128::from(total)) as u64).collect();
    let left = (moves - shares.iter().sum::<u64>()) as usize;
    let mut by_remainder: Vec<usize> = (0..room.len()).collect();
    by_remainder.sort_by_key(|&i| std::cmp::Reverse(exact(room[i]) % u128::from(total)));
    for &i in &by_remainder[..left] {
        shares[i] += 1;
    }
    shares
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits(bits: f64) -> Log2P {
        Log2P::new(bits).unwrap()
    }

    fn counts(n: u64, hits: u64) -> Counts {
        Counts { n, hits, room: n - hits, way: Way::Swap }
    }

    fn budget(comfort: u64, most: u64) -> Budget {
        Budget { target: bits(-160.0), goal: bits(-1600.0), comfort, most }
    }

    #[test]
    fn without_comfort_each_panel_gets_just_what_it_needs() {
        // P[Bin(836, 1/2) >= 626] = 2^-160.580 and P[>= 625] = 2^-159.006, in exact integers.
        let allotment = allot(&[counts(836, 418), counts(836, 430)], budget(0, 1000)).unwrap();
        assert_eq!((allotment.moves, allotment.moved, allotment.reaches_goal), (vec![208, 196], 404, false));
        assert!((allotment.weaker_half.bits() - -160.580).abs() < 0.001, "{:?}", allotment.weaker_half);
    }

    #[test]
    fn thinning_needs_about_twice_as_many_moves() {
        let thin = |n, hits| Counts { way: Way::Thin, ..counts(n, hits) };
        // P[Bin(514, 1/2) >= 418] = 2^-161.038 and P[Bin(515, 1/2) >= 418] = 2^-159.625, in exact integers; likewise
        // 304.
        assert_eq!([thin(836, 418), thin(836, 430)].map(|panel| panel.needed(bits(-160.0))), [Some(322), Some(304)]);
        assert_eq!(thin(300, 150).needed(bits(-160.0)), None, "150 of 150 are 2^-150");
        let panels = [thin(836, 418), thin(836, 430)];
        assert_eq!(allotted(&panels, vec![321, 304], 625, budget(0, 1000)), None, "one misses the target");
        let allotment = allotted(&panels, vec![322, 304], 626, budget(0, 1000)).unwrap();
        assert!((allotment.weaker_half.bits() - -161.038).abs() < 0.001, "{:?}", allotment.weaker_half);
    }

    #[test]
    fn comfort_goes_evenly_to_both_halves_and_evenly_within_the_sealed_one() {
        let panels = [counts(836, 418), counts(418, 200), counts(418, 209)];
        let allotment = allot(&panels, budget(668, 1000)).unwrap();
        assert_eq!(allotment.moved, 668);
        let hits: Vec<u64> = panels.iter().zip(&allotment.moves).map(|(panel, swaps)| panel.hits + swaps).collect();
        assert!(hits[0].abs_diff(hits[1] + hits[2]) <= 1 && hits[1].abs_diff(hits[2]) <= 1, "{hits:?}");
    }

    #[test]
    fn the_goal_ends_the_spending() {
        let panels = [counts(20_000, 10_000), counts(20_000, 10_000)];
        let allotment = allot(&panels, budget(10_000, 10_000)).unwrap();
        let least = hits_for(20_000, Chance::HALF, bits(-1600.0)).unwrap() - 10_000;
        assert_eq!((allotment.moves, allotment.reaches_goal), (vec![least, least], true));
    }

    #[test]
    fn panels_beyond_the_goal_get_nothing() {
        let allotment = allot(&[counts(4000, 3900), counts(4000, 3950)], budget(500, 500)).unwrap();
        assert_eq!((allotment.moves, allotment.reaches_goal), (vec![0, 0], true));
    }

    #[test]
    fn a_full_half_leaves_the_rest_to_the_other() {
        let full = Counts { n: 836, hits: 630, room: 0, way: Way::Swap };
        let allotment = allot(&[full, counts(836, 630)], budget(50, 100)).unwrap();
        assert_eq!(allotment.moves, [0, 50]);
    }

    #[test]
    fn a_target_out_of_reach_gets_no_allotment() {
        assert_eq!(allot(&[counts(836, 418), counts(836, 418)], budget(0, 415)), None, "over the limit of moves");
        assert_eq!(allot(&[counts(836, 418), counts(159, 100)], budget(0, 1000)), None, "too few positions");
        let cramped = Counts { n: 836, hits: 418, room: 207, way: Way::Swap };
        assert_eq!(allot(&[counts(836, 418), cramped], budget(0, 1000)), None, "too little room");
    }

    #[test]
    fn within_reach_is_the_weakest_panel_after_even_spending() {
        // All 60 chips of the smaller panel at +1: 2^-60.
        assert_eq!(within_reach(&[counts(800, 400), counts(60, 30)], 1000).bits(), -60.0);
        assert_eq!(within_reach(&[counts(0, 0), counts(60, 30)], 1000).bits(), 0.0);
    }

    #[test]
    fn the_estimate_of_positions_needed_is_where_unlucky_keys_just_do() {
        let needed = |dilutions: &[u8], sealed, room| {
            let dilutions: Vec<Dilution> = dilutions.iter().map(|&d| Dilution::new(d).unwrap()).collect();
            kept_needed(&dilutions, sealed, bits(-160.0), 0.10, Way::Swap, room)
        };
        // A half of n positions needs an excess of 7.33 sqrt(n) (160 bits, less 5 for the factor before the exponential)
        // and for bad luck one sqrt(n) more, in 2 sqrt(n) positions fewer: 8.33 (sqrt(n) - 1) = 0.1 n, so 2 n = 13,540.
        let plain = needed(&[1], 1, 0.5).unwrap();
        assert!((13_300..13_800).contains(&plain), "{plain}");
        let diluted = needed(&[1, 2, 4, 8], 1, 0.5).unwrap();
        assert!((2_500..5_000).contains(&diluted), "{diluted}");
        assert!(needed(&[1, 2, 4, 8], 4, 0.5).unwrap() > diluted);
        assert_eq!(needed(&[1, 2, 4, 8], 1, 0.0), None);
    }

    /// Some 3.5 · 10^10 positions would do for the first; nobody waits for that to be found out.
    #[test]
    fn nobody_is_told_to_keep_more_positions_than_networks_have() {
        for (target, room) in [(-100_000.0, 1e-3), (-160.0, 1e-9)] {
            assert_eq!(kept_needed(&Dilution::ALL, 1, bits(target), 0.10, Way::Swap, room), None, "{target} {room}");
        }
    }

    proptest! {
        #[test]
        fn proportional_shares_are_within_one_of_exact(room in prop::collection::vec(0u64..50, 1..20), part in 0.0..=1.0) {
            let total: u64 = room.iter().sum();
            let swaps = (part * total as f64) as u64;
            let shares = proportional(swaps, &room);
            prop_assert_eq!(shares.iter().sum::<u64>(), swaps);
            for (share, room) in shares.iter().zip(&room) {
                prop_assert!(share <= room);
                prop_assert!((*share as f64 - swaps as f64 * *room as f64 / total.max(1) as f64).abs() < 1.0);
            }
        }
    }

    #[test]
    fn remainders_go_to_the_largest_then_to_the_first() {
        assert_eq!(proportional(3, &[2, 2, 2, 2]), [1, 1, 1, 0]);
        assert_eq!(proportional(2, &[1, 4, 0]), [0, 2, 0]);
        assert_eq!(proportional(0, &[0, 0]), [0, 0]);
    }
}
