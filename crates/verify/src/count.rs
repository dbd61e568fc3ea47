//! Counting: the kept active positions of each panel and those of them with chip +1, carrier by carrier.
//!
//! The readings `zeros` and `ranks` of docs/protocol.md, "What is read as kept". Each pass reads a carrier's values
//! once, draws its chips once for each dilution, and lets go of both before the next: memory stays that of the largest
//! carrier, and no declared size is trusted before the file has yielded as many values.

use counterfoil_claim::PanelId;
use counterfoil_mark::{ChipMap, Reading, Tally, balance, largest, tally, zeros};
use counterfoil_ticket::{Carrier, Mask, ModelFile};

use crate::search::{Look, Search};
use crate::stand_in::{Layout, StandIn};
use crate::{CarrierState, VerifyError};

/// What one carrier contributes to a look.
#[derive(Debug, Clone)]
pub(crate) struct CarrierCount {
    pub(crate) carrier: Carrier,
    /// The suspect's tensor that stands for it.
    pub(crate) tensor: Option<String>,
    pub(crate) state: CarrierState,
    /// One for each of the look's panels.
    pub(crate) tallies: Vec<Tally>,
    /// How many of all trials have a value other than 0, and so can carry the mark.
    pub(crate) alive: u64,
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

    /// All carriers, one of the look's panels.
    pub(crate) fn of_panel(&self, panel: PanelId) -> Tally {
        let index = self.look.panels.iter().position(|&p| p == panel);
        index.map_or_else(Tally::default, |i| self.carriers.iter().map(|c| c.tallies[i]).sum())
    }

    /// Trials that can carry the mark.
    pub(crate) fn alive(&self) -> u64 {
        self.carriers.iter().map(|c| c.alive).sum()
    }
}

/// Positions that a reading takes for kept.
pub(crate) struct Kept {
    mask: Mask,
    /// Those of them whose value is not zero, if there are others.
    alive: Option<Mask>,
}

impl Kept {
    /// Counts under one look; panics if the chips are another carrier's.
    pub(crate) fn count(&self, chips: &ChipMap, look: &Look) -> (Vec<Tally>, u64) {
        let of = |mask| look.panels.iter().map(|&panel| tally(mask, chips, panel)).collect::<Vec<Tally>>();
        let tallies = of(&self.mask);
        let alive = self.alive.as_ref().map(of);
        let alive = alive.as_ref().unwrap_or(&tallies).iter().copied().sum::<Tally>().n();
        (tallies, alive)
    }
}

/// Reading `zeros` of one tensor; `None` if no position is zero.
pub(crate) fn read_zeros(file: &ModelFile, tensor: &str) -> Result<Option<Kept>, VerifyError> {
    let (values, mask) = (file.values(tensor)?, file.mask(tensor)?);
    Ok(zeros(values.values(), mask.as_ref()).map(|mask| Kept { mask, alive: None }))
}

/// Counts `zeros` under every look; `see` gets each carrier's mask too.
pub(crate) fn count_zeros(
    file: &ModelFile,
    layout: &Layout,
    search: &Search,
    looks: &[Look],
    mut see: impl FnMut(&Carrier, &Mask) -> Result<(), VerifyError>,
) -> Result<Vec<MaskCount>, VerifyError> {
    count(layout, search, looks, &[Reading::Zeros], |stand_in, tensor| {
        let kept = read_zeros(file, tensor)?;
        if let Some(kept) = &kept {
            see(&stand_in.carrier, &kept.mask)?;
        }
        Ok(vec![kept])
    })
}

/// Counts `ranks` at every density under every look; a carrier is balanced once.
pub(crate) fn count_ranks(
    file: &ModelFile,
    layout: &Layout,
    search: &Search,
    looks: &[Look],
) -> Result<Vec<MaskCount>, VerifyError> {
    count(layout, search, looks, &search.rank_readings(), |stand_in, tensor| {
        let values = file.values(tensor)?.into_values();
        let balanced = balance(&values, stand_in.carrier.shape);
        let kept = |mask: Mask| {
            let is_alive = |position: usize| mask.keeps(position) && values[position] != 0.0;
            let alive = Mask::from_fn(values.len(), is_alive);
            let alive = (alive != mask).then_some(alive);
            Kept { mask, alive }
        };
        let densities = search.densities(stand_in.density);
        let read =
            densities.into_iter().map(|d| (!d.is_dense()).then(|| kept(largest(&balanced, d.count(values.len())))));
        Ok(read.collect())
    })
}

/// One pass over the carriers. `read` gives the kept positions of a tensor under each of the readings, `None` where a
/// reading leaves it out.
fn count(
    layout: &Layout,
    search: &Search,
    looks: &[Look],
    readings: &[Reading],
    mut read: impl FnMut(&StandIn, &str) -> Result<Vec<Option<Kept>>, VerifyError>,
) -> Result<Vec<MaskCount>, VerifyError> {
    let mut counts = Vec::new();
    for look in looks {
        counts.extend(readings.iter().map(|&reading| MaskCount { reading, look: look.clone(), carriers: Vec::new() }));
    }
    for stand_in in &layout.stand_ins {
        let kept = match &stand_in.tensor {
            Some(tensor) => read(stand_in, tensor)?,
            None => readings.iter().map(|_| None).collect(),
        };
        let mut drawn: Option<(_, ChipMap)> = None;
        for (i, count) in counts.iter_mut().enumerate() {
            let (mut state, mut counted) =
                (CarrierState::LeftOut, (vec![Tally::default(); count.look.panels.len()], 0));
            if let Some(kept) = &kept[i % readings.len()] {
                let dilution = count.look.dilution;
                let chips = match drawn.take().filter(|(drawn, _)| *drawn == dilution) {
                    Some((_, chips)) => chips,
                    None => search.chips(&stand_in.carrier, dilution),
                };
                (state, counted) = (CarrierState::Counted, kept.count(&chips, &count.look));
                drawn = Some((dilution, chips));
            } else if stand_in.tensor.is_none() {
                state = CarrierState::Missing;
            }
            let (tallies, alive) = counted;
            let (carrier, tensor) = (stand_in.carrier.clone(), stand_in.tensor.clone());
            count.carriers.push(CarrierCount { carrier, tensor, state, tallies, alive });
        }
    }
    Ok(counts)
}
