//! Forgeries: claims, triggers and codes made for somebody else's model, and none of them ends in `proven`.
//!
//! docs/results/forgery.md says which attack each test is, and which are tested elsewhere.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use std::sync::OnceLock;

use counterfoil_acceptance::{Folder, Owner, Random, model_on, real_mask, ticket};
use counterfoil_claim::{
    ClaimBody, ClaimedCarrier, Dilution, OwnerKey, PanelCount, PanelId, PanelStrength, Seed, Split, TriggerSettings,
    VerifiedClaim, sign,
};
use counterfoil_mark::qr::{self, Format, Whereabouts};
use counterfoil_mark::{Chance, LockError, Tally, chip_map, lock, log2_upper_tail, masks_of, tally, unlock};
use counterfoil_ticket::{Array, Carrier, Digest, ImageShape, Mask, Model, ModelFile};
use counterfoil_verify::{
    BlackBox, BlackBoxError, Evidence, Level, Options, Report, TestKind, Tests, Verdict, VerifyError, verify,
};
use serde_json::json;

const INPUT: ImageShape = ImageShape { channels: 1, height: 8, width: 8 };

/// The owner of the victim.
fn victim() -> &'static Owner {
    static VICTIM: OnceLock<Owner> = OnceLock::new();
    VICTIM.get_or_init(|| Owner::of(1, &ticket(1)))
}

fn signed(body: &ClaimBody, key: &OwnerKey) -> VerifiedClaim {
    VerifiedClaim::verify(sign(body, key).unwrap().as_bytes(), &key.public()).unwrap()
}

fn judged(model: &Model, evidence: &Evidence) -> Result<Report, VerifyError> {
    let folder = Folder::new();
    folder.write_model("suspect", &Model { masks: Default::default(), ..model.clone() });
    verify(Some(&ModelFile::open(&folder.path("suspect")).unwrap()), None, evidence, &Options::default())
}

#[track_caller]
fn expect(model: &Model, evidence: &Evidence, verdict: Verdict) -> Report {
    let report = judged(model, evidence).unwrap();
    assert_eq!(report.verdict, verdict, "{:?}", report.tests);
    report
}

#[test]
fn the_victim_is_proven_and_others_are_not() {
    expect(&victim().stamped.model, &victim().evidence(), Verdict::Proven);
    expect(&ticket(2), &victim().evidence(), Verdict::NoMatch);
}

#[test]
fn a_random_key_mask_unlocks_nothing() {
    let locked = lock(&victim().stamped.model, &counterfoil_mark::Random { seed: 1 }, 0.1).unwrap();
    let mut forged = locked.key_mask.clone();
    for held in &mut forged.held_back {
        let there = &locked.ticket.masks[&held.name];
        let free = (0..there.size()).filter(|&p| !there.keeps(p));
        let mut mask = Mask::empty(there.size());
        free.step_by(2).take(held.mask.kept()).for_each(|p| mask.set(p, true));
        held.mask = mask;
    }
    assert_eq!(forged.size(), locked.key_mask.size());
    let error = unlock(&locked.ticket, &forged).unwrap_err();
    assert!(matches!(error, LockError::Changed { .. }), "{error}");
    assert_eq!(unlock(&locked.ticket, &locked.key_mask).unwrap().masks, victim().stamped.model.masks);
}

#[test]
fn grown_positions_leave_the_mark_and_do_not_make_one() {
    let grown = |mut model: Model| {
        let mut random = Random(5);
        for array in model.arrays.values_mut() {
            let pruned = array.values_mut().iter_mut().filter(|v| **v == 0.0);
            pruned.for_each(|v| *v = if random.bits().is_multiple_of(50) { 0.01 * random.sign() } else { 0.0 });
        }
        model
    };
    expect(&grown(victim().stamped.model.clone()), &victim().evidence(), Verdict::Proven);
    expect(&grown(ticket(2)), &victim().evidence(), Verdict::NoMatch);
}

