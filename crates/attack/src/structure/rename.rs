//! Tensors under other names, in their order or in another one.

use std::collections::BTreeMap;

use counterfoil_ticket::{CarrierShape, Model, natural_order};

use super::factor::undescribed;
use crate::draw::Draw;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Profile, Settings};

/// Renames tensors.
pub(crate) struct Rename;
/// Renames tensors so that they come in another order.
pub(crate) struct Reorder;

impl Attack for Rename {
    fn profile(&self) -> Profile {
        Profile {
            name: "rename",
            does: "give all layers other names, in the same order; such a file is not evaluated here",
            class: Class::Structure,
            cost: Cost::None,
            needs: &[],
            source: "this project",
            parameters: &[],
        }
    }

    fn run(&self, stolen: Model, _: &Settings, _: &mut Means) -> Result<Attacked, AttackError> {
        let count = modules(&stolen).len();
        Ok(Attacked::Model(renamed(stolen, (0..count).collect())))
    }
}

impl Attack for Reorder {
    fn profile(&self) -> Profile {
        Profile {
            name: "reorder",
            does: "give all layers other names, in a random order; such a file is not evaluated here",
            ..Rename.profile()
        }
    }

    fn run(&self, stolen: Model, _: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let count = modules(&stolen).len();
        let numbers = Draw::new(means.seed).shuffled(0..count);
        Ok(Attacked::Model(renamed(stolen, numbers)))
    }
}

/// A tensor's module, and what it is of it.
fn parts(name: &str) -> (&str, Option<&str>) {
    name.rsplit_once('.').map_or((name, None), |(module, kind)| (module, Some(kind)))
}

/// All modules: those of carriers first, in their order.
fn modules(model: &Model) -> Vec<String> {
    let mut names: Vec<(bool, &String)> =
        model.arrays.iter().map(|(name, a)| (CarrierShape::of_tensor(a.shape()).is_none(), name)).collect();
    names.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| natural_order(a.1, b.1)));
    let mut modules: Vec<String> = Vec::new();
    for (_, name) in names {
        let (module, _) = parts(name);
        if !modules.iter().any(|known| known == module) {
            modules.push(module.to_owned());
        }
    }
    modules
}

/// The model with a number for each module's name.
fn renamed(model: Model, numbers: Vec<usize>) -> Model {
    let modules = modules(&model);
    let numbers: BTreeMap<&str, usize> = modules.iter().map(String::as_str).zip(numbers).collect();
    let new = |name: &str| {
        let (module, kind) = parts(name);
        let number = numbers[module];
        kind.map_or_else(|| format!("t{number}"), |kind| format!("t{number}.{kind}"))
    };
    let arrays = model.arrays.iter().map(|(name, array)| (new(name), array.clone())).collect();
    let masks = model.masks.iter().map(|(name, mask)| (new(name), mask.clone())).collect();
    undescribed(Model { arrays, masks, ..model.clone() })
}
