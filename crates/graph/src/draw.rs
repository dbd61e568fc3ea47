//! What is drawn at random, from the words of a seeded generator alone, so that every machine draws the same.

use std::collections::BTreeSet;

use rand_chacha::rand_core::Rng;

/// A uniform number below `bound`, which is not 0: words beyond the largest multiple of `bound` are skipped.
pub(crate) fn below(bound: u32, rng: &mut impl Rng) -> u32 {
    let fair = (1u64 << 32) / u64::from(bound) * u64::from(bound);
    loop {
        let word = rng.next_u32();
        if u64::from(word) < fair {
            return word % bound;
        }
    }
}

/// A uniform multiple of 2⁻⁵³ from 0 on, below 1.
pub(crate) fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// `count` of the numbers below `bound`, each set equally likely, ascending (Floyd's algorithm, Bentley & Floyd 1987).
pub(crate) fn without_replacement(bound: u32, count: u32, rng: &mut impl Rng) -> Vec<u32> {
    let mut chosen = BTreeSet::new();
    for last in bound - count..bound {
        let number = below(last + 1, rng);
        if !chosen.insert(number) {
            chosen.insert(last);
        }
    }
    chosen.into_iter().collect()
}
