//! From suspect to report, in the order of docs/protocol.md: evidence, charges, verdict.

use std::cmp::Reverse;

use counterfoil_claim::StampingMethod;
use counterfoil_mark::{Log2P, turnover_tolerance};
use counterfoil_ticket::{Digest, ModelFile};

use crate::advice::{Available, assumptions, look_further, stronger};
use crate::decisive_test::Test;
use crate::mask_test::test_mask;
use crate::power::{mask_would_show, needed};
use crate::report::{CarrierReport, NOT_ALIGNED, REPORT_VERSION, Report, Skipped, TestKind, TestReport, Verdict};
use crate::search::Search;
use crate::trigger_test::test_triggers;
use crate::{BlackBox, Evidence, Level, Options, VerifyError};

/// Judges a suspect: its file, the answers it gives, or both.
///
/// Sealed and public evidence are tested apart, each with its own charges. A suspect that can be looked at always gets
/// a report; errors are about what was handed in: see [`VerifyError`].
pub fn verify(
    suspect: Option<&ModelFile>,
    black_box: Option<&mut dyn BlackBox>,
    evidence: &Evidence,
    options: &Options,
) -> Result<Report, VerifyError> {
    Ok(examine(suspect, black_box, evidence, options, &[Level::Public, Level::Sealed])?.report)
}

/// A report, and the tests behind it.
pub(crate) struct Examined {
    pub(crate) report: Report,
    tests: Vec<Test>,
    /// Whether tensors may stand in an order that was not tried.
    is_order_open: bool,
    /// Whether channels were looked for in another order too, and whether they were to be and could not.
    is_aligned: bool,
    is_not_aligned: bool,
}

impl Examined {
    /// Whether the mark would have shown in the masks of the sealed panels that were disclosed, taken alone, and does not.
    /// Where channels were to be aligned, that has to have worked, unless the reference is like the suspect in place.
    pub(crate) fn is_sealed_absent(&self) -> bool {
        let (threshold, sealed) = (self.report.threshold, |test: &&Test| test.level == Level::Sealed);
        let sealed: Vec<Test> = self.tests.iter().filter(sealed).cloned().collect();
        let is_in_order = self.report.reference.is_some_and(|overlap| overlap.log2_p <= threshold);
        let is_open = self.is_order_open || !is_in_order && self.is_not_aligned;
        !is_open && mask_would_show(&sealed, threshold, self.is_aligned && !is_in_order)
    }
}

