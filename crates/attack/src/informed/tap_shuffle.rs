//! Kept weights elsewhere in their own kernels: which channels are connected stays, hence a code laid over that.

use counterfoil_ticket::Model;

use super::known::{move_weights, pruned};
use crate::draw::Draw;
use crate::sparse::unsuitable;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Shuffles the taps of kernels.
pub(crate) struct TapShuffle;

impl Attack for TapShuffle {
    fn profile(&self) -> Profile {
        Profile {
            name: "tap-shuffle",
            does: "move a share of the kept weights within their kernels",
            class: Class::Informed,
            cost: Cost::None,
            needs: &[],
            source: "this project",
            parameters: const { &[Parameter::share("share", "0.5", "share of the kept weights")] },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut draw = Draw::new(means.seed);
        let mut carriers = pruned(&stolen)?;
        carriers.retain(|carrier| carrier.shape.taps() > 1);
        if carriers.is_empty() {
            return Err(unsuitable("its pruned layers have no kernels of more than one weight"));
        }
        for carrier in carriers {
            let taps = carrier.shape.taps();
            let (mut from, mut to) = (Vec::new(), Vec::new());
            for kernel in 0..carrier.shape.size() / taps {
                let positions = kernel * taps..(kernel + 1) * taps;
                let mask = &stolen.masks[&carrier.name];
                let (kept, mut free): (Vec<usize>, Vec<usize>) = positions.partition(|&p| mask.keeps(p));
                let moved: Vec<usize> = kept.into_iter().filter(|_| draw.happens(settings.number("share"))).collect();
                free.extend(&moved);
                to.extend(draw.some(free, moved.len()));
                from.extend(moved);
            }
            move_weights(&mut stolen, &carrier.name, &from, &to);
        }
        Ok(Attacked::Model(stolen))
    }
}
