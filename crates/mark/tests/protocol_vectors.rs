//! Panels, chips and triggers against `fixtures/protocol/mark-vectors.json`, which an independent program wrote.

use std::collections::BTreeMap;

use counterfoil_claim::{
    Dilution, Licence, Marked, MasterSeed, PanelCount, PanelId, Positions, PublicKey, Seed, Split,
};
use counterfoil_mark::{TriggerSet, chip_map, chips, panels, tally};
use counterfoil_ticket::{Carrier, CarrierShape, ImageShape, Mask};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Vectors {
    pk: String,
    master: String,
    marked: String,
    seeds: Vec<String>,
    licensee: LicenseeVector,
    carriers: Vec<CarrierVector>,
    triggers: Vec<TriggerVector>,
    million: LongVector,
}

#[derive(Deserialize)]
struct LicenseeVector {
    name: String,
    positions: String,
    commitment: String,
    marked: String,
    master: String,
    seed_1: String,
}

#[derive(Deserialize)]
struct CarrierVector {
    name: String,
    shape: CarrierShape,
    ordinal: u32,
    carrier_id: String,
    panels: BTreeMap<u8, Vec<u8>>,
    licensee_panels: Vec<u8>,
    chips: Vec<ChipVector>,
}

#[derive(Deserialize)]
struct ChipVector {
    panel: usize,
    chips: BTreeMap<u8, Vec<i8>>,
}

#[derive(Deserialize)]
struct TriggerVector {
    panel: usize,
    shape: ImageShape,
    classes: u32,
    count: u32,
    first_row: Vec<u8>,
    images_sha256: String,
    labels: Vec<u32>,
}

#[derive(Deserialize)]
struct LongVector {
    shape: CarrierShape,
    ordinal: u32,
    sealed: u8,
    dilution: u8,
    positions: usize,
    sha256: String,
    n: Vec<u64>,
    hits: Vec<u64>,
}

impl Vectors {
    fn read() -> Self {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/protocol/mark-vectors.json"));
        serde_json::from_str(text).expect("the vectors are valid JSON")
    }

    fn pk(&self) -> PublicKey {
        PublicKey::from_bytes(&bytes(&self.pk)).expect("the key of RFC 8032, 7.1, test 1")
    }

    /// Of panels 0 to 4.
    fn seeds(&self) -> Vec<Seed> {
        let marked = Marked::from_bytes(bytes(&self.marked));
        let sealed = MasterSeed::from_bytes(bytes(&self.master)).sealed(sealed(4), &marked);
        [self.pk().public_seed()].into_iter().chain(sealed).collect()
    }
}

fn bytes(text: &str) -> [u8; 32] {
    hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok()).expect("32 bytes in hexadecimal")
}

fn owners(panels: u8) -> Split {
    Split::Owner(sealed(panels))
}

fn sealed(panels: u8) -> PanelCount {
    PanelCount::new(panels).expect("1 to 4 sealed panels")
}

fn dilution(d: u8) -> Dilution {
    Dilution::new(d).expect("1, 2, 4 or 8")
}

fn carrier(shape: CarrierShape, ordinal: u32) -> Carrier {
    Carrier { name: "any name will do".to_owned(), shape, ordinal }
}

#[test]
fn seeds_are_those_of_the_vectors() {
    let vectors = Vectors::read();
    let seeds: Vec<String> = vectors.seeds().iter().map(|seed| hex::encode(seed.as_bytes())).collect();
    assert_eq!(seeds, vectors.seeds);
}

#[test]
fn a_licensees_seed_is_that_of_the_vectors() {
    let vectors = Vectors::read();
    let LicenseeVector { name, positions, commitment, marked, master, seed_1 } = &vectors.licensee;
    let owner = MasterSeed::from_bytes(bytes(&vectors.master));
    assert_eq!(hex::encode(owner.licensees_positions().as_bytes()), *positions);
    let licensee = Licence { name: name.clone(), positions: owner.licensees_positions() }.stated();
    assert_eq!(hex::encode(licensee.positions), *commitment);
    let found = Marked::from_bytes(bytes(&vectors.marked)).for_licensee(&licensee);
    assert_eq!(hex::encode(found.as_bytes()), *marked);
    assert_eq!(hex::encode(owner.licensees_master(name).as_bytes()), *master);
    let sealed = owner.licensees_master(name).sealed(Split::LICENSEES, &found);
    assert_eq!(
        sealed.iter().map(|seed| hex::encode(seed.as_bytes())).collect::<Vec<_>>(),
        std::slice::from_ref(seed_1)
    );
}

