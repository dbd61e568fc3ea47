//! Keys, seeds, panels, commitments, signed claims, counterfoils and disclosures.
//!
//! An owner holds an [`OwnerKey`]; everybody else its [`PublicKey`]. From them derive the [`Seed`]s of a mark's panels:
//! panel 0 from the public key, the sealed ones from a [`MasterSeed`]. A claim states what a stamped ticket carries and
//! commits to the sealed panels by a [`merkle_root`]; the owner keeps the [`Counterfoil`], and discloses panels from it.
//!
//! ```
//! # use counterfoil_claim::{ClaimBody, Counterfoil, OpenedPanel, PanelId, PublicKey, Unlock, VerifiedClaim};
//! # fn verify(claim: &[u8], owner_pem: &str, disclosure: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! let owner = PublicKey::from_pem(owner_pem)?;
//! let claim = VerifiedClaim::verify(claim, &owner)?; // nothing is parsed before the signature is checked
//! let opened: OpenedPanel = claim.open(disclosure)?; // the claim had committed to it
//! let (panel, seed) = (opened.panel(), opened.seed());
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`PublicKey`] and [`OwnerKey`]; [`PanelId`], [`PanelCount`], [`Split`], [`Dilution`] and the seeds;
//! [`Marked`], [`merkle_root`]; [`ClaimBody`], [`sign`], [`VerifiedClaim`]; [`OpenedPanel`]; [`Counterfoil`] and its
//! [`Protection`]; [`KeyMask`].
//!
//! Absent on purpose: what the seeds are used for (chips, triggers, tests: crate `counterfoil-mark`), clocks (the time in
//! a claim is passed in), files (bytes come in and go out).

#![cfg_attr(test, allow(clippy::unwrap_used))] // In a test a panic is the report.

mod claim;
mod claim_rules;
mod counterfoil;
mod disclosure;
mod envelope;
mod hex_bytes;
mod key;
mod key_mask;
mod licensee;
mod marked;
mod merkle;
mod objects;
mod protection;
mod seed;
mod split;
mod statement;

pub use claim::{
    ClaimBody, ClaimError, ClaimedCarrier, PanelStrength, Part, Stamping, StampingMethod, Subject, TriggerSettings,
    VerifiedClaim, sign,
};
pub use claim_rules::{
    FieldError, MAX_CARRIERS, MAX_CLASSES, MAX_POSITIONS, MAX_TEXT, MAX_TRIGGER_BYTES, MAX_TRIGGERS, is_text,
};
pub use counterfoil::{Counterfoil, CounterfoilError, MAX_COUNTERFOIL, reference_mask_commitment};
pub use disclosure::{DisclosureError, MAX_DISCLOSURE, OpenedPanel};
pub use envelope::{MAX_ENVELOPE, PAYLOAD_TYPE, pae};
pub use key::{KeyError, MAX_PBKDF2_ITERATIONS, MAX_SCRYPT_MEMORY, MAX_SCRYPT_PASSES, OwnerKey, Passphrase, PublicKey};
pub use key_mask::{HeldBack, KeyMask, KeyMaskError, MAX_KEY_MASK};
pub use licensee::{Licence, Licensee};
pub use marked::Marked;
pub use merkle::merkle_root;
pub use protection::{
    Identity, MAX_WORK_FACTOR, Protection, ProtectionError, Recipient, Unlock, WORK_FACTOR, protect, unprotect,
};
pub use seed::{Dilution, MasterSeed, PanelCount, PanelId, Seed};
pub use split::{Positions, Split};
pub use statement::{PREDICATE_TYPE, STATEMENT_TYPE};
