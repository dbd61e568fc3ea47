//! Sparse retraining that moves the mask: RigL (Evci et al. 2020, arXiv 1911.11134) at the interval of an epoch.
//!
//! After each epoch the smallest share of each carrier's kept weights is dropped, and as many pruned positions are grown
//! where the loss's gradient is largest, starting from 0. The share falls along a cosine. It is a way to *improve* a
//! sparse network, and for a mark in the topology the most natural way to wash it out.

use std::collections::BTreeMap;

use counterfoil_ticket::Mask;
use counterfoil_train::{EpochSeed, Event, Examples, Hold, Learner, TrainError};

use crate::{FineTuning, Sparse};

/// Examples whose gradient decides what grows.
const GRADIENT_EXAMPLES: usize = 256;

/// How to move the mask.
#[derive(Debug, Clone, PartialEq)]
pub struct Rewiring {
    /// Share of the kept positions moved after the first epoch; later ones follow half a cosine down to 0.
    pub share: f64,
    /// The training.
    pub training: FineTuning,
}

/// Trains on and moves the mask after each epoch but the last.
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
    let mut learner = Learner::new(victim.network);
    for epoch in 0..epochs {
        let hold = Hold::new(&learner.network, &victim.masks, BTreeMap::new());
        hold.apply(&mut learner.network);
        learner.train_epoch(examples, &schedule, &hold, EpochSeed { seed, round: 0 }, on_event)?;
        if epoch + 1 < epochs {
            let progress = f64::from(epoch) / f64::from(epochs);
            let share = settings.share / 2.0 * (1.0 + (std::f64::consts::PI * progress).cos());
            let gradients =
                learner.gradients(examples, GRADIENT_EXAMPLES.min(examples.len()), EpochSeed { seed, round: 1 });
            for (name, mask) in &mut victim.masks {
                let weights = learner.network.parameter(name).expect("masks are those of the network's parameters");
                move_positions(mask, &weights, &gradients[name], share);
            }
        }
    }
    victim.network = learner.network;
    victim.hold();
    Ok(victim)
}

/// Drops the `share` of kept positions with the smallest |w|, grows as many with the largest |gradient|.
fn move_positions(mask: &mut Mask, weights: &[f32], gradient: &[f32], share: f64) {
    let mut kept: Vec<usize> = mask.positions().collect();
    let mut pruned: Vec<usize> = (0..mask.size()).filter(|&position| !mask.keeps(position)).collect();
    let count = ((kept.len() as f64 * share).round() as usize).min(pruned.len());
    kept.sort_by(|&a, &b| weights[a].abs().total_cmp(&weights[b].abs()));
    pruned.sort_by(|&a, &b| gradient[b].abs().total_cmp(&gradient[a].abs()));
    kept[..count].iter().for_each(|&position| mask.set(position, false));
    pruned[..count].iter().for_each(|&position| mask.set(position, true));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_weights_move_to_the_largest_gradients() {
        let mut mask = Mask::from_fn(6, |position| position < 4);
        move_positions(&mut mask, &[0.4, -0.1, 0.3, 0.2, 0.0, 0.0], &[9.0, 9.0, 9.0, 9.0, 0.1, -0.2], 0.25);
        assert_eq!(mask.positions().collect::<Vec<_>>(), [0, 2, 3, 5]);
    }
}
