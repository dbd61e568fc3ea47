//! Stochastic gradient descent with momentum, masks and weight decay per position.
//!
//! PyTorch's form (velocity = momentum · velocity + gradient + decay · weight; weight −= rate · velocity), with two
//! additions: a pruned position stays 0, and decay may differ from position to position, which is how a mark is
//! reinforced (docs/protocol.md names the chips, the threat model says what it is for).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burn::tensor::{Gradients, Tensor};
use counterfoil_ticket::{Layer, Mask};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::forward::Connected;
use crate::network::{Leaves, Network};

/// Least extra decay that [`Schedule::mark_decay`] proposes: enough in runs of more than some 300 steps at rate 0.1.
const LEAST_MARK_DECAY: f64 = 3e-3;
/// Most extra decay that it proposes, however short the run.
const MOST_MARK_DECAY: f64 = 3e-2;

/// By how much extra decay alone would shrink a weight in one training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shrinkage {
    /// For the training of a stamped ticket.
    ByE,
    /// For each round of keyed finding, whose effects add up.
    ByRootOfE,
}

/// Learning rate, momentum, decay and their schedule. The defaults are those of Chen et al. 2021, scaled by `epochs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Passes over the training data.
    pub epochs: u32,
    /// Examples a step.
    pub batch: usize,
    /// Learning rate at the start.
    pub rate: f64,
    /// Epochs (from 0) at which the rate is multiplied by `drop`.
    pub milestones: Vec<u32>,
    /// Factor at each milestone.
    pub drop: f64,
    /// Momentum of the velocity.
    pub momentum: f64,
    /// Weight decay of every parameter.
    pub decay: f64,
}

impl Schedule {
    /// The paper's recipe stretched to `epochs`: batch 128, rate 0.1, momentum 0.9, decay 1e-4, drops by 10 at 1/2 and
    /// 3/4 (91 and 136 of 182 epochs).
    pub fn paper(epochs: u32) -> Self {
        let milestones = vec![epochs.div_ceil(2), (3 * epochs).div_ceil(4)];
        Self { epochs, batch: 128, rate: 0.1, milestones, drop: 0.1, momentum: 0.9, decay: 1e-4 }
    }

    /// Extra decay of chip −1 positions that marks well without costing accuracy (docs/results.md): 3e-3, or what shrinks
    /// such weights as asked over the epochs from `start` on, if the run is too short for 3e-3 to do that.
    ///
    /// A weight shrinks by rate · decay / (1 − momentum) a step. `examples` is the number of training images.
    pub fn mark_decay(&self, examples: usize, start: u32, shrinkage: Shrinkage) -> f64 {
        let steps = examples.div_ceil(self.batch.max(1)) as f64;
        let travelled: f64 = (start..self.epochs).map(|epoch| self.rate_at(epoch) * steps).sum();
        let log_factor = match shrinkage {
            Shrinkage::ByE => 1.0,
            Shrinkage::ByRootOfE => 0.5,
        };
        (log_factor * (1.0 - self.momentum) / travelled).clamp(LEAST_MARK_DECAY, MOST_MARK_DECAY)
    }

    /// Refuses values outside their ranges.
    pub fn check(&self) -> Result<(), TrainError> {
        let settings = [
            ("epochs", f64::from(self.epochs), self.epochs > 0, "at least 1"),
            ("batch", self.batch as f64, self.batch > 0, "at least 1"),
            ("learning rate", self.rate, self.rate > 0.0 && self.rate.is_finite(), "a positive number"),
            ("drop", self.drop, self.drop > 0.0 && self.drop <= 1.0, "a factor above 0, at most 1"),
            ("momentum", self.momentum, (0.0..1.0).contains(&self.momentum), "at least 0, below 1"),
            ("decay", self.decay, (0.0..1.0).contains(&self.decay), "at least 0, below 1"),
        ];
        match settings.into_iter().find(|&(_, _, holds, _)| !holds) {
            Some((name, found, _, expected)) => Err(TrainError::Setting { name, found, expected }),
            None => Ok(()),
        }
    }

    /// Learning rate of an epoch, counted from 0.
    pub fn rate_at(&self, epoch: u32) -> f64 {
        let drops = self.milestones.iter().filter(|&&m| epoch >= m).count();
        self.rate * self.drop.powi(drops as i32)
    }
}

/// What holds the weights of one network: masks, and decay that differs from position to position.
#[derive(Debug, Clone, Default)]
pub struct Hold {
    pub(crate) connected: Arc<Connected>,
    masks: BTreeMap<String, Tensor<1>>,
    extra_decay: BTreeMap<String, Tensor<1>>,
    frozen: BTreeSet<String>,
}

