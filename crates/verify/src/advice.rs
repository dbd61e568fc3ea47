//! What a verdict rests on beside arithmetic, and what would make it firmer, in words that a report can carry.

use counterfoil_mark::Log2P;

use crate::report::Needed;
use crate::search::Search;
use crate::{Level, TestKind, Tests};

/// What was there to test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Available {
    pub(crate) file: bool,
    pub(crate) black_box: bool,
    pub(crate) tests: Tests,
}

/// Assumptions of the tests made at these levels.
pub(crate) fn assumptions(search: &Search, available: Available, threshold: Log2P) -> Vec<String> {
    let mut assumptions = vec![format!(
        "a claimant who tried 2^k keys or seeds gains k bits; the threshold of {threshold} bits has to cover them"
    )];
    if search.claim.is_some() {
        assumptions.push("the claim and its seeds were fixed before the suspect was made public".to_owned());
    } else {
        assumptions.push("the key was fixed before the suspect was made public".to_owned());
    }
    assumptions.push(
        "panel 0 follows from the public key: whoever knows the key can imitate its mark, or aim at it".to_owned(),
    );
    if available.black_box && available.tests.triggers() {
        assumptions.push("the black box answers as the suspect does, and was not told the labels".to_owned());
    }
    assumptions
}

/// What would make the evidence stronger.
pub(crate) fn stronger(search: &Search, available: Available, needed: &[Needed]) -> Vec<String> {
    let mut stronger = Vec::new();
    match search.claim {
        None => stronger.push("a claim signed by this key and a disclosure of a sealed panel".to_owned()),
        Some(claim) => {
            let disclosed: Vec<_> = search.panels(Level::Sealed).map(|(panel, _)| panel).collect();
            let sealed: Vec<String> =
                claim.sealed_panels.sealed().filter(|p| !disclosed.contains(p)).map(|p| p.to_string()).collect();
            if !sealed.is_empty() {
                stronger.push(format!("a disclosure of each of these sealed panels: {}", sealed.join(", ")));
            }
        }
    }
    if !(available.file && available.tests.mask()) {
        stronger.push("the suspect's weights, for the mask test".to_owned());
    }
    let has_triggers = search.claim.is_none_or(|claim| claim.triggers.is_some());
    if has_triggers && !(available.black_box && available.tests.triggers()) {
        stronger.push("access to the suspect as a black box, for the trigger test".to_owned());
    }
    stronger.extend(needed.iter().filter_map(|Needed { kind, panel, dilution, n, needed, .. }| {
        let more = needed.as_ref()?.saturating_sub(*n);
        Some(match (kind, dilution.filter(|d| *d > 1)) {
            (TestKind::Trigger, _) => format!("about {more} more triggers of panel {panel}"),
            (TestKind::Mask, None) => format!("a suspect that keeps about {more} more positions of panel {panel}"),
            (TestKind::Mask, Some(d)) => {
                format!(
                    "a suspect that keeps about {more} more of the active positions of panel {panel}, 1 in {d} of all"
                )
            }
        })
    }));
    stronger
}
