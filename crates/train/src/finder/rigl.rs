//! `rigl`: a sparse network whose mask moves while it trains (Evci et al. 2020, arXiv 1911.11134), at the interval of an epoch.
//!
//! It begins with a random mask; after each epoch the smallest share of each layer's weights is dropped and as many positions
//! are grown where the gradient is largest. The share falls along a cosine to 0 at three quarters of the training.

use counterfoil_ticket::Model;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::course::Course;
use super::random::drawn;
use super::ranking::{Allotment, best};
use super::regrow::cosine;
use super::{Aim, Densities, Epochs, Finder, Keying, Search, check_share, recorded};
use crate::TrainError;
use crate::checkpoint::State;
use crate::sgd::Hold;

/// How to move the mask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rigl {
    /// Densities of the layers.
    pub densities: Densities,
    /// Share of the kept positions that move after the first epoch, 0 to 1; 0.3 in the paper.
    pub move_share: f64,
}

impl Finder for Rigl {
    fn name(&self) -> &'static str {
        "rigl"
    }

    fn settings(&self) -> Value {
        recorded(self)
    }

    fn keying(&self) -> Keying {
        Keying::Both
    }

    fn epochs(&self, aim: &Aim) -> Option<Epochs> {
        aim.one_training()
    }

    fn check(&self, aim: &Aim) -> Result<(), TrainError> {
        aim.check()?;
        check_share("move share", self.move_share)
    }

    fn seek(&self, search: &mut Search) -> Result<Model, TrainError> {
        search.check_leaves_some()?;
        let full = search.full_masks();
        let counts = self.densities.kept(search.network.layers(), search.aim.sparsity);
        let (mut scores, favour) = (drawn(&full, search.aim.seed), search.favour());
        favour.weigh(&mut scores);
        let masks = best(&full, &scores, &Allotment::Each(counts));
        let end = moving_epochs(&search.aim);
        moving(search, masks, |course, search| {
            let done = course.learner.epoch;
            if done <= end {
                course.regrow(search, &favour, cosine(self.move_share, f64::from(done - 1) / f64::from(end)));
            }
        })
    }
}

/// Epochs after which a mask still moves: three quarters of them, and not after the last.
pub(super) fn moving_epochs(aim: &Aim) -> u32 {
    (aim.schedule.epochs * 3 / 4).max(1)
}

/// One training from these masks, with `after` each epoch; the ticket has the last masks.
pub(super) fn moving(
    search: &mut Search,
    masks: super::Masks,
    mut after: impl FnMut(&mut Course, &Search),
) -> Result<Model, TrainError> {
    let extra_decay = search.favour().extra_decay();
    let mut course = Course::begin(search, masks, State::new())?;
    course.finish_round(search, 1, |course, search, seed| {
        let hold = Hold::new(&course.learner.network, &course.masks, extra_decay.clone());
        let loss = course.learner.train_epoch(search.examples, &search.aim.schedule, &hold, seed, search.on_event)?;
        after(course, search);
        Ok(loss)
    })?;
    course.score_by_growth(search);
    let (kept, of) = course.counts();
    (search.on_event)(crate::training::Event::Pruned { round: 1, rounds: 1, kept, of });
    Ok(course.ticket(search))
}
