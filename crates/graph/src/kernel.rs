//! Kernels: the kept positions of a carrier, collected by the pair of channels they connect.
//!
//! A kernel is the height × width positions of one (output, input) pair; it is *kept* if at least one of its positions
//! (taps) is. A linear layer is a 1×1 kernel: its kernels are its weights.

use counterfoil_ticket::{CarrierShape, Mask};

/// A kernel with at least one kept tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptKernel {
    /// Output channel.
    pub out: u32,
    /// Input channel.
    pub inp: u32,
    /// Number of kept taps, at least 1.
    pub taps: u32,
}

/// The kept kernels of a carrier by output channel, then by input channel.
///
/// The mask must have the shape's size: positions beyond it would give channels that the shape does not have.
///
/// ```
/// use counterfoil_graph::kept_kernels;
/// use counterfoil_ticket::{CarrierShape, Mask};
///
/// let shape = CarrierShape { out: 2, inp: 1, height: 1, width: 3 };
/// let mask = Mask::from_fn(6, |position| position == 3 || position == 5);
/// let kernels: Vec<_> = kept_kernels(shape, &mask).map(|k| (k.out, k.inp, k.taps)).collect();
/// assert_eq!(kernels, [(1, 0, 2)]);
/// ```
pub fn kept_kernels(shape: CarrierShape, mask: &Mask) -> impl Iterator<Item = KeptKernel> + '_ {
    debug_assert_eq!(mask.size(), shape.size(), "mask and shape differ in size");
    let taps = shape.taps();
    let inputs = shape.inp as usize;
    let mut kernels = mask.positions().map(move |position| position / taps).peekable();
    std::iter::from_fn(move || {
        let kernel = kernels.next()?;
        let mut kept = 1;
        while kernels.next_if_eq(&kernel).is_some() {
            kept += 1;
        }
        // Both quotients are below a dimension of the shape, which is a u32; so is the number of taps kept.
        Some(KeptKernel { out: (kernel / inputs) as u32, inp: (kernel % inputs) as u32, taps: kept })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_mask_has_no_kernels_and_a_full_one_has_all() {
        let shape = CarrierShape { out: 3, inp: 2, height: 2, width: 2 };
        assert_eq!(kept_kernels(shape, &Mask::empty(24)).count(), 0);
        let kernels: Vec<_> = kept_kernels(shape, &Mask::full(24)).map(|k| (k.out, k.inp, k.taps)).collect();
        assert_eq!(kernels, [(0, 0, 4), (0, 1, 4), (1, 0, 4), (1, 1, 4), (2, 0, 4), (2, 1, 4)]);
    }

    #[test]
    fn taps_on_both_sides_of_a_kernel_border_are_told_apart() {
        let shape = CarrierShape { out: 1, inp: 2, height: 1, width: 2 };
        let mask = Mask::from_fn(4, |position| position == 1 || position == 2);
        let kernels: Vec<_> = kept_kernels(shape, &mask).map(|k| (k.inp, k.taps)).collect();
        assert_eq!(kernels, [(0, 1), (1, 1)]);
    }
}
