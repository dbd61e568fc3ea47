//! Licensees' copies: what they leave of the owner's mark, and what several of them together leave of each one's.

use counterfoil_claim::{Counterfoil, OwnerKey, PanelId, Split, VerifiedClaim};
use counterfoil_mark::{
    Chance, Log2P, StampRequest, Stamped, StampingError, SwapSettings, Tally, chip_map, log2_upper_tail, prepare,
    prepare_licensee, tally,
};
use counterfoil_ticket::{Architecture, Array, ImageShape, Kind, Mask, Model};

const CREATED: &str = "2026-01-01T00:00:00Z";

fn owner() -> OwnerKey {
    OwnerKey::from_seed(&[7; 32])
}

/// SplitMix64's output function (Steele, Lea and Flood 2014).
fn scattered(position: u64) -> u64 {
    let z = position.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A ResNet-20 ticket that keeps one position in twenty.
fn found() -> Model {
    let input = ImageShape { channels: 1, height: 8, width: 8 };
    let architecture = Architecture::Resnet20 { input, width: 16, classes: 10 };
    let mut model = Model::default();
    for (number, layer) in (0u64..).zip(architecture.layers()) {
        let [o, i, h, w] = <[u32; 4]>::from(layer.shape).map(|d| d as usize);
        let shape = if (h, w) == (1, 1) { vec![o, i] } else { vec![o, i, h, w] };
        let drawn: Vec<u64> = (0..layer.shape.size() as u64).map(|p| scattered((number << 32) + p)).collect();
        let values: Vec<f32> = drawn.iter().map(|d| (d >> 40) as f32 / 16_777_216.0 - 0.5).collect();
        if layer.prunable {
            model.masks.insert(layer.weight(), Mask::from_fn(drawn.len(), |p| drawn[p].is_multiple_of(20)));
        }
        model.arrays.insert(layer.weight(), Array::new(shape, values).expect("as many values as positions"));
    }
    model.description.kind = Kind::Ticket;
    model.description.architecture = Some(architecture);
    model
}

fn stamped() -> Stamped {
    let request = StampRequest { swaps: SwapSettings::default(), keyed: None, provenance: None };
    let (found, key) = (found(), owner());
    prepare(&found, &key, request).and_then(|p| p.finish(CREATED, "ticket")).expect("large enough")
}

fn copy(of: &Stamped, name: &str) -> Stamped {
    let key = owner();
    let prepared =
        prepare_licensee(&of.model, &key, &of.counterfoil, name, &SwapSettings::default()).expect("large enough");
    assert_eq!((prepared.licensee(), prepared.triggers()), (Some(name), None));
    prepared.finish(CREATED, name).expect("the claim keeps to the rules")
}

/// Each panel of the counterfoil's mark in these masks.
fn tallies(counterfoil: &Counterfoil, model: &Model) -> Vec<Tally> {
    let seeds = counterfoil.seeds();
    let seeds: Vec<_> = seeds.iter().map(|(panel, seed)| (*panel, seed)).collect();
    let of_panel = |panel: PanelId| {
        let of_carrier = |(carrier, _): &(counterfoil_ticket::Carrier, Mask)| {
            let chips =
                chip_map(&seeds, counterfoil.public_key(), &counterfoil.split(), carrier, counterfoil.dilution());
            tally(&model.masks[&carrier.name], &chips, panel)
        };
        counterfoil.reference().iter().map(of_carrier).sum()
    };
    counterfoil.sealed_panels().all().map(of_panel).collect()
}

#[test]
fn a_copy_leaves_the_owners_panels_as_strong() {
    let owners = stamped();
    let copied = copy(&owners, "Example Ltd");
    let strengths = |model: &Model| -> Vec<Log2P> {
        tallies(&owners.counterfoil, model).iter().map(|panel| log2_upper_tail(*panel, Chance::HALF)).collect()
    };
    let (before, after) = (strengths(&owners.model), strengths(&copied.model));
    // About a sixteenth of what is kept moves, and at half of the rest of a panel's positions chips are as they fall.
    let is_as_strong = |(after, before): (&Log2P, &Log2P)| after.bits() < 0.93 * before.bits();
    assert!(after.iter().zip(&before).all(is_as_strong), "{before:?} to {after:?}");

    let mark = tallies(&copied.counterfoil, &copied.model)[1];
    let kept: usize = copied.model.masks.values().map(Mask::kept).sum();
    // An eighth of what is kept lies on a licensee's positions, and nearly all of it agrees.
    let eighth = kept as f64 / 8.0;
    assert!((mark.n() as f64 - eighth).abs() < 5.0 * eighth.sqrt(), "{mark:?}");
    assert!(mark.hits() as f64 >= 0.95 * mark.n() as f64, "{mark:?}");
    for (name, mask) in &copied.model.masks {
        let row = mask.size() / copied.model.arrays[name].shape()[0];
        let degrees = |mask: &Mask| -> Vec<usize> {
            (0..mask.size() / row).map(|c| (c * row..(c + 1) * row).filter(|&p| mask.keeps(p)).count()).collect()
        };
        assert_eq!(degrees(mask), degrees(&owners.model.masks[name]), "{name}");
    }
}

#[test]
fn a_copy_says_nothing_of_another_licensee() {
    let owners = stamped();
    let ours = copy(&owners, "Example Ltd");
    for other in ["Example Ltd.", "example ltd", "Other"] {
        let other = copy(&owners, other);
        let found = tallies(&ours.counterfoil, &other.model)[1];
        // n fair coins: within five of their standard deviations.
        let away = (found.hits() as f64 - found.n() as f64 / 2.0).abs();
        assert!(away < 2.5 * (found.n() as f64).sqrt(), "{found:?}");
    }
}

/// What most of the copies keep.
fn majority(copies: &[Stamped]) -> Model {
    let mut merged = copies[0].model.clone();
    for (name, mask) in &mut merged.masks {
        let votes = |p: usize| copies.iter().filter(|copy| copy.model.masks[name].keeps(p)).count();
        *mask = Mask::from_fn(mask.size(), |p| 2 * votes(p) > copies.len());
    }
    merged
}

#[test]
fn a_majority_of_copies_agrees_with_each_of_them() {
    let owners = stamped();
    // With k copies a position's vote is decided by ours if the others are even: 1/2 + C(k−1, (k−1)/2) / 2^k.
    for (k, share) in [(3, 0.75), (5, 0.6875)] {
        let copies: Vec<Stamped> = (0..k).map(|i| copy(&owners, &format!("licensee {i}"))).collect();
        let merged = majority(&copies);
        for copy in &copies {
            let found = tallies(&copy.counterfoil, &merged)[1];
            let n = found.n() as f64;
            let expected = share * n;
            // A twentieth of the positions may have found no room to agree.
            let slack = 5.0 * (n * share * (1.0 - share)).sqrt() + 0.05 * n * (share - 0.5);
            assert!((found.hits() as f64 - expected).abs() < slack, "{k} copies: {found:?}, expected {expected:.0}");
        }
        // The vote drops what most have dropped, about half of an eighth of the kept, whatever the owner's chips are; what most
        // have taken in has chip +1.
        let (before, after) = (tallies(&owners.counterfoil, &owners.model), tallies(&owners.counterfoil, &merged));
        for (before, after) in before.iter().zip(&after) {
            let left = 15.0 / 16.0 * before.n() as f64;
            assert!(after.n() as f64 > left - 5.0 * (left / 16.0).sqrt(), "{before:?} to {after:?}");
            let [before, after] = [before, after].map(|tally| tally.share().unwrap_or(0.0));
            assert!(after > before - 0.02, "{before} to {after}");
        }
    }
}

#[test]
fn the_copys_claim_says_whose_it_is_and_the_same_name_gives_the_same_copy() {
    let owners = stamped();
    let (first, again) = (copy(&owners, "Example Ltd"), copy(&owners, "Example Ltd"));
    assert_eq!((&first.model, &first.claim), (&again.model, &again.claim));
    let claim = VerifiedClaim::verify(first.claim.as_bytes(), &owner().public()).expect("signed by the owner");
    assert_eq!(claim.body().licensee.as_ref().map(|licensee| licensee.name.as_str()), Some("Example Ltd"));
    let sealed = PanelId::sealed(1).expect("a panel");
    let opened = claim.open(first.counterfoil.disclose(sealed).expect("it has one").as_bytes()).expect("committed to");
    let seeds = first.counterfoil.seeds();
    assert_eq!(opened.seed().as_bytes(), seeds[1].1.as_bytes());
    assert!(matches!(opened.split(), Split::Licensee(_)));
}

#[test]
fn positions_that_the_claim_did_not_commit_to_open_nothing() {
    let owners = stamped();
    let copied = copy(&owners, "Example Ltd");
    let claim = VerifiedClaim::verify(copied.claim.as_bytes(), &owner().public()).expect("signed by the owner");
    let disclosed = copied.counterfoil.disclose(PanelId::sealed(1).expect("a panel")).expect("it has one");
    let mut json: serde_json::Value = serde_json::from_str(&disclosed).expect("JSON");
    for other in [serde_json::Value::Null, "00".repeat(32).into()] {
        json["positions"] = other;
        let refused = claim.open(json.to_string().as_bytes()).err().map(|error| error.to_string());
        let expected = "disclosure: positions are not those that the licensee's claim commits to";
        assert_eq!(refused.as_deref(), Some(expected));
    }
}

#[test]
fn only_the_owners_own_ticket_is_copied() {
    let owners = stamped();
    let refusal = |ticket: &Model, key: &OwnerKey, counterfoil: &Counterfoil| -> String {
        let refused = prepare_licensee(ticket, key, counterfoil, "Example Ltd", &SwapSettings::default()).err();
        refused.map_or_else(|| "none".to_owned(), |error: StampingError| error.to_string())
    };
    let foil = &owners.counterfoil;
    assert!(refusal(&found(), &owner(), foil).starts_with("the ticket is not stamped"));
    let stranger = refusal(&owners.model, &OwnerKey::from_seed(&[8; 32]), foil);
    assert!(stranger.ends_with("the counterfoil is of another key"), "{stranger}");
    let copied = copy(&owners, "Other");
    assert!(refusal(&copied.model, &owner(), foil).starts_with("the ticket has a licensee's mark already"));
    let of_copy = refusal(&owners.model, &owner(), &copied.counterfoil);
    assert!(of_copy.ends_with("the counterfoil is of a licensee's copy"), "{of_copy}");
    let mut other = owners.model.clone();
    for mask in other.masks.values_mut() {
        mask.set(0, !mask.keeps(0));
    }
    let other = refusal(&other, &owner(), foil);
    assert!(other.ends_with("the ticket has other masks than the counterfoil holds"), "{other}");
    let mut locked = owners.model.clone();
    locked.description.kind = Kind::Locked;
    assert_eq!(refusal(&locked, &owner(), foil), "the ticket is locked, expected a whole one");
    let small = SwapSettings { most_moved: 0.01, comfort_moved: 0.01, ..SwapSettings::default() };
    let refused = prepare_licensee(&owners.model, &owner(), foil, "Example Ltd", &small).err();
    assert!(refused.is_some_and(|error| error.to_string().contains("expected -160.0")));
}
