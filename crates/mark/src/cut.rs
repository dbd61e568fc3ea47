//! Cuts: which positions of a carrier are the largest by balanced w², for several numbers of them at once.
//!
//! Implements the reading `ranks` of docs/protocol.md, "What is read as kept". Ranks are integers of 31 bits, and a carrier
//! may be too large to be sorted, or held: so the rank at which a number of positions is reached is found digit by
//! digit from counts, one pass over the values each, in memory that does not grow with the carrier.

use std::ops::Range;

use counterfoil_ticket::{CarrierShape, Mask, ReadError, Values};
use rayon::prelude::*;

use crate::balance::Balance;

/// Bits of the digits of a rank, the highest first.
const DIGITS: [u32; 3] = [11, 10, 10];

/// Positions that a thread works on at a time, about.
const RUN: usize = 1 << 16;

/// The `count` largest positions of a carrier: those above a rank, and of those at it the ones before a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    rank: u32,
    end: usize,
    clear: u64,
}

impl Cut {
    /// How many positions it keeps by their rank: all, unless it had to choose among equal ones by position.
    pub fn clear(self) -> u64 {
        self.clear
    }

    /// Adds 1 for each of the positions from `first` on that it keeps, given their ranks.
    pub fn count(self, first: usize, ranks: &[u32], kept: &mut [u8]) {
        // Before `end` a rank equal to the cut's is kept too, behind it not.
        let (before, behind) = ranks.split_at(self.end.saturating_sub(first).min(ranks.len()));
        let (kept_before, kept_behind) = kept.split_at_mut(before.len());
        kept_before.iter_mut().zip(before).for_each(|(kept, rank)| *kept += u8::from(*rank >= self.rank));
        kept_behind.iter_mut().zip(behind).for_each(|(kept, rank)| *kept += u8::from(*rank > self.rank));
    }
}

/// Runs of whole rows of a carrier, for threads to share.
pub fn runs_of_rows(shape: CarrierShape) -> impl IndexedParallelIterator<Item = Range<usize>> {
    let (out, rows) = (shape.out as usize, (RUN / shape.row().max(1)).max(1));
    (0..out.div_ceil(rows)).into_par_iter().map(move |run| run * rows..out.min((run + 1) * rows))
}

/// A carrier's values and how they are ranked.
pub struct Balanced<'a> {
    values: &'a Values<'a>,
    shape: CarrierShape,
    balance: Balance,
}

/// Rows that are ranked at a time where a mask is wanted.
const ROWS: usize = 64;

/// Room for a run.
#[derive(Default)]
pub struct RankRoom {
    values: Vec<f32>,
    ranks: Vec<u32>,
}

impl<'a> Balanced<'a> {
    /// Balances the values. Panics if their number is not the shape's.
    pub fn new(values: &'a Values<'a>, shape: CarrierShape) -> Result<Self, ReadError> {
        Ok(Self { values, shape, balance: Balance::new(values, shape)? })
    }

