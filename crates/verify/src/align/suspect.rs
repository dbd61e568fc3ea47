//! What the suspect's layers keep, in its own channels.

use counterfoil_claim::ClaimedCarrier;
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
    /// Reads zeros if the suspect keeps at most twice as many positions as the claim lets expect, so many ranks otherwise: zeros
    /// that are filled in in part hide the mask too. `None` if all would be read as kept.
    ///
    /// To expect are as many as the claim states, for channels that were taken out leave what was kept elsewhere; in a layer
    /// that became larger the same share.
    ///
    /// `living` are the values without those in dead channels, which ranks leave out.
    pub(crate) fn read(
        tensor: &str,
        held: &Held,
        living: &Held,
        claimed: &ClaimedCarrier,
    ) -> Result<Option<Self>, VerifyError> {
        let shape = held.shape;
        if shape.row() > MAX_ROW {
            return Err(VerifyError::TooWide { tensor: tensor.to_owned(), found: shape.row(), limit: MAX_ROW });
        }
        let density = RankDensity::new(claimed.kept, claimed.shape.size() as u64);
        let kept = &held.kept;
        // Of kernels in a larger frame the border does not count.
        let size = kept.size() / shape.taps() * claimed.shape.taps();
        let stated = usize::try_from(claimed.kept).unwrap_or(usize::MAX);
        let usual = density.map_or(size, |density| density.count(size).max(stated).min(size));
        let of = |kept, is_ranked, clear| Some(Self { tensor: tensor.to_owned(), shape, kept, is_ranked, clear });
        if kept.kept() < kept.size() && kept.kept() / 2 <= usual {
            return Ok(of(kept.clone(), false, kept.kept() as u64));
        }
        if usual == size {
            return Ok(None);
        }
        let values = Values::from(living.values.to_vec());
        let (kept, clear) = Balanced::new(&values, shape)?.largest(usual)?;
        Ok(of(kept, true, clear))
    }
}
