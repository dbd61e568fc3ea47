//! What attacks draw at random: the same seed gives the same draws.

use counterfoil_train::data::shuffle;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// A source of random numbers.
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A standard normal.
    pub(crate) fn normal(&mut self) -> f32 {
        StandardNormal.sample(&mut self.0)
    }

    /// A positive factor: the exponential of a normal of deviation `sigma`.
    pub(crate) fn factor(&mut self, sigma: f64) -> f32 {
        let normal: f64 = StandardNormal.sample(&mut self.0);
        (sigma * normal).exp() as f32
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Whether something of this chance happens.
    pub(crate) fn happens(&mut self, chance: f64) -> bool {
        // 53 bits fill a mantissa exactly.
        ((self.0.next_u64() >> 11) as f64) < chance * (1u64 << 53) as f64
    }

    /// The items in a random order.
    pub(crate) fn shuffled<T>(&mut self, items: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut items: Vec<T> = items.into_iter().collect();
        shuffle(&mut items, &mut self.0);
        items
    }

    /// `count` of the items, in a random order; all of them if there are fewer.
    pub(crate) fn some<T>(&mut self, items: impl IntoIterator<Item = T>, count: usize) -> Vec<T> {
        let mut items = self.shuffled(items);
        items.truncate(count);
        items
    }
}

/// How many of `of` a share above 0 is: at least one.
pub(crate) fn part(share: f64, of: usize) -> usize {
    let count = (share * of as f64).round() as usize;
    count.max(usize::from(share > 0.0 && of > 0))
}

/// Root mean square of what is not 0; 0 if nothing is.
pub(crate) fn rms(values: &[f32]) -> f32 {
    let kept = values.iter().filter(|v| **v != 0.0).count();
    let squares: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
    (squares / kept.max(1) as f64).sqrt() as f32
}
