//! Readings: which positions a suspect keeps, and what each way of looking costs.
//!
//! Implements "What is read as kept" and "Charges" of docs/protocol.md. A reading depends on the suspect alone, and on
//! what the claim fixed before the suspect was seen, never on the chips that are tested; only the assignment of carriers to
//! ordinals does, and is paid for by the number of assignments.

use crate::{Turn, log2_orders};

/// Densities tried for every carrier when no claim states them.
pub const BLIND_DENSITIES: [RankDensity; 6] = [
    RankDensity { kept: 1, size: 100 },
    RankDensity { kept: 1, size: 50 },
    RankDensity { kept: 1, size: 20 },
    RankDensity { kept: 1, size: 10 },
    RankDensity { kept: 1, size: 5 },
    RankDensity { kept: 1, size: 2 },
];

/// Bits for trying all four dilutions when no claim states which one was used.
pub const BLIND_DILUTION_BITS: u32 = 2;

/// Bits for taking the better of mask and triggers, if both were tested.
pub const EITHER_BITS: u32 = 1;

/// A way of saying which positions a suspect keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Positions that the mask keeps or, without one, whose value is not zero.
    Zeros,
    /// The largest ranks, at the claimed density of each carrier.
    ClaimedRanks,
    /// The largest ranks, at one density for all carriers.
    BlindRanks(RankDensity),
    /// As [`Reading::Zeros`], with the carriers of one shape in their best order.
    AssignedZeros,
    /// As [`Reading::Zeros`], with all kernels turned.
    TurnedZeros(Turn),
    /// As [`Reading::Zeros`], with the suspect's channels aligned with the reference mask's.
    AlignedZeros,
    /// As [`Reading::AlignedZeros`], where some carriers are read by rank for want of zeros.
    AlignedRanks,
}

/// A share of positions, kept of size, as integers: ⌈d · size⌉ must not depend on rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankDensity {
    kept: u64,
    size: u64,
}

impl RankDensity {
    /// `None` if the size is 0 or smaller than the number kept.
    pub fn new(kept: u64, size: u64) -> Option<Self> {
        (size > 0 && kept <= size).then_some(Self { kept, size })
    }

    /// ⌈d · size⌉, for a carrier of `size` positions.
    pub fn count(self, size: usize) -> usize {
        let count = (u128::from(self.kept) * size as u128).div_ceil(u128::from(self.size));
        usize::try_from(count).expect("a share of a size is no larger than it")
    }

    /// The nearest of 1/2, 1/4, … 1/2^least, by its logarithm.
    pub fn step(self, least: u32) -> Self {
        // 2^-k is the nearest or too small from (kept / size)² · 2^(2k + 1) ≥ 1 on.
        let (kept, size) = (u128::from(self.kept), u128::from(self.size));
        let is_reached = |k: &u32| (kept << k).pow(2) * 2 >= size.pow(2);
        let k = (1..least).find(is_reached).unwrap_or(least);
        Self { kept: 1, size: 1 << k }
    }

    /// Whether all positions are kept: nothing can be read from ranks then.
    pub fn is_dense(self) -> bool {
        self.kept == self.size
    }

    /// The density as a number, for reports.
    pub fn share(self) -> f64 {
        self.kept as f64 / self.size as f64
    }
}

