//! Why there is no report. A suspect that could be looked at always gets one.

use counterfoil_mark::{Log2P, TriggerError};
use counterfoil_ticket::{Digest, ModelError, ReadError};

use crate::BlackBoxError;

/// Why a suspect could not be judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The tests asked for need something that was not given.
    #[error("no suspect to test: expected {expected}")]
    NoSuspect {
        /// What would do.
        expected: &'static str,
    },
    /// A threshold that a model without any mark would pass.
    #[error("threshold: {found} bits, expected at most -1")]
    Threshold {
        /// The threshold.
        found: Log2P,
    },
    /// The claim is another owner's.
    #[error("claim: signed by key {found}, expected key {expected}")]
    OtherKey {
        /// Id of the key that signed it.
        found: String,
        /// Id of the key that is looked for.
        expected: String,
    },
    /// A disclosure says nothing without the claim that had committed to it.
    #[error("disclosure: opens panel {panel}, but the claim that it belongs to is missing")]
    DisclosureWithoutClaim {
        /// The panel.
        panel: u8,
    },
    /// Counted twice, a panel would look stronger than it is.
    #[error("disclosure: panel {panel} is disclosed {times} times, expected once")]
    RepeatedDisclosure {
        /// The panel.
        panel: u8,
        /// How often.
        times: usize,
    },
    /// A panel that another claim had committed to says nothing under this one.
    #[error("disclosure: panel {panel} belongs to another claim, expected this one's")]
    OtherClaim {
        /// The panel.
        panel: u8,
    },
    /// A reference mask that is none of the carrier it is given for.
    #[error("reference mask: {found} positions for '{carrier}', expected {expected}")]
    ReferenceMask {
        /// The carrier.
        carrier: String,
        /// Positions of the mask.
        found: usize,
        /// Positions of the carrier.
        expected: usize,
    },
    /// The ticket that somebody shows is not the one that his claim is about.
    #[error("original: the ticket has the canonical digest {found}, expected {expected}, as the claim says")]
    OtherOriginal {
        /// Digest of the ticket that is shown.
        found: Digest,
        /// Digest of the claim's subject.
        expected: Digest,
    },
    /// A dispute of a claim with itself.
    #[error("both claims of the dispute are claim {claim}, expected two different ones")]
    SameClaim {
        /// Its digest.
        claim: Digest,
    },
    /// A ticket that has no canonical digest.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// There is nothing to align the suspect with.
    #[error("alignment: the claim and its reference mask are missing")]
    NothingToAlignWith,
    /// The suspect cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A tensor that takes too much memory to be balanced.
    #[error("tensor '{tensor}' has {found} weights for each output, expected at most {limit}")]
    TooWide {
        /// The tensor.
        tensor: String,
        /// Weights of a row.
        found: usize,
        /// [`MAX_ROW`](crate::MAX_ROW).
        limit: usize,
    },
    /// No triggers derive for images and classes like these.
    #[error("the triggers of panel {panel} cannot be derived")]
    Triggers {
        /// The panel.
        panel: u8,
        /// Why.
        #[source]
        source: TriggerError,
    },
    /// No answer could be had; that is no miss.
    #[error(transparent)]
    BlackBox(#[from] BlackBoxError),
    /// Which answer belongs to which image cannot be told.
    #[error("the black box gave {found} answers to {expected} images")]
    AnswerCount {
        /// Number of answers.
        found: usize,
        /// Number of images.
        expected: usize,
    },
}