#[test]
fn panels_are_those_of_the_vectors() {
    let vectors = Vectors::read();
    for vector in &vectors.carriers {
        let carrier = carrier(vector.shape, vector.ordinal);
        assert_eq!(hex::encode(carrier.id()), vector.carrier_id, "{}", vector.name);
        assert_eq!(vector.panels.len(), 4, "{}", vector.name);
        for (&count, expected) in &vector.panels {
            let found = panels(&vectors.pk(), &owners(count), &carrier);
            assert_eq!(found.len(), vector.shape.size());
            assert_eq!(found[..expected.len()], expected[..], "{}, {count} sealed panels", vector.name);
        }
        let positions = Positions::from_bytes(bytes(&vectors.licensee.positions));
        let found = panels(&vectors.pk(), &Split::Licensee(positions), &carrier);
        let expected = &vector.licensee_panels;
        assert_eq!(found[..expected.len()], expected[..], "{}, a licensee's", vector.name);
    }
}

#[test]
fn chips_are_those_of_the_vectors() {
    let vectors = Vectors::read();
    let seeds = vectors.seeds();
    for vector in &vectors.carriers {
        let carrier = carrier(vector.shape, vector.ordinal);
        assert_eq!(vector.chips.len(), 5, "{}", vector.name);
        for chip in &vector.chips {
            for (&d, expected) in &chip.chips {
                let found = chips(&seeds[chip.panel], &vectors.pk(), &carrier, dilution(d));
                assert_eq!(found[..expected.len()], expected[..], "{}, panel {}, D = {d}", vector.name, chip.panel);
            }
        }
    }
}

#[test]
fn triggers_are_those_of_the_vectors() {
    let vectors = Vectors::read();
    let seeds = vectors.seeds();
    for vector in &vectors.triggers {
        let set = TriggerSet::derive(&seeds[vector.panel], &vectors.pk(), vector.shape, vector.classes, vector.count)
            .expect("the vectors ask for little");
        let row = vector.shape.width as usize;
        assert_eq!(set.image(0)[..row], vector.first_row[..], "{:?}", vector.shape);
        assert_eq!(hex::encode(Sha256::digest(&set.images)), vector.images_sha256, "{:?}", vector.shape);
        assert_eq!(set.labels, vector.labels, "{} classes", vector.classes);
    }
}

#[test]
fn a_million_positions_hash_as_in_the_vectors() {
    let vectors = Vectors::read();
    let (seeds, long) = (vectors.seeds(), &vectors.million);
    let ids = sealed(long.sealed).all();
    let known: Vec<(PanelId, &Seed)> = ids.zip(&seeds).collect();
    let carrier = carrier(long.shape, long.ordinal);
    let map = chip_map(&known, &vectors.pk(), &owners(long.sealed), &carrier, dilution(long.dilution));
    assert_eq!(map.panel.len(), long.positions);
    let joined: Vec<u8> = map.panel.iter().zip(&map.chip).flat_map(|(&p, &c)| [p, (c + 1) as u8]).collect();
    assert_eq!(hex::encode(Sha256::digest(&joined)), long.sha256);

    let all = Mask::full(long.positions);
    for (panel, (&n, &hits)) in sealed(long.sealed).all().zip(long.n.iter().zip(&long.hits)) {
        let counted = tally(&all, &map, panel);
        assert_eq!((counted.n(), counted.hits()), (n, hits), "panel {panel}");
    }
}

#[test]
fn panels_without_a_seed_have_no_chips() {
    let vectors = Vectors::read();
    let seeds = vectors.seeds();
    let carrier = carrier(vectors.carriers[0].shape, 0);
    let second = PanelId::new(2).expect("panels go up to 4");
    let map = chip_map(&[(second, &seeds[2])], &vectors.pk(), &owners(3), &carrier, dilution(1));
    for (panel, chip) in map.panel.iter().zip(&map.chip) {
        assert_eq!(*chip != 0, *panel == 2, "panel {panel}");
    }
}
