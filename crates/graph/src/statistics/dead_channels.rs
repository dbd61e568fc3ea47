//! Dead channels: hidden channels that nothing gets through.

use serde::Serialize;

use crate::{Liveness, MaskGraph};

/// The channels of one hidden node group, by what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GroupLiveness {
    /// Node group, as the architecture numbers them.
    pub group: usize,
    /// Number of channels.
    pub channels: usize,
    /// Channels that the input never reaches.
    pub unreached: usize,
    /// Channels from which no class is ever reached.
    pub useless: usize,
    /// Channels on no path from the input to a class: the unreached, the useless, and those of a residual stream that
    /// are reached only after their last useful reader.
    pub dead: usize,
}

/// Counts the dead channels of every hidden node group, in order of group.
///
/// Reachability in the unrolled network, forwards and backwards: the channels that "layer collapse" takes down with it
/// (Tanaka et al. 2020, arXiv 2006.05467).
///
/// - `graph`: any mask graph. Its first group (the input) and last (the classes) are not listed.
///
/// Only paths count, not values: a dead channel with a bias is constant, and changes nothing that the layers behind it
/// could not hold in their own biases. A network without hidden layers gives an empty list.
///
/// ```
/// use std::collections::BTreeMap;
/// use counterfoil_graph::{GroupLiveness, MaskGraph, dead_channels};
/// use counterfoil_ticket::{Architecture, ImageShape, Mask};
///
/// let input = ImageShape { channels: 1, height: 1, width: 2 };
/// let net = Architecture::Mlp { input, hidden: vec![3], classes: 2 };
/// let first = Mask::from_fn(6, |position| position < 4); // hidden 2 reads nothing
/// let second = Mask::from_fn(6, |position| position % 3 != 1); // nothing reads hidden 1
/// let masks = BTreeMap::from([("fc1.weight".to_owned(), first), ("fc2.weight".to_owned(), second)]);
/// let hidden = dead_channels(&MaskGraph::build(&net, &masks)?);
/// assert_eq!(hidden, [GroupLiveness { group: 1, channels: 3, unreached: 1, useless: 1, dead: 2 }]);
/// # Ok::<(), counterfoil_graph::GraphError>(())
/// ```
///
/// See also [`Liveness`], which tells the channels themselves.
pub fn dead_channels(graph: &MaskGraph) -> Vec<GroupLiveness> {
    let live = Liveness::of(graph);
    let last = graph.groups().len() - 1;
    let hidden = graph.groups().iter().enumerate().take(last).skip(1);
    hidden
        .map(|(group, nodes)| GroupLiveness {
            group,
            channels: nodes.len(),
            unreached: nodes.clone().filter(|&node| !live.reached(node)).count(),
            useless: nodes.clone().filter(|&node| !live.useful(node)).count(),
            dead: nodes.clone().filter(|&node| !live.channel(node)).count(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use counterfoil_ticket::Mask;

    use super::*;
    use crate::test_networks::linear;

    #[test]
    fn a_stream_channel_can_be_reached_and_useful_and_still_dead() {
        // Channel 1 of the stream is read by the block and written by the block: too late.
        let layers = vec![
            linear("stem", [2, 1], [0, 1]),
            linear("in", [1, 2], [1, 2]),
            linear("out", [2, 1], [2, 1]),
            linear("head", [1, 2], [1, 3]),
        ];
        let only = |kept: &'static [usize]| Mask::from_fn(2, move |p| kept.contains(&p));
        let masks = [("stem", only(&[0])), ("in", only(&[0, 1])), ("out", only(&[0, 1])), ("head", only(&[0]))];
        let masks: BTreeMap<_, _> = masks.into_iter().map(|(name, mask)| (format!("{name}.weight"), mask)).collect();
        let graph = MaskGraph::from_layers(layers, vec![], &masks).expect("wired");
        let stream = GroupLiveness { group: 1, channels: 2, unreached: 0, useless: 0, dead: 1 };
        let hidden = GroupLiveness { group: 2, channels: 1, unreached: 0, useless: 0, dead: 0 };
        assert_eq!(dead_channels(&graph), [stream, hidden]);
    }

    #[test]
    fn a_network_without_hidden_layers_lists_nothing() {
        let graph = MaskGraph::from_layers(vec![linear("a", [2, 2], [0, 1])], vec![], &BTreeMap::new());
        assert_eq!(dead_channels(&graph.expect("wired")), []);
    }
}
