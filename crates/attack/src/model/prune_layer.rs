//! Pruning of what is left, layer by layer.

use counterfoil_ticket::Model;

use crate::model::prune::{Victims, prune_masks};
use crate::sparse::{masks_or_full, with_masks};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Prunes the smallest weights of each layer.
pub(crate) struct PruneLayer;

impl Attack for PruneLayer {
    fn profile(&self) -> Profile {
        Profile {
            name: "prune-layer",
            does: "prune the smallest weights of each layer, the same share everywhere",
            class: Class::Model,
            cost: Cost::None,
            needs: &[],
            source: "weight pruning: Lukas et al. 2022 (arXiv 2108.04974)",
            parameters: const { &[Parameter::share("share", "0.5", "share of each layer's kept weights that goes")] },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, _: &mut Means) -> Result<Attacked, AttackError> {
        let mut masks = masks_or_full(&stolen);
        for (name, mask) in &mut masks {
            let mut alone = [(name.clone(), mask.clone())].into();
            let weights = |name: &str| stolen.arrays[name].values().to_vec();
            prune_masks(&mut alone, weights, settings.number("share"), Victims::Smallest);
            *mask = alone.remove(name).expect("it is the only one");
        }
        Ok(Attacked::Model(with_masks(stolen, masks)))
    }
}
