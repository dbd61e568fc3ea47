//! `class-aware`: no class loses its weights to the others.
//!
//! Class-aware pruning (Jiang et al. 2023, arXiv 2312.05875) scores by Taylor's |w · ∂L/∂w| for each class alone. There a
//! filter counts by the number of classes that need it; here a weight counts by the class that needs it most, as a share of
//! what that class needs of the whole network, so that a class that few weights serve keeps them. The network is trained first,
//! pruned at once, and rewound.

use counterfoil_ticket::Model;
use serde_json::{Value, json};

use super::probe::{PROBED, probe_seed};
use super::ranking::{best, check_finite, on_one_scale};
use super::rounds::in_rounds;
use super::{Aim, Epochs, Finder, Keying, Scope, Scores, Search};
use crate::TrainError;
use crate::checkpoint::State;
use crate::network::Network;
use crate::sgd::Hold;

/// Nothing to set: all layers compete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassAware;

impl Finder for ClassAware {
    fn name(&self) -> &'static str {
        "class-aware"
    }

    fn settings(&self) -> Value {
        json!({ "examples": PROBED })
    }

    fn keying(&self) -> Keying {
        Keying::Factor
    }

    fn epochs(&self, aim: &Aim) -> Option<Epochs> {
        aim.one_training()
    }

    fn seek(&self, search: &mut Search) -> Result<Model, TrainError> {
        let favour = search.favour();
        in_rounds(
            search,
            |course| 1 - course.round.min(1),
            State::new(),
            |course, search| {
                let mut scores = scores(&course.learner.network, search);
                check_finite(&scores)?;
                favour.weigh(&mut scores);
                let allotment = Scope::Global.allot(&course.masks, |total| search.aim.kept(total));
                let masks = best(&course.masks, &scores, &allotment);
                let scores = on_one_scale(&course.masks, &scores);
                Ok((masks, scores))
            },
        )
    }
}

/// The largest over the classes of |w · ∂L/∂w| as a share of all weights' of the class.
fn scores(network: &Network, search: &Search) -> Scores {
    let zeros = |name: &String, size: usize| (name.clone(), vec![0.0; size]);
    let mut scores: Scores = search.full_masks().iter().map(|(name, mask)| zeros(name, mask.size())).collect();
    let classes = network.architecture().classes();
    let count = PROBED.div_ceil(classes as usize);
    for class in 0..classes {
        let Some(batch) = search.examples.drawn_of(class, count, probe_seed(search)) else { continue };
        let mut needs = network.gradients(&batch, &Hold::default());
        needs.retain(|name, _| scores.contains_key(name));
        for (name, gradients) in &mut needs {
            let weights = network.parameter(name).expect("gradients are of its parameters");
            gradients.iter_mut().zip(weights).for_each(|(g, w)| *g = (*g * w).abs());
        }
        let all: f64 = needs.values().flatten().map(|&need| f64::from(need)).sum();
        let share = if all > 0.0 { 1.0 / all } else { 0.0 };
        for (name, needs) in &needs {
            let scores = scores.get_mut(name).expect("only scored layers are retained");
            scores
                .iter_mut()
                .zip(needs)
                .for_each(|(score, need)| *score = score.max((f64::from(*need) * share) as f32));
        }
    }
    scores
}
