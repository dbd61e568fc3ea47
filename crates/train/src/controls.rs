//! Whether a ticket is a winning one: what its weights and its mask are worth, and whether SGD's noise decides where it ends.
//!
//! A winning ticket beats the same mask on freshly drawn weights, and masks of the same layer sparsities on its weights
//! (Frankle & Carbin 2018, arXiv 1803.03635, section 2 and appendix; Frankle et al. 2020, arXiv 2009.08576). Tickets
//! win where training is stable to SGD's noise: two trainings from the same weights that see the data in other orders
//! end in the same valley, so that nothing between the two is much worse than they are (linear mode connectivity:
//! Frankle et al. 2020, arXiv 1912.05671).

use std::collections::BTreeMap;

use burn::tensor::Device;
use counterfoil_ticket::{Mask, Model};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use crate::TrainError;
use crate::data::{Split, shuffle};
use crate::network::{Batch, Network};
use crate::predictor::{Predictor, count_correct};
use crate::sgd::{Hold, Schedule};
use crate::training::{EpochSeed, Event, Examples, fit};

/// Trainings of each kind; with two orders there are two ends of a line, with a third a spread.
const TRAININGS: u64 = 3;
/// Points on the line between two trained networks, ends included.
const POINTS: usize = 11;
/// Drop of accuracy on that line below which training is stable: 2 points of error, as in the paper.
const STABLE: f64 = 0.02;
/// Training examples that batch norms' statistics are estimated with again on the line, at most all.
const ESTIMATED: usize = 2048;
/// Stream of the generator that shuffles masks.
const SHUFFLES: u64 = 2;

/// How to train a ticket and its controls.
pub struct Trial<'a> {
    /// What is learned.
    pub examples: Examples<'a>,
    /// What accuracy is measured on.
    pub test: &'a Split,
    /// The training.
    pub schedule: Schedule,
    /// Seed of the orders, and of what is drawn for the controls.
    pub seed: u64,
    /// Where to compute.
    pub device: Device,
}

/// Standard errors that a ticket has to be better by: Student's t for three and three trainings (4 degrees of freedom), which
/// chance alone exceeds on this side once in forty tickets.
const ERRORS: f64 = 2.776;

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Winning {
    /// The ticket.
    pub ticket: Accuracies,
    /// Its mask on freshly drawn weights.
    pub reinitialised: Accuracies,
    /// Its weights under masks of the same layer sparsities.
    pub shuffled: Accuracies,
    /// Between two trainings of the ticket.
    pub barrier: Barrier,
    /// Number of test images that accuracies are of.
    pub test_images: usize,
}

/// Accuracies of several trainings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accuracies {
    /// Each of them, 0 to 1.
    pub each: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, of a sample.
    pub deviation: f64,
}

/// What is in the way between two trained networks, in a straight line: the worst point against the mean of the ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Barrier {
    /// Accuracy that the worst point lacks.
    pub accuracy: f64,
    /// Loss that the worst point has more.
    pub loss: f64,
    /// Accuracy of each point.
    pub accuracies: Vec<f64>,
    /// Mean cross-entropy of each point.
    pub losses: Vec<f64>,
}

impl Winning {
    /// Whether the ticket's mean is above a control's by more than `ERRORS` standard errors of their difference. Trainings
    /// that happen to agree say nothing about other images: the error is never below that of counting the test images.
    pub fn beats(&self, control: &Accuracies) -> bool {
        let variance = |of: &Accuracies| {
            let counting = of.mean * (1.0 - of.mean) / self.test_images.max(1) as f64;
            (of.deviation * of.deviation / of.each.len().max(1) as f64).max(counting)
        };
        let error = (variance(&self.ticket) + variance(control)).sqrt();
        self.ticket.mean - control.mean > ERRORS * error
    }

    /// Whether it beats both controls.
    pub fn is_winning(&self) -> bool {
        self.beats(&self.reinitialised) && self.beats(&self.shuffled)
    }

    /// Whether training is stable to SGD's noise.
    pub fn is_stable(&self) -> bool {
        self.barrier.accuracy < STABLE
    }
}

impl Accuracies {
    fn of(each: Vec<f64>) -> Self {
        let count = each.len() as f64;
        let mean = each.iter().sum::<f64>() / count;
        let squares: f64 = each.iter().map(|a| (a - mean) * (a - mean)).sum();
        Self { mean, deviation: (squares / (count - 1.0).max(1.0)).sqrt(), each }
    }
}

/// Trains a ticket and its controls. `masks` are the ticket's, `network` has its weights.
///
/// # Errors
///
/// A setting out of range, or training that diverges.
pub fn is_it_winning(
    ticket: &Model,
    masks: &BTreeMap<String, Mask>,
    network: &Network,
    trial: &Trial,
    on_event: &mut dyn FnMut(Event),
) -> Result<Winning, TrainError> {
    let mut ends = Vec::new();
    let (mut own, mut reinitialised, mut shuffled) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..TRAININGS {
        let seed = trial.seed.wrapping_add(i);
        let trained = trial.trained(network.clone(), masks, seed, on_event)?;
        own.push(trial.accuracy(&trained)?);
        ends.push(trained);

        let (architecture, normalisation) = (network.architecture().clone(), network.normalisation().clone());
        // Drawn apart from what a finder of the same seed draws.
        let fresh = Network::initialise(architecture, normalisation, !seed, &trial.device);
        reinitialised.push(trial.accuracy(&trial.trained(fresh, masks, seed, on_event)?)?);

        let (masks, moved) = shuffled_within_layers(ticket, masks, network.clone(), seed);
        shuffled.push(trial.accuracy(&trial.trained(moved, &masks, seed, on_event)?)?);
    }
    let barrier = trial.barrier(&ends[0], &ends[1])?;
    let (ticket, reinitialised) = (Accuracies::of(own), Accuracies::of(reinitialised));
    let (shuffled, test_images) = (Accuracies::of(shuffled), trial.test.len());
    Ok(Winning { ticket, reinitialised, shuffled, barrier, test_images })
}

