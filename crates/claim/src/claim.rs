//! Claims: public, signed statements about stamped tickets.
//!
//! Implements "Claim" of docs/protocol.md: a DSSE envelope over an in-toto Statement v1 whose predicate is a
//! [`ClaimBody`]. A [`VerifiedClaim`] exists only if its signature was checked over the bytes received, and only then
//! was anything in them parsed. What a well-signed claim must still satisfy is in `claim_rules.rs`, its JSON in
//! `statement.rs`; docs/formats-claims.md has every field and an example.

use counterfoil_ticket::{Carrier, CarrierShape, Digest, ImageShape, Provenance};
use sha2::Sha256;

use crate::envelope::Envelope;
use crate::{
    Dilution, DisclosureError, FieldError, Licensee, OpenedPanel, OwnerKey, PanelCount, PanelId, PublicKey,
    claim_rules, statement,
};

/// What a claim says of a stamped ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimBody {
    /// The stamped ticket.
    pub subject: Subject,
    /// Whose copy it is, if this is a licensee's mark on top of the owner's.
    pub licensee: Option<Licensee>,
    /// Its marked carriers, in natural order of their names.
    pub carriers: Vec<ClaimedCarrier>,
    /// Number P of sealed panels.
    pub sealed_panels: PanelCount,
    /// Dilution D of the chips.
    pub dilution: Dilution,
    /// Merkle root over the sealed panels' seeds ([`merkle_root`](crate::merkle_root)).
    pub merkle_root: [u8; 32],
    /// What each panel carried at stamping: panel 0, then the sealed ones.
    pub panels: Vec<PanelStrength>,
    /// Commitment to the reference mask ([`reference_mask_commitment`](crate::reference_mask_commitment)).
    pub reference_mask: [u8; 32],
    /// Fingerprint of the mask graph, if the architecture is described.
    pub graph_fingerprint: Option<[u8; 32]>,
    /// Trigger set, if the owner trains with one.
    pub triggers: Option<TriggerSettings>,
    /// How the mark was put in.
    pub stamping: Stamping,
    /// Where the initial weights came from.
    pub provenance: Provenance,
    /// Time of stamping as the owner states it, RFC 3339. Nobody vouches for it.
    pub created: String,
    /// Tool and version that made the claim.
    pub tool: String,
}

/// The ticket that a claim is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// A name for people, the file's for instance. Nothing is looked up by it.
    pub name: String,
    /// Canonical digest of the stamped ticket.
    pub digest: Digest,
}

/// A marked carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedCarrier {
    /// Tensor name, shared prefix removed.
    pub name: String,
    /// Shape.
    pub shape: CarrierShape,
    /// Index from 0 among *all* the ticket's carriers of this shape, marked or not, in natural order of the names.
    pub ordinal: u32,
    /// Number of kept positions.
    pub kept: u64,
}

impl ClaimedCarrier {
    /// The carrier without its kept count.
    pub fn carrier(&self) -> Carrier {
        Carrier { name: self.name.clone(), shape: self.shape, ordinal: self.ordinal }
    }

    /// Share of kept positions, 0 to 1.
    pub fn density(&self) -> f64 {
        self.kept as f64 / self.shape.size() as f64
    }
}

/// The tally that one panel carried at stamping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PanelStrength {
    /// Which panel.
    pub panel: PanelId,
    /// Kept active positions.
    pub n: u64,
    /// How many of them have chip +1.
    pub hits: u64,
}

/// The trigger set that derives from the panels' seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriggerSettings {
    /// Shape of the images.
    pub image: ImageShape,
    /// Number of classes C.
    pub classes: u32,
    /// Number of triggers of panel 0.
    pub public: u32,
    /// Number of triggers of each sealed panel.
    pub sealed_each: u32,
}

impl TriggerSettings {
    /// Number of triggers of this panel.
    pub fn count(&self, panel: PanelId) -> u32 {
        if panel.is_public() { self.public } else { self.sealed_each }
    }
}

/// How the mark was put in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stamping {
    /// By which method.
    pub method: StampingMethod,
    /// Number of positions that swaps brought in, or that thinning dropped.
    pub moved: u64,
    /// Extra weight decay λ at chip −1 positions, if there was any.
    pub decay: Option<f64>,
    /// Factor of the scores at chip −1 positions, if the ticket was found by scores that it lowered.
    pub factor: Option<f64>,
}

/// How chips came to agree with the mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StampingMethod {
    /// Kept positions were exchanged for pruned ones.
    Swaps,
    /// The ticket was found under unequal weight decay, or by scores that chips changed.
    KeyedFinding,
    /// Kept positions were dropped, and none taken in: in a ticket of whole channels there is nothing to exchange them
    /// for.
    Thinning,
}

