//! The JSON form of a report: every field of docs/formats-report.md is there, and no other.

use counterfoil_verify::Evidence;
use serde::Deserialize;
use serde_json::Value;

use crate::align_kit::{Shown, permuted, resnet20};
use crate::kit::{NETWORK, Owner, look};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportJson {
    version: u32,
    verdict: String,
    log2_p: f64,
    threshold: f64,
    key: String,
    claim: Option<String>,
    licensee: Option<String>,
    decided_by: Option<usize>,
    tests: Vec<TestJson>,
    turnover_tolerance: Option<f64>,
    carriers: Vec<CarrierJson>,
    needed: Vec<NeededJson>,
    reference: Option<OverlapJson>,
    skipped: Vec<SkippedJson>,
    assumptions: Vec<String>,
    stronger: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestJson {
    kind: String,
    level: String,
    panel: String,
    reading: Option<String>,
    alignment: Option<AlignmentJson>,
    dilution: Option<u8>,
    n: u64,
    hits: u64,
    q: f64,
    log2_p: f64,
    charge: u32,
    choice: u32,
    after_charges: f64,
    decisive: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlignmentJson {
    on: String,
    turn: Option<String>,
    similarity: f64,
    bits: u32,
    control: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CarrierJson {
    carrier: String,
    shape: [u32; 4],
    ordinal: u32,
    tensor: Option<String>,
    state: String,
    n: u64,
    hits: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NeededJson {
    kind: String,
    level: String,
    panel: String,
    n: u64,
    reading: Option<String>,
    dilution: Option<u8>,
    needed: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OverlapJson {
    carriers: u64,
    kept: u64,
    reference: u64,
    overlap: u64,
    expected: f64,
    log2_p: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkippedJson {
    kind: String,
    level: Option<String>,
    reason: String,
}

#[test]
fn a_report_reads_back_field_by_field() {
    let owner = Owner::new(70);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.3);
    let claim = owner.claim(&ticket);
    let disclosures = owner.disclose(&ticket, &claim, &[1, 2]);
    let evidence = Evidence { reference: Some(&ticket.masks), ..Evidence::claimed(&claim, &disclosures) };
    let report = look(&ticket.model(), &evidence);
    let text = serde_json::to_string(&report).unwrap();
    let json: ReportJson = serde_json::from_str(&text).unwrap();

    assert_eq!((json.version, json.verdict.as_str(), json.threshold), (1, "proven", -64.0));
    assert_eq!(json.key, owner.public.key_id());
    assert_eq!(json.claim.map(|digest| digest.len()), Some(64));
    assert_eq!(json.licensee, None);
    assert_eq!(json.decided_by, Some(0));
    assert!(json.turnover_tolerance.is_some_and(|r| r > 0.0 && r < 1.0));
    assert_eq!((json.needed.len(), json.stronger.len()), (0, 0));
    assert!(json.assumptions.len() == 3 && json.assumptions[0].contains("-64.0 bits"));

    let [sealed, public, one, two] = &json.tests[..] else { panic!("{text}") };
    assert_eq!((sealed.kind.as_str(), sealed.level.as_str(), sealed.panel.as_str()), ("mask", "sealed", "1+2"));
    assert_eq!((sealed.reading.as_deref(), sealed.dilution, sealed.q), (Some("zeros"), Some(1), 0.5));
    assert_eq!(sealed.choice, 4);
    assert_eq!((sealed.after_charges, sealed.charge), (json.log2_p, 1 + 2 + 4));
    assert!(sealed.log2_p < json.log2_p && sealed.decisive && sealed.alignment.is_none());
    assert_eq!((public.level.as_str(), public.panel.as_str(), public.decisive), ("public", "0", true));
    assert_eq!((one.n + two.n, one.hits + two.hits, one.decisive), (sealed.n, sealed.hits, false));

    let first = &json.carriers[0];
    assert_eq!((first.carrier.as_str(), first.shape, first.ordinal), ("layer1.weight", [48, 32, 3, 3], 0));
    assert_eq!((first.tensor.as_deref(), first.state.as_str()), (Some("layer1.weight"), "counted"));
    assert!(first.hits <= first.n && first.n > 0);
    let overlap = json.reference.unwrap();
    assert_eq!((overlap.carriers, overlap.kept, overlap.overlap), (6, overlap.reference, overlap.reference));
    assert!(overlap.expected > 0.0 && overlap.log2_p < 0.0);
    let skipped = &json.skipped[0];
    assert_eq!((skipped.kind.as_str(), skipped.level.as_deref()), ("trigger", None));
    assert_eq!(skipped.reason, "no black box was given");
}

#[test]
fn an_aligned_test_says_how_it_was_aligned() {
    let net = resnet20(8);
    let shown = Shown::new(&net, 73, 0.1, 0.5, &[1, 2]);
    let report = shown.align(&permuted(&shown.ticket.model(), &net, 1), true);
    let json: ReportJson = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(json.verdict, "proven");
    let test = &json.tests[json.decided_by.unwrap()];
    let alignment = test.alignment.as_ref().unwrap();
    assert_eq!(
        (alignment.on.as_str(), alignment.turn.as_deref(), alignment.bits, alignment.control),
        ("0", None, 0, None)
    );
    assert!(alignment.similarity > 0.5 && alignment.similarity <= 1.0);
}

#[test]
fn an_inconclusive_report_says_what_was_needed() {
    let owner = Owner::new(71);
    let report = look(&owner.stamp(&[("w", &[20, 20])], 0.1, 0.0).model(), &Evidence::key_alone(&owner.public));
    let json: ReportJson = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(json.verdict, "inconclusive");
    let needed = &json.needed[0];
    assert_eq!((needed.kind.as_str(), needed.level.as_str(), needed.panel.as_str()), ("mask", "public", "0"));
    assert_eq!((needed.reading.as_deref(), needed.dilution), (Some("zeros"), Some(8)));
    assert!(needed.n < 40);
    assert_eq!(needed.needed, Some(163));
}

#[test]
fn fields_without_a_value_are_null_and_not_left_out() {
    let owner = Owner::new(72);
    let report = look(&owner.stamp(&NETWORK, 0.1, 0.3).model(), &Evidence::key_alone(&owner.public));
    let json: Value = serde_json::to_value(&report).unwrap();
    assert_eq!(json["verdict"], "marked");
    for field in ["claim", "licensee", "reference"] {
        assert_eq!(json.get(field), Some(&Value::Null), "{field}");
    }
}
