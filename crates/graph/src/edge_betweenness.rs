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

use rayon::prelude::*;

pub use sampled::{SampledBetweenness, Sampling, sampled_edge_betweenness};

use crate::{GraphError, Link, Unrolled};
use search::{LANES, Lanes, Search, Tally, sum};

/// Chunks that the sources are split into, if that makes them neither too small nor too large.
const CHUNKS: usize = 16;

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
/// Takes O(n m) time on rayon's threads, and for each of them at most 12 m + 400 n bytes: some 11 s of processor time for a
/// ResNet-50 with a tenth of its weights. Pairs without a path between them count nothing.
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
    fn add(&mut self, link: usize, dependencies: Lanes) {
        self.0[link] += sum(dependencies);
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
    /// Links that one thread adds at a time.
    const RUN: usize = 1 << 14;
    sums.par_chunks_mut(RUN).zip(others.par_chunks_mut(RUN)).for_each(|(sums, others)| {
        sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += std::mem::take(other));
    });
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
            chunk.chunks(LANES).all(|sources| search.run(sources, sums))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use counterfoil_ticket::{Architecture, ImageShape, Mask};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::MaskGraph;
    use crate::test_networks::{linear, residual_networks};

    fn unrolled(graph: &MaskGraph) -> Unrolled {
        Unrolled::of(graph).expect("small")
    }

    #[test]
    fn a_stream_shares_its_pairs_with_a_block_that_is_as_short() {
        // Input 0, stream 1, hidden 2, stream 3, class 4; stream 1 to 3 is passed on, at length 1.
        let layers = vec![
            linear("stem", [1, 1], [0, 1]),
            linear("in", [1, 1], [1, 2]),
            linear("out", [1, 1], [2, 1]),
            linear("head", [1, 1], [1, 3]),
        ];
        let network = unrolled(&MaskGraph::from_layers(layers, vec![], &BTreeMap::new()).expect("wired"));
        let of = |lengths: &[f64]| edge_betweenness(&network, lengths).expect("valid");
        // By link: stem, in, passed on, out, head. The block is 2 long: only the pairs that begin or end in it use it.
        assert_eq!(of(&[1.0; 4]).links(), [4.0, 2.0, 4.0, 2.0, 4.0]);
        // As short as the stream: half of the pairs from 0 and 1 to 3 and 4.
        let tied = of(&[1.0, 0.5, 0.5, 1.0]);
        assert_eq!(tied.links(), [4.0, 4.0, 2.0, 4.0, 4.0]);
        assert_eq!(tied.edges(), [4.0, 4.0, 4.0, 4.0]);
        assert_eq!(tied.normalised(), [0.2; 4]);
        // Of no use: no path, and hidden 2 reaches nothing.
        assert_eq!(of(&[1.0, 1.0, f64::INFINITY, 1.0]).links(), [4.0, 2.0, 4.0, 0.0, 3.0]);
        let from = |sources| edge_betweenness_from(&network, &[1.0; 4], sources).map(|b| b.links().to_vec());
        assert_eq!(from(&[1, 3]).expect("valid"), [0.0, 1.0, 2.0, 0.0, 2.0]);
        assert_eq!(from(&[]).expect("valid"), [0.0; 5]);
        assert_eq!(from(&[1, 1]), Err(GraphError::Source { found: 1, limit: 5 }));
        assert_eq!(from(&[1, 5]), Err(GraphError::Source { found: 5, limit: 5 }));
    }

    #[test]
    fn lengths_that_are_none_are_refused() {
        let graph = MaskGraph::from_layers(vec![linear("a", [1, 2], [0, 1])], vec![], &BTreeMap::new()).expect("wired");
        let of = |lengths: &[f64]| edge_betweenness(&unrolled(&graph), lengths).map(|b| b.edges().to_vec());
        let expected = GraphError::EdgeValues { what: "lengths", found: 1, expected: 2 };
        assert_eq!(of(&[1.0]), Err(expected));
        for found in [0.0, -1.0] {
            let expected = GraphError::EdgeValue { what: "length", edge: 1, found, expected: "one above 0" };
            assert_eq!(of(&[1.0, found]), Err(expected));
        }
        assert!(matches!(of(&[f64::NAN, 1.0]), Err(GraphError::EdgeValue { edge: 0, .. })));
        assert_eq!(of(&[f64::INFINITY, 1.0]), Ok(vec![0.0, 1.0]));
    }

    #[test]
    fn shortest_paths_beyond_the_floats_are_refused() {
        // Two channels a layer: 2^(layers − 1) paths to each of the last two.
        let chain = |layers: usize| {
            let layer = |i: usize| linear(&i.to_string(), [2, 2], [i, i + 1]);
            let layers: Vec<_> = (0..layers).map(layer).collect();
            let network = unrolled(&MaskGraph::from_layers(layers, vec![], &BTreeMap::new()).expect("wired"));
            edge_betweenness_from(&network, &vec![1.0; network.edges()], &[0, 1]).map(|b| b.edges().to_vec())
        };
        // 2^997 > 10^300 > 2^996.
        let last = chain(997).expect("few enough").last().copied();
        assert_eq!(last, Some(1.0), "half of two pairs");
        assert_eq!(chain(998), Err(GraphError::TooManyShortestPaths));
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes() {
        let input = ImageShape { channels: 3, height: 8, width: 8 };
        let net = Architecture::Resnet20 { input, width: 16, classes: 10 };
        let network = unrolled(&MaskGraph::build(&net, &BTreeMap::new()).expect("built"));
        // Sixths add differently in another order; six lengths tie often.
        let lengths: Vec<f64> = (0..network.edges()).map(|edge| (1 + edge * edge % 6) as f64 / 6.0).collect();
        let sampling = Sampling { sources: 300, seed: 1, confidence: 0.9 };
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| {
                let exact = edge_betweenness(&network, &lengths).expect("valid");
                (exact, sampled_edge_betweenness(&network, &lengths, &sampling).expect("valid"))
            })
        };
        let one = on(1);
        assert_eq!(one, on(2));
        assert_eq!(one, on(5));
    }

    /// All paths from a node, walked: those that are shortest, by the node they end in.
    struct Walk<'a> {
        out: &'a [Vec<(usize, u32, f64)>],
        best: Vec<(f64, Vec<Vec<usize>>)>,
    }

    impl Walk<'_> {
        fn on(&mut self, node: u32, length: f64, path: &mut Vec<usize>) {
            for &(link, to, step) in &self.out[node as usize] {
                let length = length + step;
                path.push(link);
                let (shortest, paths) = &mut self.best[to as usize];
                if length < *shortest {
                    (*shortest, *paths) = (length, Vec::new());
                }
                if length == *shortest && length < f64::INFINITY {
                    paths.push(path.clone());
                }
                self.on(to, length, path);
                path.pop();
            }
        }
    }

    fn by_walking(network: &Unrolled, lengths: &[f64]) -> Vec<f64> {
        let mut out = vec![Vec::new(); network.nodes()];
        for node in 0..network.nodes() as u32 {
            for (link, (from, what)) in network.range(node).zip(network.links_into(node)) {
                let length = if let Link::Edge(edge) = what { lengths[edge as usize] } else { 1.0 };
                out[from as usize].push((link, node, length));
            }
        }
        let mut values = vec![0.0; network.links()];
        for source in 0..network.nodes() as u32 {
            let mut walk = Walk { out: &out, best: vec![(f64::INFINITY, Vec::new()); network.nodes()] };
            walk.on(source, 0.0, &mut Vec::new());
            for (_, paths) in walk.best {
                paths.iter().flatten().for_each(|&link| values[link] += 1.0 / paths.len() as f64);
            }
        }
        values
    }

    fn lengths() -> impl Strategy<Value = Vec<f64>> {
        // Multiples of a half, so that sums are exact in any order, and few, so that paths tie.
        let length = prop_oneof![Just(0.5), Just(1.0), Just(1.5), Just(2.0), Just(4.0), Just(f64::INFINITY)];
        vec(length, 400)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn the_values_are_those_of_all_shortest_paths_walked(network in residual_networks(), lengths in lengths()) {
            let network = unrolled(&network.graph());
            let lengths = &lengths[..network.edges()];
            let values = edge_betweenness(&network, lengths).expect("valid");
            for (link, (&value, walked)) in values.links().iter().zip(by_walking(&network, lengths)).enumerate() {
                // Sums of at most a few thousand terms, each rounded a few times.
                prop_assert!((value - walked).abs() <= 1e-11 * walked.max(1.0), "link {link}: {value}, walked {walked}");
            }
        }
    }

    #[test]
    fn a_heavier_kernel_is_a_shorter_one() {
        // Two ways from the input to the class; the first weighs 4 and 4, the second 1 and 1.
        let layers = vec![linear("a", [2, 1], [0, 1]), linear("b", [1, 2], [1, 2])];
        let masks = BTreeMap::from([("a.weight".to_owned(), Mask::full(2))]);
        let mut graph = MaskGraph::from_layers(layers, vec![], &masks).expect("wired");
        assert_eq!(graph.edge_lengths(), Err(GraphError::NotWeighed { carrier: "a.weight".into() }));
        graph.weigh(|_| Some(&[4.0, -1.0])).expect("weighed");
        let lengths = graph.edge_lengths().expect("weighed");
        assert_eq!(lengths, [0.25, 1.0, 0.25, 1.0]);
        let values = edge_betweenness(&unrolled(&graph), &lengths).expect("valid");
        assert_eq!(values.edges(), [2.0, 1.0, 2.0, 1.0]);
    }
}
