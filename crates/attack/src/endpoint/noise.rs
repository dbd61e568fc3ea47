//! Noise on what is asked.

use counterfoil_ticket::Model;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use super::{TOOLBOX, changed_input, input_profile};
use crate::{Attack, AttackError, Attacked, Means, Parameter, Profile, Settings};

/// Adds noise to images.
pub(crate) struct InputNoise;

impl Attack for InputNoise {
    fn profile(&self) -> Profile {
        Profile {
            parameters: const {
                &[Parameter::number(
                    "sigma",
                    "0.05",
                    [0.0, 1.0],
                    "deviation of a pixel's noise, black to white being 1",
                )]
            },
            ..input_profile("in-noise", "add normal noise to images before the model sees them", TOOLBOX)
        }
    }

    fn run(&self, _: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let deviation = 255.0 * settings.number("sigma");
        let noisy = move |pixel: u8, rng: &mut ChaCha8Rng| (f64::from(pixel) + deviation * normal(rng)).round() as u8;
        Ok(changed_input(means.seed, move |image, _, rng| image.iter().map(|&pixel| noisy(pixel, rng)).collect()))
    }
}

/// A standard normal (Box & Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    // Never 0, of which there is no logarithm.
    let mut uniform = || (f64::from(rng.next_u32()) + 1.0) / (f64::from(u32::MAX) + 1.0);
    (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::rng_of;

    #[test]
    fn normals_are_normal_and_follow_image_and_seed() {
        let draws = |image: &[u8], seed| {
            let mut rng = rng_of(image, seed);
            (0..4000).map(|_| normal(&mut rng)).collect::<Vec<f64>>()
        };
        let values = draws(&[1], 1);
        let mean = values.iter().sum::<f64>() / 4000.0;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / 4000.0;
        // Deviations of the two are 0.016 and 0.022.
        assert!(mean.abs() < 0.08 && (variance - 1.0).abs() < 0.12, "{mean} {variance}");
        assert_eq!(values, draws(&[1], 1));
        assert!(values != draws(&[1], 2) && values != draws(&[2], 1));
    }
}
