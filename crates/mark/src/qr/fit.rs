//! Where a code costs least.

use std::collections::BTreeMap;

use counterfoil_ticket::{Mask, Model};
use rayon::prelude::*;

use super::connectivity::Connectivity;
use super::embed::Whereabouts;
use super::layout::{Layout, Rows};
use crate::candidate::ordered;

/// Row, column and mask pattern.
pub(super) type Spot = (usize, usize, u8);

/// What a code costs there; of several such spots the earliest is best.
pub(super) type Fit = (usize, Spot);

/// The share of a ticket's kept positions that pruning takes first: a dark module that has no other is *weak*.
const WEAK_SHARE: f64 = 0.2;

/// A weak dark module costs as much as so many light ones that have to be closed. Where kernels are few, most of a code's dark
/// modules would be opened with a position that was not worth keeping, and a little pruning takes it again.
const WEAK_COST: usize = 3;

/// The kernels of a carrier that keep a position, and those that keep a strong one.
pub(super) struct Kernels {
    pub(super) kept: Connectivity,
    pub(super) strong: Connectivity,
}

pub(super) fn best_fit(
    kernels: &Kernels,
    layout: &Layout,
    codes: &[Rows],
    whereabouts: Whereabouts<'_>,
) -> Option<Fit> {
    let (rows, columns) = whereabouts.among(kernels.kept.places(layout.side())?)?;
    let best_of_row = |row: usize| {
        let (mut kept, mut strong) = (Rows::new(), Rows::new());
        let spots = columns.clone().flat_map(|column| {
            kernels.kept.square(row, column, layout.side(), &mut kept);
            kernels.strong.square(row, column, layout.side(), &mut strong);
            let (kept, strong) = (&kept, &strong);
            let fits = codes
                .iter()
                .zip(0..)
                .map(|(code, pattern)| (cost(code, kept, strong, &layout.is_data), (row, column, pattern)));
            fits.min()
        });
        spots.min()
    };
    rows.into_par_iter().filter_map(best_of_row).min()
}

fn cost(code: &[u64], kept: &[u64], strong: &[u64], is_data: &[u64]) -> usize {
    let rows = code.iter().zip(kept).zip(strong).zip(is_data);
    let (weak, closed) = rows.fold((0, 0), |(weak, closed), (((code, kept), strong), data)| {
        (weak + (code & !strong & data).count_ones(), closed + (!code & kept & data).count_ones())
    });
    WEAK_COST * weak as usize + closed as usize
}

/// The kept positions that are left when [`WEAK_SHARE`] of all are pruned, by score if all carriers have scores, else by the
/// size of the weight.
pub(super) fn strong_positions(ticket: &Model, masks: &BTreeMap<String, Mask>) -> BTreeMap<String, Mask> {
    let is_scored = masks.keys().all(|name| ticket.scores.contains_key(name));
    let rank = |name: &str, position: usize| match ticket.scores.get(name).filter(|_| is_scored) {
        Some(scores) => ordered(scores[position]),
        None => ordered(ticket.arrays[name].values()[position].abs()),
    };
    let mut ranks: Vec<u32> =
        masks.iter().flat_map(|(name, mask)| mask.positions().map(|position| rank(name, position))).collect();
    let weak = (ranks.len() as f64 * WEAK_SHARE) as usize;
    let least = if weak < ranks.len() { *ranks.select_nth_unstable(weak).1 } else { 0 };
    let strong = |(name, mask): (&String, &Mask)| {
        let mut strong = mask.clone();
        mask.positions().filter(|&p| rank(name, p) < least).for_each(|position| strong.set(position, false));
        (name.clone(), strong)
    };
    masks.iter().map(strong).collect()
}
