//! Reports: what was tested, what it showed, and what it rests on. Data only; printing is elsewhere.
//!
//! The JSON form is a documented format, docs/formats-report.md: every field is always there, those without a value are
//! null. Nothing in it depends on a clock, a path or a thread.

use counterfoil_claim::PanelId;
use counterfoil_mark::{Log2P, Reading};
use counterfoil_ticket::CarrierShape;
use serde::Serialize;

use crate::count::CarrierCount;
use crate::decisive_test::Test;
use crate::{Level, Overlap};

/// Version of the JSON form.
pub const REPORT_VERSION: u32 = 1;

/// How sure one may be (docs/protocol.md, "Verdicts").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Sealed panels that a claim by this key had committed to reach the threshold.
    Proven,
    /// The public panel does, which the key's owner need not have put there.
    Marked,
    /// Nothing does, and the mask would not have shown it in any case. Triggers that are missed say nothing: see
    /// docs/protocol.md.
    Inconclusive,
    /// Nothing does, though the mask would have shown it.
    NoMatch,
}

impl Verdict {
    /// As machines read it, in the JSON form too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Marked => "marked",
            Self::Inconclusive => "inconclusive",
            Self::NoMatch => "no-match",
        }
    }
}

/// Which evidence a test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TestKind {
    /// Kept positions and their chips, q = 1/2.
    Mask,
    /// Answers to trigger images and their labels, q = 1/C.
    Trigger,
}

/// The outcome of one verification.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// The verdict.
    pub verdict: Verdict,
    /// log2 p after charges of the test that decided; of the best one if none did; 0 if none was made.
    pub log2_p: Log2P,
    /// θ: what log2 p had to reach.
    pub threshold: Log2P,
    /// Id of the public key: SHA-256 of its SPKI form, hexadecimal.
    pub key: String,
    /// SHA-256 of the claim's payload, hexadecimal, if there was a claim.
    pub claim: Option<String>,
    /// Whose copy the claim is about, if a licensee's: its name as the owner states it.
    pub licensee: Option<String>,
    /// Index in `tests` of the test that decided, or of the best one.
    pub decided_by: Option<usize>,
    /// All tests made, sealed before public, mask before triggers; then single panels, for information.
    pub tests: Vec<TestReport>,
    /// r*, 0 to 1, of the deciding level's best mask test: the share of its kept positions that could still be moved at
    /// random before it drops below the threshold. 0 if it is below.
    pub turnover_tolerance: Option<f64>,
    /// That mask test, carrier by carrier in the ticket's order: shows where damage is.
    pub carriers: Vec<CarrierReport>,
    /// If inconclusive, what would have been enough where it was too little.
    pub needed: Vec<Needed>,
    /// Overlap with the reference mask, if that was shown. Corroboration only.
    pub reference: Option<Overlap>,
    /// What was not tested, and why.
    pub skipped: Vec<Skipped>,
    /// What the verdict rests on beside arithmetic; one sentence each.
    pub assumptions: Vec<String>,
    /// What would make the evidence stronger; one phrase each.
    pub stronger: Vec<String>,
}

/// One tally and its p-value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestReport {
    /// Mask or triggers.
    pub kind: TestKind,
    /// What it can lead to.
    pub level: Level,
    /// Panels, pooled: "0", "1", "1+2".
    pub panel: String,
    /// How kept positions were read: "zeros", "ranks" (at the claimed densities), "ranks 0.05" (at this density),
    /// "mirrored zeros" and six other turns, "assigned zeros", "aligned zeros", "aligned ranks"; null for triggers.
    pub reading: Option<String>,
    /// How the suspect's channels were aligned, for aligned readings.
    pub alignment: Option<AlignmentReport>,
    /// Dilution D of the chips; null for triggers.
    pub dilution: Option<u8>,
    /// Kept active positions, or queries.
    pub n: u64,
    /// Those with chip +1, or right answers.
    pub hits: u64,
    /// Chance of a hit under the null: 1/2, or 1 / number of classes.
    pub q: f64,
    /// log2 of P[Bin(n, q) ≥ hits], before charges, never below the truth.
    pub log2_p: Log2P,
    /// Bits to pay for all ways of looking, and for choices.
    pub charge: u32,
    /// Those of them that pay for what a claimant could have chosen who had the suspect at hand; 0 if the claim is older.
    pub choice: u32,
    /// `log2_p` + `charge`, at most 0: what is compared with the threshold.
    pub after_charges: Log2P,
    /// Whether the verdict may rest on it. A single panel that is pooled with others is shown for information.
    pub decisive: bool,
}

