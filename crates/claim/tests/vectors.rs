//! The crate against fixtures/protocol/claim-vectors.json and fixtures/claims/, which
//! fixtures/protocol/make_claim_vectors.py works out from docs/protocol.md without this code.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use counterfoil_claim::{
    ClaimBody, ClaimError, ClaimedCarrier, Counterfoil, Dilution, DisclosureError, KeyError, Marked, MasterSeed,
    OwnerKey, PanelCount, PanelId, PanelStrength, PublicKey, Stamping, StampingMethod, Subject, TriggerSettings,
    VerifiedClaim, merkle_root, pae, reference_mask_commitment, sign,
};
use counterfoil_ticket::{Carrier, CarrierShape, Digest, ImageShape, Mask, Provenance};
use proptest::prelude::*;
use serde_json::Value;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

struct Vectors(Value);

impl Vectors {
    fn read() -> Self {
        let text = std::fs::read(fixtures().join("protocol/claim-vectors.json")).unwrap();
        Self(serde_json::from_slice(&text).unwrap())
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }

    fn bytes(&self, name: &str) -> [u8; 32] {
        bytes32(&self.0[name])
    }

    fn owner(&self) -> OwnerKey {
        OwnerKey::from_seed(&self.bytes("privateSeed"))
    }

    fn master(&self) -> MasterSeed {
        self.owner().master_seed(&self.bytes("context"))
    }

    fn claim(&self) -> VerifiedClaim {
        VerifiedClaim::verify(self.text("envelope").as_bytes(), &self.owner().public()).unwrap()
    }

    fn reference(&self) -> Vec<(Carrier, Mask)> {
        let carrier = |entry: &Value| {
            let shape: CarrierShape = serde_json::from_value(entry["shape"].clone()).unwrap();
            let bits = hex::decode(entry["maskBits"].as_str().unwrap()).unwrap();
            let ordinal = u32::try_from(entry["ordinal"].as_u64().unwrap()).unwrap();
            let carrier = Carrier { name: entry["name"].as_str().unwrap().to_owned(), shape, ordinal };
            (carrier, Mask::from_bytes(shape.size(), &bits).unwrap())
        };
        self.0["reference"].as_array().unwrap().iter().map(carrier).collect()
    }
}

fn bytes32(value: &Value) -> [u8; 32] {
    hex::decode(value.as_str().unwrap()).unwrap().try_into().unwrap()
}

/// The body that the script's `statement()` states.
fn body() -> ClaimBody {
    let carrier = |name: &str, shape: [u32; 4], ordinal, kept| ClaimedCarrier {
        name: name.to_owned(),
        shape: shape.into(),
        ordinal,
        kept,
    };
    let strength = |panel, n, hits| PanelStrength { panel: PanelId::new(panel).unwrap(), n, hits };
    let sha256 = |text: &str| -> [u8; 32] { <sha2::Sha256 as sha2::Digest>::digest(text).into() };
    let vectors = Vectors::read();
    ClaimBody {
        subject: Subject { name: "stamped.safetensors".into(), digest: Digest::from(sha256("a ticket")) },
        licensee: None,
        carriers: vec![
            carrier("fc.weight", [5, 7, 1, 1], 0, 12),
            carrier("layer2.conv.weight", [4, 3, 3, 3], 0, 36),
            carrier("layer10.conv.weight", [4, 3, 3, 3], 2, 36),
        ],
        sealed_panels: PanelCount::new(2).unwrap(),
        dilution: Dilution::new(1).unwrap(),
        merkle_root: bytes32(&vectors.0["merkle"]["root"]),
        panels: vec![strength(0, 40, 31), strength(1, 22, 15), strength(2, 20, 16)],
        reference_mask: vectors.bytes("referenceMask"),
        graph_fingerprint: Some(sha256("a graph")),
        triggers: Some(TriggerSettings {
            image: ImageShape { channels: 3, height: 32, width: 32 },
            classes: 10,
            public: 64,
            sealed_each: 32,
        }),
        stamping: Stamping { method: StampingMethod::Swaps, moved: 7, decay: Some(0.003), factor: None },
        provenance: Provenance::PublicCheckpoint("torchvision resnet18 IMAGENET1K_V1".into()),
        created: "2025-01-02T03:04:05Z".into(),
        tool: "counterfoil 0.1.0".into(),
    }
}

#[test]
fn keys_and_seeds_are_the_vectors() {
    let vectors = Vectors::read();
    let owner = vectors.owner();
    assert_eq!(owner.public().bytes(), &vectors.bytes("publicKey"));
    assert_eq!(owner.public().key_id(), vectors.text("keyId"));
    assert_eq!(*owner.to_pem(None), vectors.text("privatePem"));
    assert_eq!(owner.public().to_pem(), vectors.text("publicPem"));
    let master = vectors.master();
    assert_eq!(master.as_bytes(), &vectors.bytes("master"));
    assert_eq!(owner.public().public_seed().as_bytes(), &bytes32(&vectors.0["seeds"][0]));
    for i in 1..=4 {
        let seed = master.panel(PanelId::sealed(i).unwrap(), &Marked::of_claim(&body()));
        assert_eq!(seed.as_bytes(), &bytes32(&vectors.0["seeds"][usize::from(i)]), "panel {i}");
    }
}

