//! Strategies for key masks that ask the network: what the loss says of each kept weight.
//!
//! Gradients are means over examples that are drawn once, in batches, through the network in training mode (batch norm by
//! the batch), as it will be trained.
//!
//! Where a batch norm follows every masked layer, the loss does not change when all of them are scaled together, so
//! g(αw) = g(w) / α and, by Euler's theorem on homogeneous functions, Hw = −g. In such networks |w · (Hw)|, integrated
//! gradients from 0, and Taylor's |w · g| rank alike; that is why [`Hessian`] takes the diagonal instead of Hw.

mod hessian;
mod integrated_gradients;
mod taylor;

use std::collections::BTreeMap;

use burn::tensor::Device;
use counterfoil_mark::{Importance, StrategyError};
use counterfoil_ticket::{Mask, Model};

use crate::network::{Batch, Network};
use crate::sgd::Hold;
use crate::training::{EpochSeed, Examples};

pub use hessian::Hessian;
pub use integrated_gradients::IntegratedGradients;
pub use taylor::Taylor;

/// Examples of one pass.
const BATCH: usize = 128;

/// What the network is asked with.
#[derive(Clone)]
pub struct Probe<'a> {
    /// The data; nothing is augmented if the examples say so.
    pub examples: Examples<'a>,
    /// How many of them, at most all.
    pub count: usize,
    /// Seed of which ones, and of what else is drawn.
    pub seed: u64,
    /// Where the network computes.
    pub device: Device,
}

/// A ticket's network and the examples that it is asked with.
pub(crate) struct Asked {
    network: Network,
    hold: Hold,
    batches: Vec<Batch>,
    /// Its weights in the masked tensors.
    pub(crate) weights: BTreeMap<String, Vec<f32>>,
}

impl Probe<'_> {
    fn ask(&self, ticket: &Model) -> Result<Asked, StrategyError> {
        let architecture = ticket.description.architecture.clone().ok_or(StrategyError::NoArchitecture)?;
        let normalisation = ticket.description.normalisation.clone().ok_or(StrategyError::NoArchitecture)?;
        let network = Network::from_model(ticket, architecture, normalisation, &self.device)
            .map_err(|error| StrategyError::Network(error.into()))?;
        let seed = EpochSeed { seed: self.seed, round: 0 };
        Ok(Asked::of(network, &ticket.masks, self.examples, self.count, seed))
    }
}

impl Asked {
    /// Asks a network about its weights within these masks, with `count` examples that the seed draws.
    pub(crate) fn of(
        network: Network,
        masks: &BTreeMap<String, Mask>,
        examples: Examples,
        count: usize,
        seed: EpochSeed,
    ) -> Self {
        let hold = Hold::new(&network, masks, BTreeMap::new());
        let batches = examples.drawn(count, BATCH, seed, 0);
        let weights = |name: &String| network.parameter(name).expect("masks are of the network's parameters");
        let weights = masks.keys().map(|name| (name.clone(), weights(name))).collect();
        Self { network, hold, batches, weights }
    }

    /// Mean gradient of the loss at other weights, by masked tensor; `weights` are 0 outside the masks. Gradients there may
    /// be missing (0).
    pub(crate) fn gradient(&self, weights: &BTreeMap<String, Vec<f32>>) -> BTreeMap<String, Vec<f32>> {
        let mut sums: BTreeMap<String, Vec<f32>> =
            weights.iter().map(|(name, values)| (name.clone(), vec![0.0; values.len()])).collect();
        let examples: usize = self.batches.iter().map(|batch| batch.labels.len()).sum();
        let mut network = self.network.clone();
        for (name, values) in weights {
            network.set_parameter(name.clone(), values.clone());
        }
        for batch in &self.batches {
            let share = batch.labels.len() as f32 / examples as f32;
            for (name, gradient) in network.gradients(batch, &self.hold) {
                let Some(sum) = sums.get_mut(&name) else { continue };
                sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += share * g);
            }
        }
        sums
    }
}

/// Importance from two values at each position.
fn combine(a: &BTreeMap<String, Vec<f32>>, b: &BTreeMap<String, Vec<f32>>, of: impl Fn(f64, f64) -> f64) -> Importance {
    let at = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| of(f64::from(a), f64::from(b))).collect();
    a.iter().map(|(name, a)| (name.clone(), at(a, &b[name]))).collect()
}

#[cfg(test)]
mod tests {
    use counterfoil_mark::Strategy;
    use counterfoil_ticket::{Architecture, Description, ImageShape, Kind, Normalisation};

    use super::*;
    use crate::DeviceChoice;
    use crate::data::{Augmentation, Split};
    use crate::network::to_vec;

    fn split() -> Split {
        let images = (0..40 * 16).map(|i: usize| (i * 7919 % 251) as u8).collect();
        let shape = ImageShape { channels: 1, height: 4, width: 4 };
        Split::new(images, (0..40).map(|i| i % 2).collect(), shape).unwrap()
    }

