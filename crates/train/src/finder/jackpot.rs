//! `jackpot`: a mask that is searched for on pretrained weights, which stay as they are (Zhang et al. 2021, arXiv 2104.08700).
//!
//! Scores begin at |w|, so that the search begins at the mask of magnitude pruning. The ticket keeps the pretrained weights.

use counterfoil_ticket::Model;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::supermask::{on_fixed_weights, weights_of};
use super::{Aim, Epochs, Finder, Keying, Scope, Search, recorded};
use crate::TrainError;

/// How to search; the search's network is the pretrained one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jackpot {
    /// What competes.
    pub scope: Scope,
}

impl Finder for Jackpot {
    fn name(&self) -> &'static str {
        "jackpot"
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

    fn seek(&self, search: &mut Search) -> Result<Model, TrainError> {
        let mut scores = weights_of(search);
        scores.values_mut().flatten().for_each(|w| *w = w.abs());
        on_fixed_weights(search, scores, self.scope)
    }
}
