//! Which channels and edges lie on a path from the input to a class, in the unrolled network.
//!
//! A residual stream is read and written by turns, so a channel that is written after its last reader is reached, and
//! read, but nothing gets through it. So the question is one of time. Time t is after t steps of
//! [`MaskGraph::steps`], T is their number. Groups keep what they have, hence
//!
//! - a channel reached from the input stays reached: r(v) is the first time at which it is;
//! - a channel from which a class is reached had that property before: u(v) is the last time at which it has it.
//!
//! The channel v is live if r(v) ≤ u(v); the edge (a, b) of step t is live if r(a) ≤ t and t + 1 ≤ u(b).

use petgraph::graph::Edge;

use crate::{Connection, MaskGraph, Step};

/// First and last times, per node: r and u of the module's text.
#[derive(Debug, Clone)]
pub struct Liveness {
    reached: Vec<Option<usize>>,
    useful: Vec<Option<usize>>,
}

impl Liveness {
    /// Follows the edges once in computing order and once in reverse.
    ///
    /// - `graph`: any mask graph. Input channels are reached at time 0, classes are useful to the end.
    ///
    /// Weights' values are not consulted: two paths that cancel are still paths. Biases are not paths either: a channel
    /// without live input is constant.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use counterfoil_graph::{Liveness, MaskGraph};
    /// use counterfoil_ticket::{Architecture, ImageShape, Mask};
    ///
    /// let input = ImageShape { channels: 1, height: 1, width: 2 };
    /// let net = Architecture::Mlp { input, hidden: vec![2], classes: 2 };
    /// let mask = Mask::from_fn(4, |position| position < 2); // hidden channel 1 reads nothing
    /// let graph = MaskGraph::build(&net, &BTreeMap::from([("fc1.weight".to_owned(), mask)]))?;
    /// let live = Liveness::of(&graph);
    /// let nodes: Vec<bool> = (0..6).map(|node| live.channel(node)).collect();
    /// assert_eq!(nodes, [true, true, true, false, true, true]);
    /// # Ok::<(), counterfoil_graph::GraphError>(())
    /// ```
    pub fn of(graph: &MaskGraph) -> Self {
        let (nodes, end) = (graph.graph().node_count(), graph.steps().len());
        let mut reached = vec![None; nodes];
        reached[graph.groups()[0].clone()].fill(Some(0));
        for (time, step) in graph.steps().iter().enumerate() {
            for edge in graph.connections(step) {
                let (a, b) = (edge.source().index(), edge.target().index());
                // A channel reached by this very step is read only by later ones, hence the comparison with `time`.
                if reached[a].is_some_and(|at| at <= time) && reached[b].is_none() {
                    reached[b] = Some(time + 1);
                }
            }
        }
        let mut useful = vec![None; nodes];
        useful[graph.classes()].fill(Some(end));
        for (time, step) in graph.steps().iter().enumerate().rev() {
            for edge in graph.connections(step) {
                let (a, b) = (edge.source().index(), edge.target().index());
                if useful[b].is_some_and(|until| until > time) && useful[a].is_none() {
                    useful[a] = Some(time);
                }
            }
        }
        Self { reached, useful }
    }

    /// Whether the input reaches the channel of this node index.
    pub fn reached(&self, node: usize) -> bool {
        self.reached[node].is_some()
    }

    /// Whether a class is reached from the channel of this node index.
    pub fn useful(&self, node: usize) -> bool {
        self.useful[node].is_some()
    }

    /// Whether a path from the input to a class leads through the channel of this node index.
    pub fn channel(&self, node: usize) -> bool {
        matches!((self.reached[node], self.useful[node]), (Some(from), Some(until)) if from <= until)
    }

    /// Whether a path from the input to a class uses the edge, which the step of index `time` applies.
    pub fn edge(&self, time: usize, edge: &Edge<Connection>) -> bool {
        let (a, b) = (edge.source().index(), edge.target().index());
        self.reached[a].is_some_and(|at| at <= time) && self.useful[b].is_some_and(|until| until > time)
    }

    /// The live edges among those of the step of index `time`.
    pub(crate) fn live_edges<'a>(
        &'a self,
        graph: &'a MaskGraph,
        (time, step): (usize, &'a Step),
    ) -> impl Iterator<Item = &'a Edge<Connection>> {
        graph.connections(step).iter().filter(move |edge| self.edge(time, edge))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use counterfoil_ticket::Mask;
    use proptest::prelude::*;

