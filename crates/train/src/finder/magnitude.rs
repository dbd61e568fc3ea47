//! `magnitude`: the largest weights, at once.
//!
//! After one training, rewound: one-shot pruning of Frankle & Carbin 2018 (arXiv 1803.03635). Of a pretrained network as it
//! is, without any training: essential sparsity (Jaiswal et al. 2023, arXiv 2306.03805).

use counterfoil_ticket::Model;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Aim, Epochs, Finder, Imp, Keying, Scope, Search, recorded};
use crate::TrainError;

/// How to prune.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Magnitude {
    /// What competes.
    pub scope: Scope,
    /// Whether the search's network is pretrained: it is pruned as it is, and its weights are the ticket's.
    pub pretrained: bool,
}

impl Finder for Magnitude {
    fn name(&self) -> &'static str {
        "magnitude"
    }

    fn settings(&self) -> Value {
        recorded(self)
    }

    fn keying(&self) -> Keying {
        if self.pretrained { Keying::Factor } else { Keying::Decay }
    }

    fn epochs(&self, aim: &Aim) -> Option<Epochs> {
        if self.pretrained { None } else { aim.one_training() }
    }

    fn seek(&self, search: &mut Search) -> Result<Model, TrainError> {
        if !self.pretrained {
            return Imp { prune_share: search.aim.sparsity, scope: self.scope }.find(search);
        }
        search.check_leaves_some()?;
        let masks = search.full_masks();
        let magnitude = |name: &String| {
            let weights = search.network.parameter(name).expect("masks are of its parameters");
            (name.clone(), weights.into_iter().map(f32::abs).collect())
        };
        let scores = masks.keys().map(magnitude).collect();
        let allotment = self.scope.allot(&masks, |total| search.aim.kept(total));
        search.best_at_once(scores, &allotment)
    }
}
