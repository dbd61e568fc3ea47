//! Kept weights in order of magnitude, over all carriers together: what prunes by magnitude sorts these.

use std::collections::BTreeMap;

use counterfoil_ticket::Mask;

/// A kept position. Ordered by magnitude, then by carrier, then by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptWeight {
    /// Bits of |w|: those of floats that are not negative sort as the floats do.
    bits: u32,
    /// Index of the carrier among the masks, in order of their names.
    pub carrier: usize,
    /// Flat index within the carrier.
    pub position: usize,
}

impl KeptWeight {
    /// |w|.
    pub fn magnitude(&self) -> f32 {
        f32::from_bits(self.bits)
    }
}

/// All positions that the masks keep, carrier by carrier; `weights` gives a carrier's values by name.
pub fn kept_weights(masks: &BTreeMap<String, Mask>, weights: impl Fn(&str) -> Vec<f32>) -> Vec<KeptWeight> {
    let mut kept = Vec::with_capacity(masks.values().map(Mask::kept).sum());
    for (carrier, (name, mask)) in masks.iter().enumerate() {
        let weights = weights(name);
        let weight = |position: usize| KeptWeight { bits: weights[position].abs().to_bits(), carrier, position };
        kept.extend(mask.positions().map(weight));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_weights_sort_by_magnitude_then_by_place() {
        let masks = BTreeMap::from([("a".to_owned(), Mask::from_fn(3, |p| p != 1)), ("b".to_owned(), Mask::full(2))]);
        let weights = |name: &str| if name == "a" { vec![-2.0, 0.0, 0.5] } else { vec![0.5, -0.0] };
        let mut kept = kept_weights(&masks, weights);
        kept.sort_unstable();
        let order: Vec<_> = kept.iter().map(|w| (w.magnitude(), w.carrier, w.position)).collect();
        assert_eq!(order, [(0.0, 1, 1), (0.5, 0, 2), (0.5, 1, 0), (2.0, 0, 0)]);
    }
}
