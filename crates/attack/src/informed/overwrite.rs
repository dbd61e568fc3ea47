//! A second stamp over the first, by the attacker's own key.

use counterfoil_claim::OwnerKey;
use counterfoil_mark::{StampRequest, SwapSettings, prepare};
use counterfoil_ticket::Model;

use super::known::{fill_pruned, pruned};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Stamps again.
pub(crate) struct Overwrite;

impl Attack for Overwrite {
    fn profile(&self) -> Profile {
        Profile {
            name: "overwrite",
            does: "stamp the model by a key of one's own, as strongly as stamping goes by default",
            class: Class::Informed,
            cost: Cost::None,
            needs: &[],
            source: "overwriting: Uchida et al. 2017 (arXiv 1701.04082); Lukas et al. 2022 (arXiv 2108.04974)",
            parameters: const { &[NEW_SIZE] },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        pruned(&stolen)?;
        fill_pruned(&mut stolen, settings.number("size"), means.seed);
        let key = own_key(means.seed);
        let request = StampRequest { swaps: SwapSettings::default(), keyed: None, provenance: None };
        let stamped = prepare(&stolen, &key, request).and_then(|prepared| {
            // Nobody is shown this claim.
            prepared.finish("2026-01-01T00:00:00Z", "overwritten")
        });
        let stamped = stamped.map_err(|error| AttackError::Unsuitable { reason: error.to_string() })?;
        let masks = stamped.model.masks;
        Ok(Attacked::Model(crate::sparse::with_masks(stolen, masks)))
    }
}

/// What weights are that a mark or a code of the attacker's newly keeps.
pub(super) const NEW_SIZE: Parameter =
    Parameter::number("size", "0.1", [0.0, 10.0], "deviation of new weights, in root mean squares of the kept ones");

/// The attacker's key.
pub(super) fn own_key(seed: u64) -> OwnerKey {
    let mut bytes = *b"counterfoil attacker's own key..";
    bytes[24..].copy_from_slice(&seed.to_le_bytes());
    OwnerKey::from_seed(&bytes)
}
