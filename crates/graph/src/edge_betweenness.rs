//! Edge betweenness: how many of the network's shortest paths an edge carries.
//!
//! B(e) = Σ σ(s, t | e) / σ(s, t) over all ordered pairs (s, t) of channels of the unrolled network, where σ(s, t) is the
//! number of shortest paths from s to t and σ(s, t | e) of those that use e (Girvan & Newman 2002; weighted by Brandes
//! 2008, "On variants of shortest-path betweenness centrality", section 3.3; the algorithm is that of Brandes 2001, doi
//! 10.1080/0022250X.2001.9990249). Lengths are 1 / Σ|w|, after "You are caught stealing my winning lottery ticket!" (Chen,
//! Chen, Zhang & Wang 2021, arXiv 2111.00162), which chooses the key mask by the edge betweenness of the weighted channel
//! graph.
//!
//! The reference code of that paper (VITA-Group/NO-stealing-LTH, `ownership_utils.py`) computes something else: layer by
//! layer, on an undirected complete bipartite graph that includes the pruned kernels, without passing the weights to
//! networkx. All edges of a layer then have the same value. What is here follows the paper's text.
//!
//! **Ties.** Two paths are equally short if their lengths, added from the source on in `f64`, are equal; no tolerance.
//! This is networkx's rule, so both find the same paths.
//!
//! **Order of sums.** Sources go in chunks whose size follows from their number; each chunk is summed by itself, then the
//! chunks in order. So the result is the same, byte for byte, on any number of threads.
//!
//! petgraph has no edge betweenness; rustworkx-core's takes no lengths and adds in the order in which threads finish.

mod sampled;
mod search;

use pulp::Arch;
use rayon::prelude::*;

pub use sampled::{SampledBetweenness, Sampling, sampled_edge_betweenness};

use crate::{GraphError, Link, Unrolled};
use search::{LANES, Search, Tally};

/// Chunks that the sources are split into, if that makes them neither too small nor too large.
const CHUNKS: usize = 64;

/// Most sources of a chunk: adding a chunk's sums is then a small part of its searches.
const MOST_SOURCES: usize = 32 * LANES;

/// Edge betweenness of an unrolled network.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgeBetweenness {
    edges: Vec<f64>,
    links: Vec<f64>,
    nodes: usize,
}

impl EdgeBetweenness {
    fn of_links(network: &Unrolled, links: Vec<f64>) -> Self {
        let mut edges = vec![0.0; network.edges()];
        for (link, &value) in links.iter().enumerate() {
            if let Link::Edge(edge) = network.link(link) {
                edges[edge as usize] = value;
            }
        }
        Self { edges, links, nodes: network.nodes() }
    }

    /// By edge of the mask graph.
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// By link of the unrolled network, those that pass a channel on too, in the order of [`Unrolled::links_into`].
    pub fn links(&self) -> &[f64] {
        &self.links
    }

    /// By edge of the mask graph, as a share of the n (n − 1) ordered pairs of the unrolled network's n nodes.
    pub fn normalised(&self) -> Vec<f64> {
        let pairs = self.nodes as f64 * (self.nodes as f64 - 1.0);
        self.edges.iter().map(|value| value / pairs).collect()
    }
}

/// Computes the edge betweenness of an unrolled network, exactly.
///
/// - `network`: n nodes, m links.
/// - `lengths`: by edge of the mask graph, above 0; [`MaskGraph::edge_lengths`](crate::MaskGraph::edge_lengths) gives the
///   paper's. An infinite length is that of an edge that no path uses. Passing a channel on is 1 long.
///
/// Takes O(n m) time on rayon's threads, and for each of them 8 m + 400 n bytes: some 10 s for a ResNet-50 with a tenth of
/// its weights. Pairs without a path between them count nothing.
///
/// ```
/// use std::collections::BTreeMap;
/// use counterfoil_graph::{MaskGraph, Unrolled, edge_betweenness};
/// use counterfoil_ticket::{Architecture, ImageShape};
///
/// let input = ImageShape { channels: 1, height: 1, width: 1 };
/// let net = Architecture::Mlp { input, hidden: vec![2], classes: 1 };
/// let network = Unrolled::of(&MaskGraph::build(&net, &BTreeMap::new())?)?;
/// // Input to hidden 0 and 1, hidden 0 and 1 to the class. Both ways are equally short:
/// let values = edge_betweenness(&network, &[1.0; 4])?;
/// assert_eq!(values.edges(), [1.5; 4]); // the pair at its ends, half of the pair (input, class)
/// // The way by hidden 1 is shorter:
/// let values = edge_betweenness(&network, &[1.0, 0.5, 1.0, 1.0])?;
/// assert_eq!(values.edges(), [1.0, 2.0, 1.0, 2.0]);
/// # Ok::<(), counterfoil_graph::GraphError>(())
/// ```
///
/// # Errors
///
/// [`GraphError::EdgeValues`] and [`GraphError::EdgeValue`] for lengths that are not as above,
/// [`GraphError::TooManyShortestPaths`] where shortest paths are too many to be counted by a float.
pub fn edge_betweenness(network: &Unrolled, lengths: &[f64]) -> Result<EdgeBetweenness, GraphError> {
    let sources: Vec<u32> = (0..network.nodes() as u32).collect();
    edge_betweenness_from(network, lengths, &sources)
}

