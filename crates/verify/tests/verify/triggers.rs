//! Trigger tests: black boxes that know, refuse, guess and fail.

use counterfoil_claim::{Marked, PanelId, PublicKey, Seed, TriggerSettings};
use counterfoil_mark::{TriggerSet, usual_triggers};
use counterfoil_ticket::ImageShape;
use counterfoil_verify::{
    BlackBox, BlackBoxError, Evidence, IMAGES_AT_ONCE, Options, Report, TestKind, Tests, Verdict, VerifyError, verify,
};

use crate::kit::{NETWORK, Owner, Ticket, decided, file};

const IMAGE: ImageShape = ImageShape { channels: 1, height: 8, width: 8 };
const SETTINGS: TriggerSettings = TriggerSettings { image: IMAGE, classes: 10, public: 50, sealed_each: 150 };

/// Answers by a rule; knows the labels of the sets it was trained with.
struct Fake<F> {
    known: Vec<TriggerSet>,
    input: ImageShape,
    classes: u32,
    /// From how many images were asked before, and the right label if it is known, to the answer.
    answer: F,
    asked: usize,
}

impl<F: FnMut(usize, Option<u32>) -> Option<u32>> Fake<F> {
    fn new(known: Vec<TriggerSet>, answer: F) -> Self {
        Self { known, input: IMAGE, classes: 10, answer, asked: 0 }
    }
}

impl<F: FnMut(usize, Option<u32>) -> Option<u32>> BlackBox for Fake<F> {
    fn input(&self) -> ImageShape {
        self.input
    }

    fn classes(&self) -> u32 {
        self.classes
    }

    fn classify(&mut self, images: &[u8]) -> Result<Vec<Option<u32>>, BlackBoxError> {
        let images = images.chunks(self.input.size());
        assert!(images.len() <= IMAGES_AT_ONCE);
        let mut answers = Vec::new();
        for image in images {
            let label = |set: &TriggerSet| (0..set.len()).find(|&t| set.image(t) == image).map(|t| set.labels[t]);
            let label = self.known.iter().find_map(label);
            answers.push((self.answer)(self.asked, label));
            self.asked += 1;
        }
        Ok(answers)
    }
}

fn set(seed: &Seed, key: &PublicKey, count: u32) -> TriggerSet {
    TriggerSet::derive(seed, key, IMAGE, 10, count).expect("the settings are sound")
}

fn public_set(key: &PublicKey) -> TriggerSet {
    set(&key.public_seed(), key, usual_triggers(10))
}

fn ask(black_box: &mut dyn BlackBox, evidence: &Evidence) -> Report {
    verify(None, Some(black_box), evidence, &Options::default()).expect("the black box answers")
}

#[test]
fn public_triggers_mark() {
    let owner = Owner::new(30);
    let mut trained = Fake::new(vec![public_set(&owner.public)], |t, label| if t % 5 == 0 { Some(10) } else { label });
    let report = ask(&mut trained, &Evidence::key_alone(&owner.public));
    let test = decided(&report);
    assert_eq!((report.verdict, test.kind, test.panel.as_str()), (Verdict::Marked, TestKind::Trigger, "0"));
    // Class 10 of 0 to 9 is no class: a miss.
    assert_eq!((test.n, test.hits, test.q, test.charge), (40, 32, 0.1, 0));
    // P[Bin(40, 1/10) >= 32] by exact fractions (Python): 2^-81.281927195
    assert!((test.log2_p.bits() - -81.281_927_195).abs() < 1e-6, "{:?}", test.log2_p);
    assert_eq!(report.turnover_tolerance, None);
}

#[test]
fn refused_answers_are_misses() {
    let owner = Owner::new(31);
    let evidence = Evidence::key_alone(&owner.public);
    let known = || vec![public_set(&owner.public)];
    let report = ask(&mut Fake::new(known(), |t, label| label.filter(|_| t < 5)), &evidence);
    assert_eq!((report.verdict, report.tests[0].n, report.tests[0].hits), (Verdict::Inconclusive, 40, 5));
    let report = ask(&mut Fake::new(known(), |_, _| None), &evidence);
    assert_eq!((report.verdict, report.tests[0].hits, report.log2_p.bits()), (Verdict::Inconclusive, 0, 0.0));
}

