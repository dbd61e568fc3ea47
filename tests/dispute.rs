//! Disputes: two marks on one model, and which was there first. Nobody becomes first by what he shows, and a thief who shows a
//! ticket that has nothing to do with the matter leaves it open.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use std::sync::OnceLock;

use counterfoil_acceptance::{Dispute, Folder, Owner, ticket};
use counterfoil_claim::{ClaimBody, ClaimError, Dilution, OpenedPanel, PanelId, Split, Subject, VerifiedClaim, sign};
use counterfoil_mark::{Log2P, chip_map};
use counterfoil_ticket::{LayerKind, Mask, Model, ModelFile};
use counterfoil_verify::{
    DisputeReport, Finding, Missing, Original, Outcome, Party, Piece, Side, Verdict, VerifyError, dispute,
};

/// Who was there first.
fn alice() -> &'static Owner {
    static ALICE: OnceLock<Owner> = OnceLock::new();
    ALICE.get_or_init(|| Owner::of(1, &ticket(1)))
}

/// Who has stamped what Alice had stamped.
fn bob() -> &'static Owner {
    static BOB: OnceLock<Owner> = OnceLock::new();
    BOB.get_or_init(|| Owner::of(2, &alice().stamped.model))
}

/// Who has nothing to do with either.
fn carol() -> &'static Owner {
    static CAROL: OnceLock<Owner> = OnceLock::new();
    CAROL.get_or_init(|| Owner::of(3, &ticket(3)))
}

/// What somebody shows.
#[derive(Clone, Copy)]
struct Shown<'a> {
    claim: &'a VerifiedClaim,
    disclosures: &'a [OpenedPanel],
    original: Option<&'a Model>,
}

fn all_of(owner: &Owner) -> Shown<'_> {
    Shown { claim: &owner.claim, disclosures: &owner.opened, original: Some(&owner.stamped.model) }
}

/// A dispute between two who show this.
fn between(shown: [Shown; 2], suspect: Option<&Model>) -> Result<DisputeReport, VerifyError> {
    at(-64.0, shown, suspect)
}

fn at(threshold: f64, shown: [Shown; 2], suspect: Option<&Model>) -> Result<DisputeReport, VerifyError> {
    let folder = Folder::new();
    let file = |name: &str, model: &Model| {
        folder.write_model(name, model);
        ModelFile::open(&folder.path(name)).unwrap()
    };
    let names = ["a", "b"];
    let originals: Vec<Option<Original>> = shown
        .iter()
        .zip(names)
        .map(|(shown, name)| shown.original.map(|model| Original::read(file(name, model)).unwrap()))
        .collect();
    let party =
        |i: usize| Party { claim: shown[i].claim, disclosures: shown[i].disclosures, original: originals[i].as_ref() };
    let suspect = suspect.map(|model| file("suspect", &Model { masks: Default::default(), ..model.clone() }));
    dispute([party(0), party(1)], suspect.as_ref(), Log2P::new(threshold).unwrap())
}

#[track_caller]
fn expect(report: &DisputeReport, outcome: Outcome, first: Option<Side>, findings: [Finding; 2]) {
    let found = report.parties.each_ref().map(|party| party.finding);
    assert_eq!((report.outcome, report.first, found), (outcome, first, findings), "{report:#?}");
    assert_eq!(report.would_decide.is_empty(), first.is_some(), "{:?}", report.would_decide);
}

#[test]
fn who_stamps_over_a_mark_was_second() {
    let suspect = Some(&bob().stamped.model);
    let report = between([all_of(alice()), all_of(bob())], suspect).unwrap();
    expect(&report, Outcome::OneInside, Some(Side::A), [Finding::Inside, Finding::NotInside]);
    let on_suspect = |report: &DisputeReport| report.parties.each_ref().map(|p| p.in_suspect.as_ref().unwrap().verdict);
    assert_eq!(on_suspect(&report), [Verdict::Proven, Verdict::Proven], "both are, which is why there is a dispute");
    assert_eq!(report.like, None, "the suspect is like both tickets");

    let swapped = between([all_of(bob()), all_of(alice())], suspect).unwrap();
    expect(&swapped, Outcome::OneInside, Some(Side::B), [Finding::NotInside, Finding::Inside]);
}

