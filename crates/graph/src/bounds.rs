//! What a graph may have, and what is checked of layers and masks before anything is allocated for it.

use std::collections::{BTreeMap, BTreeSet};

use counterfoil_ticket::{CarrierShape, Layer, Mask, Shortcut};

use crate::mask_graph::MaskedLayer;
use crate::{GraphError, kept_kernels};

/// Most channels of a graph. ResNet-50 has about 27 thousand.
pub const MAX_CHANNELS: u64 = 1 << 24;

/// Most kept kernels (and shortcut edges) of a graph, at about 48 bytes each. ResNet-50 has 15 million in all.
pub const MAX_KERNELS: u64 = 1 << 26;

/// Most channels of the unrolled network, copies of one channel counted apart. ResNet-50 has about 23 thousand.
pub const MAX_COPIES: u64 = 1 << 26;

/// Most positions of all layers together, kept or not. ResNet-50 has 25 million, VGG-16 138 million.
pub const MAX_POSITIONS: u64 = 1 << 30;

/// Number of positions of a shape, which a description may make larger than any integer of the machine.
pub(crate) fn positions(shape: CarrierShape) -> u128 {
    // A product of four u32 is below 2^128.
    <[u32; 4]>::from(shape).iter().map(|&d| u128::from(d)).product()
}

/// Checks that every mask fits one layer, and that the layers are not too large to look at.
pub(crate) fn check_masks(layers: &[Layer], masks: &BTreeMap<String, Mask>) -> Result<(), GraphError> {
    let total = layers.iter().map(|l| positions(l.shape)).fold(0, u128::saturating_add);
    if total > u128::from(MAX_POSITIONS) {
        return Err(GraphError::TooLarge { what: "positions", found: total, limit: MAX_POSITIONS });
    }
    let mut weights = BTreeSet::new();
    for layer in layers {
        let carrier = layer.weight();
        let expected = positions(layer.shape) as u64;
        if let Some(mask) = masks.get(&carrier)
            && mask.size() as u64 != expected
        {
            return Err(GraphError::MaskSize { carrier, found: mask.size(), expected });
        }
        if !weights.insert(carrier.clone()) {
            return Err(GraphError::RepeatedLayer { carrier });
        }
    }
    match masks.keys().find(|&name| !weights.contains(name)) {
        Some(carrier) => Err(GraphError::UnknownCarrier { carrier: carrier.clone() }),
        None => Ok(()),
    }
}

/// Number of edges, found before any is allocated.
pub(crate) fn count_edges(layers: &[MaskedLayer], shortcuts: &[Shortcut], widths: &[u32]) -> Result<usize, GraphError> {
    let kernels = layers.iter().map(|l| match l.mask() {
        Some(mask) => kept_kernels(l.layer().shape, mask).count() as u128,
        None => u128::from(l.layer().shape.out) * u128::from(l.layer().shape.inp),
    });
    let passed = shortcuts.iter().map(|s| u128::from(widths[s.from]));
    let edges: u128 = kernels.chain(passed).sum();
    if edges > u128::from(MAX_KERNELS) {
        return Err(GraphError::TooLarge { what: "kernels", found: edges, limit: MAX_KERNELS });
    }
    Ok(edges as usize)
}
