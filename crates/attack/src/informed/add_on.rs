//! More weights: some pruned positions come back.

use counterfoil_ticket::Model;

use super::known::pruned;
use crate::draw::{Draw, rms};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Adds weights.
pub(crate) struct AddOn;

impl Attack for AddOn {
    fn profile(&self) -> Profile {
        Profile {
            name: "add-on",
            does: "give a share of the pruned positions of each layer random weights",
            class: Class::Informed,
            cost: Cost::None,
            needs: &[],
            source: "Chen et al. 2021 (arXiv 2111.00162), table 8",
            parameters: const {
                &[
                    Parameter::share("share", "0.05", "share of the pruned positions"),
                    Parameter::choice(
                        "size",
                        "small",
                        &["small", "kept"],
                        "deviation of the weights: 0.01, or the root mean square of the layer's kept weights",
                    ),
                ]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut draw = Draw::new(means.seed);
        for carrier in pruned(&stolen)? {
            let mask = stolen.masks.get_mut(&carrier.name).expect("pruned layers have a mask");
            let values = stolen.arrays.get_mut(&carrier.name).expect("masks are of the model's tensors").values_mut();
            let deviation = if settings.word("size") == "small" { 0.01 } else { rms(values) };
            let free: Vec<usize> = (0..mask.size()).filter(|&position| !mask.keeps(position)).collect();
            let count = (settings.number("share") * free.len() as f64).round() as usize;
            for position in draw.some(free, count) {
                values[position] = deviation * draw.normal();
                mask.set(position, true);
            }
        }
        Ok(Attacked::Model(stolen))
    }
}
