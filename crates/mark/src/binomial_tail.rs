//! Binomial tails: how surprising a tally is, far beyond what `f64` probabilities can hold.
//!
//! The p-value of both deciding tests (docs/protocol.md, "Evidence") is P[Bin(n, 1/C) ≥ s]. `statrs` was considered;
//! its tail is a plain probability and underflows at 2⁻¹⁰⁷⁴. Here it is one term in log space ([`ln_term`], Loader
//! 2000) times a sum of term ratios S = 1 + r₁ + r₁r₂ + … , which decrease (Feller I, VI.3). From the mean upward the
//! terms from s on are summed; below it, the terms under s, and log2 p = log2(1 − rest), so that a p near 1 is not lost.
//!
//! The sum runs backward, S₍ⱼ₋₁₎ = 1 + rⱼSⱼ, from a bound on the rest: 1/(1 − r) above (geometric), 1 below. With
//! u = 2⁻⁵³, ratios good to 5u and eⱼ the relative error of Sⱼ in u: eⱼ₋₁ ≤ (1 − 1/Sⱼ₋₁)(eⱼ + 6) + 1, and since S
//! decreases with j, eⱼ ≤ 7Sⱼ follows by induction; [`log2_upper_tail`] claims 8S. At n = 10⁹, S < 2·10⁴ and 8Su <
//! 2·10⁻¹¹. Every error is added to the result before it is returned, so it is never below the truth; the relative
//! error of log2 p is below 10⁻⁹ up to n = 10¹⁰. Beyond, [`MAX_TERMS`] keeps the bound true and lets it grow loose.

use std::f64::consts::LOG2_E;
use std::fmt;

use serde::Serialize;

use crate::Tally;
use crate::saddle_point::{U, ln_term};

/// Most terms that are summed: 8 standard deviations of a fair binomial of n = 6·10¹⁰.
const MAX_TERMS: u64 = 1 << 20;

/// The chance of a hit when the suspect has nothing to do with the key: 1/C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chance(u32);

impl Chance {
    /// A fair coin: chips.
    pub const HALF: Self = Self(2);

    /// One in `c`: labels over `c` classes. Panics if `c` is 0.
    pub const fn one_in(c: u32) -> Self {
        assert!(c > 0, "a chance of one in 0");
        Self(c)
    }

    /// The C of 1/C.
    pub const fn c(self) -> u32 {
        self.0
    }
}

/// log2 of a p-value: finite and at most 0.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Log2P(f64);

impl Log2P {
    /// p = 1: no evidence at all.
    pub const ONE: Self = Self(0.0);

    /// `None` unless `bits` is finite and at most 0.
    pub fn new(bits: f64) -> Option<Self> {
        (bits.is_finite() && bits <= 0.0).then_some(Self(bits))
    }

    /// log2 p, in bits.
    pub fn bits(self) -> f64 {
        self.0
    }

    /// The p-value after paying `bits` for looking in more than one way (Bonferroni), at most 1.
    pub fn charged(self, bits: u32) -> Self {
        Self((self.0 + f64::from(bits)).min(0.0))
    }
}

/// One decimal, rounded up: what is printed is not below the truth either.
impl fmt::Display for Log2P {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", (self.0 * 10.0).ceil() / 10.0 + 0.0)
    }
}

/// log2 of P[Bin(n, c) ≥ s], never below the true value, nor above 0.
///
/// At most 1e-9 of the value above it for n up to 10¹⁰; exact for s = 0, and for s = n if C is a power of two. Exact as
/// a test whatever the suspect is, since chips and labels were fixed before it was seen. Finite down to n·log2 c;
/// closer to 0 than 2⁻¹⁰⁰⁰ it may be rounded to 0.
///
/// ```
/// # use counterfoil_mark::{Chance, Tally, log2_upper_tail};
/// let panel = Tally::new(13_400, 9_000).expect("no more hits than trials");
/// let p = log2_upper_tail(panel, Chance::one_in(2));
/// assert!((p.bits() - -1168.704_450_3).abs() < 1e-6); // exact integer arithmetic
/// ```
pub fn log2_upper_tail(tally: Tally, chance: Chance) -> Log2P {
    let (n, s, c) = (tally.n(), tally.hits(), chance.c());
    if s == 0 || c == 1 {
        return Log2P::ONE;
    }
    if s == n && c.is_power_of_two() && n < 1 << 48 {
        return Log2P(-((n * u64::from(c.ilog2())) as f64));
    }
    if u128::from(s) * u128::from(c) >= u128::from(n) { from_the_mean_up(n, s, c) } else { below_the_mean(n, s, c) }
}