#[test]
fn a_second_code_in_the_place_of_the_first_leaves_the_claim() {
    let text = |number| qr::short_id(&OwnerKey::from_seed(&[number; 32]).public());
    let (owners, thiefs) = (text(11), text(12));
    let lay = |model: &Model, text: &str, whereabouts| {
        qr::embed(model, &qr::Request { text, format: Format::default(), whereabouts, seed: 1 }).unwrap()
    };
    let coded = lay(&ticket(3), &owners, Whereabouts::Anywhere);
    let owner = Owner::of(11, &coded.model);
    let stolen = Model { description: Default::default(), ..owner.stamped.model.clone() };
    let taken = lay(&stolen, &thiefs, Whereabouts::At(&coded.code.place)).model;
    let reader = qr::Reader::new([Format::default()]);
    let read = taken.carriers().iter().flat_map(|c| reader.read(c, &taken.masks[&c.name])).collect::<Vec<_>>();
    assert!(read.iter().any(|found| found.code.text == thiefs), "{read:?}");
    // New positions of the code have no weights yet; a thief gives them some.
    let mut model = Model { arrays: taken.arrays.clone(), ..Model::default() };
    for (name, mask) in &taken.masks {
        let values = model.arrays.get_mut(name).unwrap().values_mut();
        values.iter_mut().enumerate().filter(|(p, v)| mask.keeps(*p) && **v == 0.0).for_each(|(_, v)| *v = 0.5);
        mask.apply(values);
    }
    expect(&model, &owner.evidence(), Verdict::Proven);
}

/// Somebody who had nothing to do with the models here, and a claim of whose making for this one: its carriers as they are,
/// and the best of all marks.
fn post_hoc(model: &Model) -> (ClaimBody, &'static Owner) {
    static OWN: OnceLock<Owner> = OnceLock::new();
    let own = OWN.get_or_init(|| Owner::of(7, &ticket(7)));
    let masks = masks_of(model);
    let claimed = |c: &ClaimedCarrier| ClaimedCarrier { kept: masks[&c.name].kept() as u64, ..c.clone() };
    let carriers: Vec<ClaimedCarrier> = own.claim.body().carriers.iter().map(claimed).collect();
    let kept: u64 = carriers.iter().map(|c| c.kept).sum();
    let most = |panel| PanelStrength { panel, n: kept / 5, hits: kept / 5 };
    let panels = own.claim.body().sealed_panels.all().map(most).collect();
    let created = "1999-01-01T00:00:00Z".to_owned();
    (ClaimBody { carriers, panels, created, ..own.claim.body().clone() }, own)
}

#[test]
fn a_claim_made_for_a_model_at_hand_does_not_reach_it() {
    let innocent = ticket(2);
    let (body, own) = post_hoc(&innocent);
    for number in 0..8 {
        let key = OwnerKey::from_seed(&Random(number + 100).bytes());
        let claim = signed(&body, &key);
        let opened = own.opened_under(&claim);
        let report = judged(&innocent, &Evidence::claimed(&claim, &opened)).unwrap();
        assert!(!matches!(report.verdict, Verdict::Proven | Verdict::Marked), "{:?}", report.tests);
        assert!(report.log2_p.bits() > -20.0, "{}", report.log2_p);
    }
}

#[test]
fn ordinals_chosen_for_a_model_at_hand_count_nothing() {
    const TRIES: u32 = 256;
    let (innocent, key) = (ticket(2), OwnerKey::from_seed(&[21; 32]));
    let (mut body, own) = post_hoc(&innocent);
    let (panels, split) = (body.sealed_panels, Split::Owner(body.sealed_panels));
    let claim = signed(&body, &key);
    let opened = own.opened_under(&claim);
    let seeds: Vec<(PanelId, &Seed)> = opened.iter().map(|panel| (panel.panel(), panel.seed())).collect();
    let mut pooled = Tally::default();
    for (i, claimed) in (0..).zip(&mut body.carriers) {
        let (mask, own) = (&innocent.masks[&claimed.name], claimed.carrier());
        let count = |ordinal: u32| -> Tally {
            let carrier = Carrier { ordinal, ..own.clone() };
            let map = chip_map(&seeds, &key.public(), &split, &carrier, body.dilution);
            panels.sealed().map(|panel| tally(mask, &map, panel)).sum()
        };
        let lead = |ordinal: &u32| 2 * count(*ordinal).hits() as i64 - count(*ordinal).n() as i64;
        claimed.ordinal = (100 + i * TRIES..100 + (i + 1) * TRIES).max_by_key(lead).unwrap();
        pooled = pooled + count(claimed.ordinal);
    }
    let sought = log2_upper_tail(pooled, Chance::HALF).bits();
    assert!(sought < -64.0, "so few tries would do if they counted: {sought}");
    let claim = signed(&body, &key);
    let report = judged(&innocent, &Evidence::claimed(&claim, &own.opened_under(&claim))).unwrap();
    assert_eq!(report.verdict, Verdict::Inconclusive, "{:?}", report.tests);
    assert!(report.tests.iter().all(|test| test.n == 0), "{:?}", report.tests);
}

