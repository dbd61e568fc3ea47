//! The payload of a claim: an in-toto Statement v1 whose predicate is the claim, as JSON.
//!
//! in-toto attestation framework, Statement v1 (github.com/in-toto/attestation). Every field must be there, those that
//! may be empty as `null`; unknown and repeated fields are refused at every level. Fields are described in
//! docs/formats-claims.md, "Claim".

use counterfoil_ticket::{CarrierShape, Digest, ImageShape, Provenance};
use serde::{Deserialize, Deserializer, Serialize};

use crate::claim::{ClaimError, Part};
use crate::claim_rules::{FieldError, field};
use crate::hex_bytes::Hex32;
use crate::objects::{Object, from_slice, object, object_or_null, objects};
use crate::{
    ClaimBody, ClaimedCarrier, Dilution, Licensee, PanelCount, PanelId, PanelStrength, PublicKey, Stamping,
    StampingMethod, Subject, TriggerSettings,
};

/// `_type` of an in-toto Statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// `predicateType` of a claim.
pub const PREDICATE_TYPE: &str = "urn:counterfoil:claim:v1";

/// The two types of a statement, whatever else is in it: read first, so that a newer version is called that.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Types {
    #[serde(rename = "_type")]
    statement_type: String,
    predicate_type: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StatementJson {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: [Object<SubjectJson>; 1],
    predicate_type: String,
    #[serde(deserialize_with = "object")]
    predicate: PredicateJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectJson {
    name: String,
    #[serde(deserialize_with = "object")]
    digest: DigestJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestJson {
    sha256: Hex32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PredicateJson {
    key: String,
    created: String,
    tool: String,
    #[serde(deserialize_with = "object_or_null")]
    licensee: Option<LicenseeJson>,
    #[serde(deserialize_with = "objects")]
    carriers: Vec<CarrierJson>,
    #[serde(deserialize_with = "object")]
    panels: PanelsJson,
    reference_mask: Hex32,
    #[serde(deserialize_with = "present")]
    graph_fingerprint: Option<Hex32>,
    #[serde(deserialize_with = "object_or_null")]
    triggers: Option<TriggersJson>,
    #[serde(deserialize_with = "object")]
    stamping: StampingJson,
    #[serde(deserialize_with = "object")]
    initial_weights: InitialWeightsJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CarrierJson {
    name: String,
    shape: CarrierShape,
    ordinal: u32,
    kept: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PanelsJson {
    sealed: u8,
    dilution: u8,
    merkle_root: Hex32,
    #[serde(deserialize_with = "objects")]
    carried: Vec<CarriedJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CarriedJson {
    panel: u8,
    n: u64,
    hits: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LicenseeJson {
    name: String,
    positions: Hex32,
}

/// Shared with the counterfoil.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TriggersJson {
    image: ImageShape,
    classes: u32,
    public: u32,
    sealed_each: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StampingJson {
    method: MethodJson,
    moved: u64,
    #[serde(deserialize_with = "present")]
    decay: Option<f64>,
    #[serde(deserialize_with = "present")]
    factor: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum MethodJson {
    Swaps,
    KeyedFinding,
    Thinning,
}

/// A struct, not a tagged enum: serde lets unknown fields pass beside a tag without fields of its own.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InitialWeightsJson {
    source: SourceJson,
    #[serde(deserialize_with = "present")]
    checkpoint: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SourceJson {
    Random,
    PublicCheckpoint,
    Unknown,
}

/// A field that may be null but not missing, which serde does not tell apart by itself.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// The payload, in the order of the fields above and without white space.
pub(crate) fn write(body: &ClaimBody, key: &PublicKey) -> Vec<u8> {
    let carried = |s: &PanelStrength| CarriedJson { panel: s.panel.get(), n: s.n, hits: s.hits };
    let carrier =
        |c: &ClaimedCarrier| CarrierJson { name: c.name.clone(), shape: c.shape, ordinal: c.ordinal, kept: c.kept };
    let statement = StatementJson {
        statement_type: STATEMENT_TYPE.to_owned(),
        subject: [Object(SubjectJson {
            name: body.subject.name.clone(),
            digest: DigestJson { sha256: Hex32(*body.subject.digest.as_bytes()) },
        })],
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: PredicateJson {
            key: key.key_id(),
            created: body.created.clone(),
            tool: body.tool.clone(),
            licensee: body
                .licensee
                .as_ref()
                .map(|l| LicenseeJson { name: l.name.clone(), positions: Hex32(l.positions) }),
            carriers: body.carriers.iter().map(carrier).collect(),
            panels: PanelsJson {
                sealed: body.sealed_panels.get(),
                dilution: body.dilution.get(),
                merkle_root: Hex32(body.merkle_root),
                carried: body.panels.iter().map(carried).collect(),
            },
            reference_mask: Hex32(body.reference_mask),
            graph_fingerprint: body.graph_fingerprint.map(Hex32),
            triggers: body.triggers.map(TriggersJson::from),
            stamping: StampingJson {
                method: match body.stamping.method {
                    StampingMethod::Swaps => MethodJson::Swaps,
                    StampingMethod::KeyedFinding => MethodJson::KeyedFinding,
                    StampingMethod::Thinning => MethodJson::Thinning,
                },
                moved: body.stamping.moved,
                decay: body.stamping.decay,
                factor: body.stamping.factor,
            },
            initial_weights: InitialWeightsJson::from(&body.provenance),
        },
    };
    serde_json::to_vec(&statement).expect("texts and finite numbers always have a JSON form")
}

/// Reads the payload of a claim by this key. Rules beyond the form are checked by the caller.
pub(crate) fn read(payload: &[u8], key: &PublicKey) -> Result<ClaimBody, ClaimError> {
    let malformed = |source: serde_json::Error| ClaimError::Malformed { part: Part::Statement, source: source.into() };
    let types: Types = from_slice(payload).map_err(malformed)?;
    check_type(types.statement_type, STATEMENT_TYPE)?;
    check_type(types.predicate_type, PREDICATE_TYPE)?;
    let StatementJson { subject: [Object(subject)], predicate, .. } = from_slice(payload).map_err(malformed)?;

    // The claim names its key under the signature, so it cannot be signed again under another and keep its digest.
    if predicate.key != key.key_id() {
        let found = format!("'{}'", predicate.key.escape_debug());
        return Err(field("predicate.key", found, format!("'{}', the key that signed", key.key_id())).into());
    }
    let carrier = |c: CarrierJson| ClaimedCarrier { name: c.name, shape: c.shape, ordinal: c.ordinal, kept: c.kept };
    let carried = |c: CarriedJson| {
        let panel = PanelId::new(c.panel)
            .ok_or_else(|| field("predicate.panels.carried", format!("for panel {}", c.panel), "panels 0 to 4"))?;
        Ok(PanelStrength { panel, n: c.n, hits: c.hits })
    };
    Ok(ClaimBody {
        subject: Subject { name: subject.name, digest: Digest::from(subject.digest.sha256.0) },
        licensee: predicate.licensee.map(|l| Licensee { name: l.name, positions: l.positions.0 }),
        carriers: predicate.carriers.into_iter().map(carrier).collect(),
        sealed_panels: PanelCount::new(predicate.panels.sealed)
            .ok_or_else(|| field("predicate.panels.sealed", predicate.panels.sealed, "1 to 4"))?,
        dilution: Dilution::new(predicate.panels.dilution)
            .ok_or_else(|| field("predicate.panels.dilution", predicate.panels.dilution, "1, 2, 4 or 8"))?,
        merkle_root: predicate.panels.merkle_root.0,
        panels: predicate.panels.carried.into_iter().map(carried).collect::<Result<_, FieldError>>()?,
        reference_mask: predicate.reference_mask.0,
        graph_fingerprint: predicate.graph_fingerprint.map(|hash| hash.0),
        triggers: predicate.triggers.map(TriggerSettings::from),
        stamping: Stamping {
            method: match predicate.stamping.method {
                MethodJson::Swaps => StampingMethod::Swaps,
                MethodJson::KeyedFinding => StampingMethod::KeyedFinding,
                MethodJson::Thinning => StampingMethod::Thinning,
            },
            moved: predicate.stamping.moved,
            decay: predicate.stamping.decay,
            factor: predicate.stamping.factor,
        },
        provenance: predicate.initial_weights.into_provenance()?,
        created: predicate.created,
        tool: predicate.tool,
    })
}

/// Types end in a version, `/v1` or `:v1`; the same type with another version is a newer one.
fn check_type(found: String, expected: &'static str) -> Result<(), ClaimError> {
    let stem = expected.trim_end_matches(|c: char| c.is_ascii_digit());
    match found.strip_prefix(stem) {
        _ if found == expected => Ok(()),
        Some(version) if !version.is_empty() => Err(ClaimError::NewerVersion { found, expected }),
        _ => Err(ClaimError::NotAClaim { found, expected }),
    }
}

impl From<TriggerSettings> for TriggersJson {
    fn from(t: TriggerSettings) -> Self {
        Self { image: t.image, classes: t.classes, public: t.public, sealed_each: t.sealed_each }
    }
}

impl From<TriggersJson> for TriggerSettings {
    fn from(t: TriggersJson) -> Self {
        Self { image: t.image, classes: t.classes, public: t.public, sealed_each: t.sealed_each }
    }
}

impl From<&Provenance> for InitialWeightsJson {
    fn from(provenance: &Provenance) -> Self {
        let (source, checkpoint) = match provenance {
            Provenance::Random => (SourceJson::Random, None),
            Provenance::PublicCheckpoint(which) => (SourceJson::PublicCheckpoint, Some(which.clone())),
            Provenance::Unknown => (SourceJson::Unknown, None),
        };
        Self { source, checkpoint }
    }
}

impl InitialWeightsJson {
    fn into_provenance(self) -> Result<Provenance, FieldError> {
        match (self.source, self.checkpoint) {
            (SourceJson::Random, None) => Ok(Provenance::Random),
            (SourceJson::PublicCheckpoint, Some(which)) => Ok(Provenance::PublicCheckpoint(which)),
            (SourceJson::Unknown, None) => Ok(Provenance::Unknown),
            (SourceJson::PublicCheckpoint, None) => {
                Err(field("predicate.initialWeights.checkpoint", "null", "the name of the public checkpoint"))
            }
            (_, Some(_)) => {
                Err(field("predicate.initialWeights.checkpoint", "a name", "null without a public checkpoint"))
            }
        }
    }
}