/// As [`edge_betweenness`], but only over the pairs (s, t) with s among the `sources`: nodes of the unrolled network,
/// ascending.
///
/// # Errors
///
/// As [`edge_betweenness`], and [`GraphError::Source`].
pub fn edge_betweenness_from(
    network: &Unrolled,
    lengths: &[f64],
    sources: &[u32],
) -> Result<EdgeBetweenness, GraphError> {
    let sums: Sums = sum_over(network, lengths, sources)?;
    Ok(EdgeBetweenness::of_links(network, sums.0))
}

/// Sums by link that can be added to those of other sources.
trait Sum: Tally + Send {
    fn zero(links: usize) -> Self;
    /// Adds to `self`, and leaves zeros.
    fn take(&mut self, other: &mut Self);
}

/// The sum of dependencies.
struct Sums(Vec<f64>);

impl Tally for Sums {
    #[inline(always)]
    fn add(&mut self, link: usize, dependencies: &[f64; LANES]) {
        self.0[link] += dependencies.iter().sum::<f64>();
    }
}

impl Sum for Sums {
    fn zero(links: usize) -> Self {
        Self(vec![0.0; links])
    }

    fn take(&mut self, other: &mut Self) {
        take(&mut self.0, &mut other.0);
    }
}

fn take(sums: &mut [f64], others: &mut [f64]) {
    for (sum, other) in sums.iter_mut().zip(others) {
        *sum += std::mem::take(other);
    }
}

/// Searches from all sources and sums what the links carry, in an order that does not depend on the threads.
fn sum_over<S: Sum>(network: &Unrolled, lengths: &[f64], sources: &[u32]) -> Result<S, GraphError> {
    let limit = network.nodes();
    let ascending = sources.windows(2).find(|pair| pair[0] >= pair[1]).map(|pair| pair[1]);
    if let Some(found) = ascending.or(sources.last().copied().filter(|&last| last as usize >= limit)) {
        return Err(GraphError::Source { found, limit });
    }
    let lengths = network.by_link(checked(network, lengths)?);
    let chunk = sources.len().div_ceil(CHUNKS).next_multiple_of(LANES).clamp(LANES, MOST_SOURCES);
    let chunks: Vec<&[u32]> = sources.chunks(chunk).collect();
    // As many chunks at a time as there are threads, so that memory does not grow with the sources.
    let threads = rayon::current_num_threads().clamp(1, chunks.len().max(1));
    let mut workers: Vec<(Search, S)> =
        (0..threads).map(|_| (Search::new(network, &lengths), S::zero(network.links()))).collect();
    let mut total = S::zero(network.links());
    for wave in chunks.chunks(threads) {
        let countable = workers.par_iter_mut().zip(wave).map(|((search, sums), chunk)| {
            // Sources of a chunk ascend, those of a worker's next chunk are above them.
            chunk.chunks(LANES).all(|sources| Arch::new().dispatch(|| search.run(sources, sums)))
        });
        if !countable.reduce(|| true, |a, b| a && b) {
            return Err(GraphError::TooManyShortestPaths);
        }
        for (_, sums) in &mut workers[..wave.len()] {
            total.take(sums);
        }
    }
    Ok(total)
}

fn checked<'a>(network: &Unrolled, lengths: &'a [f64]) -> Result<&'a [f64], GraphError> {
    let (found, expected) = (lengths.len(), network.edges());
    if found != expected {
        return Err(GraphError::EdgeValues { what: "lengths", found, expected });
    }
    match lengths.iter().position(|&length| length.is_nan() || length <= 0.0) {
        Some(edge) => {
            Err(GraphError::EdgeValue { what: "length", edge, found: lengths[edge], expected: "one above 0" })
        }
        None => Ok(lengths),
    }
}
