//! Counterfoils: what the owner keeps of a stamped ticket, to disclose panels and to compare masks with later.
//!
//! Implements "Reference mask" of docs/protocol.md; the file, JSON inside age encryption, is described in
//! docs/formats-claims.md, "Counterfoil". A counterfoil is built for a verified claim and agrees with its commitments;
//! one that was read from a file is checked in itself, and against its claim by [`Counterfoil::check`].

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use counterfoil_ticket::{Carrier, CarrierShape, Mask};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::claim_rules::{check_licensees_layout, check_numbering, check_text, check_triggers, field};
use crate::disclosure::{self, Version};
use crate::hex_bytes::{Hex32, SecretHex32};
use crate::objects::{from_slice, object_or_null, objects};
use crate::protection::{protect, unprotect};
use crate::statement::TriggersJson;
use crate::{
    Dilution, FieldError, KeyError, Licence, Marked, MasterSeed, PanelCount, PanelId, Positions, Protection,
    ProtectionError, PublicKey, Seed, Split, TriggerSettings, Unlock, VerifiedClaim, merkle_root,
};

/// Most bytes of a counterfoil that are read: 1 GiB, the reference mask of 6 billion positions.
pub const MAX_COUNTERFOIL: usize = 1 << 30;

/// The version of the format that is written and read.
const VERSION: u64 = 1;

