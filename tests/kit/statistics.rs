//! Whether p-values of strangers are what they say.

use counterfoil_mark::{Chance, Log2P, Tally, hits_for, log2_upper_tail};

/// The levels at which p-values are counted.
const LEVELS: [f64; 4] = [0.5, 0.1, 0.01, 0.001];

/// Asserts that the number of p ≤ α lies in the central 99.9 % of its distribution under the null, at every level.
///
/// A tally is discrete, so p ≤ α happens with the attainable level a(n) ≤ α: the largest tail P[Bin(n, q) ≥ s] that is
/// at most α. n is fixed by the suspect and the public split alone; given it, the hits are Bin(n, q), independently from
/// key to key. The count over the keys is then a sum of independent coins with the chances a(n), which is a binomial
/// if all n are equal. Its distribution is computed exactly, coin by coin, and the count must leave more than 0.0005
/// on both sides of it (the count itself included). Keys are fixed, so the outcome is too.
#[track_caller]
pub fn assert_calibrated(what: &str, tallies: &[Tally], chance: Chance) {
    for alpha in LEVELS {
        let target = Log2P::new(alpha.log2()).expect("a level is at most 1");
        let count = tallies.iter().filter(|&&tally| log2_upper_tail(tally, chance) <= target).count();
        let distribution =
            tallies.iter().fold(vec![1.0], |counts, tally| add_coin(counts, level(tally.n(), chance, target)));
        let at_most: f64 = distribution[..=count].iter().sum();
        let at_least: f64 = distribution[count..].iter().sum();
        let mean: f64 = distribution.iter().enumerate().map(|(i, p)| i as f64 * p).sum();
        assert!(
            at_most > 0.0005 && at_least > 0.0005,
            "{what}: {count} of {} have p at most {alpha}, {mean:.1} expected",
            tallies.len()
        );
    }
}

/// The largest tail of Bin(n, q) that is at most the target; 0 if not even n hits reach it.
fn level(n: u64, chance: Chance, target: Log2P) -> f64 {
    hits_for(n, chance, target).map_or(0.0, |hits| {
        let least = Tally::new(n, hits).expect("no more hits than trials are asked for");
        log2_upper_tail(least, chance).bits().exp2()
    })
}

/// The distribution of a count after another coin; element i is the chance of i.
fn add_coin(mut counts: Vec<f64>, chance: f64) -> Vec<f64> {
    counts.push(0.0);
    for i in (0..counts.len()).rev() {
        let below = if i > 0 { counts[i - 1] } else { 0.0 };
        counts[i] = counts[i] * (1.0 - chance) + below * chance;
    }
    counts
}
