//! Counting: the kept active positions of each panel and those of them with chip +1, carrier by carrier.
//!
//! The readings `zeros`, `ranks` and `turned zeros` of docs/protocol.md, "What is read as kept". A carrier is read,
//! counted and let go of before the next; only small ones are counted side by side, so memory stays that of the largest
//! carrier, or of [`MAX_HELD`](counterfoil_ticket::MAX_HELD) values. No declared size is trusted before the file has
//! yielded as many values.

use counterfoil_claim::PanelId;
use counterfoil_mark::{Balanced, Cut, Reading, Tally, Turn};
use counterfoil_ticket::{Carrier, Mask, ModelFile, ReadError};
use rayon::prelude::*;

use crate::census::{Census, ChipCounts, census_of_turns};
use crate::search::{Look, Search};
use crate::stand_in::{Layout, StandIn};
use crate::{AlignmentReport, CarrierState, VerifyError};

/// Most positions of carriers that are counted side by side; larger ones are shared by all threads.
const SMALL: usize = 1 << 20;

/// Most weights of one output: some hundred bytes for each are needed at a time.
pub const MAX_ROW: usize = 1 << 22;

/// What one carrier contributes to a look.
#[derive(Debug, Clone)]
pub(crate) struct CarrierCount {
    pub(crate) carrier: Carrier,
    /// The suspect's tensor that stands for it.
    pub(crate) tensor: Option<String>,
    pub(crate) state: CarrierState,
    /// How much of the carrier the reading can make out.
    pub(crate) clarity: Clarity,
    /// One for each of the look's panels.
    pub(crate) tallies: Vec<Tally>,
}

impl CarrierCount {
    /// All panels together.
    pub(crate) fn pooled(&self) -> Tally {
        self.tallies.iter().copied().sum()
    }
}

/// Positions of a carrier, whatever their panel.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clarity {
    /// All of them.
    pub(crate) all: u64,
    /// Those that the reading takes for kept.
    pub(crate) kept: u64,
    /// Those of them for which it had reason: all but those that `ranks` chose among equals.
    pub(crate) clear: u64,
}

/// Counts of all carriers under one reading and one look.
#[derive(Debug, Clone)]
pub(crate) struct MaskCount {
    pub(crate) reading: Reading,
    pub(crate) look: Look,
    pub(crate) carriers: Vec<CarrierCount>,
    /// How channels were aligned first, for aligned readings.
    pub(crate) alignment: Option<AlignmentReport>,
}

impl MaskCount {
    /// All carriers and panels together.
    pub(crate) fn pooled(&self) -> Tally {
        self.carriers.iter().map(CarrierCount::pooled).sum()
    }

    /// Whether the reading can tell kept positions from others.
    ///
    /// `zeros` can if the carriers that it counts keep at most half of their positions, as tickets do: zeros among many weights
    /// that are none, such as values too small for their type, are no mask. `ranks` can if the magnitudes differ where it
    /// cuts: not those of a network whose weights are all ±1.
    pub(crate) fn is_clear(&self) -> bool {
        let sum = |of: fn(&Clarity) -> u64| self.carriers.iter().map(|c| of(&c.clarity)).sum::<u64>();
        let (all, kept, clear) = (sum(|c| c.all), sum(|c| c.kept), sum(|c| c.clear));
        match self.reading {
            Reading::Zeros | Reading::TurnedZeros(_) | Reading::AssignedZeros | Reading::AlignedZeros => {
                all > 0 && kept <= all / 2
            }
            Reading::ClaimedRanks | Reading::BlindRanks(_) | Reading::AlignedRanks => {
                kept > 0 && clear >= kept.div_ceil(2)
            }
        }
    }

    /// All carriers, one of the look's panels.
    pub(crate) fn of_panel(&self, panel: PanelId) -> Tally {
        let index = self.look.panels.iter().position(|&p| p == panel);
        index.map_or_else(Tally::default, |i| self.carriers.iter().map(|c| c.tallies[i]).sum())
    }
}

/// What one reading keeps of a carrier.
struct Kept {
    chips: ChipCounts,
    /// Positions that it keeps with reason.
    clear: u64,
}

impl Kept {
    /// All for the same reason.
    fn clearly(chips: ChipCounts) -> Self {
        Self { clear: chips.positions(), chips }
    }
}

