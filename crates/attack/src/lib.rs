//! Attacks on the mark: what somebody does to a stolen model who wants to keep it and lose the mark.
//!
//! One attack a file behind the trait [`Attack`], each with its source; [`attacks`] lists them. An attack takes a model as a
//! thief finds it ([`stolen`]), what he has beside it ([`Means`]) and [`Settings`], and gives another model or an
//! [`Endpoint`]. Those that train do so on a [`Sparse`] network: a Burn network and the masks it is held to.

mod add_back;
mod attack;
mod draw;
mod endpoint;
mod error;
mod extraction;
mod informed;
#[cfg(test)]
mod kit;
mod model;
mod odd_images;
mod parameter;
mod registry;
mod sparse;
mod sparse_training;
mod structure;
mod tuning;
#[cfg(test)]
mod victim;

pub use add_back::{Guess, add_back, drawn_weights};
pub use attack::{Attack, Attacked, Class, Cost, Endpoint, Insight, Means, Need, Profile, handed_on, stolen};
pub use error::AttackError;
pub use model::prune::{Victims, prune, prune_masks};
pub use parameter::{Parameter, Range, Settings, Value};
pub use registry::{attack, attacks};
pub use sparse::Sparse;
pub use sparse_training::rewire::{Growth, Rewiring, rewire};
pub use structure::mirror::turn_kernels;
pub use tuning::fine_tune::{FineTuning, fine_tune};
