//! Counterfoils: built for a claim, sealed, opened, and refused when they say something impossible.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use std::error::Error;

use counterfoil_claim::{
    ClaimBody, ClaimedCarrier, Counterfoil, CounterfoilError, Dilution, Marked, MasterSeed, OwnerKey, PanelCount,
    PanelId, PanelStrength, Passphrase, Protection, ProtectionError, Stamping, StampingMethod, Subject,
    TriggerSettings, Unlock, VerifiedClaim, merkle_root, reference_mask_commitment, sign,
};
use counterfoil_ticket::{Carrier, Digest, ImageShape, Mask, Provenance};
use serde_json::{Value, json};

fn owner() -> OwnerKey {
    OwnerKey::from_seed(&[1; 32])
}

fn master() -> MasterSeed {
    owner().master_seed(&[2; 32])
}

fn reference() -> Vec<(Carrier, Mask)> {
    let carrier = |name: &str, ordinal| Carrier { name: name.into(), shape: [4, 5, 1, 1].into(), ordinal };
    let mask = |step| Mask::from_fn(20, |position| position % step == 0);
    vec![(carrier("fc1.weight", 0), mask(2)), (carrier("fc2.weight", 1), mask(3))]
}

/// A claim for these masks under this master seed.
fn claim(master: &MasterSeed, reference: &[(Carrier, Mask)]) -> VerifiedClaim {
    let sealed_panels = PanelCount::new(3).unwrap();
    let carrier = |(c, mask): &(Carrier, Mask)| ClaimedCarrier {
        name: c.name.clone(),
        shape: c.shape,
        ordinal: c.ordinal,
        kept: mask.kept() as u64,
    };
    let body = ClaimBody {
        subject: Subject { name: "t".into(), digest: Digest::from([3; 32]) },
        licensee: None,
        carriers: reference.iter().map(carrier).collect(),
        sealed_panels,
        dilution: Dilution::new(2).unwrap(),
        merkle_root: merkle_root(master),
        panels: sealed_panels.all().map(|panel| PanelStrength { panel, n: 2, hits: 1 }).collect(),
        reference_mask: reference_mask_commitment(master, reference),
        graph_fingerprint: None,
        triggers: Some(TriggerSettings {
            image: ImageShape { channels: 1, height: 8, width: 8 },
            classes: 10,
            public: 5,
            sealed_each: 4,
        }),
        stamping: Stamping { method: StampingMethod::Swaps, moved: 1, decay: None, factor: None },
        provenance: Provenance::Random,
        created: "2025-01-02T03:04:05Z".into(),
        tool: "test".into(),
    };
    VerifiedClaim::verify(sign(&body, &owner()).unwrap().as_bytes(), &owner().public()).unwrap()
}

fn counterfoil() -> Counterfoil {
    Counterfoil::build(&claim(&master(), &reference()), master(), None, reference()).unwrap()
}

fn json() -> Value {
    serde_json::from_slice(&counterfoil().seal(&Protection::None).unwrap()).unwrap()
}

fn open_error(text: &str) -> CounterfoilError {
    Counterfoil::open(text.as_bytes(), &Unlock::None).map(|_| ()).unwrap_err()
}

#[test]
fn what_was_sealed_opens_and_belongs_to_the_claim() {
    let passphrase = || Passphrase::new("a passphrase".into());
    let sealed = counterfoil().seal(&Protection::Passphrase(passphrase())).unwrap();
    let opened = Counterfoil::open(&sealed, &Unlock::Passphrase(passphrase())).unwrap();
    opened.check(&claim(&master(), &reference())).unwrap();
    assert_eq!(opened.reference(), reference());
    assert_eq!(opened.master().as_bytes(), master().as_bytes());
    assert_eq!(opened.public_key(), &owner().public());
    assert_eq!(opened.dilution().get(), 2);
    assert_eq!(opened.triggers().map(|t| (t.count(PanelId::PUBLIC), t.count(PanelId::new(2).unwrap()))), Some((5, 4)));
    let no_passphrase = Counterfoil::open(&sealed, &Unlock::None).map(|_| ());
    assert!(matches!(no_passphrase, Err(CounterfoilError::Protection(ProtectionError::NeedsPassphrase))));
}

#[test]
fn the_plain_file_is_this_json() {
    let key = hex::encode(owner().public().bytes());
    let claim = claim(&master(), &reference());
    let marked = hex::encode(Marked::of_claim(claim.body()).as_bytes());
    let claim = hex::encode(claim.digest());
    let expected = json!({
        "version": 1,
        "publicKey": key,
        "claim": claim,
        "master": hex::encode(master().as_bytes()),
        "sealedPanels": 3,
        "dilution": 2,
        "marked": marked,
        "licensee": null,
        "triggers": {"image": [1, 8, 8], "classes": 10, "public": 5, "sealedEach": 4},
        "carriers": [
            {"name": "fc1.weight", "shape": [4, 5, 1, 1], "ordinal": 0, "mask": "VVUF"},
            {"name": "fc2.weight", "shape": [4, 5, 1, 1], "ordinal": 1, "mask": "SZIE"},
        ],
    });
    assert_eq!(json(), expected);
}

