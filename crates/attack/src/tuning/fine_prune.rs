//! Fine-pruning (Liu et al. 2018, arXiv 1805.12185): the least active channels of one convolution are switched off, since a
//! backdoor may sit in them, and the rest is trained on.
//!
//! Activity is read off the batch norm, without data: its output is about normal with deviation |γ| and mean β over images
//! and places, of which ReLU leaves γφ(β/γ) + βΦ(β/γ) on average. Only convolutions whose channels nobody else writes are
//! pruned: those within blocks, and all of a VGG network.

use std::f64::consts::PI;

use counterfoil_ticket::{Layer, Model};

use super::{DATA_SHARE, Lesson, epochs, labels, rate};
use crate::sparse::{masks_or_full, unsuitable};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings, Sparse};

/// Switches channels off and trains on.
pub(crate) struct FinePrune;

impl Attack for FinePrune {
    fn profile(&self) -> Profile {
        Profile {
            name: "fine-prune",
            does: "switch off the least active channels of one convolution, then train on with the mask held",
            class: Class::Model,
            cost: Cost::Tuning,
            needs: &[Need::Data],
            source: "Fine-pruning: Liu et al. 2018 (arXiv 1805.12185); strength of Lukas et al. 2022 (arXiv 2108.04974)",
            parameters: const {
                &[
                    Parameter::share("share", "0.96", "share of the convolution's channels that goes"),
                    Parameter::count(
                        "block",
                        "1",
                        [1, 1000],
                        "which convolution within a block, counted from the last",
                    ),
                    epochs("10"),
                    rate("0.01"),
                    labels("stolen"),
                    DATA_SHARE,
                ]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        stolen.masks = masks_or_full(&stolen);
        let victim = Sparse::of(&stolen, means)?;
        let lesson = Lesson::new(settings, means, &victim.network)?;
        let inner = inner_convolutions(victim.network.layers(), &victim.network.architecture().shortcuts());
        let Some(layer) = inner.iter().rev().nth(settings.count("block") as usize - 1) else {
            let reason = format!("{} of its convolutions have channels of their own", inner.len());
            return Err(AttackError::Unsuitable { reason });
        };
        switch_off(&mut stolen, layer, settings.number("share"))?;
        let pruned = Sparse::of(&stolen, means)?;
        let hold = pruned.held();
        let tuned = pruned.trained(|network| lesson.train(network, &hold, means.on_event))?;
        Ok(Attacked::Model(tuned.into_model(stolen)))
    }
}

/// Convolutions with a batch norm whose output nobody else adds to and nobody skips.
fn inner_convolutions<'a>(layers: &'a [Layer], shortcuts: &[counterfoil_ticket::Shortcut]) -> Vec<&'a Layer> {
    let is_alone = |layer: &&Layer| {
        let writers = layers.iter().filter(|other| other.to == layer.to).count();
        let skipped = shortcuts.iter().any(|shortcut| [shortcut.from, shortcut.to].contains(&layer.to));
        layer.norm.is_some() && layer.prunable && writers == 1 && !skipped
    };
    layers.iter().filter(is_alone).collect()
}

/// Prunes a share of a convolution's filters, and all of their batch norm: they give 0, and no gradient reaches them.
fn switch_off(model: &mut Model, layer: &Layer, share: f64) -> Result<(), AttackError> {
    let norm = layer.norm.as_ref().expect("inner convolutions have one");
    let [gamma, beta] = ["weight", "bias"].map(|kind| format!("{norm}.{kind}"));
    let activity: Vec<f64> = {
        let values = |name: &str| model.arrays.get(name).map(counterfoil_ticket::Array::values);
        let missing = || unsuitable("a batch norm of it is missing");
        let (gammas, betas) = (values(&gamma).ok_or_else(missing)?, values(&beta).ok_or_else(missing)?);
        gammas.iter().zip(betas).map(|(&gamma, &beta)| mean_of_rectified(f64::from(beta), f64::from(gamma))).collect()
    };
    let mut channels: Vec<usize> = (0..activity.len()).collect();
    channels.sort_by(|&a, &b| activity[a].total_cmp(&activity[b]));
    // A layer without channels would give the same for all images.
    let count = ((share * channels.len() as f64).round() as usize).min(channels.len() - 1);
    let row = layer.shape.row();
    for &channel in &channels[..count] {
        for name in [&gamma, &beta] {
            model.arrays.get_mut(name).expect("it is there").values_mut()[channel] = 0.0;
        }
        let positions = channel * row..(channel + 1) * row;
        if let Some(array) = model.arrays.get_mut(&layer.weight()) {
            array.values_mut()[positions.clone()].fill(0.0);
        }
        if let Some(mask) = model.masks.get_mut(&layer.weight()) {
            positions.for_each(|position| mask.set(position, false));
        }
    }
    Ok(())
}

/// Mean of max(0, x) for a normal x.
fn mean_of_rectified(mean: f64, deviation: f64) -> f64 {
    let deviation = deviation.abs().max(1e-12);
    let z = mean / deviation;
    let density = (-z * z / 2.0).exp() / (2.0 * PI).sqrt();
    // Page 1977's approximation of Φ, within 1.4e-4.
    let below = 1.0 / (1.0 + (-1.595_769_1 * z * (1.0 + 0.044_715 * z * z)).exp());
    deviation * density + mean * below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::victim::{attempt, correct, data, left_by, resnet, victim, with_means};

    #[test]
    fn a_rectified_normal_has_the_mean_of_the_formula() {
        assert!((mean_of_rectified(0.0, 2.0) - 2.0 / (2.0 * PI).sqrt()).abs() < 1e-6);
        assert!((mean_of_rectified(30.0, 1.0) - 30.0).abs() < 1e-3 && mean_of_rectified(-30.0, 1.0) < 1e-3);
    }

    #[test]
    fn channels_go_and_stay_away() {
        let before = resnet();
        let after = left_by(&FinePrune, &before, &[("share", "0.75"), ("epochs", "2")]);
        // The last block's first convolution has 16 channels of 16 · 9 weights.
        let weights = after.arrays["layer3.2.conv1.weight"].values();
        let dead = weights.chunks(144).filter(|filter| filter.iter().all(|w| *w == 0.0)).count();
        assert_eq!(dead, 12);
        assert!(correct(&after) + 60 > correct(&before), "{} {}", correct(&after), correct(&before));
    }

    #[test]
    fn a_network_without_such_channels_is_refused() {
        let refused = with_means(&data(), |means| attempt(&FinePrune, &victim(), &[], means)).err().unwrap();
        let expected = "the attack does not work on this model: 0 of its convolutions have channels of their own";
        assert_eq!(refused.to_string(), expected);
    }
}