/// Bits to add to log2 p of a reading: `zeros` gets half of what may go wrong; turns, where kernels can be turned, a
/// quarter; the other readings what is left.
///
/// `others` is the number of readings by rank and by order that apply to this suspect; `is_turned` whether it is read under
/// turns too; `groups` the numbers of carriers of each shape, which only [`Reading::AssignedZeros`] looks at. `aligned` is the
/// number of aligned readings of the verdict level: if there are any, they get half of what may go wrong, and all others
/// what is left. What the choice of an alignment costs is not in it.
pub fn charge(reading: Reading, others: u32, is_turned: bool, groups: &[usize], aligned: u32) -> u32 {
    let bits = |count: u32| count.max(1).next_power_of_two().ilog2();
    let in_place = u32::from(aligned > 0);
    let share = 1 + u32::from(is_turned) + bits(others);
    match reading {
        Reading::Zeros => in_place + 1,
        Reading::TurnedZeros(_) => in_place + 2 + bits(Turn::ALL.len() as u32),
        Reading::ClaimedRanks | Reading::BlindRanks(_) => in_place + share,
        Reading::AssignedZeros => in_place + share + log2_orders(groups).ceil() as u32,
        Reading::AlignedZeros | Reading::AlignedRanks => 1 + bits(aligned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn densities_are_worked_out_in_integers() {
        for kept in 0..=49 {
            // 49 · (kept / 49) in floating point would round up to one more for some of these
            let density = RankDensity::new(kept, 49).expect("no more than 49 are kept");
            assert_eq!((density.count(49), density.is_dense()), (kept as usize, kept == 49));
        }
        assert_eq!(RankDensity::new(1, 0), None);
        assert_eq!(RankDensity::new(3, 2), None);
    }

    #[test]
    fn densities_have_a_nearest_step() {
        let step = |kept, size| RankDensity::new(kept, size).unwrap().step(7).size;
        assert_eq!([step(1, 2), step(1, 4), step(1, 1), step(0, 9), step(1, 1000)], [2, 4, 2, 128, 128]);
        // between 1/8 and 1/16 the border is at 0.0884
        assert_eq!([step(88, 1000), step(89, 1000)], [16, 8]);
        assert_eq!(step(1 << 38, 1 << 38), 2, "the largest carrier");
    }

    #[test]
    fn blind_densities_round_up() {
        assert_eq!(BLIND_DENSITIES.map(|density| density.count(301)), [4, 7, 16, 31, 61, 151]);
        assert_eq!(BLIND_DENSITIES.map(|density| density.count(0)), [0; 6]);
        assert_eq!(BLIND_DENSITIES.map(|density| density.share()), [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]);
    }

    #[test]
    fn charges_are_those_of_the_protocol() {
        assert_eq!(charge(Reading::Zeros, 7, true, &[3], 0), 1);
        assert_eq!(charge(Reading::ClaimedRanks, 1, false, &[3], 0), 1);
        assert_eq!(charge(Reading::ClaimedRanks, 2, false, &[3], 0), 2);
        assert_eq!(charge(Reading::ClaimedRanks, 2, true, &[3], 0), 3);
        assert_eq!(charge(Reading::BlindRanks(BLIND_DENSITIES[0]), 6, false, &[], 0), 4);
        assert_eq!(charge(Reading::TurnedZeros(Turn::Mirrored), 7, true, &[3], 0), 5);
        // two readings: 2 bits; 3! · 2! = 12 orders: 4 bits more
        assert_eq!(charge(Reading::AssignedZeros, 2, false, &[3, 2, 1], 0), 6);
        assert_eq!(charge(Reading::AssignedZeros, 1, false, &[2, 2], 0), 3);
        // aligned readings get half, and all others a bit more to pay
        assert_eq!(charge(Reading::Zeros, 1, true, &[], 3), 2);
        assert_eq!(charge(Reading::AlignedZeros, 1, true, &[], 3), 3);
        assert_eq!(charge(Reading::AlignedRanks, 7, false, &[2, 2], 1), 1);
    }

    /// The weights 2^-charge of all readings that apply sum to at most 1, or Bonferroni would not hold.
    #[test]
    fn the_charges_of_all_readings_are_affordable() {
        let settings = (0..=7).flat_map(|others| [(others, false), (others, true)]);
        for ((others, is_turned), aligned) in settings.flat_map(|setting| [0, 1, 3].map(|aligned| (setting, aligned))) {
            let weight = |reading| 1.0 / f64::from(1u32 << charge(reading, others, is_turned, &[], aligned));
            let turns = if is_turned { Turn::ALL.len() } else { 0 };
            let sum = weight(Reading::Zeros)
                + f64::from(others) * weight(Reading::ClaimedRanks)
                + turns as f64 * weight(Reading::TurnedZeros(Turn::Mirrored))
                + f64::from(aligned) * weight(Reading::AlignedZeros);
            assert!(sum <= 1.0, "{others} other readings, {aligned} aligned: {sum}");
        }
    }
}