/// Why a counterfoil was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CounterfoilError {
    /// It cannot be sealed or opened.
    #[error("counterfoil: {0}")]
    Protection(#[source] ProtectionError),
    /// Found before anything is read.
    #[error("counterfoil: {found} bytes, expected at most {limit}")]
    TooLarge {
        /// Its size.
        found: usize,
        /// [`MAX_COUNTERFOIL`].
        limit: usize,
    },
    /// Not JSON of the right form: truncated, a field missing, repeated, unknown or of the wrong type.
    #[error("counterfoil: the JSON is malformed")]
    Malformed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A counterfoil in a format of another version.
    #[error("counterfoil: version {found}, expected version {expected}")]
    UnknownVersion {
        /// Its version.
        found: u64,
        /// The version that is read.
        expected: u64,
    },
    /// Its public key is none.
    #[error("counterfoil: publicKey is refused")]
    Key(#[source] KeyError),
    /// A field that says something impossible.
    #[error("counterfoil: {0}")]
    Field(FieldError),
    /// It does not agree with the claim.
    #[error("counterfoil: its {what} is not the claim's")]
    OtherClaim {
        /// What differs.
        what: &'static str,
    },
    /// A panel that cannot be disclosed: the public one, or one that the ticket does not have.
    #[error("counterfoil: no sealed panel {found}, expected 1 to {sealed}")]
    PanelOutOfRange {
        /// The panel that was asked for.
        found: u8,
        /// Number of sealed panels.
        sealed: u8,
    },
}

impl From<FieldError> for CounterfoilError {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CounterfoilJson<'a> {
    version: u64,
    public_key: Hex32,
    claim: Hex32,
    master: SecretHex32,
    sealed_panels: u8,
    dilution: u8,
    marked: Hex32,
    #[serde(borrow, deserialize_with = "object_or_null")]
    licensee: Option<LicenceJson<'a>>,
    #[serde(deserialize_with = "object_or_null")]
    triggers: Option<TriggersJson>,
    #[serde(borrow, deserialize_with = "objects")]
    carriers: Vec<CarrierJson<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LicenceJson<'a> {
    name: Cow<'a, str>,
    positions: SecretHex32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CarrierJson<'a> {
    name: Cow<'a, str>,
    shape: CarrierShape,
    ordinal: u32,
    mask: Cow<'a, str>,
}

/// The owner's private record of one stamped ticket.
#[derive(Clone)]
pub struct Counterfoil {
    master: MasterSeed,
    public_key: PublicKey,
    claim: [u8; 32],
    sealed_panels: PanelCount,
    dilution: Dilution,
    marked: Marked,
    licence: Option<Licence>,
    triggers: Option<TriggerSettings>,
    reference: Vec<(Carrier, Mask)>,
}

impl Counterfoil {
    /// The counterfoil to a claim: its master seed, for a licensee's copy its licence, and the masks of its carriers, in the
    /// claim's order.
    pub fn build(
        claim: &VerifiedClaim,
        master: MasterSeed,
        licence: Option<Licence>,
        reference: Vec<(Carrier, Mask)>,
    ) -> Result<Self, CounterfoilError> {
        let body = claim.body();
        let counterfoil = Self {
            master,
            public_key: *claim.key(),
            claim: *claim.digest(),
            sealed_panels: body.sealed_panels,
            dilution: body.dilution,
            marked: Marked::of_claim(body),
            licence,
            triggers: body.triggers,
            reference,
        };
        counterfoil.check(claim)?;
        Ok(counterfoil)
    }

    /// Whether it belongs to this claim: same key and settings, and the commitments in the claim are to what it holds.
    pub fn check(&self, claim: &VerifiedClaim) -> Result<(), CounterfoilError> {
        let body = claim.body();
        let carriers = || body.carriers.iter().map(|c| (c.carrier(), c.kept));
        let held = || self.reference.iter().map(|(carrier, mask)| (carrier.clone(), mask.kept() as u64));
        let agreements = [
            ("public key", self.public_key == *claim.key()),
            ("claim digest", self.claim == *claim.digest()),
            ("number of sealed panels", self.sealed_panels == body.sealed_panels),
            ("dilution", self.dilution == body.dilution),
            ("licensee", self.licence.as_ref().map(Licence::stated) == body.licensee),
            ("trigger set", self.triggers == body.triggers),
            ("master seed", merkle_root(&self.master) == body.merkle_root),
            ("list of carriers", held().eq(carriers()) && self.marked == Marked::of_claim(body)),
            ("reference mask", reference_mask_commitment(&self.master, &self.reference) == body.reference_mask),
        ];
        match agreements.into_iter().find(|(_, agrees)| !agrees) {
            Some((what, _)) => Err(CounterfoilError::OtherClaim { what }),
            None => Ok(()),
        }
    }

    /// The file's bytes: JSON, encrypted as asked.
    pub fn seal(&self, protection: &Protection) -> Result<Vec<u8>, CounterfoilError> {
        protect(&self.to_json(), protection).map_err(CounterfoilError::Protection)
    }

    /// Opens a counterfoil file.
    pub fn open(bytes: &[u8], unlock: &Unlock) -> Result<Self, CounterfoilError> {
        if bytes.len() > MAX_COUNTERFOIL {
            return Err(CounterfoilError::TooLarge { found: bytes.len(), limit: MAX_COUNTERFOIL });
        }
        Self::from_json(&unprotect(bytes, unlock).map_err(CounterfoilError::Protection)?)
    }

    fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let carriers: Vec<_> = self
            .reference
            .iter()
            .map(|(carrier, mask)| CarrierJson {
                name: Cow::Borrowed(&carrier.name),
                shape: carrier.shape,
                ordinal: carrier.ordinal,
                mask: Cow::Owned(BASE64_STANDARD.encode(mask.to_bytes())),
            })
            .collect();
        // Room for the longest escapes and numbers, so that the buffer never moves and leaves no copy behind.
        let names = self.licence.as_ref().map_or(0, |licence| licence.name.len());
        let room = 1024 + 6 * names + carriers.iter().map(|c| c.mask.len() + 6 * c.name.len() + 256).sum::<usize>();
        let mut json = Zeroizing::new(Vec::with_capacity(room));
        let content = CounterfoilJson {
            version: VERSION,
            public_key: Hex32(*self.public_key.bytes()),
            claim: Hex32(self.claim),
            master: SecretHex32(Zeroizing::new(*self.master.as_bytes())),
            sealed_panels: self.sealed_panels.get(),
            dilution: self.dilution.get(),
            marked: Hex32(*self.marked.as_bytes()),
            licensee: self.licence.as_ref().map(|licence| LicenceJson {
                name: Cow::Borrowed(&licence.name),
                positions: SecretHex32(Zeroizing::new(*licence.positions.as_bytes())),
            }),
            triggers: self.triggers.map(TriggersJson::from),
            carriers,
        };
        serde_json::to_writer(&mut *json, &content).expect("numbers and texts always have a JSON form");
        debug_assert!(json.len() <= room);
        json
    }

    fn from_json(json: &[u8]) -> Result<Self, CounterfoilError> {
        let malformed = |source: serde_json::Error| CounterfoilError::Malformed(source.into());
        let Version { version } = from_slice(json).map_err(malformed)?;
        if version != VERSION {
            return Err(CounterfoilError::UnknownVersion { found: version, expected: VERSION });
        }
        let json: CounterfoilJson = from_slice(json).map_err(malformed)?;
        let order: Vec<_> = json.carriers.iter().map(|c| (&*c.name, c.shape, c.ordinal)).collect();
        check_numbering("carriers", &order)?;
        if let Some(licensee) = &json.licensee {
            check_text("licensee.name", &licensee.name)?;
        }
        let triggers = json.triggers.map(TriggerSettings::from);
        if let Some(triggers) = &triggers {
            check_triggers("triggers", triggers)?;
        }
        let counterfoil = Self {
            public_key: PublicKey::from_bytes(&json.public_key.0).map_err(CounterfoilError::Key)?,
            claim: json.claim.0,
            master: MasterSeed::from_bytes(*json.master.0),
            sealed_panels: PanelCount::new(json.sealed_panels)
                .ok_or_else(|| field("sealedPanels", json.sealed_panels, "1 to 4"))?,
            dilution: Dilution::new(json.dilution).ok_or_else(|| field("dilution", json.dilution, "1, 2, 4 or 8"))?,
            marked: Marked::from_bytes(json.marked.0),
            licence: json.licensee.map(|licence| Licence {
                name: licence.name.into_owned(),
                positions: Positions::from_bytes(*licence.positions.0),
            }),
            triggers,
            reference: json.carriers.iter().enumerate().map(read_carrier).collect::<Result<_, _>>()?,
        };
        counterfoil.check_itself()?;
        Ok(counterfoil)
    }

    /// Whether its parts agree, as far as that can be told without the claim.
    fn check_itself(&self) -> Result<(), FieldError> {
        if self.licence.is_some() {
            let (fields, there) = (["sealedPanels", "dilution", "triggers"], "in a licensee's counterfoil");
            check_licensees_layout(fields, there, self.sealed_panels, self.dilution, self.triggers.as_ref())?;
        }
        let stated = self.licence.as_ref().map(Licence::stated);
        let of = |marked: Marked| stated.as_ref().map_or(marked, |licensee| marked.for_licensee(licensee));
        let kept = self.reference.iter().map(|(carrier, mask)| (carrier, mask.kept() as u64));
        let found = self.reference.iter().map(|(carrier, _)| carrier);
        if [Marked::by_stamping(kept), Marked::by_finding(found)].map(of).contains(&self.marked) {
            return Ok(());
        }
        let found = hex::encode(self.marked.as_bytes());
        Err(field("marked", found, "what its carriers and its licensee give"))
    }

    /// Disclosure of one sealed panel, as JSON. It tells nothing about the others.
    pub fn disclose(&self, panel: PanelId) -> Result<String, CounterfoilError> {
        let sealed = self.sealed_panels;
        if panel.is_public() || !sealed.contains(panel) {
            return Err(CounterfoilError::PanelOutOfRange { found: panel.get(), sealed: sealed.get() });
        }
        Ok(disclosure::write(&self.claim, &self.master, panel, self.licence.as_ref().map(|l| &l.positions)))
    }

    /// Seeds of all panels, the public one first.
    pub fn seeds(&self) -> Vec<(PanelId, Seed)> {
        self.master.panels(&self.public_key, self.sealed_panels, &self.marked)
    }

    /// The master seed.
    pub fn master(&self) -> &MasterSeed {
        &self.master
    }

    /// The owner's public key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Digest of the claim's payload.
    pub fn claim_digest(&self) -> &[u8; 32] {
        &self.claim
    }

    /// Number of sealed panels.
    pub fn sealed_panels(&self) -> PanelCount {
        self.sealed_panels
    }

    /// Whose copy it is about, if it is a licensee's.
    pub fn licence(&self) -> Option<&Licence> {
        self.licence.as_ref()
    }

    /// Which positions belong to which panel.
    pub fn split(&self) -> Split {
        match &self.licence {
            Some(licence) => Split::Licensee(licence.positions.clone()),
            None => Split::Owner(self.sealed_panels),
        }
    }

    /// Dilution of the chips.
    pub fn dilution(&self) -> Dilution {
        self.dilution
    }

    /// Trigger set, if there is one.
    pub fn triggers(&self) -> Option<&TriggerSettings> {
        self.triggers.as_ref()
    }

    /// The marked carriers and their masks at stamping, in the claim's order.
    pub fn reference(&self) -> &[(Carrier, Mask)] {
        &self.reference
    }
}

fn read_carrier((i, json): (usize, &CarrierJson)) -> Result<(Carrier, Mask), FieldError> {
    let size = json.shape.size();
    let mask =
        BASE64_STANDARD.decode(&*json.mask).ok().and_then(|bytes| Mask::from_bytes(size, &bytes)).ok_or_else(|| {
            let found = format!("{} characters that are not that", json.mask.len());
            field(format!("carriers[{i}].mask"), found, format!("the base64 of {size} mask bits"))
        })?;
    Ok((Carrier { name: json.name.to_string(), shape: json.shape, ordinal: json.ordinal }, mask))
}

/// Commitment to the masks of a claim's carriers, in the claim's order (docs/protocol.md, "Reference mask").
pub fn reference_mask_commitment(master: &MasterSeed, reference: &[(Carrier, Mask)]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(&*master.blinding()).expect("HMAC takes keys of any length");
    mac.update(b"counterfoil/v1 reference mask");
    for (carrier, mask) in reference {
        mac.update(&carrier.id());
        mac.update(&mask.to_bytes());
    }
    mac.finalize().into_bytes().into()
}
