//! Masks that are learned: each weight has a score, the best scored are kept, and scores follow the loss's gradient straight
//! through that choice, s ← s − rate · ∂L/∂(m w) · w, as if every weight were kept in part.

use burn::tensor::Gradients;
use counterfoil_ticket::Model;

use super::course::Course;
use super::favour::Favour;
use super::ranking::{Allotment, best, on_one_scale};
use super::{Masks, Scope, Scores, Search};
use crate::TrainError;
use crate::checkpoint::{State, group, insert_group};
use crate::network::{Leaves, Network, to_vec};
use crate::sgd::{Hold, Schedule};
use crate::training::Event;

/// Weights, and the scores of the mask on them.
pub(super) struct Supermask {
    /// Dense weights of the prunable layers.
    pub(super) weights: Scores,
    /// What the mask is made of.
    pub(super) scores: Scores,
    /// Of whatever moves with momentum.
    pub(super) velocity: Scores,
}

/// How scores become masks.
pub(super) struct Rule {
    full: Masks,
    favour: Favour,
    allotment: Allotment,
}

/// What becomes of parameters that no mask is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// They are trained.
    Train,
    /// They stay as they are.
    Leave,
}

impl Rule {
    pub(super) fn of(search: &Search, scope: Scope) -> Self {
        let full = search.full_masks();
        let allotment = scope.allot(&full, |total| search.aim.kept(total));
        Self { allotment, favour: search.favour(), full }
    }

    fn weighed(&self, scores: &Scores) -> Scores {
        let mut scores = scores.clone();
        self.favour.weigh(&mut scores);
        scores
    }

    pub(super) fn masks(&self, scores: &Scores) -> Masks {
        best(&self.full, &self.weighed(scores), &self.allotment)
    }
}

impl Supermask {
    /// At rest.
    pub(super) fn new(weights: Scores, scores: Scores) -> Self {
        let velocity = weights.iter().map(|(name, w)| (name.clone(), vec![0.0; w.len()])).collect();
        Self { weights, scores, velocity }
    }

    pub(super) fn memory(&self) -> State {
        let mut memory = State::new();
        insert_group(&mut memory, "weights", self.weights.clone());
        insert_group(&mut memory, "scores", self.scores.clone());
        insert_group(&mut memory, "velocity", self.velocity.clone());
        memory
    }

    fn of_memory(memory: &State) -> Self {
        let of = |kind| group(memory, kind).map(|(name, values)| (name.to_owned(), values.clone())).collect();
        Self { weights: of("weights"), scores: of("scores"), velocity: of("velocity") }
    }

    /// Shows a network what the masks keep of the weights.
    pub(super) fn show(&self, network: &mut Network, masks: &Masks) {
        for (name, weights) in &self.weights {
            let mut shown = weights.clone();
            masks[name].apply(&mut shown);
            network.set_parameter(name.clone(), shown);
        }
    }

    /// Moves the scores by gradients of the weights that are shown; weights stay as they are.
    pub(super) fn move_scores(&mut self, gradients: &Scores, rate: f64, schedule: &Schedule) {
        let (momentum, decay, rate) = (schedule.momentum as f32, schedule.decay as f32, rate as f32);
        for (name, scores) in &mut self.scores {
            let (weights, gradients) = (&self.weights[name], &gradients[name]);
            let velocity = self.velocity.get_mut(name).expect("velocities are of the scores");
            for (p, score) in scores.iter_mut().enumerate() {
                velocity[p] = momentum * velocity[p] + gradients[p] * weights[p] + decay * *score;
                *score -= rate * velocity[p];
            }
        }
    }
}

/// A course that begins with these scores, or goes on.
pub(super) fn begin(search: &mut Search, start: &Supermask, rule: &Rule) -> Result<Course, TrainError> {
    Course::begin(search, rule.masks(&start.scores), start.memory())
}

/// Learns the mask of a course to the end of its round. `step` moves scores, or weights too, by the gradients of each batch, the
/// learning rate, and the number of batches before; where it says so, what no mask is on is trained by the same batch.
pub(super) fn learn(
    search: &mut Search,
    course: &mut Course,
    rule: &Rule,
    mut step: impl FnMut(&mut Supermask, &Masks, &Scores, f64, u32) -> Others,
) -> Result<(), TrainError> {
    let rounds = course.round + 1;
    course.finish_round(search, rounds, |course, search, seed| {
        let mut supermask = Supermask::of_memory(&course.memory);
        let (schedule, mut masks) = (&search.aim.schedule, course.masks.clone());
        let (rate, mut batches) = (schedule.rate_at(course.learner.epoch), 0);
        let (examples, batch) = (search.examples, schedule.batch);
        let mut optimizer = std::mem::take(&mut course.learner.optimizer);
        // Gradients are wanted where nothing is kept, too.
        let all = Hold::default();
        let loss = course.learner.epoch_by(
            examples,
            batch,
            std::sync::Arc::clone(&all.connected),
            seed,
            search.on_event,
            |network, leaves, mut gradients| {
                let of_masked = taken(&leaves, &mut gradients, &masks);
                if step(&mut supermask, &masks, &of_masked, rate, batches) == Others::Train {
                    optimizer.step(network, &leaves, gradients, schedule, rate, &all);
                }
                batches += 1;
                masks = rule.masks(&supermask.scores);
                supermask.show(network, &masks);
                None
            },
        )?;
        course.learner.optimizer = optimizer;
        (course.masks, course.memory) = (masks, supermask.memory());
        Ok(loss)
    })?;
    let (kept, of) = course.counts();
    (search.on_event)(Event::Pruned { round: rounds, rounds, kept, of });
    let scores = rule.weighed(&Supermask::of_memory(&course.memory).scores);
    course.scores = on_one_scale(&course.masks, &scores);
    Ok(())
}

/// The ticket of a mask that is learned on the search's own weights.
pub(super) fn on_fixed_weights(search: &mut Search, scores: Scores, scope: Scope) -> Result<Model, TrainError> {
    search.check_leaves_some()?;
    let (start, rule) = (Supermask::new(weights_of(search), scores), Rule::of(search, scope));
    let schedule = search.aim.schedule.clone();
    let mut course = begin(search, &start, &rule)?;
    learn(search, &mut course, &rule, |supermask, _, gradients, rate, _| {
        supermask.move_scores(gradients, rate, &schedule);
        Others::Leave
    })?;
    let network = search.network.clone();
    Ok(search.ticket(&network, course.masks, course.scores))
}

/// The weights of the prunable layers.
pub(super) fn weights_of(search: &Search) -> Scores {
    let value = |name: &String| search.network.parameter(name).expect("masks are of its parameters");
    search.full_masks().keys().map(|name| (name.clone(), value(name))).collect()
}

/// Takes the gradients of masked layers out.
fn taken(leaves: &Leaves, gradients: &mut Gradients, masks: &Masks) -> Scores {
    let mut of = |name: &String| match leaves[name].grad_remove(gradients) {
        Some(gradient) => to_vec(&gradient.inner()),
        None => vec![0.0; masks[name].size()],
    };
    masks.keys().map(|name| (name.clone(), of(name))).collect()
}
