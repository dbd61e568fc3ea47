//! `granet`: gradual pruning with zero-cost neuroregeneration (Liu et al. 2021, arXiv 2106.10404), at the interval of an epoch.
//!
//! Density falls along a cubic curve to the aim at three quarters of the training. After each pruning of the smallest weights
//! of all layers, some of what is left in each layer is dropped too, and as many positions are grown where the gradient is
//! largest.

use counterfoil_ticket::Model;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ranking::best;
use super::regrow::cosine;
use super::rigl::{moving, moving_epochs};
use super::{Aim, Epochs, Finder, Keying, Scope, Search, check_share, recorded};
use crate::TrainError;

/// How to prune and regrow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Granet {
    /// Share of the kept positions that are regenerated after the first pruning, 0 to 1.
    pub move_share: f64,
}

impl Finder for Granet {
    fn name(&self) -> &'static str {
        "granet"
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
        let (end, full, favour) = (moving_epochs(&search.aim), search.full_masks(), search.favour());
        moving(search, full, |course, search| {
            let done = course.learner.epoch;
            if done <= end {
                let kept = |total: usize| (density(&search.aim, done, end) * total as f64).round() as usize;
                let allotment = Scope::Global.allot(&course.masks, kept);
                course.masks = best(&course.masks, &course.magnitudes(), &allotment);
                course.hold();
                course.regrow(search, &favour, cosine(self.move_share, f64::from(done - 1) / f64::from(end)));
            }
        })
    }
}

/// Density after so many epochs of `end`: s = s_f − s_f (1 − t)³ from dense (Zhu & Gupta 2017, arXiv 1710.01878, equation 1).
fn density(aim: &Aim, done: u32, end: u32) -> f64 {
    1.0 - aim.sparsity * (1.0 - (1.0 - f64::from(done) / f64::from(end)).powi(3))
}
