//! The mask of a real network: the ResNet-20 of fixtures/real, pruned to 5 % of its weights by magnitude.

use std::fs;

use counterfoil_ticket::{Architecture, Carrier, ImageShape, Mask, ModelFile};

use crate::repository;

/// Share of the weights that the mask keeps.
const KEPT: f64 = 0.05;

/// Carriers of the network in natural order.
fn carriers() -> Vec<Carrier> {
    let input = ImageShape { channels: 3, height: 32, width: 32 };
    let layers = Architecture::Resnet20 { input, width: 16, classes: 10 }.layers();
    let tensors: Vec<(String, Vec<usize>)> = layers
        .iter()
        .map(|layer| (layer.weight(), <[u32; 4]>::from(layer.shape).map(|d| d as usize).to_vec()))
        .collect();
    Carrier::number(tensors.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())))
}

/// The committed masks: one byte string, the mask bits of one carrier after the other (docs/protocol.md).
pub fn real_mask() -> Vec<(Carrier, Mask)> {
    let bytes = fs::read(repository().join("fixtures/real/resnet20-5pct-mask")).unwrap();
    let mut rest = bytes.as_slice();
    let masks = carriers()
        .into_iter()
        .map(|carrier| {
            let size = carrier.shape.size();
            let (bits, others) = rest.split_at(size.div_ceil(8));
            rest = others;
            let mask = Mask::from_bytes(size, bits).expect("the spare bits are 0");
            (carrier, mask)
        })
        .collect();
    assert!(rest.is_empty(), "{} bytes too many", rest.len());
    masks
}

/// The same made from the checkpoint: the largest |w| of all layers together, ties by carrier, then position.
/// `None` without the checkpoint: `resnet20-12fca82f.th` in the folder COUNTERFOIL_SHARED, or in ../shared/data.
pub fn prune_checkpoint() -> Option<Vec<(Carrier, Mask)>> {
    let folder =
        std::env::var_os("COUNTERFOIL_SHARED").map(Into::into).unwrap_or_else(|| repository().join("../shared/data"));
    let path = folder.join("resnet20-12fca82f.th");
    if !path.exists() {
        eprintln!("skipped: {} is not there, so the committed mask was not compared with it", path.display());
        return None;
    }
    let model = ModelFile::open(&path).unwrap();
    let weights: Vec<(Carrier, Vec<f32>)> = carriers()
        .into_iter()
        .map(|carrier| {
            let values = model.values(&carrier.name).unwrap().into_values();
            assert_eq!(values.len(), carrier.shape.size(), "{}", carrier.name);
            (carrier, values)
        })
        .collect();
    let mut order: Vec<(u32, usize, usize)> = Vec::new();
    for (c, (_, values)) in weights.iter().enumerate() {
        // The bits of non-negative floats sort as the floats do.
        order.extend(values.iter().enumerate().map(|(p, value)| (u32::MAX - value.abs().to_bits(), c, p)));
    }
    order.sort_unstable();
    let mut masks: Vec<(Carrier, Mask)> =
        weights.into_iter().map(|(carrier, values)| (carrier, Mask::empty(values.len()))).collect();
    let kept = (KEPT * order.len() as f64).round() as usize;
    for &(_, c, p) in &order[..kept] {
        masks[c].1.set(p, true);
    }
    Some(masks)
}
