//! Reading `assigned zeros`: the suspect's tensors of one shape in the order that agrees best with the key.
//!
//! Implements reading 3 of docs/protocol.md, "What is read as kept", for suspects whose tensors were renamed so that
//! their order changed. Each of the at most ∏ g! orders is one more look, and is paid for. Kept positions of a group are
//! held in memory, a bit each, and the chips of one carrier, two bits for each panel and dilution.

use std::collections::BTreeMap;

use counterfoil_claim::{Dilution, PanelId};
use counterfoil_mark::{ChipPlanes, Reading, Tally, assign};
use counterfoil_ticket::{CarrierShape, Mask, ModelFile, ReadError};
use rayon::prelude::*;

use crate::count::{CarrierCount, MaskCount, read_zeros};
use crate::search::Search;
use crate::stand_in::{Group, Layout};
use crate::{CarrierState, VerifyError};

/// Tallies of some panels, when one tensor stands for one carrier; `None` for tensors that are left out.
type Counted = Option<Vec<Tally>>;

/// Counts under every look; `zeros` are that reading's counts under the same looks, which carriers of other shapes keep.
pub(crate) fn count_assigned(
    file: &ModelFile,
    layout: &Layout,
    search: &Search,
    zeros: &[&MaskCount],
) -> Result<Vec<MaskCount>, VerifyError> {
    let mut counts: Vec<MaskCount> = zeros.iter().map(|&zeros| zeros.clone()).collect();
    counts.iter_mut().for_each(|count| count.reading = Reading::AssignedZeros);
    let order = layout.stand_ins.iter().enumerate();
    let slots: BTreeMap<(CarrierShape, u32), usize> =
        order.map(|(i, s)| ((s.carrier.shape, s.carrier.ordinal), i)).collect();
    let mut asked: Vec<(PanelId, Dilution)> =
        zeros.iter().flat_map(|count| count.look.panels.iter().map(|&panel| (panel, count.look.dilution))).collect();
    asked.sort_by_key(|&(panel, dilution)| (panel, dilution.get()));
    asked.dedup();
    for group in &layout.groups {
        let kept: Vec<_> = group.tensors.par_iter().map(|tensor| read_zeros(file, tensor)).collect();
        let kept = kept.into_iter().collect::<Result<Vec<Option<Mask>>, ReadError>>()?;
        let tallies = tallies(group, &kept, search, &asked);
        for count in &mut counts {
            let of_panel = |panel: &PanelId| asked.iter().position(|a| *a == (*panel, count.look.dilution));
            let places: Vec<usize> = count.look.panels.iter().filter_map(of_panel).collect();
            let of_look = |all: &Counted| all.as_ref().map(|all| places.iter().map(|&place| all[place]).collect());
            let table: Vec<Vec<Counted>> = tallies.iter().map(|row| row.iter().map(of_look).collect()).collect();
            let tensors = best_order(&table, group.size());
            for (j, (carrier, row)) in group.carriers.iter().zip(table).enumerate() {
                // Groups are made of the carriers that are counted, in the layout's order.
                let slot = &mut count.carriers[slots[&(carrier.shape, carrier.ordinal)]];
                *slot = place(slot, tensors[j], group, row);
            }
        }
    }
    Ok(counts)
}

/// A row for each carrier of the group with what each tensor tallies, for each panel and dilution asked, if it stands for
/// the carrier.
fn tallies(group: &Group, kept: &[Option<Mask>], search: &Search, asked: &[(PanelId, Dilution)]) -> Vec<Vec<Counted>> {
    if kept.iter().all(Option::is_none) {
        return vec![vec![None; kept.len()]; group.carriers.len()];
    }
    let row = |carrier| {
        let planes = ChipPlanes::draw(&search.chips(carrier), group.shape.size(), asked);
        kept.par_iter().map(|kept| kept.as_ref().map(|kept| planes.tally(kept))).collect()
    };
    group.carriers.iter().map(row).collect()
}

/// The tensor of each carrier, by index, such that the hits add up to the most. What is missing counts nothing.
fn best_order(table: &[Vec<Counted>], size: usize) -> Vec<usize> {
    let hits = |j: usize, i: usize| {
        let counted = table.get(j).and_then(|row| row.get(i)?.as_ref());
        counted.map_or(0, |tallies| tallies.iter().map(|tally| tally.hits()).sum())
    };
    assign(&(0..size).map(|j| (0..size).map(|i| hits(j, i)).collect()).collect::<Vec<Vec<u64>>>())
}

fn place(old: &CarrierCount, tensor: usize, group: &Group, mut row: Vec<Counted>) -> CarrierCount {
    let name = group.tensors.get(tensor).cloned();
    let counted = if name.is_some() { row.swap_remove(tensor) } else { None };
    let state = match (&name, &counted) {
        (None, _) => CarrierState::Missing,
        (_, None) => CarrierState::LeftOut,
        (_, Some(_)) => CarrierState::Counted,
    };
    let tallies = counted.unwrap_or_else(|| vec![Tally::default(); old.tallies.len()]);
    CarrierCount { carrier: old.carrier.clone(), tensor: name, state, clarity: old.clarity, tallies }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(hits: u64) -> Counted {
        Some(vec![Tally::new(10, hits).unwrap()])
    }

    #[test]
    fn tables_that_are_not_square_are_padded() {
        // two carriers, three tensors, of which the first is left out
        let table = vec![vec![None, counted(4), counted(9)], vec![None, counted(3), counted(7)]];
        assert_eq!(best_order(&table, 3)[..2], [2, 1]);
        // two carriers, one tensor: it stands for the second, and nothing for the first
        let order = best_order(&[vec![counted(5)], vec![counted(6)]], 2);
        assert_eq!(order, [1, 0]);
    }
}
