//! `synflow`: synaptic flow, without data (Tanaka et al. 2020, arXiv 2006.05467).
//!
//! |w · ∂R/∂w| of R, the sum of the outputs of the network of absolute weights on an input of ones, with batch norms left out.
//! That is |w| times what flows into its channel times what its own channel passes on. Flow is followed by channel, which
//! is exact where padding is left out of account: at an image's border fewer taps meet a pixel. Pruning is iterative, in
//! rounds of exponentially falling density, so that no layer collapses.

use std::collections::BTreeMap;

use counterfoil_ticket::{Layer, Model, Shortcut};
use serde_json::{Value, json};

use super::ranking::{best, check_finite, on_one_scale};
use super::{Aim, Epochs, Finder, Keying, Masks, Scope, Scores, Search};
use crate::TrainError;
use crate::network::Network;

/// Rounds of the paper.
const ROUNDS: u32 = 100;

/// Nothing to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synflow;

impl Finder for Synflow {
    fn name(&self) -> &'static str {
        "synflow"
    }

    fn settings(&self) -> Value {
        json!({ "rounds": ROUNDS })
    }

    fn keying(&self) -> Keying {
        Keying::Factor
    }

    fn epochs(&self, _: &Aim) -> Option<Epochs> {
        None
    }

    fn seek(&self, search: &mut Search) -> Result<Model, TrainError> {
        search.check_leaves_some()?;
        let favour = search.favour();
        let network = FlowNetwork::of(&search.network);
        let mut masks = search.full_masks();
        let mut last: Scores = BTreeMap::new();
        for round in 1..=ROUNDS {
            let mut scores = network.scores(&masks);
            check_finite(&scores)?;
            favour.weigh(&mut scores);
            // Below all scores, which are 0 and more, and in the order in which they went.
            for (name, mask) in &masks {
                let scores = scores.get_mut(name).expect("scores are of the masked layers");
                (0..mask.size()).filter(|&p| !mask.keeps(p)).for_each(|p| {
                    scores[p] = last.get(name).map_or(0.0, |last| last[p].min(0.0));
                });
            }
            let density = (1.0 - search.aim.sparsity).powf(f64::from(round) / f64::from(ROUNDS));
            let after =
                best(&masks, &scores, &Scope::Global.allot(&masks, |total| (density * total as f64).round() as usize));
            for (name, mask) in &masks {
                let scores = scores.get_mut(name).expect("scores are of the masked layers");
                let pruned = mask.positions().filter(|&p| !after[name].keeps(p));
                // A round's scores are not another's; within it their order is what counts.
                pruned.for_each(|p| scores[p] = squeezed(scores[p]) - (ROUNDS + 1 - round) as f32);
            }
            (masks, last) = (after, scores);
        }
        let scores = on_one_scale(&masks, &last);
        search.at_once(masks, scores)
    }
}

/// A score, 0 to 1, in the order of scores over all of f32's range.
fn squeezed(score: f32) -> f32 {
    // The bits of floats that are not negative sort as the floats do.
    (f64::from(score.to_bits()) / f64::from(f32::INFINITY.to_bits())) as f32 * 0.999
}

/// The network of absolute weights.
struct FlowNetwork {
    layers: Vec<Layer>,
    shortcuts: Vec<Shortcut>,
    /// |w| by layer.
    weights: Vec<Vec<f32>>,
}

impl FlowNetwork {
    fn of(network: &Network) -> Self {
        let layers = network.layers().to_vec();
        let magnitudes = |layer: &Layer| {
            let weights = network.parameter(&layer.weight()).expect("a network has its layers' weights");
            weights.into_iter().map(f32::abs).collect()
        };
        let weights = layers.iter().map(magnitudes).collect();
        Self { layers, shortcuts: network.architecture().shortcuts(), weights }
    }

