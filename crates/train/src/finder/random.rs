//! `random`: random masks of given layer densities, the control of every other finder.
//!
//! Uniform ones, and those of Erdős–Rényi graphs with kernels, which Liu et al. 2022 (arXiv 2202.02643) found hard to beat
//! in wide networks.

use counterfoil_ticket::Model;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ranking::Allotment;
use super::{Aim, Densities, Epochs, Finder, Keying, Masks, Scores, Search, recorded};
use crate::TrainError;

/// Stream of the generator that draws scores, apart from those of training.
const STREAM: u64 = 1;

/// How to draw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Random {
    /// Densities of the layers.
    pub densities: Densities,
}

impl Finder for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn settings(&self) -> Value {
        recorded(self)
    }

    fn keying(&self) -> Keying {
        Keying::Factor
    }

    fn epochs(&self, _: &Aim) -> Option<Epochs> {
        None
    }

    fn seek(&self, search: &mut Search) -> Result<Model, TrainError> {
        search.check_leaves_some()?;
        let scores = drawn(&search.full_masks(), search.aim.seed);
        let counts = self.densities.kept(search.network.layers(), search.aim.sparsity);
        search.best_at_once(scores, &Allotment::Each(counts))
    }
}

/// Independent scores from 0 to 1 of all positions, by seed.
pub(crate) fn drawn(masks: &Masks, seed: u64) -> Scores {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(STREAM);
    let mut draw = |size: usize| (0..size).map(|_| (rng.next_u32() >> 8) as f32 / (1 << 24) as f32).collect();
    masks.iter().map(|(name, mask)| (name.clone(), draw(mask.size()))).collect()
}
