//! The null: p-values of owners who have nothing to do with the suspect.
//!
//! One fixed sparse suspect, 4,000 keys with their claims and disclosures. The suspect is as structured as can be (whole
//! rows kept, values by row), since the test must be exact whatever it looks like. Under the null a raw p-value is
//! at most α with a chance of at most α, and of α less one step of its binomial at least. So the number of those below α
//! is between Bin(4000, α′) and Bin(4000, α), where α′ is the largest attainable chance below α, averaged over the n of
//! the smallest panel tested (300 to 340): 0.4669, 0.0905, 0.0086 and 0.0008. (Below, not up to: a chance of exactly 1/2, which
//! odd n have, is reported a hair larger, since log2 p is never below the truth.) Bands: the 0.0005 quantile of the first
//! and the 0.9995 quantile of the second, as by `scipy.stats.binom.ppf`.

use std::thread;

use counterfoil_claim::VerifiedClaim;
use counterfoil_ticket::{Carrier, Mask, ModelFile};
use counterfoil_verify::{Evidence, Level, Options, Report, Verdict, verify};

use crate::kit::{Owner, Tensor, Ticket, file};

const KEYS: u64 = 4000;

const TENSORS: [Tensor; 2] = [("a", &[40, 80]), ("b", &[40, 80])];

/// α, and least and most p-values below it.
const BANDS: [(f64, usize, usize); 4] = [(0.5, 1764, 2104), (0.1, 304, 464), (0.01, 17, 62), (0.001, 0, 12)];

fn suspect() -> Ticket {
    let carriers = Carrier::number(TENSORS);
    let masks = carriers.into_iter().map(|c| (c, Mask::from_fn(3200, |p| (p / 80) % 4 == 0 || p % 80 < 3))).collect();
    Ticket { masks, tensors: TENSORS.to_vec() }
}

/// The ticket that claims are about is sparser, so that `ranks` reads other positions than `zeros`.
fn claimed() -> Ticket {
    let carriers = Carrier::number(TENSORS);
    let masks = carriers.into_iter().map(|c| (c, Mask::from_fn(3200, |p| p % 5 == 0))).collect();
    Ticket { masks, tensors: TENSORS.to_vec() }
}

fn report(number: u64, ticket: &Ticket, file: &ModelFile) -> Report {
    let owner = Owner::new(10_000 + number);
    let claim: VerifiedClaim = owner.claim(ticket);
    let disclosures = owner.disclose(ticket, &claim, &[1, 2]);
    verify(Some(file), None, &Evidence::claimed(&claim, &disclosures), &Options::default()).expect("it can be judged")
}

#[test]
fn p_values_of_strangers_are_uniform_and_none_gets_a_verdict() {
    let (ticket, ticket_file) = (claimed(), file(&suspect().model()));
    let reports: Vec<Report> = thread::scope(|scope| {
        let run = |part: u64| {
            let (ticket, file) = (&ticket, &ticket_file.file);
            scope.spawn(move || (part..KEYS).step_by(2).map(|n| report(n, ticket, file)).collect::<Vec<_>>())
        };
        let parts = [run(0), run(1)];
        parts.into_iter().flat_map(|part| part.join().expect("no report panics")).collect()
    });
    assert!(reports.iter().all(|r| !matches!(r.verdict, Verdict::Proven | Verdict::Marked)));

    for (level, panel) in [(Level::Public, "0"), (Level::Sealed, "1+2"), (Level::Sealed, "1")] {
        for reading in ["zeros", "ranks"] {
            for (alpha, low, high) in BANDS {
                let is_it = |t: &&counterfoil_verify::TestReport| {
                    (t.level, t.panel.as_str(), t.reading.as_deref()) == (level, panel, Some(reading))
                };
                let p_values = reports.iter().map(|r| r.tests.iter().find(is_it).expect("the test is made").log2_p);
                let small = p_values.filter(|p| p.bits() <= alpha.log2()).count();
                assert!((low..=high).contains(&small), "{reading} {panel}: {small} below {alpha}");
            }
        }
    }
    // The best of all readings, charges paid, is no better than one p-value.
    for level in [Level::Public, Level::Sealed] {
        for (alpha, _, high) in BANDS {
            let best = |r: &&Report| {
                r.tests.iter().any(|t| t.decisive && t.level == level && t.after_charges.bits() <= alpha.log2())
            };
            let small = reports.iter().filter(best).count();
            assert!(small <= high, "best at {level:?}: {small} below {alpha}");
        }
    }
}