#[test]
fn seeds_are_the_public_one_and_the_sealed_ones() {
    let seeds = counterfoil().seeds();
    assert_eq!(seeds.iter().map(|(panel, _)| panel.get()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(seeds[0].1.as_bytes(), owner().public().public_seed().as_bytes());
    let marked = Marked::of_claim(claim(&master(), &reference()).body());
    assert_eq!(seeds[3].1.as_bytes(), master().panel(PanelId::new(3).unwrap(), &marked).as_bytes());
}

#[test]
fn only_sealed_panels_of_the_ticket_are_disclosed() {
    for (panel, there) in [(0, false), (1, true), (3, true), (4, false)] {
        match counterfoil().disclose(PanelId::new(panel).unwrap()) {
            Ok(json) => {
                let opened = claim(&master(), &reference()).open(json.as_bytes()).unwrap();
                assert!(there && opened.panel().get() == panel);
            }
            Err(error) => {
                assert_eq!(error.to_string(), format!("counterfoil: no sealed panel {panel}, expected 1 to 3"));
                assert!(!there);
            }
        }
    }
}

#[test]
fn a_counterfoil_that_does_not_fit_the_claim_is_not_built() {
    let claim = claim(&master(), &reference());
    let other_master = owner().master_seed(&[9; 32]);
    let (mut other_mask, mut other_kept, mut other_name) = (reference(), reference(), reference());
    other_mask[0].1 = Mask::from_fn(20, |position| position % 2 == 1);
    other_kept[0].1 = Mask::full(20);
    other_name[0].0.name = "fc0.weight".into();
    let cases = [
        (other_master, reference(), "master seed"),
        (master(), other_mask, "reference mask"),
        (master(), other_kept, "list of carriers"),
        (master(), other_name, "list of carriers"),
        (master(), reference()[..1].to_vec(), "list of carriers"),
    ];
    for (master, reference, expected) in cases {
        match Counterfoil::build(&claim, master, None, reference).map(|_| ()) {
            Err(CounterfoilError::OtherClaim { what }) => assert_eq!(what, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn impossible_fields_are_named() {
    let none = json!({"image": [1, 8, 8], "classes": 1, "public": 5, "sealedEach": 4});
    let cases = [
        ("/sealedPanels", json!(5), "counterfoil: sealedPanels is 5, expected 1 to 4"),
        ("/dilution", json!(3), "counterfoil: dilution is 3, expected 1, 2, 4 or 8"),
        ("/triggers", none, "counterfoil: triggers.classes is 1, expected 2 to 16777216"),
        (
            "/licensee",
            json!({"name": "", "positions": "00".repeat(32)}),
            "counterfoil: licensee.name is empty, expected 1 to 1024 bytes without control characters",
        ),
        (
            "/carriers/1/name",
            json!("fc1.weight"),
            "counterfoil: carriers[1].name is 'fc1.weight', expected a name after 'fc1.weight' in natural order",
        ),
        (
            "/carriers/0/mask",
            json!("VVUV"),
            "counterfoil: carriers[0].mask is 4 characters that are not that, expected the base64 of 20 mask bits",
        ),
    ];
    for (at, value, expected) in cases {
        let mut changed = json();
        *changed.pointer_mut(at).unwrap() = value;
        assert_eq!(open_error(&changed.to_string()).to_string(), expected);
    }
    // What its seeds depend on follows from its carriers and its licensee.
    let positions = json!({"name": "Example Ltd", "positions": "00".repeat(32)});
    for (at, value, field) in [
        ("/marked", json!("00".repeat(32)), "marked"),
        ("/carriers/1/ordinal", json!(7), "marked"),
        ("/licensee", positions, "sealedPanels"),
    ] {
        let mut changed = json();
        *changed.pointer_mut(at).unwrap() = value;
        let error = open_error(&changed.to_string()).to_string();
        assert!(error.starts_with(&format!("counterfoil: {field} is ")), "{error}");
    }
    let mut weak = json();
    weak["publicKey"] = json!("01".to_owned() + &"00".repeat(31));
    assert!(matches!(open_error(&weak.to_string()), CounterfoilError::Key(_)));
}

#[test]
fn malformed_and_newer_counterfoils_are_refused_without_telling_the_seed() {
    let good = json().to_string();
    let master = hex::encode(master().as_bytes());
    let mut missing = json();
    missing.as_object_mut().unwrap().remove("dilution");
    let cases = [
        (good[..good.len() - 1].to_owned(), "EOF while parsing"),
        (good.replacen("{", "{\"note\":1,", 1), "unknown field `note`"),
        (good.replacen("{", "{\"version\":1,", 1), "duplicate field `version`"),
        (missing.to_string(), "missing field `dilution`"),
        (good.replace(&master, &(master.clone() + "0")), "65 characters that are not 64 hexadecimal digits"),
    ];
    for (text, expected) in cases {
        let error = open_error(&text);
        assert!(matches!(error, CounterfoilError::Malformed(_)), "{error}");
        let reason = error.source().unwrap().to_string();
        assert!(reason.contains(expected) && !reason.contains(&master), "{reason}");
    }
    let newer = open_error("{\"version\":2,\"other\":[]}");
    assert_eq!(newer.to_string(), "counterfoil: version 2, expected version 1");
}
