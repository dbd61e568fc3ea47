//! Stamping: from a ticket and a key to a stamped ticket, its signed claim and its counterfoil.
//!
//! Two steps, so that people see what they get before anything is written: [`prepare`] plans the swaps, [`Prepared::finish`]
//! carries them out and signs. Keyed finding ends here too: its ticket carries a mark already, and is topped up by swaps
//! only where a panel misses the target; if that is not enough, it gets fewer sealed panels. Implements "Seeds" (master),
//! "Reference mask" and "Merkle root" of docs/protocol.md by way of the crate `claim`.

use std::collections::BTreeMap;

use counterfoil_claim::{
    ClaimBody, ClaimError, ClaimedCarrier, Counterfoil, CounterfoilError, Licence, MasterSeed, OwnerKey, PanelStrength,
    PublicKey, Stamping, StampingMethod, Subject, TriggerSettings, VerifiedClaim, merkle_root,
    reference_mask_commitment, sign,
};
use counterfoil_graph::{GraphError, MaskGraph, fingerprint};
use counterfoil_ticket::{Array, Carrier, Kind, Mask, Model, ModelError, Provenance};
use serde_json::json;

use crate::{
    Candidate, CarrierPlan, Plan, Ranking, StampError, SwapSettings, Way, licensee, plan, plan_found,
    plan_found_thinned, plan_thinned, thin, usual_triggers,
};

/// In the history of a ticket: that it is a licensee's copy. Not whose: that is for the claim to say.
const LICENSEE: &str = "licensee";

/// What to stamp with.
pub struct StampRequest {
    /// How strong, and at what cost.
    pub swaps: SwapSettings,
    /// Set for a ticket that was found under the key: the master seed, and what the search did with it.
    pub keyed: Option<KeyedFinding>,
    /// Where the initial weights came from, if the ticket does not know better.
    pub provenance: Option<Provenance>,
}

/// How a ticket was found under a key.
pub struct KeyedFinding {
    /// The seed whose chips the search favoured.
    pub master: MasterSeed,
    /// Extra weight decay at chip −1 positions, if training was keyed.
    pub decay: Option<f64>,
    /// Factor of scores at chip −1 positions, if they were keyed.
    pub factor: Option<f64>,
}

