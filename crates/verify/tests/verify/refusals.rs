//! Evidence that does not belong together.

use counterfoil_claim::PanelCount;
use counterfoil_mark::Log2P;
use counterfoil_ticket::Mask;
use counterfoil_verify::{Evidence, Options, VerifyError, verify};

use crate::kit::{NETWORK, Owner, file};

fn refusal(evidence: &Evidence) -> VerifyError {
    let suspect = file(&Owner::new(60).stamp(&NETWORK[..1], 0.1, 0.0).model());
    verify(Some(&suspect.file), None, evidence, &Options::default()).expect_err("the evidence is refused")
}

#[test]
fn a_claim_by_another_key_is_refused() {
    let (owner, other) = (Owner::new(61), Owner::new(62));
    let claim = owner.claim(&owner.stamp(&NETWORK, 0.1, 0.3));
    let error = refusal(&Evidence { claim: Some(&claim), ..Evidence::key_alone(&other.public) });
    let VerifyError::OtherKey { found, expected } = error else { panic!("{error}") };
    assert_eq!((found, expected), (owner.public.key_id(), other.public.key_id()));
}

#[test]
fn disclosures_need_their_claim_and_count_once() {
    let owner = Owner::new(63);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.3);
    let claim = owner.claim(&ticket);
    let twice = owner.disclose(&ticket, &claim, &[1, 2, 1]);
    assert_eq!(
        refusal(&Evidence::claimed(&claim, &twice)).to_string(),
        "disclosure: panel 1 is disclosed 2 times, expected once"
    );
    let error = refusal(&Evidence { claim: None, ..Evidence::claimed(&claim, &twice[1..]) });
    assert!(matches!(error, VerifyError::DisclosureWithoutClaim { panel: 2 }));

    let single = Owner { sealed: PanelCount::new(1).unwrap(), ..Owner::new(63) };
    let small = single.claim(&single.stamp(&NETWORK, 0.1, 0.3));
    let error = refusal(&Evidence::claimed(&small, &twice[1..2]));
    assert!(matches!(error, VerifyError::OtherClaim { panel: 2 }));
}

#[test]
fn a_reference_mask_of_another_size_is_refused() {
    let owner = Owner::new(64);
    let ticket = owner.stamp(&NETWORK[..1], 0.1, 0.3);
    let claim = owner.claim(&ticket);
    let reference = [(ticket.masks[0].0.clone(), Mask::full(7))];
    let error = refusal(&Evidence { reference: Some(&reference), ..Evidence::claimed(&claim, &[]) });
    assert!(matches!(error, VerifyError::ReferenceMask { found: 7, expected: 13_824, .. }));
}

#[test]
fn nothing_to_test_and_no_threshold_are_refused() {
    let owner = Owner::new(65);
    let evidence = Evidence::key_alone(&owner.public);
    let error = verify(None, None, &evidence, &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "no suspect to test: expected a model file or a black box");
    let options = Options { threshold: Log2P::new(-0.5).unwrap(), ..Options::default() };
    let suspect = file(&owner.stamp(&NETWORK[..1], 0.1, 0.0).model());
    let error = verify(Some(&suspect.file), None, &evidence, &options).unwrap_err();
    assert!(matches!(error, VerifyError::Threshold { found } if found.bits() == -0.5));
}
