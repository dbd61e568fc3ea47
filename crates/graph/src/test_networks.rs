//! Networks for tests: layers by hand, and small random ones, residual and masked at random.

use std::collections::BTreeMap;

use counterfoil_ticket::{CarrierShape, Layer, LayerKind, Mask, Shortcut};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::MaskGraph;

/// A linear layer of shape [out, in] from one group to another.
pub(crate) fn linear(name: &str, [out, inp]: [u32; 2], groups: [usize; 2]) -> Layer {
    Layer { kind: LayerKind::Linear, ..conv(name, [out, inp, 1, 1], groups) }
}

/// A convolution of shape [out, in, height, width] from one group to another.
pub(crate) fn conv(name: &str, shape: [u32; 4], [from, to]: [usize; 2]) -> Layer {
    Layer {
        name: name.to_owned(),
        shape: CarrierShape::from(shape),
        kind: LayerKind::Conv { stride: 1, padding: 0 },
        bias: false,
        norm: None,
        max_pooled: false,
        from,
        to,
        prunable: true,
    }
}

/// A wiring and masks for its layers.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) layers: Vec<Layer>,
    pub(crate) shortcuts: Vec<Shortcut>,
    pub(crate) masks: BTreeMap<String, Mask>,
}

impl Network {
    pub(crate) fn graph(&self) -> MaskGraph {
        MaskGraph::from_layers(self.layers.clone(), self.shortcuts.clone(), &self.masks).expect("a valid wiring")
    }

    /// Moves channel c of group g to `moves[g][c]`, in all layers that read or write the group.
    pub(crate) fn permuted(&self, moves: &[Vec<u32>]) -> Self {
        let mut masks = BTreeMap::new();
        for layer in &self.layers {
            let Some(mask) = self.masks.get(&layer.weight()) else { continue };
            let (inputs, taps) = (layer.shape.inp as usize, layer.shape.taps());
            let mut moved = Mask::empty(mask.size());
            for position in mask.positions() {
                let (out, inp, tap) = (position / taps / inputs, position / taps % inputs, position % taps);
                let (out, inp) = (moves[layer.to][out] as usize, moves[layer.from][inp] as usize);
                moved.set((out * inputs + inp) * taps + tap, true);
            }
            masks.insert(layer.weight(), moved);
        }
        Self { masks, ..self.clone() }
    }
}

/// Small residual networks in the shape of ResNet-20: first layer, two stages of one or two blocks with an option-A
/// shortcut between them, classifier. Groups of 1 to 3 channels, the second stage one or two channels wider; masks of
/// every density, the first layer and the classifier dense in half of the cases.
pub(crate) fn residual_networks() -> impl Strategy<Value = Network> {
    let widths = (1u32..=3, 1u32..=3, 1u32..=2, 0u32..=1, vec(1u32..=3, 4), 1usize..=2, 1usize..=2);
    (widths, any::<bool>(), 0.1f64..0.9).prop_flat_map(
        |((input, width, growth, offset, hidden, first, second), dense_ends, density)| {
            let wide = width + growth;
            let (one, two) = (1, 2 + first);
            let classes = two + 1 + second;
            let mut layers = vec![conv("stem", [width, input, 1, 2], [0, one])];
            let (hidden_one, hidden_two) = hidden.split_at(2);
            for (block, &inner) in hidden_one.iter().enumerate().take(first) {
                layers.push(conv(&format!("a{block}.in"), [inner, width, 1, 2], [one, one + 1 + block]));
                layers.push(conv(&format!("a{block}.out"), [width, inner, 1, 2], [one + 1 + block, one]));
            }
            for (block, &inner) in hidden_two.iter().enumerate().take(second) {
                let (from, inp) = if block == 0 { (one, width) } else { (two, wide) };
                layers.push(conv(&format!("b{block}.in"), [inner, inp, 1, 2], [from, two + 1 + block]));
                layers.push(conv(&format!("b{block}.out"), [wide, inner, 1, 2], [two + 1 + block, two]));
            }
            layers.push(linear("head", [2, wide], [two, classes]));
            let shortcuts = vec![Shortcut { from: one, to: two, offset: offset.min(growth) }];
            let total: usize = layers.iter().map(|l| l.shape.size()).sum();
            vec(0.0f64..1.0, total).prop_map(move |draws| {
                let mut draws = draws.into_iter();
                let mut masks = BTreeMap::new();
                for layer in &layers {
                    // The draws are as many as the positions, so each position finds one.
                    let mask = Mask::from_fn(layer.shape.size(), |_| draws.next().is_some_and(|d| d < density));
                    if !(dense_ends && ["stem", "head"].contains(&layer.name.as_str())) {
                        masks.insert(layer.weight(), mask);
                    }
                }
                Network { layers: layers.clone(), shortcuts: shortcuts.clone(), masks }
            })
        },
    )
}

/// A random network and, for each of its groups, a permutation of the channels.
pub(crate) fn networks_with_moves() -> impl Strategy<Value = (Network, Vec<Vec<u32>>)> {
    residual_networks().prop_flat_map(|network| {
        let widths: Vec<u32> = network.graph().groups().iter().map(|g| g.len() as u32).collect();
        let moves: Vec<_> = widths.into_iter().map(|w| Just((0..w).collect::<Vec<u32>>()).prop_shuffle()).collect();
        (Just(network), moves)
    })
}
