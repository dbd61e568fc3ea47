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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn every_pair_of_five_is_drawn_about_equally_often() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut seen: BTreeMap<Vec<u32>, i32> = BTreeMap::new();
        for _ in 0..10_000 {
            *seen.entry(without_replacement(5, 2, &mut rng)).or_default() += 1;
        }
        assert_eq!(seen.len(), 10);
        assert!(seen.keys().all(|pair| pair[0] < pair[1] && pair[1] < 5));
        // Bin(10000, 1/10) has a standard deviation of 30; six of them for every pair: 10 · 2e-9.
        assert!(seen.values().all(|times| (times - 1000).abs() < 180), "{seen:?}");
        assert_eq!(without_replacement(4, 4, &mut rng), [0, 1, 2, 3]);
        assert!(without_replacement(4, 0, &mut rng).is_empty());
    }

    #[test]
    fn units_are_spread_over_their_range() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let draws: Vec<f64> = (0..10_000).map(|_| unit(&mut rng)).collect();
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        // The mean of 10000 has a standard deviation of √(1/12) / 100 = 0.0029; six of them.
        let mean = draws.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.0174, "{mean}");
    }
}