/// How channels were aligned before a test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlignmentReport {
    /// Panels at whose positions the reference mask was looked at; none of them is tested.
    pub on: String,
    /// Turn of all kernels, if the suspect was more like the reference under one.
    pub turn: Option<&'static str>,
    /// How alike suspect and reference are at these positions, about 0 for strangers and 1 for equals.
    pub similarity: f64,
    /// Bits of the choice that pay for this alignment; 0 if the claim is older than the suspect.
    pub bits: u32,
    /// Whether alignment finds the channels of the reference mask itself, permuted and cut down to as much as the suspect
    /// keeps; null where the verdict did not hang on it.
    pub control: Option<bool>,
}

/// What became of a carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CarrierState {
    /// It was counted.
    Counted,
    /// The reading leaves it out: no position is zero, or it was claimed dense.
    LeftOut,
    /// The suspect has no tensor for it.
    Missing,
}

/// One carrier's part in a mask test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CarrierReport {
    /// Name in the claim; in the suspect, with the key alone.
    pub carrier: String,
    /// Shape: out, in, height, width.
    pub shape: CarrierShape,
    /// Ordinal among the carriers of this shape.
    pub ordinal: u32,
    /// The suspect's tensor that stands for it.
    pub tensor: Option<String>,
    /// What became of it.
    pub state: CarrierState,
    /// Kept active positions.
    pub n: u64,
    /// Those with chip +1.
    pub hits: u64,
}

/// What an inconclusive test would have needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Needed {
    /// Mask or triggers.
    pub kind: TestKind,
    /// What it could have led to.
    pub level: Level,
    /// Panels, pooled.
    pub panel: String,
    /// How kept positions were read, as in a test; null for triggers.
    pub reading: Option<String>,
    /// Dilution D of the chips; null for triggers.
    pub dilution: Option<u8>,
    /// Trials that there were.
    pub n: u64,
    /// About how many would have been enough: all hits or, under a claim, hits in the share that it states. Null if no
    /// number would.
    pub needed: Option<u64>,
}

/// How the reason begins for which channels were not aligned though it was asked for.
pub(crate) const NOT_ALIGNED: &str = "channels were not aligned";

/// A test that was not made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Mask or triggers.
    pub kind: TestKind,
    /// Level, null for all.
    pub level: Option<Level>,
    /// Why, one sentence.
    pub reason: String,
}

impl Skipped {
    /// Whether it is that channels could not be aligned.
    pub fn is_of_alignment(&self) -> bool {
        self.reason.starts_with(NOT_ALIGNED)
    }
}

impl TestReport {
    /// A test as a whole.
    pub(crate) fn pooled(test: &Test) -> Self {
        let (tally, mask) = (test.pooled(), test.mask.as_ref());
        Self {
            kind: test.kind,
            level: test.level,
            panel: panel_names(test),
            reading: mask.map(|count| reading_name(count.reading)),
            alignment: mask.and_then(|count| count.alignment.clone()),
            dilution: mask.map(|count| count.look.dilution.get()),
            n: tally.n(),
            hits: tally.hits(),
            q: 1.0 / f64::from(test.chance.c()),
            log2_p: test.log2_p,
            charge: test.charge,
            choice: test.choice,
            after_charges: test.after_charges(),
            decisive: true,
        }
    }

    /// Its panels one by one, for information, if there are several.
    pub(crate) fn single_panels(test: &Test) -> Vec<Self> {
        let single = |&panel: &(_, _)| Self { decisive: false, ..Self::pooled(&test.only(panel)) };
        if test.panels.len() > 1 { test.panels.iter().map(single).collect() } else { Vec::new() }
    }
}

impl CarrierReport {
    pub(crate) fn new(count: &CarrierCount) -> Self {
        let pooled = count.pooled();
        Self {
            carrier: count.carrier.name.clone(),
            shape: count.carrier.shape,
            ordinal: count.carrier.ordinal,
            tensor: count.tensor.clone(),
            state: count.state,
            n: pooled.n(),
            hits: pooled.hits(),
        }
    }
}

impl Needed {
    pub(crate) fn new(test: &Test, threshold: Log2P) -> Self {
        let TestReport { kind, level, panel, reading, dilution, n, .. } = TestReport::pooled(test);
        Self { kind, level, panel, reading, dilution, n, needed: test.trials_needed(threshold) }
    }
}

fn panel_names(test: &Test) -> String {
    join(test.panels.iter().map(|(panel, _)| panel))
}

/// Panels as a report names them together.
pub(crate) fn join<'a>(panels: impl Iterator<Item = &'a PanelId>) -> String {
    panels.map(PanelId::to_string).collect::<Vec<_>>().join("+")
}

fn reading_name(reading: Reading) -> String {
    match reading {
        Reading::Zeros => "zeros".to_owned(),
        Reading::ClaimedRanks => "ranks".to_owned(),
        Reading::BlindRanks(density) => format!("ranks {}", density.share()),
        Reading::TurnedZeros(turn) => format!("{} zeros", turn.name()),
        Reading::AssignedZeros => "assigned zeros".to_owned(),
        Reading::AlignedZeros => "aligned zeros".to_owned(),
        Reading::AlignedRanks => "aligned ranks".to_owned(),
    }
}
