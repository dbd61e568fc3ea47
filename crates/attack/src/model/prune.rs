//! Pruning of what is left: a share of the kept positions of all carriers together, by magnitude or at random.
//!
//! "prune-mag" and "prune-rand" of Chen et al. 2021 (arXiv 2111.00162, section 4.3, table 6), who do not train afterwards.

use std::collections::BTreeMap;

use counterfoil_ticket::{Mask, Model};
use counterfoil_train::data::shuffle;
use counterfoil_train::kept_weights;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::sparse::{masks_or_full, with_masks};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings, Sparse};

/// Which positions go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victims {
    /// Those of the smallest |w|.
    Smallest,
    /// Any, by this seed.
    Random(u64),
}

/// Prunes `share` (0 to 1) of the kept positions of a network.
pub fn prune(mut victim: Sparse, share: f64, victims: Victims) -> Sparse {
    let network = &victim.network;
    let weights = |name: &str| network.parameter(name).expect("masks are those of the network's parameters");
    prune_masks(&mut victim.masks, weights, share, victims);
    victim.hold();
    victim
}

/// Prunes `share` (0 to 1) of the positions that the masks keep; `weights` gives a carrier's values by name. Ties and order
/// are by carrier name, then position.
pub fn prune_masks(
    masks: &mut BTreeMap<String, Mask>,
    weights: impl Fn(&str) -> Vec<f32>,
    share: f64,
    victims: Victims,
) {
    let mut kept = kept_weights(masks, weights);
    let drop = (kept.len() as f64 * share.clamp(0.0, 1.0)).round() as usize;
    match victims {
        Victims::Smallest => kept.sort_unstable(),
        Victims::Random(seed) => shuffle(&mut kept, &mut ChaCha8Rng::seed_from_u64(seed)),
    }
    let mut masks: Vec<&mut Mask> = masks.values_mut().collect();
    for weight in &kept[..drop] {
        masks[weight.carrier].set(weight.position, false);
    }
}

/// Prunes the smallest weights.
pub(crate) struct PruneMagnitude;
/// Prunes at random.
pub(crate) struct PruneRandom;

const SOURCE: &str = "Chen et al. 2021 (arXiv 2111.00162), section 4.3, table 6";
const PARAMETERS: &[Parameter] = &[Parameter::share("share", "0.5", "share of the kept weights that goes")];

impl Attack for PruneMagnitude {
    fn profile(&self) -> Profile {
        Profile {
            name: "prune-mag",
            does: "prune the smallest weights of all layers together",
            class: Class::Model,
            cost: Cost::None,
            needs: &[],
            source: SOURCE,
            parameters: PARAMETERS,
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, _: &mut Means) -> Result<Attacked, AttackError> {
        Ok(Attacked::Model(pruned(stolen, settings, Victims::Smallest)))
    }
}

impl Attack for PruneRandom {
    fn profile(&self) -> Profile {
        let (name, does) = ("prune-rand", "prune weights at random");
        Profile { name, does, ..PruneMagnitude.profile() }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        Ok(Attacked::Model(pruned(stolen, settings, Victims::Random(means.seed))))
    }
}

fn pruned(model: Model, settings: &Settings, victims: Victims) -> Model {
    let mut masks = masks_or_full(&model);
    prune_masks(&mut masks, |name| model.arrays[name].values().to_vec(), settings.number("share"), victims);
    with_masks(model, masks)
}

#[cfg(test)]
mod tests {
    use counterfoil_ticket::{Architecture, ImageShape, Normalisation};
    use counterfoil_train::{DeviceChoice, Network};

    use super::*;

    fn victim() -> Sparse {
        let input = ImageShape { channels: 1, height: 2, width: 5 };
        let architecture = Architecture::Mlp { input, hidden: vec![10], classes: 3 };
        let normalisation = Normalisation { mean: vec![0.5], std: vec![0.5] };
        let network = Network::initialise(architecture, normalisation, 1, &DeviceChoice::Cpu.open().unwrap());
        Sparse { network, masks: BTreeMap::from([("fc1.weight".to_owned(), Mask::full(100))]) }
    }

    #[test]
    fn the_smallest_weights_go_first_and_become_zero() {
        let before = victim().network.parameter("fc1.weight").unwrap();
        let after = prune(victim(), 0.4, Victims::Smallest);
        let weights = after.network.parameter("fc1.weight").unwrap();
        assert_eq!(after.kept(), 60);
        let largest_gone = (0..100).filter(|&p| weights[p] == 0.0).map(|p| before[p].abs()).fold(0.0, f32::max);
        let least_kept = weights.iter().filter(|w| **w != 0.0).map(|w| w.abs()).fold(f32::MAX, f32::min);
        assert!(largest_gone <= least_kept, "{largest_gone} {least_kept}");
    }

    #[test]
    fn random_pruning_follows_its_seed() {
        let masks = [1, 1, 2].map(|seed| prune(victim(), 0.5, Victims::Random(seed)).masks);
        assert_eq!(masks[0], masks[1]);
        assert_ne!(masks[0], masks[2]);
        assert_eq!(masks[0]["fc1.weight"].kept(), 50);
    }
}