#[test]
fn the_times_that_claims_state_change_nothing() {
    let earlier = ClaimBody { created: "1970-01-01T00:00:00Z".to_owned(), ..bob().claim.body().clone() };
    let (claim, opened) = signed_by(bob(), &earlier);
    let dated = Shown { claim: &claim, disclosures: &opened, ..all_of(bob()) };
    let report = between([all_of(alice()), dated], None).unwrap();
    expect(&report, Outcome::OneInside, Some(Side::A), [Finding::Inside, Finding::NotInside]);
}

#[test]
fn two_tickets_that_were_not_made_from_each_other_are_undecided() {
    let report = between([all_of(alice()), all_of(carol())], None).unwrap();
    expect(&report, Outcome::NeitherInside, None, [Finding::NotInside; 2]);
}

/// The thief's seeds, under a claim about a ticket that Alice's has nothing to do with.
#[test]
fn who_shows_an_unrelated_original_gains_nothing_and_the_suspect_is_like_the_other() {
    let digest = carol().stamped.model.digest().unwrap();
    let subject = Subject { digest, ..bob().claim.body().subject.clone() };
    let (claim, opened) = signed_by(bob(), &ClaimBody { subject, ..bob().claim.body().clone() });
    let shown = Shown { claim: &claim, disclosures: &opened, original: Some(&carol().stamped.model) };
    let report = between([shown, all_of(alice())], Some(&bob().stamped.model)).unwrap();
    expect(&report, Outcome::NeitherInside, None, [Finding::NotInside; 2]);
    assert_eq!(report.parties[0].in_suspect.as_ref().unwrap().verdict, Verdict::Proven);
    assert_eq!(report.like, Some(Side::B));
}

/// The ticket with the channels within each block in another order: the same network.
fn permuted(model: &Model) -> Model {
    let net = model.description.architecture.as_ref().unwrap();
    let layers = net.layers();
    // What one layer writes and no shortcut passes on.
    let is_hidden = |group: usize| {
        let writers = layers.iter().filter(|layer| layer.to == group && layer.kind != LayerKind::Linear).count();
        writers == 1 && net.shortcuts().iter().all(|shortcut| shortcut.from != group && shortcut.to != group)
    };
    // Numbers of channels are powers of two, so that this is a permutation.
    let to = |group: usize, c: usize, size: u32| if is_hidden(group) { (5 * c + 3) % size as usize } else { c };
    let mut permuted = model.clone();
    for layer in &layers {
        let (name, shape) = (layer.weight(), layer.shape);
        let Some(old) = model.masks.get(&name) else { continue };
        let (inputs, taps) = (shape.inp as usize, shape.taps());
        let goes = |p: usize| {
            let (o, i, tap) = (p / taps / inputs, p / taps % inputs, p % taps);
            (to(layer.to, o, shape.out) * inputs + to(layer.from, i, shape.inp)) * taps + tap
        };
        let mut mask = Mask::from_fn(old.size(), |_| false);
        old.positions().for_each(|p| mask.set(goes(p), true));
        let old = &model.arrays[&name];
        let values = permuted.arrays.get_mut(&name).unwrap().values_mut();
        old.values().iter().enumerate().for_each(|(p, value)| values[goes(p)] = *value);
        permuted.masks.insert(name, mask);
    }
    permuted
}

/// Dora has found her ticket under her key, which is strong enough to pay for the alignment.
#[test]
fn permuting_channels_before_stamping_does_not_hide_whose_mark_was_first() {
    let dora = Owner::who_finds(5);
    let thief = Owner::of(2, &permuted(&dora.stamped.model));
    let suspect = Some(&thief.stamped.model);
    let report = between([all_of(&dora), all_of(&thief)], suspect).unwrap();
    expect(&report, Outcome::OneInside, Some(Side::A), [Finding::Inside, Finding::NotInside]);
    let in_other = report.parties[0].in_other.as_ref().unwrap();
    assert!(in_other.tests[in_other.decided_by.unwrap()].alignment.is_some());
    assert_eq!(report.like, None, "in place the suspect is like the thief's ticket, aligned like both");
}

