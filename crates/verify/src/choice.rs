//! Choices: what could still be chosen when the suspect was there, and what is paid for it.
//!
//! Implements docs/protocol.md, "Choices". Which panels are disclosed is chosen afterwards in any case, and an ordinary
//! charge. The rest is charged unless the verifier has established that the claim is older than the suspect: keys and seeds
//! are left to the threshold, all else that a claim states and that a test depends on is either bound into the seeds, or
//! paid for here.

use counterfoil_claim::{ClaimBody, TriggerSettings};
use counterfoil_mark::{RankDensity, Reading, usual_triggers};
use counterfoil_ticket::{Carrier, CarrierShape};

use crate::Level;
use crate::align::Network;
use crate::search::Search;
use crate::stand_in::{Layout, count_by_shape};

/// Densities that a carrier may be read by rank at where the claim could have stated any: 1/2, 1/4, … 1/128. With "left
/// out" they are 2^3.
const STEPS: u32 = 7;

/// Bits for one of these, or none.
const STEP_BITS: u32 = 3;

/// Bits for the layout: P and D, 16 of them; licensees' marks have one. For panel 0, to which P is nothing, D alone.
const LAYOUT_BITS: u32 = 4;
const DILUTION_BITS: u32 = 2;

/// Bits for swaps or thinning, which have the same seeds, and say how many ranks are read of layers that became narrower.
const METHOD_BITS: u32 = 1;

/// Bits for a number of triggers that is the usual one, and for another, up to 2^16.
const USUAL_TRIGGERS_BITS: u32 = 1;
const OTHER_TRIGGERS_BITS: u32 = 17;

/// Bits for which of P sealed panels were disclosed: any of 2^P − 1 sets.
pub(crate) fn disclosure_bits(search: &Search, level: Level) -> u32 {
    let sets = |claim: &ClaimBody| (1u32 << claim.sealed_panels.get()) - 1;
    match (search.claim, level) {
        (Some(claim), Level::Sealed) => sets(claim).next_power_of_two().ilog2(),
        _ => 0,
    }
}

/// What a claimant could have chosen who had the suspect at hand when he made the claim, in bits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Choices {
    is_open: bool,
    /// P and D, at the sealed level.
    layout: u32,
    /// Rounded densities of a ticket that was found under its key: the sealed seeds bind those of others.
    sealed_densities: u32,
    in_place: Carriers,
    aligned: Carriers,
}

/// What the list of carriers leaves to choose, in bits.
#[derive(Debug, Clone, Copy, Default)]
struct Carriers {
    /// Which are listed, under which ordinals: only panel 0 does not depend on it.
    list: u32,
    /// At which densities, where they are read by rank: any.
    densities: u32,
}

impl Carriers {
    /// `there` are those that could be listed, `listed` those that are and that something stands for.
    fn new(there: impl Iterator<Item = CarrierShape>, listed: impl Iterator<Item = CarrierShape>) -> Self {
        let listed: Vec<CarrierShape> = listed.collect();
        let densities: f64 = listed.iter().map(|shape| ((shape.size() + 1) as f64).log2()).sum();
        Self { list: list_bits(there, &listed), densities: densities.ceil() as u32 }
    }
}

impl Choices {
    /// For the mask tests of a suspect with these carriers; `network` is how they are aligned, if they can be.
    pub(crate) fn new(search: &Search, suspect: &[Carrier], layout: &Layout, network: Option<&Network>) -> Self {
        let Some(claim) = search.claim.filter(|_| !search.is_claim_older) else { return Self::default() };
        let standing = layout.stand_ins.iter().filter(|stand_in| stand_in.tensor.is_some());
        let aligned = |network: &Network| {
            let claimed = network.layers.iter().filter(|layer| layer.claimed.is_some() && layer.tensor.is_some());
            Carriers::new(network.layers.iter().map(|layer| layer.layer.shape), claimed.map(|layer| layer.layer.shape))
        };
        Self {
            is_open: true,
            layout: layout_bits(claim),
            sealed_densities: if claim.stamping.method.binds_kept() {
                0
            } else {
                STEP_BITS * claim.carriers.len() as u32
            },
            in_place: Carriers::new(suspect.iter().map(|c| c.shape), standing.map(|s| s.carrier.shape)),
            aligned: network.map(aligned).unwrap_or_default(),
        }
    }

