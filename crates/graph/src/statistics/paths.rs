//! Number of paths from the input to the classes.

use num_bigint::BigUint;

use crate::MaskGraph;

/// Counts the paths from input channels to classes through kept kernels, exactly.
///
/// The paths of the unravelled network of Veit, Wilber & Belongie 2016, arXiv 1605.06431: with c(v) the number of paths
/// that arrive at channel v so far, each step in computing order adds Σ c(u) over its edges (u, v) to c(v), all c(u)
/// taken before the step. A residual stream keeps its own count, which is the identity's path.
///
/// - `graph`: any mask graph. Dense layers take part with all their kernels.
///
/// A kernel is one edge however many taps it keeps, a shortcut's channel is one edge. A network cut through has 0
/// paths; a dense one has as many as the product of its layers' widths, which is why the count is a [`BigUint`]: for
/// ResNet-50 it has hundreds of digits.
///
/// ```
/// use std::collections::BTreeMap;
/// use counterfoil_graph::{MaskGraph, count_paths};
/// use counterfoil_ticket::{Architecture, ImageShape, Mask};
///
/// let input = ImageShape { channels: 1, height: 1, width: 3 };
/// let net = Architecture::Mlp { input, hidden: vec![2], classes: 2 };
/// assert_eq!(count_paths(&MaskGraph::build(&net, &BTreeMap::new())?), 12u32.into());
/// let mask = Mask::from_fn(6, |position| position != 0);
/// let masks = BTreeMap::from([("fc1.weight".to_owned(), mask)]);
/// assert_eq!(count_paths(&MaskGraph::build(&net, &masks)?), 10u32.into());
/// # Ok::<(), counterfoil_graph::GraphError>(())
/// ```
pub fn count_paths(graph: &MaskGraph) -> BigUint {
    let mut counts = vec![BigUint::ZERO; graph.graph().node_count()];
    counts[graph.groups()[0].clone()].fill(BigUint::from(1u32));
    for step in graph.steps() {
        let to = graph.groups()[step.to].clone();
        let mut added = vec![BigUint::ZERO; to.len()];
        for edge in graph.connections(step) {
            added[edge.target().index() - to.start] += &counts[edge.source().index()];
        }
        for (count, added) in counts[to].iter_mut().zip(added) {
            *count += added;
        }
    }
    counts[graph.classes()].iter().sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use counterfoil_ticket::{Architecture, ImageShape};
    use proptest::prelude::*;

    use super::*;
    use crate::test_networks::{linear, residual_networks};

    #[test]
    fn every_dense_residual_block_doubles_the_ways_and_adds_its_own() {
        // Stream of width 3, two blocks of hidden width 2: 1 → 3, then each block gives every channel 3 · 2 more ways
        // from the whole stream: (1 + 6)² each, 3 channels, 2 classes.
        let layers = vec![
            linear("stem", [3, 1], [0, 1]),
            linear("a.in", [2, 3], [1, 2]),
            linear("a.out", [3, 2], [2, 1]),
            linear("b.in", [2, 3], [1, 3]),
            linear("b.out", [3, 2], [3, 1]),
            linear("head", [2, 3], [1, 4]),
        ];
        let graph = MaskGraph::from_layers(layers, vec![], &BTreeMap::new()).expect("wired");
        assert_eq!(count_paths(&graph), BigUint::from(49u32 * 3 * 2));
    }

    #[test]
    fn resnet20_of_width_4_has_the_paths_of_its_matrix_product() {
        // Per channel of stage s of width n: 3 for the stem; a block multiplies by 1 + n² (J·J = nJ on equal counts).
        // Stage 2 begins with c·(4·8) for every channel from its first block, plus c for the 4 of 8 that the shortcut
        // passes on; two blocks each replace the vector x by x + 8·Σx.
        let input = ImageShape { channels: 3, height: 8, width: 8 };
        let net = Architecture::Resnet20 { input, width: 4, classes: 10 };
        let mut stream = vec![3u128; 4];
        for width in [4u128, 8, 16] {
            let mut blocks = 3;
            if width > 4 {
                let sum: u128 = stream.iter().sum();
                let pad = width as usize / 4;
                let passed = (0..width as usize).map(|c| c.checked_sub(pad).and_then(|c| stream.get(c)).unwrap_or(&0));
                stream = passed.map(|x| x + width * sum).collect();
                blocks = 2;
            }
            for _ in 0..blocks {
                let sum: u128 = stream.iter().sum();
                stream.iter_mut().for_each(|x| *x += width * sum);
            }
        }
        let expected = 10 * stream.iter().sum::<u128>();
        let graph = MaskGraph::build(&net, &BTreeMap::new()).expect("built");
        assert_eq!(count_paths(&graph), BigUint::from(expected));
    }

    /// Walks every path of the unrolled network: at each step stay, or take one of its edges.
    fn walk(graph: &MaskGraph, time: usize, node: usize) -> u64 {
        let Some(step) = graph.steps().get(time) else {
            return u64::from(graph.classes().contains(&node));
        };
        let taken = graph.connections(step).iter().filter(|edge| edge.source().index() == node);
        walk(graph, time + 1, node) + taken.map(|edge| walk(graph, time + 1, edge.target().index())).sum::<u64>()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn the_count_is_that_of_all_paths_walked(network in residual_networks()) {
            let graph = network.graph();
            let walked: u64 = graph.groups()[0].clone().map(|input| walk(&graph, 0, input)).sum();
            prop_assert_eq!(count_paths(&graph), BigUint::from(walked));
        }
    }
}
