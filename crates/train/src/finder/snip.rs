//! `snip`: connection sensitivity at initialisation, |w · ∂L/∂w| on some examples (Lee, Ajanthan & Torr 2019, arXiv
//! 1810.02340).

use counterfoil_ticket::Model;
use serde_json::{Value, json};

use super::probe::{PROBED, asked};
use super::{Aim, Epochs, Finder, Keying, Scope, Scores, Search};
use crate::TrainError;

/// Nothing to set: all layers compete on one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snip;

impl Finder for Snip {
    fn name(&self) -> &'static str {
        "snip"
    }

    fn settings(&self) -> Value {
        json!({ "examples": PROBED })
    }

    fn keying(&self) -> Keying {
        Keying::Factor
    }

    fn epochs(&self, _: &Aim) -> Option<Epochs> {
        None
    }

    fn seek(&self, search: &mut Search) -> Result<Model, TrainError> {
        let asked = asked(&search.network, search);
        let mut scores = asked.gradient(&asked.weights);
        for (name, scores) in &mut scores {
            scores.iter_mut().zip(&asked.weights[name]).for_each(|(g, w)| *g = (*g * w).abs());
        }
        by_scores(search, scores)
    }
}

/// The ticket of the best scored weights of all layers.
pub(super) fn by_scores(search: &mut Search, scores: Scores) -> Result<Model, TrainError> {
    search.check_leaves_some()?;
    let allotment = Scope::Global.allot(&search.full_masks(), |total| search.aim.kept(total));
    search.best_at_once(scores, &allotment)
}