    /// Bits for a mask test.
    pub(crate) fn of_mask(self, reading: Reading, level: Level) -> u32 {
        if !self.is_open {
            return 0;
        }
        let is_aligned = matches!(reading, Reading::AlignedZeros | Reading::AlignedRanks);
        let carriers = if is_aligned { self.aligned } else { self.in_place };
        let densities = match (reading, level) {
            (Reading::Zeros | Reading::AssignedZeros | Reading::TurnedZeros(_), _) => 0,
            (_, Level::Public) => carriers.densities,
            // Aligned carriers are read at the density as claimed, and by zeros or ranks as it says.
            (_, Level::Sealed) if is_aligned && self.sealed_densities > 0 => carriers.densities,
            (Reading::AlignedRanks, Level::Sealed) => METHOD_BITS,
            (_, Level::Sealed) => self.sealed_densities,
        };
        let layout = match level {
            Level::Public => DILUTION_BITS + carriers.list,
            Level::Sealed => self.layout,
        };
        layout + densities
    }
}

fn layout_bits(claim: &ClaimBody) -> u32 {
    if claim.licensee.is_some() { 0 } else { LAYOUT_BITS }
}

/// Bits for a trigger test.
pub(crate) fn trigger_bits(search: &Search, level: Level, triggers: &TriggerSettings) -> u32 {
    let Some(claim) = search.claim.filter(|_| !search.is_claim_older) else { return 0 };
    let usual = usual_triggers(triggers.classes);
    let is_usual = match level {
        Level::Public => triggers.public == usual,
        Level::Sealed => triggers.sealed_each == usual.div_ceil(u32::from(claim.sealed_panels.get())),
    };
    let number = if is_usual { USUAL_TRIGGERS_BITS } else { OTHER_TRIGGERS_BITS };
    number + if level == Level::Sealed { LAYOUT_BITS } else { 0 }
}

/// The density at which a carrier is read by rank: where the claim could have stated any, the step that is nearest to it.
pub(crate) fn density(search: &Search, claimed: RankDensity) -> RankDensity {
    let is_bound = search.claim.is_none_or(|claim| claim.stamping.method.binds_kept());
    if is_bound || search.is_claim_older || claimed.is_dense() { claimed } else { claimed.step(STEPS) }
}

/// log2 of the number of lists of m of the carriers that are there, for each m alike, under rising ordinals of each shape.
fn list_bits(there: impl Iterator<Item = CarrierShape>, listed: &[CarrierShape]) -> u32 {
    let (there, listed) = (count_by_shape(there), count_by_shape(listed.iter().copied()));
    let [all, m] = [&there, &listed].map(|counts| counts.values().map(|&n| u64::from(n)).sum::<u64>());
    let lists = ((all + 1) as f64).log2() + log2_choose(all, m);
    let of_shape =
        |(shape, &m): (&CarrierShape, &u32)| log2_choose(there.get(shape).copied().unwrap_or(0).into(), m.into());
    (lists + listed.iter().map(of_shape).sum::<f64>()).ceil() as u32
}

/// log2 of n over k.
fn log2_choose(n: u64, k: u64) -> f64 {
    let k = k.min(n.saturating_sub(k));
    (0..k).map(|i| ((n - i) as f64).log2() - ((i + 1) as f64).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_counted() {
        assert_eq!([log2_choose(6, 2), log2_choose(6, 4)].map(|bits| bits.exp2().round()), [15.0, 15.0]);
        assert_eq!([log2_choose(6, 0), log2_choose(6, 6)], [0.0, 0.0]);
        let carriers = Carrier::number((0..4).map(|i| (["a", "b", "c", "d"][i], &[[2usize, 3], [2, 4]][i / 3][..])));
        let (small, large) = (carriers[0].shape, carriers[3].shape);
        // all four of four: one list for each number from 0 to 4
        let shapes = || carriers.iter().map(|carrier| carrier.shape);
        assert_eq!(list_bits(shapes(), &[small, small, small, large]), (5f64).log2().ceil() as u32);
        // two of the three small ones: 6 lists of two, under 3 pairs of ordinals
        assert_eq!(list_bits(shapes(), &[small, small]), (5.0 * 6.0 * 3f64).log2().ceil() as u32);
    }
}
