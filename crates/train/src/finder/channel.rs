//! `channel`: whole channels, by the L1 norm of their filters (Li et al. 2017, arXiv 1608.08710).
//!
//! The network is trained, the channels of the smallest norms are pruned at once, and the rest is rewound. With a channel goes
//! all that writes and all that reads it in layers that are pruned, so that it can be taken out of the network where it lies
//! within a block; channels that layers add up are one (Fang et al. 2023, arXiv 2301.12900, section 3). Each node group loses
//! the same share as in the paper, or, with all of them together, channels compete by the mean of |w|; none loses its last
//! one. What is left of a layer is full: a mark's swaps find no room there but in channels that are gone.

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
                let norms = norms(&layers, &course.magnitudes());
                let kept = kept_channels(&layers, &norms, self.scope, search.aim.sparsity);
                let masks = masks(&layers, &kept);
                let scores = scores(&layers, &norms, &masks);
                Ok((masks, scores))
            },
        )
    }
}

/// Mean of |w| by channel of each node group, over all that writes it and is pruned.
fn norms(layers: &[&Layer], magnitudes: &Scores) -> BTreeMap<usize, Vec<f32>> {
    let mut sums: BTreeMap<usize, (f64, Vec<f64>)> = BTreeMap::new();
    for layer in layers {
        let rows = magnitudes[&layer.weight()].chunks(layer.shape.row());
        let (weights, sums) = sums.entry(layer.to).or_insert_with(|| (0.0, vec![0.0; layer.shape.out as usize]));
        *weights += layer.shape.row() as f64;
        for (sum, row) in sums.iter_mut().zip(rows) {
            *sum += row.iter().map(|&w| f64::from(w)).sum::<f64>();
        }
    }
    let mean = |(weights, sums): (f64, Vec<f64>)| sums.into_iter().map(|sum| (sum / weights) as f32).collect();
    sums.into_iter().map(|(group, sums)| (group, mean(sums))).collect()
}

/// Which channels of the node groups stay: all of those that nothing that is pruned writes.
struct Channels(BTreeMap<usize, Vec<bool>>);

impl Channels {
    fn keeps(&self, group: usize, channel: usize) -> bool {
        self.0.get(&group).is_none_or(|kept| kept[channel])
    }

    fn set(&mut self, group: usize, channel: usize, keeps: bool) {
        self.0.get_mut(&group).expect("only channels of these groups are pruned")[channel] = keeps;
    }

    fn count(&self, group: usize, channels: u32) -> f64 {
        self.0.get(&group).map_or(f64::from(channels), |kept| kept.iter().filter(|kept| **kept).count() as f64)
    }

    /// Positions that `layers` keep.
    fn positions(&self, layers: &[&Layer]) -> f64 {
        let of = |layer: &Layer| {
            let shape = layer.shape;
            self.count(layer.to, shape.out) * self.count(layer.from, shape.inp) * shape.taps() as f64
        };
        layers.iter().map(|layer| of(layer)).sum()
    }

    fn mask(&self, layer: &Layer) -> Mask {
        let (row, taps) = (layer.shape.row(), layer.shape.taps());
        Mask::from_fn(layer.shape.size(), |position| {
            self.keeps(layer.to, position / row) && self.keeps(layer.from, position % row / taps)
        })
    }
}

fn kept_channels(layers: &[&Layer], norms: &BTreeMap<usize, Vec<f32>>, scope: Scope, sparsity: f64) -> Channels {
    let mut candidates: Vec<(f64, usize, usize)> = Vec::new();
    for (&group, norms) in norms {
        let mut order: Vec<usize> = (0..norms.len()).collect();
        order.sort_by(|&a, &b| norms[a].total_cmp(&norms[b]));
        // The last channel stays.
        for (rank, &channel) in order.split_last().map_or(&[][..], |(_, order)| order).iter().enumerate() {
            let importance = match scope {
                Scope::Global => f64::from(norms[channel]),
                Scope::Layer => rank as f64 / norms.len() as f64,
            };
            candidates.push((importance, group, channel));
        }
    }
    candidates.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));

    let mut kept = Channels(norms.iter().map(|(&group, norms)| (group, vec![true; norms.len()])).collect());
    let mut positions = kept.positions(layers);
    let aim = (1.0 - sparsity) * positions;
    for (_, group, channel) in candidates {
        kept.set(group, channel, false);
        let fewer = kept.positions(layers);
        // Beyond the aim only where that is nearer to it.
        if aim - fewer > positions - aim {
            kept.set(group, channel, true);
        } else {
            positions = fewer;
        }
    }
    kept
}

