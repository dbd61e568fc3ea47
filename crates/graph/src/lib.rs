//! The mask as a channel graph: which channels a sparse network still connects, and how.
//!
//! ```
//! use std::collections::BTreeMap;
//! use counterfoil_graph::{MaskGraph, count_paths, fingerprint, summarise};
//! use counterfoil_ticket::{Architecture, ImageShape, Mask};
//!
//! let input = ImageShape { channels: 1, height: 8, width: 8 };
//! let net = Architecture::Mlp { input, hidden: vec![30], classes: 10 };
//! let mask = Mask::from_fn(64 * 30, |position| position % 10 == 0);
//! let graph = MaskGraph::build(&net, &BTreeMap::from([("fc1.weight".to_owned(), mask)]))?;
//! assert_eq!(count_paths(&graph), 1920u32.into()); // 192 kept weights, 10 classes each
//! assert_eq!(summarise(&graph).components.isolated, 32); // the odd pixels
//! assert_eq!(fingerprint(&graph).len(), 32);
//! # Ok::<(), counterfoil_graph::GraphError>(())
//! ```
//!
//! Reading order: [`KeptKernel`], what an edge is; [`MaskGraph`], its [`Channel`]s, [`Connection`]s and [`Step`]s (the
//! unrolled network, in which residual streams do not run in circles); [`Liveness`]; the statistics [`components`],
//! [`dead_channels`], [`effective_sparsity`], [`count_paths`], all together in [`summarise`]; [`fingerprint`]. A model
//! whose architecture is not described has no graph, but each of its carriers has [`carrier_statistics()`].
//!
//! [`Unrolled`] is the unrolled network as a graph without cycles. On it the paper's key mask is chosen: by
//! [`edge_betweenness()`], or [`sampled_edge_betweenness`] where that takes too long, and by [`sample_paths`].
//!
//! Absent on purpose: drawing (the command line does it), weights' values beyond [`MaskGraph::weigh`], and anything
//! that decides about ownership: graph statistics describe, the tests of the mark decide.

mod align;
mod bounds;
mod draw;
mod edge_betweenness;
mod error;
mod fingerprint;
mod kernel;
mod liveness;
mod mask_graph;
mod path_sampling;
mod statistics;
#[cfg(test)]
mod test_networks;
mod unrolled;
mod wiring;

pub use num_bigint;
pub use petgraph;

pub use align::{
    AlignError, AlignLayer, AlignSettings, Aligner, Alignment, Channels, MAX_PAIRS, Shift, Side, Tie, finds_itself,
};
pub use bounds::{MAX_CHANNELS, MAX_COPIES, MAX_KERNELS, MAX_POSITIONS};
pub use edge_betweenness::{
    EdgeBetweenness, SampledBetweenness, Sampling, edge_betweenness, edge_betweenness_from, sampled_edge_betweenness,
};
pub use error::GraphError;
pub use fingerprint::fingerprint;
pub use kernel::{KeptKernel, kept_kernels};
pub use liveness::Liveness;
pub use mask_graph::{Channel, Connection, Kernel, MaskGraph, MaskedLayer, Step};
pub use path_sampling::{StepChoice, sample_paths};
pub use statistics::{
    CarrierStatistics, Components, DegreeDistribution, GroupLiveness, LayerSparsity, Sparsity, Summary,
    carrier_statistics, components, count_paths, dead_channels, effective_sparsity, summarise,
};
pub use unrolled::{Link, Unrolled};
pub use wiring::StepKind;
