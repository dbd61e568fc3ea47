//! Alignment: which channels of a suspect are which channels of a ticket, though somebody has permuted them.
//!
//! Weight matching of Ainsworth, Hayase & Srinivasa 2022 (Git Re-Basin, arXiv 2209.04836, section 3.2) on masks: the
//! permutations of all node groups are sought under which the suspect keeps as many as possible of the positions that the
//! reference keeps. One group at a time is a linear assignment given all others; groups take turns until nothing changes.
//! Where the paper starts from the identity, which means nothing here, the first start is from what no permutation
//! changes: see `signature`.
//!
//! Reading order: [`AlignLayer`] and [`Tie`] go in, [`Aligner`] indexes them, [`Aligner::align`] gives an [`Alignment`],
//! and [`finds_itself`] says whether that would have worked.
//! Similarities are scale-free, sign-free and centred, so that they say nothing of how many positions a channel keeps.
//! What is counted is integers, what is drawn comes from a seed, and the result does not depend on the number of threads.

mod aligner;
mod assignment;
mod control;
mod descent;
mod kept_lists;
mod shift;
mod signature;
mod similarity;
#[cfg(test)]
mod tests;

pub use aligner::{AlignError, AlignLayer, Aligner, MAX_PAIRS, Side, Tie};
pub use control::finds_itself;
pub use descent::{AlignSettings, Alignment, Channels};
pub use shift::Shift;
