//! Statistics of the mask graph, one a file.

mod carrier_statistics;
mod components;
mod dead_channels;
mod effective_sparsity;
mod paths;
mod summary;

pub use carrier_statistics::{CarrierStatistics, DegreeDistribution, carrier_statistics};
pub use components::{Components, components};
pub use dead_channels::{GroupLiveness, dead_channels};
pub use effective_sparsity::{LayerSparsity, Sparsity, effective_sparsity};
pub use paths::count_paths;
pub use summary::{Summary, summarise};
