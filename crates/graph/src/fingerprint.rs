//! Fingerprint of a mask graph: the same for masks that differ by a permutation of hidden channels.
//!
//! Implements "Graph fingerprint" of docs/protocol.md. Colour refinement (Weisfeiler & Leman 1968) with cryptographic
//! colours, directed, with edge labels: the Weisfeiler–Lehman subtree labels of Shervashidze et al. 2011, JMLR 12,
//! 2539–2561, after three rounds. Different fingerprints prove that the graphs are not isomorphic; equal ones prove
//! nothing against somebody who builds graphs on purpose. petgraph has no such hash, and a claim needs one that can be
//! recomputed from the protocol's text.

use counterfoil_ticket::natural_order;
use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::{Connection, MaskGraph};

/// Rounds of refinement: after r rounds a channel's colour knows everything within r layers.
const ROUNDS: usize = 3;

/// SHA-256 of what a channel is and, after each round, of what its neighbours were.
type Colour = [u8; 32];

/// Computes the fingerprint of the masked layers' graph.
///
/// Colour refinement, Weisfeiler & Leman 1968 (see the module's sources), three rounds.
///
/// - `graph`: any mask graph. Only kernels of layers with a mask are edges here, and their layers are numbered in
///   natural order of their weights' names; dense layers and shortcuts are left out, since they are no carriers.
///
/// Runs on rayon's threads; the result does not depend on them. Without masks it tells the node groups and their sizes
/// alone. Permuting the channels of any group, through all layers that read or write it, changes nothing; renaming
/// layers changes nothing as long as their natural order stays.
///
/// ```
/// use std::collections::BTreeMap;
/// use counterfoil_graph::{MaskGraph, fingerprint};
/// use counterfoil_ticket::{Architecture, ImageShape, Mask};
///
/// let input = ImageShape { channels: 1, height: 1, width: 2 };
/// let net = Architecture::Mlp { input, hidden: vec![2], classes: 2 };
/// let of = |kept: &[usize]| {
///     let mask = Mask::from_fn(4, |position| kept.contains(&position));
///     MaskGraph::build(&net, &BTreeMap::from([("fc1.weight".to_owned(), mask)])).map(|graph| fingerprint(&graph))
/// };
/// // fc2 is dense and thus not seen: hidden 0 with two pixels is hidden 1 with two pixels.
/// assert_eq!(of(&[0, 1])?, of(&[2, 3])?);
/// assert_ne!(of(&[0, 1])?, of(&[0, 3])?);
/// # Ok::<(), counterfoil_graph::GraphError>(())
/// ```
pub fn fingerprint(graph: &MaskGraph) -> [u8; 32] {
    let carriers = carrier_indices(graph);
    let mut colours: Vec<Colour> = graph
        .graph()
        .node_weights()
        .map(|channel| sha256(&[b"counterfoil/v1 node", &channel.group.to_be_bytes()]))
        .collect();
    for _ in 0..ROUNDS {
        let ranked = Ranked::new(&colours);
        colours = (0..colours.len())
            .into_par_iter()
            .map(|node| {
                let incoming = items(graph, &carriers, &ranked, node, Direction::Incoming);
                let outgoing = items(graph, &carriers, &ranked, node, Direction::Outgoing);
                sha256(&[&colours[node], b"in", &incoming, b"out", &outgoing])
            })
            .collect();
    }
    colours.sort_unstable();
    sha256(&[b"counterfoil/v1 graph", colours.as_flattened()])
}

/// For each layer its weight's index among the masked layers' weights in natural order, `None` for dense layers.
fn carrier_indices(graph: &MaskGraph) -> Vec<Option<u32>> {
    let masked = graph.layers().iter().enumerate().filter(|(_, l)| l.mask().is_some());
    let mut names: Vec<(String, usize)> = masked.map(|(layer, l)| (l.layer().weight(), layer)).collect();
    names.sort_by(|a, b| natural_order(&a.0, &b.0));
    let mut indices = vec![None; graph.layers().len()];
    for (index, (_, layer)) in (0..).zip(names) {
        indices[layer] = Some(index);
    }
    indices
}

/// Colours in ascending order, and where each node's colour is among them: ranks sort as colours do, and faster.
struct Ranked {
    colours: Vec<Colour>,
    /// By node. Nodes of one colour have neighbouring ranks, at which the same colour stands.
    ranks: Vec<u32>,
}

