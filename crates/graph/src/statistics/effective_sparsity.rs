//! Effective sparsity: how few weights take part, kept ones that lead nowhere not counted.

use std::iter::Sum;

use serde::Serialize;

use crate::{Connection, Liveness, MaskGraph, StepKind};

/// Counts of weights, of a layer or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Sparsity {
    /// Weights, kept or not.
    pub positions: u64,
    /// Kept weights.
    pub kept: u64,
    /// Kept weights of kernels on a path from the input to a class.
    pub live: u64,
}

impl Sparsity {
    /// Direct (nominal) sparsity: the share of weights that are pruned. `None` without weights.
    pub fn direct(&self) -> Option<f64> {
        self.share(self.kept)
    }

    /// Effective sparsity: the share of weights that are pruned or inactivated. `None` without weights.
    pub fn effective(&self) -> Option<f64> {
        self.share(self.live)
    }

    fn share(&self, remaining: u64) -> Option<f64> {
        (self.positions > 0).then(|| (self.positions - remaining) as f64 / self.positions as f64)
    }
}

impl Sum for Sparsity {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |a, b| Self {
            positions: a.positions + b.positions,
            kept: a.kept + b.kept,
            live: a.live + b.live,
        })
    }
}

/// The counts of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerSparsity {
    /// Name of the weight tensor.
    pub name: String,
    /// Whether the layer has a mask.
    pub masked: bool,
    /// Its weights.
    #[serde(flatten)]
    pub weights: Sparsity,
}

/// Counts, per layer, the weights, the kept ones, and those on a path from the input to a class.
///
/// Direct and effective sparsity of Vysogorets & Kempe, "Connectivity Matters", JMLR 24(99), 2023, arXiv 2107.02306: a
/// kept weight is *inactivated* if no path from the input to the output uses it. Paths are those of the unrolled
/// network, and all kept taps of a kernel share its fate.
///
/// - `graph`: any mask graph. Dense layers are counted too; sum over those you mean.
///
/// Biases and batch norms have no weights here. Live never exceeds kept, so effective sparsity is at least direct
/// sparsity; in a network cut through, nothing is live and effective sparsity is 1.
///
/// ```
/// use std::collections::BTreeMap;
/// use counterfoil_graph::{MaskGraph, Sparsity, effective_sparsity};
/// use counterfoil_ticket::{Architecture, ImageShape, Mask};
///
/// let input = ImageShape { channels: 1, height: 1, width: 2 };
/// let net = Architecture::Mlp { input, hidden: vec![2], classes: 2 };
/// let first = Mask::from_fn(4, |position| position != 3); // pixels 0 and 1 → hidden 0, pixel 0 → hidden 1
/// let second = Mask::from_fn(4, |position| position == 0); // hidden 0 → class 0
/// let masks = BTreeMap::from([("fc1.weight".to_owned(), first), ("fc2.weight".to_owned(), second)]);
/// let layers = effective_sparsity(&MaskGraph::build(&net, &masks)?);
/// assert_eq!(layers[0].weights, Sparsity { positions: 4, kept: 3, live: 2 });
/// let all: Sparsity = layers.iter().map(|layer| layer.weights).sum();
/// assert_eq!((all.direct(), all.effective()), (Some(0.5), Some(0.625)));
/// # Ok::<(), counterfoil_graph::GraphError>(())
/// ```
pub fn effective_sparsity(graph: &MaskGraph) -> Vec<LayerSparsity> {
    let live = Liveness::of(graph);
    let taps = |connection: &Connection| match connection {
        Connection::Kernel(kernel) => u64::from(kernel.taps),
        Connection::Shortcut(_) => 0,
    };
    let steps = graph.steps().iter().enumerate();
    steps
        .filter_map(|(time, step)| {
            let StepKind::Layer(index) = step.kind else { return None };
            let masked = &graph.layers()[index];
            let weights = Sparsity {
                positions: masked.layer().shape.size() as u64,
                kept: graph.connections(step).iter().map(|edge| taps(&edge.weight)).sum(),
                live: live.live_edges(graph, (time, step)).map(|edge| taps(&edge.weight)).sum(),
            };
            Some(LayerSparsity { name: masked.layer().weight(), masked: masked.mask().is_some(), weights })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use counterfoil_ticket::Mask;
    use proptest::prelude::*;

    use super::*;
    use crate::test_networks::{conv, linear, residual_networks};

    #[test]
    fn a_network_cut_through_is_effectively_empty() {
        let layers = vec![conv("a", [2, 1, 3, 3], [0, 1]), linear("b", [2, 2], [1, 2])];
        let masks = BTreeMap::from([("b.weight".to_owned(), Mask::empty(4))]);
        let counted = effective_sparsity(&MaskGraph::from_layers(layers, vec![], &masks).expect("wired"));
        let rows: Vec<_> = counted.iter().map(|l| (l.masked, l.weights.kept, l.weights.live)).collect();
        assert_eq!(rows, [(false, 18, 0), (true, 0, 0)]);
        assert_eq!(counted.iter().map(|l| l.weights).sum::<Sparsity>().effective(), Some(1.0));
        assert_eq!(Sparsity::default().direct(), None);
    }

    proptest! {
        #[test]
        fn pruning_what_is_not_live_changes_no_path(network in residual_networks()) {
            let graph = network.graph();
            let live = Liveness::of(&graph);
            let mut pruned = network.clone();
            for (time, step) in graph.steps().iter().enumerate() {
                let StepKind::Layer(index) = step.kind else { continue };
                let layer = &network.layers[index];
                let mut kept = Mask::empty(layer.shape.size());
                for edge in live.live_edges(&graph, (time, step)) {
                    let inp = edge.source().index() - graph.groups()[layer.from].start;
                    let out = edge.target().index() - graph.groups()[layer.to].start;
                    let first = (out * layer.shape.inp as usize + inp) * layer.shape.taps();
                    for position in first..first + layer.shape.taps() {
                        kept.set(position, graph.layers()[index].kept().keeps(position));
                    }
                }
                pruned.masks.insert(layer.weight(), kept);
            }
            let pruned = pruned.graph();
            prop_assert_eq!(crate::count_paths(&graph), crate::count_paths(&pruned));
            for (before, after) in effective_sparsity(&graph).iter().zip(effective_sparsity(&pruned)) {
                prop_assert_eq!(after.weights.kept, before.weights.live);
                prop_assert_eq!(after.weights.live, before.weights.live);
            }
        }
    }
}
