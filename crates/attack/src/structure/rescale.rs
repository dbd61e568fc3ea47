//! Channels on other scales ("NeuronScale": Pan et al. 2023, arXiv 2205.00199).
//!
//! ReLU passes positive factors on, so that what writes a channel can be multiplied by what its readers are divided by. And a
//! batch norm takes out any factor of what it normalises.

use std::collections::BTreeMap;

use counterfoil_ticket::{Layer, Model};

use super::wired::{EPSILON, Wired};
use crate::draw::Draw;
use crate::sparse::unsuitable;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Rescales channels.
pub(crate) struct Rescale;

impl Attack for Rescale {
    fn profile(&self) -> Profile {
        Profile {
            name: "rescale",
            does: "multiply every channel by a positive factor that is taken out again behind it",
            class: Class::Structure,
            cost: Cost::None,
            needs: &[],
            source: "NeuronScale: Pan et al. 2023 (arXiv 2205.00199)",
            parameters: const {
                &[
                    Parameter::number("sigma", "2", [0.0, 8.0], "deviation of the factors' logarithms"),
                    Parameter::choice(
                        "where",
                        "both",
                        &["pairs", "outputs", "both"],
                        "what takes the factor out: the next layers, the layer's own batch norm, or one each",
                    ),
                ]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut wired = Wired::of(stolen, means)?;
        let (sigma, mut draw) = (settings.number("sigma"), Draw::new(means.seed));
        let place = settings.word("where");
        if place != "outputs" {
            scale_pairs(&mut wired, sigma, &mut draw);
        }
        let is_normed = wired.layers().iter().any(|layer| layer.norm.is_some());
        if place == "outputs" && !is_normed {
            return Err(unsuitable("it has no batch norms, which take out what outputs are multiplied by"));
        }
        if place != "pairs" {
            scale_outputs(&mut wired, sigma, &mut draw);
        }
        Ok(Attacked::Model(wired.into_model()))
    }
}

/// Multiplies every hidden channel where it is written, and divides it where it is read.
pub(super) fn scale_pairs(wired: &mut Wired, sigma: f64, draw: &mut Draw) {
    let mut factors: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
    for group in wired.hidden() {
        let mut own: Vec<f32> = (0..wired.width(group)).map(|_| draw.factor(sigma)).collect();
        if let Some(shortcut) = wired.shortcut_into(group) {
            let from = &factors[&shortcut.from];
            own[shortcut.offset as usize..][..from.len()].copy_from_slice(from);
        }
        for layer in wired.writers(group) {
            own.iter().enumerate().for_each(|(channel, &factor)| scale_written(wired, &layer, channel, factor));
        }
        for layer in wired.readers(group) {
            for (channel, factor) in own.iter().enumerate() {
                wired.column(&layer, channel).for_each(|w| *w /= factor);
            }
        }
        factors.insert(group, own);
    }
}

/// Multiplies every filter in front of a batch norm, which takes the factor out.
pub(super) fn scale_outputs(wired: &mut Wired, sigma: f64, draw: &mut Draw) {
    for layer in wired.layers().to_vec() {
        for channel in 0..layer.shape.out as usize {
            absorb(wired, &layer, channel, draw.factor(sigma));
        }
    }
}

/// Multiplies what a layer gives to a channel, behind its batch norm.
fn scale_written(wired: &mut Wired, layer: &Layer, channel: usize, factor: f32) {
    match &layer.norm {
        Some(norm) => {
            ["weight", "bias"].iter().for_each(|kind| *wired.at(&format!("{norm}.{kind}"), channel) *= factor)
        }
        None => wired.scale_row(layer, channel, factor),
    }
}

/// Multiplies a filter, and changes its batch norm so that it gives what it gave: exactly, also for variances next to what
/// is added to them. Nothing happens without a batch norm.
fn absorb(wired: &mut Wired, layer: &Layer, channel: usize, factor: f32) {
    let Some(norm) = &layer.norm else { return };
    wired.scale_row(layer, channel, factor);
    *wired.at(&format!("{norm}.running_mean"), channel) *= factor;
    let variance = wired.at(&format!("{norm}.running_var"), channel);
    let wanted = *variance + EPSILON;
    *variance = (factor * factor * wanted - EPSILON).max(0.0);
    let found = *variance + EPSILON;
    *wired.at(&format!("{norm}.weight"), channel) *= (found / wanted).sqrt() / factor;
}
