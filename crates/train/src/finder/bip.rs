//! `bip`: bi-level pruning (Zhang et al. 2022, arXiv 2210.04092): the mask is chosen for the weights that it trains to.
//!
//! Batches alternate. On the lower level weights θ follow the gradient of L(m θ) under the mask, at a tenth of the
//! learning rate; on the upper level scores follow the implicit gradient (θ − g / γ) g, g = ∂L/∂(m θ), which says how
//! the loss of what is trained changes with the mask. That begins with trained weights and the scores |θ|: those of
//! `--pretrained`, which the ticket keeps, or what a first, dense training leads to, in which case the ticket has the
//! weights of its rewinding epoch.

use counterfoil_ticket::Model;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::course::Course;
use super::supermask::{Others, Rule, Supermask, begin, learn, weights_of};
use super::{Aim, Epochs, Finder, Keying, Masks, Scope, Scores, Search, recorded};
use crate::TrainError;
use crate::sgd::{Hold, Schedule};
use crate::training::Learner;

/// Coefficient γ of the lower level's regulariser in the implicit gradient.
const GAMMA: f32 = 1.0;

/// Learning rate of weights, as a share of that of scores.
const LOWER_RATE: f64 = 0.1;

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
        let rounds = if self.pretrained { 1 } else { 2 };
        Some(Epochs { rounds, first: aim.schedule.epochs, rewind: 0 })
    }

    fn seek(&self, search: &mut Search) -> Result<Model, TrainError> {
        search.check_leaves_some()?;
        let (rule, schedule) = (Rule::of(search, self.scope), search.aim.schedule.clone());
        let mut course = match self.pretrained {
            true => begin(search, &start(weights_of(search)), &rule)?,
            false => trained(search, &rule)?,
        };
        learn(search, &mut course, &rule, |supermask, masks, gradients, rate, batch| {
            if batch.is_multiple_of(2) {
                lower(supermask, masks, gradients, LOWER_RATE * rate, &schedule);
                return Others::Train;
            }
            upper(supermask, gradients, rate);
            Others::Leave
        })?;
        if self.pretrained {
            let network = search.network.clone();
            return Ok(search.ticket(&network, course.masks, course.scores));
        }
        Ok(course.ticket(search))
    }
}

/// Begins with a dense training of its own, or goes on.
fn trained(search: &mut Search, rule: &Rule) -> Result<Course, TrainError> {
    let (full, memory) = (search.full_masks(), start(weights_of(search)).memory());
    let mut course = Course::begin(search, full, memory)?;
    if course.round == 0 {
        course.finish_round(search, 2, |course, search, seed| {
            let all = Hold::default();
            course.learner.train_epoch(search.examples, &search.aim.schedule, &all, seed, search.on_event)
        })?;
        let start = start(course.weights());
        course.round = 1;
        course.masks = rule.masks(&start.scores);
        course.learner = Learner::new(course.learner.network.clone());
        course.hold();
        course.memory = start.memory();
        course.save(search)?;
    }
    Ok(course)
}

/// Weights that are scored by magnitude.
fn start(weights: Scores) -> Supermask {
    let mut scores = weights.clone();
    scores.values_mut().flatten().for_each(|w| *w = w.abs());
    Supermask::new(weights, scores)
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
