//! An epoch of training between the steps of putting a mark in.

use counterfoil_attack::Sparse;
use counterfoil_ticket::Model;
use counterfoil_train::{Hold, Schedule, fit};

use crate::judge::network_of;
use crate::marks::Teaching;

/// Trains a model for one more epoch at the rate of the last ones, its masks held.
pub(crate) fn tuned(model: Model, teaching: &Teaching, seed: u64) -> Result<Model, String> {
    let network = network_of(&model, teaching.data)?;
    let hold = Hold::new(&network, &model.masks, Default::default());
    let schedule = Schedule { rate: teaching.rate, milestones: Vec::new(), ..Schedule::paper(1) };
    let network = fit(network, teaching.examples, &schedule, &hold, seed, None, &mut |_| ());
    let network = network.map_err(|error| error.to_string())?;
    Ok(Sparse { network, masks: model.masks.clone() }.into_model(model))
}
