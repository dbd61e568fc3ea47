//! Fewer levels of what is asked.

use counterfoil_ticket::Model;

use super::{TOOLBOX, changed_input, input_profile};
use crate::{Attack, AttackError, Attacked, Means, Parameter, Profile, Settings};

/// Leaves some levels.
pub(crate) struct Quantise;
/// Leaves some bits.
pub(crate) struct Squeeze;

impl Attack for Quantise {
    fn profile(&self) -> Profile {
        Profile {
            parameters: const { &[Parameter::count("levels", "12", [2, 256], "levels that a pixel has left")] },
            ..input_profile("in-quant", "round pixels to few levels before the model sees them", TOOLBOX)
        }
    }

    fn run(&self, _: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        Ok(rounded(settings.count("levels"), means.seed))
    }
}

impl Attack for Squeeze {
    fn profile(&self) -> Profile {
        let source = "Feature squeezing: Xu et al. 2018 (arXiv 1704.01155)";
        Profile {
            parameters: const { &[Parameter::count("bits", "4", [1, 8], "bits that a pixel has left")] },
            ..input_profile("in-squeeze", "round pixels to few bits before the model sees them", source)
        }
    }

    fn run(&self, _: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        Ok(rounded(1 << settings.count("bits"), means.seed))
    }
}

fn rounded(levels: u32, seed: u64) -> Attacked {
    changed_input(seed, move |image, _, _| image.iter().map(|&pixel| level(pixel, levels)).collect())
}

/// The nearest of evenly spaced levels from 0 to 255.
fn level(pixel: u8, levels: u32) -> u8 {
    let steps = f64::from(levels - 1);
    ((f64::from(pixel) / 255.0 * steps).round() / steps * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn as_many_levels_are_left_as_asked() {
        for levels in [2, 10, 16, 256] {
            let left: BTreeSet<u8> = (0..=255).map(|pixel| level(pixel, levels)).collect();
            assert_eq!(left.len(), levels as usize);
            assert!(left.contains(&0) && left.contains(&255));
        }
        assert_eq!([level(120, 2), level(140, 2), level(100, 256)], [0, 255, 100]);
    }
}
