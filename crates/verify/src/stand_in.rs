//! Stand-ins: which of the suspect's tensors is taken for which carrier of the ticket.
//!
//! Implements the last paragraph of docs/protocol.md, "What is read as kept": by name if all of the claim's names occur
//! with the claimed shapes, otherwise, and with the key alone, by shape and ordinal. It depends on names and shapes only,
//! so it is free. Ordinals that no network with these carriers would have stand for nothing: chips follow from them, so
//! whoever made a claim for a suspect at hand could try them carrier by carrier, and pool the best of each. [`Group`]s are what `assigned zeros` may re-order, and pays for.

use std::collections::BTreeMap;

use counterfoil_claim::ClaimedCarrier;
use counterfoil_mark::RankDensity;
use counterfoil_ticket::{Carrier, CarrierShape};

/// Most carriers of one shape that are re-ordered; more are left in their order. 256! is already 1684 bits.
pub const MAX_GROUP: usize = 256;

/// A carrier of the ticket and the suspect's tensor that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StandIn {
    pub(crate) carrier: Carrier,
    /// Density at stamping; `None` with the key alone.
    pub(crate) density: Option<RankDensity>,
    /// Its tensor; `None` if the suspect has none of this shape and ordinal.
    pub(crate) tensor: Option<String>,
}

/// Carriers of one shape whose order may be another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) shape: CarrierShape,
    /// Carriers of the ticket.
    pub(crate) carriers: Vec<Carrier>,
    /// Tensors of the suspect, in natural order.
    pub(crate) tensors: Vec<String>,
}

impl Group {
    /// g: with fewer of one kind than of the other, the missing ones are counted in.
    pub(crate) fn size(&self) -> usize {
        self.carriers.len().max(self.tensors.len())
    }
}

/// How the suspect's tensors are laid over the ticket's carriers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// One for each carrier of the ticket, in its order.
    pub(crate) stand_ins: Vec<StandIn>,
    /// Shapes with 2 to [`MAX_GROUP`] carriers.
    pub(crate) groups: Vec<Group>,
    /// Whether a shape has more carriers than are re-ordered.
    pub(crate) has_large_group: bool,
}

impl Layout {
    /// `suspect` in natural order; `claimed` are the ticket's carriers, the suspect's own if nobody says.
    pub(crate) fn new(suspect: &[Carrier], claimed: Option<&[ClaimedCarrier]>) -> Self {
        let Some(claimed) = claimed else {
            let own = |c: &Carrier| StandIn { carrier: c.clone(), density: None, tensor: Some(c.name.clone()) };
            let stand_ins: Vec<StandIn> = suspect.iter().map(own).collect();
            return Self::of(stand_ins, suspect);
        };
        let by_name: BTreeMap<&str, CarrierShape> = suspect.iter().map(|c| (c.name.as_str(), c.shape)).collect();
        let by_number: BTreeMap<(CarrierShape, u32), &str> =
            suspect.iter().map(|c| ((c.shape, c.ordinal), c.name.as_str())).collect();
        let is_named_alike = claimed.iter().all(|c| by_name.get(c.name.as_str()) == Some(&c.shape));
        let possible = possible_ordinals(suspect, claimed);
        let stand_in = |c: &ClaimedCarrier| StandIn {
            tensor: if c.ordinal >= possible[&c.shape] {
                None
            } else if is_named_alike {
                Some(c.name.clone())
            } else {
                by_number.get(&(c.shape, c.ordinal)).map(|name| (*name).to_owned())
            },
            density: RankDensity::new(c.kept, c.shape.size() as u64),
            carrier: c.carrier(),
        };
        let stand_ins: Vec<StandIn> = claimed.iter().map(stand_in).collect();
        let mut layout = Self::of(stand_ins, suspect);
        layout.groups.iter_mut().for_each(|group| group.carriers.retain(|c| c.ordinal < possible[&c.shape]));
        layout.groups.retain(|group| !group.carriers.is_empty());
        layout
    }

    fn of(stand_ins: Vec<StandIn>, suspect: &[Carrier]) -> Self {
        let (groups, large): (Vec<Group>, Vec<Group>) =
            groups(&stand_ins, suspect).into_iter().partition(|group| group.size() <= MAX_GROUP);
        Self { stand_ins, groups, has_large_group: !large.is_empty() }
    }

    /// Whether no tensor stands for anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.stand_ins.iter().all(|s| s.tensor.is_none()) && self.groups.is_empty()
    }

    /// Whether some tensor has kernels of more than one tap.
    pub(crate) fn can_be_turned(&self) -> bool {
        self.stand_ins.iter().any(|s| s.tensor.is_some() && s.carrier.shape.taps() > 1)
    }

    /// g of each group.
    pub(crate) fn group_sizes(&self) -> Vec<usize> {
        self.groups.iter().map(Group::size).collect()
    }
}

/// How many there are of each shape.
pub(crate) fn count_by_shape(shapes: impl Iterator<Item = CarrierShape>) -> BTreeMap<CarrierShape, u32> {
    let mut counts = BTreeMap::new();
    shapes.for_each(|shape| *counts.entry(shape).or_default() += 1);
    counts
}

