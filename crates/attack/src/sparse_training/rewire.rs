//! Sparse retraining that moves the mask as it goes: RigL (Evci et al. 2020, arXiv 1911.11134) and SET (Mocanu et al. 2018,
//! arXiv 1707.04780). The finder `rigl` moves its masks by the same step, at the interval of an epoch.
//!
//! Every so many steps the smallest share of each carrier's kept weights is dropped, and as many pruned positions are grown,
//! starting from 0: where the loss's gradient is largest, or at random. The share falls along a cosine to 0 at three quarters
//! of the run. It is a way to *improve* a sparse network, and for a mark in the topology the most natural way to wash it out.

use std::collections::BTreeMap;

use counterfoil_ticket::{Mask, Model};
use counterfoil_train::finder::{GRADIENT_EXAMPLES, cosine, move_positions};
use counterfoil_train::{EpochSeed, Event, Examples, Hold, Learner, Network, TrainError, gradients};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::tuning::{DATA_SHARE, Lesson, epochs, labels, rate};
use crate::{
    Attack, AttackError, Attacked, Class, Cost, FineTuning, Means, Need, Parameter, Profile, Settings, Sparse,
};

/// Share of the run in which the mask moves (Evci et al. 2020, section 3).
const MOVING: f64 = 0.75;

/// Where positions grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Where the gradient of the loss is largest.
    Gradient,
    /// Anywhere.
    Random,
}

/// How to move the mask.
#[derive(Debug, Clone, PartialEq)]
pub struct Rewiring {
    /// Share of the kept positions that the first move takes; later ones follow half a cosine down to 0.
    pub share: f64,
    /// Training steps from move to move.
    pub interval: u32,
    /// Where positions grow.
    pub growth: Growth,
    /// The training.
    pub training: FineTuning,
}

impl Rewiring {
    /// Share that moves after so many steps of all; nothing between moves and after three quarters.
    fn share_after(&self, step: u32, steps: u32) -> Option<f64> {
        let (moving, interval) = (MOVING * f64::from(steps), self.interval.max(1));
        let before = f64::from(step - interval.min(step));
        let moves = step.is_multiple_of(interval) && f64::from(step) <= moving;
        moves.then(|| cosine(self.share, before / moving))
    }

    fn move_masks(
        &self,
        masks: &mut BTreeMap<String, Mask>,
        network: &Network,
        examples: Examples,
        step: u32,
        share: f64,
    ) {
        let seed = EpochSeed { seed: self.training.seed, round: 1 };
        let worth: BTreeMap<String, Vec<f32>> = match self.growth {
            Growth::Gradient => gradients(network, examples, GRADIENT_EXAMPLES.min(examples.len()), seed, step),
            Growth::Random => {
                let mut rng = ChaCha8Rng::seed_from_u64(self.training.seed);
                rng.set_stream(u64::from(step) + 1);
                let mut draw = |mask: &Mask| (0..mask.size()).map(|_| (rng.next_u32() >> 8) as f32).collect();
                masks.iter().map(|(name, mask)| (name.clone(), draw(mask))).collect()
            }
        };
        for (name, mask) in masks {
            let weights = network.parameter(name).expect("masks are those of the network's parameters");
            move_positions(mask, &weights, &worth[name], share);
        }
    }
}

/// Trains on and moves the mask.
///
/// # Errors
///
/// Training diverges, or a setting is out of range.
pub fn rewire(
    mut victim: Sparse,
    examples: Examples,
    settings: &Rewiring,
    on_event: &mut dyn FnMut(Event),
) -> Result<Sparse, TrainError> {
    let FineTuning { epochs, seed, .. } = settings.training;
    let schedule = settings.training.schedule();
    schedule.check()?;
    if !(0.0..=1.0).contains(&settings.share) {
        return Err(TrainError::Setting { name: "share", found: settings.share, expected: "a share from 0 to 1" });
    }
    let per_epoch = u32::try_from(examples.len().div_ceil(schedule.batch)).unwrap_or(u32::MAX);
    let steps = epochs.saturating_mul(per_epoch);
    let (mut step, mut hold, masks) = (0, victim.held(), &mut victim.masks);
    let mut learner = Learner::new(victim.network);
    hold.apply(&mut learner.network);
    while learner.epoch < epochs {
        let moved = |network: &Network| {
            step += 1;
            let share = settings.share_after(step, steps)?;
            settings.move_masks(masks, network, examples, step, share);
            Some(Hold::new(network, masks, BTreeMap::new()))
        };
        let seed = EpochSeed { seed, round: 0 };
        let loss = learner.train_epoch_moving(examples, &schedule, &mut hold, seed, on_event, moved)?;
        on_event(Event::Epoch { round: 0, rounds: 0, epoch: learner.epoch, epochs, loss });
    }
    victim.network = learner.network;
    Ok(victim)
}

