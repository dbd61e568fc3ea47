//! The report of `verify --json`, field by field as docs/formats-report.md has it: another field is an error.

use serde::Deserialize;

/// One report.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of docs/formats-report.md")]
pub struct Report {
    pub version: u32,
    pub verdict: String,
    pub log2_p: f64,
    pub threshold: f64,
    pub key: String,
    pub claim: Option<String>,
    pub licensee: Option<String>,
    pub decided_by: Option<usize>,
    pub tests: Vec<Test>,
    pub turnover_tolerance: Option<f64>,
    pub carriers: Vec<Carrier>,
    pub needed: Vec<Needed>,
    pub reference: Option<Overlap>,
    pub skipped: Vec<Skipped>,
    pub assumptions: Vec<String>,
    pub stronger: Vec<String>,
}

impl Report {
    /// The test that decided, or the best one.
    #[track_caller]
    pub fn best(&self) -> &Test {
        &self.tests[self.decided_by.expect("a test was made")]
    }
}

/// One tally.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of docs/formats-report.md")]
pub struct Test {
    pub kind: String,
    pub level: String,
    pub panel: String,
    pub reading: Option<String>,
    pub alignment: Option<serde_json::Value>,
    pub dilution: Option<u8>,
    pub n: u64,
    pub hits: u64,
    pub q: f64,
    pub log2_p: f64,
    pub charge: u32,
    pub choice: u32,
    pub after_charges: f64,
    pub decisive: bool,
}

/// One carrier's part.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of docs/formats-report.md")]
pub struct Carrier {
    pub carrier: String,
    pub shape: [u32; 4],
    pub ordinal: u32,
    pub tensor: Option<String>,
    pub state: String,
    pub n: u64,
    pub hits: u64,
}

/// What would have been enough.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of docs/formats-report.md")]
pub struct Needed {
    pub kind: String,
    pub level: String,
    pub panel: String,
    pub reading: Option<String>,
    pub dilution: Option<u8>,
    pub n: u64,
    pub needed: Option<u64>,
}

/// Overlap with the reference mask.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of docs/formats-report.md")]
pub struct Overlap {
    pub carriers: u64,
    pub kept: u64,
    pub reference: u64,
    pub overlap: u64,
    pub expected: f64,
    pub log2_p: f64,
}

/// The report of `dispute --json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of docs/formats-report.md")]
pub struct Dispute {
    pub version: u32,
    pub outcome: String,
    pub first: Option<String>,
    pub threshold: f64,
    pub parties: [Party; 2],
    pub like: Option<String>,
    pub missing: Vec<Missing>,
    pub assumptions: Vec<String>,
    pub would_decide: Vec<String>,
}

/// One side of a dispute.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of docs/formats-report.md")]
pub struct Party {
    pub side: String,
    pub key: String,
    pub claim: String,
    pub ticket: String,
    pub created: String,
    pub finding: String,
    pub in_other: Option<Report>,
    pub in_suspect: Option<Report>,
}

/// What a side has not shown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of docs/formats-report.md")]
pub struct Missing {
    pub side: String,
    pub piece: String,
}

/// What was not tested.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of docs/formats-report.md")]
pub struct Skipped {
    pub kind: String,
    pub level: Option<String>,
    pub reason: String,
}
