//! What a verdict rests on beside arithmetic, and what would make it firmer, in words that a report can carry.

use counterfoil_claim::StampingMethod;

use crate::decisive_test::Test;
use crate::report::Needed;
use crate::search::Search;
use crate::{Evidence, Level, Options, TestKind, Tests, Verdict};

/// What was there to test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Available {
    pub(crate) file: bool,
    pub(crate) black_box: bool,
    pub(crate) tests: Tests,
}

/// Assumptions of the tests made at these levels.
pub(crate) fn assumptions(search: &Search, options: &Options, tests: &[Test]) -> Vec<String> {
    let threshold = options.threshold;
    let mut assumptions = vec![format!(
        "a claimant who tried 2^k keys or seeds gains k bits; the threshold of {threshold} bits has to cover them"
    )];
    let is_aligned = tests.iter().any(|test| test.mask.as_ref().is_some_and(|mask| mask.alignment.is_some()));
    if is_aligned && search.claim.is_some_and(|claim| claim.stamping.method != StampingMethod::Swaps) {
        assumptions.push(
            "what the reference keeps at the positions aligned on does not tell the chips that are tested: its mask was \
             made with all chips in force, and similarities leave out how much a channel keeps"
                .to_owned(),
        );
    }
    assumptions.push(
        match search.claim {
            None => "the key was fixed before the suspect was made public",
            Some(_) if options.claim_is_older => {
                "the verifier has established that the claim was fixed before the suspect existed: nothing in it was chosen \
                 for this suspect"
            }
            Some(_) => {
                "nobody has established that the claim is older than the suspect: what it could have chosen to fit is paid for"
            }
        }
        .to_owned(),
    );
    if search.claim.is_some_and(|claim| claim.stamping.method == StampingMethod::Thinning) {
        assumptions.push(
            "the ticket was thinned: whoever looks at it sees what was dropped, and can fill it; that the mark is not there \
             clears nobody"
                .to_owned(),
        );
    }
    if search.levels().contains(&Level::Public) {
        assumptions.push(
            "panel 0 follows from the public key: whoever knows the key can imitate its mark, or aim at it".to_owned(),
        );
    }
    if search.claim.is_some_and(|claim| claim.licensee.is_some()) {
        assumptions.push(
            "a licensee's copy is made by the owner, who could have passed it on himself: it tells which copy the suspect comes \
             from, not whose fault that is"
                .to_owned(),
        );
    }
    if tests.iter().any(|test| test.kind == TestKind::Trigger) {
        assumptions
            .push("the network that was asked answers as the suspect does, and was not told the labels".to_owned());
    }
    assumptions
}

/// Where permuted channels have not been looked for, or what could have been chosen costs too much, what would help.
pub(crate) fn look_further(verdict: Verdict, evidence: &Evidence, options: &Options, tests: &[Test]) -> Vec<String> {
    if matches!(verdict, Verdict::Proven | Verdict::Marked) || evidence.claim.is_none() || !options.tests.mask() {
        return Vec::new();
    }
    let is_short_of_choice = |test: &&Test| test.under_older_claim() <= options.threshold;
    if let Some(bits) = tests.iter().find(is_short_of_choice).map(|test| test.choice) {
        return vec![format!(
            "that the claim was fixed before the suspect existed, by a witnessed digest for instance: a test then costs {bits} \
             bits less, and reaches the threshold"
        )];
    }
    if !options.align {
        let what = if evidence.reference.is_some() { "a look" } else { "the owner's reference mask, for a look" };
        return vec![format!("{what} under permuted channels")];
    }
    Vec::new()
}

/// What would make the evidence stronger; `further` are phrases about alignment.
pub(crate) fn stronger(search: &Search, available: Available, needed: &[Needed], further: &[String]) -> Vec<String> {
    let mut stronger = further.to_vec();
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