    fn ticket(architecture: Architecture) -> Model {
        let normalisation = Normalisation { mean: vec![0.5], std: vec![0.25] };
        let device = DeviceChoice::Cpu.open().unwrap();
        let network = Network::initialise(architecture.clone(), normalisation.clone(), 3, &device);
        let description = Description {
            kind: Kind::Ticket,
            architecture: Some(architecture),
            normalisation: Some(normalisation),
            ..Description::default()
        };
        let mut ticket = Model { description, arrays: network.arrays(), ..Model::default() };
        for layer in network.layers().iter().filter(|layer| layer.prunable) {
            let mask = Mask::from_fn(layer.shape.size(), |p| p % 3 != 0);
            mask.apply(ticket.arrays.get_mut(&layer.weight()).unwrap().values_mut());
            ticket.masks.insert(layer.weight(), mask);
        }
        ticket
    }

    fn mlp() -> Model {
        let input = ImageShape { channels: 1, height: 4, width: 4 };
        ticket(Architecture::Mlp { input, hidden: vec![6, 5], classes: 2 })
    }

    fn probe(split: &Split) -> Probe<'_> {
        let examples = Examples::new(split, Augmentation::NONE);
        Probe { examples, count: 40, seed: 1, device: DeviceChoice::Cpu.open().unwrap() }
    }

    fn loss(asked: &Asked, weights: &BTreeMap<String, Vec<f32>>) -> f64 {
        let mut network = asked.network.clone();
        for (name, values) in weights {
            network.set_parameter(name.clone(), values.clone());
        }
        let value = |batch: &Batch| to_vec(&network.clone().loss(batch, &asked.hold.connected).0.inner())[0];
        let of = |batch: &Batch| f64::from(value(batch));
        asked.batches.iter().map(of).sum::<f64>() / asked.batches.len() as f64
    }

    #[test]
    fn taylor_is_what_the_loss_loses_to_first_order() {
        let (split, ticket) = (split(), mlp());
        let importance = Taylor(probe(&split)).importance(&ticket).unwrap();
        let asked = probe(&split).ask(&ticket).unwrap();
        let mut checked = 0;
        for (name, scores) in &importance {
            let position = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
            let scaled = |by: f32| {
                let mut weights = asked.weights.clone();
                weights.get_mut(name).unwrap()[position] *= by;
                loss(&asked, &weights)
            };
            let difference = (scaled(1.05) - scaled(0.95)).abs() / 0.1;
            assert!(
                (difference - scores[position]).abs() < 0.03 * difference + 1e-5,
                "{name}: {difference} {scores:?}"
            );
            checked += 1;
        }
        assert_eq!(checked, ticket.masks.len());
    }

    #[test]
    fn integrated_gradients_add_up_to_what_the_weights_gain() {
        let (split, ticket) = (split(), mlp());
        let signed = IntegratedGradients { probe: probe(&split), steps: 64 }.attributions(&ticket).unwrap();
        let sum: f64 = signed.values().flatten().sum();
        let asked = probe(&split).ask(&ticket).unwrap();
        let nothing = asked.weights.iter().map(|(name, w)| (name.clone(), vec![0.0; w.len()])).collect();
        let gained = loss(&asked, &asked.weights) - loss(&asked, &nothing);
        assert!((sum - gained).abs() < 0.02 * gained.abs() + 1e-4, "{sum} {gained}");
    }

    #[test]
    fn the_diagonal_is_that_of_finite_differences() {
        let (split, ticket) = (split(), mlp());
        let importance = Hessian { probe: probe(&split), samples: 512 }.importance(&ticket).unwrap();
        let asked = probe(&split).ask(&ticket).unwrap();
        // The largest of the last masked layer, which the loss sees through no ReLU.
        let (name, scores) = importance.iter().next_back().unwrap();
        let position = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
        let gradient = |by: f32| {
            let mut weights = asked.weights.clone();
            weights.get_mut(name).unwrap()[position] *= by;
            f64::from(asked.gradient(&weights)[name][position])
        };
        let weight = f64::from(asked.weights[name][position]);
        let expected = (0.5 * weight * (gradient(1.01) - gradient(0.99)) / 0.02).abs();
        // Hutchinson's estimate of one entry errs by the other entries of its row over the root of the samples.
        assert!((scores[position] - expected).abs() < 0.35 * expected, "{} {expected}", scores[position]);
    }

    #[test]
    fn pruned_positions_matter_nothing_and_seeds_repeat() {
        let split = split();
        let input = ImageShape { channels: 1, height: 4, width: 4 };
        let ticket = ticket(Architecture::Resnet20 { input, width: 2, classes: 2 });
        let strategies: [&dyn Strategy; 3] = [
            &Taylor(probe(&split)),
            &Hessian { probe: probe(&split), samples: 2 },
            &IntegratedGradients { probe: probe(&split), steps: 2 },
        ];
        for strategy in strategies {
            let importance = strategy.importance(&ticket).unwrap();
            assert_eq!(importance, strategy.importance(&ticket).unwrap());
            for (name, mask) in &ticket.masks {
                let scores = &importance[name];
                assert!((0..mask.size()).all(|p| mask.keeps(p) || scores[p] == 0.0), "{}", strategy.name());
                assert!(mask.positions().any(|p| scores[p] > 0.0), "{} of {name}", strategy.name());
            }
        }
    }
}