/// Masks that are not those of the claim could be chosen for the other's original.
#[test]
fn an_original_with_other_masks_than_the_claim_s_is_no_reference() {
    let dora = Owner::who_finds(5);
    let thief = Owner::of(2, &permuted(&dora.stamped.model));
    let mut body = dora.claim.body().clone();
    body.carriers[3].kept += 1;
    let (claim, opened) = signed_by(&dora, &body);
    let shown = Shown { claim: &claim, disclosures: &opened, ..all_of(&dora) };
    let report = between([shown, all_of(&thief)], None).unwrap();
    expect(&report, Outcome::NeitherInside, None, [Finding::NotInside; 2]);
    let in_other = report.parties[0].in_other.as_ref().unwrap();
    assert!(in_other.tests.iter().all(|test| test.alignment.is_none()));
}

/// A mark by swaps cannot pay for an alignment that its claimant could have chosen; but nobody denies that it is there.
#[test]
fn a_mark_that_is_too_weak_for_an_alignment_leaves_it_undecided() {
    let thief = Owner::of(2, &permuted(&alice().stamped.model));
    let report = between([all_of(alice()), all_of(&thief)], Some(&thief.stamped.model)).unwrap();
    expect(&report, Outcome::Unclear, None, [Finding::Unclear, Finding::NotInside]);
    assert_eq!(report.like, None);
}

/// A claim about Alice's own ticket names an original without its own mark.
#[test]
fn who_claims_the_other_s_ticket_was_second() {
    let subject = alice().claim.body().subject.clone();
    let (claim, opened) = signed_by(bob(), &ClaimBody { subject, ..bob().claim.body().clone() });
    let shown = Shown { claim: &claim, disclosures: &opened, original: Some(&alice().stamped.model) };
    let report = between([shown, all_of(alice())], None).unwrap();
    expect(&report, Outcome::OneInside, Some(Side::B), [Finding::NotInside, Finding::Inside]);
}

/// Alice knows her seeds and can sign for any ticket, such as one that both have stamped. It does her no good.
#[test]
fn marks_inside_each_other_s_tickets_are_undecided() {
    let subject = bob().claim.body().subject.clone();
    let (claim, opened) = signed_by(alice(), &ClaimBody { subject, ..alice().claim.body().clone() });
    let shown = Shown { claim: &claim, disclosures: &opened, original: Some(&bob().stamped.model) };
    let report = between([shown, all_of(bob())], None).unwrap();
    expect(&report, Outcome::BothInside, None, [Finding::Inside; 2]);
}

/// Anybody can put somebody's public panel into his own ticket.
#[test]
fn a_public_panel_never_counts() {
    let (pk, split) = (alice().key.public(), Split::Owner(alice().claim.body().sealed_panels));
    let mut ticket = ticket(3);
    for carrier in ticket.carriers() {
        let mask = ticket.masks.get_mut(&carrier.name).unwrap();
        let map = chip_map(&[(PanelId::PUBLIC, &pk.public_seed())], &pk, &split, &carrier, Dilution::ALL[0]);
        let out: Vec<usize> = mask.positions().filter(|&p| map.chip[p] < 0).collect();
        let into: Vec<usize> = (0..mask.size()).filter(|&p| !mask.keeps(p) && map.chip[p] > 0).collect();
        for (&out, &into) in out.iter().zip(&into) {
            mask.set(out, false);
            mask.set(into, true);
        }
    }
    let framer = Owner::of(4, &ticket);
    let report = between([all_of(alice()), all_of(&framer)], None).unwrap();
    expect(&report, Outcome::NeitherInside, None, [Finding::NotInside; 2]);
    assert_eq!(report.parties[0].in_other.as_ref().unwrap().verdict, Verdict::Marked);
}

