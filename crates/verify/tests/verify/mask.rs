//! Mask tests: which suspects are proven, marked, inconclusive and no match.

use counterfoil_claim::PanelId;
use counterfoil_mark::{Chance, Tally, Turn, log2_upper_tail};
use counterfoil_ticket::{Mask, Model, ReadError};
use counterfoil_verify::{
    CarrierState, Evidence, Level, MAX_ROW, Options, Report, TestKind, Verdict, VerifyError, verify,
};

use crate::kit::{NETWORK, Owner, Random, array, change, decided, dilution, file, look, raw_file, rename};

#[test]
fn disclosed_panels_under_a_claim_prove() {
    let owner = Owner::new(1);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.3);
    let claim = owner.claim(&ticket);
    let disclosures = owner.disclose(&ticket, &claim, &[2, 1]);
    let report = look(&ticket.model(), &Evidence::claimed(&claim, &disclosures));

    assert_eq!(report.verdict, Verdict::Proven);
    let [one, two] = [1, 2].map(|panel| owner.carried(&ticket, PanelId::new(panel).unwrap()));
    let test = decided(&report);
    assert_eq!((test.panel.as_str(), test.n, test.hits), ("1+2", one.n() + two.n(), one.hits() + two.hits()));
    // 1 for the reading, 2 for which of two panels are shown, 4 for the layout
    assert_eq!((test.level, test.reading.as_deref(), test.charge), (Level::Sealed, Some("zeros"), 1 + 2 + 4));
    assert_eq!(test.log2_p, log2_upper_tail(one + two, Chance::HALF));
    assert_eq!(report.log2_p.bits(), test.log2_p.bits() + 7.0);
    let expected = 1.0 - ((-71.0) / test.log2_p.bits()).sqrt();
    assert!((report.turnover_tolerance.unwrap() - expected).abs() < 1e-12);

    let single: Vec<_> = report.tests.iter().filter(|t| !t.decisive).map(|t| (t.panel.as_str(), t.n, t.hits)).collect();
    assert_eq!(single, [("1", one.n(), one.hits()), ("2", two.n(), two.hits())]);
    let hits: u64 = report.carriers.iter().map(|carrier| carrier.hits).sum();
    assert_eq!((report.carriers.len(), hits), (6, test.hits));
    assert!(report.carriers.iter().all(|c| c.state == CarrierState::Counted && c.tensor.as_ref() == Some(&c.carrier)));
    assert_eq!(report.stronger, ["the suspect's weights"; 0]);
}

#[test]
fn one_disclosed_panel_proves_alone() {
    let owner = Owner::new(2);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.4);
    let claim = owner.claim(&ticket);
    let report = look(&ticket.model(), &Evidence::claimed(&claim, &owner.disclose(&ticket, &claim, &[2])));
    assert_eq!((report.verdict, decided(&report).panel.as_str()), (Verdict::Proven, "2"));
    assert_eq!(report.stronger, ["a disclosure of each of these sealed panels: 1"]);
}

#[test]
fn the_key_alone_finds_the_public_mark_at_any_dilution() {
    for d in [1, 2, 4, 8] {
        let owner = Owner { dilution: dilution(d), ..Owner::new(3) };
        let ticket = owner.stamp(&NETWORK, 0.1, 0.7);
        let report = look(&ticket.model(), &Evidence::key_alone(&owner.public));
        let test = decided(&report);
        let carried = owner.carried(&ticket, PanelId::PUBLIC);
        assert_eq!((report.verdict, test.level, test.dilution), (Verdict::Marked, Level::Public, Some(d)));
        assert_eq!((test.panel.as_str(), test.n, test.hits, test.charge), ("0", carried.n(), carried.hits(), 3));
        assert_eq!(report.tests.len(), 4, "zeros at four dilutions were enough");
        assert_eq!(report.claim, None);
    }
}

#[test]
fn a_claim_without_disclosures_marks() {
    let owner = Owner::new(4);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.3);
    let claim = owner.claim(&ticket);
    let report = look(&ticket.model(), &Evidence::claimed(&claim, &[]));
    assert_eq!((report.verdict, decided(&report).charge), (Verdict::Marked, 1 + 2 + 3));
    assert_eq!(report.stronger, ["a disclosure of each of these sealed panels: 1, 2"]);
}

