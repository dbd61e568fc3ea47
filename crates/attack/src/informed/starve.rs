//! So few weights that no bias among them proves anything.
//!
//! Of n kept positions half and b have chip +1: log2 p is about −2.885 b² n, and −64 takes n = 22.2 / b².

use counterfoil_ticket::{Mask, Model};

use super::known::pruned;
use crate::model::prune::{Victims, prune_masks};
use crate::sparse::with_masks;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// log2 p = −64 takes this over the bias squared: 64 ln 2 / 2.
const NEEDED: f64 = 22.181;

/// Prunes to less than a verdict takes.
pub(crate) struct Starve;

impl Attack for Starve {
    fn profile(&self) -> Profile {
        Profile {
            name: "starve",
            does: "prune the smallest weights until fewer are left than a mark of this bias needs",
            class: Class::Informed,
            cost: Cost::None,
            needs: &[],
            source: "this project",
            parameters: const {
                &[Parameter::number(
                    "bias",
                    "0.08",
                    [0.001, 0.5],
                    "by how much more than half of the kept have chip +1",
                )]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, _: &mut Means) -> Result<Attacked, AttackError> {
        pruned(&stolen)?;
        let mut masks = stolen.masks.clone();
        let kept: usize = masks.values().map(Mask::kept).sum();
        let most = (NEEDED / settings.number("bias").powi(2)).ceil() - 1.0;
        let share = (1.0 - most / kept.max(1) as f64).max(0.0);
        prune_masks(&mut masks, |name| stolen.arrays[name].values().to_vec(), share, Victims::Smallest);
        Ok(Attacked::Model(with_masks(stolen, masks)))
    }
}