impl Hold {
    /// Holds the masked parameters at 0 where their mask is 0. `extra_decay` is added to the schedule's decay, by
    /// parameter name and flat position.
    pub fn new(network: &Network, masks: &BTreeMap<String, Mask>, extra_decay: BTreeMap<String, Vec<f32>>) -> Self {
        let on_device = |mask: &Mask| {
            let mut values = vec![1.0; mask.size()];
            mask.apply(&mut values);
            network.tensor(values)
        };
        Self {
            connected: Arc::new(Connected::new(masks.clone())),
            masks: masks.iter().map(|(name, mask)| (name.clone(), on_device(mask))).collect(),
            extra_decay: extra_decay.into_iter().map(|(name, values)| (name, network.tensor(values))).collect(),
            frozen: BTreeSet::new(),
        }
    }

    /// Also leaves all parameters as they are but those of these layers and of their batch norms. Running statistics
    /// follow the data all the same.
    pub fn but_for_layers<'a>(self, network: &Network, trained: impl IntoIterator<Item = &'a Layer>) -> Self {
        let mut frozen: BTreeSet<String> = network.parameters.keys().cloned().collect();
        for layer in trained {
            let modules = [Some(&layer.name), layer.norm.as_ref()];
            for module in modules.into_iter().flatten() {
                frozen.retain(|name| name.rsplit_once('.').is_none_or(|(owner, _)| owner != module));
            }
        }
        Self { frozen, ..self }
    }

    /// Applies the masks to the network's parameters.
    pub fn apply(&self, network: &mut Network) {
        for (name, mask) in &self.masks {
            if let Some(value) = network.parameters.get_mut(name) {
                *value = value.clone() * mask.clone();
            }
        }
    }
}

/// The optimizer's state: one velocity per parameter.
#[derive(Debug, Clone, Default)]
pub struct Sgd {
    pub(crate) velocity: BTreeMap<String, Tensor<1>>,
}

impl Sgd {
    /// One step along the gradients.
    pub(crate) fn step(
        &mut self,
        network: &mut Network,
        leaves: &Leaves,
        mut gradients: Gradients,
        schedule: &Schedule,
        rate: f64,
        hold: &Hold,
    ) {
        for (name, value) in &mut network.parameters {
            if hold.frozen.contains(name) {
                continue;
            }
            let Some(gradient) = leaves[name].grad_remove(&mut gradients) else { continue };
            let mut push = gradient.inner() + value.clone().mul_scalar(schedule.decay);
            if let Some(extra) = hold.extra_decay.get(name) {
                push = push + value.clone() * extra.clone();
            }
            let mut velocity = match self.velocity.remove(name) {
                Some(velocity) => velocity.mul_scalar(schedule.momentum) + push,
                None => push,
            };
            // A pruned position has no velocity either: should it be grown again, it starts from rest.
            if let Some(mask) = hold.masks.get(name) {
                velocity = velocity * mask.clone();
            }
            *value = value.clone() - velocity.clone().mul_scalar(rate);
            self.velocity.insert(name.clone(), velocity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_drops_at_the_milestones() {
        let paper = Schedule::paper(182);
        assert_eq!(paper.milestones, [91, 137]);
        let rates = [0, 90, 91, 137, 181].map(|epoch| (paper.rate_at(epoch) * 1e6).round());
        assert_eq!(rates, [1e5, 1e5, 1e4, 1e3, 1e3]);
    }

    #[test]
    fn short_runs_are_marked_by_more_decay_than_long_ones() {
        // 2 epochs of 10 steps: one at 0.1, one at 0.01, so weights travel 1.1 and (1 − 0.9) / 1.1 would shrink by e.
        let short = Schedule { batch: 10, ..Schedule::paper(2) };
        assert_eq!(short.mark_decay(100, 0, Shrinkage::ByE), MOST_MARK_DECAY);
        let medium = Schedule { batch: 1, ..Schedule::paper(2) };
        assert!((medium.mark_decay(100, 0, Shrinkage::ByE) - 0.1 / 11.0).abs() < 1e-12);
        assert_eq!(Schedule::paper(182).mark_decay(50_000, 3, Shrinkage::ByRootOfE), LEAST_MARK_DECAY);
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let usual = Schedule::paper(4);
        for (wrong, message) in [
            (Schedule { epochs: 0, ..usual.clone() }, "epochs is 0, expected at least 1"),
            (Schedule { rate: f64::NAN, ..usual.clone() }, "learning rate is NaN, expected a positive number"),
            (Schedule { momentum: 1.0, ..usual.clone() }, "momentum is 1, expected at least 0, below 1"),
        ] {
            assert_eq!(wrong.check().unwrap_err().to_string(), message);
        }
    }
}