fn masks(layers: &[&Layer], kept: &Channels) -> Masks {
    layers.iter().map(|layer| (layer.weight(), kept.mask(layer))).collect()
}

/// A channel's norm at each position that writes it and is kept.
fn scores(layers: &[&Layer], norms: &BTreeMap<usize, Vec<f32>>, masks: &Masks) -> Scores {
    let of = |layer: &&Layer| {
        let (name, norms, row) = (layer.weight(), &norms[&layer.to], layer.shape.row());
        let score = |position| if masks[&name].keeps(position) { norms[position / row] } else { 0.0 };
        let scores = (0..layer.shape.size()).map(score).collect();
        (name, scores)
    };
    layers.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use counterfoil_ticket::{Architecture, ImageShape};

    use super::*;

    #[test]
    fn the_smallest_channels_go_and_never_all_of_a_group() {
        let input = ImageShape { channels: 1, height: 1, width: 4 };
        let layers = Architecture::Mlp { input, hidden: vec![4, 4], classes: 2 }.layers();
        let layers: Vec<&Layer> = layers.iter().filter(|layer| layer.prunable).collect();
        let norms = BTreeMap::from([(1, vec![0.1, 0.2, 0.3, 0.15]), (2, vec![0.9, 0.8, 0.7, 0.6])]);
        let kept = |scope, sparsity| kept_channels(&layers, &norms, scope, sparsity);
        let groups = |kept: Channels| -> Vec<Vec<bool>> { kept.0.into_values().collect() };

        // Of 4 × 4 + 4 × 4 positions, 4 × 2 + 2 × 3; one channel less of the second group would be farther from the half.
        let layer = kept(Scope::Layer, 0.5);
        assert_eq!(layer.positions(&layers), 14.0);
        assert_eq!(groups(layer), [[false, true, true, false], [true, true, true, false]]);
        let global = kept(Scope::Global, 0.5);
        assert_eq!(global.positions(&layers), 16.0);
        assert_eq!(groups(global), [[false, true, true, false], [true, true, true, true]]);
        assert_eq!(groups(kept(Scope::Global, 0.99)), [[false, false, true, false], [true, false, false, false]]);
    }

    #[test]
    fn what_writes_a_channel_and_what_reads_it_go_together() {
        let input = ImageShape { channels: 1, height: 8, width: 8 };
        let layers = Architecture::Resnet20 { input, width: 4, classes: 3 }.layers();
        let layers: Vec<&Layer> = layers.iter().filter(|layer| layer.prunable).collect();
        let magnitude = |layer: &&Layer| {
            let size = layer.shape.size();
            (layer.weight(), (0..size).map(|p| ((p * 7919 + layer.name.len()) % 997) as f32).collect())
        };
        let norms = norms(&layers, &layers.iter().map(magnitude).collect());
        let kept = kept_channels(&layers, &norms, Scope::Layer, 0.9);
        let masks = masks(&layers, &kept);
        let total: usize = layers.iter().map(|layer| layer.shape.size()).sum();
        let share = masks.values().map(Mask::kept).sum::<usize>() as f64 / total as f64;
        assert!((share - 0.1).abs() < 0.01, "{share}");
        for layer in layers {
            let shape = layer.shape;
            for (out, inp) in (0..shape.out as usize).flat_map(|o| (0..shape.inp as usize).map(move |i| (o, i))) {
                let first = out * shape.row() + inp * shape.taps();
                let taps = (first..first + shape.taps()).filter(|&p| masks[&layer.weight()].keeps(p)).count();
                let whole = kept.keeps(layer.to, out) && kept.keeps(layer.from, inp);
                assert_eq!(taps, if whole { shape.taps() } else { 0 });
            }
        }
    }
}
