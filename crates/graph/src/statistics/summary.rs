//! All statistics of a mask graph at once, as data for reports.

use num_bigint::BigUint;
use serde::{Serialize, Serializer};

use super::carrier_statistics::count;
use crate::{
    CarrierStatistics, Components, Connection, GroupLiveness, LayerSparsity, MaskGraph, components, count_paths,
    dead_channels, effective_sparsity,
};

/// What is reported about a mask graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Nodes.
    pub channels: usize,
    /// Edges that are kept kernels.
    pub kernels: usize,
    /// Edges that are shortcuts' channels.
    pub shortcuts: usize,
    /// Weakly connected components.
    pub components: Components,
    /// Paths from the input to a class; in JSON a string of decimal digits.
    #[serde(serialize_with = "decimal")]
    pub paths: BigUint,
    /// Live and dead channels of the hidden node groups, in order of group.
    pub groups: Vec<GroupLiveness>,
    /// Direct and effective sparsity of the layers, in computing order.
    pub sparsity: Vec<LayerSparsity>,
    /// Kernels and degrees of the layers, dense ones too, in computing order.
    pub carriers: Vec<CarrierStatistics>,
}

/// Computes all statistics of a mask graph.
///
/// - `graph`: any mask graph. For a model whose architecture is not described there is none: see
///   [`carrier_statistics`](crate::carrier_statistics()).
///
/// ```
/// use std::collections::BTreeMap;
/// use counterfoil_graph::{MaskGraph, summarise};
/// use counterfoil_ticket::{Architecture, ImageShape};
///
/// let input = ImageShape { channels: 3, height: 32, width: 32 };
/// let net = Architecture::Resnet20 { input, width: 16, classes: 10 };
/// let dense = summarise(&MaskGraph::build(&net, &BTreeMap::new())?);
/// assert_eq!((dense.channels, dense.kernels, dense.shortcuts), (461, 30_384, 48));
/// # Ok::<(), counterfoil_graph::GraphError>(())
/// ```
pub fn summarise(graph: &MaskGraph) -> Summary {
    let edges = graph.graph().edge_count();
    let shortcuts = graph.graph().edge_weights().filter(|c| matches!(c, Connection::Shortcut(_))).count();
    Summary {
        channels: graph.graph().node_count(),
        kernels: edges - shortcuts,
        shortcuts,
        components: components(graph),
        paths: count_paths(graph),
        groups: dead_channels(graph),
        sparsity: effective_sparsity(graph),
        carriers: graph.layers().iter().map(|l| count(&l.layer().weight(), l.layer().shape, &l.kept())).collect(),
    }
}

fn decimal<S: Serializer>(paths: &BigUint, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(paths)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_networks::networks_with_moves;

    proptest! {
        #[test]
        fn permuting_the_hidden_channels_of_blocks_changes_nothing(
            (network, mut moves) in networks_with_moves(),
        ) {
            // Streams stay: a shortcut passes channels on by their index.
            let streams: Vec<usize> = network.shortcuts.iter().flat_map(|s| [s.from, s.to]).collect();
            for &group in &streams {
                moves[group].sort_unstable();
            }
            let before = summarise(&network.graph());
            prop_assert_eq!(before, summarise(&network.permuted(&moves).graph()));
        }

        #[test]
        fn without_shortcuts_the_streams_may_be_permuted_too((mut network, moves) in networks_with_moves()) {
            network.shortcuts.clear();
            let before = summarise(&network.graph());
            prop_assert_eq!(before, summarise(&network.permuted(&moves).graph()));
        }
    }

    #[test]
    fn paths_are_a_decimal_string_in_json() {
        use counterfoil_ticket::{Architecture, ImageShape};
        let input = ImageShape { channels: 3, height: 8, width: 8 };
        let net = Architecture::Resnet20 { input, width: 4, classes: 10 };
        let graph = MaskGraph::build(&net, &std::collections::BTreeMap::new()).expect("built");
        let summary = summarise(&graph);
        let json = serde_json::to_value(&summary).expect("is JSON");
        assert_eq!(json["paths"], serde_json::Value::String(summary.paths.to_string()));
        assert_eq!(json["sparsity"][0]["kept"], 3 * 4 * 9);
        assert_eq!(json["carriers"][0]["in_degrees"]["3"], 4);
    }
}
