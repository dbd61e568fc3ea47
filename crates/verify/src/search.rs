//! What is looked for: the panels whose seeds are known, their chips, and the dilutions that are tried.
//!
//! The public panel can always be looked for. The sealed ones join under a claim that had committed to their seeds.

use counterfoil_claim::{ClaimBody, Dilution, PanelId, PanelStrength, PublicKey, Seed, Split};
use counterfoil_mark::{BLIND_DENSITIES, ChipReader, RankDensity, Reading, Tally};
use counterfoil_ticket::Carrier;
use serde::Serialize;

use crate::choice::density;
use crate::{Evidence, VerifyError};

/// What a test can lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Panel 0, which anybody can derive, imitate and aim at: `marked` at best.
    Public,
    /// The disclosed sealed panels, pooled: `proven` at best.
    Sealed,
}

/// One way of counting chips.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) level: Level,
    pub(crate) dilution: Dilution,
    /// Panels whose counts are pooled.
    pub(crate) panels: Vec<PanelId>,
}

/// Evidence whose parts belong together. No `Debug`: it holds seeds.
pub(crate) struct Search<'a> {
    pub(crate) key: &'a PublicKey,
    pub(crate) claim: Option<&'a ClaimBody>,
    /// Whether the verifier has established that the claim is older than the suspect.
    pub(crate) is_claim_older: bool,
    /// Which positions belong to which panel.
    pub(crate) split: Split,
    /// Panel 0, which licensees' marks have not, then the disclosed ones in ascending order.
    seeds: Vec<(PanelId, Seed)>,
}

impl<'a> Search<'a> {
    /// Checks that claim and disclosures are this key's, and that no panel is counted twice.
    pub(crate) fn new(evidence: &Evidence<'a>, is_claim_older: bool) -> Result<Self, VerifyError> {
        let key = evidence.key;
        if let Some(claim) = evidence.claim.filter(|claim| claim.key() != key) {
            return Err(VerifyError::OtherKey { found: claim.key().key_id(), expected: key.key_id() });
        }
        let claim = evidence.claim.map(|claim| claim.body());
        let is_licensees = claim.is_some_and(|claim| claim.licensee.is_some());
        let public = (!is_licensees).then(|| (PanelId::PUBLIC, key.public_seed()));
        let mut seeds: Vec<_> = public.into_iter().collect();
        for opened in evidence.disclosures {
            let panel = opened.panel();
            let Some(claim) = evidence.claim else {
                return Err(VerifyError::DisclosureWithoutClaim { panel: panel.get() });
            };
            if opened.claim_digest() != claim.digest() {
                return Err(VerifyError::OtherClaim { panel: panel.get() });
            }
            let times = evidence.disclosures.iter().filter(|other| other.panel() == panel).count();
            if times > 1 {
                return Err(VerifyError::RepeatedDisclosure { panel: panel.get(), times });
            }
            seeds.push((panel, opened.seed().clone()));
        }
        seeds.sort_by_key(|(panel, _)| *panel);
        // Which positions are panel 0's does not depend on the number of an owner's sealed panels; where a licensee's are, its
        // disclosure says, without which nothing is counted.
        let sealed = claim.map_or(Split::LICENSEES, |claim| claim.sealed_panels);
        let split = evidence.disclosures.first().map_or(Split::Owner(sealed), |opened| opened.split().clone());
        Ok(Self { key, claim, is_claim_older, split, seeds })
    }

    /// The levels that can be tested.
    pub(crate) fn levels(&self) -> Vec<Level> {
        [Level::Public, Level::Sealed].into_iter().filter(|level| self.panels(*level).next().is_some()).collect()
    }

    /// Panels and seeds of one level.
    pub(crate) fn panels(&self, level: Level) -> impl Iterator<Item = (PanelId, &Seed)> {
        let is_public = level == Level::Public;
        self.seeds.iter().filter(move |(panel, _)| panel.is_public() == is_public).map(|(panel, seed)| (*panel, seed))
    }

    /// Every level at every dilution that it may have been stamped with.
    pub(crate) fn looks(&self) -> Vec<Look> {
        let claimed = self.claim.map(|claim| claim.dilution);
        let dilutions = claimed.as_ref().map_or(&Dilution::ALL[..], std::slice::from_ref);
        let look = |level, dilution| Look { level, dilution, panels: self.panels(level).map(|(p, _)| p).collect() };
        self.levels().into_iter().flat_map(|level| dilutions.iter().map(move |&d| look(level, d))).collect()
    }

    /// Readings by rank, in the order of [`Search::densities`].
    pub(crate) fn rank_readings(&self) -> Vec<Reading> {
        match self.claim {
            Some(_) => vec![Reading::ClaimedRanks],
            None => BLIND_DENSITIES.map(Reading::BlindRanks).to_vec(),
        }
    }

    /// The densities at which a carrier is read by rank; under a claim its own, `kept` of `size`, or the step next to it.
    pub(crate) fn densities(&self, claimed: Option<RankDensity>) -> Vec<RankDensity> {
        claimed.map_or_else(|| BLIND_DENSITIES.to_vec(), |claimed| vec![density(self, claimed)])
    }

    /// The chips of the carrier.
    pub(crate) fn chips(&self, carrier: &Carrier) -> ChipReader {
        let seeds: Vec<(PanelId, &Seed)> = self.seeds.iter().map(|(panel, seed)| (*panel, seed)).collect();
        ChipReader::new(&seeds, self.key, &self.split, carrier)
    }

    /// What the claim says these panels carried together at stamping.
    pub(crate) fn claimed_tally(&self, panels: &[PanelId]) -> Option<Tally> {
        let of_panels = |strength: &&PanelStrength| panels.contains(&strength.panel);
        let tally = |s: &PanelStrength| Tally::new(s.n, s.hits).expect("a verified claim has no more hits than n");
        Some(self.claim?.panels.iter().filter(of_panels).map(tally).sum())
    }
}
