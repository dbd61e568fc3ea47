//! Licensees: whose copy of a stamped ticket a claim is about.
//!
//! Implements "Licensees" of docs/protocol.md as far as it is about claims and counterfoils.

use crate::Positions;

/// Whose copy a claim is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licensee {
    /// A name for people, as the owner states it.
    pub name: String,
    /// [`Positions::commitment`] of the secret that all copies of the ticket share.
    pub positions: [u8; 32],
}

/// What the owner keeps of it.
#[derive(Clone)]
pub struct Licence {
    /// The licensee's name.
    pub name: String,
    /// Where the mark lies.
    pub positions: Positions,
}

impl Licence {
    /// What the claim says of it.
    pub fn stated(&self) -> Licensee {
        Licensee { name: self.name.clone(), positions: self.positions.commitment() }
    }
}
