//! A verifier's report in words: the verdict first, what it means and what it does not, then what it rests on.

use std::fmt::Write;
use std::path::Path;

use counterfoil_claim::VerifiedClaim;
use counterfoil_verify::{AlignmentReport, CarrierState, HINT, Level, Report, TestKind, TestReport, Verdict};

use crate::output::{Align, Table, count, escaped, percent, wrapped};

/// Fewer carriers than this without a counted position are named one by one.
const FEW: usize = 4;

/// The report for people.
pub(crate) fn in_words(model: &Path, report: &Report, claim: Option<&VerifiedClaim>) -> String {
    let (means, means_not) = meaning(report);
    let parts = [
        format!("{}: {}\n", model.display(), headline(report)),
        wrapped("  It means: ", &means) + &wrapped("  It does not mean: ", means_not),
        claim.map_or(String::new(), |claim| {
            let (subject, created) = (&claim.body().subject.name, &claim.body().created);
            let copy =
                claim.body().licensee.as_ref().map_or(String::new(), |to| format!(", the copy of '{}'", to.name));
            format!("Claim: '{subject}'{copy}, stamped {created} by the owner's account; its signature fits.\n")
        }),
        if report.tests.is_empty() { String::new() } else { table(report) },
        remarks(report),
        list("Assumed", &report.assumptions),
        list("Would make it stronger", &report.stronger),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// What is left of the mark, where it is damaged, and what was not tested.
fn remarks(report: &Report) -> String {
    let mut text = String::new();
    if let Some(tolerance) = report.turnover_tolerance.filter(|tolerance| *tolerance > 0.0) {
        let more = percent(tolerance);
        text += &format!("The mark would survive another {more} of the kept positions being moved at random.\n");
    }
    if let Some(overlap) = &report.reference {
        let [kept, expected] = [overlap.overlap, overlap.expected.round() as u64].map(count);
        text += &format!(
            "Of the reference mask's positions it keeps {kept}, where chance would give {expected}: corroboration only.\n"
        );
    }
    text += &alignment(report);
    text += &damage(report);
    for skipped in &report.skipped {
        let level = skipped.level.map_or(String::new(), |level| format!("{} ", level_name(level)));
        text += &format!("Not tested: {level}{}, since {}.\n", kind_name(skipped.kind), skipped.reason);
    }
    text
}

/// How channels were aligned for the test that decided.
fn alignment(report: &Report) -> String {
    let decided = report.decided_by.and_then(|i| report.tests.get(i));
    let Some(alignment) = decided.and_then(|test| test.alignment.as_ref()) else { return String::new() };
    let AlignmentReport { on, turn, similarity, .. } = alignment;
    let turned = turn.map_or(String::new(), |turn| format!(" and {turn} kernels"));
    let of = if on == "none" { "no panel".to_owned() } else { format!("panel {on} alone") };
    format!(
        "The mark was read after the model's channels{turned} were aligned with the reference mask, at the positions of \
         {of} (similarity {similarity:.2}).\n"
    )
}

fn headline(report: &Report) -> String {
    let (p, threshold) = (report.log2_p, report.threshold);
    let verdict = match report.verdict {
        Verdict::Proven => "PROVEN",
        Verdict::Marked => "MARKED",
        Verdict::Inconclusive => "INCONCLUSIVE",
        Verdict::NoMatch => "NO MATCH",
    };
    let key = report.key.get(..16).unwrap_or(&report.key);
    format!("{verdict} for key {key}… (log2 p = {p}, threshold {threshold})")
}

/// What the verdict means, and what it does not.
fn meaning(report: &Report) -> (String, &'static str) {
    let chance = format!(
        "A model that has nothing to do with the key agrees this well with a chance of at most 2^{}.",
        report.log2_p
    );
    if let (Verdict::Proven, Some(name)) = (report.verdict, &report.licensee) {
        return (
            format!("the model comes from the copy that the owner of this key had made for '{name}'. {chance}"),
            "that this licensee passed it on: the owner has the copy too, and a licensee's may have been stolen.",
        );
    }
    match report.verdict {
        Verdict::Proven => (
            format!("the model carries a mark that the owner of this key had sealed under a signed claim. {chance}"),
            "that its holder has no licence, or that nobody else had a part in it.",
        ),
        Verdict::Marked => (
            format!("the model carries the public mark of this key. {chance}"),
            "that the key's owner put it there: whoever knows the public key could have. A claim and a disclosure tell.",
        ),
        Verdict::Inconclusive if report.tests.iter().any(|test| fails_for_its_choice(test, report)) => (
            "the model agrees with this key once its channels are aligned with the reference mask. But that mask may have been \
             written to fit the model, as long as it is not known which of the two is older."
                .to_owned(),
            "that the model is unrelated to the key, nor that it is not.",
        ),
        Verdict::Inconclusive if report.log2_p.bits() <= HINT => (
            "the model agrees with this key more than a stranger would, and less than a verdict takes: the mark may be \
             worn down."
                .to_owned(),
            "that the model is unrelated to the key, nor that it is not.",
        ),
        Verdict::Inconclusive if report.tests.iter().all(|test| test.kind == TestKind::Trigger || test.n == 0) => (
            "no mask was tested, and answers to triggers, if there are any, do not show the mark. They need not: a model \
             can be trained without its triggers, or lose them."
                .to_owned(),
            "that the model is unrelated to the key, nor that it is not.",
        ),
        Verdict::Inconclusive if report.needed.is_empty() => (
            "the mark does not show where it was looked for, and that clears nobody: see what is assumed, and what \
             would be stronger."
                .to_owned(),
            "that the model is unrelated to the key, nor that it is not.",
        ),
        Verdict::Inconclusive => (
            "too little is left to look at: the mark could be all there and yet miss the threshold.".to_owned(),
            "that the model is unrelated to the key, nor that it is not.",
        ),
        Verdict::NoMatch => (
            match &report.licensee {
                Some(name) => format!("the mark of the copy for '{name}' would have shown, and it does not."),
                None => "the mark of this key would have shown, and it does not.".to_owned(),
            },
            if report.tests.iter().any(|test| test.alignment.is_some()) {
                "that the model was never related to the key: enough retraining removes the mark."
            } else {
                "that the model was never related to the key: enough retraining, or shuffled channels, remove the mark."
            },
        ),
    }
}

/// Whether an aligned test would have reached the threshold under a claim that is known to be older.
fn fails_for_its_choice(test: &TestReport, report: &Report) -> bool {
    let is_chosen = test.alignment.is_some() && test.choice > 0;
    is_chosen && test.decisive && test.log2_p.charged(test.charge - test.choice) <= report.threshold
}

/// The best test of each level and kind, with its panels one by one below it.
fn table(report: &Report) -> String {
    let mut table = Table::new([("", Align::Left)].into_iter().chain(TEST_COLUMNS));
    let row = |mark: &str, test| std::iter::once(mark.to_owned()).chain(cells(test));
    for level in [Level::Sealed, Level::Public] {
        for kind in [TestKind::Mask, TestKind::Trigger] {
            let same = |test: &&TestReport| test.level == level && test.kind == kind;
            let Some(best) = best(report, same) else { continue };
            let decided = report.decided_by.and_then(|i| report.tests.get(i)) == Some(best);
            table.row(row(if decided { "*" } else { "" }, best));
            let parts = report.tests.iter().filter(same).filter(|test| !test.decisive);
            let is_part = |part: &&TestReport| {
                (&part.reading, part.dilution, &part.alignment) == (&best.reading, best.dilution, &best.alignment)
            };
            for part in parts.filter(is_part) {
                table.row(row("", part));
            }
        }
    }
    format!(
        "{table}* {}; charged: bits paid for all ways of looking and choosing\n",
        match report.verdict {
            Verdict::Proven | Verdict::Marked => "decides",
            Verdict::NoMatch | Verdict::Inconclusive => "comes closest",
        }
    )
}

/// The strongest of the decisive tests among these: after charges, then before them, as the report's own choice.
pub(crate) fn best(report: &Report, among: impl Fn(&&TestReport) -> bool) -> Option<&TestReport> {
    let bits = |test: &TestReport| (test.after_charges.bits(), test.log2_p.bits());
    let tests = report.tests.iter().filter(among).filter(|test| test.decisive);
    tests.min_by(|a, b| bits(a).partial_cmp(&bits(b)).expect("log2 p is finite"))
}

/// What a table says of a test.
pub(crate) const TEST_COLUMNS: [(&str, Align); 9] = [
    ("test", Align::Left),
    ("panel", Align::Left),
    ("read by", Align::Left),
    ("n", Align::Right),
    ("hits", Align::Right),
    ("by chance", Align::Right),
    ("log2 p", Align::Right),
    ("charged", Align::Right),
    ("result", Align::Right),
];

/// One for each of [`TEST_COLUMNS`].
pub(crate) fn cells(test: &TestReport) -> [String; TEST_COLUMNS.len()] {
    let level = level_name(test.level);
    let share = test.n as f64 * test.q;
    let whole = |text: String| if test.decisive { text } else { String::new() };
    [
        whole(format!("{} {}", level, kind_name(test.kind))),
        if test.decisive { test.panel.clone() } else { format!("  {}", test.panel) },
        whole(reading_name(test)),
        count(test.n),
        count(test.hits),
        format!("{share:.1}"),
        test.log2_p.to_string(),
        whole(format!("+{}", test.charge)),
        whole(test.after_charges.to_string()),
    ]
}

/// By what a test counts.
fn reading_name(test: &TestReport) -> String {
    match (&test.reading, test.dilution) {
        (Some(reading), Some(1) | None) => reading.clone(),
        (Some(reading), Some(dilution)) => format!("{reading}, 1 in {dilution}"),
        (None, _) => "answers".to_owned(),
    }
}

/// Carriers that could not be counted.
fn damage(report: &Report) -> String {
    let mut text = String::new();
    for (state, what) in [
        (CarrierState::Missing, "have no tensor in this model"),
        (CarrierState::LeftOut, "have no zeros, and were left out"),
    ] {
        let names: Vec<&str> =
            report.carriers.iter().filter(|c| c.state == state).map(|carrier| carrier.carrier.as_str()).collect();
        if names.is_empty() {
            continue;
        }
        let listed = if names.len() < FEW { format!(": {}", names.join(", ")) } else { String::new() };
        let _ = writeln!(text, "{} of {} layers {what}{}.", names.len(), report.carriers.len(), escaped(&listed));
    }
    text
}

pub(crate) fn list(title: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let items: Vec<String> = items.iter().map(|item| format!("  - {item}\n")).collect();
    format!("{title}:\n{}", items.concat())
}

fn kind_name(kind: TestKind) -> &'static str {
    match kind {
        TestKind::Mask => "mask",
        TestKind::Trigger => "triggers",
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Sealed => "sealed",
        Level::Public => "public",
    }
}
