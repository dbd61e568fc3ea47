//! Dense retraining of a ticket, and pruning back: the mask is dropped, pruned weights grow from 0 under the loss's gradient,
//! and the largest weights of all carriers together are kept.
//!
//! The dense phase of "DSD" (Han et al. 2017, arXiv 1607.04381), followed by another sparse one.

use std::collections::BTreeMap;

use counterfoil_ticket::{Mask, Model};
use counterfoil_train::{Hold, Network};

use crate::model::prune::{Victims, prune};
use crate::tuning::{DATA_SHARE, Lesson, decay, epochs, labels, rate};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings, Sparse};

/// Trains dense, prunes back.
pub(crate) struct DensifyReprune;

impl Attack for DensifyReprune {
    fn profile(&self) -> Profile {
        Profile {
            name: "densify-reprune",
            does: "drop the mask, train dense, prune the smallest weights of all layers together",
            class: Class::Informed,
            cost: Cost::Tuning,
            needs: &[Need::Data],
            source: "DSD: Han et al. 2017 (arXiv 1607.04381); as an attack on masks, this project",
            parameters: const {
                &[
                    epochs("5"),
                    rate("0.01"),
                    decay("5e-4"),
                    Parameter::number("density", "1", [0.01, 100.0], "weights left, as a multiple of those before"),
                    labels("own"),
                    DATA_SHARE,
                ]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let sparse = Sparse::of(&stolen, means)?;
        sparse.check_prunes()?;
        let lesson = Lesson::new(settings, means, &sparse.network)?;
        let left = settings.number("density") * sparse.kept() as f64;
        let dense = sparse.trained(|network| lesson.train(network, &Hold::default(), means.on_event))?;
        Ok(Attacked::Model(pruned_to(dense.network, &dense.masks, left).into_model(stolen)))
    }
}

/// A dense network, of whose layers that were masked the `left` largest weights of all together are kept.
pub(super) fn pruned_to(network: Network, masked: &BTreeMap<String, Mask>, left: f64) -> Sparse {
    let masks: BTreeMap<String, Mask> =
        masked.iter().map(|(name, mask)| (name.clone(), Mask::full(mask.size()))).collect();
    let dense = Sparse { network, masks };
    let share = 1.0 - left / dense.kept().max(1) as f64;
    prune(dense, share, Victims::Smallest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::victim::{correct, kept, left_by, victim};

    #[test]
    fn the_mask_moves_and_as_many_weights_are_left_as_asked() {
        let before = victim();
        let left = |density| left_by(&DensifyReprune, &before, &[("rate", "0.1"), ("density", density)]);
        let after = left("1");
        assert_eq!(kept(&after), kept(&before));
        let stayed: usize = after.masks.iter().map(|(name, mask)| mask.overlap(&before.masks[name])).sum();
        let moved = 1.0 - stayed as f64 / kept(&before) as f64;
        assert!(moved > 0.01 && correct(&after) > 200, "{moved} {}", correct(&after));
        assert_eq!(kept(&left("0.5")), kept(&before) / 2);
    }
}
