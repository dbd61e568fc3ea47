//! Sparse retraining that moves the mask: RigL (Evci et al. 2020, arXiv 1911.11134) at the interval of an epoch. The finder
//! `rigl` moves its masks by the same step.
//!
//! After each epoch the smallest share of each carrier's kept weights is dropped, and as many pruned positions are grown
//! where the loss's gradient is largest, starting from 0. The share falls along a cosine. It is a way to *improve* a
//! sparse network, and for a mark in the topology the most natural way to wash it out.

use std::collections::BTreeMap;

use counterfoil_train::finder::{GRADIENT_EXAMPLES, cosine, move_positions};
use counterfoil_train::{EpochSeed, Event, Examples, Hold, Learner, TrainError};

use counterfoil_ticket::Model;

use crate::{
    Attack, AttackError, Attacked, Class, Cost, FineTuning, Means, Need, Parameter, Profile, Settings, Sparse,
};

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

/// Moves the mask while it trains.
pub(crate) struct Rigl;

impl Attack for Rigl {
    fn profile(&self) -> Profile {
        Profile {
            name: "rigl",
            does: "train on, dropping the smallest weights after each epoch and growing where the gradient is largest",
            class: Class::Informed,
            cost: Cost::Tuning,
            needs: &[Need::Data],
            source: "RigL: Evci et al. 2020 (arXiv 1911.11134)",
            parameters: const {
                &[
                    Parameter::share("share", "0.3", "share of the kept weights that moves after the first epoch"),
                    Parameter::count("epochs", "5", [1, 1000], "passes over the attacker's images"),
                    Parameter::number("rate", "0.05", [0.0, 10.0], "learning rate"),
                ]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let sparse = Sparse::of(&stolen, means)?;
        let training = FineTuning { epochs: settings.count("epochs"), rate: settings.number("rate"), seed: means.seed };
        let rewiring = Rewiring { share: settings.number("share"), training };
        let moved = rewire(sparse, means.examples()?, &rewiring, means.on_event)?;
        Ok(Attacked::Model(moved.into_model(stolen)))
    }
}