#[test]
fn commitments_are_the_vectors() {
    let vectors = Vectors::read();
    let master = vectors.master();
    assert_eq!(*master.blinding(), vectors.bytes("blinding"));
    assert_eq!(reference_mask_commitment(&master, &vectors.reference()), vectors.bytes("referenceMask"));
    assert_eq!(merkle_root(&master), bytes32(&vectors.0["merkle"]["root"]));
}

#[test]
fn the_claim_is_the_vector_both_ways() {
    let vectors = Vectors::read();
    assert_eq!(sign(&body(), &vectors.owner()).unwrap(), vectors.text("envelope"));
    assert_eq!(vectors.claim().body(), &body());
    assert_eq!(vectors.claim().digest(), &vectors.bytes("claimDigest"));
    assert_eq!(hex::encode(pae(vectors.text("envelope").as_bytes()).unwrap()), vectors.text("pae"));
}

#[test]
fn disclosures_are_the_vectors_for_every_number_of_panels() {
    let vectors = Vectors::read();
    let foil = Counterfoil::build(&vectors.claim(), vectors.master(), None, vectors.reference()).unwrap();
    for (i, disclosure) in (1..=2).zip(vectors.0["disclosures"].as_array().unwrap()) {
        assert_eq!(foil.disclose(PanelId::new(i).unwrap()).unwrap(), disclosure.as_str().unwrap());
    }
    for p in 1..=4 {
        let sealed = PanelCount::new(p).unwrap();
        let claimed = ClaimBody {
            sealed_panels: sealed,
            panels: sealed.all().map(|panel| PanelStrength { panel, n: 10, hits: 5 }).collect(),
            ..body()
        };
        let envelope = sign(&claimed, &vectors.owner()).unwrap();
        let claim = VerifiedClaim::verify(envelope.as_bytes(), &vectors.owner().public()).unwrap();
        let foil = Counterfoil::build(&claim, vectors.master(), None, vectors.reference()).unwrap();
        for panel in sealed.sealed() {
            let json: Value = serde_json::from_str(&foil.disclose(panel).unwrap()).unwrap();
            let at = usize::from(panel.get());
            assert_eq!(json["auditPath"], vectors.0["merkle"]["auditPaths"][at - 1]);
            let opened = claim.open(json.to_string().as_bytes()).unwrap();
            assert_eq!(opened.panel(), panel);
            assert_eq!(opened.seed().as_bytes(), &bytes32(&vectors.0["seeds"][at]));
        }
    }
}

/// What a file in fixtures/claims/ calls an error.
fn claim_verdict(error: &ClaimError) -> String {
    match error {
        ClaimError::TooLarge { .. } => "too large".into(),
        ClaimError::Malformed { part, .. } => format!("malformed {part}"),
        ClaimError::PayloadType { .. } => "payload type".into(),
        ClaimError::SignatureCount { .. } => "signature count".into(),
        ClaimError::Base64 { .. } => "base64".into(),
        ClaimError::SignatureLength { .. } => "signature length".into(),
        ClaimError::OtherKey { .. } => "other key".into(),
        ClaimError::BadSignature { .. } => "bad signature".into(),
        ClaimError::NewerVersion { .. } => "newer version".into(),
        ClaimError::NotAClaim { .. } => "not a claim".into(),
        ClaimError::Field(error) => format!("field {}", error.field),
        other => panic!("no name for {other:?}"),
    }
}

fn disclosure_verdict(error: &DisclosureError) -> &'static str {
    match error {
        DisclosureError::TooLarge { .. } => "too large",
        DisclosureError::Malformed(_) => "malformed",
        DisclosureError::UnknownVersion { .. } => "version",
        DisclosureError::OtherClaim { .. } => "other claim",
        DisclosureError::PanelOutOfRange { .. } => "panel out of range",
        DisclosureError::NotUnderRoot { .. } => "not under root",
        DisclosureError::OtherPositions { .. } => "other positions",
        other => panic!("no name for {other:?}"),
    }
}

fn chain(error: &dyn Error) -> String {
    let source = error.source().map(|source| format!(": {}", chain(source)));
    format!("{error}{}", source.unwrap_or_default())
}

/// The verdict on one file, and the reason in full.
fn verdict(name: &str, content: &[u8], key: Result<PublicKey, KeyError>, vectors: &Vectors) -> (String, String) {
    let key = match key {
        Ok(key) => key,
        Err(error @ KeyError::Weak) => return ("weak key".into(), chain(&error)),
        Err(error) => panic!("{name}: {error}"),
    };
    if name.starts_with("disclosure_") {
        return match vectors.claim().open(content) {
            Ok(_) => ("success".into(), String::new()),
            Err(error) => (disclosure_verdict(&error).into(), chain(&error)),
        };
    }
    match VerifiedClaim::verify(content, &key) {
        Ok(_) => ("success".into(), String::new()),
        Err(error) => (claim_verdict(&error), chain(&error)),
    }
}

