//! The mask tests: readings in their order, each with its charge.
//!
//! Implements docs/protocol.md, "Charges", for the mask tests of each level: `zeros` first; the other readings, whose
//! charge is the same either way, only at levels that `zeros` leaves below the threshold; aligned ones only if those do too.

use counterfoil_mark::{BLIND_DILUTION_BITS, EITHER_BITS, Log2P, Reading, charge};
use counterfoil_ticket::{Carrier, Mask, ModelFile};

use crate::align::{AlignedMarks, Fold, Network, folds};
use crate::assigned::count_assigned;
use crate::choice::{Choices, disclosure_bits};
use crate::count::{MaskCount, count_ranks, count_turned, count_zeros, read_zeros};
use crate::decisive_test::Test;
use crate::overlap::OverlapCount;
use crate::power::says_something;
use crate::search::{Look, Search};
use crate::stand_in::Layout;
use crate::{Level, Options, Overlap, VerifyError};

/// What the suspect's file gave.
pub(crate) struct MaskResult {
    pub(crate) tests: Vec<Test>,
    pub(crate) overlap: Option<Overlap>,
    /// Whether any of its tensors stands for a carrier of the ticket.
    pub(crate) has_carriers: bool,
    /// Whether some tensors could be in another order, and there are too many to look for it.
    pub(crate) is_order_open: bool,
    /// Why channels were not aligned though it was asked for.
    pub(crate) not_aligned: Option<String>,
}

/// Tests a file; `to_align` are the levels of aligned tests, `with_triggers` those at which triggers are tested too.
pub(crate) fn test_mask(
    file: &ModelFile,
    search: &Search,
    reference: Option<&[(Carrier, Mask)]>,
    options: &Options,
    to_align: &[Level],
    with_triggers: &[Level],
) -> Result<MaskResult, VerifyError> {
    let layout = Layout::new(&file.carriers(), search.claim.map(|claim| claim.carriers.as_slice()));
    let network = match (search.claim, options.align) {
        (Some(claim), true) => Some(Network::find(&file.carriers(), &claim.carriers)),
        _ => None,
    };
    let is_alignable = matches!(network, Some(Ok(_)));
    let choices =
        Choices::new(search, &file.carriers(), &layout, network.as_ref().and_then(|found| found.as_ref().ok()));
    let to_test = |count: MaskCount| {
        let is_aligned = is_alignable && to_align.contains(&count.look.level);
        let aligned = if is_aligned { folds(search, count.look.level).len() } else { 0 };
        let is_with_triggers = with_triggers.contains(&count.look.level);
        let chosen = count.alignment.as_ref().map_or(0, |alignment| alignment.bits);
        let bits = bits(count.reading, count.look.level, &layout, search, aligned, is_with_triggers);
        let choice = choices.of_mask(count.reading, count.look.level) + chosen;
        let claimed = search.claimed_tally(&count.look.panels);
        Test::of_mask(count, bits, choice, claimed)
    };
    let zeros = count_zeros(file, &layout, search, &search.looks())?;
    let overlap = reference.filter(|_| search.claim.is_some()).map(|reference| overlap(file, &layout, reference));
    let mut tests: Vec<Test> = zeros.iter().cloned().map(to_test).collect();

    let zeros: Vec<&MaskCount> =
        zeros.iter().filter(|count| !is_reached(&tests, count.look.level, options.threshold)).collect();
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
    let mut not_aligned = None;
    if let (Some(network), Some(claim), Some(reference)) = (&network, search.claim, reference) {
        match network {
            Ok(network) => {
                let read = || AlignedMarks::read(file, network, search, claim, reference);
                not_aligned = align(&mut tests, read, search, to_align, options.threshold, to_test)?;
            }
            Err(reason) => not_aligned = Some(reason.clone()),
        }
    }
    Ok(MaskResult {
        tests,
        overlap: overlap.transpose()?.flatten(),
        has_carriers: !layout.is_empty() || is_alignable,
        is_order_open: layout.has_large_group,
        not_aligned,
    })
}

/// Whether a test of this level has reached the threshold.
fn is_reached(tests: &[Test], level: Level, threshold: Log2P) -> bool {
    tests.iter().any(|test| test.level == level && test.after_charges() <= threshold)
}

/// Adds aligned tests, the sealed level's first, until one decides. If none does, and none says anything of the mark, the
/// controls are made that tell whether they could have. Returns why nothing was aligned, if nothing could be.
fn align<'a>(
    tests: &mut Vec<Test>,
    read: impl FnOnce() -> Result<AlignedMarks<'a>, VerifyError>,
    search: &Search,
    to_align: &[Level],
    threshold: Log2P,
    to_test: impl Fn(MaskCount) -> Test,
) -> Result<Option<String>, VerifyError> {
    let levels: Vec<Level> = search.levels().iter().filter(|level| to_align.contains(level)).copied().collect();
    if levels.last().is_none_or(|&best| is_reached(tests, best, threshold)) {
        return Ok(None);
    }
    let marks = read()?;
    let mut made: Vec<(Fold, usize)> = Vec::new();
    for &level in levels.iter().rev() {
        for fold in folds(search, level) {
            if is_reached(tests, level, threshold) {
                break;
            }
            let count = match marks.count(&fold) {
                Ok(count) => count,
                Err(error) => return Ok(Some(error.to_string())),
            };
            made.push((fold, tests.len()));
            tests.push(to_test(count));
        }
        if is_reached(tests, level, threshold) {
            return Ok(None);
        }
    }
    let of_levels: Vec<Test> = tests.iter().filter(|test| levels.contains(&test.level)).cloned().collect();
    if !says_something(&of_levels) {
        for (fold, index) in made {
            let is_found = match marks.control(&fold) {
                Ok(is_found) => is_found,
                Err(error) => return Ok(Some(error.to_string())),
            };
            if let Some(alignment) = tests[index].mask.as_mut().and_then(|mask| mask.alignment.as_mut()) {
                alignment.control = Some(is_found);
            }
        }
    }
    Ok(None)
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
fn bits(reading: Reading, level: Level, layout: &Layout, search: &Search, aligned: usize, with_triggers: bool) -> u32 {
    let others = search.rank_readings().len() + usize::from(!layout.groups.is_empty());
    let others = u32::try_from(others).expect("there are at most seven readings");
    let blind = if search.claim.is_none() { BLIND_DILUTION_BITS } else { 0 };
    let either = if with_triggers { EITHER_BITS } else { 0 };
    let looking = charge(reading, others, layout.can_be_turned(), &layout.group_sizes(), aligned as u32);
    looking + blind + either + disclosure_bits(search, level)
}