/// Judges a suspect, as [`verify`] does; aligned tests, if asked for, are made at the verdict levels `to_align`.
pub(crate) fn examine(
    suspect: Option<&ModelFile>,
    black_box: Option<&mut dyn BlackBox>,
    evidence: &Evidence,
    options: &Options,
    to_align: &[Level],
) -> Result<Examined, VerifyError> {
    let available = Available { file: suspect.is_some(), black_box: black_box.is_some(), tests: options.tests };
    options.check(available.file, available.black_box)?;
    if options.align && (evidence.claim.is_none() || evidence.reference.is_none()) {
        return Err(VerifyError::NothingToAlignWith);
    }
    let threshold = options.threshold;
    let search = Search::new(evidence, options.claim_is_older)?;
    let suspect = suspect.filter(|_| options.tests.mask());
    let black_box = black_box.filter(|_| options.tests.triggers());

    let mut skipped = not_asked(available);
    if search.levels().is_empty() {
        let reason =
            "the claim is a licensee's, of which there is no public panel, and no disclosure was given".to_owned();
        skipped.push(Skipped { kind: TestKind::Mask, level: None, reason });
    }
    let mut tests = Vec::new();
    if let Some(black_box) = black_box {
        tests = test_triggers(black_box, &search, suspect.is_some(), &mut skipped)?;
    }
    let (mut reference, mut is_order_open, mut is_not_aligned) = (None, false, false);
    if let Some(file) = suspect {
        let with_triggers: Vec<Level> = tests.iter().map(|test| test.level).collect();
        let result = test_mask(file, &search, evidence.reference, options, to_align, &with_triggers)?;
        if !result.has_carriers {
            let whose = if search.claim.is_some() { "of any claimed shape" } else { "of rank 2, 3 or 4" };
            let reason = format!("the suspect has no tensor {whose}, so there was nothing to count");
            skipped.push(Skipped { kind: TestKind::Mask, level: None, reason });
        }
        if let Some(reason) = &result.not_aligned {
            let reason = format!("{NOT_ALIGNED}: {reason}");
            skipped.push(Skipped { kind: TestKind::Mask, level: None, reason });
        }
        reference = result.overlap;
        is_order_open = result.is_order_open;
        is_not_aligned = result.not_aligned.is_some();
        tests.extend(result.tests);
    }
    tests.sort_by_key(|test| (Reverse(test.level == Level::Sealed), test.kind == TestKind::Trigger));

    let is_thinned = search.claim.is_some_and(|claim| claim.stamping.method == StampingMethod::Thinning);
    let (verdict, decided_by) = judge(&tests, options, is_order_open || is_not_aligned || is_thinned);
    let level = decided_by.map(|i| tests[i].level);
    let mask = best(&tests, |test| Some(test.level) == level && test.kind == TestKind::Mask).map(|i| &tests[i]);
    let needed = if verdict == Verdict::Inconclusive { needed(&tests, threshold) } else { Vec::new() };
    let mut reports: Vec<TestReport> = tests.iter().map(TestReport::pooled).collect();
    reports.extend(tests.iter().flat_map(TestReport::single_panels));
    let report = Report {
        version: REPORT_VERSION,
        verdict,
        log2_p: decided_by.map_or(Log2P::ONE, |i| tests[i].after_charges()),
        threshold,
        key: search.key.key_id(),
        claim: evidence.claim.map(|claim| Digest::from(*claim.digest()).to_string()),
        licensee: search.claim.and_then(|claim| claim.licensee.as_ref()).map(|licensee| licensee.name.clone()),
        decided_by,
        tests: reports,
        turnover_tolerance: mask.map(|test| turnover_tolerance(test.log2_p, test.target(threshold))),
        carriers: mask
            .and_then(|t| t.mask.as_ref())
            .map_or_else(Vec::new, |count| count.carriers.iter().map(CarrierReport::new).collect()),
        assumptions: assumptions(&search, options, &tests),
        stronger: stronger(&search, available, &needed, &look_further(verdict, evidence, options, &tests)),
        needed,
        reference,
        skipped,
    };
    Ok(Examined { report, tests, is_order_open, is_aligned: options.align, is_not_aligned })
}

/// Tests that were not made for want of a suspect to make them on, or because nobody asked.
fn not_asked(available: Available) -> Vec<Skipped> {
    let skip = |kind, asked: bool, has: bool, wanting: &str| {
        let reason = if asked { wanting } else { "not asked for" };
        (!asked || !has).then(|| Skipped { kind, level: None, reason: reason.to_owned() })
    };
    let mask = skip(TestKind::Mask, available.tests.mask(), available.file, "no model file was given");
    let trigger = skip(TestKind::Trigger, available.tests.triggers(), available.black_box, "no black box was given");
    mask.into_iter().chain(trigger).collect()
}

/// docs/protocol.md, "Verdicts", and the index of the test that it rests on, the best one if on none. `is_open` says
/// that tensors or channels could be in another order, and it could not be looked for; or that the ticket was thinned,
/// so that whoever looks at it could have filled in what it lacks.
fn judge(tests: &[Test], options: &Options, is_open: bool) -> (Verdict, Option<usize>) {
    let threshold = options.threshold;
    for (level, verdict) in [(Level::Sealed, Verdict::Proven), (Level::Public, Verdict::Marked)] {
        let decides = best(tests, |test| test.level == level);
        if decides.is_some_and(|i| tests[i].after_charges() <= threshold) {
            return (verdict, decides);
        }
    }
    let missed = !is_open && mask_would_show(tests, threshold, options.align);
    (if missed { Verdict::NoMatch } else { Verdict::Inconclusive }, best(tests, |_| true))
}

/// Index of the smallest p-value after charges among these, before charges where those are equal; the first of equals.
fn best(tests: &[Test], among: impl Fn(&Test) -> bool) -> Option<usize> {
    let bits = |test: &Test| (test.after_charges().bits(), test.log2_p.bits());
    let smaller = |a: usize, b: usize| bits(&tests[b]) < bits(&tests[a]);
    (0..tests.len()).filter(|&i| among(&tests[i])).reduce(|a, b| if smaller(a, b) { b } else { a })
}
