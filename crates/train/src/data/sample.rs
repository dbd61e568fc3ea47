//! Drawing by seed: the same seed gives the same images on every machine, since only integers are drawn.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Which half of a data set: each is drawn from a stream of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Test,
}

/// A uniform number below `bound`, which is not 0: words beyond the largest multiple of `bound` are skipped.
pub fn below(bound: u32, rng: &mut impl Rng) -> u32 {
    let fair = (1u64 << 32) / u64::from(bound) * u64::from(bound);
    loop {
        let word = rng.next_u32();
        if u64::from(word) < fair {
            return word % bound;
        }
    }
}

/// Puts the items into random order (Fisher and Yates, from the end). Panics above 2³² − 1 items.
pub fn shuffle<T>(items: &mut [T], rng: &mut impl Rng) {
    for last in (1..items.len()).rev() {
        let bound = u32::try_from(last + 1).expect("data sets have fewer than 2^32 images");
        items.swap(last, below(bound, rng) as usize);
    }
}

/// At most `limit` of the indices below `count`, drawn by seed, in ascending order; all of them without a limit.
pub(super) fn chosen(count: usize, limit: Option<usize>, seed: u64, part: Part) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..count).collect();
    if let Some(limit) = limit.filter(|&limit| limit < count) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(part as u64);
        shuffle(&mut indices, &mut rng);
        indices.truncate(limit);
        indices.sort_unstable();
    }
    indices
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_order_of_three_occurs_about_equally_often() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..6000 {
            let mut items = [0, 1, 2];
            shuffle(&mut items, &mut rng);
            *seen.entry(items).or_insert(0i32) += 1;
        }
        assert_eq!(seen.len(), 6);
        // Bin(6000, 1/6) has a standard deviation of 28.9; six of them for every order.
        assert!(seen.values().all(|times| (times - 1000).abs() < 174), "{seen:?}");
    }

    #[test]
    fn the_halves_are_drawn_independently() {
        let draw = |seed, part| chosen(1000, Some(5), seed, part);
        assert_eq!(draw(7, Part::Train), draw(7, Part::Train));
        assert_ne!(draw(7, Part::Train), draw(7, Part::Test));
        assert_ne!(draw(7, Part::Train), draw(8, Part::Train));
    }

    proptest! {
        #[test]
        fn choices_are_ascending_distinct_and_as_many_as_asked(count in 0usize..200, limit in 0usize..300, seed: u64) {
            let indices = chosen(count, Some(limit), seed, Part::Test);
            prop_assert_eq!(indices.len(), limit.min(count));
            prop_assert!(indices.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(indices.iter().all(|&index| index < count));
        }

        #[test]
        fn numbers_are_below_their_bound(bound in 1u32.., seed: u64) {
            prop_assert!(below(bound, &mut ChaCha8Rng::seed_from_u64(seed)) < bound);
        }
    }
}
