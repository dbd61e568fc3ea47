//! Several licensees' copies made one, by what all, any, most or few of them keep, or by their mean.

use counterfoil_ticket::{Element, Mask, Model};

use super::known::pruned;
use crate::sparse::{cut_to, same_tensors, with_masks};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings};

/// Merges copies.
pub(crate) struct Collude;

impl Attack for Collude {
    fn profile(&self) -> Profile {
        Profile {
            name: "collude",
            does: "merge several copies of a ticket or model that were marked for different licensees",
            class: Class::Informed,
            cost: Cost::None,
            needs: &[Need::Other],
            source: "collusion: DeepMarks, Chen et al. 2019 (arXiv 1804.03648); of masks: this project",
            parameters: const {
                &[Parameter::choice(
                    "by",
                    "majority",
                    &["and", "or", "majority", "minority", "average"],
                    "what is kept: by all, by any, by more than half, by all or at most half; or the largest of the averaged weights",
                )]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        means.other()?;
        let carriers = pruned(&stolen)?;
        means.others.iter().try_for_each(|other| same_tensors(&stolen, other))?;
        let all: Vec<&Model> = std::iter::once(&stolen).chain(&means.others).collect();
        let mut merged = stolen.clone();
        for (name, array) in merged.arrays.iter_mut().filter(|(_, array)| array.element() == Element::Float) {
            let is_pruned = carriers.iter().any(|carrier| carrier.name == *name) && settings.word("by") != "average";
            for (position, value) in array.values_mut().iter_mut().enumerate() {
                let values = all.iter().map(|model| model.arrays[name].values()[position]);
                // Of what is voted on, the mean of those who keep it.
                let counted: Vec<f32> = values.filter(|v| !is_pruned || *v != 0.0).collect();
                *value = counted.iter().sum::<f32>() / counted.len().max(1) as f32;
            }
        }
        if settings.word("by") == "average" {
            let kept = stolen.masks.iter().map(|(name, mask)| (name.clone(), mask.kept())).collect();
            return Ok(Attacked::Model(cut_to(merged, &kept)));
        }
        let copies = all.len();
        let is_kept = |votes: usize| match settings.word("by") {
            "and" => votes == copies,
            "or" => votes > 0,
            "minority" => votes == copies || (1..=copies / 2).contains(&votes),
            _ => votes > copies / 2,
        };
        let vote = |name: &String| {
            let votes = |position: usize| all.iter().filter(|m| m.arrays[name].values()[position] != 0.0).count();
            (name.clone(), Mask::from_fn(stolen.arrays[name].size(), |position| is_kept(votes(position))))
        };
        let masks = carriers.iter().map(|carrier| vote(&carrier.name)).collect();
        Ok(Attacked::Model(with_masks(merged, masks)))
    }
}