    use super::*;
    use crate::test_networks::{conv, linear, residual_networks};

    #[test]
    fn a_stream_channel_written_only_after_its_last_reader_is_dead() {
        // Stream group 1: the stem writes channel 0, the block reads both and writes both, the classifier reads 0.
        let layers = vec![
            linear("stem", [2, 1], [0, 1]),
            linear("in", [1, 2], [1, 2]),
            linear("out", [2, 1], [2, 1]),
            linear("head", [1, 2], [1, 3]),
        ];
        let first = Mask::from_fn(2, |p| p == 0);
        let masks = BTreeMap::from([("stem.weight".to_owned(), first.clone()), ("head.weight".to_owned(), first)]);
        let graph = MaskGraph::from_layers(layers, vec![], &masks).expect("wired");
        let live = Liveness::of(&graph);
        // Nodes: 0 input, 1 and 2 the stream, 3 hidden, 4 class.
        assert!(live.reached(2) && live.useful(2) && !live.channel(2));
        assert!([0, 1, 3, 4].into_iter().all(|node| live.channel(node)));
        let of_step = |time: usize| graph.connections(&graph.steps()[time]).iter().map(move |e| (time, e));
        let edges: Vec<bool> = (1..3).flat_map(of_step).map(|(time, edge)| live.edge(time, edge)).collect();
        assert_eq!(edges, [true, false, true, false], "in reads 0 and 1, out writes 0 and 1");
    }

    #[test]
    fn a_layer_that_adds_to_the_group_it_reads_sees_it_as_it_was() {
        // 0 → 1 → 2 within the stream would take two steps of the one layer.
        let layers =
            vec![linear("stem", [3, 1], [0, 1]), conv("loop", [3, 3, 1, 1], [1, 1]), linear("head", [1, 3], [1, 2])];
        let keep = |size, kept: &'static [usize]| Mask::from_fn(size, move |p| kept.contains(&p));
        let masks = BTreeMap::from([
            ("stem.weight".to_owned(), keep(3, &[0])),
            ("loop.weight".to_owned(), keep(9, &[3, 7])),
            ("head.weight".to_owned(), keep(3, &[2])),
        ]);
        let graph = MaskGraph::from_layers(layers, vec![], &masks).expect("wired");
        let live = Liveness::of(&graph);
        assert!((0..5).all(|node| !live.channel(node) || node == 0 || node == 4), "{live:?}");
        assert!(!live.channel(0) && !live.channel(4));
    }

    /// All (time, edge) pairs and nodes on paths, by walking every path.
    #[derive(Default)]
    struct Walked {
        edges: BTreeSet<(usize, usize)>,
        nodes: BTreeSet<usize>,
    }

    fn walk(graph: &MaskGraph, time: usize, node: usize, path: &mut Vec<(usize, usize)>, found: &mut Walked) -> bool {
        let Some(step) = graph.steps().get(time) else {
            let arrived = graph.classes().contains(&node);
            if arrived {
                found.edges.extend(path.iter());
                found.nodes.insert(node);
            }
            return arrived;
        };
        let mut arrives = walk(graph, time + 1, node, path, found);
        for (index, edge) in graph.connections(step).iter().enumerate() {
            if edge.source().index() == node {
                path.push((time, index));
                arrives |= walk(graph, time + 1, edge.target().index(), path, found);
                path.pop();
            }
        }
        if arrives {
            found.nodes.insert(node);
        }
        arrives
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn what_is_live_is_what_some_path_uses(network in residual_networks()) {
            let graph = network.graph();
            let live = Liveness::of(&graph);
            let mut found = Walked::default();
            for input in graph.groups()[0].clone() {
                walk(&graph, 0, input, &mut Vec::new(), &mut found);
            }
            for node in 0..graph.graph().node_count() {
                prop_assert_eq!(live.channel(node), found.nodes.contains(&node), "node {}", node);
            }
            for (time, step) in graph.steps().iter().enumerate() {
                for (index, edge) in graph.connections(step).iter().enumerate() {
                    prop_assert_eq!(live.edge(time, edge), found.edges.contains(&(time, index)));
                }
            }
        }
    }
}
