//! Fine-tuning of all layers with the mask held ("FTAL": Lukas et al. 2022, arXiv 2108.04974, section IV).

use std::collections::BTreeMap;

use counterfoil_train::{Event, Examples, Hold, Schedule, TrainError, fit};

use crate::Sparse;

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
