//! `bip`: bi-level pruning (Zhang et al. 2022, arXiv 2210.04092): the mask is chosen for the weights that it trains to.
//!
//! Batches alternate. On the lower level weights θ follow the gradient of L(m θ) under the mask; on the upper level scores follow
//! the implicit gradient (θ − g / γ) g, g = ∂L/∂(m θ), which says how the trained loss changes with the mask (equation 9). The
//! paper begins with pretrained weights, and so does `--pretrained`, which the ticket keeps; else the weights are trained on the
//! way, from their initialisation, and the ticket's are those of the rewinding epoch, as for every finder that trains.

use counterfoil_ticket::Model;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::supermask::{Supermask, learn, weights_of};
use super::{Aim, Epochs, Finder, Keying, Masks, Scope, Scores, Search, recorded};
use crate::TrainError;
use crate::sgd::Schedule;

/// Coefficient γ of the lower level's regulariser in the implicit gradient, as in the paper.
const GAMMA: f32 = 1.0;

/// How to prune.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bip {
    /// What competes.
    pub scope: Scope,
    /// Whether the search's network is pretrained: its weights are the ticket's.
    pub pretrained: bool,
}

impl Finder for Bip {
    fn name(&self) -> &'static str {
        "bip"
    }

    fn settings(&self) -> Value {
        recorded(self)
    }

    fn keying(&self) -> Keying {
        Keying::Factor
    }

    fn epochs(&self, aim: &Aim) -> Option<Epochs> {
        aim.one_training()
    }

    fn find(&self, search: &mut Search) -> Result<Model, TrainError> {
        self.check(&search.aim)?;
        let (weights, schedule) = (weights_of(search), search.aim.schedule.clone());
        let mut scores = weights.clone();
        scores.values_mut().flatten().for_each(|w| *w = w.abs());
        let start = Supermask::new(weights, scores);
        let (mut course, scores) = learn(search, start, self.scope, |supermask, masks, gradients, rate, batch| {
            if batch.is_multiple_of(2) {
                lower(supermask, masks, gradients, rate, &schedule);
            } else {
                upper(supermask, gradients, rate);
            }
        })?;
        if self.pretrained {
            let network = search.network.clone();
            return Ok(search.ticket(&network, course.masks, scores));
        }
        course.scores = scores;
        Ok(course.ticket(search))
    }
}

/// Moves weights under the mask.
fn lower(supermask: &mut Supermask, masks: &Masks, gradients: &Scores, rate: f64, schedule: &Schedule) {
    let (momentum, decay, rate) = (schedule.momentum as f32, schedule.decay as f32, rate as f32);
    for (name, weights) in &mut supermask.weights {
        let (mask, gradients) = (&masks[name], &gradients[name]);
        let velocity = supermask.velocity.get_mut(name).expect("velocities are of the weights");
        for (p, weight) in weights.iter_mut().enumerate() {
            let gradient = if mask.keeps(p) { gradients[p] } else { 0.0 };
            velocity[p] = momentum * velocity[p] + gradient + decay * *weight;
            *weight -= rate * velocity[p];
        }
    }
}

/// Moves scores along the implicit gradient, and keeps them from 0 to 1.
fn upper(supermask: &mut Supermask, gradients: &Scores, rate: f64) {
    for (name, scores) in &mut supermask.scores {
        let (weights, gradients) = (&supermask.weights[name], &gradients[name]);
        for (p, score) in scores.iter_mut().enumerate() {
            let (theta, g) = (weights[p], gradients[p]);
            *score = (*score - rate as f32 * (theta - g / GAMMA) * g).clamp(0.0, 1.0);
        }
    }
}
