//! The mask tests: readings in their order, each with its charge.
//!
//! Implements docs/protocol.md, "Charges", for the mask tests of each level: `zeros` first; the other readings, whose
//! charge is the same either way, only at levels that `zeros` leaves below the threshold.

use counterfoil_mark::{BLIND_DILUTION_BITS, EITHER_BITS, Log2P, Reading, charge};
use counterfoil_ticket::{Carrier, Mask, ModelFile};

use crate::assigned::count_assigned;
use crate::count::{MaskCount, count_ranks, count_turned, count_zeros, read_zeros};
use crate::decisive_test::Test;
use crate::overlap::OverlapCount;
use crate::search::{Look, Search};
use crate::stand_in::Layout;
use crate::{Level, Overlap, VerifyError};

/// What the suspect's file gave.
pub(crate) struct MaskResult {
    pub(crate) tests: Vec<Test>,
    pub(crate) overlap: Option<Overlap>,
    /// Whether any of its tensors stands for a carrier of the ticket.
    pub(crate) has_carriers: bool,
    /// Whether some tensors could be in another order, and there are too many to look for it.
    pub(crate) is_order_open: bool,
}

/// Tests a file; `with_triggers` are the levels at which triggers are tested too.
pub(crate) fn test_mask(
    file: &ModelFile,
    search: &Search,
    reference: Option<&[(Carrier, Mask)]>,
    threshold: Log2P,
    with_triggers: &[Level],
) -> Result<MaskResult, VerifyError> {
    let layout = Layout::new(&file.carriers(), search.claim.map(|claim| claim.carriers.as_slice()));
    let to_test = |count: MaskCount| {
        let bits = bits(count.reading, &layout, search, with_triggers.contains(&count.look.level));
        let claimed = search.claimed_tally(&count.look.panels);
        Test::of_mask(count, bits, claimed)
    };
    let zeros = count_zeros(file, &layout, search, &search.looks())?;
    let overlap = reference.filter(|_| search.claim.is_some()).map(|reference| overlap(file, &layout, reference));
    let mut tests: Vec<Test> = zeros.iter().cloned().map(to_test).collect();

    let is_reached = |level| tests.iter().any(|test| test.level == level && test.after_charges() <= threshold);
    let zeros: Vec<&MaskCount> = zeros.iter().filter(|count| !is_reached(count.look.level)).collect();
    let looks: Vec<Look> = zeros.iter().map(|count| count.look.clone()).collect();
    if !looks.is_empty() {
        tests.extend(count_ranks(file, &layout, search, &looks)?.into_iter().map(to_test));
        if layout.can_be_turned() {
            tests.extend(count_turned(file, &layout, search, &looks)?.into_iter().map(to_test));
        }
        if !layout.groups.is_empty() {
            tests.extend(count_assigned(file, &layout, search, &zeros)?.into_iter().map(to_test));
        }
    }
    Ok(MaskResult {
        tests,
        overlap: overlap.transpose()?.flatten(),
        has_carriers: !layout.is_empty(),
        is_order_open: layout.has_large_group,
    })
}

/// What carriers with zeros keep of the reference mask.
fn overlap(file: &ModelFile, layout: &Layout, reference: &[(Carrier, Mask)]) -> Result<Option<Overlap>, VerifyError> {
    let mut overlap = OverlapCount::new(reference);
    for stand_in in &layout.stand_ins {
        if let Some(tensor) = &stand_in.tensor
            && let Some(kept) = read_zeros(file, tensor)?
        {
            overlap.see(&stand_in.carrier, &kept)?;
        }
    }
    Ok(overlap.finish())
}

/// Bits that one reading costs at one level.
fn bits(reading: Reading, layout: &Layout, search: &Search, with_triggers: bool) -> u32 {
    let others = search.rank_readings().len() + usize::from(!layout.groups.is_empty());
    let others = u32::try_from(others).expect("there are at most seven readings");
    let blind = if search.claim.is_none() { BLIND_DILUTION_BITS } else { 0 };
    let either = if with_triggers { EITHER_BITS } else { 0 };
    charge(reading, others, layout.can_be_turned(), &layout.group_sizes()) + blind + either
}