/// Reading `zeros` of one tensor; `None` if no position is zero.
pub(crate) fn read_zeros(file: &ModelFile, tensor: &str) -> Result<Option<Mask>, ReadError> {
    let kept = file.kept(tensor)?;
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
        Ok(vec![(census.positions(0) > 0).then(|| Kept::clearly(census.at_least(1)))])
    })
}

/// Counts `zeros` under every turn and every look.
pub(crate) fn count_turned(
    file: &ModelFile,
    layout: &Layout,
    search: &Search,
    looks: &[Look],
) -> Result<Vec<MaskCount>, VerifyError> {
    count(layout, looks, &Turn::ALL.map(Reading::TurnedZeros), |StandIn { carrier, .. }, tensor| {
        let Some(kept) = read_zeros(file, tensor)? else { return Ok(Turn::ALL.map(|_| None).into()) };
        let chips = census_of_turns(&kept, carrier.shape, &search.chips(carrier));
        Ok(chips.map(|chips| Some(Kept::clearly(chips))).into())
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
            return Ok(densities.iter().map(|_| None).collect());
        }
        let values = file.values_by_parts(tensor)?;
        let balanced = Balanced::new(&values, carrier.shape)?;
        let counts: Vec<usize> = densities.iter().map(|density| density.count(values.size())).collect();
        let cuts = balanced.cuts(&counts)?;
        let census = Census::of_cuts(&balanced, &cuts, carrier.shape, &search.chips(carrier))?;
        // A position that a cut keeps is kept by all that keep as many or more.
        let lowest = |count: &usize| counts.iter().filter(|other| *other >= count).count();
        let kept = |(count, cut): (&usize, &Cut)| Kept { chips: census.at_least(lowest(count)), clear: cut.clear() };
        Ok(counts.iter().zip(&cuts).map(kept).map(Some).collect())
    })
}

/// One pass over the carriers; `read` counts a tensor under all of the readings.
fn count(
    layout: &Layout,
    looks: &[Look],
    readings: &[Reading],
    read: impl Fn(&StandIn, &str) -> Result<Vec<Option<Kept>>, ReadError> + Sync,
) -> Result<Vec<MaskCount>, VerifyError> {
    let too_wide = layout.stand_ins.iter().find(|s| s.tensor.is_some() && s.carrier.shape.row() > MAX_ROW);
    if let Some(StandIn { carrier, tensor, .. }) = too_wide {
        let (tensor, found) = (tensor.clone().unwrap_or_default(), carrier.shape.row());
        return Err(VerifyError::TooWide { tensor, found, limit: MAX_ROW });
    }
    let read = |stand_in: &StandIn| stand_in.tensor.as_ref().map(|tensor| read(stand_in, tensor)).transpose();
    let is_small = |stand_in: &&StandIn| stand_in.carrier.shape.size() <= SMALL;
    let small: Vec<_> = layout.stand_ins.par_iter().map(|s| is_small(&s).then(|| read(s))).collect();
    let counted = small.into_iter().zip(&layout.stand_ins).map(|(small, s)| small.unwrap_or_else(|| read(s)));
    let counted = counted.collect::<Result<Vec<Option<Vec<Option<Kept>>>>, ReadError>>()?;

    let mut counts = Vec::new();
    for look in looks {
        for (i, &reading) in readings.iter().enumerate() {
            let of = |(stand_in, counted): (&StandIn, &Option<Vec<Option<Kept>>>)| {
                let none = || vec![Tally::default(); look.panels.len()];
                let (state, clarity, tallies) = match counted.as_ref().map(|readings| &readings[i]) {
                    None => (CarrierState::Missing, Clarity::default(), none()),
                    Some(None) => (CarrierState::LeftOut, Clarity::default(), none()),
                    Some(Some(Kept { chips, clear })) => {
                        let tally = |&panel: &PanelId| chips.tally(panel, look.dilution);
                        let all = stand_in.carrier.shape.size() as u64;
                        let clarity = Clarity { all, kept: chips.positions(), clear: *clear };
                        (CarrierState::Counted, clarity, look.panels.iter().map(tally).collect())
                    }
                };
                let (carrier, tensor) = (stand_in.carrier.clone(), stand_in.tensor.clone());
                CarrierCount { carrier, tensor, state, clarity, tallies }
            };
            let carriers = layout.stand_ins.iter().zip(&counted).map(of).collect();
            counts.push(MaskCount { reading, look: look.clone(), carriers, alignment: None });
        }
    }
    Ok(counts)
}
