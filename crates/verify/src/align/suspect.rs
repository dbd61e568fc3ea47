//! What the suspect's layers keep, in its own channels.

use counterfoil_claim::{ClaimedCarrier, StampingMethod};
use counterfoil_mark::{Balanced, RankDensity};
use counterfoil_ticket::{CarrierShape, Mask, Values};

use super::held::Held;
use crate::{MAX_ROW, VerifyError};

/// A layer of the suspect, read.
#[derive(Debug, Clone)]
pub(crate) struct SuspectLayer {
    /// Name of its tensor.
    pub(crate) tensor: String,
    pub(crate) shape: CarrierShape,
    pub(crate) kept: Mask,
    /// Whether it was read by rank, for want of zeros.
    pub(crate) is_ranked: bool,
    /// Positions that are kept with reason: all but those that a rank chose among equals.
    pub(crate) clear: u64,
}

impl SuspectLayer {
    /// Reads zeros if the suspect keeps at most twice as many positions as the claim lets expect, ranks otherwise: zeros that are
    /// filled in in part hide the mask too. `None` if the claim's carrier is dense and so is the suspect's.
    ///
    /// To expect are as many as the claim states, for dead channels that were taken out leave what was kept elsewhere; in a
    /// layer that became larger the same share. Ranks are read at that share, since living channels may be gone too; but a
    /// thinned ticket is of whole channels, and where these alone are left it is nearly full.
    ///
    /// `living` are the values without those in dead channels, which ranks leave out.
    pub(crate) fn read(
        tensor: &str,
        held: &Held,
        living: &Held,
        claimed: &ClaimedCarrier,
        method: StampingMethod,
    ) -> Result<Option<Self>, VerifyError> {
        let shape = held.shape;
        if shape.row() > MAX_ROW {
            return Err(VerifyError::TooWide { tensor: tensor.to_owned(), found: shape.row(), limit: MAX_ROW });
        }
        let density = RankDensity::new(claimed.kept, claimed.shape.size() as u64);
        let kept = &held.kept;
        // Of kernels in a larger frame the border does not count.
        let size = kept.size() / shape.taps() * claimed.shape.taps();
        let share = density.map_or(size, |density| density.count(size));
        let most = share.max(usize::try_from(claimed.kept).unwrap_or(usize::MAX)).min(size);
        let ranks = if method == StampingMethod::Thinning && most < size { most } else { share };
        let of = |kept, is_ranked, clear| Some(Self { tensor: tensor.to_owned(), shape, kept, is_ranked, clear });
        if kept.kept() < kept.size() && kept.kept() / 2 <= most {
            return Ok(of(kept.clone(), false, kept.kept() as u64));
        }
        if ranks == size {
            return Ok(None);
        }
        let values = Values::from(living.values.to_vec());
        let (kept, clear) = Balanced::new(&values, shape)?.largest(ranks)?;
        Ok(of(kept, true, clear))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use super::*;

    fn held(shape: CarrierShape, value: impl Fn(usize) -> f32) -> Held {
        let values: Vec<f32> = (0..shape.size()).map(value).collect();
        let kept = Mask::of_nonzero(&values);
        Held { shape, values, kept, affine: vec![[1.0, 0.0]; shape.out as usize] }
    }

    #[test]
    fn what_is_left_of_a_narrower_layer_is_read_by_zeros_and_filled_gaps_by_rank() {
        let shape = |channels: u32| CarrierShape { out: channels, inp: channels, height: 3, width: 3 };
        // A ninth of its positions: of the 2025 of a layer of 15 channels that is 225.
        let claimed = ClaimedCarrier { name: "w".to_owned(), shape: shape(40), ordinal: 0, kept: 1600 };
        let read = |of: &Held, method| SuspectLayer::read("w", of, of, &claimed, method).unwrap().unwrap();
        let (swaps, thinning) = (StampingMethod::Swaps, StampingMethod::Thinning);
        let narrow = held(shape(15), |p| if p % 5 < 3 { 1.0 + p as f32 } else { 0.0 });
        for method in [swaps, thinning] {
            let layer = read(&narrow, method);
            assert_eq!((layer.kept.kept(), layer.is_ranked), (1215, false));
        }
        let filled = held(shape(15), |p| if p % 5 < 3 { 1.0 + p as f32 } else { 1e-3 });
        for (method, ranks) in [(swaps, 225), (thinning, 1600)] {
            let layer = read(&filled, method);
            assert_eq!((layer.kept.kept(), layer.is_ranked), (ranks, true));
        }
        // Fewer positions than the claim states.
        assert_eq!(read(&held(shape(13), |p| 1.0 + p as f32), thinning).kept.kept(), 169);
    }
}