/// The least number of hits in n trials whose tail reaches `target`; `None` if not even n hits do.
pub fn hits_for(n: u64, chance: Chance, target: Log2P) -> Option<u64> {
    let reaches = |hits| Tally::new(n, hits).is_some_and(|tally| log2_upper_tail(tally, chance) <= target);
    if reaches(0) {
        return Some(0);
    }
    if !reaches(n) {
        return None;
    }
    let (mut fails, mut reached) = (0, n);
    while reached - fails > 1 {
        let middle = fails + (reached - fails) / 2;
        if reaches(middle) { reached = middle } else { fails = middle }
    }
    Some(reached)
}

/// s ≥ n/c: the terms s, s + 1, … ; consecutive ones are as (n − i) to (i + 1)(c − 1).
fn from_the_mean_up(n: u64, s: u64, c: u32) -> Log2P {
    let term = ln_term(n, s, c);
    let sum = Ratios { over: n - s, over_times: 1, under: s, under_times: c - 1 }.sum(Rest::Above);
    let ln_p = term.value + libm::log(sum);
    let error = term.error + (8.0 * sum + 128.0) * U;
    // rounding of the sum, of LOG2_E and of the product: shrinking by 8u makes up for all three
    Log2P(((ln_p + error) * LOG2_E * (1.0 - 8.0 * U)).min(0.0))
}

/// s < n/c: one minus the terms s − 1, s − 2, … ; consecutive ones are as i(c − 1) to (n − i + 1).
///
/// The rest is at most 3/4 (Greenberg & Mohri 2014), where log2(1 − rest) more than doubles its relative error.
fn below_the_mean(n: u64, s: u64, c: u32) -> Log2P {
    let term = ln_term(n, s - 1, c);
    let sum = Ratios { over: s - 1, over_times: c - 1, under: n - s + 1, under_times: 1 }.sum(Rest::Below);
    let error = term.error + (8.0 * sum + 128.0) * U;
    let ln_rest = term.value + libm::log(sum) - error;
    if ln_rest < -700.0 {
        // near the smallest exponents `exp` loses its relative error
        return Log2P::ONE;
    }
    let rest = libm::exp(ln_rest) * (1.0 - 8.0 * U);
    Log2P(libm::log1p(-rest) * LOG2_E * (1.0 - 8.0 * U))
}

/// The ratios of consecutive terms going outward: rⱼ = (over − j + 1) · over_times / ((under + j) · under_times).
///
/// They decrease, from r₁ < 1 on the sides where they are used, to 0 at j = over + 1.
struct Ratios {
    over: u64,
    over_times: u32,
    under: u64,
    under_times: u32,
}

/// From which side the terms that are left out are bounded.
#[derive(Clone, Copy)]
enum Rest {
    Above,
    Below,
}

impl Ratios {
    fn ratio(&self, j: u64) -> f64 {
        (self.over - (j - 1)) as f64 * f64::from(self.over_times) / (self.under_over(j) * f64::from(self.under_times))
    }

    /// under + j, in floating point: the sum may not fit a u64.
    fn under_over(&self, j: u64) -> f64 {
        (u128::from(self.under) + u128::from(j)) as f64
    }

    /// 1 − rⱼ, from an exact difference.
    fn one_minus_ratio(&self, j: u64) -> f64 {
        let over = i128::from(self.over - (j - 1)) * i128::from(self.over_times);
        let under = (i128::from(self.under) + i128::from(j)) * i128::from(self.under_times);
        (under - over) as f64 / under as f64
    }

    /// 1 + r₁ + r₁r₂ + …, where what is left out is below 2⁻⁶⁰ of the sum unless [`MAX_TERMS`] cut it.
    fn sum(&self, rest: Rest) -> f64 {
        let terms = self.terms_needed();
        let start = match rest {
            Rest::Above => 1.0 / self.one_minus_ratio(terms + 1),
            Rest::Below => 1.0,
        };
        (1..=terms).rev().fold(start, |sum, j| 1.0 + self.ratio(j) * sum)
    }

    /// The least j with r₁ … rⱼ / (1 − rⱼ₊₁) ≤ 2⁻⁶⁰, at most the number of ratios above 0.
    fn terms_needed(&self) -> u64 {
        let most = self.over.min(MAX_TERMS);
        let mut product = 1.0;
        let mut j = 0;
        while j < most && product > f64::EPSILON / 256.0 * self.one_minus_ratio(j + 1) {
            j += 1;
            product *= self.ratio(j);
        }
        j
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        cases: Vec<Case>,
    }

    /// 40 digits as text: f64 would round them.
    #[derive(Debug, Deserialize)]
    struct Case {
        n: u64,
        s: u64,
        c: u32,
        log2_p: String,
    }

    fn tail(n: u64, s: u64, c: u32) -> f64 {
        log2_upper_tail(Tally::new(n, s).expect("tests ask for s <= n"), Chance::one_in(c)).bits()
    }