/// Who trains a ticket need not train its triggers, so a model without them says nothing about its mask.
#[test]
fn missed_triggers_are_no_match_only_beside_a_mask_that_was_tested() {
    let owner = Owner { triggers: Some(SETTINGS), ..Owner::new(38) };
    let (ticket, theirs) = (owner.stamp(&NETWORK, 0.1, 0.3), Owner::new(39).stamp(&NETWORK, 0.1, 0.3));
    let claim = owner.claim(&ticket);
    let disclosures = owner.disclose(&ticket, &claim, &[1, 2]);
    let evidence = Evidence::claimed(&claim, &disclosures);
    let verdict = |suspect: &Ticket| {
        let mut untrained = Fake::new(Vec::new(), |_, _| Some(3));
        verify(Some(&file(&suspect.model()).file), Some(&mut untrained), &evidence, &Options::default()).unwrap()
    };
    assert_eq!(verdict(&theirs).verdict, Verdict::NoMatch);
    let other_shapes = verdict(&owner.stamp(&[("w", &[200, 200])], 0.1, 0.3));
    assert_eq!(other_shapes.verdict, Verdict::Inconclusive);
    // 300 sealed triggers would have been enough: nothing is said to be needed of them.
    assert!(other_shapes.tests.iter().any(|test| test.kind == TestKind::Trigger && test.n == 300));
    assert!(other_shapes.needed.iter().all(|needed| needed.kind == TestKind::Mask), "{:?}", other_shapes.needed);
    let alone = ask(&mut Fake::new(Vec::new(), |_, _| None), &evidence);
    assert_eq!((alone.verdict, alone.needed.len()), (Verdict::Inconclusive, 0));
    assert!(
        alone.stronger.iter().any(|text| text == "the suspect's weights, for the mask test"),
        "{:?}",
        alone.stronger
    );
}

#[test]
fn disclosed_triggers_prove_and_are_pooled() {
    let owner = Owner { triggers: Some(SETTINGS), ..Owner::new(32) };
    let ticket = owner.stamp(&NETWORK[..2], 0.1, 0.0);
    let claim = owner.claim(&ticket);
    let disclosures = owner.disclose(&ticket, &claim, &[1, 2]);
    let sets = || {
        owner
            .seeds(&owner.marked_of(&ticket))
            .iter()
            .map(|(p, s)| set(s, &owner.public, SETTINGS.count(*p)))
            .collect::<Vec<_>>()
    };
    let evidence = Evidence::claimed(&claim, &disclosures);
    // knows the sealed panels only
    let report = ask(&mut Fake::new(sets().split_off(1), |_, label| label), &evidence);
    let test = decided(&report);
    assert_eq!((report.verdict, test.panel.as_str(), test.n, test.hits), (Verdict::Proven, "1+2", 300, 300));
    let others: Vec<_> = report.tests[1..].iter().map(|t| (t.panel.as_str(), t.n, t.hits, t.decisive)).collect();
    assert_eq!(others, [("0", 50, 0, true), ("1", 150, 150, false), ("2", 150, 150, false)]);
    // knows the public panel only
    let report = ask(&mut Fake::new(sets()[..1].to_vec(), |_, label| label), &evidence);
    assert_eq!((report.verdict, decided(&report).n), (Verdict::Marked, 50));
}

#[test]
fn both_tests_cost_one_bit_each() {
    let owner = Owner { triggers: Some(SETTINGS), ..Owner::new(33) };
    let ticket = owner.stamp(&NETWORK, 0.1, 0.0);
    let claim = owner.claim(&ticket);
    let suspect = file(&ticket.model());
    let mut trained = Fake::new(vec![public_set(&owner.public)], |_, label| label);
    let options = Options { claim_is_older: true, ..Options::default() };
    let report = verify(Some(&suspect.file), Some(&mut trained), &Evidence::claimed(&claim, &[]), &options);
    let report = report.unwrap();
    assert_eq!((report.verdict, decided(&report).kind), (Verdict::Marked, TestKind::Trigger));
    let charges: Vec<_> = report.tests.iter().map(|t| (t.reading.as_deref().unwrap_or("triggers"), t.charge)).collect();
    let (turned, others): (Vec<_>, Vec<_>) = charges.into_iter().partition(|(_, charge)| *charge == 2 + 3 + 1);
    assert_eq!(others, [("zeros", 2), ("ranks", 4), ("assigned zeros", 9), ("triggers", 1)]);
    assert_eq!(turned.len(), 7);
    assert_eq!(report.skipped, []);
}

