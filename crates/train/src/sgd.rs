//! Stochastic gradient descent with momentum, masks and weight decay per position.
//!
//! PyTorch's form (velocity = momentum · velocity + gradient + decay · weight; weight −= rate · velocity), with two
//! additions: a pruned position stays 0, and decay may differ from position to position, which is how a mark is
//! reinforced (docs/protocol.md names the chips, the threat model says what it is for).

use std::collections::BTreeMap;

use burn::tensor::{Gradients, Tensor};
use counterfoil_ticket::Mask;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::network::{Leaves, Network};

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

    /// Refuses values outside their ranges.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let settings = [
            ("epochs", f64::from(self.epochs), self.epochs > 0, "at least 1"),
            ("batch", self.batch as f64, self.batch > 1, "at least 2, for batch norms need a variance"),
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
    masks: BTreeMap<String, Tensor<1>>,
    extra_decay: BTreeMap<String, Tensor<1>>,
}

impl Hold {
    /// Holds the masked parameters at 0 where their mask is 0. `extra_decay` is added to the schedule's decay, by
    /// parameter name and flat position.
    pub fn new(
        network: &Network,
        masks: &BTreeMap<String, Mask>,
        extra_decay: BTreeMap<String, Vec<f32>>,
    ) -> Self {
        let on_device = |mask: &Mask| {
            let mut values = vec![1.0; mask.size()];
            mask.apply(&mut values);
            network.tensor(values)
        };
        Self {
            masks: masks.iter().map(|(name, mask)| (name.clone(), on_device(mask))).collect(),
            extra_decay: extra_decay.into_iter().map(|(name, values)| (name, network.tensor(values))).collect(),
        }
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
            let Some(gradient) = leaves[name].grad_remove(&mut gradients) else { continue };
            let mut push = gradient.inner() + value.clone().mul_scalar(schedule.decay);
            if let Some(extra) = hold.extra_decay.get(name) {
                push = push + value.clone() * extra.clone();
            }
            let velocity = match self.velocity.remove(name) {
                Some(velocity) => velocity.mul_scalar(schedule.momentum) + push,
                None => push,
            };
            let mut new = value.clone() - velocity.clone().mul_scalar(rate);
            if let Some(mask) = hold.masks.get(name) {
                new = new * mask.clone();
            }
            self.velocity.insert(name.clone(), velocity);
            *value = new;
        }
    }
}
