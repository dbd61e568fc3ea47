//! Another mask for some layers.

use std::collections::BTreeMap;

use counterfoil_ticket::{Carrier, Layer, Model};
use counterfoil_train::finder::Densities;

use super::known::{move_weights, pruned};
use crate::draw::Draw;
use crate::structure::wired::Wired;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Replaces masks.
pub(crate) struct MaskTransplant;

impl Attack for MaskTransplant {
    fn profile(&self) -> Profile {
        Profile {
            name: "mask-transplant",
            does: "replace the masks of some layers, and put their kept weights where the new ones are",
            class: Class::Informed,
            cost: Cost::None,
            needs: &[],
            source: "this project; densities of erk: Evci et al. 2020 (arXiv 1911.11134)",
            parameters: const {
                &[
                    Parameter::count("layers", "1", [0, 10_000], "how many pruned layers, at random; 0 for all"),
                    Parameter::choice(
                        "mask",
                        "random",
                        &["random", "erk"],
                        "as many random positions of each filter, or of these layers by the rule of Erdos and Renyi",
                    ),
                ]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut draw = Draw::new(means.seed);
        let all = pruned(&stolen)?;
        let count = if settings.count("layers") == 0 { all.len() } else { settings.count("layers") as usize };
        let chosen = draw.some(all, count);
        if settings.word("mask") == "random" {
            for carrier in chosen {
                within_filters(&mut stolen, &carrier, &mut draw);
            }
            return Ok(Attacked::Model(stolen));
        }
        let wired = Wired::of(stolen, means)?;
        let counts = erk(&wired, &chosen);
        let mut model = wired.model;
        for carrier in chosen {
            let kept: Vec<usize> = model.masks[&carrier.name].positions().collect();
            let wanted = counts.get(&carrier.name).copied().unwrap_or(kept.len());
            let places = draw.some(0..carrier.shape.size(), wanted);
            // Where there are more places than weights, some weights are there twice.
            let values: Vec<f32> = {
                let values = model.arrays[&carrier.name].values();
                draw.shuffled(kept.iter().map(|&position| values[position]))
            };
            move_weights(&mut model, &carrier.name, &kept, &[]);
            let array = model.arrays.get_mut(&carrier.name).expect("pruned layers are there").values_mut();
            for (&place, value) in places.iter().zip(values.iter().cycle()) {
                array[place] = *value;
            }
        }
        Ok(Attacked::Model(crate::structure::wired::remasked(model)))
    }
}

/// Moves the kept weights of each filter to random positions of it.
fn within_filters(model: &mut Model, carrier: &Carrier, draw: &mut Draw) {
    let row = carrier.shape.row();
    let kept: Vec<usize> = model.masks[&carrier.name].positions().collect();
    let mut places = Vec::new();
    for filter in kept.chunk_by(|a, b| a / row == b / row) {
        let first = filter[0] / row * row;
        places.extend(draw.some(first..first + row, filter.len()));
    }
    move_weights(model, &carrier.name, &kept, &places);
}

/// What these layers keep by the rule, together as many as now.
fn erk(wired: &Wired, chosen: &[Carrier]) -> BTreeMap<String, usize> {
    let is_chosen = |layer: &Layer| chosen.iter().any(|carrier| carrier.name == layer.weight());
    let layers: Vec<Layer> =
        wired.layers().iter().map(|layer| Layer { prunable: is_chosen(layer), ..layer.clone() }).collect();
    let sum = |of: &dyn Fn(&Carrier) -> usize| chosen.iter().map(of).sum::<usize>() as f64;
    let kept = sum(&|carrier| wired.model.masks[&carrier.name].kept());
    Densities::Erk.kept(&layers, 1.0 - kept / sum(&|carrier| carrier.shape.size()))
}