    /// Ranks of the positions of some rows: larger comes first, 0 is a value of 0, which is never kept.
    pub fn ranks<'b>(&self, rows: Range<usize>, room: &'b mut RankRoom) -> Result<&'b [u32], ReadError> {
        let row = self.shape.row();
        let values = self.values.part(rows.start * row..rows.end * row, &mut room.values)?;
        room.ranks.clear();
        self.balance.ranks(rows.start, values, &mut room.ranks);
        Ok(&room.ranks)
    }

    /// The positions of the `count` largest ranks, and how many of them are kept with reason, not chosen among equals.
    pub fn largest(&self, count: usize) -> Result<(Mask, u64), ReadError> {
        let cut = self.cuts(&[count])?[0];
        let mut kept = Mask::empty(self.shape.size());
        let (rows, row) = (self.shape.out as usize, self.shape.row());
        let (mut room, mut flags) = (RankRoom::default(), Vec::new());
        for first in (0..rows).step_by(ROWS) {
            let ranks = self.ranks(first..rows.min(first + ROWS), &mut room)?;
            flags.clear();
            flags.resize(ranks.len(), 0);
            cut.count(first * row, ranks, &mut flags);
            flags.iter().enumerate().filter(|(_, flag)| **flag > 0).for_each(|(i, _)| kept.set(first * row + i, true));
        }
        Ok((kept, cut.clear()))
    }

    /// Where to cut for each of these numbers of positions; equal ranks go by position, the lower first. If fewer are not
    /// zero, all of them are kept.
    pub fn cuts(&self, counts: &[usize]) -> Result<Vec<Cut>, ReadError> {
        // For each count: the digits known so far, and how many are still wanted among the ranks that begin with them.
        let mut wanted: Vec<(u32, u64)> = counts.iter().map(|&count| (0, count as u64)).collect();
        let mut below = DIGITS.iter().sum::<u32>();
        let mut ties = vec![0; counts.len()];
        for bits in DIGITS {
            below -= bits;
            let mut prefixes: Vec<u32> = wanted.iter().map(|(prefix, _)| *prefix).collect();
            prefixes.sort_unstable();
            prefixes.dedup();
            let counted = self.count_digits(&prefixes, below, bits)?;
            for ((prefix, left), ties) in wanted.iter_mut().zip(&mut ties) {
                let group = prefixes.binary_search(prefix).expect("all prefixes are there");
                let mut digit = (1 << bits) - 1;
                // The lowest digit takes what is left, if there is too little.
                while digit > 0 && counted[group][digit] < *left {
                    *left -= counted[group][digit];
                    digit -= 1;
                }
                (*prefix, *ties) = (*prefix << bits | digit as u32, counted[group][digit]);
            }
        }
        let cut = |((&(rank, left), &ties), &count): ((&(u32, u64), &u64), &usize)| {
            let above = (count as u64).saturating_sub(left);
            match rank {
                0 => Cut { rank, end: 0, clear: above },
                _ if left >= ties => Cut { rank, end: usize::MAX, clear: above + ties },
                _ => Cut { rank, end: 0, clear: above }, // until the positions are looked at
            }
        };
        let mut cuts: Vec<Cut> = wanted.iter().zip(&ties).zip(counts).map(cut).collect();
        let open: Vec<usize> = (0..cuts.len()).filter(|&i| cuts[i].end == 0 && cuts[i].rank > 0).collect();
        if !open.is_empty() {
            let at = open.iter().map(|&i| wanted[i]).collect::<Vec<_>>();
            let ends = self.ends(&at)?;
            open.iter().zip(ends).for_each(|(&i, end)| cuts[i].end = end);
        }
        Ok(cuts)
    }

    /// For each prefix, how many ranks that begin with it go on with each digit.
    fn count_digits(&self, prefixes: &[u32], below: u32, bits: u32) -> Result<Vec<Vec<u64>>, ReadError> {
        let mask = (1 << bits) - 1;
        let none = || vec![vec![0u64; 1 << bits]; prefixes.len()];
        runs_of_rows(self.shape)
            .try_fold(
                || (RankRoom::default(), none()),
                |(mut room, mut counted), rows| {
                    let ranks = self.ranks(rows, &mut room)?;
                    // Values of 0 are many and never kept: whatever is missing is taken from the lowest digit.
                    for &rank in ranks.iter().filter(|rank| **rank != 0) {
                        let digits = rank >> below;
                        if let Some(group) = prefixes.iter().position(|&prefix| prefix == digits >> bits) {
                            counted[group][(digits & mask) as usize] += 1;
                        }
                    }
                    Ok((room, counted))
                },
            )
            .map(|counted| counted.map(|(_, counted)| counted))
            .try_reduce(none, |mut a, b| {
                a.iter_mut().flatten().zip(b.iter().flatten()).for_each(|(a, b)| *a += b);
                Ok(a)
            })
    }

    /// For each rank and number of positions that are to have it, the position behind the last of them.
    fn ends(&self, wanted: &[(u32, u64)]) -> Result<Vec<usize>, ReadError> {
        let counted = runs_of_rows(self.shape).map_init(RankRoom::default, |room, rows| {
            let ranks = self.ranks(rows.clone(), room)?;
            let equal = |(rank, _): &(u32, u64)| ranks.iter().filter(|r| *r == rank).count() as u64;
            Ok((rows, wanted.iter().map(equal).collect::<Vec<u64>>()))
        });
        let counted = counted.collect::<Result<Vec<_>, ReadError>>()?;
        let end = |(i, &(rank, mut left)): (usize, &(u32, u64))| {
            for (rows, equal) in &counted {
                if equal[i] >= left {
                    let mut room = RankRoom::default();
                    let ranks = self.ranks(rows.clone(), &mut room)?;
                    let mut places = ranks.iter().enumerate().filter(|(_, r)| **r == rank);
                    let last = places.nth(left.saturating_sub(1) as usize).map_or(0, |(place, _)| place + 1);
                    return Ok(rows.start * self.shape.row() + last);
                }
                left -= equal[i];
            }
            Ok(0) // only if the file has been changed meanwhile
        };
        wanted.iter().enumerate().map(end).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The positions that each cut keeps.
    fn kept(values: &[f32], shape: CarrierShape, counts: &[usize]) -> Vec<Vec<usize>> {
        let held = Values::from(values.to_vec());
        let balanced = Balanced::new(&held, shape).expect("held values can be read");
        let mut room = RankRoom::default();
        let ranks = balanced.ranks(0..shape.out as usize, &mut room).expect("held values can be read");
        let cuts = balanced.cuts(counts).expect("held values can be read");
        let positions = |cut: &Cut| {
            let mut kept = vec![0; ranks.len()];
            let (first, second) = kept.split_at_mut(ranks.len() / 3);
            cut.count(0, &ranks[..first.len()], first);
            cut.count(first.len(), &ranks[first.len()..], second);
            (0..kept.len()).filter(|&position| kept[position] == 1).collect()
        };
        cuts.iter().map(positions).collect()
    }

    /// The same by sorting.
    fn sorted(values: &[f32], shape: CarrierShape, count: usize) -> Vec<usize> {
        let held = Values::from(values.to_vec());
        let balanced = Balanced::new(&held, shape).expect("held values can be read");
        let mut room = RankRoom::default();
        let ranks = balanced.ranks(0..shape.out as usize, &mut room).expect("held values can be read");
        let mut order: Vec<usize> = (0..values.len()).filter(|&p| values[p] != 0.0).collect();
        order.sort_by_key(|&p| (std::cmp::Reverse(ranks[p]), p));
        order.truncate(count);
        order.sort_unstable();
        order
    }

    #[test]
    fn ties_keep_the_lower_position_and_zeros_are_never_kept() {
        let square = CarrierShape { out: 2, inp: 2, height: 1, width: 1 };
        assert_eq!(
            kept(&[1.0; 4], square, &[0, 1, 3, 4, 9]),
            [vec![], vec![0], vec![0, 1, 2], vec![0, 1, 2, 3], vec![0, 1, 2, 3]]
        );
        let held = Values::from(vec![1.0, 1.0, 1.0, 4.0]);
        let diagonal = Balanced::new(&held, square).expect("held values can be read");
        let clear = |counts| diagonal.cuts(counts).expect("held values can be read").into_iter().map(Cut::clear);
        // Off the diagonal and on it the balanced values are equal: of two pairs, one can be told from the other.
        assert_eq!(clear(&[0, 1, 2, 3, 4]).collect::<Vec<_>>(), [0, 0, 2, 2, 4]);
        assert_eq!(kept(&[0.0, 2.0, -2.0, 0.0], square, &[1, 2, 3]), [vec![1], vec![1, 2], vec![1, 2]]);
        assert_eq!(kept(&[0.0; 4], square, &[2]), [vec![0usize; 0]]);
    }

    #[test]
    fn ties_go_by_position_across_runs() {
        let shape = CarrierShape { out: 300, inp: 100, height: 3, width: 1 };
        assert!(runs_of_rows(shape).len() > 1);
        let counts = [1, RUN - 1, RUN, RUN + 1, shape.size() - 1];
        for (kept, count) in kept(&vec![0.5; shape.size()], shape, &counts).iter().zip(counts) {
            assert_eq!((kept.len(), kept.last()), (count, Some(&(count - 1))));
        }
    }

    proptest! {
        #[test]
        fn cuts_keep_what_sorting_keeps(
            values in prop::collection::vec((-3i8..4).prop_map(|v| f32::from(v) / 3.0), 60),
            counts in prop::collection::vec(0usize..70, 1..6),
        ) {
            let shape = CarrierShape { out: 5, inp: 4, height: 1, width: 3 };
            for (kept, &count) in kept(&values, shape, &counts).iter().zip(&counts) {
                prop_assert_eq!(kept, &sorted(&values, shape, count));
            }
        }

        #[test]
        fn cuts_keep_what_sorting_keeps_of_any_weights(
            values in prop::collection::vec(any::<f32>().prop_filter("finite", |v| v.is_finite()), 60),
            count in 0usize..70,
        ) {
            let shape = CarrierShape { out: 5, inp: 4, height: 1, width: 3 };
            prop_assert_eq!(&kept(&values, shape, &[count])[0], &sorted(&values, shape, count));
        }
    }
}
