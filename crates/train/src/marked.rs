//! What training does for a mark: unequal weight decay and trigger sets.
//!
//! Reinforcement (keyed finding and training alike): weights at positions with chip −1 get more weight decay than those
//! with chip +1, so that whatever prunes by magnitude keeps more of chip +1. The verifier looks at positions only, so
//! this changes the mark's strength and never the test.

use std::collections::BTreeMap;

use counterfoil_claim::{
    Counterfoil, Dilution, Marked, MasterSeed, PanelCount, PanelId, PublicKey, Seed, Split, TriggerSettings,
};
use counterfoil_mark::{TriggerSet, chip_map};
use counterfoil_ticket::Carrier;

use crate::TrainError;

/// The owner's view of a mark: every panel's seed.
pub struct OwnMark {
    public_key: PublicKey,
    split: Split,
    dilution: Dilution,
    seeds: Vec<(PanelId, Seed)>,
}

impl OwnMark {
    /// The mark that a counterfoil records.
    pub fn of_counterfoil(counterfoil: &Counterfoil) -> Self {
        Self {
            public_key: *counterfoil.public_key(),
            split: counterfoil.split(),
            dilution: counterfoil.dilution(),
            seeds: counterfoil.seeds(),
        }
    }

    /// A mark that is about to be found on these carriers, all that get a mask, in natural order: all positions active.
    pub fn under(public_key: PublicKey, master: &MasterSeed, sealed: PanelCount, carriers: &[Carrier]) -> Self {
        let marked = Marked::by_finding(carriers);
        let seeds = master.panels(&public_key, sealed, &marked);
        Self { public_key, split: Split::Owner(sealed), dilution: Dilution::ALL[0], seeds }
    }

    /// Decay to add, by weight tensor and flat position: `decay` where the chip is −1, otherwise 0.
    pub fn extra_decay<'a>(
        &self,
        carriers: impl IntoIterator<Item = &'a Carrier>,
        decay: f64,
    ) -> BTreeMap<String, Vec<f32>> {
        let seeds: Vec<(PanelId, &Seed)> = self.seeds.iter().map(|(panel, seed)| (*panel, seed)).collect();
        carriers
            .into_iter()
            .map(|carrier| {
                let chips = chip_map(&seeds, &self.public_key, &self.split, carrier, self.dilution);
                let extra = chips.chip.iter().map(|&chip| if chip < 0 { decay as f32 } else { 0.0 }).collect();
                (carrier.name.clone(), extra)
            })
            .collect()
    }

    /// The trigger sets of all panels, public first.
    ///
    /// # Errors
    ///
    /// The settings ask for more image bytes than [`counterfoil_mark::MAX_TRIGGER_BYTES`].
    pub fn trigger_sets(&self, settings: &TriggerSettings) -> Result<Vec<TriggerSet>, TrainError> {
        let derive = |(panel, seed): &(PanelId, Seed)| {
            TriggerSet::derive(seed, &self.public_key, settings.image, settings.classes, settings.count(*panel))
        };
        Ok(self.seeds.iter().map(derive).collect::<Result<_, _>>()?)
    }
}
