//! Smoothing of what is asked: by a Gaussian, by means, by medians.

use counterfoil_ticket::{ImageShape, Model};

use super::{TOOLBOX, by_neighbours, changed_input, input_profile};
use crate::{Attack, AttackError, Attacked, Means, Parameter, Profile, Settings};

/// Blurs images.
pub(crate) struct Blur;
/// Smooths images by means.
pub(crate) struct Mean;
/// Smooths images by medians.
pub(crate) struct Median;

/// Sides of a window that has a middle.
const SIZE: &[Parameter] = &[Parameter::choice("size", "3", &["3", "5", "7"], "side of the window in pixels")];

/// Pixels on either side of the middle.
fn reach(settings: &Settings) -> isize {
    match settings.word("size") {
        "3" => 1,
        "5" => 2,
        _ => 3,
    }
}

impl Attack for Blur {
    fn profile(&self) -> Profile {
        Profile {
            parameters: const { &[Parameter::number("sigma", "0.6", [0.01, 10.0], "deviation of the Gaussian in pixels")] },
            ..input_profile("in-blur", "blur images by a Gaussian before the model sees them", TOOLBOX)
        }
    }

    fn run(&self, _: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let kernel = gaussian(settings.number("sigma"));
        Ok(changed_input(means.seed, move |image, shape, _| blurred(image, shape, &kernel)))
    }
}

impl Attack for Mean {
    fn profile(&self) -> Profile {
        Profile {
            parameters: SIZE,
            ..input_profile("in-mean", "replace each pixel by the mean of its neighbourhood", TOOLBOX)
        }
    }

    fn run(&self, _: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let side = 2 * reach(settings) as usize + 1;
        let kernel = vec![1.0 / side as f64; side];
        Ok(changed_input(means.seed, move |image, shape, _| blurred(image, shape, &kernel)))
    }
}

impl Attack for Median {
    fn profile(&self) -> Profile {
        Profile {
            parameters: SIZE,
            ..input_profile("in-median", "replace each pixel by the median of its neighbourhood", TOOLBOX)
        }
    }

    fn run(&self, _: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let reach = reach(settings);
        Ok(changed_input(means.seed, move |image, shape, _| medians(image, shape, reach)))
    }
}

/// Weights of a Gaussian, three deviations to either side, that sum to 1.
fn gaussian(sigma: f64) -> Vec<f64> {
    let reach = (3.0 * sigma).ceil();
    let weights: Vec<f64> =
        (0..=2 * reach as usize).map(|i| (-((i as f64 - reach) / sigma).powi(2) / 2.0).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// The image under the kernel times itself.
fn blurred(image: &[u8], shape: ImageShape, kernel: &[f64]) -> Vec<u8> {
    let reach = (kernel.len() / 2) as isize;
    let weights = || kernel.iter().zip(-reach..);
    by_neighbours(image, shape, |pixel, y, x| {
        let row = |dy: isize| -> f64 {
            weights().map(|(weight, dx)| weight * f64::from(pixel(y as isize + dy, x as isize + dx))).sum()
        };
        weights().map(|(weight, dy)| weight * row(dy)).sum::<f64>().round() as u8
    })
}

fn medians(image: &[u8], shape: ImageShape, reach: isize) -> Vec<u8> {
    by_neighbours(image, shape, |pixel, y, x| {
        let rows = -reach..=reach;
        let mut window: Vec<u8> = rows
            .clone()
            .flat_map(|dy| rows.clone().map(move |dx| (dy, dx)))
            .map(|(dy, dx)| pixel(y as isize + dy, x as isize + dx))
            .collect();
        window.sort_unstable();
        window[window.len() / 2]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 1, height: 3, width: 3 };
    const POINT: [u8; 9] = [0, 0, 0, 0, 90, 0, 0, 0, 0];

    #[test]
    fn a_point_is_spread_by_means_and_removed_by_medians() {
        assert_eq!(blurred(&POINT, SHAPE, &[1.0 / 3.0; 3]), [10; 9]);
        assert_eq!(medians(&POINT, SHAPE, 1), [0; 9]);
        assert_eq!(medians(&[7; 9], SHAPE, 3), [7; 9]);
    }

    #[test]
    fn a_gaussian_leaves_most_in_the_middle() {
        let kernel = gaussian(0.6);
        assert_eq!(kernel.len(), 5);
        // exp(-1 / 0.72) = 0.249 and exp(-4 / 0.72) = 0.0039 of the middle.
        assert!((kernel[2] - 1.0 / 1.506).abs() < 1e-3 && (kernel[1] / kernel[2] - 0.249).abs() < 1e-3, "{kernel:?}");
        assert_eq!(blurred(&POINT, SHAPE, &kernel)[4], 40);
    }
}
