//! Noise in place of zeros, and filters on scales of their own: the largest weights are not the kept ones any more.
//!
//! Filters without kept weights stay empty: their outputs vary so little that a batch norm would make much of the noise.

use counterfoil_ticket::Model;

use super::rescale::{scale_outputs, scale_pairs};
use super::wired::Wired;
use crate::draw::{Draw, rms};
use crate::sparse::unsuitable;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Makes magnitudes say nothing.
pub(crate) struct Hijack;

impl Attack for Hijack {
    fn profile(&self) -> Profile {
        Profile {
            name: "hijack",
            does: "fill the zeros of filters with small noise and put every filter on a scale of its own",
            class: Class::Structure,
            cost: Cost::None,
            needs: &[],
            source: "this project: no toolbox has it",
            parameters: const {
                &[
                    Parameter::number("epsilon", "0.01", [0.0, 1.0], "noise, in root mean squares of the kept weights"),
                    Parameter::number("sigma", "4", [0.0, 8.0], "deviation of the scales' logarithms"),
                    Parameter::choice("inputs", "off", &["off", "on"], "whether the input side is scaled too"),
                ]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut wired = Wired::of(stolen, means)?;
        let mut draw = Draw::new(means.seed);
        let normed: Vec<_> = wired.layers().iter().filter(|layer| layer.norm.is_some()).cloned().collect();
        if normed.is_empty() {
            return Err(unsuitable("it has no batch norms, which take out scales"));
        }
        for layer in normed {
            let noise = settings.number("epsilon") as f32 * rms(wired.array(&layer.weight()).values());
            for channel in 0..layer.shape.out as usize {
                let row = wired.row(&layer, channel);
                if row.iter().any(|w| *w != 0.0) {
                    row.iter_mut().filter(|w| **w == 0.0).for_each(|w| *w = noise * draw.normal());
                }
            }
        }
        scale_outputs(&mut wired, settings.number("sigma"), &mut draw);
        if settings.word("inputs") == "on" {
            scale_pairs(&mut wired, settings.number("sigma"), &mut draw);
        }
        Ok(Attacked::Model(wired.into_model()))
    }
}