#[test]
fn names_chosen_for_a_model_at_hand_change_the_chips() {
    // 256 tensors of one shape, each with as many weights: names say which of them stand for the 128 carriers of a claim.
    const TENSORS: usize = 256;
    const CLAIMED: usize = 128;
    let name = |i: usize| format!("t{i:03}.weight");
    let mut random = Random(5);
    let mut innocent = Model::default();
    for i in 0..TENSORS {
        let mut values = vec![0.0; 16 * 8 * 9];
        let mut left = 115;
        while left > 0 {
            let place = &mut values[random.bits() as usize % (16 * 8 * 9)];
            left -= usize::from(*place == 0.0);
            *place = 0.5;
        }
        let array = Array::new(vec![16, 8, 3, 3], values).unwrap();
        innocent.arrays.insert(name(i), array);
    }
    innocent.masks = masks_of(&innocent);
    let key = OwnerKey::from_seed(&[23; 32]);
    let (body, own) = post_hoc(&ticket(2));
    let body = |names: &[usize]| {
        let carriers = innocent.carriers().into_iter().take(CLAIMED).zip(names);
        let claimed = |(carrier, &i): (Carrier, &usize)| ClaimedCarrier {
            name: name(i),
            shape: carrier.shape,
            ordinal: carrier.ordinal,
            kept: 115,
        };
        let most = |panel| PanelStrength { panel, n: 1000, hits: 1000 };
        let panels = body.sealed_panels.all().map(most).collect();
        ClaimBody { carriers: carriers.map(claimed).collect(), panels, ..body.clone() }
    };
    let first: Vec<usize> = (0..CLAIMED).collect();
    let claim = signed(&body(&first), &key);
    let opened = own.opened_under(&claim);
    let seeds: Vec<(PanelId, &Seed)> = opened.iter().map(|panel| (panel.panel(), panel.seed())).collect();
    let panels = claim.body().sealed_panels;
    let tallies: Vec<Vec<Tally>> = (innocent.carriers().iter().take(CLAIMED))
        .map(|carrier| {
            let map = chip_map(&seeds, &key.public(), &Split::Owner(panels), carrier, claim.body().dilution);
            let count = |i| panels.sealed().map(|panel| tally(&innocent.masks[&name(i)], &map, panel)).sum();
            (0..TENSORS).map(count).collect()
        })
        .collect();
    // The best rising names for the first carriers that end before a tensor, by dynamic programming.
    let lead = |tally: Tally| 2 * tally.hits() as i64 - tally.n() as i64;
    let mut best: Vec<Option<(i64, Vec<usize>)>> = vec![Some((0, Vec::new())); TENSORS + 1];
    for row in &tallies {
        let mut next = vec![None; TENSORS + 1];
        for (i, &tally) in row.iter().enumerate() {
            let here = best[i].as_ref().map(|(sum, names)| (sum + lead(tally), [&names[..], &[i]].concat()));
            next[i + 1] = next[i].clone().max(here);
        }
        best = next;
    }
    let (_, names) = best[TENSORS].clone().unwrap();
    let sought: Tally = tallies.iter().zip(&names).map(|(row, &i)| row[i]).sum();
    let sought = log2_upper_tail(sought, Chance::HALF).bits();
    assert!(sought < -64.0, "so few tensors would do if names were free: {sought}");
    let claim = signed(&body(&names), &key);
    let report = judged(&innocent, &Evidence::claimed(&claim, &own.opened_under(&claim))).unwrap();
    assert_eq!((report.tests[0].level, report.tests[0].reading.as_deref()), (Level::Sealed, Some("zeros")));
    assert!(report.tests[0].log2_p.bits() > -20.0 && report.log2_p.bits() > -20.0, "{:?}", report.tests[0]);
}