    /// |w · ∂R/∂w| of what the masks keep in the masked layers, 0 elsewhere; as a share of the largest one.
    fn scores(&self, masks: &Masks) -> Scores {
        // Kernels, summed over their taps, in a channel's row.
        let kernels: Vec<Vec<f64>> = self
            .layers
            .iter()
            .zip(&self.weights)
            .map(|(layer, weights)| {
                let (taps, mask) = (layer.shape.taps(), masks.get(&layer.weight()));
                let keeps = |p: usize| mask.is_none_or(|mask| mask.keeps(p));
                let sum = |(i, kernel): (usize, &[f32])| {
                    kernel.iter().enumerate().filter(|(t, _)| keeps(i * taps + t)).map(|(_, &w)| f64::from(w)).sum()
                };
                weights.chunks(taps).enumerate().map(sum).collect()
            })
            .collect();
        let (into, passed_on) = self.flow(&kernels);
        let mut scores = BTreeMap::new();
        let mut largest = f64::MIN_POSITIVE;
        for (l, layer) in self.layers.iter().enumerate().filter(|(_, layer)| masks.contains_key(&layer.weight())) {
            let (taps, row) = (layer.shape.taps(), layer.shape.row());
            let mask = &masks[&layer.weight()];
            let score = |p: usize| match mask.keeps(p) {
                true => f64::from(self.weights[l][p]) * into[l][p % row / taps] * passed_on[l][p / row],
                false => 0.0,
            };
            let values: Vec<f64> = (0..mask.size()).map(score).collect();
            largest = values.iter().copied().fold(largest, f64::max);
            scores.insert(layer.weight(), values);
        }
        let scaled = |values: Vec<f64>| values.into_iter().map(|v| (v / largest) as f32).collect();
        scores.into_iter().map(|(name, values)| (name, scaled(values))).collect()
    }

    /// For each layer, what flows into its input channels, and what R gains by each of its output channels.
    fn flow(&self, kernels: &[Vec<f64>]) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let mut at: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        let mut into: Vec<Vec<f64>> = Vec::new();
        let mut crossed: Vec<Vec<Shortcut>> = Vec::new();
        for (layer, kernels) in self.layers.iter().zip(kernels) {
            let (out, inp) = (layer.shape.out as usize, layer.shape.inp as usize);
            let from = at.entry(layer.from).or_insert_with(|| vec![1.0; inp]);
            let inputs = spread(from, inp);
            let is_new = !at.contains_key(&layer.to);
            let mut outputs = at.remove(&layer.to).unwrap_or_else(|| vec![0.0; out]);
            // A shortcut between groups joins in where its target is first written: its source is complete then.
            let joining: Vec<Shortcut> =
                self.shortcuts.iter().filter(|s| is_new && s.to == layer.to).copied().collect();
            for shortcut in &joining {
                let source = at.get(&shortcut.from).map_or(&[][..], Vec::as_slice);
                source.iter().enumerate().for_each(|(c, flow)| outputs[c + shortcut.offset as usize] += flow);
            }
            for (output, row) in outputs.iter_mut().zip(kernels.chunks(inp)) {
                *output += row.iter().zip(&inputs).map(|(w, flow)| w * flow).sum::<f64>();
            }
            at.insert(layer.to, outputs);
            into.push(inputs);
            crossed.push(joining);
        }
        let mut gain: BTreeMap<usize, Vec<f64>> =
            at.iter().map(|(&group, flow)| (group, vec![0.0; flow.len()])).collect();
        if let Some(gain) = self.layers.last().and_then(|layer| gain.get_mut(&layer.to)) {
            gain.fill(1.0);
        }
        let mut passed_on = vec![Vec::new(); self.layers.len()];
        for (l, layer) in self.layers.iter().enumerate().rev() {
            let inp = layer.shape.inp as usize;
            let of = gain[&layer.to].clone();
            let source = gain.get_mut(&layer.from).expect("every group that is read has a flow");
            let repeated = (inp / source.len()).max(1);
            for (row, gain) in kernels[l].chunks(inp).zip(&of) {
                row.iter().enumerate().for_each(|(i, w)| source[i / repeated] += w * gain);
            }
            for shortcut in &crossed[l] {
                let source = gain.get_mut(&shortcut.from).expect("every group that is read has a flow");
                source.iter_mut().enumerate().for_each(|(c, sum)| *sum += of[c + shortcut.offset as usize]);
            }
            passed_on[l] = of;
        }
        (into, passed_on)
    }
}

