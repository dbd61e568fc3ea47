//! Mirror images of what is asked.

use counterfoil_ticket::Model;

use super::{TOOLBOX, changed_input, input_profile};
use crate::{Attack, AttackError, Attacked, Means, Profile, Settings};

/// Mirrors images.
pub(crate) struct Flip;

impl Attack for Flip {
    fn profile(&self) -> Profile {
        input_profile("in-flip", "mirror images left to right before the model sees them", TOOLBOX)
    }

    fn run(&self, _: Model, _: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let flipped =
            |image: &[u8], width: usize| image.chunks(width).flat_map(|row| row.iter().rev()).copied().collect();
        Ok(changed_input(means.seed, move |image, shape, _| flipped(image, shape.width as usize)))
    }
}
