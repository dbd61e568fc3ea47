//! Weakly connected components of the mask graph.

use petgraph::algo::connected_components;
use serde::Serialize;

use crate::MaskGraph;

/// How the graph falls apart when directions are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Components {
    /// Components with at least one edge.
    pub connected: usize,
    /// Channels without any edge.
    pub isolated: usize,
}

/// Counts the weakly connected components, channels without edges apart.
///
/// Union-find (Galler & Fischer 1964, doi 10.1145/364099.364331), by petgraph's `connected_components`.
///
/// - `graph`: any mask graph. Shortcuts connect as kernels do; the residual identity joins nothing, since a stream's
///   channel is one node.
///
/// A channel whose only edge leads to itself is a component, not isolated. A graph without channels has neither.
///
/// ```
/// use std::collections::BTreeMap;
/// use counterfoil_graph::{Components, MaskGraph, components};
/// use counterfoil_ticket::{Architecture, ImageShape, Mask};
///
/// let input = ImageShape { channels: 1, height: 1, width: 3 };
/// let net = Architecture::Mlp { input, hidden: vec![3], classes: 2 };
/// let diagonal = Mask::from_fn(9, |position| position == 0 || position == 4);
/// let halves = Mask::from_fn(6, |position| position == 0 || position == 4);
/// let masks = BTreeMap::from([("fc1.weight".to_owned(), diagonal), ("fc2.weight".to_owned(), halves)]);
/// // pixel 0 → hidden 0 → class 0, pixel 1 → hidden 1 → class 1; pixel 2 and hidden 2 have no edge.
/// assert_eq!(components(&MaskGraph::build(&net, &masks)?), Components { connected: 2, isolated: 2 });
/// # Ok::<(), counterfoil_graph::GraphError>(())
/// ```
///
/// See also [`dead_channels`](crate::dead_channels): a channel of a large component may still lead nowhere.
pub fn components(graph: &MaskGraph) -> Components {
    let mut touched = vec![false; graph.graph().node_count()];
    for edge in graph.graph().raw_edges() {
        touched[edge.source().index()] = true;
        touched[edge.target().index()] = true;
    }
    let isolated = touched.iter().filter(|&&touched| !touched).count();
    Components { connected: connected_components(graph.graph()) - isolated, isolated }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use counterfoil_ticket::{Mask, Shortcut};
    use petgraph::visit::{Dfs, UndirectedAdaptor};
    use proptest::prelude::*;

    use super::*;
    use crate::test_networks::{linear, residual_networks};

    #[test]
    fn shortcuts_connect_and_masks_without_a_kept_position_do_not() {
        let layers = vec![linear("a", [2, 2], [0, 1]), linear("b", [2, 2], [1, 2])];
        let masks: BTreeMap<_, _> = ["a.weight", "b.weight"].map(|n| (n.to_owned(), Mask::empty(4))).into();
        let bare = MaskGraph::from_layers(layers.clone(), vec![], &masks).expect("wired");
        assert_eq!(components(&bare), Components { connected: 0, isolated: 6 });
        let shortcut = Shortcut { from: 0, to: 2, offset: 0 };
        let passed = MaskGraph::from_layers(layers, vec![shortcut], &masks).expect("wired");
        assert_eq!(components(&passed), Components { connected: 2, isolated: 2 });
    }

    proptest! {
        #[test]
        fn searches_from_every_node_find_the_same_components(network in residual_networks()) {
            let graph = network.graph();
            let mut component = vec![None; graph.graph().node_count()];
            let mut sizes = Vec::new();
            for start in graph.graph().node_indices() {
                if component[start.index()].is_none() {
                    let undirected = UndirectedAdaptor(graph.graph());
                    let mut search = Dfs::new(undirected, start);
                    let mut size = 0;
                    while let Some(node) = search.next(undirected) {
                        component[node.index()] = Some(sizes.len());
                        size += 1;
                    }
                    sizes.push(size);
                }
            }
            // No layer of these networks reads the group it writes, so a component of one node has no edge.
            let isolated = sizes.iter().filter(|&&size| size == 1).count();
            prop_assert_eq!(components(&graph), Components { connected: sizes.len() - isolated, isolated });
        }
    }
}
