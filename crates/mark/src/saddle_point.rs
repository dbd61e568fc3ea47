//! One term of the binomial, ln P[Bin(n, 1/C) = k], with a proven error bound.
//!
//! ln C(n, k) + k ln q + (n − k) ln (1 − q) cancels: for n = 10⁹ near the mean, terms of 10¹⁰ leave 10¹. Loader's form
//! (C. Loader 2000, *Fast and Accurate Computation of Binomial Probabilities*; the one in R) does not:
//!
//! ```text
//! ln P = −D(k, nq) − D(n − k, n(1 − q)) + ½ ln(n / (2π k (n − k))) + σ(n) − σ(k) − σ(n − k)
//! D(x, m) = x ln(x / m) + m − x ≥ 0,     σ(k) = ln k! − ln(√(2πk) (k/e)^k), between 0 and 0.0811
//! ```
//!
//! Error, in units of u = 2⁻⁵³, if `libm::{log, log1p, exp}` err by less than one unit in the last place (2u; they are
//! ports of FreeBSD's, which state that). x − m = ±(kC − n)/C is exact before its rounding, so 2u; m and x + m err by
//! at most 5u. Series branch (|v| < 0.1, v = (x − m)/(x + m)): D = (x − m) v + 2x (v³/3 + v⁵/5 + …); the first term
//! errs by 11u, the rest, at most 7 % of it, by 30u, and stopping after v¹⁷ costs less than u: 20u of D. Direct branch:
//! x ln(x/m) − (x − m) errs by x (6u + 3u |ln(x/m)|) + 3u |x − m|, and |v| ≥ 0.1 means x/m ≥ 11/9 or ≤ 9/11, where D is
//! at least 0.0188 x and grows faster than the error: 400u of D. Logarithm: at most 23.2 for any u64, its argument 6u:
//! 100u. σ: table correctly rounded, series cut where the next term is below 1.1·10⁻¹⁶ (it envelopes): 2u each.
//! Additions: five of at most ΣD + 24. Together below (405 ΣD + 230) u; [`ln_term`] claims (1024 ΣD + 512) u.

use std::f64::consts::TAU;

/// Unit roundoff of f64, 2⁻⁵³.
pub(crate) const U: f64 = f64::EPSILON / 2.0;

/// A number with a bound on its absolute error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounded {
    pub(crate) value: f64,
    pub(crate) error: f64,
}

/// ln P[Bin(n, 1/c) = k] for k ≤ n and c ≥ 2.
pub(crate) fn ln_term(n: u64, k: u64, c: u32) -> Bounded {
    let (size, misses, c) = (n as f64, n - k, f64::from(c));
    if misses == 0 {
        return with_error(-size * libm::log(c), 0.0, 0.0);
    }
    if k == 0 {
        return with_error(-size * libm::log1p(1.0 / (c - 1.0)), 0.0, 0.0);
    }
    let excess = excess(n, k, c as u32);
    let hits = deviance(k as f64, size / c, excess);
    let others = deviance(misses as f64, size * ((c - 1.0) / c), -excess);
    let width = 0.5 * libm::log(size / (TAU * k as f64 * misses as f64));
    with_error(-(hits + others), width, stirling_error(n) - stirling_error(k) - stirling_error(misses))
}

/// Sums the parts; the first is minus the deviance (or the whole), which the error bound is relative to.
fn with_error(minus_deviance: f64, width: f64, correction: f64) -> Bounded {
    let value = minus_deviance + width + correction;
    Bounded { value, error: (1024.0 * -minus_deviance + 512.0) * U }
}

/// k − n/c: an exact integer over c, since k and n/c may agree in all their leading digits.
fn excess(n: u64, k: u64, c: u32) -> f64 {
    (i128::from(k) * i128::from(c) - i128::from(n)) as f64 / f64::from(c)
}

/// D(x, mean), given x − mean.
fn deviance(x: f64, mean: f64, excess: f64) -> f64 {
    let v = excess / (x + mean);
    if v.abs() >= 0.1 {
        return x * libm::log(x / mean) - excess;
    }
    let square = v * v;
    let series = (1..=8).rev().fold(0.0, |sum, j| sum * square + 1.0 / f64::from(2 * j + 1));
    excess * v + 2.0 * x * v * square * series
}

/// σ(k) for k ≥ 1: a table, then Stirling's series to k⁻⁹.
fn stirling_error(k: u64) -> f64 {
    if let Some(&error) = usize::try_from(k).ok().and_then(|k| STIRLING_ERRORS.get(k - 1)) {
        return error;
    }
    let inverse = 1.0 / k as f64;
    let square = inverse * inverse;
    let series = [1.0 / 1188.0, -1.0 / 1680.0, 1.0 / 1260.0, -1.0 / 360.0, 1.0 / 12.0];
    series.iter().fold(0.0, |sum, term| sum * square + term) * inverse
}

/// σ(1) to σ(15), from `mpmath` at 40 digits.
const STIRLING_ERRORS: [f64; 15] = [
    0.081_061_466_795_327_26,
    0.041_340_695_955_409_3,
    0.027_677_925_684_998_34,
    0.020_790_672_103_765_093,
    0.016_644_691_189_821_193,
    0.013_876_128_823_070_748,
    0.011_896_709_945_891_77,
    0.010_411_265_261_972_096,
    0.009_255_462_182_712_733,
    0.008_330_563_433_362_87,
    0.007_573_675_487_951_841,
    0.006_942_840_107_209_53,
    0.006_408_994_188_004_207,
    0.005_951_370_112_758_847_5,
    0.005_554_733_551_962_801,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// C(n, k) (c − 1)^(n − k) / c^n in integers, where they fit.
    #[test]
    fn terms_of_small_binomials_are_exact_within_their_bound() {
        for c in [2u32, 3, 10] {
            for n in 1..=30u64 {
                let mut choose = 1u128;
                for k in 0..=n {
                    let count = choose as f64 * f64::from(c - 1).powi((n - k) as i32);
                    let expected = count.ln() - n as f64 * f64::from(c).ln();
                    let term = ln_term(n, k, c);
                    let slack = term.error + 1e-14 * (1.0 + n as f64 * f64::from(c).ln());
                    assert!((term.value - expected).abs() < slack, "n {n}, k {k}, c {c}: {term:?}, not {expected}");
                    assert!(term.error < 2e-11, "{term:?}");
                    choose = choose * u128::from(n - k) / u128::from(k + 1);
                }
            }
        }
    }

    #[test]
    fn the_table_meets_the_series() {
        for (k, below) in [(15, 1e-15), (14, 1e-15), (13, 2e-15)] {
            let inverse = 1.0 / k as f64;
            let three = inverse / 12.0 - inverse.powi(3) / 360.0 + inverse.powi(5) / 1260.0 - inverse.powi(7) / 1680.0
                + inverse.powi(9) / 1188.0;
            assert!((stirling_error(k) - three).abs() < below, "k {k}");
        }
    }

    #[test]
    fn the_two_branches_of_the_deviance_agree_where_they_meet() {
        for (x, mean) in [(11.0, 9.0f64), (9.0, 11.0)] {
            let direct: f64 = x * libm::log(x / mean) + mean - x;
            for nudge in [1.0 - 1e-9, 1.0, 1.0 + 1e-9] {
                let other = deviance(x, mean * nudge, x - mean * nudge);
                assert!((other - direct).abs() < 1e-7, "{x}, {mean}: {other}, not {direct}");
            }
        }
    }
}
