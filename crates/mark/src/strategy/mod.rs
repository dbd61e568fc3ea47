//! Strategies: which kept positions of a ticket its key mask should hold back.
//!
//! One a file behind one trait. Those of Chen et al. 2021 (arXiv 2111.00162, section 3.2) that need nothing but the ticket
//! are here; those that need gradients are in crate `train`.

mod magnitude;
mod random;

use std::collections::BTreeMap;

use counterfoil_graph::GraphError;
use counterfoil_ticket::Model;

pub use magnitude::Magnitude;
pub use random::Random;

/// How much each position of each masked tensor matters, by name and flat position; higher is held back first. Only values
/// of kept positions count; NaN matters least.
pub type Importance = BTreeMap<String, Vec<f64>>;

/// Why a strategy cannot tell which positions matter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StrategyError {
    /// A strategy that follows the network's wiring, and a ticket that does not say what it is.
    #[error("the ticket does not say which network it is, expected an architecture in its description")]
    NoArchitecture,
    /// The masks do not fit the architecture.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A strategy that asks the network failed.
    #[error(transparent)]
    Network(Box<dyn std::error::Error + Send + Sync>),
}

/// Which kept positions of a ticket matter most.
pub trait Strategy {
    /// Its name, as it is recorded in key masks.
    fn name(&self) -> &'static str;

    /// The importance of all positions of all tensors that have a mask. `ticket` holds no weights outside its masks.
    ///
    /// # Errors
    ///
    /// Whatever keeps the strategy from telling.
    fn importance(&self, ticket: &Model) -> Result<Importance, StrategyError>;
}
