//! Colour channels in the opposite order: the network of images whose red is blue.

use counterfoil_ticket::Model;

use super::wired::{Wired, remasked};
use crate::sparse::unsuitable;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Profile, Settings};

/// Swaps colours.
pub(crate) struct SwapColours;

impl Attack for SwapColours {
    fn profile(&self) -> Profile {
        Profile {
            name: "swap-colours",
            does: "read the colour channels in the opposite order: the network of images whose red is blue",
            class: Class::Structure,
            cost: Cost::None,
            needs: &[],
            source: "this project: no toolbox has it",
            parameters: &[],
        }
    }

    fn run(&self, stolen: Model, _: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut wired = Wired::of(stolen, means)?;
        let colours = wired.colours();
        if colours < 2 {
            return Err(unsuitable("its images have one colour channel"));
        }
        for layer in wired.readers(0) {
            // Of a linear layer a colour's pixels stand side by side, as a convolution's taps do.
            let block = layer.shape.row() / colours;
            for row in wired.array(&layer.weight()).values_mut().chunks_exact_mut(layer.shape.row()) {
                let reversed: Vec<f32> = row.chunks_exact(block).rev().flatten().copied().collect();
                row.copy_from_slice(&reversed);
            }
        }
        Ok(Attacked::Model(remasked(wired.model)))
    }
}
