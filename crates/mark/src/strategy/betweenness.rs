//! Kernels by the shortest paths that pass them: edge betweenness of the channel graph (Chen et al. 2021, arXiv 2111.00162,
//! section 3.2), over all pairs of channels, strong kernels short.

use std::num::NonZeroUsize;

use counterfoil_graph::{Sampling, edge_betweenness, sampled_edge_betweenness};
use counterfoil_ticket::Model;

use super::kernels::by_kernel;
use super::{Importance, Strategy, StrategyError};

/// Confidence of the bounds of sampled values, which are not used here.
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
        by_kernel(ticket, |graph, network| {
            let lengths = graph.edge_lengths()?;
            match self.sampled {
                None => Ok(edge_betweenness(network, &lengths)?.edges().to_vec()),
                Some((sources, seed)) => {
                    let sources = sources.get().min(network.nodes());
                    let sampling = Sampling { sources, seed, confidence: CONFIDENCE };
                    Ok(sampled_edge_betweenness(network, &lengths, &sampling)?.estimate().edges().to_vec())
                }
            }
        })
    }
}
