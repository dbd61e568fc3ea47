//! What the loss says of a network's weights, on examples that are drawn once.

use super::Search;
use crate::network::Network;
use crate::strategy::Asked;
use crate::training::EpochSeed;

/// Examples that are asked about, at most all: some fifty a class on ten classes.
pub(super) const PROBED: usize = 512;

/// Round of the generator that draws them, apart from those of training.
const ROUND: u32 = 1 << 30;

/// Seed of what a finder draws of the examples.
pub(super) fn probe_seed(search: &Search) -> EpochSeed {
    EpochSeed { seed: search.aim.seed, round: ROUND }
}

/// A network of the search with all its weights, and the examples.
pub(super) fn asked(network: &Network, search: &Search) -> Asked {
    Asked::of(network.clone(), &search.full_masks(), search.examples, PROBED, probe_seed(search))
}