#[test]
fn another_key_or_another_ticket_is_no_match() {
    let (owner, other) = (Owner::new(5), Owner::new(6));
    let ticket = owner.stamp(&NETWORK, 0.1, 0.3);
    let report = look(&ticket.model(), &Evidence::key_alone(&other.public));
    assert_eq!((report.verdict, report.needed.len()), (Verdict::NoMatch, 0));
    assert!(report.log2_p.bits() > -20.0);
    // zeros, six densities, seven turns and the assignment, at four dilutions each
    assert_eq!(report.tests.len(), 60);

    let theirs = other.stamp(&NETWORK, 0.1, 0.3);
    let claim = other.claim(&theirs);
    let report = look(&ticket.model(), &Evidence::claimed(&claim, &other.disclose(&theirs, &claim, &[1, 2])));
    assert_eq!(report.verdict, Verdict::NoMatch);
}

#[test]
fn too_few_kept_positions_are_inconclusive_and_the_report_says_how_many_would_do() {
    let owner = Owner::new(7);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.3);
    let claim = owner.claim(&ticket);
    let mut model = ticket.model();
    let mut random = Random(1);
    change(&mut model, |v| if random.share() < 0.04 { v } else { 0.0 });
    // About 340 positions are left, 170 a half: enough if all of them agreed, not at the claimed share of 0.65.
    let report = look(&model, &Evidence::claimed(&claim, &owner.disclose(&ticket, &claim, &[1, 2])));
    assert_eq!(report.verdict, Verdict::Inconclusive);
    let sealed = report.needed.iter().find(|needed| needed.level == Level::Sealed).unwrap();
    assert_eq!((sealed.kind, sealed.panel.as_str()), (TestKind::Mask, "1+2"));
    assert!((100..250).contains(&sealed.n), "{}", sealed.n);
    // 65 or 66 bits, at the relative entropy of the claimed share, about 0.065 bits a position; less log2 of √(2πn · share
    // · (1 − share)), some 5 bits, by which a tail is below Chernoff's bound.
    let claimed =
        [1, 2].map(|panel| owner.carried(&ticket, PanelId::sealed(panel).unwrap())).into_iter().sum::<Tally>();
    let share = claimed.hits() as f64 / claimed.n() as f64;
    let entropy = share * (2.0 * share).log2() + (1.0 - share) * (2.0 - 2.0 * share).log2();
    let bits = sealed.needed.unwrap() as f64 * entropy;
    assert!((59.0..65.0).contains(&bits), "{bits} at a share of {share}");
    assert!(report.stronger.iter().any(|s| s.ends_with("more positions of panel 1+2")), "{:?}", report.stronger);

    // With the key alone nobody states a share; a mark as strong as stamps are takes 160 positions that all agree.
    let mut random = Random(2);
    change(&mut model, |v| if random.share() < 0.2 { v } else { 0.0 });
    let report = look(&model, &Evidence::key_alone(&owner.public));
    assert_eq!((report.verdict, report.needed.len()), (Verdict::Inconclusive, 1));
    assert_eq!(report.needed[0].needed, Some(160 + 3));
}

/// What is left could show a mark of dilution 1, but the key alone does not say that it is not 8.
#[test]
fn a_mark_out_of_reach_at_one_dilution_is_no_match_at_none() {
    let (owner, other) = (Owner { dilution: dilution(8), ..Owner::new(31) }, Owner::new(33));
    let ticket = owner.stamp(&NETWORK, 0.1, 0.7);
    let mut model = ticket.model();
    let evidence = Evidence::key_alone(&other.public);
    let zeros = |report: &Report, d| {
        report.tests.iter().find(|t| (t.reading.as_deref(), t.dilution) == (Some("zeros"), Some(d))).unwrap().n
    };
    let report = look(&model, &evidence);
    assert!(zeros(&report, 8) > 163);
    assert_eq!(report.verdict, Verdict::NoMatch, "enough at dilution 8 too");

    let mut random = Random(3);
    change(&mut model, |v| if random.share() < 0.1 { v } else { 0.0 });
    let report = look(&model, &evidence);
    assert!(zeros(&report, 1) > 300 && zeros(&report, 8) < 100, "{:?}", report.tests);
    assert_eq!((report.verdict, report.needed.len()), (Verdict::Inconclusive, 1));
    assert_eq!((report.needed[0].n, report.needed[0].needed), (zeros(&report, 8), Some(160 + 3)));
}