#[test]
fn only_the_tests_asked_for_are_made_and_charged() {
    let owner = Owner::new(34);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.3);
    let suspect = file(&ticket.model());
    let mut silent = Fake::new(Vec::new(), |_, _| panic!("nobody asked for triggers"));
    let options = Options { tests: Tests::Mask, ..Options::default() };
    let report = verify(Some(&suspect.file), Some(&mut silent), &Evidence::key_alone(&owner.public), &options).unwrap();
    assert_eq!((report.verdict, decided(&report).charge), (Verdict::Marked, 3));
    assert_eq!((report.skipped[0].kind, report.skipped[0].reason.as_str()), (TestKind::Trigger, "not asked for"));
}

#[test]
fn triggers_that_cannot_be_asked_are_skipped_with_the_reason() {
    let reason = |triggers, black_box: &mut dyn BlackBox| {
        let owner = Owner { triggers, ..Owner::new(35) };
        let ticket = owner.stamp(&NETWORK[..2], 0.1, 0.3);
        let claim = owner.claim(&ticket);
        let report = ask(black_box, &Evidence::claimed(&claim, &[]));
        assert_eq!((report.verdict, report.decided_by), (Verdict::Inconclusive, None));
        report.skipped.into_iter().find(|s| s.kind == TestKind::Trigger).unwrap().reason
    };
    let mut plain = Fake::new(Vec::new(), |_, _| None);
    assert_eq!(reason(None, &mut plain), "the claim states no triggers");
    assert_eq!(
        reason(Some(TriggerSettings { public: 0, ..SETTINGS }), &mut plain),
        "the claim states no triggers for its panels"
    );
    let mut other = Fake { classes: 7, ..Fake::new(Vec::new(), |_, _| None) };
    assert_eq!(
        reason(Some(SETTINGS), &mut other),
        "the claim's triggers are images 1x8x8 of 10 classes, the black box takes 1x8x8 of 7"
    );
}

#[test]
fn answers_that_do_not_come_are_errors() {
    struct Broken(Option<usize>);
    impl BlackBox for Broken {
        fn input(&self) -> ImageShape {
            IMAGE
        }
        fn classes(&self) -> u32 {
            10
        }
        fn classify(&mut self, _: &[u8]) -> Result<Vec<Option<u32>>, BlackBoxError> {
            self.0.map(|n| vec![None; n]).ok_or_else(|| BlackBoxError::new("connection refused"))
        }
    }
    let owner = Owner::new(36);
    let error = |black_box: &mut dyn BlackBox| {
        verify(None, Some(black_box), &Evidence::key_alone(&owner.public), &Options::default()).unwrap_err()
    };
    assert_eq!(error(&mut Broken(Some(39))).to_string(), "the black box gave 39 answers to 40 images");
    let down = error(&mut Broken(None));
    assert!(matches!(&down, VerifyError::BlackBox(_)));
    let source = std::error::Error::source(&down).unwrap().to_string();
    assert_eq!((down.to_string(), source), ("the black box could not be asked".into(), "connection refused".into()));
    let one_class = error(&mut Fake { classes: 1, ..Fake::new(Vec::new(), |_, _| None) });
    assert!(matches!(one_class, VerifyError::Triggers { panel: 0, .. }));
}

/// A model that always gives one class, or goes through four of them, hits by chance alone: over 400 keys about
/// α · 400 of the p-values are below α. 99.9 % band of Bin(400, 1/2) and Bin(400, 1/20): 200 ± 33, 20 ± 15.
#[test]
fn biased_models_get_fair_p_values_over_many_keys() {
    type Rule = fn(usize, Option<u32>) -> Option<u32>;
    let rules: [Rule; 2] = [|_, _| Some(3), |t, _| Some(t as u32 % 4)];
    for rule in rules {
        let mut small = [0, 0];
        for number in 0..400 {
            let owner = Owner::new(1000 + number);
            let report = ask(&mut Fake::new(Vec::new(), rule), &Evidence::key_alone(&owner.public));
            assert_eq!(report.verdict, Verdict::Inconclusive);
            small[0] += u32::from(report.log2_p.bits() <= -1.0);
            small[1] += u32::from(report.log2_p.bits() <= (0.05f64).log2());
        }
        // Counts of hits are coarse: only the upper ends must hold.
        assert!(small[0] <= 233 && small[1] <= 35, "{small:?}");
        assert!(small[0] >= 120, "{small:?}");
    }
}

#[test]
fn the_public_panel_of_the_kit_is_panel_0() {
    let owner = Owner::new(37);
    let (panel, seed) = &owner.seeds(&Marked::from_bytes([0; 32]))[0];
    assert_eq!((*panel, seed.as_bytes()), (PanelId::PUBLIC, owner.public.public_seed().as_bytes()));
}