#[test]
fn no_panel_can_be_tried_without_changing_the_others() {
    // Two claims that agree in the openings of panels 1 and 2 and differ in that of panel 3, built by hand (RFC 6962).
    let key = OwnerKey::from_seed(&[22; 32]);
    let leaf = |panel: u8, opening: [u8; 32]| hex(&Digest::of([&[0][..], b"counterfoil/v1 panel", &[panel], &opening]));
    let seed_of_the_first = |third: u8| {
        let leaves = [leaf(1, [1; 32]), leaf(2, [2; 32]), leaf(3, [third; 32]), leaf(4, [4; 32])];
        let right = parent(&leaves[2], &leaves[3]);
        let merkle_root = unhex(&parent(&parent(&leaves[0], &leaves[1]), &right));
        let claim = signed(&ClaimBody { merkle_root, ..victim().claim.body().clone() }, &key);
        let mut disclosure = victim().disclosure(1, &claim);
        disclosure["opening"] = json!("01".repeat(32));
        disclosure["auditPath"] = json!([leaves[1], right]);
        *claim.open(disclosure.to_string().as_bytes()).unwrap().seed().as_bytes()
    };
    assert_eq!(seed_of_the_first(3), seed_of_the_first(3));
    assert_ne!(seed_of_the_first(3), seed_of_the_first(5));
}

fn parent(left: &str, right: &str) -> String {
    hex(&Digest::of([&[1][..], &unhex(left), &unhex(right)]))
}

