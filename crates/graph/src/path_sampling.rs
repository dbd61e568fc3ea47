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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use counterfoil_ticket::{Architecture, ImageShape, Mask};
    use proptest::prelude::*;

    use super::*;
    use crate::test_networks::{linear, residual_networks};
    use crate::{Connection, Liveness, MaskGraph};

    fn unrolled(graph: &MaskGraph) -> Unrolled {
        Unrolled::of(graph).expect("small")
    }

    #[test]
    fn steps_are_drawn_in_proportion_to_their_weights() {
        // One input, 20 hidden channels, one class: a path is its first edge.
        let input = ImageShape { channels: 1, height: 1, width: 1 };
        let net = Architecture::Mlp { input, hidden: vec![20], classes: 1 };
        let network = unrolled(&MaskGraph::build(&net, &BTreeMap::new()).expect("built"));
        let weights: Vec<f64> = (0..40).map(|edge| 1.0 + f64::from(edge % 20)).collect();
        let paths = 210_000;
        for (choice, share) in [
            (
                StepChoice::Proportional(&weights),
                Box::new(|edge: usize| weights[edge] / 210.0) as Box<dyn Fn(_) -> f64>,
            ),
            (StepChoice::Uniform, Box::new(|_| 0.05)),
        ] {
            let counts = sample_paths(&network, choice, paths, 7).expect("there are paths");
            assert_eq!(counts[..20].iter().sum::<u32>(), paths);
            assert_eq!(counts[..20], counts[20..]);
            let chi_square: f64 = (0..20)
                .map(|edge| {
                    let expected = share(edge) * f64::from(paths);
                    (f64::from(counts[edge]) - expected).powi(2) / expected
                })
                .sum();
            // Laurent & Massart 2000, lemma 1: P[χ²₁₉ ≥ 19 + 2 √(19 x) + 2 x] ≤ e^−x, and P[χ²₁₉ ≤ 19 − 2 √(19 x)] ≤ e^−x.
            // x = 12 and x = 3: a wrong chance of 6e-6 and, for counts that are too even to be random, 5 %.
            assert!((3.9..73.3).contains(&chi_square), "{chi_square}");
        }
    }

    #[test]
    fn weights_that_are_none_and_networks_cut_through_are_refused() {
        let layers = vec![linear("a", [1, 1], [0, 1]), linear("b", [1, 1], [1, 2])];
        let graph = MaskGraph::from_layers(layers.clone(), vec![], &BTreeMap::new()).expect("wired");
        let of = |weights: &[f64]| sample_paths(&unrolled(&graph), StepChoice::Proportional(weights), 1, 0);
        assert_eq!(of(&[1.0]), Err(GraphError::EdgeValues { what: "weights", found: 1, expected: 2 }));
        for found in [-1.0, f64::INFINITY] {
            let expected = GraphError::EdgeValue { what: "weight", edge: 1, found, expected: "one from 0 to 1e300" };
            assert_eq!(of(&[1.0, found]), Err(expected));
        }
        assert_eq!(of(&[1.0, 0.0]), Err(GraphError::NoPath));
        assert_eq!(of(&[1.0, 1e-300]), Ok(vec![1, 1]));
        let masks = BTreeMap::from([("b.weight".to_owned(), Mask::empty(1))]);
        let cut = unrolled(&MaskGraph::from_layers(layers, vec![], &masks).expect("wired"));
        assert_eq!(sample_paths(&cut, StepChoice::Uniform, 1, 0), Err(GraphError::NoPath));
    }

    #[test]
    fn the_seed_decides() {
        let input = ImageShape { channels: 3, height: 8, width: 8 };
        let net = Architecture::Resnet20 { input, width: 4, classes: 10 };
        let network = unrolled(&MaskGraph::build(&net, &BTreeMap::new()).expect("built"));
        let of = |seed| sample_paths(&network, StepChoice::Uniform, 100, seed).expect("there are paths");
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    /// Probability that a path uses each link, followed forward from its definition.
    fn chances(network: &Unrolled, weights: &[f64]) -> Vec<f64> {
        let nodes = 0..network.nodes() as u32;
        let mut arrives: Vec<bool> = nodes.clone().map(|node| network.classes().contains(&node)).collect();
        for node in nodes.clone().rev() {
            for link in network.range(node).filter(|&link| weights[link] > 0.0) {
                let from = network.sources()[link] as usize;
                arrives[from] |= arrives[node as usize];
            }
        }
        let mut total = vec![0.0; network.nodes()];
        let taken = |node: u32, link: usize| if arrives[node as usize] { weights[link] } else { 0.0 };
        for node in nodes.clone() {
            network.range(node).for_each(|link| total[network.sources()[link] as usize] += taken(node, link));
        }
        let starts = network.inputs().filter(|&input| arrives[input as usize]).count() as f64;
        let mut chance: Vec<f64> = nodes
            .clone()
            .map(|node| f64::from(network.inputs().contains(&node) && arrives[node as usize]) / starts.max(1.0))
            .collect();
        let mut chances = vec![0.0; network.links()];
        for node in nodes {
            for link in network.range(node).filter(|&link| taken(node, link) > 0.0) {
                let from = network.sources()[link] as usize;
                chances[link] = chance[from] * taken(node, link) / total[from];
                chance[node as usize] += chances[link];
            }
        }
        chances
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn edges_are_used_as_often_as_their_chances_say(
            network in residual_networks(),
            levels in proptest::collection::vec(0u8..4, 400),
            seed: u64,
        ) {
            let graph = network.graph();
            let network = unrolled(&graph);
            let weights: Vec<f64> = levels[..network.edges()].iter().map(|&level| f64::from(level)).collect();
            let chances = chances(&network, &network.by_link(&weights));
            let paths = 2000;
            match sample_paths(&network, StepChoice::Proportional(&weights), paths, seed) {
                Err(error) => {
                    prop_assert_eq!(error, GraphError::NoPath);
                    prop_assert!(chances.iter().all(|&chance| chance == 0.0));
                }
                Ok(counts) => {
                    for (link, chance) in chances.into_iter().enumerate() {
                        let Link::Edge(edge) = network.link(link) else { continue };
                        // Bernstein: P[|Bin(n, p) − n p| > √(2 n p (1 − p) x) + x / 3] ≤ 2 e^−x; x = 25 for 64 cases of
                        // at most 400 edges each: 7e-7.
                        let n = f64::from(paths);
                        let off = (f64::from(counts[edge as usize]) - n * chance).abs();
                        let bound = (2.0 * n * chance * (1.0 - chance) * 25.0).max(0.0).sqrt() + 25.0 / 3.0;
                        prop_assert!(off <= bound, "edge {edge}: {} of {n}, chance {chance}", counts[edge as usize]);
                        prop_assert!(chance > 0.0 || counts[edge as usize] == 0);
                    }
                }
            }
        }

        #[test]
        fn uniform_paths_use_live_edges_only_and_end_in_a_class(network in residual_networks(), seed: u64) {
            let graph = network.graph();
            let live = Liveness::of(&graph);
            let Ok(counts) = sample_paths(&unrolled(&graph), StepChoice::Uniform, 200, seed) else {
                prop_assert!(graph.classes().all(|class| !live.channel(class)));
                return Ok(());
            };
            let mut arrived = 0;
            for (time, step) in graph.steps().iter().enumerate() {
                for (edge, connection) in MaskGraph::connection_indices(step).zip(graph.connections(step)) {
                    prop_assert!(counts[edge] == 0 || live.edge(time, connection));
                    let kernel = matches!(connection.weight, Connection::Kernel(_));
                    arrived += if kernel && graph.classes().contains(&connection.target().index()) { counts[edge] } else { 0 };
                }
            }
            prop_assert_eq!(arrived, 200);
        }
    }
}
