//! Noise on all weights, the zeros among them.

use counterfoil_ticket::Model;

use crate::draw::{Draw, rms};
use crate::sparse::no_longer_masked;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Adds noise.
pub(crate) struct Noise;

impl Attack for Noise {
    fn profile(&self) -> Profile {
        Profile {
            name: "noise",
            does: "add normal noise to all weights, the zeros among them",
            class: Class::Model,
            cost: Cost::None,
            needs: &[],
            source: "this project; weight noise is common",
            parameters: const {
                &[Parameter::number("sigma", "0.1", [0.0, 10.0], "deviation, in root mean squares of the kept weights")]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut draw = Draw::new(means.seed);
        for carrier in stolen.carriers() {
            let Some(array) = stolen.arrays.get_mut(&carrier.name) else { continue };
            let deviation = settings.number("sigma") as f32 * rms(array.values());
            array.values_mut().iter_mut().for_each(|w| *w += deviation * draw.normal());
        }
        Ok(Attacked::Model(no_longer_masked(stolen)))
    }
}