#[test]
fn what_is_missing_leaves_it_undecided() {
    let no_original = Shown { original: None, ..all_of(alice()) };
    let report = between([no_original, all_of(bob())], None).unwrap();
    expect(&report, Outcome::Incomplete, None, [Finding::Inside, Finding::Untested]);
    assert_eq!(report.missing, [Missing { side: Side::A, piece: Piece::Original }]);

    let no_disclosure = Shown { disclosures: &[], ..all_of(alice()) };
    let report = between([no_disclosure, all_of(bob())], Some(&bob().stamped.model)).unwrap();
    expect(&report, Outcome::Incomplete, None, [Finding::Untested, Finding::NotInside]);
    assert_eq!(report.missing, [Missing { side: Side::A, piece: Piece::Disclosure }]);
    assert_eq!(report.parties[0].in_suspect.as_ref().unwrap().verdict, Verdict::Marked, "panel 0 is everybody's");

    let nothing = |owner| Shown { disclosures: &[], original: None, ..all_of(owner) };
    let report = between([nothing(alice()), nothing(bob())], None).unwrap();
    expect(&report, Outcome::Incomplete, None, [Finding::Untested; 2]);
    assert_eq!((report.missing.len(), report.would_decide.len()), (4, 4));
}

#[test]
fn too_little_to_tell_leaves_it_undecided() {
    let shown = [all_of(alice()), all_of(bob())];
    let report = at(-50_000.0, shown, None).unwrap();
    expect(&report, Outcome::Unclear, None, [Finding::Unclear; 2]);
    let lax = at(-0.5, shown, None);
    assert!(matches!(lax, Err(VerifyError::Threshold { .. })));
}

#[test]
fn everybody_s_things_are_told_apart() {
    let wrong_key = VerifiedClaim::verify(alice().stamped.claim.as_bytes(), &bob().key.public());
    assert!(matches!(wrong_key, Err(ClaimError::OtherKey { .. })));
    let others_panels = Shown { disclosures: &carol().opened, ..all_of(alice()) };
    let error = between([others_panels, all_of(bob())], None).unwrap_err();
    assert!(matches!(error, VerifyError::OtherClaim { .. }), "{error}");
    let others_ticket = Shown { original: Some(&carol().stamped.model), ..all_of(alice()) };
    let error = between([others_ticket, all_of(bob())], None).unwrap_err();
    assert!(matches!(error, VerifyError::OtherOriginal { .. }), "{error}");
    let error = between([all_of(alice()); 2], None).unwrap_err();
    assert!(matches!(error, VerifyError::SameClaim { .. }), "{error}");
}

#[test]
fn the_report_has_the_fields_that_are_documented() {
    let report = between([all_of(alice()), all_of(carol())], Some(&bob().stamped.model)).unwrap();
    let read: Dispute = serde_json::from_value(serde_json::to_value(&report).unwrap()).unwrap();
    assert_eq!((read.version, read.outcome.as_str(), read.first), (1, "neither-inside", None));
    assert_eq!(read.like.as_deref(), Some("A"));
    assert_eq!(
        read.parties.map(|party| (party.side, party.finding)),
        [("A".to_owned(), "not-inside".to_owned()), ("B".to_owned(), "not-inside".to_owned())]
    );
    let no_original = Shown { original: None, ..all_of(alice()) };
    let report = between([no_original, all_of(bob())], None).unwrap();
    let read: Dispute = serde_json::from_value(serde_json::to_value(&report).unwrap()).unwrap();
    let missing: Vec<_> = read.missing.iter().map(|m| (m.side.as_str(), m.piece.as_str())).collect();
    assert_eq!(missing, [("A", "original")]);
}

/// Another claim of an owner, and its panels opened: the sealed seeds are those of his own ticket.
fn signed_by(owner: &Owner, body: &ClaimBody) -> (VerifiedClaim, Vec<OpenedPanel>) {
    let claim = VerifiedClaim::verify(sign(body, &owner.key).unwrap().as_bytes(), &owner.key.public()).unwrap();
    let opened = owner.opened_under(&claim);
    (claim, opened)
}
