//! What an attacker can read of a model, and how he moves its weights.

use counterfoil_claim::Seed;
use counterfoil_mark::{ChipMap, chip_map};
use counterfoil_ticket::{Carrier, Model};

use crate::draw::{Draw, rms};
use crate::sparse::unsuitable;
use crate::{AttackError, Insight};

/// Panels and chips of all pruned layers, as far as the attacker knows the panels' seeds.
///
/// # Errors
///
/// No layer is pruned.
pub(super) fn chips(model: &Model, insight: &Insight) -> Result<Vec<(Carrier, ChipMap)>, AttackError> {
    let panels = insight.panels();
    let seeds: Vec<(_, &Seed)> = panels.iter().map(|(panel, seed)| (*panel, seed)).collect();
    let map = |carrier: Carrier| {
        let chips = chip_map(&seeds, &insight.key, &insight.split, &carrier, insight.dilution);
        (carrier, chips)
    };
    Ok(pruned(model)?.into_iter().map(map).collect())
}

/// Its pruned layers.
///
/// # Errors
///
/// There are none.
pub(super) fn pruned(model: &Model) -> Result<Vec<Carrier>, AttackError> {
    let carriers = model.marked_carriers();
    if carriers.is_empty() { Err(unsuitable("none of its layers is pruned")) } else { Ok(carriers) }
}

/// Moves weights of a layer from some positions to as many others, of which some may be the same; what they leave is pruned.
pub(super) fn move_weights(model: &mut Model, name: &str, from: &[usize], to: &[usize]) {
    let (Some(array), Some(mask)) = (model.arrays.get_mut(name), model.masks.get_mut(name)) else { return };
    let values = array.values_mut();
    let moved: Vec<f32> = from.iter().map(|&position| values[position]).collect();
    for &position in from {
        values[position] = 0.0;
        mask.set(position, false);
    }
    for (&position, value) in to.iter().zip(moved) {
        values[position] = value;
        mask.set(position, true);
    }
}

/// Gives pruned positions values, for who will keep some of them: normal, with this deviation in root mean squares of the
/// layer's kept weights.
pub(super) fn fill_pruned(model: &mut Model, deviation: f64, seed: u64) {
    let mut draw = Draw::new(seed);
    for (name, mask) in &model.masks {
        let Some(array) = model.arrays.get_mut(name) else { continue };
        let deviation = deviation as f32 * rms(array.values());
        for (position, value) in array.values_mut().iter_mut().enumerate() {
            if !mask.keeps(position) {
                *value = deviation * draw.normal();
            }
        }
    }
}
