//! Fine-tuning of all layers with the mask held ("FTAL": Lukas et al. 2022, arXiv 2108.04974, section IV).

use std::collections::BTreeMap;

use counterfoil_train::{Event, Examples, Hold, Schedule, TrainError, fit};

use counterfoil_ticket::Model;

use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings, Sparse};

/// How to fine-tune.
#[derive(Debug, Clone, PartialEq)]
pub struct FineTuning {
    /// Passes over the thief's data.
    pub epochs: u32,
    /// Constant learning rate.
    pub rate: f64,
    /// Seed of the order.
    pub seed: u64,
}

impl FineTuning {
    /// A schedule of constant rate.
    pub(crate) fn schedule(&self) -> Schedule {
        Schedule { rate: self.rate, milestones: Vec::new(), ..Schedule::paper(self.epochs) }
    }
}

/// Trains all layers on, with the mask held.
///
/// # Errors
///
/// Training diverges, or a setting is out of range.
pub fn fine_tune(
    victim: Sparse,
    examples: Examples,
    settings: &FineTuning,
    on_event: &mut dyn FnMut(Event),
) -> Result<Sparse, TrainError> {
    let hold = Hold::new(&victim.network, &victim.masks, BTreeMap::new());
    let network = fit(victim.network, examples, &settings.schedule(), &hold, settings.seed, None, on_event)?;
    Ok(Sparse { network, ..victim })
}

/// Trains all layers on.
pub(crate) struct FineTuneAll;

impl Attack for FineTuneAll {
    fn profile(&self) -> Profile {
        Profile {
            name: "ft-all",
            does: "train all layers on, with the mask held or let go",
            class: Class::Model,
            cost: Cost::Tuning,
            needs: &[Need::Data],
            source: "FTAL: Lukas et al. 2022 (arXiv 2108.04974), section IV",
            parameters: const {
                &[
                    Parameter::count("epochs", "5", [1, 1000], "passes over the attacker's images"),
                    Parameter::number("rate", "0.001", [0.0, 10.0], "learning rate"),
                    Parameter::choice("mask", "held", &["held", "free"], "whether pruned weights stay 0"),
                ]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        if settings.word("mask") == "free" {
            stolen.masks.clear();
        }
        let sparse = Sparse::of(&stolen, means)?;
        let tuning = FineTuning { epochs: settings.count("epochs"), rate: settings.number("rate"), seed: means.seed };
        let tuned = fine_tune(sparse, means.examples()?, &tuning, means.on_event)?;
        Ok(Attacked::Model(tuned.into_model(stolen)))
    }
}
