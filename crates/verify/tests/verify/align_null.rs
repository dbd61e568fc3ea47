//! The null of aligned readings: owners who have nothing to do with the suspect, though their reference mask has.
//!
//! p-values of a discrete test are made uniform by a draw: with U uniform, P[X > s] + U · P[X = s] is exactly uniform under
//! the null, whatever n is, and n is what alignment makes of it. So the largest distance from uniform of K of them,
//! Kolmogorov and Smirnov's D, exceeds ε with a chance of at most 2 exp(−2 K ε²) (Massart 1990), and their number below α is
//! Bin(K, α). Of each a chance of 10⁻⁶ is left to a false alarm.

use std::thread;

use counterfoil_mark::{Chance, Tally, log2_upper_tail};
use counterfoil_ticket::{Architecture, ImageShape, Mask, ModelFile};
use counterfoil_verify::{Evidence, Options, TestReport, Verdict, verify};

use crate::align_kit::{permuted, resnet20, tensors};
use crate::kit::{Owner, Random, Tensor, Ticket, file};

/// Chance of a false alarm.
const ALARM: f64 = 1e-6;

/// α as one in so many.
const LEVELS: [u32; 4] = [2, 10, 100, 1000];

/// What is tested: panels and what they are aligned on. Two sealed panels are disclosed.
const FOLDS: [(&str, &str); 4] = [("1+2", "0"), ("2", "0+1"), ("1", "0+2"), ("0", "1+2")];

/// Moves a tenth of the kept positions of each panel and carrier from chip −1 to chip +1, as far as there are any.
fn stamped(owner: &Owner, base: &Ticket, random: &mut Random) -> Ticket {
    let mut ticket = base.clone();
    for (carrier, mask) in &mut ticket.masks {
        let chips = owner.chips(carrier, &owner.marked_of(base));
        for panel in 0..=2 {
            let mut of = |chip, kept| -> Vec<usize> {
                let fits = |p: &usize| chips.panel[*p] == panel && chips.chip[*p] == chip && mask.keeps(*p) == kept;
                let mut found: Vec<usize> = (0..mask.size()).filter(fits).collect();
                (1..found.len()).rev().for_each(|i| found.swap(i, (random.bits() % (i as u64 + 1)) as usize));
                found
            };
            let (out, into) = (of(-1, true), of(1, false));
            let pairs: Vec<_> = out.into_iter().zip(into).collect();
            for (out, into) in &pairs[..pairs.len() / 5] {
                mask.set(*out, false);
                mask.set(*into, true);
            }
        }
    }
    ticket
}

fn tests_of(number: u64, base: &Ticket, suspect: &ModelFile) -> Vec<TestReport> {
    let owner = Owner::new(20_000 + number);
    let ticket = stamped(&owner, base, &mut Random(number));
    let claim = owner.claim(&ticket);
    let disclosures = owner.disclose(&ticket, &claim, &[1, 2]);
    let evidence = Evidence { reference: Some(&ticket.masks), ..Evidence::claimed(&claim, &disclosures) };
    let options = Options { align: true, claim_is_older: true, ..Options::default() };
    let report = verify(Some(suspect), None, &evidence, &options).expect("it can be judged");
    assert!(!matches!(report.verdict, Verdict::Proven | Verdict::Marked));
    report.tests.into_iter().filter(|test| test.decisive && test.alignment.is_some()).collect()
}

/// P[Bin(n, 1/2) > s] + U · P[Bin(n, 1/2) = s].
fn randomised(test: &TestReport, u: f64) -> f64 {
    let tail = |hits| match Tally::new(test.n, hits) {
        Some(tally) => log2_upper_tail(tally, Chance::HALF).bits().exp2(),
        None => 0.0,
    };
    let above = tail(test.hits + 1);
    above + u * (tail(test.hits) - above)
}

#[track_caller]
fn assert_uniform(what: &str, mut p_values: Vec<f64>) {
    p_values.sort_by(f64::total_cmp);
    let (keys, n) = (p_values.len() as u64, p_values.len() as f64);
    let bound = ((2.0 / ALARM).ln() / (2.0 * n)).sqrt();
    let distance = |(i, p): (usize, &f64)| (p - i as f64 / n).abs().max((p - (i + 1) as f64 / n).abs());
    let farthest = p_values.iter().enumerate().map(distance).fold(0.0, f64::max);
    assert!(farthest < bound, "{what}: D = {farthest}");
    for level in LEVELS {
        let count = p_values.iter().filter(|p| **p <= 1.0 / f64::from(level)).count() as u64;
        let at_least = |count: u64| {
            let tally = Tally::new(keys, count).expect("some of all");
            log2_upper_tail(tally, Chance::one_in(level)).bits().exp2()
        };
        let at_most = 1.0 - at_least(count + 1);
        assert!(at_least(count).min(at_most) > ALARM / 2.0, "{what}: {count} of {n} below 1 in {level}");
    }
}

fn check(keys: u64, net: &Architecture, base: &Ticket, suspect: &Ticket) {
    let suspect = file(&permuted(&suspect.model(), net, 77));
    let tests: Vec<Vec<TestReport>> = thread::scope(|scope| {
        let run = |part: u64| {
            let file = &suspect.file;
            scope.spawn(move || (part..keys).step_by(2).map(|n| tests_of(n, base, file)).collect::<Vec<_>>())
        };
        let parts = [run(0), run(1)];
        parts.into_iter().flat_map(|part| part.join().expect("no report panics")).collect()
    });
    let mut random = Random(5);
    for (panel, on) in FOLDS {
        let is_it = |t: &&TestReport| t.panel == panel && t.alignment.as_ref().is_some_and(|a| a.on == on);
        let p_values = tests.iter().map(|tests| {
            let test = tests.iter().find(is_it).expect("no fold has decided");
            randomised(test, random.share())
        });
        assert_uniform(&format!("{panel} aligned on {on}"), p_values.collect());
    }
}

fn mlp() -> Architecture {
    let input = ImageShape { channels: 1, height: 1, width: 16 };
    Architecture::Mlp { input, hidden: vec![12, 10, 8], classes: 10 }
}

fn base(tensors: &[Tensor], density: f64, seed: u64) -> Ticket {
    let mut random = Random(seed);
    let carriers = counterfoil_ticket::Carrier::number(tensors.iter().copied());
    let masks = carriers.into_iter().map(|c| {
        let mask = Mask::from_fn(c.shape.size(), |_| random.share() < density);
        (c, mask)
    });
    Ticket { masks: masks.collect(), tensors: tensors.to_vec() }
}

#[test]
fn strangers_have_uniform_p_values() {
    let net = mlp();
    check(2000, &net, &base(&tensors(&net), 0.3, 1), &base(&tensors(&net), 0.3, 2));
}

/// A twin: pruned from the same public checkpoint as the ticket, and not stamped. Alignment finds every channel.
#[test]
fn an_unstamped_twin_has_uniform_p_values() {
    let net = mlp();
    let base = base(&tensors(&net), 0.3, 3);
    check(2000, &net, &base, &base);
}

#[test]
fn strangers_with_residual_streams_have_uniform_p_values() {
    let net = resnet20(2);
    check(200, &net, &base(&tensors(&net), 0.2, 4), &base(&tensors(&net), 0.2, 5));
}