impl StampingMethod {
    /// Whether the number of positions that each carrier keeps was there before the seeds, and enters them.
    pub fn binds_kept(self) -> bool {
        match self {
            Self::Swaps | Self::Thinning => true,
            Self::KeyedFinding => false,
        }
    }

    /// Its name in a claim.
    pub fn name(self) -> &'static str {
        match self {
            Self::Swaps => "swaps",
            Self::KeyedFinding => "keyed-finding",
            Self::Thinning => "thinning",
        }
    }
}

/// Part of a claim that JSON is parsed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The DSSE envelope.
    Envelope,
    /// The in-toto Statement in its payload.
    Statement,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Envelope => "envelope",
            Self::Statement => "statement",
        })
    }
}

/// Why a claim was refused, or cannot be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Found before parsing.
    #[error("claim: {found} bytes, expected at most {limit}")]
    TooLarge {
        /// Size of the envelope.
        found: usize,
        /// [`MAX_ENVELOPE`](crate::MAX_ENVELOPE).
        limit: usize,
    },
    /// Not JSON of the right form: truncated, a field missing, repeated, unknown or of the wrong type.
    #[error("claim: the {part} is malformed")]
    Malformed {
        /// Which layer.
        part: Part,
        /// What the parser says, with line and column.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The envelope carries something that is no in-toto Statement.
    #[error("claim: payload type '{found}', expected '{}'", crate::PAYLOAD_TYPE)]
    PayloadType {
        /// Its payload type.
        found: String,
    },
    /// Not exactly one signature.
    #[error("claim: {found} signatures, expected exactly one")]
    SignatureCount {
        /// How many.
        found: usize,
    },
    /// Not base64.
    #[error("claim: {field} is not standard base64 with padding")]
    Base64 {
        /// Which field of the envelope.
        field: &'static str,
        /// Where it goes wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Not an Ed25519 signature.
    #[error("claim: the signature has {found} bytes, expected 64")]
    SignatureLength {
        /// Its length.
        found: usize,
    },
    /// Signed with another key than the one it is checked against.
    #[error("claim: signed by key {found}, expected key {expected}")]
    OtherKey {
        /// Id of the key that the envelope names.
        found: String,
        /// Id of the key it is checked against.
        expected: String,
    },
    /// The signature does not fit: the claim was changed after signing, or never signed by this key.
    #[error("claim: the signature does not fit the payload under key {key}")]
    BadSignature {
        /// Id of the key.
        key: String,
    },
    /// A claim in a format of a newer version.
    #[error("claim: '{found}' is of a newer version, expected '{expected}'")]
    NewerVersion {
        /// Its type.
        found: String,
        /// The type that this version reads.
        expected: &'static str,
    },
    /// A signed statement about something else.
    #[error("claim: a statement of type '{found}', expected '{expected}'")]
    NotAClaim {
        /// Its type.
        found: String,
        /// The type of claims.
        expected: &'static str,
    },
    /// A field that says something impossible.
    #[error("claim: {0}")]
    Field(FieldError),
}

impl From<FieldError> for ClaimError {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

/// Signs a claim, after checking that a verifier will accept it. The result is the DSSE envelope, JSON on one line.
///
/// The same body and key give the same bytes.
pub fn sign(body: &ClaimBody, key: &OwnerKey) -> Result<String, ClaimError> {
    claim_rules::check(body)?;
    Ok(Envelope::sign(&statement::write(body, &key.public()), key))
}

/// A claim whose signature was checked: only [`VerifiedClaim::verify`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedClaim {
    body: ClaimBody,
    key: PublicKey,
    digest: [u8; 32],
}

impl VerifiedClaim {
    /// Checks that this key has signed this envelope, then reads the claim in it.
    pub fn verify(bytes: &[u8], key: &PublicKey) -> Result<Self, ClaimError> {
        let payload = Envelope::parse(bytes)?.verify(key)?;
        let body = statement::read(&payload, key)?;
        claim_rules::check(&body)?;
        let digest = <Sha256 as sha2::Digest>::digest(&payload).into();
        Ok(Self { body, key: *key, digest })
    }

    /// What it says.
    pub fn body(&self) -> &ClaimBody {
        &self.body
    }

    /// The key that signed it.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// SHA-256 of the payload as received, by which counterfoils and disclosures name the claim.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Opens a panel with a disclosure, given as its JSON.
    pub fn open(&self, disclosure: &[u8]) -> Result<OpenedPanel, DisclosureError> {
        OpenedPanel::open(disclosure, self)
    }
}