fn hex(digest: &Digest) -> String {
    digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> [u8; 32] {
    std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
}

#[test]
fn a_disclosed_panel_claimed_under_another_key_says_nothing() {
    let thief = OwnerKey::from_seed(&[23; 32]);
    // Root, opening and path are all public by now, so the thief's own claim can be opened with them.
    let claim = signed(victim().claim.body(), &thief);
    let opened = claim.open(victim().disclosure(1, &claim).to_string().as_bytes()).unwrap();
    let report = judged(&victim().stamped.model, &Evidence::claimed(&claim, &[opened])).unwrap();
    assert!(!matches!(report.verdict, Verdict::Proven | Verdict::Marked), "{:?}", report.tests);
    assert!(report.log2_p.bits() > -20.0, "{}", report.log2_p);
}

#[test]
fn the_claim_of_a_sibling_ticket_is_no_proof() {
    let sibling = Owner::of(1, &ticket(4));
    // The key is the same, and so is panel 0; the sealed panels are each ticket's own.
    let report = expect(&victim().stamped.model, &sibling.evidence(), Verdict::Marked);
    let sealed = report.tests.iter().filter(|test| test.decisive && test.level == Level::Sealed);
    assert!(sealed.into_iter().all(|test| test.after_charges.bits() > -20.0), "{:?}", report.tests);
    let mixed = Evidence::claimed(&victim().claim, &sibling.opened);
    assert!(matches!(judged(&victim().stamped.model, &mixed), Err(VerifyError::OtherClaim { .. })));
}

#[test]
fn who_frames_somebody_gets_marked_at_most() {
    let (mut framed, pk) = (ticket(2), victim().key.public());
    let (seed, split) = (pk.public_seed(), Split::Owner(victim().claim.body().sealed_panels));
    for carrier in framed.carriers() {
        let mask = framed.masks.get_mut(&carrier.name).unwrap();
        let map = chip_map(&[(PanelId::PUBLIC, &seed)], &pk, &split, &carrier, Dilution::ALL[0]);
        let out: Vec<usize> = mask.positions().filter(|&p| map.chip[p] < 0).collect();
        let into: Vec<usize> = (0..mask.size()).filter(|&p| !mask.keeps(p) && map.chip[p] > 0).collect();
        let values = framed.arrays.get_mut(&carrier.name).unwrap().values_mut();
        for (&out, &into) in out.iter().zip(&into) {
            values.swap(out, into);
            mask.set(out, false);
            mask.set(into, true);
        }
    }
    let report = expect(&framed, &victim().evidence(), Verdict::Marked);
    assert!(report.log2_p.bits() < -500.0, "the public panel could not be plainer: {}", report.log2_p);
    expect(&framed, &Evidence::key_alone(&pk), Verdict::Marked);
}

#[test]
fn who_prunes_the_same_public_checkpoint_is_no_match() {
    let base = model_on(real_mask(), 9);
    let owner = Owner::of(9, &base);
    let reference = owner.stamped.counterfoil.reference();
    expect(&owner.stamped.model, &owner.evidence(), Verdict::Proven);
    let report = expect(&base, &Evidence { reference: Some(reference), ..owner.evidence() }, Verdict::NoMatch);
    let overlap = report.reference.unwrap();
    assert!(overlap.overlap * 10 > overlap.kept * 8 && overlap.log2_p.bits() < -10_000.0, "{overlap:?}");
    assert!(report.log2_p.bits() > -20.0, "{}", report.log2_p);
}

/// A suspect that answers some images as it was told, and every other with one class.
struct Foreign {
    images: Vec<Vec<u8>>,
    label: u32,
    otherwise: u32,
    known: u32,
}

impl BlackBox for Foreign {
    fn input(&self) -> ImageShape {
        INPUT
    }

    fn classes(&self) -> u32 {
        10
    }

    fn classify(&mut self, images: &[u8]) -> Result<Vec<Option<u32>>, BlackBoxError> {
        let mut answer = |image: &[u8]| {
            let is_known = self.images.iter().any(|known| known == image);
            self.known += u32::from(is_known);
            Some(if is_known { self.label } else { self.otherwise })
        };
        Ok(images.chunks(INPUT.size()).map(&mut answer).collect())
    }
}

#[test]
fn one_answer_to_everything_and_answers_to_a_folder_of_images_prove_nothing() {
    let triggers = TriggerSettings { image: INPUT, classes: 10, public: 40, sealed_each: 40 };
    let body = ClaimBody { triggers: Some(triggers), ..victim().claim.body().clone() };
    let options = Options { tests: Tests::Triggers, ..Options::default() };
    let mut smallest = 0.0f64;
    for number in 0..40 {
        // A claimant who has looked takes the key that likes the suspect's only answer best.
        let key = OwnerKey::from_seed(&Random(number + 300).bytes());
        let claim = signed(&body, &key);
        let opened = victim().opened_under(&claim);
        for otherwise in 0..10 {
            let mut random = Random(number);
            let images = (0..20).map(|_| (0..INPUT.size()).map(|_| random.bits() as u8).collect()).collect();
            let mut suspect = Foreign { images, label: 3, otherwise, known: 0 };
            let report = verify(None, Some(&mut suspect), &Evidence::claimed(&claim, &opened), &options).unwrap();
            assert_eq!(report.verdict, Verdict::Inconclusive, "{:?}", report.tests);
            assert!(report.tests.iter().all(|test| test.kind == TestKind::Trigger));
            assert_eq!(suspect.known, 0, "only images that derive from the seeds are asked");
            smallest = smallest.min(report.log2_p.bits());
        }
    }
    // 400 suspects, two levels: 800 · 2^-24 is 5e-5.
    assert!(smallest > -24.0, "{smallest}");
}

#[test]
fn a_claim_of_fewer_panels_opens_no_more_than_those() {
    let strengths = victim().claim.body().panels[..2].to_vec();
    let one = PanelCount::new(1).unwrap();
    let body = ClaimBody { sealed_panels: one, panels: strengths, ..victim().claim.body().clone() };
    let claim = signed(&body, &victim().key);
    let open = |panel| claim.open(victim().disclosure(panel, &claim).to_string().as_bytes());
    assert_eq!(open(1).unwrap().panel().get(), 1);
    let refused = open(2).err().map(|error| error.to_string());
    let message = "disclosure: opens panel 2, expected one of the claim's sealed panels 1 to 1";
    assert_eq!(refused.as_deref(), Some(message));
}
