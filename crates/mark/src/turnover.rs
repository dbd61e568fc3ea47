//! Turnover tolerance: how much of a ticket may be moved elsewhere before its mark can no longer be shown.
//!
//! Positions moved elsewhere at random land on chips that are fair coins. So if a share r of the kept positions is moved,
//! the excess of chips +1 shrinks by 1 − r while n stays, and log2 p, which goes with excess² / n, by (1 − r)². A mark of
//! log2 p₀ is then expected at a threshold θ until
//!
//! ```text
//! r* = 1 − √(θ / log2 p₀)
//! ```
//!
//! of the positions have moved: the one honest figure for its strength. Two limits: r* is where an even chance of passing
//! remains, and for a panel of which nearly all chips are +1 the square overstates (log2 p₀ = −n, all chips +1, passes
//! up to 67 % at n = 836, not 72 %); [`after_turnover`] takes the counts instead and has no such limit.

use crate::{Log2P, Tally};

/// r*: the share (0 to 1) of the kept positions that may be moved at random; 0 if the threshold is not reached as it is.
///
/// ```
/// # use counterfoil_mark::{Log2P, turnover_tolerance};
/// let log2_p = |bits| Log2P::new(bits).expect("finite and at most 0");
/// let at = |bits| turnover_tolerance(log2_p(bits), log2_p(-64.0));
/// assert_eq!((at(-256.0), at(-1600.0), at(-64.0), at(-10.0)), (0.5, 0.8, 0.0, 0.0));
/// ```
pub fn turnover_tolerance(strength: Log2P, threshold: Log2P) -> f64 {
    if strength.bits() >= threshold.bits() || strength.bits() >= 0.0 {
        return 0.0;
    }
    1.0 - (threshold.bits().min(0.0) / strength.bits()).sqrt()
}

/// The strength that has a turnover tolerance of this share: θ / (1 − r)²; `None` unless the share is from 0 to below 1.
pub fn strength_for_turnover(share: f64, threshold: Log2P) -> Option<Log2P> {
    if !(0.0..1.0).contains(&share) {
        return None;
    }
    Log2P::new(threshold.bits() / ((1.0 - share) * (1.0 - share)))
}

/// The tally to expect, rounded down, after a share (0 to 1) of the kept positions has been moved at random.
pub fn after_turnover(tally: Tally, share: f64) -> Tally {
    let half = tally.n() as f64 / 2.0;
    let hits = (half + (1.0 - share.clamp(0.0, 1.0)) * (tally.hits() as f64 - half)).floor().max(0.0) as u64;
    Tally::new(tally.n(), hits.min(tally.n())).expect("no more hits than n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use super::*;
    use crate::{Chance, log2_upper_tail};

    const THRESHOLD: f64 = -64.0;

    fn log2_p(bits: f64) -> Log2P {
        Log2P::new(bits).unwrap()
    }

    #[test]
    fn tolerance_is_that_of_the_design() {
        // DESIGN, section 3: 37 % at -160, 50 % at -256, 80 % at -1600.
        for (bits, percent) in [(-160.0, 36.75), (-256.0, 50.0), (-1600.0, 80.0), (-64.0, 0.0), (-3.0, 0.0), (0.0, 0.0)]
        {
            let share = turnover_tolerance(log2_p(bits), log2_p(THRESHOLD));
            assert!((100.0 * share - percent).abs() < 0.01, "{bits}: {share}");
        }
    }

    #[test]
    fn strength_for_turnover_reverses_tolerance() {
        for share in [0.0, 0.37, 0.5, 0.8, 0.99] {
            let strength = strength_for_turnover(share, log2_p(THRESHOLD)).unwrap();
            assert!((turnover_tolerance(strength, log2_p(THRESHOLD)) - share).abs() < 1e-9, "{share}");
        }
    }

    #[test]
    fn nothing_withstands_that_all_is_moved() {
        for share in [1.0, 1.5, -0.1, f64::NAN] {
            assert_eq!(strength_for_turnover(share, log2_p(THRESHOLD)), None, "{share}");
        }
    }

    #[test]
    fn the_mark_still_passes_just_below_its_tolerance_and_not_above() {
        // A weak bias, where the square is nearly exact: n = 6692, 609 swaps above one half.
        let coin = Chance::HALF;
        let tally = Tally::new(6692, 3346 + 609).unwrap();
        let share = turnover_tolerance(log2_upper_tail(tally, coin), log2_p(THRESHOLD));
        let bits = |share| log2_upper_tail(after_turnover(tally, share), coin).bits();
        assert!(bits(share - 0.02) <= THRESHOLD && bits(share + 0.02) > THRESHOLD, "{share}");
    }

    #[test]
    fn all_moved_leaves_a_coin_and_a_bias_to_minus_one_stays_below_it() {
        assert_eq!(after_turnover(Tally::new(10, 10).unwrap(), 1.0), Tally::new(10, 5).unwrap());
        assert_eq!(after_turnover(Tally::new(10, 0).unwrap(), 0.5), Tally::new(10, 2).unwrap());
        assert_eq!(after_turnover(Tally::new(0, 0).unwrap(), 0.5), Tally::new(0, 0).unwrap());
    }
}