impl Trial<'_> {
    fn trained(
        &self,
        network: Network,
        masks: &BTreeMap<String, Mask>,
        seed: u64,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Network, TrainError> {
        let hold = Hold::new(&network, masks, BTreeMap::new());
        fit(network, self.examples, &self.schedule, &hold, seed, None, on_event)
    }

    fn accuracy(&self, network: &Network) -> Result<f64, TrainError> {
        Ok(count_correct(network, self.test)? as f64 / self.test.len() as f64)
    }

    fn barrier(&self, from: &Network, to: &Network) -> Result<Barrier, TrainError> {
        let seed = EpochSeed { seed: self.seed, round: u32::MAX >> 1 };
        let batches = self.examples.drawn(ESTIMATED, self.schedule.batch, seed, 0);
        let (mut accuracies, mut losses) = (Vec::new(), Vec::new());
        for point in 0..POINTS {
            let network = between(from, to, point as f64 / (POINTS - 1) as f64, &batches);
            accuracies.push(self.accuracy(&network)?);
            losses.push(mean_loss(&network, self.test));
        }
        let ends = |values: &[f64]| (values[0] + values[POINTS - 1]) / 2.0;
        let worst = |values: &[f64], of: fn(f64, f64) -> f64| values.iter().copied().reduce(of).unwrap_or(f64::NAN);
        let accuracy = ends(&accuracies) - worst(&accuracies, f64::min);
        let loss = worst(&losses, f64::max) - ends(&losses);
        Ok(Barrier { accuracy, loss, accuracies, losses })
    }
}

/// The network at a share of the way, with the statistics of its own batch norms.
fn between(from: &Network, to: &Network, share: f64, batches: &[Batch]) -> Network {
    let mut network = from.clone();
    for (name, value) in &mut network.parameters {
        *value = value.clone().mul_scalar(1.0 - share) + to.parameters[name].clone().mul_scalar(share);
    }
    network.estimate_statistics(batches);
    network
}

/// Mean cross-entropy.
fn mean_loss(network: &Network, split: &Split) -> f64 {
    let logits = Predictor::new(network).logits(split.images());
    let classes = network.architecture().classes() as usize;
    let losses = logits.chunks(classes).zip(split.labels()).map(|(logits, &label)| {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|l| f64::from(l - most).exp()).sum();
        sum.ln() - f64::from(logits[label as usize] - most)
    });
    losses.sum::<f64>() / split.len() as f64
}

/// As many positions of each layer, anywhere. Dense weights stay where they are; where a ticket's weights are 0 outside its mask,
/// as a stamped one's, kept weights move along.
fn shuffled_within_layers(
    ticket: &Model,
    masks: &BTreeMap<String, Mask>,
    mut network: Network,
    seed: u64,
) -> (BTreeMap<String, Mask>, Network) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(SHUFFLES);
    let mut shuffled = BTreeMap::new();
    for (name, mask) in masks {
        let mut positions: Vec<usize> = (0..mask.size()).collect();
        shuffle(&mut positions, &mut rng);
        positions.truncate(mask.kept());
        let mut moved = Mask::empty(mask.size());
        positions.iter().for_each(|&position| moved.set(position, true));
        let mut values = ticket.arrays[name].values().to_vec();
        let kept: Vec<f32> = mask.positions().map(|position| values[position]).collect();
        if (0..mask.size()).all(|position| mask.keeps(position) || values[position] == 0.0) {
            values.fill(0.0);
            positions.iter().zip(kept).for_each(|(&position, weight)| values[position] = weight);
        }
        network.set_parameter(name.clone(), values);
        shuffled.insert(name.clone(), moved);
    }
    (shuffled, network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accuracies(each: &[f64]) -> Accuracies {
        Accuracies::of(each.to_vec())
    }

    #[test]
    fn to_beat_a_control_takes_more_than_luck() {
        let barrier = Barrier { accuracy: 0.0, loss: 0.0, accuracies: vec![], losses: vec![] };
        let ticket = accuracies(&[0.90, 0.92, 0.94]);
        assert!((ticket.mean - 0.92).abs() < 1e-12 && (ticket.deviation - 0.02).abs() < 1e-12);
        let winning = |control: f64, spread: f64, test_images| {
            let of = |mean: f64| accuracies(&[mean - spread, mean, mean + spread]);
            let (ticket, barrier) = (of(0.92), barrier.clone());
            let (reinitialised, shuffled) = (of(control), of(0.5));
            Winning { ticket, reinitialised, shuffled, barrier, test_images }.is_winning()
        };
        // 2.776 errors of the difference are 2.776 · √(2 · 0.02² / 3) = 0.0453.
        assert!(winning(0.874, 0.02, 10_000) && !winning(0.875, 0.02, 10_000));
        // Equal trainings, 400 images: 2.776 · √((0.92 · 0.08 + 0.86 · 0.14) / 400) = 0.0611.
        assert!(winning(0.858, 0.0, 400) && !winning(0.860, 0.0, 400));
    }
}
