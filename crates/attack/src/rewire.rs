//! Sparse retraining that moves the mask: RigL (Evci et al. 2020, arXiv 1911.11134) at the interval of an epoch. The finder
//! `rigl` moves its masks by the same step.
//!
//! After each epoch the smallest share of each carrier's kept weights is dropped, and as many pruned positions are grown
//! where the loss's gradient is largest, starting from 0. The share falls along a cosine. It is a way to *improve* a
//! sparse network, and for a mark in the topology the most natural way to wash it out.

use std::collections::BTreeMap;

use counterfoil_train::finder::{GRADIENT_EXAMPLES, cosine, move_positions};
use counterfoil_train::{EpochSeed, Event, Examples, Hold, Learner, TrainError};

use crate::{FineTuning, Sparse};

/// How to move the mask.
#[derive(Debug, Clone, PartialEq)]
pub struct Rewiring {
    /// Share of the kept positions moved after the first epoch; later ones follow half a cosine down to 0.
    pub share: f64,
    /// The training.
    pub training: FineTuning,
}

/// Trains on and moves the mask after each epoch but the last.
///
/// # Errors
///
/// Training diverges, or a setting is out of range.
pub fn rewire(
    mut victim: Sparse,
    examples: Examples,
    settings: &Rewiring,
    on_event: &mut dyn FnMut(Event),
) -> Result<Sparse, TrainError> {
    let FineTuning { epochs, seed, .. } = settings.training;
    let schedule = settings.training.schedule();
    schedule.check()?;
    if !(0.0..=1.0).contains(&settings.share) {
        return Err(TrainError::Setting { name: "share", found: settings.share, expected: "a share from 0 to 1" });
    }
    let mut learner = Learner::new(victim.network);
    for epoch in 0..epochs {
        let hold = Hold::new(&learner.network, &victim.masks, BTreeMap::new());
        hold.apply(&mut learner.network);
        learner.train_epoch(examples, &schedule, &hold, EpochSeed { seed, round: 0 }, on_event)?;
        if epoch + 1 < epochs {
            let share = cosine(settings.share, f64::from(epoch) / f64::from(epochs));
            let gradients =
                learner.gradients(examples, GRADIENT_EXAMPLES.min(examples.len()), EpochSeed { seed, round: 1 });
            for (name, mask) in &mut victim.masks {
                let weights = learner.network.parameter(name).expect("masks are those of the network's parameters");
                move_positions(mask, &weights, &gradients[name], share);
            }
        }
    }
    victim.network = learner.network;
    victim.hold();
    Ok(victim)
}
