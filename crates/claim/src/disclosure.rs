//! Disclosures: one sealed panel, opened, with the proof that the claim committed to it.
//!
//! Implements "Disclosure" of docs/protocol.md. A disclosure is not signed: it proves itself, since its opening hashes to
//! the Merkle root in the signed claim. An [`OpenedPanel`] exists only if it did.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::hex_bytes::{Hex32, SecretHex32};
use crate::merkle::{audit_path, is_under_root};
use crate::objects::from_slice;
use crate::seed::Opening;
use crate::statement::present;
use crate::{ClaimBody, Marked, MasterSeed, PanelId, Positions, Seed, Split, VerifiedClaim};

/// Most bytes of a disclosure that are read; one has about 500.
pub const MAX_DISCLOSURE: usize = 1 << 16;

/// The version of the format that is written and read.
const VERSION: u64 = 1;

/// Why a disclosure opens nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DisclosureError {
    /// Found before parsing.
    #[error("disclosure: {found} bytes, expected at most {limit}")]
    TooLarge {
        /// Its size.
        found: usize,
        /// [`MAX_DISCLOSURE`].
        limit: usize,
    },
    /// Not JSON of the right form: truncated, a field missing, repeated, unknown or of the wrong type.
    #[error("disclosure: the JSON is malformed")]
    Malformed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A disclosure in a format of another version.
    #[error("disclosure: version {found}, expected version {expected}")]
    UnknownVersion {
        /// Its version.
        found: u64,
        /// The version that is read.
        expected: u64,
    },
    /// It opens a panel of another claim.
    #[error("disclosure: made for claim {found}, expected claim {expected}")]
    OtherClaim {
        /// Digest of its claim.
        found: String,
        /// Digest of the claim it was tried on.
        expected: String,
    },
    /// The claim has no such sealed panel.
    #[error("disclosure: opens panel {found}, expected one of the claim's sealed panels 1 to {sealed}")]
    PanelOutOfRange {
        /// Its panel.
        found: u8,
        /// Number of sealed panels.
        sealed: u8,
    },
    /// The claim did not commit to this opening.
    #[error("disclosure: the opening of panel {panel} with its audit path does not lead to the claim's Merkle root")]
    NotUnderRoot {
        /// Its panel.
        panel: u8,
    },
    /// The claim did not commit to these positions; or shows none, and the disclosure does, or the other way round.
    #[error("disclosure: positions are not {}", if *.is_licensees {
        "those that the licensee's claim commits to"
    } else {
        "null, as for an owner's claim"
    })]
    OtherPositions {
        /// Whether the claim is a licensee's.
        is_licensees: bool,
    },
}

/// The one field that every version has.
#[derive(Deserialize)]
pub(crate) struct Version {
    pub(crate) version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DisclosureJson {
    version: u64,
    claim: Hex32,
    panel: u8,
    opening: SecretHex32,
    audit_path: Vec<Hex32>,
    #[serde(deserialize_with = "present")]
    positions: Option<SecretHex32>,
}

/// A sealed panel whose opening the claim had committed to, and its seed.
#[derive(Clone)]
pub struct OpenedPanel {
    claim: [u8; 32],
    panel: PanelId,
    seed: Seed,
    split: Split,
}

impl OpenedPanel {
    pub(crate) fn open(disclosure: &[u8], claim: &VerifiedClaim) -> Result<Self, DisclosureError> {
        if disclosure.len() > MAX_DISCLOSURE {
            return Err(DisclosureError::TooLarge { found: disclosure.len(), limit: MAX_DISCLOSURE });
        }
        let malformed = |source: serde_json::Error| DisclosureError::Malformed(source.into());
        let Version { version } = from_slice(disclosure).map_err(malformed)?;
        if version != VERSION {
            return Err(DisclosureError::UnknownVersion { found: version, expected: VERSION });
        }
        let json: DisclosureJson = from_slice(disclosure).map_err(malformed)?;
        if json.claim.0 != *claim.digest() {
            let (found, expected) = (hex::encode(json.claim.0), hex::encode(claim.digest()));
            return Err(DisclosureError::OtherClaim { found, expected });
        }
        let sealed = claim.body().sealed_panels;
        let panel = PanelId::sealed(json.panel)
            .filter(|&panel| sealed.contains(panel))
            .ok_or(DisclosureError::PanelOutOfRange { found: json.panel, sealed: sealed.get() })?;
        let opening = Opening(json.opening.0);
        let path: Vec<[u8; 32]> = json.audit_path.iter().map(|hash| hash.0).collect();
        let root = &claim.body().merkle_root;
        if !is_under_root(root, panel, &opening, &path) {
            return Err(DisclosureError::NotUnderRoot { panel: json.panel });
        }
        let split = split(claim.body(), json.positions)?;
        Ok(Self { claim: *claim.digest(), panel, seed: opening.seed(root, &Marked::of_claim(claim.body())), split })
    }

    /// Digest of the claim that committed to it.
    pub fn claim_digest(&self) -> &[u8; 32] {
        &self.claim
    }

    /// Which panel.
    pub fn panel(&self) -> PanelId {
        self.panel
    }

    /// Its seed.
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Which positions belong to which panel of the claim's mark.
    pub fn split(&self) -> &Split {
        &self.split
    }
}

/// The split of the claim; a licensee's takes the secret to which the claim commits.
fn split(claim: &ClaimBody, positions: Option<SecretHex32>) -> Result<Split, DisclosureError> {
    let positions = positions.map(|bytes| Positions::from_bytes(*bytes.0));
    let committed = claim.licensee.as_ref().map(|licensee| licensee.positions);
    if positions.as_ref().map(Positions::commitment) != committed {
        return Err(DisclosureError::OtherPositions { is_licensees: committed.is_some() });
    }
    Ok(positions.map_or(Split::Owner(claim.sealed_panels), Split::Licensee))
}

/// The disclosure of a sealed panel, one of the P: JSON on several lines.
pub(crate) fn write(claim: &[u8; 32], master: &MasterSeed, panel: PanelId, positions: Option<&Positions>) -> String {
    let json = DisclosureJson {
        version: VERSION,
        claim: Hex32(*claim),
        panel: panel.get(),
        opening: SecretHex32(master.opening(panel).0),
        audit_path: audit_path(master, panel).into_iter().map(Hex32).collect(),
        positions: positions.map(|positions| SecretHex32(Zeroizing::new(*positions.as_bytes()))),
    };
    serde_json::to_string_pretty(&json).expect("numbers and texts always have a JSON form") + "\n"
}
