//! Power: whether the suspect offers enough for its mask to show the mark, and if not, how much would.
//!
//! Implements "Verdicts" of docs/protocol.md: `no-match` says that the mark would have shown and does not, so it takes more
//! than one test that could have passed. With the key alone nobody states the dilution of the mark, nor the density of a
//! ticket whose zeros are gone: a mark of any of them has to be within reach.

use counterfoil_mark::{Log2P, Reading};

use crate::count::MaskCount;
use crate::decisive_test::Test;
use crate::report::Needed;
use crate::search::Look;
use crate::{Level, TestKind};

/// log2 p after charges from which on a suspect is no stranger: one in a million are. A mark that is there, but worn down to
/// less than the threshold, would otherwise be denied.
pub const HINT: f64 = -20.0;

/// Tests of one look, by what they read.
#[derive(Default)]
struct OfLook<'a> {
    zeros: Option<&'a Test>,
    ranks: Vec<&'a Test>,
    turned: Vec<&'a Test>,
    assigned: Option<&'a Test>,
}

impl<'a> OfLook<'a> {
    /// Zeros show which positions are kept. Without, any of the densities may be the right one. Where tensors can be in
    /// another order, the mark has to be within reach at the price of finding it.
    fn would_show(&self, threshold: Log2P) -> bool {
        let could = |test: &&Test| is_clear(test) && test.could_reach(threshold);
        let in_order =
            self.zeros.as_ref().is_some_and(could) || (!self.ranks.is_empty() && self.ranks.iter().all(could));
        let mut changed = self.turned.iter().chain(&self.assigned);
        in_order && changed.all(|test| !is_clear(test) || test.could_reach(threshold))
    }

    /// What would have been enough: more for `zeros`, or for the ranks that lack most; the smaller lack of the two. If that
    /// was enough, more for `assigned zeros`.
    fn needed(&self, threshold: Log2P) -> Option<Needed> {
        let short = |test: &&Test| (!test.could_reach(threshold)).then(|| Needed::new(test, threshold));
        let zeros = self.zeros.filter(|test| is_clear(test)).as_ref().and_then(short);
        let ranks = self.ranks.iter().filter_map(short).max_by_key(lack);
        let in_order = zeros.into_iter().chain(ranks).min_by_key(lack);
        in_order.or_else(|| self.turned.iter().chain(&self.assigned).filter_map(short).max_by_key(lack))
    }
}

fn is_clear(test: &Test) -> bool {
    test.mask.as_ref().is_some_and(MaskCount::is_clear)
}

/// Trials that are missing.
fn lack(needed: &Needed) -> u64 {
    needed.needed.map_or(u64::MAX, |trials| trials.saturating_sub(needed.n))
}

/// Whether some test says more of the mark than strangers do. What choices cost guards against a claimant who made the claim for
/// this suspect; it says nothing for the suspect.
pub(crate) fn says_something(tests: &[Test]) -> bool {
    tests.iter().any(|test| test.under_older_claim().bits() <= HINT)
}

fn is_of_alignment(test: &Test) -> bool {
    test.mask.as_ref().is_some_and(|mask| mask.alignment.is_some())
}

/// Whether an aligned test would have shown the mark: it is large enough, and alignment finds the ticket itself.
fn aligned_would_show(test: &Test, threshold: Log2P) -> bool {
    let alignment = test.mask.as_ref().and_then(|mask| mask.alignment.as_ref());
    let is_found = alignment.is_some_and(|alignment| alignment.control == Some(true));
    is_found && is_clear(test) && test.could_reach(threshold)
}

/// Whether, at some level, the mask would have shown the mark at every dilution that it may have.
///
/// Triggers do not count: whether the suspect was ever trained with them, nobody has stated. Nor can a suspect be cleared
/// that already says something of the mark.
///
/// If channels were aligned, that has to have worked as well: in place a permuted suspect shows nothing.
pub(crate) fn mask_would_show(tests: &[Test], threshold: Log2P, is_aligned: bool) -> bool {
    if says_something(tests) {
        return false;
    }
    if is_aligned {
        let of_level = |level| tests.iter().filter(move |test| test.level == level && is_of_alignment(test));
        let would_show =
            |level| of_level(level).count() > 0 && of_level(level).all(|test| aligned_would_show(test, threshold));
        return [Level::Sealed, Level::Public].into_iter().any(would_show);
    }
    let looks = looks(tests);
    looks.iter().any(|(one, _)| {
        let mut of_level = looks.iter().filter(|(look, _)| look.level == one.level);
        of_level.all(|(_, tests)| tests.would_show(threshold))
    })
}

fn looks(tests: &[Test]) -> Vec<(&Look, OfLook<'_>)> {
    let mut looks: Vec<(&Look, OfLook)> = Vec::new();
    let in_place = tests.iter().filter(|test| !is_of_alignment(test));
    for (test, mask) in in_place.filter_map(|test| Some((test, test.mask.as_ref()?))) {
        let found = looks.iter().position(|(look, _)| **look == mask.look).unwrap_or_else(|| {
            looks.push((&mask.look, OfLook::default()));
            looks.len() - 1
        });
        match mask.reading {
            Reading::Zeros => looks[found].1.zeros = Some(test),
            Reading::ClaimedRanks | Reading::BlindRanks(_) => looks[found].1.ranks.push(test),
            Reading::TurnedZeros(_) => looks[found].1.turned.push(test),
            Reading::AssignedZeros => looks[found].1.assigned = Some(test),
            Reading::AlignedZeros | Reading::AlignedRanks => {}
        }
    }
    looks
}

/// For each level and kind that could not have shown the mark, what would have been enough at the dilution that lacks most.
pub(crate) fn needed(tests: &[Test], threshold: Log2P) -> Vec<Needed> {
    let looks = looks(tests).into_iter().map(|(_, of)| of).filter(|of| !of.would_show(threshold));
    let aligned = tests.iter().filter(|test| is_of_alignment(test));
    let aligned = aligned.filter(|test| !test.could_reach(threshold)).map(|test| Needed::new(test, threshold));
    let masks = looks.filter_map(|of| of.needed(threshold)).chain(aligned);
    let triggers = tests.iter().filter(|test| test.kind == TestKind::Trigger && !test.could_reach(threshold));
    let mut most: Vec<Needed> = Vec::new();
    for needed in masks.chain(triggers.map(|test| Needed::new(test, threshold))) {
        match most.iter_mut().find(|other| (other.kind, other.level) == (needed.kind, needed.level)) {
            Some(other) if lack(&needed) > lack(other) => *other = needed,
            Some(_) => {}
            None => most.push(needed),
        }
    }
    most
}
