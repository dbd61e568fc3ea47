//! Something very small in place of every zero.

use counterfoil_ticket::Model;

use super::known::{fill_pruned, pruned};
use crate::sparse::no_longer_masked;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Fills zeros.
pub(crate) struct Epsilon;

impl Attack for Epsilon {
    fn profile(&self) -> Profile {
        Profile {
            name: "epsilon",
            does: "fill all pruned positions with very small weights",
            class: Class::Informed,
            cost: Cost::None,
            needs: &[],
            source: "this project",
            parameters: const {
                &[Parameter::number(
                    "epsilon",
                    "0.001",
                    [0.0, 1.0],
                    "deviation, in root mean squares of the kept weights",
                )]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        pruned(&stolen)?;
        fill_pruned(&mut stolen, settings.number("epsilon"), means.seed);
        Ok(Attacked::Model(no_longer_masked(stolen)))
    }
}
