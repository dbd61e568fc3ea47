//! `channel`: whole output channels, by the L1 norm of their filters (Li et al. 2017, arXiv 1608.08710).
//!
//! The network is trained, the channels of the smallest norms are pruned at once, and the rest is rewound. Each layer loses the
//! same share as in the paper, or, with all layers together, channels compete by the mean of |w|; none loses its last one.
//! What is left of a layer is full channels: a mark's swaps, which stay within an output channel, find no room there.

use std::collections::BTreeMap;

use counterfoil_ticket::{Layer, Mask, Model};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rounds::in_rounds;
use super::{Aim, Epochs, Finder, Keying, Masks, Scope, Scores, Search, recorded};
use crate::TrainError;

/// How to prune.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// What competes.
    pub scope: Scope,
}

impl Finder for Channel {
    fn name(&self) -> &'static str {
        "channel"
    }

    fn settings(&self) -> Value {
        recorded(self)
    }

    fn keying(&self) -> Keying {
        Keying::Decay
    }

    fn epochs(&self, aim: &Aim) -> Option<Epochs> {
        aim.one_training()
    }

    fn seek(&self, search: &mut Search) -> Result<Model, TrainError> {
        let extra_decay = search.favour().extra_decay();
        in_rounds(
            search,
            |course| 1 - course.round.min(1),
            extra_decay,
            |course, search| {
                let layers: Vec<&Layer> = search.network.layers().iter().filter(|layer| layer.prunable).collect();
                let norms = mean_magnitudes(&layers, &course.magnitudes());
                let kept = kept_channels(&layers, &norms, self.scope, search.aim.sparsity);
                Ok((masks(&layers, &kept), norms.into_iter().map(spread(&layers)).collect()))
            },
        )
    }
}

/// Mean of |w| by output channel.
fn mean_magnitudes(layers: &[&Layer], magnitudes: &Scores) -> Scores {
    let mean = |row: &[f32]| (row.iter().map(|&w| f64::from(w)).sum::<f64>() / row.len() as f64) as f32;
    let of = |layer: &&Layer| magnitudes[&layer.weight()].chunks(layer.shape.row()).map(mean).collect();
    layers.iter().map(|layer| (layer.weight(), of(layer))).collect()
}

/// Which channels stay.
fn kept_channels(layers: &[&Layer], norms: &Scores, scope: Scope, sparsity: f64) -> BTreeMap<String, Vec<bool>> {
    let mut kept: BTreeMap<String, Vec<bool>> =
        norms.iter().map(|(name, norms)| (name.clone(), vec![true; norms.len()])).collect();
    let mut candidates: Vec<(u32, usize, usize)> = Vec::new();
    for (l, layer) in layers.iter().enumerate() {
        let norms = &norms[&layer.weight()];
        // The bits of floats that are not negative sort as the floats do.
        candidates.extend(norms.iter().enumerate().map(|(channel, norm)| (norm.to_bits(), l, channel)));
    }
    candidates.sort_unstable();
    let size = |layer: &Layer| layer.shape.size() as f64;
    let total: f64 = layers.iter().map(|layer| size(layer)).sum();
    let mut left = vec![sparsity * total; 1];
    if scope == Scope::Layer {
        left = layers.iter().map(|layer| sparsity * size(layer)).collect();
    }
    for (_, l, channel) in candidates {
        let (layer, row) = (layers[l], layers[l].shape.row() as f64);
        let left = match scope {
            Scope::Global => &mut left[0],
            Scope::Layer => &mut left[l],
        };
        let channels = kept.get_mut(&layer.weight()).expect("norms are of these layers");
        // The last channel that goes may go beyond the aim by less than half of itself.
        if *left >= row / 2.0 && channels.iter().filter(|kept| **kept).count() > 1 {
            channels[channel] = false;
            *left -= row;
        }
    }
    kept
}

fn masks(layers: &[&Layer], kept: &BTreeMap<String, Vec<bool>>) -> Masks {
    let mask = |layer: &&Layer| {
        let channels = &kept[&layer.weight()];
        Mask::from_fn(layer.shape.size(), |position| channels[position / layer.shape.row()])
    };
    layers.iter().map(|layer| (layer.weight(), mask(layer))).collect()
}

/// A channel's value at each of its positions.
fn spread(layers: &[&Layer]) -> impl Fn((String, Vec<f32>)) -> (String, Vec<f32>) {
    let rows: BTreeMap<String, usize> = layers.iter().map(|layer| (layer.weight(), layer.shape.row())).collect();
    move |(name, values)| {
        let row = rows[&name];
        let spread = values.iter().flat_map(|&value| std::iter::repeat_n(value, row)).collect();
        (name, spread)
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_ticket::{Architecture, ImageShape};

    use super::*;

    #[test]
    fn the_smallest_channels_go_and_never_all_of_a_layer() {
        let input = ImageShape { channels: 1, height: 1, width: 4 };
        let layers = Architecture::Mlp { input, hidden: vec![4, 4], classes: 2 }.layers();
        let layers: Vec<&Layer> = layers.iter().filter(|layer| layer.prunable).collect();
        let norms = Scores::from([
            ("fc1.weight".to_owned(), vec![0.1, 0.2, 0.3, 0.15]),
            ("fc2.weight".to_owned(), vec![0.9, 0.8, 0.7, 0.6]),
        ]);
        let kept = |scope, sparsity| -> Vec<Vec<bool>> {
            kept_channels(&layers, &norms, scope, sparsity).into_values().collect()
        };
        let layer = kept(Scope::Layer, 0.5);
        assert_eq!(layer, [[false, true, true, false], [true, true, false, false]]);
        let global = kept(Scope::Global, 0.5);
        assert_eq!(global, [[false, false, true, false], [true, true, true, false]]);
        assert_eq!(kept(Scope::Global, 0.99).iter().map(|k| k.iter().filter(|k| **k).count()).min(), Some(1));
    }
}