/// Why a ticket was not stamped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StampingError {
    /// No tensor of the file has a mask.
    #[error("the ticket has no mask, expected '_mask' tensors or weights of which at least a tenth are zero")]
    NoMask,
    /// The file bears a mark already.
    #[error("the ticket is stamped already, expected one without a mark")]
    AlreadyStamped,
    /// A licensee's mark goes on top of the owner's, and there is none.
    #[error("the ticket is not stamped, expected one with its owner's mark, on top of which a licensee's goes")]
    NotStamped,
    /// It is a licensee's copy already.
    #[error("the ticket has a licensee's mark already, expected the owner's stamped ticket")]
    AlreadyLicensed,
    /// The counterfoil shown for it is not the owner's of this ticket.
    #[error("the ticket and the owner's counterfoil do not belong together: {0}")]
    OtherCounterfoil(&'static str),
    /// A key mask of it is held back.
    #[error("the ticket is locked, expected a whole one")]
    Locked,
    /// The swaps are not possible.
    #[error(transparent)]
    Swaps(#[from] StampError),
    /// The model contradicts itself.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The masks do not fit the architecture.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The claim cannot be made.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The counterfoil cannot be made.
    #[error(transparent)]
    Counterfoil(#[from] CounterfoilError),
}

/// A stamp that is planned, and not made yet.
pub struct Prepared<'a> {
    ticket: &'a Model,
    key: &'a OwnerKey,
    master: MasterSeed,
    carriers: Vec<Carrier>,
    plan: Plan,
    stamping: Stamping,
    licence: Option<Licence>,
    provenance: Provenance,
}

/// A stamped ticket and what belongs to it.
pub struct Stamped {
    /// The ticket to train and hand on: weights are zero outside the mask, and there are no scores.
    pub model: Model,
    /// The signed claim, JSON.
    pub claim: String,
    /// The owner's private record.
    pub counterfoil: Counterfoil,
}

/// Masks of a model: its `_mask` tensors or, without any, its zeros. In a file that does not describe itself only a tensor
/// that is a tenth zeros or more is taken for pruned.
pub fn masks_of(model: &Model) -> BTreeMap<String, Mask> {
    if !model.masks.is_empty() {
        return model.masks.clone();
    }
    let described = model.description.architecture.is_some();
    let sparse = |carrier: Carrier| {
        let mask = Mask::of_nonzero(model.arrays.get(&carrier.name)?.values());
        let pruned = if described { mask.density() < 1.0 } else { mask.density() <= 0.9 };
        pruned.then_some((carrier.name, mask))
    };
    model.carriers().into_iter().filter_map(sparse).collect()
}

/// Plans the stamp of a ticket. Nothing is signed and nothing is written yet. QR codes that the ticket's history names stay as
/// they are ([`crate::qr::held`]).
///
/// # Errors
///
/// The ticket has no mask, is stamped already, or is too small for the target: then what it could carry is told. A ticket
/// found under the key is too small only if it is so for a single sealed panel; see [`plan_found`].
pub fn prepare<'a>(ticket: &'a Model, key: &'a OwnerKey, request: StampRequest) -> Result<Prepared<'a>, StampingError> {
    if ticket.description.kind == Kind::Stamped {
        return Err(StampingError::AlreadyStamped);
    }
    if ticket.description.kind == Kind::Locked {
        return Err(StampingError::Locked);
    }
    let masks = masks_of(ticket);
    let carriers = marked(ticket, &masks)?;
    type Planner = fn(&[Candidate<'_>], &PublicKey, &MasterSeed, &SwapSettings) -> Result<Plan, StampError>;
    let (method, decay, factor, master, by_swaps, by_thinning): (_, _, _, _, Planner, Planner) = match request.keyed {
        Some(KeyedFinding { master, decay, factor }) => {
            (StampingMethod::KeyedFinding, decay, factor, master, plan_found, plan_found_thinned)
        }
        None => {
            let master = key.master_seed(ticket.digest()?.as_bytes());
            (StampingMethod::Swaps, None, None, master, plan, plan_thinned)
        }
    };
    let held = crate::qr::held(ticket);
    let candidates = candidates(ticket, &carriers, &masks, &held);
    let pk = key.public();
    let planned = |by: Planner| by(&candidates, &pk, &master, &request.swaps);
    // A pattern has to stay as it is.
    let may_thin = ticket.description.pattern.is_none();
    let plan = if may_thin && thin::is_of_whole_channels(&candidates) {
        planned(by_thinning)?
    } else {
        match planned(by_swaps) {
            Err(error @ StampError::TooSmall { could, .. }) if may_thin => match planned(by_thinning) {
                Err(StampError::TooSmall { could: thinned, .. }) if could <= thinned => return Err(error.into()),
                thinned => thinned?,
            },
            swapped => swapped?,
        }
    };
    let stamping = match plan.way {
        Way::Swap => Stamping { method, moved: plan.moved, decay, factor },
        // The chips are others than those that a search favoured.
        Way::Thin => Stamping { method: StampingMethod::Thinning, moved: plan.moved, decay: None, factor: None },
    };
    let known = &ticket.description.provenance;
    let provenance = request.provenance.unwrap_or_else(|| known.clone());
    Ok(Prepared { ticket, key, master, carriers, plan, stamping, licence: None, provenance })
}

/// Plans a licensee's copy of a stamped ticket: a mark of its own on top of the owner's, whose panels stay about as strong
/// (see `licensee.rs`). Of the settings, `target` and `most_moved` count. The same counterfoil and name give the same copy.
///
/// # Errors
///
/// The ticket is not the one of the owner's counterfoil, is a licensee's copy already, or is too small for the target.
pub fn prepare_licensee<'a>(
    ticket: &'a Model,
    key: &'a OwnerKey,
    owner: &Counterfoil,
    name: &str,
    settings: &SwapSettings,
) -> Result<Prepared<'a>, StampingError> {
    match ticket.description.kind {
        Kind::Locked => return Err(StampingError::Locked),
        Kind::Stamped => {}
        _ => return Err(StampingError::NotStamped),
    }
    let is_stamp = |entry: &&serde_json::Value| entry.get("command").is_some_and(|command| command == "stamp");
    let last = ticket.description.history.iter().rev().find(is_stamp);
    if last.is_some_and(|entry| entry.get(LICENSEE).is_some()) {
        return Err(StampingError::AlreadyLicensed);
    }
    let masks = masks_of(ticket);
    let carriers = marked(ticket, &masks)?;
    let pk = key.public();
    belong_together(owner, &pk, &carriers, &masks)?;
    let master = owner.master().licensees_master(name);
    let licence = Licence { name: name.to_owned(), positions: owner.master().licensees_positions() };
    let codes = crate::qr::held(ticket);
    let held = |carrier: &Carrier| licensee::held(owner, carrier, &masks[&carrier.name], codes.get(&carrier.name));
    let held = carriers.iter().map(|carrier| (carrier.name.clone(), held(carrier))).collect();
    let candidates = candidates(ticket, &carriers, &masks, &held);
    let plan = licensee::plan_licensee(&candidates, &pk, &master, &licence, settings)?;
    let stamping = Stamping { method: StampingMethod::Swaps, moved: plan.moved, decay: None, factor: None };
    let provenance = ticket.description.provenance.clone();
    Ok(Prepared { ticket, key, master, carriers, plan, stamping, licence: Some(licence), provenance })
}

/// Whether the counterfoil is this key's, an owner's, and of the ticket with these masks.
fn belong_together(
    owner: &Counterfoil,
    pk: &PublicKey,
    carriers: &[Carrier],
    masks: &BTreeMap<String, Mask>,
) -> Result<(), StampingError> {
    let refused = |what| Err(StampingError::OtherCounterfoil(what));
    if owner.public_key() != pk {
        return refused("the counterfoil is of another key");
    }
    if owner.licence().is_some() {
        return refused("the counterfoil is of a licensee's copy");
    }
    let there = carriers.iter().map(|carrier| (carrier, &masks[&carrier.name]));
    if !there.eq(owner.reference().iter().map(|(carrier, mask)| (carrier, mask))) {
        return refused("the ticket has other masks than the counterfoil holds");
    }
    Ok(())
}

/// The carriers that have a mask.
fn marked(ticket: &Model, masks: &BTreeMap<String, Mask>) -> Result<Vec<Carrier>, StampingError> {
    let carriers: Vec<Carrier> = ticket.carriers().into_iter().filter(|c| masks.contains_key(&c.name)).collect();
    if carriers.is_empty() { Err(StampingError::NoMask) } else { Ok(carriers) }
}

/// What swaps choose from.
fn candidates<'a>(
    ticket: &'a Model,
    carriers: &'a [Carrier],
    masks: &'a BTreeMap<String, Mask>,
    held: &'a BTreeMap<String, Mask>,
) -> Vec<Candidate<'a>> {
    let candidate = |carrier: &'a Carrier| Candidate {
        carrier,
        mask: &masks[&carrier.name],
        ranking: match ticket.scores.get(&carrier.name) {
            Some(scores) => Ranking::Scores(scores),
            None => Ranking::Weights(ticket.arrays[&carrier.name].values()),
        },
        held: held.get(&carrier.name),
        pattern: ticket.description.pattern,
    };
    carriers.iter().map(candidate).collect()
}