impl Ranked {
    fn new(of_nodes: &[Colour]) -> Self {
        let mut order: Vec<usize> = (0..of_nodes.len()).collect();
        order.sort_unstable_by_key(|&node| of_nodes[node]);
        let mut ranks = vec![0; of_nodes.len()];
        for (rank, &node) in (0..).zip(&order) {
            ranks[node] = rank;
        }
        Self { colours: order.into_iter().map(|node| of_nodes[node]).collect(), ranks }
    }
}

/// The items of a node's masked edges in one direction, sorted and joined: 40 bytes each, the carrier's index, the kept
/// taps and the colour of the other end.
fn items(graph: &MaskGraph, carriers: &[Option<u32>], ranked: &Ranked, node: usize, direction: Direction) -> Vec<u8> {
    let edges = graph.graph().edges_directed(NodeIndex::new(node), direction);
    let mut items: Vec<(u32, u32, u32)> = edges
        .filter_map(|edge| {
            let Connection::Kernel(kernel) = edge.weight() else { return None };
            let carrier = carriers[kernel.layer as usize]?;
            let other = match direction {
                Direction::Incoming => edge.source(),
                Direction::Outgoing => edge.target(),
            };
            Some((carrier, kernel.taps, ranked.ranks[other.index()]))
        })
        .collect();
    // Big-endian numbers compare as their bytes do.
    items.sort_unstable();
    let mut bytes = Vec::with_capacity(40 * items.len());
    for (carrier, taps, rank) in items {
        bytes.extend_from_slice(&carrier.to_be_bytes());
        bytes.extend_from_slice(&taps.to_be_bytes());
        bytes.extend_from_slice(&ranked.colours[rank as usize]);
    }
    bytes
}

fn sha256(parts: &[&[u8]]) -> Colour {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use counterfoil_ticket::Mask;
    use proptest::prelude::*;

    use super::*;
    use crate::test_networks::{conv, linear, networks_with_moves, residual_networks};

    fn of(layers: &[counterfoil_ticket::Layer], masks: &[(&str, Mask)]) -> [u8; 32] {
        let masks = masks.iter().map(|(name, mask)| (format!("{name}.weight"), mask.clone())).collect();
        fingerprint(&MaskGraph::from_layers(layers.to_vec(), vec![], &masks).expect("wired"))
    }

    #[test]
    fn it_tells_the_number_of_taps_but_not_which() {
        let layers = [conv("a", [1, 1, 2, 2], [0, 1])];
        let kept = |positions: &'static [usize]| of(&layers, &[("a", Mask::from_fn(4, |p| positions.contains(&p)))]);
        assert_eq!(kept(&[0]), kept(&[3]));
        assert_ne!(kept(&[0]), kept(&[0, 3]));
    }

    #[test]
    fn layers_are_numbered_in_natural_order_of_names_whatever_they_are_called() {
        // Two layers in parallel, with one and with two kernels.
        let parallel = |names: [&str; 2]| {
            let layers = [linear(names[0], [2, 1], [0, 1]), linear(names[1], [2, 1], [0, 1])];
            of(&layers, &[(names[0], Mask::from_fn(2, |p| p == 0)), (names[1], Mask::full(2))])
        };
        assert_eq!(parallel(["a9", "a10"]), parallel(["x", "y"]));
        assert_ne!(parallel(["a9", "a10"]), parallel(["a10", "a9"]));
    }

    #[test]
    fn a_layer_without_mask_gives_no_edges_but_a_full_mask_does() {
        let layers = [linear("a", [2, 2], [0, 1])];
        assert_eq!(of(&layers, &[]), of(&layers, &[("a", Mask::empty(4))]));
        assert_ne!(of(&layers, &[]), of(&layers, &[("a", Mask::full(4))]));
    }

    proptest! {
        #[test]
        fn permuting_channels_through_all_layers_of_their_group_changes_nothing(
            (network, moves) in networks_with_moves(),
        ) {
            prop_assert_eq!(fingerprint(&network.graph()), fingerprint(&network.permuted(&moves).graph()));
        }

        #[test]
        fn keeping_one_position_less_changes_it(
            network in residual_networks(),
            choice in any::<prop::sample::Index>(),
        ) {
            let kept: Vec<(String, usize)> =
                network.masks.iter().flat_map(|(name, m)| m.positions().map(move |p| (name.clone(), p))).collect();
            prop_assume!(!kept.is_empty());
            let (name, position) = &kept[choice.index(kept.len())];
            let mut fewer = network.clone();
            fewer.masks.get_mut(name).expect("chosen from the masks").set(*position, false);
            prop_assert_ne!(fingerprint(&network.graph()), fingerprint(&fewer.graph()));
        }
    }
}
