//! What claims and keys say, for `inspect`. A claim is read only after its signature was checked.

use std::fmt;

use counterfoil_claim::{ClaimBody, PublicKey, StampingMethod, VerifiedClaim};
use counterfoil_mark::{Chance, Log2P, Tally, log2_upper_tail};
use counterfoil_ticket::{Digest, Provenance};
use serde::Serialize;

use crate::output::{Align, Table, count};

/// A public key: the JSON of `inspect owner.pub --json`.
#[derive(Serialize)]
pub(crate) struct KeySummary {
    /// SHA-256 of its SPKI form.
    key_id: String,
}

impl KeySummary {
    pub(crate) fn of(key: &PublicKey) -> Self {
        Self { key_id: key.key_id() }
    }
}

impl fmt::Display for KeySummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "public key {}", self.key_id)
    }
}

/// A verified claim: the JSON of `inspect X.claim.json --json`.
#[derive(Serialize)]
pub(crate) struct ClaimSummary {
    /// The ticket's name, for people.
    subject: String,
    /// Canonical digest of the stamped ticket.
    subject_digest: String,
    /// Id of the key that signed.
    key_id: String,
    /// SHA-256 of the claim's payload.
    claim: String,
    /// As the owner states it.
    created: String,
    /// What made the claim.
    tool: String,
    /// "swaps", "keyed-finding" or "thinning".
    method: &'static str,
    /// For the text alone: JSON has the method.
    #[serde(skip)]
    is_thinned: bool,
    /// Positions that swaps brought in, or thinning dropped.
    moved: u64,
    /// Extra decay at chip -1 positions, if training was keyed.
    decay: Option<f64>,
    /// Factor of scores at chip -1 positions, if they were keyed.
    factor: Option<f64>,
    /// "random", "unknown", or the public checkpoint's name.
    initial_weights: String,
    /// Number of marked layers.
    carriers: usize,
    /// Kept positions of all of them.
    kept: u64,
    /// Whose copy it is, if a licensee's.
    licensee: Option<String>,
    /// One in how many positions carries the mark.
    dilution: u8,
    /// What each panel carried at stamping, by the owner's account.
    panels: Vec<PanelSummary>,
    /// Triggers, public and of each sealed panel.
    triggers: Option<[u32; 2]>,
}

#[derive(Serialize)]
struct PanelSummary {
    panel: u8,
    n: u64,
    hits: u64,
    log2_p: Option<Log2P>,
}

impl ClaimSummary {
    pub(crate) fn of(claim: &VerifiedClaim) -> Self {
        let ClaimBody { subject, carriers, panels, stamping, .. } = claim.body();
        let body = claim.body();
        Self {
            subject: subject.name.clone(),
            subject_digest: subject.digest.to_string(),
            key_id: claim.key().key_id(),
            claim: Digest::from(*claim.digest()).to_string(),
            created: body.created.clone(),
            tool: body.tool.clone(),
            method: stamping.method.name(),
            is_thinned: stamping.method == StampingMethod::Thinning,
            moved: stamping.moved,
            decay: stamping.decay,
            factor: stamping.factor,
            initial_weights: match &body.provenance {
                Provenance::Random => "random".to_owned(),
                Provenance::Unknown => "unknown".to_owned(),
                Provenance::PublicCheckpoint(name) => name.clone(),
            },
            carriers: carriers.len(),
            kept: carriers.iter().map(|carrier| carrier.kept).sum(),
            licensee: body.licensee.as_ref().map(|licensee| licensee.name.clone()),
            dilution: body.dilution.get(),
            // A licensee's mark has no public panel.
            panels: panels
                .iter()
                .filter(|strength| body.licensee.is_none() || !strength.panel.is_public())
                .map(|strength| PanelSummary {
                    panel: strength.panel.get(),
                    n: strength.n,
                    hits: strength.hits,
                    log2_p: Tally::new(strength.n, strength.hits).map(|tally| log2_upper_tail(tally, Chance::HALF)),
                })
                .collect(),
            triggers: body.triggers.map(|triggers| [triggers.public, triggers.sealed_each]),
        }
    }
}

impl fmt::Display for ClaimSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, key_id, claim, created, tool, .. } = self;
        writeln!(f, "Claim on '{subject}' (ticket {})", self.subject_digest)?;
        writeln!(f, "Signed by {key_id}: the signature fits")?;
        if let Some(licensee) = &self.licensee {
            writeln!(f, "Copy of   '{licensee}', a licensee: a mark of its own on top of the owner's")?;
        }
        writeln!(f, "Claim id  {claim}")?;
        writeln!(
            f,
            "Stamped   {created} by {tool}, by {} with {} {}",
            self.method,
            count(self.moved),
            if self.is_thinned { "dropped" } else { "moved" }
        )?;
        writeln!(f, "Weights   initially {}", self.initial_weights)?;
        writeln!(
            f,
            "Ticket    {} kept in {} layers, one in {} marked",
            count(self.kept),
            self.carriers,
            self.dilution
        )?;
        if let Some([public, sealed]) = self.triggers {
            writeln!(f, "Triggers  {public} public, {sealed} for each sealed panel")?;
        }
        let mut table = Table::new([
            ("panel", Align::Left),
            ("n", Align::Right),
            ("chip +1", Align::Right),
            ("log2 p when stamped", Align::Right),
        ]);
        for PanelSummary { panel, n, hits, log2_p } in &self.panels {
            let name = format!("{panel} {}", if *panel == 0 { "public" } else { "sealed" });
            table.row([name, count(*n), count(*hits), log2_p.map_or(String::new(), |p| p.to_string())]);
        }
        write!(f, "\n{table}")
    }
}