/// Moves the mask to where the gradient is largest.
pub(crate) struct Rigl;
/// Moves the mask at random.
pub(crate) struct Set;

const PARAMETERS: &[Parameter] = &[
    Parameter::share(
        "share",
        "0.3",
        "share of the kept weights that the first move takes; it falls to 0 at 75 % of the run",
    ),
    Parameter::count("interval", "10", [1, 1_000_000], "training steps from move to move"),
    epochs("5"),
    rate("0.05"),
    labels("own"),
    DATA_SHARE,
];

impl Attack for Rigl {
    fn profile(&self) -> Profile {
        Profile {
            name: "rigl",
            does: "train on, dropping the smallest weights every few steps and growing where the gradient is largest",
            class: Class::Informed,
            cost: Cost::Tuning,
            needs: &[Need::Data],
            source: "RigL: Evci et al. 2020 (arXiv 1911.11134)",
            parameters: PARAMETERS,
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        rewired(stolen, settings, means, Growth::Gradient)
    }
}

impl Attack for Set {
    fn profile(&self) -> Profile {
        Profile {
            name: "set",
            does: "train on, dropping the smallest weights every few steps and growing others at random",
            source: "SET: Mocanu et al. 2018 (arXiv 1707.04780)",
            ..Rigl.profile()
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        rewired(stolen, settings, means, Growth::Random)
    }
}

fn rewired(stolen: Model, settings: &Settings, means: &mut Means, growth: Growth) -> Result<Attacked, AttackError> {
    let sparse = Sparse::of(&stolen, means)?;
    sparse.check_prunes()?;
    let lesson = Lesson::new(settings, means, &sparse.network)?;
    let training = FineTuning { epochs: settings.count("epochs"), rate: settings.number("rate"), seed: means.seed };
    let (share, interval) = (settings.number("share"), settings.count("interval"));
    let rewiring = Rewiring { share, interval, growth, training };
    let moved = rewire(sparse, lesson.examples(), &rewiring, means.on_event)?;
    Ok(Attacked::Model(moved.into_model(stolen)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::victim::{attempt, correct, data, kept, left_by, victim, with_means};

    fn turnover(before: &Model, after: &Model) -> f64 {
        let of = |model: &Model| with_means(&data(), |means| Sparse::of(model, means)).unwrap();
        of(after).turnover(&of(before))
    }

    #[test]
    fn the_share_falls_to_nothing_at_three_quarters() {
        let training = FineTuning { epochs: 4, rate: 0.1, seed: 0 };
        let rewiring = Rewiring { share: 0.4, interval: 10, growth: Growth::Random, training };
        let shares = [9, 10, 40, 70, 75, 80].map(|step| rewiring.share_after(step, 100).map(|s| (s * 1e3).round()));
        // Half a cosine at 0, 0.4 and 0.8.
        assert_eq!(shares, [None, Some(400.0), Some(262.0), Some(38.0), None, None]);
    }

    #[test]
    fn masks_move_as_far_as_is_asked_and_the_network_stays_useful() {
        let before = victim();
        // 300 images are 3 steps; 12 steps move it at 2, 4, 6 and 8.
        let set = [("data-share", "1"), ("epochs", "4"), ("interval", "2")];
        for attack in [&Rigl as &dyn Attack, &Set] {
            let name = attack.profile().name;
            let after = left_by(attack, &before, &set);
            assert_eq!(kept(&after), kept(&before), "{name}");
            let moved = turnover(&before, &after);
            assert!((0.2..0.8).contains(&moved) && correct(&after) > 200, "{name} {moved} {}", correct(&after));
            let still = left_by(attack, &before, &[("interval", "1000")]);
            assert_eq!(still.masks, before.masks, "{name}");
        }
    }

    #[test]
    fn a_dense_model_has_no_mask_to_move() {
        let mut dense = victim();
        dense.masks.clear();
        let refused = with_means(&data(), |means| attempt(&Rigl, &dense, &[], means)).err().unwrap();
        assert_eq!(refused.to_string(), "the attack does not work on this model: none of its weights are pruned");
    }
}
