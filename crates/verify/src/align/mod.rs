//! Aligned readings: the mark under permuted channels.
//!
//! Implements reading 5 of docs/protocol.md, "What is read as kept". The alignment is a function of the suspect and of what
//! the reference mask keeps at the positions of some panels; the panels that are tested are others. So their chips are fair
//! coins to it, and the p-value is as exact as in place (cross-fitting).
//!
//! In reading order: `network` finds the suspect's layers, `layout` in which order of axes, `held` reads them and multiplies factors back, `canonical` merges what
//! was split, `suspect` says what is kept, `folds` says on which panels to
//! align and which to test, `count` does both.

mod canonical;
mod count;
mod folds;
mod held;
mod layout;
mod network;
mod suspect;

pub(crate) use count::AlignedMarks;
pub(crate) use folds::{Fold, folds};
pub(crate) use network::Network;
