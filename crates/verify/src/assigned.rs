//! Reading `assigned zeros`: the suspect's tensors of one shape in the order that agrees best with the key.
//!
//! Implements reading 3 of docs/protocol.md, "What is read as kept", for suspects whose tensors were renamed so that
//! their order changed. Each of the at most ∏ g! orders is one more look, and is paid for. Kept positions of a group are
//! held in memory, a bit each; chips are drawn once for each carrier and dilution.

use std::collections::BTreeMap;

use counterfoil_mark::{Reading, Tally, assign};
use counterfoil_ticket::{CarrierShape, ModelFile};

use crate::count::{CarrierCount, Kept, MaskCount, read_zeros};
use crate::search::{Look, Search};
use crate::stand_in::{Group, Layout};
use crate::{CarrierState, VerifyError};

/// Tallies of each panel and positions that can carry the mark, when one tensor stands for one carrier.
type Counted = (Vec<Tally>, u64);

/// Counts under every look; `zeros` are that reading's counts under the same looks, which carriers of other shapes keep.
pub(crate) fn count_assigned(
    file: &ModelFile,
    layout: &Layout,
    search: &Search,
    zeros: &[&MaskCount],
) -> Result<Vec<MaskCount>, VerifyError> {
    let mut counts: Vec<MaskCount> = zeros.iter().map(|&zeros| zeros.clone()).collect();
    counts.iter_mut().for_each(|count| count.reading = Reading::AssignedZeros);
    let looks: Vec<Look> = counts.iter().map(|count| count.look.clone()).collect();
    let order = layout.stand_ins.iter().enumerate();
    let slots: BTreeMap<(CarrierShape, u32), usize> =
        order.map(|(i, s)| ((s.carrier.shape, s.carrier.ordinal), i)).collect();
    for group in &layout.groups {
        let kept = group.tensors.iter().map(|t| read_zeros(file, t)).collect::<Result<Vec<Option<Kept>>, _>>()?;
        for (count, table) in counts.iter_mut().zip(tables(group, &kept, search, &looks)) {
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

/// For each look, a row for each carrier with what each tensor would count for it; `None` for tensors that are left out.
fn tables(group: &Group, kept: &[Option<Kept>], search: &Search, looks: &[Look]) -> Vec<Vec<Vec<Option<Counted>>>> {
    let mut tables: Vec<Vec<_>> = looks.iter().map(|_| Vec::with_capacity(group.carriers.len())).collect();
    for carrier in &group.carriers {
        let mut drawn = None;
        for (look, table) in looks.iter().zip(&mut tables) {
            let chips = match drawn.take() {
                Some((dilution, chips)) if dilution == look.dilution => chips,
                _ => search.chips(carrier, look.dilution),
            };
            table.push(kept.iter().map(|kept| Some(kept.as_ref()?.count(&chips, look))).collect());
            drawn = Some((look.dilution, chips));
        }
    }
    tables
}

/// The tensor of each carrier, by index, such that the hits add up to the most. What is missing counts nothing.
fn best_order(table: &[Vec<Option<Counted>>], size: usize) -> Vec<usize> {
    let hits = |j: usize, i: usize| {
        let counted = table.get(j).and_then(|row| row.get(i)?.as_ref());
        counted.map_or(0, |(tallies, _)| tallies.iter().map(|tally| tally.hits()).sum())
    };
    assign(&(0..size).map(|j| (0..size).map(|i| hits(j, i)).collect()).collect::<Vec<Vec<u64>>>())
}

fn place(old: &CarrierCount, tensor: usize, group: &Group, mut row: Vec<Option<Counted>>) -> CarrierCount {
    let name = group.tensors.get(tensor).cloned();
    let counted = if name.is_some() { row.swap_remove(tensor) } else { None };
    let state = match (&name, &counted) {
        (None, _) => CarrierState::Missing,
        (_, None) => CarrierState::LeftOut,
        (_, Some(_)) => CarrierState::Counted,
    };
    let (tallies, alive) = counted.unwrap_or_else(|| (vec![Tally::default(); old.tallies.len()], 0));
    CarrierCount { carrier: old.carrier.clone(), tensor: name, state, tallies, alive }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(hits: u64) -> Option<Counted> {
        Some((vec![Tally::new(10, hits).unwrap()], 10))
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
