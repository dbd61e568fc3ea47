//! Averages of models, pruned to the density of the stolen one.

use counterfoil_ticket::{Element, Model};

use crate::sparse::{cut_to, same_tensors};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings};

/// Averages with another model.
pub(crate) struct Soup;

impl Attack for Soup {
    fn profile(&self) -> Profile {
        Profile {
            name: "soup",
            does: "average with another model of the same shapes, then prune each layer to the weights it kept",
            class: Class::Model,
            cost: Cost::None,
            needs: &[Need::Other],
            source: "model soups: Wortsman et al. 2022 (arXiv 2203.05482)",
            parameters: const { &[Parameter::share("alpha", "0.3", "weight of the other model")] },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let other = means.other()?;
        same_tensors(&stolen, other)?;
        let alpha = settings.number("alpha") as f32;
        for (name, array) in stolen.arrays.iter_mut().filter(|(_, array)| array.element() == Element::Float) {
            let theirs = other.arrays[name].values();
            array.values_mut().iter_mut().zip(theirs).for_each(|(w, v)| *w += alpha * (v - *w));
        }
        let kept = stolen.masks.iter().map(|(name, mask)| (name.clone(), mask.kept())).collect();
        Ok(Attacked::Model(cut_to(stolen, &kept)))
    }
}
