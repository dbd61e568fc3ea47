//! `edge-popup`: a mask that makes a network of random, fixed weights answer well (Ramanujan et al. 2020, arXiv 1911.13299).
//!
//! Weights are the paper's signed constants, ±√(2 / fan-in), divided by the root of the density since so many fewer add up.
//! The ticket keeps these weights: it answers before any training. The first convolution, the classifier and batch norms,
//! which no finder prunes here, stay as they were initialised.

use counterfoil_ticket::Model;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::random::drawn;
use super::supermask::on_fixed_weights;
use super::{Aim, Epochs, Finder, Keying, Scope, Search, recorded};
use crate::TrainError;

/// How to learn the mask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgePopup {
    /// What competes; each layer on its own in the paper.
    pub scope: Scope,
}

impl Finder for EdgePopup {
    fn name(&self) -> &'static str {
        "edge-popup"
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
        let density = 1.0 - search.aim.sparsity;
        let mut scores = drawn(&search.full_masks(), search.aim.seed);
        for layer in search.network.layers().to_vec().iter().filter(|layer| layer.prunable) {
            let (name, row) = (layer.weight(), layer.shape.row() as f64);
            let constant = (2.0 / (density * row)).sqrt() as f32;
            let weights = search.network.parameter(&name).expect("a network has its layers' weights");
            search.network.set_parameter(name.clone(), weights.iter().map(|w| constant.copysign(*w)).collect());
            // He's bound, as of weights: a score moves as far as a weight would.
            let bound = (6.0 / row).sqrt() as f32;
            scores.get_mut(&name).expect("scores are of prunable layers").iter_mut().for_each(|s| *s *= bound);
        }
        on_fixed_weights(search, scores, self.scope)
    }
}
