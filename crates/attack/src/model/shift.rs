//! Every filter moved away from the mean filter, and noise on it.

use counterfoil_ticket::Model;

use crate::draw::Draw;
use crate::sparse::{no_longer_masked, unsuitable};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Shifts filters.
pub(crate) struct Shift;

impl Attack for Shift {
    fn profile(&self) -> Profile {
        Profile {
            name: "shift",
            does: "take the mean filter, and noise, from every filter of every convolution",
            class: Class::Model,
            cost: Cost::None,
            needs: &[],
            source: "weight shifting: Lukas et al. 2022 (arXiv 2108.04974), who train 10 epochs afterwards",
            parameters: const {
                &[
                    Parameter::number("mean", "1.5", [0.0, 100.0], "how many times the mean filter"),
                    Parameter::number("noise", "1", [0.0, 100.0], "deviation of the noise, in the layer's deviations"),
                ]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let (mean, noise) = (settings.number("mean") as f32, settings.number("noise") as f32);
        let mut draw = Draw::new(means.seed);
        let mut shifted = 0;
        for array in stolen.arrays.values_mut().filter(|array| array.shape().len() == 4 && array.size() > 0) {
            let filters = array.shape()[0];
            let row = array.size() / filters;
            let centre: Vec<f32> =
                (0..row).map(|at| array.values().iter().skip(at).step_by(row).sum::<f32>() / filters as f32).collect();
            let deviation = noise * deviation(array.values());
            for filter in array.values_mut().chunks_exact_mut(row) {
                filter.iter_mut().zip(&centre).for_each(|(w, centre)| *w -= mean * centre + deviation * draw.normal());
            }
            shifted += 1;
        }
        if shifted == 0 {
            return Err(unsuitable("it has no convolutions"));
        }
        Ok(Attacked::Model(no_longer_masked(stolen)))
    }
}

fn deviation(values: &[f32]) -> f32 {
    let count = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count).sqrt() as f32
}
