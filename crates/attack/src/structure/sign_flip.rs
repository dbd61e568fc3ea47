//! Filters with their signs turned ("SignFlip": Pan et al. 2023, arXiv 2205.00199), which a batch norm turns back.

use counterfoil_ticket::Model;

use super::wired::Wired;
use crate::draw::{Draw, part};
use crate::sparse::unsuitable;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Turns the signs of filters.
pub(crate) struct SignFlip;

impl Attack for SignFlip {
    fn profile(&self) -> Profile {
        Profile {
            name: "sign-flip",
            does: "turn the signs of filters and of their batch norms' factors",
            class: Class::Structure,
            cost: Cost::None,
            needs: &[],
            source: "SignFlip: Pan et al. 2023 (arXiv 2205.00199)",
            parameters: const { &[Parameter::share("share", "0.5", "share of each layer's filters")] },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut wired = Wired::of(stolen, means)?;
        let mut draw = Draw::new(means.seed);
        let normed: Vec<_> = wired.layers().iter().filter_map(|l| Some((l.clone(), l.norm.clone()?))).collect();
        if normed.is_empty() {
            return Err(unsuitable("it has no batch norms, which could turn signs back"));
        }
        for (layer, norm) in normed {
            let out = layer.shape.out as usize;
            for channel in draw.some(0..out, part(settings.number("share"), out)) {
                wired.scale_row(&layer, channel, -1.0);
                ["running_mean", "weight"]
                    .iter()
                    .for_each(|kind| *wired.at(&format!("{norm}.{kind}"), channel) *= -1.0);
            }
        }
        Ok(Attacked::Model(wired.into_model()))
    }
}