/// From which ordinal on there is no carrier of a shape, as far as anybody can say: neither suspect nor claim has more.
fn possible_ordinals(suspect: &[Carrier], claimed: &[ClaimedCarrier]) -> BTreeMap<CarrierShape, u32> {
    let there = count_by_shape(suspect.iter().map(|c| c.shape));
    let mut possible = count_by_shape(claimed.iter().map(|c| c.shape));
    possible.iter_mut().for_each(|(shape, n)| *n = (*n).max(there.get(shape).copied().unwrap_or(0)));
    possible
}

fn groups(stand_ins: &[StandIn], suspect: &[Carrier]) -> Vec<Group> {
    let mut by_shape: BTreeMap<CarrierShape, Group> = BTreeMap::new();
    for StandIn { carrier, .. } in stand_ins {
        let shape = carrier.shape;
        let group = by_shape.entry(shape).or_insert(Group { shape, carriers: Vec::new(), tensors: Vec::new() });
        group.carriers.push(carrier.clone());
    }
    for carrier in suspect {
        if let Some(group) = by_shape.get_mut(&carrier.shape) {
            group.tensors.push(carrier.name.clone());
        }
    }
    by_shape.into_values().filter(|g| !g.tensors.is_empty() && g.size() >= 2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: [usize; 2] = [8, 8];
    const WIDE: [usize; 2] = [4, 16];

    fn carriers(names: &[(&str, [usize; 2])]) -> Vec<Carrier> {
        Carrier::number(names.iter().map(|(name, shape)| (*name, &shape[..])))
    }

    fn claimed(names: &[(&str, [usize; 2])]) -> Vec<ClaimedCarrier> {
        let claimed = |c: Carrier| ClaimedCarrier { name: c.name, shape: c.shape, ordinal: c.ordinal, kept: 16 };
        carriers(names).into_iter().map(claimed).collect()
    }

    fn tensors(suspect: &[(&str, [usize; 2])], ticket: &[(&str, [usize; 2])]) -> Vec<Option<String>> {
        let layout = Layout::new(&carriers(suspect), Some(&claimed(ticket)));
        layout.stand_ins.into_iter().map(|s| s.tensor).collect()
    }

    fn some(names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| Some((*name).to_owned())).collect()
    }

    #[test]
    fn names_decide_only_if_all_of_them_occur_with_their_shapes() {
        let ticket = [("b", SQUARE), ("c", SQUARE)];
        // By ordinal 'a' would stand for 'b'.
        assert_eq!(tensors(&[("a", SQUARE), ("b", SQUARE), ("c", SQUARE)], &ticket), some(&["b", "c"]));
        assert_eq!(tensors(&[("a", SQUARE), ("b", SQUARE), ("c", WIDE)], &ticket), some(&["a", "b"]));
        assert_eq!(tensors(&[("x", SQUARE), ("y", SQUARE)], &ticket), some(&["x", "y"]));
        assert_eq!(tensors(&[("x", SQUARE), ("y", WIDE)], &ticket), [Some("x".to_owned()), None]);
        assert_eq!(tensors(&[("x", WIDE)], &ticket), [None, None]);
    }

    #[test]
    fn ordinals_that_nobody_has_stand_for_nothing() {
        let suspect = carriers(&[("a", SQUARE), ("b", SQUARE), ("c", SQUARE)]);
        let claim = |ordinals: [u32; 2]| {
            let mut claim = claimed(&[("b", SQUARE), ("c", SQUARE)]);
            claim.iter_mut().zip(ordinals).for_each(|(c, ordinal)| c.ordinal = ordinal);
            Layout::new(&suspect, Some(&claim))
        };
        let tensors = |layout: &Layout| layout.stand_ins.iter().map(|s| s.tensor.clone()).collect::<Vec<_>>();
        let (some, chosen) = (claim([1, 2]), claim([1, 517]));
        assert_eq!(tensors(&some), [Some("b".to_owned()), Some("c".to_owned())]);
        assert_eq!(tensors(&chosen), [Some("b".to_owned()), None]);
        assert_eq!((some.groups[0].carriers.len(), chosen.groups[0].carriers.len()), (2, 1));
        // A suspect that has lost one of two: the claim's numbers are taken.
        let lost = Layout::new(&carriers(&[("b", SQUARE)]), Some(&claimed(&[("a", SQUARE), ("b", SQUARE)])));
        assert_eq!(lost.groups[0].carriers.len(), 2);
    }

    #[test]
    fn groups_hold_shapes_that_can_be_reordered() {
        let sizes = |suspect: &[(&str, [usize; 2])], ticket: Option<&[(&str, [usize; 2])]>| {
            Layout::new(&carriers(suspect), ticket.map(claimed).as_deref()).group_sizes()
        };
        let two = [("a", SQUARE), ("b", SQUARE)];
        assert_eq!(sizes(&two, None), [2]);
        assert_eq!(sizes(&[("a", SQUARE), ("b", WIDE)], None), [0; 0]);
        assert_eq!(sizes(&two[..1], Some(&two)), [2], "a tensor is missing");
        assert_eq!(sizes(&two, Some(&two[..1])), [2], "a tensor too many");
        assert_eq!(sizes(&[("a", WIDE), ("b", WIDE)], Some(&two)), [0; 0], "nothing stands for anything");
        let names: Vec<String> = (0..=MAX_GROUP).map(|i| format!("w{i}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), SQUARE)).collect();
        assert_eq!(sizes(&many, None), [0; 0]);
        assert_eq!(sizes(&many[..MAX_GROUP], None), [MAX_GROUP]);
    }
}