#[test]
fn every_file_in_fixtures_claims_gets_its_verdict() {
    let vectors = Vectors::read();
    let (mut files, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(fixtures().join("claims")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let file = std::fs::read(&path).unwrap();
        let end = file.windows(2).position(|w| w == b"\n\n").unwrap();
        let head: BTreeMap<&str, &str> =
            std::str::from_utf8(&file[..end]).unwrap().lines().map(|line| line.split_once(": ").unwrap()).collect();
        let key = match head.get("key") {
            Some(key) => PublicKey::from_bytes(&hex::decode(key).unwrap().try_into().unwrap()),
            None => Ok(vectors.owner().public()),
        };
        let (found, reason) = verdict(&name, &file[end + 2..], key, &vectors);
        let (expect, detail) = (head["expect"], head.get("detail").unwrap_or(&""));
        if found != expect || !reason.contains(detail) {
            wrong.push(format!("{name}: expected {expect} ({detail}), found {found} ({reason})"));
        }
        files += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(files >= 100, "only {files} files");
}

#[test]
fn what_cannot_be_verified_is_not_signed() {
    let error = sign(&ClaimBody { carriers: vec![], ..body() }, &Vectors::read().owner()).unwrap_err();
    assert_eq!(error.to_string(), "claim: predicate.carriers is a list of 0, expected 1 to 16384 carriers");
    let stamping = Stamping { decay: Some(f64::NAN), ..body().stamping };
    let error = sign(&ClaimBody { stamping, ..body() }, &Vectors::read().owner()).unwrap_err();
    assert_eq!(error.to_string(), "claim: predicate.stamping.decay is NaN, expected a finite number from 0");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A changed byte is found, unless it is in the envelope's free form: then the payload is the same.
    #[test]
    fn a_changed_byte_is_refused_or_changes_nothing(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let vectors = Vectors::read();
        let mut envelope = vectors.text("envelope").as_bytes().to_vec();
        let at = at.index(envelope.len());
        envelope[at] = byte;
        if let Ok(claim) = VerifiedClaim::verify(&envelope, &vectors.owner().public()) {
            prop_assert_eq!(claim.digest(), &vectors.bytes("claimDigest"));
        }
    }

    /// Nothing that is read panics, whatever it is.
    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let vectors = Vectors::read();
        let error = VerifiedClaim::verify(&noise, &vectors.owner().public()).unwrap_err();
        prop_assert_eq!(claim_verdict(&error), "malformed envelope");
        let error = vectors.claim().open(&noise).map(|_| ()).unwrap_err();
        prop_assert_eq!(disclosure_verdict(&error), "malformed");
    }

    /// What is signed is what is read.
    #[test]
    fn a_signed_body_comes_back(
        kept in proptest::collection::vec(0u64..=108, 1..9),
        decay in proptest::option::of(0.0f64..1e3),
        triggers in proptest::option::of((2u32..1000, 1u32..1000, 0u32..1000)),
        name in "[a-zA-Z\"\\\\/é🎟 ]{1,20}",
        dilution in 0usize..4,
        method in proptest::sample::select(vec![
            StampingMethod::Swaps, StampingMethod::KeyedFinding, StampingMethod::Thinning,
        ]),
    ) {
        let carriers = kept.iter().enumerate().map(|(i, &kept)| ClaimedCarrier {
            name: format!("layer{i}.weight"),
            shape: [4, 3, 3, 3].into(),
            ordinal: 2 * i as u32,
            kept,
        });
        let total: u64 = kept.iter().sum();
        let most_moved = match method {
            StampingMethod::Thinning => 108 * kept.len() as u64 - total,
            StampingMethod::Swaps | StampingMethod::KeyedFinding => total,
        };
        let panels = PanelCount::new(2).unwrap();
        let claimed = ClaimBody {
            subject: Subject { name, ..body().subject },
            carriers: carriers.collect(),
            dilution: Dilution::ALL[dilution],
            panels: panels.all().map(|panel| PanelStrength { panel, n: total / 3, hits: total / 4 }).collect(),
            triggers: triggers.map(|(classes, public, sealed_each)| TriggerSettings {
                image: ImageShape { channels: 1, height: 8, width: 8 }, classes, public, sealed_each,
            }),
            stamping: Stamping { method, moved: most_moved, decay, factor: decay },
            ..body()
        };
        let owner = Vectors::read().owner();
        let envelope = sign(&claimed, &owner).unwrap();
        let verified = VerifiedClaim::verify(envelope.as_bytes(), &owner.public()).unwrap();
        prop_assert_eq!(verified.body(), &claimed);
    }
}
