//! Splits: which positions belong to which panel, and the secret by which licensees' marks keep theirs.
//!
//! Implements "Panels" and "Licensees" of docs/protocol.md as far as they are about keys; the split itself is drawn by the
//! crate `mark`. All licensees' marks of one ticket lie on the same positions, so that whoever merges copies keeps something
//! of each. Where these are is secret, so that a single licensee cannot aim at them.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::PanelCount;

/// The secret of where the licensees' marks of one ticket lie; all its copies share it.
#[derive(Clone)]
pub struct Positions(Zeroizing<[u8; 32]>);

impl Positions {
    /// One that is already known.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What a claim states of it.
    pub fn commitment(&self) -> [u8; 32] {
        Sha256::new_with_prefix("counterfoil/v1 licensee positions").chain_update(self.as_bytes()).finalize().into()
    }
}

/// Which positions belong to which panel.
#[derive(Clone)]
pub enum Split {
    /// Of an owner's mark: every position is in one of its panels, by a public function of the key.
    Owner(PanelCount),
    /// Of a licensee's mark: one position in eight is in its sealed panel, the others in none.
    Licensee(Positions),
}

impl Split {
    /// Number of sealed panels of a licensee's mark.
    pub const LICENSEES: PanelCount = PanelCount::new(1).expect("one is allowed");

    /// Number of sealed panels.
    pub const fn sealed(&self) -> PanelCount {
        match self {
            Self::Owner(sealed) => *sealed,
            Self::Licensee(_) => Self::LICENSEES,
        }
    }
}
