//! Positions at random: what the other strategies are compared with.

use counterfoil_ticket::{Mask, Model};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{Importance, Strategy, StrategyError};

/// Uniform numbers from ChaCha8, tensor by tensor in order of name.
#[derive(Debug, Clone, Copy)]
pub struct Random {
    /// Seed of the generator.
    pub seed: u64,
}

impl Strategy for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn importance(&self, ticket: &Model) -> Result<Importance, StrategyError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // 53 bits fill a double's mantissa exactly.
        let mut drawn = |mask: &Mask| (0..mask.size()).map(|_| (rng.next_u64() >> 11) as f64).collect();
        Ok(ticket.masks.iter().map(|(name, mask)| (name.clone(), drawn(mask))).collect())
    }
}
