//! QR codes laid over the channel connectivity of a ticket: scheme 2 of *You are caught stealing my winning lottery
//! ticket!* (Chen et al., NeurIPS 2021).
//!
//! A carrier's *connectivity matrix* says for each pair of output and input channel whether the kernel between them keeps
//! anything. [`embed`] changes it where a code fits best so that its data modules are there, dark for kept kernels; [`Reader`]
//! looks at every place of every carrier for data modules that decode. docs/paper-schemes.md says it to the bit.
//!
//! A code is evidence of nothing by itself: it has no secret, so anybody can lay one over a model that was stolen. It says
//! whose model this is meant to be to people who find it; who was first, the panels of a stamp decide.
//!
//! Codes are encoded by `fast_qr`, which tells data modules from function patterns, and decoded by `rqrr`, which takes
//! modules and needs no picture; neither brings `image`.

mod connectivity;
mod embed;
mod format;
mod layout;
mod modules;
mod read;
mod reed_solomon;
#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests;

pub use embed::{EmbedError, Embedded, Request, Whereabouts, embed, held};
pub use format::{Format, Level, MAX_VERSION, Version};
pub use read::{Found, Picture, Reader};

use counterfoil_claim::PublicKey;
use serde::{Deserialize, Serialize};

/// Where the first module of a code is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Name of the carrier.
    pub carrier: String,
    /// Output channel.
    pub row: usize,
    /// Input channel.
    pub column: usize,
}

/// A code in a carrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// What it says. In codes that were read, bytes other than printable ASCII are written out: `\\x00`.
    pub text: String,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// Its version and level.
    pub format: Format,
    /// Its mask pattern, 0 to 7.
    pub mask_pattern: u8,
}

/// The first 24 digits of a key's id: what a code of version 3 and level H holds. 96 bits, so that nobody finds another key
/// for it.
pub fn short_id(key: &PublicKey) -> String {
    key.key_id()[..24].to_owned()
}
