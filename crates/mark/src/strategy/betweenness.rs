//! Kernels by the shortest paths that pass them: edge betweenness of the channel graph (Chen et al. 2021, arXiv 2111.00162,
//! section 3.2), over all pairs of channels, strong kernels short.

use std::num::NonZeroUsize;

use counterfoil_graph::{Sampling, edge_betweenness, sampled_edge_betweenness};
use counterfoil_ticket::Model;

use super::kernels::Kernels;
use super::{ErrorBound, Estimate, Importance, Strategy, StrategyError};

/// Probability that no sampled value is off by more than its bound.
const CONFIDENCE: f64 = 0.95;

/// Edge betweenness in the unrolled network, lengths 1 / Σ|w|.
#[derive(Debug, Clone, Copy)]
pub struct Betweenness {
    /// How many channels are drawn as sources, and by which seed; all of them without it.
    pub sampled: Option<(NonZeroUsize, u64)>,
}

impl Betweenness {
    /// From all channels.
    pub fn exact() -> Self {
        Self { sampled: None }
    }
}

impl Strategy for Betweenness {
    fn name(&self) -> &'static str {
        "betweenness"
    }

    fn importance(&self, ticket: &Model) -> Result<Importance, StrategyError> {
        Ok(self.estimate(ticket)?.importance)
    }

    fn estimate(&self, ticket: &Model) -> Result<Estimate, StrategyError> {
        let kernels = Kernels::of(ticket)?;
        let lengths = kernels.graph.edge_lengths()?;
        match self.sampled {
            Some((sources, seed)) if sources.get() < kernels.network.nodes() => {
                let sampling = Sampling { sources: sources.get(), seed, confidence: CONFIDENCE };
                let sampled = sampled_edge_betweenness(&kernels.network, &lengths, &sampling)?;
                let bounds = kernels.by_position(sampled.bounds());
                let importance = kernels.by_position(sampled.estimate().edges());
                Ok(Estimate { importance, error: Some(ErrorBound { confidence: CONFIDENCE, bounds }) })
            }
            _ => {
                let exact = edge_betweenness(&kernels.network, &lengths)?;
                Ok(Estimate { importance: kernels.by_position(exact.edges()), error: None })
            }
        }
    }
}