/// The flow of channels at the inputs of a layer; where it reads several pixels of a channel, they are beside each other.
fn spread(channels: &[f64], inputs: usize) -> Vec<f64> {
    let repeated = (inputs / channels.len().max(1)).max(1);
    (0..inputs).map(|i| channels[(i / repeated).min(channels.len() - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use counterfoil_ticket::{Architecture, ImageShape, Mask, Normalisation};

    use super::*;
    use crate::DeviceChoice;

    fn network(architecture: Architecture) -> Network {
        let normalisation = Normalisation { mean: vec![0.5], std: vec![0.5] };
        Network::initialise(architecture, normalisation, 1, &DeviceChoice::Cpu.open().unwrap())
    }

    /// R for these kernels: what flows into the last layer, through it.
    fn outflow(network: &FlowNetwork, kernels: &[Vec<f64>]) -> f64 {
        let (into, _) = network.flow(kernels);
        let last = kernels.last().unwrap();
        let inputs = into.last().unwrap();
        last.chunks(inputs.len()).flat_map(|row| row.iter().zip(inputs).map(|(w, flow)| w * flow)).sum()
    }

    #[test]
    fn scores_are_the_derivatives_of_what_flows_out() {
        let input = ImageShape { channels: 1, height: 8, width: 8 };
        for architecture in [
            Architecture::Mlp { input, hidden: vec![5, 4], classes: 3 },
            Architecture::Resnet20 { input, width: 2, classes: 3 },
            Architecture::Resnet18 { input, width: 2, classes: 3 },
        ] {
            let flow = FlowNetwork::of(&network(architecture));
            let kernels: Vec<Vec<f64>> = flow
                .layers
                .iter()
                .zip(&flow.weights)
                .map(|(layer, weights)| {
                    weights.chunks(layer.shape.taps()).map(|k| k.iter().map(|&w| f64::from(w)).sum()).collect()
                })
                .collect();
            let (into, passed_on) = flow.flow(&kernels);
            let whole = outflow(&flow, &kernels);
            for (l, layer) in flow.layers.iter().enumerate() {
                let inp = layer.shape.inp as usize;
                let kernel = kernels[l].len() / 2;
                let mut more = kernels.clone();
                more[l][kernel] += 1.0;
                // R is linear in each weight.
                let expected = outflow(&flow, &more) - whole;
                let found = into[l][kernel % inp] * passed_on[l][kernel / inp];
                assert!((found - expected).abs() <= 1e-6 * whole.max(expected), "{}: {found} {expected}", layer.name);
            }
        }
    }

    #[test]
    fn no_layer_collapses() {
        let input = ImageShape { channels: 1, height: 8, width: 8 };
        let flow = FlowNetwork::of(&network(Architecture::Resnet20 { input, width: 4, classes: 3 }));
        let mut masks: Masks = BTreeMap::new();
        for layer in flow.layers.iter().filter(|layer| layer.prunable) {
            masks.insert(layer.weight(), Mask::full(layer.shape.size()));
        }
        for round in 1..=50 {
            let scores = flow.scores(&masks);
            let density = 0.01f64.powf(f64::from(round) / 50.0);
            masks = best(&masks, &scores, &Scope::Global.allot(&masks, |total| (density * total as f64) as usize));
        }
        assert!(masks.values().all(|mask| mask.kept() > 0), "{masks:?}");
    }
}
