//! Kernels with a border of zeros, and hidden channels shifted by a pixel within it.
//!
//! A channel that is written a pixel off and read a pixel off the other way is what it was, but for the image's border.

use std::collections::BTreeMap;

use counterfoil_ticket::{Array, Layer, LayerKind, Model};

use super::wired::Wired;
use crate::draw::Draw;
use crate::sparse::unsuitable;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Rows and columns that a channel is shifted by, −1 to 1.
type Shift = [isize; 2];

/// Gives kernels a border.
pub(crate) struct KernelExpand;

impl Attack for KernelExpand {
    fn profile(&self) -> Profile {
        Profile {
            name: "kernel-expand",
            does: "give every kernel a border of zeros; shift hidden channels within it (exact but for the images' border)",
            class: Class::Structure,
            cost: Cost::None,
            needs: &[],
            source: "kernel expansion: Yan et al. 2023 (USENIX Security); the shift: this project",
            parameters: const {
                &[Parameter::choice("shift", "off", &["off", "on"], "whether channels are shifted by up to a pixel")]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut wired = Wired::of(stolen, means)?;
        let convolutions: Vec<Layer> =
            wired.layers().iter().filter(|layer| layer.kind != LayerKind::Linear).cloned().collect();
        if convolutions.is_empty() {
            return Err(unsuitable("it has no convolutions"));
        }
        let mut draw = Draw::new(means.seed);
        let shifts = if settings.word("shift") == "on" { shifts(&wired, &mut draw) } else { BTreeMap::new() };
        for layer in convolutions {
            let still = |group: usize, channel: usize| shifts.get(&group).map_or([0, 0], |shifts| shifts[channel]);
            let by = |out: usize, inp: usize| {
                let (written, read) = (still(layer.to, out), still(layer.from, inp));
                [written[0] - read[0], written[1] - read[1]]
            };
            let expanded = expanded(&layer, wired.array(&layer.weight()).values(), by);
            *wired.array(&layer.weight()) = expanded;
        }
        Ok(Attacked::Model(wired.into_model()))
    }
}

/// How channels are shifted, by group: those that a convolution of stride 1 writes and nothing pools. No layer writes and
/// reads shifted ones, since both shifts together would leave the border.
fn shifts(wired: &Wired, draw: &mut Draw) -> BTreeMap<usize, Vec<Shift>> {
    let mut shifts = BTreeMap::new();
    for group in wired.inner() {
        let mut writers = wired.writers(group).into_iter();
        let can_shift = writers.all(|layer| {
            let is_still = !shifts.contains_key(&layer.from) && !layer.max_pooled;
            matches!(layer.kind, LayerKind::Conv { stride: 1, .. }) && is_still
        });
        let are_read = wired.readers(group).iter().all(|layer| layer.kind != LayerKind::Linear);
        if can_shift && are_read {
            let mut step = || draw.below(3) as isize - 1;
            let shift = (0..wired.width(group)).map(|_| [step(), step()]).collect();
            shifts.insert(group, shift);
        }
    }
    shifts
}

/// A weight with kernels two rows and columns larger, in which those of output and input channel are moved.
fn expanded(layer: &Layer, values: &[f32], by: impl Fn(usize, usize) -> Shift) -> Array {
    let [out, inp, height, width] = <[u32; 4]>::from(layer.shape).map(|d| d as usize);
    let mut expanded = vec![0.0; out * inp * (height + 2) * (width + 2)];
    for (kernel, taps) in values.chunks_exact(height * width).enumerate() {
        let [down, right] = by(kernel / inp, kernel % inp);
        for (tap, value) in taps.iter().enumerate() {
            let row = (tap / width + 1).strict_add_signed(down);
            let column = (tap % width + 1).strict_add_signed(right);
            expanded[(kernel * (height + 2) + row) * (width + 2) + column] = *value;
        }
    }
    Array::new(vec![out, inp, height + 2, width + 2], expanded).expect("as many values as the shape says")
}