/// A mark that is there, but worn down below the threshold, is not denied.
#[test]
fn a_suspect_that_says_something_of_the_mark_is_not_cleared() {
    let owner = Owner::new(34);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.7);
    let claim = owner.claim(&ticket);
    let (mut model, mut random) = (ticket.model(), Random(5));
    // A quarter of the kept weights stays, and three times as many others come: the share of chips +1 falls from 0.85 to 0.58.
    change(&mut model, |v| {
        if v != 0.0 && random.share() < 0.25 || v == 0.0 && random.share() < 0.08 { random.weight() } else { 0.0 }
    });
    for evidence in [Evidence::claimed(&claim, &[]), Evidence::key_alone(&owner.public)] {
        let report = look(&model, &evidence);
        assert!((-64.0..-20.0).contains(&report.log2_p.bits()), "{}", report.log2_p);
        assert_eq!(report.verdict, Verdict::Inconclusive);
    }
}

/// All orders of so many tensors cost more than the mark can pay.
#[test]
fn decoys_that_price_the_order_out_of_reach_make_no_stranger() {
    let owner = Owner { dilution: dilution(8), ..Owner::new(35) };
    let ticket = owner.stamp(&NETWORK, 0.1, 0.7);
    let claim = owner.claim(&ticket);
    let mut model = rename(ticket.model(), |name| match name.strip_prefix("layer") {
        Some(rest) if !rest.starts_with('5') => format!("z{}", rest.replace('1', "5")),
        _ => name.to_owned(),
    });
    let mut random = Random(6);
    for i in 0..120 {
        let weight = (0..48 * 288).map(|_| if random.share() < 0.1 { random.weight() } else { 0.0 }).collect();
        model.arrays.insert(format!("decoy{i}.weight"), array(&[48, 32, 3, 3], weight));
    }
    let report = look(&model, &Evidence::claimed(&claim, &[]));
    let assigned = report.tests.iter().find(|t| t.reading.as_deref() == Some("assigned zeros")).unwrap();
    assert!(assigned.charge > 600 && assigned.log2_p.bits() < -64.0, "{assigned:?}");
    assert_eq!(report.verdict, Verdict::Inconclusive);
}

#[test]
fn equal_magnitudes_are_no_ranks_and_wide_rows_are_refused() {
    let owner = Owner::new(36);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.7);
    let claim = owner.claim(&ticket);
    let (mut model, mut random) = (ticket.model(), Random(7));
    change(&mut model, |_| random.weight().signum());
    for evidence in [Evidence::claimed(&claim, &[]), Evidence::key_alone(&owner.public)] {
        assert_eq!(look(&model, &evidence).verdict, Verdict::Inconclusive);
    }
    let wide = Model { arrays: [("w".to_owned(), array(&[1, MAX_ROW + 1], vec![1.0; MAX_ROW + 1]))].into(), ..model };
    let error = verify(Some(&file(&wide).file), None, &Evidence::key_alone(&owner.public), &Options::default());
    let expected = "tensor 'w' has 4194305 weights for each output, expected at most 4194304";
    assert_eq!(error.unwrap_err().to_string(), expected);
}

/// Ranks at one half could show a mark, but the ticket may have kept one in a hundred.
#[test]
fn without_zeros_every_density_has_to_be_within_reach() {
    let owner = Owner::new(32);
    let mut model = owner.stamp(&NETWORK, 0.1, 0.0).model();
    let mut random = Random(4);
    change(&mut model, |v| if v == 0.0 { random.weight() * 0.01 } else { v });
    let report = look(&model, &Evidence::key_alone(&owner.public));
    let ranks = |report: &Report, density: &str, d| {
        report.tests.iter().find(|t| (t.reading.as_deref(), t.dilution) == (Some(density), Some(d))).unwrap().n
    };
    // 85,000 positions, of which 1/100 in panel 0 and active at dilution 8 are some 53
    assert!(ranks(&report, "ranks 0.01", 8) < 70 && ranks(&report, "ranks 0.5", 8) > 1000);
    assert_eq!(report.verdict, Verdict::Inconclusive);
    let expected = (ranks(&report, "ranks 0.01", 8), Some(160 + 7));
    assert_eq!((report.needed[0].n, report.needed[0].needed), expected);

    // A weight that happens to be 0 makes no mask of the layer.
    for name in ["layer1.weight", "layer2.weight", "layer5.weight"] {
        model.arrays.get_mut(name).unwrap().values_mut()[77] = 0.0;
    }
    let report = look(&model, &Evidence::key_alone(&owner.public));
    assert!(ranks(&report, "zeros", 8) > 1000);
    assert_eq!((report.verdict, report.needed[0].needed), (Verdict::Inconclusive, Some(160 + 7)));

    let wide: Vec<(&str, &[usize])> = vec![("a.weight", &[192, 96, 3, 3]), ("b.weight", &[192, 96, 3, 3])];
    let mut model = owner.stamp(&wide, 0.1, 0.0).model();
    change(&mut model, |v| if v == 0.0 { random.weight() * 0.01 } else { v });
    let report = look(&model, &Evidence::key_alone(&owner.public));
    assert!(ranks(&report, "ranks 0.01", 8) > 166, "{}", ranks(&report, "ranks 0.01", 8));
    assert_eq!(report.verdict, Verdict::NoMatch);
}

