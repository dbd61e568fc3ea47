//! Attacks on the mark: what somebody does to a stolen model who wants to keep it and lose the mark.
//!
//! One attack a file, each with its source. All of them take and give a [`Sparse`] network: a Burn network and the
//! masks it is held to. [`prune`] cuts kept positions, [`rewire`] moves them while it trains (RigL); [`fine_tune`]
//! trains on with the mask held and is also the recovery after the others. [`add_back`] guesses what a locked ticket
//! holds back, [`turn_kernels`] mirrors a network.

mod add_back;
mod fine_tune;
mod prune;
mod rewire;
mod turn;

use std::collections::BTreeMap;

use counterfoil_ticket::Mask;
use counterfoil_train::Network;

pub use add_back::{Guess, add_back, drawn_weights};
pub use fine_tune::{FineTuning, fine_tune};
pub use prune::{Victims, prune, prune_masks};
pub use rewire::{Rewiring, rewire};
pub use turn::turn_kernels;

/// A network and the masks of its carriers.
#[derive(Debug, Clone)]
pub struct Sparse {
    /// The network; its weights are 0 outside the masks.
    pub network: Network,
    /// Kept positions by weight tensor.
    pub masks: BTreeMap<String, Mask>,
}

impl Sparse {
    /// Kept positions of all carriers.
    pub fn kept(&self) -> usize {
        self.masks.values().map(Mask::kept).sum()
    }

    /// Share of the kept positions that `before` did not keep.
    pub fn turnover(&self, before: &Self) -> f64 {
        let stayed: usize = self.masks.iter().map(|(name, mask)| mask.overlap(&before.masks[name])).sum();
        1.0 - stayed as f64 / self.kept().max(1) as f64
    }
}
