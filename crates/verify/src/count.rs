//! Counting: the kept active positions of each panel and those of them with chip +1, carrier by carrier.
//!
//! The readings `zeros` and `ranks` of docs/protocol.md, "What is read as kept". A carrier is read, counted and let go of
//! before the next; only small ones are counted side by side, so memory stays that of the largest carrier, or of
//! [`MAX_HELD`](counterfoil_ticket::MAX_HELD) values. No declared size is trusted before the file has yielded as many
//! values.

use counterfoil_claim::PanelId;
use counterfoil_mark::{Balanced, Reading, Tally};
use counterfoil_ticket::{Carrier, Mask, ModelFile, ReadError};
use rayon::prelude::*;

use crate::census::Census;
use crate::search::{Look, Search};
use crate::stand_in::{Layout, StandIn};
use crate::{CarrierState, VerifyError};

/// Most positions of carriers that are counted side by side; larger ones are shared by all threads.
const SMALL: usize = 1 << 20;

/// What one carrier contributes to a look.
#[derive(Debug, Clone)]
pub(crate) struct CarrierCount {
    pub(crate) carrier: Carrier,
    /// The suspect's tensor that stands for it.
    pub(crate) tensor: Option<String>,
    pub(crate) state: CarrierState,
    /// Positions that the reading takes for kept, whatever their panel, and all positions.
    pub(crate) kept: [u64; 2],
    /// One for each of the look's panels.
    pub(crate) tallies: Vec<Tally>,
}

impl CarrierCount {
    /// All panels together.
    pub(crate) fn pooled(&self) -> Tally {
        self.tallies.iter().copied().sum()
    }
}

/// Counts of all carriers under one reading and one look.
#[derive(Debug, Clone)]
pub(crate) struct MaskCount {
    pub(crate) reading: Reading,
    pub(crate) look: Look,
    pub(crate) carriers: Vec<CarrierCount>,
}

impl MaskCount {
    /// All carriers and panels together.
    pub(crate) fn pooled(&self) -> Tally {
        self.carriers.iter().map(CarrierCount::pooled).sum()
    }

    /// Whether the carriers that are counted keep at most half of their positions, as tickets do. Zeros among many weights
    /// that are none, such as values too small for their type, are no mask.
    pub(crate) fn is_sparse(&self) -> bool {
        let [kept, all] = self.carriers.iter().fold([0, 0], |[k, a], c| [k + c.kept[0], a + c.kept[1]]);
        all > 0 && kept <= all / 2
    }

    /// All carriers, one of the look's panels.
    pub(crate) fn of_panel(&self, panel: PanelId) -> Tally {
        let index = self.look.panels.iter().position(|&p| p == panel);
        index.map_or_else(Tally::default, |i| self.carriers.iter().map(|c| c.tallies[i]).sum())
    }
}

/// A carrier's positions under some readings.
struct Counted {
    census: Census,
    /// For each reading, the lowest class that it keeps; `None` if it leaves the carrier out.
    lowest: Vec<Option<usize>>,
}

/// Reading `zeros` of one tensor; `None` if no position is zero.
pub(crate) fn read_zeros(file: &ModelFile, tensor: &str) -> Result<Option<Mask>, ReadError> {
    let kept = match file.mask(tensor)? {
        Some(mask) => mask,
        None => file.nonzero(tensor)?,
    };
    Ok((kept.kept() < kept.size()).then_some(kept))
}

/// Counts `zeros` under every look.
pub(crate) fn count_zeros(
    file: &ModelFile,
    layout: &Layout,
    search: &Search,
    looks: &[Look],
) -> Result<Vec<MaskCount>, VerifyError> {
    count(layout, looks, &[Reading::Zeros], |StandIn { carrier, .. }, tensor| {
        let (values, mask) = (file.values_by_parts(tensor)?, file.mask(tensor)?);
        let census = Census::of_zeros(&values, mask.as_ref(), carrier.shape, &search.chips(carrier))?;
        let has_zeros = census.positions(0) > 0;
        Ok(Counted { census, lowest: vec![has_zeros.then_some(1)] })
    })
}

/// Counts `ranks` at every density under every look.
pub(crate) fn count_ranks(
    file: &ModelFile,
    layout: &Layout,
    search: &Search,
    looks: &[Look],
) -> Result<Vec<MaskCount>, VerifyError> {
    count(layout, looks, &search.rank_readings(), |StandIn { carrier, density, .. }, tensor| {
        let densities = search.densities(*density);
        if densities.iter().all(|density| density.is_dense()) {
            return Ok(Counted { census: Census::default(), lowest: vec![None; densities.len()] });
        }
        let values = file.values_by_parts(tensor)?;
        let balanced = Balanced::new(&values, carrier.shape)?;
        let counts: Vec<usize> = densities.iter().map(|density| density.count(values.size())).collect();
        let census = Census::of_cuts(&balanced, &balanced.cuts(&counts)?, carrier.shape, &search.chips(carrier))?;
        // A position that a cut keeps is kept by all that keep as many or more.
        let lowest = counts.iter().map(|count| Some(counts.iter().filter(|other| *other >= count).count()));
        Ok(Counted { census, lowest: lowest.collect() })
    })
}

/// One pass over the carriers; `read` counts a tensor under all of the readings.
fn count(
    layout: &Layout,
    looks: &[Look],
    readings: &[Reading],
    read: impl Fn(&StandIn, &str) -> Result<Counted, ReadError> + Sync,
) -> Result<Vec<MaskCount>, VerifyError> {
    let read = |stand_in: &StandIn| stand_in.tensor.as_ref().map(|tensor| read(stand_in, tensor)).transpose();
    let is_small = |stand_in: &&StandIn| stand_in.carrier.shape.size() <= SMALL;
    let small: Vec<_> = layout.stand_ins.par_iter().map(|s| is_small(&s).then(|| read(s))).collect();
    let counted = small.into_iter().zip(&layout.stand_ins).map(|(small, s)| small.unwrap_or_else(|| read(s)));
    let counted = counted.collect::<Result<Vec<Option<Counted>>, ReadError>>()?;

    let mut counts = Vec::new();
    for look in looks {
        for (i, &reading) in readings.iter().enumerate() {
            let of = |(stand_in, counted): (&StandIn, &Option<Counted>)| {
                let none = || vec![Tally::default(); look.panels.len()];
                let counted = counted.as_ref().map(|counted| counted.lowest[i].map(|class| (class, &counted.census)));
                let (state, kept, tallies) = match counted {
                    None => (CarrierState::Missing, [0, 0], none()),
                    Some(None) => (CarrierState::LeftOut, [0, 0], none()),
                    Some(Some((lowest, census))) => {
                        let kept = census.at_least(lowest);
                        let tally = |&panel: &PanelId| kept.tally(panel, look.dilution);
                        let positions = [kept.positions(), stand_in.carrier.shape.size() as u64];
                        (CarrierState::Counted, positions, look.panels.iter().map(tally).collect())
                    }
                };
                let (carrier, tensor) = (stand_in.carrier.clone(), stand_in.tensor.clone());
                CarrierCount { carrier, tensor, state, kept, tallies }
            };
            let carriers = layout.stand_ins.iter().zip(&counted).map(of).collect();
            counts.push(MaskCount { reading, look: look.clone(), carriers });
        }
    }
    Ok(counts)
}