#[test]
fn a_suspect_without_the_claimed_shapes_is_inconclusive() {
    let owner = Owner::new(8);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.3);
    let claim = owner.claim(&ticket);
    let other = owner.stamp(&[("w", &[20, 20])], 0.1, 0.3);
    let report = look(&other.model(), &Evidence::claimed(&claim, &[]));
    assert_eq!((report.verdict, report.log2_p.bits(), decided(&report).n), (Verdict::Inconclusive, 0.0, 0));
    let reasons: Vec<_> = report.skipped.iter().map(|s| s.reason.as_str()).collect();
    assert!(reasons.contains(&"the suspect has no tensor of any claimed shape, so there was nothing to count"));
    assert!(report.carriers.iter().all(|c| c.state == CarrierState::Missing && c.tensor.is_none()));
}

#[test]
fn a_dense_suspect_is_read_by_rank_at_the_claimed_densities() {
    let owner = Owner::new(9);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.3);
    let claim = owner.claim(&ticket);
    let mut model = ticket.model();
    let mut random = Random(3);
    change(&mut model, |v| if v == 0.0 { 0.2 * random.weight() } else { v });
    // Scaling channels up would put whole rows on top of plain |w|.
    let first = model.arrays.get_mut("layer1.weight").unwrap();
    first.values_mut()[..12 * 288].iter_mut().for_each(|v| *v *= 1000.0);
    let report = look(&model, &Evidence::claimed(&claim, &owner.disclose(&ticket, &claim, &[1, 2])));
    let test = decided(&report);
    assert_eq!((report.verdict, test.reading.as_deref(), test.charge), (Verdict::Proven, Some("ranks"), 3 + 6));
    // zeros of two levels, no carrier has one: nothing was counted
    let zeros: Vec<u64> = report.tests.iter().filter(|t| t.reading.as_deref() == Some("zeros")).map(|t| t.n).collect();
    assert_eq!(zeros, [0; 4]);
}

#[test]
fn a_dense_suspect_is_read_by_rank_at_the_ladder_with_the_key_alone() {
    let owner = Owner { dilution: dilution(2), ..Owner::new(10) };
    let ticket = owner.stamp(&NETWORK, 0.1, 0.6);
    let mut model = ticket.model();
    let mut random = Random(4);
    change(&mut model, |v| if v == 0.0 { 0.2 * random.weight() } else { v });
    let report = look(&model, &Evidence::key_alone(&owner.public));
    let test = decided(&report);
    assert_eq!((report.verdict, test.reading.as_deref(), test.dilution), (Verdict::Marked, Some("ranks 0.1"), Some(2)));
    assert_eq!(test.charge, 5 + 2);
}

#[test]
fn a_shared_prefix_changes_nothing() {
    let owner = Owner::new(11);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.3);
    let claim = owner.claim(&ticket);
    let evidence = Evidence::claimed(&claim, &[]);
    let plain = look(&ticket.model(), &evidence);
    let wrapped = raw_file(&rename(ticket.model(), |name| format!("module.{name}")));
    assert_eq!(verify(Some(&wrapped.file), None, &evidence, &Options::default()).unwrap(), plain);
}

#[test]
fn new_names_in_the_same_order_cost_nothing() {
    let owner = Owner::new(12);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.3);
    let claim = owner.claim(&ticket);
    let report = look(&rename(ticket.model(), |name| format!("block.{name}.x")), &Evidence::claimed(&claim, &[]));
    assert_eq!((report.verdict, decided(&report).reading.as_deref()), (Verdict::Marked, Some("zeros")));
    assert_eq!(report.carriers[0].tensor.as_deref(), Some("block.layer1.weight.x"));
}