impl Prepared<'_> {
    /// What the stamp will carry, and what moves.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The carriers that the plan's masks are of, in its order.
    pub fn carriers(&self) -> &[Carrier] {
        &self.carriers
    }

    /// Whose copy it will be, if a licensee's.
    pub fn licensee(&self) -> Option<&str> {
        self.licence.as_ref().map(|licence| licence.name.as_str())
    }

    /// The trigger set that the claim will name; `None` if the ticket's architecture is not described, and for licensees'
    /// copies, whose models are trained with the owner's.
    pub fn triggers(&self) -> Option<TriggerSettings> {
        if self.licence.is_some() {
            return None;
        }
        let architecture = self.ticket.description.architecture.as_ref()?;
        let (image, classes) = (architecture.input(), architecture.classes());
        let public = usual_triggers(classes);
        // As many for all sealed panels together: with several, none passes the default threshold by its triggers alone.
        let sealed_each = public.div_ceil(u32::from(self.plan.sealed.get()));
        Some(TriggerSettings { image, classes, public, sealed_each })
    }

    /// Carries the plan out and signs the claim. `created` is RFC 3339; `subject` a name for people.
    ///
    /// # Errors
    ///
    /// A text of the claim is out of its limits, or the masks do not fit the described architecture.
    pub fn finish(self, created: &str, subject: &str) -> Result<Stamped, StampingError> {
        let masks: BTreeMap<String, Mask> =
            self.carriers.iter().zip(&self.plan.carriers).map(|(c, p)| (c.name.clone(), p.mask.clone())).collect();
        let model = self.stamped_model(masks);
        let reference: Vec<(Carrier, Mask)> =
            self.carriers.iter().map(|c| (c.clone(), model.masks[&c.name].clone())).collect();
        let graph_fingerprint = match &model.description.architecture {
            Some(architecture) => Some(fingerprint(&MaskGraph::build(architecture, &model.masks)?)),
            None => None,
        };
        let body = ClaimBody {
            subject: Subject { name: subject.to_owned(), digest: model.digest()? },
            licensee: self.licence.as_ref().map(Licence::stated),
            carriers: reference.iter().map(|(carrier, mask)| claimed(carrier, mask)).collect(),
            sealed_panels: self.plan.sealed,
            dilution: self.plan.dilution,
            merkle_root: merkle_root(&self.master),
            panels: (self.plan.panels.iter())
                .map(|p| PanelStrength { panel: p.panel, n: p.after.n(), hits: p.after.hits() })
                .collect(),
            reference_mask: reference_mask_commitment(&self.master, &reference),
            graph_fingerprint,
            triggers: self.triggers(),
            stamping: self.stamping,
            provenance: self.provenance,
            created: created.to_owned(),
            tool: concat!("counterfoil ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let claim = sign(&body, self.key)?;
        let verified = VerifiedClaim::verify(claim.as_bytes(), &self.key.public())?;
        let counterfoil = Counterfoil::build(&verified, self.master, self.licence, reference)?;
        Ok(Stamped { model, claim, counterfoil })
    }

    /// The ticket under its new masks. Scores would tell an attacker which positions moved: they stay behind. So would
    /// positions that start from 0, where the ticket does not know the weight of what it had pruned: these take the weight
    /// of the one that goes, in the same output channel.
    fn stamped_model(&self, masks: BTreeMap<String, Mask>) -> Model {
        let mut arrays = self.ticket.arrays.clone();
        for (carrier, CarrierPlan { moves, .. }) in self.carriers.iter().zip(&self.plan.carriers) {
            let Some(array) = arrays.get_mut(&carrier.name) else { continue };
            let values = Array::values_mut(array);
            for (&dropped, &added) in moves.dropped.iter().zip(&moves.added) {
                if values[added] == 0.0 {
                    values[added] = values[dropped];
                }
            }
        }
        for (name, mask) in &masks {
            if let Some(array) = arrays.get_mut(name) {
                mask.apply(Array::values_mut(array));
            }
        }
        let mut description = self.ticket.description.clone();
        description.kind = Kind::Stamped;
        description.provenance = self.provenance.clone();
        let mut entry = json!({ "command": "stamp", "version": env!("CARGO_PKG_VERSION") });
        if self.licence.is_some() {
            entry[LICENSEE] = true.into();
        }
        description.history.push(entry);
        Model { description, arrays, masks, scores: BTreeMap::new() }
    }
}

fn claimed(carrier: &Carrier, mask: &Mask) -> ClaimedCarrier {
    let Carrier { name, shape, ordinal } = carrier.clone();
    ClaimedCarrier { name, shape, ordinal, kept: mask.kept() as u64 }
}

#[cfg(test)]
#[path = "stamp_tests.rs"]
mod tests;
