//! Power: whether the suspect offers enough for its mask to show the mark, and if not, how much would.
//!
//! Implements "Verdicts" of docs/protocol.md: `no-match` says that the mark would have shown and does not, so it takes more
//! than one test that could have passed. With the key alone nobody states the dilution of the mark, nor the density of a
//! ticket whose zeros are gone: a mark of any of them has to be within reach.

use counterfoil_mark::{Log2P, Reading};

use crate::TestKind;
use crate::decisive_test::Test;
use crate::report::Needed;
use crate::search::Look;

/// Tests of one look, by what they read; `assigned zeros` only re-orders what `zeros` reads.
struct OfLook<'a> {
    zeros: Option<&'a Test>,
    ranks: Vec<&'a Test>,
}

impl OfLook<'_> {
    /// Zeros show which positions are kept. Without, any of the densities may be the right one.
    fn would_show(&self, threshold: Log2P) -> bool {
        let could = |test: &&Test| test.could_reach(threshold);
        self.zeros.as_ref().is_some_and(could) || (!self.ranks.is_empty() && self.ranks.iter().all(could))
    }
}

/// Whether, at some level, the mask would have shown the mark at every dilution that it may have.
///
/// Triggers do not count: whether the suspect was ever trained with them, nobody has stated.
pub(crate) fn mask_would_show(tests: &[Test], threshold: Log2P) -> bool {
    let looks = looks(tests);
    looks.iter().any(|(one, _)| {
        let mut of_level = looks.iter().filter(|(look, _)| look.level == one.level);
        of_level.all(|(_, tests)| tests.would_show(threshold))
    })
}

fn looks(tests: &[Test]) -> Vec<(&Look, OfLook<'_>)> {
    let mut looks: Vec<(&Look, OfLook)> = Vec::new();
    for (test, mask) in tests.iter().filter_map(|test| Some((test, test.mask.as_ref()?))) {
        let found = looks.iter().position(|(look, _)| **look == mask.look).unwrap_or_else(|| {
            looks.push((&mask.look, OfLook { zeros: None, ranks: Vec::new() }));
            looks.len() - 1
        });
        match mask.reading {
            Reading::Zeros => looks[found].1.zeros = Some(test),
            Reading::ClaimedRanks | Reading::BlindRanks(_) => looks[found].1.ranks.push(test),
            Reading::AssignedZeros => {}
        }
    }
    looks
}

/// For each level and kind that could not have shown the mark, what would have been enough: at the dilution that lacks
/// most, of the readings that fell short the one that came closest.
pub(crate) fn needed(tests: &[Test], threshold: Log2P) -> Vec<Needed> {
    let shortfall = |needed: &Needed| needed.needed.map_or(u64::MAX, |trials| trials.saturating_sub(needed.n));
    let looks = looks(tests).into_iter().map(|(_, of)| of).filter(|of| !of.would_show(threshold));
    let masks = looks.map(|of| of.zeros.into_iter().chain(of.ranks).collect::<Vec<&Test>>());
    let triggers = tests.iter().filter(|test| test.kind == TestKind::Trigger).map(|test| vec![test]);
    let mut most: Vec<Needed> = Vec::new();
    for of in masks.chain(triggers) {
        let short = of.into_iter().filter(|test| !test.could_reach(threshold));
        let Some(needed) = short.map(|test| Needed::new(test, threshold)).min_by_key(shortfall) else { continue };
        match most.iter_mut().find(|other| (other.kind, other.level) == (needed.kind, needed.level)) {
            Some(other) if shortfall(&needed) > shortfall(other) => *other = needed,
            Some(_) => {}
            None => most.push(needed),
        }
    }
    most
}
