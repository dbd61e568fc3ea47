//! Kept kernels and degrees of one carrier. Needs no architecture, only the carrier's mask.

use std::collections::BTreeMap;

use counterfoil_ticket::{CarrierShape, Mask};
use serde::Serialize;

use crate::bounds::positions;
use crate::{GraphError, MAX_CHANNELS, MAX_POSITIONS, kept_kernels};

/// How many channels have how many kept kernels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct DegreeDistribution {
    channels: BTreeMap<u32, u32>,
}

impl DegreeDistribution {
    fn of(degrees: &[u32]) -> Self {
        let mut channels = BTreeMap::new();
        for &degree in degrees {
            *channels.entry(degree).or_insert(0) += 1;
        }
        Self { channels }
    }

    /// Number of channels of each degree that occurs, by degree. Channels without kernels are under degree 0.
    pub fn channels(&self) -> &BTreeMap<u32, u32> {
        &self.channels
    }

    /// Mean degree; `None` without channels.
    pub fn mean(&self) -> Option<f64> {
        // In integers, so that the sum does not depend on an order.
        let channels: u64 = self.channels.values().map(|&n| u64::from(n)).sum();
        let kernels: u64 = self.channels.iter().map(|(&degree, &n)| u64::from(degree) * u64::from(n)).sum();
        (channels > 0).then(|| kernels as f64 / channels as f64)
    }

    /// Least and greatest degree; `None` without channels.
    pub fn range(&self) -> Option<(u32, u32)> {
        Some((*self.channels.first_key_value()?.0, *self.channels.last_key_value()?.0))
    }
}

/// What a carrier's mask tells on its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CarrierStatistics {
    /// Name of the weight tensor.
    pub name: String,
    /// Shape.
    pub shape: CarrierShape,
    /// Number of kept positions.
    pub kept: u64,
    /// Number of kernels, kept or not: out × in.
    pub kernels: u64,
    /// Number of kernels with a kept position.
    pub kept_kernels: u64,
    /// Kept kernels into each output channel.
    pub in_degrees: DegreeDistribution,
    /// Kept kernels out of each input channel.
    pub out_degrees: DegreeDistribution,
}

/// Counts a carrier's kept kernels, and the kernels at each of its channels.
///
/// Degrees of sparse layers as in Mocanu et al. 2018 (SET), doi 10.1038/s41467-018-04316-3, of kernels instead of
/// weights.
///
/// - `name`: goes into the result and into errors.
/// - `shape`: the carrier's; the mask must have its size.
/// - `mask`: which positions are kept, [`Mask::full`] for a dense carrier.
///
/// A mask without a kept position puts all channels under degree 0. Where layers share a node group, these are the
/// degrees in this layer alone.
///
/// ```
/// use counterfoil_graph::carrier_statistics;
/// use counterfoil_ticket::{CarrierShape, Mask};
///
/// let shape = CarrierShape { out: 3, inp: 2, height: 1, width: 2 };
/// let mask = Mask::from_fn(12, |position| [0, 1, 2, 4].contains(&position));
/// let conv = carrier_statistics("conv.weight", shape, &mask)?;
/// assert_eq!((conv.kept, conv.kept_kernels, conv.kernels), (4, 3, 6));
/// // Outputs 0, 1 and 2 have 2, 1 and 0 kernels; inputs 0 and 1 have 2 and 1.
/// assert_eq!(conv.in_degrees.channels(), &[(0, 1), (1, 1), (2, 1)].into());
/// assert_eq!(conv.out_degrees.channels(), &[(1, 1), (2, 1)].into());
/// # Ok::<(), counterfoil_graph::GraphError>(())
/// ```
///
/// # Errors
///
/// [`GraphError::MaskSize`], and [`GraphError::TooLarge`] above [`MAX_POSITIONS`] or [`MAX_CHANNELS`].
pub fn carrier_statistics(name: &str, shape: CarrierShape, mask: &Mask) -> Result<CarrierStatistics, GraphError> {
    let size = positions(shape);
    if size > u128::from(MAX_POSITIONS) {
        return Err(GraphError::TooLarge { what: "positions", found: size, limit: MAX_POSITIONS });
    }
    let channels = u128::from(shape.out) + u128::from(shape.inp);
    // Shapes with a dimension of 0 have no positions, but may have any number of channels.
    if channels > u128::from(MAX_CHANNELS) {
        return Err(GraphError::TooLarge { what: "channels", found: channels, limit: MAX_CHANNELS });
    }
    if mask.size() as u128 != size {
        return Err(GraphError::MaskSize { carrier: name.to_owned(), found: mask.size(), expected: size as u64 });
    }
    Ok(count(name, shape, mask))
}

/// The statistics of a carrier that is known to fit its mask and the limits.
pub(super) fn count(name: &str, shape: CarrierShape, mask: &Mask) -> CarrierStatistics {
    let mut incoming = vec![0; shape.out as usize];
    let mut outgoing = vec![0; shape.inp as usize];
    let (mut kept, mut kernels) = (0, 0);
    for kernel in kept_kernels(shape, mask) {
        incoming[kernel.out as usize] += 1;
        outgoing[kernel.inp as usize] += 1;
        kept += u64::from(kernel.taps);
        kernels += 1;
    }
    CarrierStatistics {
        name: name.to_owned(),
        shape,
        kept,
        kernels: u64::from(shape.out) * u64::from(shape.inp),
        kept_kernels: kernels,
        in_degrees: DegreeDistribution::of(&incoming),
        out_degrees: DegreeDistribution::of(&outgoing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_carrier_has_one_degree_on_each_side_and_an_empty_one_degree_0() {
        let shape = CarrierShape { out: 3, inp: 2, height: 3, width: 3 };
        let full = carrier_statistics("w", shape, &Mask::full(54)).expect("fits");
        assert_eq!((full.kept, full.kept_kernels), (54, 6));
        assert_eq!(full.in_degrees.channels(), &[(2, 3)].into());
        assert_eq!(full.out_degrees.channels(), &[(3, 2)].into());
        assert_eq!((full.out_degrees.mean(), full.out_degrees.range()), (Some(3.0), Some((3, 3))));
        let empty = carrier_statistics("w", shape, &Mask::empty(54)).expect("fits");
        assert_eq!((empty.kept, empty.in_degrees.mean()), (0, Some(0.0)));
        assert_eq!(empty.in_degrees.channels(), &[(0, 3)].into());
        assert_eq!(DegreeDistribution::default().mean(), None);
    }

    #[test]
    fn a_mask_of_another_size_and_shapes_above_the_limits_are_refused() {
        let refused = |shape, size| carrier_statistics("w", CarrierShape::from(shape), &Mask::empty(size)).err();
        let expected = GraphError::MaskSize { carrier: "w".into(), found: 3, expected: 4 };
        assert_eq!(refused([2, 2, 1, 1], 3), Some(expected));
        let expected = GraphError::TooLarge { what: "positions", found: 1 << 40, limit: MAX_POSITIONS };
        assert_eq!(refused([1 << 10; 4], 0), Some(expected));
        let found = u128::from(u32::MAX);
        let expected = GraphError::TooLarge { what: "channels", found, limit: MAX_CHANNELS };
        assert_eq!(refused([u32::MAX, 0, 1, 1], 0), Some(expected));
    }
}