    /// Exact integers and 120-digit sums, by `fixtures/statistics/make_binomial_tails.py`.
    #[test]
    fn golden_tails_are_met_from_above_within_1e_9() {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/statistics/binomial_tails.json"));
        let golden: Golden = serde_json::from_str(text).expect("the golden file is valid");
        assert!(golden.cases.len() > 700, "only {} cases", golden.cases.len());
        for case in &golden.cases {
            let truth: f64 = case.log2_p.parse().expect("a decimal number");
            let found = tail(case.n, case.s, case.c);
            assert!(found >= truth && found <= 0.0, "{found} is below the truth: {case:?}");
            // closer to 0 than 2^-1000, 0 is the bound
            assert!(found - truth <= 1e-9 * truth.abs() || truth > -1e-300, "{found} is too far above: {case:?}");
        }
    }

    #[test]
    fn tails_that_are_powers_of_two_are_exact() {
        assert_eq!(tail(64, 64, 2), -64.0);
        assert_eq!(tail(10, 10, 8), -30.0);
        assert_eq!(tail(1_000_000_000, 1_000_000_000, 2), -1e9);
        assert_eq!(tail(7, 7, 1), 0.0);
        assert_eq!(tail(7, 0, 2), 0.0);
        assert_eq!(tail(0, 0, 2), 0.0);
    }

    #[test]
    fn beyond_the_terms_that_are_summed_the_bound_still_holds() {
        for n in [1u64 << 40, 1 << 53, u64::MAX] {
            // just above the mean p is just below 1/2, just below it just above; -1.01 would be a false claim
            for s in [n / 2 - 1, n / 2, n / 2 + 2] {
                let bits = tail(n, s, 2);
                assert!((-1.001..=0.0).contains(&bits), "n {n}, s {s}: {bits}");
            }
            assert!(tail(n, n, 3) < -(n as f64) * 1.58 && tail(n, n, 3).is_finite());
            assert_eq!(tail(n, 1, u32::MAX).is_sign_negative(), n < 1 << 41, "n {n}");
        }
    }

    #[test]
    fn hits_for_is_the_least_number_that_reaches_the_target() {
        for (n, c, bits) in [(1_000, 2, -64.0), (13_400, 2, -160.0), (100, 10, -64.0), (1_000_000_000, 2, -160.0)] {
            let target = Log2P::new(bits).expect("negative");
            let hits = hits_for(n, Chance::one_in(c), target).expect("n is large enough");
            assert!(tail(n, hits, c) <= bits && tail(n, hits - 1, c) > bits, "n {n}, c {c}: {hits}");
        }
        let threshold = Log2P::new(-64.0).expect("negative");
        assert_eq!(hits_for(64, Chance::HALF, threshold), Some(64));
        assert_eq!(hits_for(63, Chance::HALF, threshold), None);
        assert_eq!(hits_for(0, Chance::HALF, Log2P::ONE), Some(0));
        assert_eq!(hits_for(5, Chance::one_in(1), threshold), None);
    }

    #[test]
    fn charges_stop_at_certainty_and_printing_rounds_up() {
        let p = Log2P::new(-64.06).expect("negative");
        assert_eq!(p.to_string(), "-64.0");
        assert!((p.charged(2).bits() - -62.06).abs() < 1e-12);
        assert_eq!(p.charged(100), Log2P::ONE);
        assert_eq!(Log2P::new(-0.04).map(|p| p.to_string()), Some("0.0".to_owned()));
        for bits in [0.1, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(Log2P::new(bits), None);
        }
    }

    proptest! {
        #[test]
        fn more_hits_are_never_less_surprising(n in 1u64..2_000_000, share in 0.0f64..1.0, c in 2u32..200) {
            let s = (share * n as f64) as u64;
            prop_assert!(tail(n, s + 1, c) <= tail(n, s, c));
        }

        /// P[X >= s] + P[X >= n - s + 1] = 1 for a fair coin; each is bounded from above.
        #[test]
        fn fair_coins_are_symmetric(n in 1u64..100_000, z in -6.0f64..6.0) {
            let s = (n as f64 / 2.0 + z * (n as f64).sqrt() / 2.0).clamp(1.0, n as f64) as u64;
            let both = tail(n, s, 2).exp2() + tail(n, n - s + 1, 2).exp2();
            prop_assert!((both - 1.0).abs() < 1e-9, "{}", both);
        }

        #[test]
        fn any_tally_gives_a_finite_bound(n: u64, share in 0.0f64..=1.0, c in 1u32..) {
            let s = ((share * n as f64) as u64).min(n);
            let bits = tail(n, s, c);
            prop_assert!(bits.is_finite() && bits <= 0.0);
        }
    }
}