#[test]
fn names_that_change_the_order_are_assigned_back() {
    let owner = Owner::new(13);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.4);
    let claim = owner.claim(&ticket);
    let shuffled = |name: &str| match name {
        "layer1.weight" => "q".to_owned(),
        "layer2.weight" => "a".to_owned(),
        "layer3.weight" => "z".to_owned(),
        "layer4.weight" => "e".to_owned(),
        other => other.to_owned(),
    };
    let model = rename(ticket.model(), shuffled);
    // The carrier of a shape of its own would do alone: drown it.
    let drown = |mut model: Model| {
        let mut random = Random(6);
        let values = (0..96 * 288).map(|_| if random.share() < 0.1 { 1.0 } else { 0.0 }).collect();
        model.arrays.insert("layer5.weight".to_owned(), array(&[96, 32, 3, 3], values));
        model
    };
    let mut model = drown(model);
    let evidence = Evidence::claimed(&claim, &[]);
    let report = look(&model, &evidence);
    let test = decided(&report);
    // ranks and assignment: 1 + 1 bits, 1 for the turns; 4! = 24 orders: 5 bits more
    assert_eq!((report.verdict, test.reading.as_deref()), (Verdict::Marked, Some("assigned zeros")));
    assert_eq!(test.charge, 8 + 2 + 3, "and 2 for D, 3 for the list of carriers");
    let tensors: Vec<_> = report.carriers.iter().map(|c| c.tensor.as_deref().unwrap()).collect();
    assert_eq!(tensors, ["q", "a", "z", "e", "layer5.weight", "linear.weight"]);

    // A stranger among them: five tensors for four carriers, 5! = 120 orders: 7 bits.
    let mut random = Random(7);
    let values = (0..48 * 288).map(|_| if random.share() < 0.1 { 1.0 } else { 0.0 }).collect();
    model.arrays.insert("b".to_owned(), array(&[48, 32, 3, 3], values));
    let report = look(&model, &evidence);
    // Six of seven carriers, under four of five ordinals: 8 · 7 · 5 lists, 9 bits; and 2 for D.
    assert_eq!((report.verdict, decided(&report).charge), (Verdict::Marked, 3 + 7 + 9 + 2));
    assert_eq!(report.carriers[1].tensor.as_deref(), Some("a"));

    // Two are gone: the others still stand for what they were.
    model.arrays.remove("b");
    model.arrays.remove("q");
    model.arrays.remove("z");
    let report = look(&model, &evidence);
    assert_eq!(decided(&report).charge, 8 + 2 + 3);
    let found: Vec<_> = report.carriers[..4].iter().map(|c| (c.tensor.as_deref(), c.state)).collect();
    let (missing, counted) = (CarrierState::Missing, CarrierState::Counted);
    assert_eq!(found, [(None, missing), (Some("a"), counted), (None, missing), (Some("e"), counted)]);
}

#[test]
fn a_mask_tensor_decides_over_values() {
    let owner = Owner::new(14);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.3);
    let mut model = ticket.model();
    let plain = look(&model, &Evidence::key_alone(&owner.public));
    model.masks = ticket.masks.iter().map(|(carrier, mask)| (carrier.name.clone(), mask.clone())).collect();
    change(&mut model, |_| 0.5);
    assert_eq!(look(&model, &Evidence::key_alone(&owner.public)), plain);
}

#[test]
fn carriers_without_zeros_are_left_out() {
    let owner = Owner::new(15);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.3);
    let claim = owner.claim(&ticket);
    let mut model = ticket.model();
    model.arrays.insert("layer2.weight".to_owned(), array(&[48, 32, 3, 3], vec![1.0; 48 * 288]));
    let report = look(&model, &Evidence::claimed(&claim, &[]));
    assert_eq!(report.verdict, Verdict::Marked);
    assert_eq!((report.carriers[1].state, report.carriers[1].n), (CarrierState::LeftOut, 0));
    assert!(report.carriers.iter().enumerate().all(|(i, c)| i == 1 || c.state == CarrierState::Counted));
}

