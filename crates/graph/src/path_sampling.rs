//! Random paths from the input to the classes.
//!
//! Two of the ways in which "You are caught stealing my winning lottery ticket!" (Chen, Chen, Zhang & Wang 2021, arXiv
//! 2111.00162, section 3) chooses the key mask: by *edge weight product*, where each step of a path is chosen with
//! probability proportional to the edge's Σ|w|, so that a path comes with a probability that its product of weights raises;
//! and by *random path*, where each step is uniform. Passing a channel on, within a stream or by a shortcut, weighs 1.
//!
//! Paths are those of the unrolled network. Only what can still reach a class is taken, so no walk ends early; among the
//! input channels that can, the first is uniform.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::draw::{below, unit};
use crate::{GraphError, Link, Unrolled};

/// Largest weight, so that the sum of a node's weights is finite.
const MOST_WEIGHT: f64 = 1e300;

/// How a path goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StepChoice<'a> {
    /// Every way on is equally likely.
    Uniform,
    /// With probability proportional to these weights, by edge of the mask graph, each from 0 to 1e300; those of weight 0
    /// are not taken. [`MaskGraph::edge_weights`](crate::MaskGraph::edge_weights) gives the paper's.
    Proportional(&'a [f64]),
}

/// Draws `paths` random paths from the input to a class; returns how many of them used each edge of the mask graph.
///
/// - `network`: the unrolled network.
/// - `choice`: how a path goes on.
/// - `paths`: the paper draws 50,000.
/// - `seed`: of ChaCha8; the same seed gives the same counts.
///
/// ```
/// use std::collections::BTreeMap;
/// use counterfoil_graph::{MaskGraph, StepChoice, Unrolled, sample_paths};
/// use counterfoil_ticket::{Architecture, ImageShape, Mask};
///
/// let input = ImageShape { channels: 1, height: 1, width: 1 };
/// let net = Architecture::Mlp { input, hidden: vec![3], classes: 1 };
/// let mask = Mask::from_fn(3, |position| position < 2); // hidden 2 reaches no class
/// let network = Unrolled::of(&MaskGraph::build(&net, &BTreeMap::from([("fc2.weight".to_owned(), mask)]))?)?;
/// let counts = sample_paths(&network, StepChoice::Proportional(&[1.0, 3.0, 9.0, 1.0, 1.0]), 1000, 1)?;
/// assert_eq!((counts[0] + counts[1], counts[2]), (1000, 0));
/// assert!((200..300).contains(&counts[0])); // a quarter
/// # Ok::<(), counterfoil_graph::GraphError>(())
/// ```
///
/// # Errors
///
/// [`GraphError::EdgeValues`] and [`GraphError::EdgeValue`] for weights that are not as above, [`GraphError::NoPath`] if
/// there is no path.
pub fn sample_paths(network: &Unrolled, choice: StepChoice, paths: u32, seed: u64) -> Result<Vec<u32>, GraphError> {
    let ways = Ways::of(network, &link_weights(network, choice)?);
    let starts: Vec<u32> = network.inputs().filter(|&input| ways.arrives[input as usize]).collect();
    if starts.is_empty() {
        return Err(GraphError::NoPath);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut passed = vec![0u32; network.links()];
    for _ in 0..paths {
        let mut node = starts[below(starts.len() as u32, &mut rng) as usize];
        while let Some(way) = ways.draw(node, &mut rng) {
            passed[ways.links[way] as usize] += 1;
            node = ways.targets[way];
        }
    }
    let mut counts = vec![0; network.edges()];
    for (link, passed) in passed.into_iter().enumerate() {
        if let Link::Edge(edge) = network.link(link) {
            counts[edge as usize] = passed;
        }
    }
    Ok(counts)
}

/// By link; 0 for those that are not taken.
fn link_weights(network: &Unrolled, choice: StepChoice) -> Result<Vec<f64>, GraphError> {
    let StepChoice::Proportional(weights) = choice else { return Ok(vec![1.0; network.links()]) };
    let (found, expected) = (weights.len(), network.edges());
    if found != expected {
        return Err(GraphError::EdgeValues { what: "weights", found, expected });
    }
    match weights.iter().position(|weight| !(0.0..=MOST_WEIGHT).contains(weight)) {
        Some(edge) => {
            let found = weights[edge];
            Err(GraphError::EdgeValue { what: "weight", edge, found, expected: "one from 0 to 1e300" })
        }
        None => Ok(network.by_link(weights)),
    }
}

/// Outgoing links that lead to a class in the end.
struct Ways {
    /// By node: whether it is a class or has a way on.
    arrives: Vec<bool>,
    /// Invariant: ascending; the ways on from node v are those of `first[v]..first[v + 1]`.
    first: Vec<u32>,
    /// By way: the link, the node it leads to, and the sum of the node's weights up to and with this one.
    links: Vec<u32>,
    targets: Vec<u32>,
    sums: Vec<f64>,
}

impl Ways {
    fn of(network: &Unrolled, weights: &[f64]) -> Self {
        let nodes = network.nodes();
        let mut arrives = vec![false; nodes];
        let classes = network.classes();
        arrives[classes.start as usize..classes.end as usize].fill(true);
        // Links ascend by the node they lead to, so backwards a node is settled before its own links are asked for.
        let mut first = vec![0u32; nodes + 1];
        let mut taken = Vec::new();
        for node in (0..nodes as u32).rev() {
            if !arrives[node as usize] {
                continue;
            }
            for link in network.range(node).rev().filter(|&link| weights[link] > 0.0) {
                let from = network.sources()[link] as usize;
                arrives[from] = true;
                first[from + 1] += 1;
                taken.push((link, node));
            }
        }
        for node in 0..nodes {
            first[node + 1] += first[node];
        }
        let mut next = first.clone();
        let (mut links, mut targets, mut sums) = (vec![0; taken.len()], vec![0; taken.len()], vec![0.0; taken.len()]);
        // By link, ascending, so that each node's ways are too.
        for (link, node) in taken.into_iter().rev() {
            let from = network.sources()[link] as usize;
            let way = next[from] as usize;
            next[from] += 1;
            (links[way], targets[way]) = (link as u32, node);
            let before = if way == first[from] as usize { 0.0 } else { sums[way - 1] };
            sums[way] = before + weights[link];
        }
        Self { arrives, first, links, targets, sums }
    }

    /// The way that a path takes on from a node, none from a class.
    fn draw(&self, node: u32, rng: &mut impl Rng) -> Option<usize> {
        let range = self.first[node as usize] as usize..self.first[node as usize + 1] as usize;
        let sums = &self.sums[range.clone()];
        let drawn = sums.last()? * unit(rng);
        // Rounding may carry the product up to the sum itself.
        Some(range.start + sums.partition_point(|&sum| sum <= drawn).min(sums.len() - 1))
    }
}
