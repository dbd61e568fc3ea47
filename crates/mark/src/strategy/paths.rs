//! Kernels by the paths that pass them: the edge-weight product ("EWP") and its plain form of Chen et al. 2021 (arXiv
//! 2111.00162, section 3.2).
//!
//! Paths are drawn from an input channel to a class, step by step. In the weighted form a step is taken with probability
//! proportional to its kernel's Σ|w|, so that a path's probability is the product of its weights, each normalised at its
//! channel.

use counterfoil_graph::{StepChoice, sample_paths};
use counterfoil_ticket::Model;

use super::kernels::Kernels;
use super::{Importance, Strategy, StrategyError};

/// The paths of the paper's reference code.
const USUAL_PATHS: u32 = 50_000;

/// Number of drawn paths that pass a kernel.
#[derive(Debug, Clone, Copy)]
pub struct Paths {
    /// Whether strong kernels are more likely to be passed.
    pub weighted: bool,
    /// Number of paths.
    pub paths: u32,
    /// Seed of the generator.
    pub seed: u64,
}

impl Paths {
    /// 50,000 paths along strong kernels.
    pub fn ewp(seed: u64) -> Self {
        Self { weighted: true, paths: USUAL_PATHS, seed }
    }

    /// 50,000 paths along any kernels.
    pub fn random(seed: u64) -> Self {
        Self { weighted: false, ..Self::ewp(seed) }
    }
}

impl Strategy for Paths {
    fn name(&self) -> &'static str {
        if self.weighted { "ewp" } else { "random-path" }
    }

    fn importance(&self, ticket: &Model) -> Result<Importance, StrategyError> {
        let kernels = Kernels::of(ticket)?;
        let weights = kernels.graph.edge_weights()?;
        let choice = if self.weighted { StepChoice::Proportional(&weights) } else { StepChoice::Uniform };
        let passed = sample_paths(&kernels.network, choice, self.paths, self.seed)?;
        Ok(kernels.by_position(&passed.into_iter().map(f64::from).collect::<Vec<_>>()))
    }
}