#[test]
fn overlap_with_the_reference_mask_is_reported_and_decides_nothing() {
    let owner = Owner::new(16);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.0);
    let claim = owner.claim(&ticket);
    let evidence = Evidence { reference: Some(&ticket.masks), ..Evidence::claimed(&claim, &[]) };
    let report = look(&ticket.model(), &evidence);
    let overlap = report.reference.unwrap();
    let kept: usize = ticket.masks.iter().map(|(_, mask)| mask.kept()).sum();
    assert_eq!((overlap.carriers, overlap.overlap), (6, kept as u64));
    assert!(overlap.log2_p.bits() < -20_000.0);
    // Stamped with no bias at all: the claim states a fair share, give or take chance, and no test could have shown it.
    assert_eq!(report.verdict, Verdict::Inconclusive);
    assert!(report.needed[0].needed.is_none_or(|needed| needed > 100_000), "{:?}", report.needed);
}

#[test]
fn suspects_that_cannot_be_read_are_errors() {
    let mut model = Model::default();
    model.arrays.insert("w".to_owned(), array(&[2, 2], vec![1.0, f32::NAN, 0.0, 2.0]));
    let (owner, suspect) = (Owner::new(17), raw_file(&model));
    let evidence = Evidence::key_alone(&owner.public);
    let error = verify(Some(&suspect.file), None, &evidence, &Options::default()).unwrap_err();
    assert!(matches!(error, VerifyError::Read(ReadError::NotFinite { position: 1, .. })), "{error}");
}

/// Counted by hand from chips and panels, without the verifier.
#[test]
fn counts_are_those_of_the_chips() {
    let owner = Owner { dilution: dilution(4), ..Owner::new(18) };
    let ticket = owner.stamp(&NETWORK[..2], 0.2, 0.5);
    let claim = owner.claim(&ticket);
    let report = look(&ticket.model(), &Evidence::claimed(&claim, &[]));
    let (mut n, mut hits) = (0, 0);
    for (carrier, mask) in &ticket.masks {
        let chips = counterfoil_mark::chips(&owner.public.public_seed(), &owner.public, carrier, owner.dilution);
        let panels = counterfoil_mark::panels(&owner.public, &counterfoil_claim::Split::Owner(owner.sealed), carrier);
        let kept: &Mask = mask;
        for position in kept.positions().filter(|&p| panels[p] == 0 && chips[p] != 0) {
            n += 1;
            hits += u64::from(chips[position] == 1);
        }
    }
    assert_eq!((report.tests[0].n, report.tests[0].hits), (n, hits));
}

#[test]
fn kernels_that_are_turned_are_turned_back() {
    let owner = Owner::new(60);
    let ticket = owner.stamp(&NETWORK, 0.1, 0.3);
    let claim = owner.claim(&ticket);
    let disclosures = owner.disclose(&ticket, &claim, &[1, 2]);
    let [sealed, alone] = [Evidence::claimed(&claim, &disclosures), Evidence::key_alone(&owner.public)];
    let plain = look(&ticket.model(), &sealed);
    // What is done to the suspect, and the reading that undoes it.
    for (done, undone) in [
        (Turn::Mirrored, "mirrored zeros"),
        (Turn::Flipped, "flipped zeros"),
        (Turn::HalfTurned, "half-turned zeros"),
        (Turn::Transposed, "transposed zeros"),
        (Turn::AntiTransposed, "anti-transposed zeros"),
        (Turn::QuarterTurned, "three-quarter-turned zeros"),
        (Turn::ThreeQuarterTurned, "quarter-turned zeros"),
    ] {
        let taps = done.taps([3, 3]);
        let mut model = ticket.model();
        for (name, _) in &NETWORK[..5] {
            for kernel in model.arrays.get_mut(*name).unwrap().values_mut().chunks_mut(9) {
                let old = kernel.to_vec();
                kernel.iter_mut().zip(&taps).for_each(|(new, &tap)| *new = old[tap]);
            }
        }
        let report = look(&model, &sealed);
        let test = decided(&report);
        assert_eq!((report.verdict, test.reading.as_deref(), test.charge), (Verdict::Proven, Some(undone), 5 + 6));
        // The same counts as if nothing had been done, for 4 bits more.
        assert_eq!((test.n, test.hits), (decided(&plain).n, decided(&plain).hits));
        let report = look(&model, &alone);
        assert_eq!((report.verdict, decided(&report).reading.as_deref()), (Verdict::Marked, Some(undone)));
    }
}
