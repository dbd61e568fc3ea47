//! Charges of docs/protocol.md, to the bit.

use counterfoil_claim::{StampingMethod, VerifiedClaim};
use counterfoil_verify::{Evidence, Level, Report, TestReport};

use crate::kit::{NETWORK, Owner, Tensor, look, look_older};

/// Reading and charge of each test, dilutions and levels merged.
fn charges(report: &Report) -> Vec<(String, u32)> {
    let mut charges: Vec<_> =
        report.tests.iter().map(|t| (t.reading.clone().expect("a mask test"), t.charge)).collect();
    charges.sort();
    charges.dedup();
    charges
}

fn expected(list: &[(&str, u32)]) -> Vec<(String, u32)> {
    list.iter().map(|(reading, bits)| ((*reading).to_owned(), *bits)).collect()
}

/// Where kernels have more than one tap.
const TURNS: [&str; 7] = [
    "mirrored zeros",
    "flipped zeros",
    "half-turned zeros",
    "transposed zeros",
    "anti-transposed zeros",
    "quarter-turned zeros",
    "three-quarter-turned zeros",
];

/// Every shape its own: nothing to re-order.
const DISTINCT: [Tensor; 2] = [("a", &[40, 64]), ("b", &[64, 80])];

#[test]
fn with_the_key_alone_the_dilution_costs_two_bits() {
    let (owner, other) = (Owner::new(50), Owner::new(51));
    let unmarked = |tensors| look(&other.stamp(tensors, 0.1, 0.0).model(), &Evidence::key_alone(&owner.public));
    // six other readings: 1 + 3; and 2 for the dilution
    let ladder = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5].map(|d| format!("ranks {d}"));
    let mut all: Vec<_> = ladder.iter().map(|reading| (reading.as_str(), 1 + 3 + 2)).collect();
    all.push(("zeros", 1 + 2));
    assert_eq!(charges(&unmarked(&DISTINCT)), expected(&all));
    // seven other readings: 1 + 3, 1 for the turns; four of a shape: log2 24 rounded up; seven turns: 2 + 3
    all.iter_mut().filter(|(reading, _)| reading.starts_with("ranks")).for_each(|(_, bits)| *bits += 1);
    all.push(("assigned zeros", 1 + 3 + 1 + 5 + 2));
    all.extend(TURNS.map(|reading| (reading, 2 + 3 + 2)));
    all.sort();
    assert_eq!(charges(&unmarked(&NETWORK)), expected(&all));
}

#[test]
fn under_a_claim_dilution_and_density_are_known() {
    let (owner, other) = (Owner::new(52), Owner::new(53));
    let unmarked = |tensors: &[Tensor]| {
        let theirs = owner.stamp(tensors, 0.1, 0.3);
        let claim = owner.claim(&theirs);
        let disclosures = owner.disclose(&theirs, &claim, &[1, 2]);
        look_older(&other.stamp(tensors, 0.1, 0.0).model(), &Evidence::claimed(&claim, &disclosures))
    };
    // At the sealed level 2 bits more each: which of two panels were disclosed.
    let both = |list: Vec<(&'static str, u32)>| {
        let mut both: Vec<_> =
            list.iter().flat_map(|&(reading, bits)| [(reading, bits), (reading, bits + 2)]).collect();
        both.sort();
        expected(&both)
    };
    assert_eq!(charges(&unmarked(&DISTINCT)), both(vec![("ranks", 1), ("zeros", 1)]));
    let mut all = vec![("assigned zeros", 2 + 1 + 5), ("ranks", 2 + 1), ("zeros", 1)];
    all.extend(TURNS.map(|reading| (reading, 2 + 3)));
    assert_eq!(charges(&unmarked(&NETWORK)), both(all));
    let two_and_three: [Tensor; 5] =
        [("a", &[40, 64]), ("b", &[40, 64]), ("c", &[64, 80]), ("d", &[64, 80]), ("e", &[64, 80])];
    // 2! · 3! = 12 orders
    assert_eq!(charges(&unmarked(&two_and_three))[0], ("assigned zeros".to_owned(), 2 + 4));
}

/// docs/protocol.md, "Choices".
#[test]
fn what_a_younger_claim_could_have_chosen_is_charged() {
    let (owner, other) = (Owner::new(56), Owner::new(57));
    let theirs = owner.stamp(&NETWORK, 0.1, 0.3);
    let suspect = other.stamp(&NETWORK, 0.1, 0.0).model();
    let choice = |claim: &VerifiedClaim, is_older: bool| {
        let disclosures = owner.disclose(&theirs, claim, &[1]);
        let look = if is_older { look_older } else { look };
        let report = look(&suspect, &Evidence::claimed(claim, &disclosures));
        let of = |level, reading| {
            let mut tests = report.tests.iter().filter(|t| t.level == level && t.reading.as_deref() == Some(reading));
            tests.next().expect("the test is made").choice
        };
        [Level::Sealed, Level::Public].map(|level| ["zeros", "ranks"].map(|reading| of(level, reading)))
    };
    let claim = owner.claim(&theirs);
    assert_eq!(choice(&claim, true), [[0, 0], [0, 0]]);
    // The layout, four bits. Panel 0: D, two bits; six of six carriers, one of seven numbers of them, three bits; and any density.
    let sizes: [usize; 6] = [13824, 13824, 13824, 13824, 27648, 960];
    let any: f64 = sizes.iter().map(|&size| ((size + 1) as f64).log2()).sum();
    assert_eq!(choice(&claim, false), [[4, 4], [2 + 3, 2 + 3 + any.ceil() as u32]]);
}

/// Found under the key, a ticket has densities that nobody knew when its seeds were drawn: one of eight for each carrier.
#[test]
fn densities_of_a_ticket_found_under_the_key_are_rounded_and_paid_for() {
    let (owner, other) = (Owner { method: StampingMethod::KeyedFinding, ..Owner::new(58) }, Owner::new(59));
    let theirs = owner.stamp(&NETWORK, 0.1, 0.3);
    let claim = owner.claim(&theirs);
    let disclosures = owner.disclose(&theirs, &claim, &[1, 2]);
    let evidence = Evidence::claimed(&claim, &disclosures);
    let suspect = other.stamp(&NETWORK, 0.3, 0.0).model();
    let ranks = |report: Report| {
        let sealed = |t: &TestReport| t.level == Level::Sealed && t.reading.as_deref() == Some("ranks") && t.decisive;
        report.tests.into_iter().find(sealed).expect("the test is made")
    };
    let (older, younger) = (ranks(look_older(&suspect, &evidence)), ranks(look(&suspect, &evidence)));
    assert_eq!((older.choice, younger.choice), (0, 4 + 3 * 6));
    // an eighth is read in place of a tenth
    let ratio = younger.n as f64 / older.n as f64;
    assert!((ratio - 1.25).abs() < 0.05, "{ratio}");
}

#[test]
fn charged_p_values_are_raw_ones_plus_the_charge_at_most_0() {
    let (owner, other) = (Owner::new(54), Owner::new(55));
    let report = look(&other.stamp(&NETWORK, 0.1, 0.2).model(), &Evidence::key_alone(&owner.public));
    for test in &report.tests {
        let sum = (test.log2_p.bits() + f64::from(test.charge)).min(0.0);
        assert_eq!(test.after_charges.bits(), sum, "{test:?}");
    }
    let best = report.tests.iter().map(|t| t.after_charges.bits()).fold(0.0, f64::min);
    assert_eq!(report.log2_p.bits(), best);
}
