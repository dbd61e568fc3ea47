//! Covering a part of what is asked.

use counterfoil_ticket::{ImageShape, Model};
use counterfoil_train::data::below;
use rand_chacha::ChaCha8Rng;

use super::{TOOLBOX, changed_input, input_profile};
use crate::{Attack, AttackError, Attacked, Means, Parameter, Profile, Settings};

/// Covers a part of images.
pub(crate) struct Occlude;

impl Attack for Occlude {
    fn profile(&self) -> Profile {
        Profile {
            parameters: const {
                &[Parameter::share("share", "0.1", "share of the image that is covered by one grey rectangle")]
            },
            ..input_profile("in-occlude", "cover a random part of images before the model sees them", TOOLBOX)
        }
    }

    fn run(&self, _: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let share = settings.number("share");
        Ok(changed_input(means.seed, move |image, shape, rng| covered(image, shape, share, rng)))
    }
}

/// The image with a rectangle of its own proportions in grey.
fn covered(image: &[u8], shape: ImageShape, share: f64, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let side = |side: u32| ((f64::from(side) * share.sqrt()).round() as u32).min(side);
    let (height, width) = (side(shape.height), side(shape.width));
    let (top, left) = (below(shape.height - height + 1, rng), below(shape.width - width + 1, rng));
    let inside = |at: usize, from: u32, length: u32| (from as usize..(from + length) as usize).contains(&at);
    let columns = shape.width as usize;
    let pixel = |(index, &pixel): (usize, &u8)| {
        let (y, x) = (index / columns % shape.height as usize, index % columns);
        if inside(y, top, height) && inside(x, left, width) { 128 } else { pixel }
    };
    image.iter().enumerate().map(pixel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::rng_of;

    #[test]
    fn as_much_is_covered_as_asked() {
        let shape = ImageShape { channels: 2, height: 10, width: 10 };
        let covered = |share| {
            let changed = covered(&[0; 200], shape, share, &mut rng_of(&[1], 1));
            changed.iter().filter(|pixel| **pixel == 128).count()
        };
        assert_eq!([0.0, 0.25, 1.0].map(covered), [0, 50, 200]);
    }
}
