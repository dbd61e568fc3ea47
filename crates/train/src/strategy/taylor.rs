//! The weights that the loss depends on to first order: |w · ∂L/∂w| (Molchanov et al. 2019, arXiv 1906.10771, equation 8;
//! "Taylor" of Chen et al. 2021, arXiv 2111.00162).

use counterfoil_mark::{Importance, Strategy, StrategyError};
use counterfoil_ticket::Model;

use super::{Probe, combine};

/// |w · ∂L/∂w|.
pub struct Taylor<'a>(
    /// What the network is asked with.
    pub Probe<'a>,
);

impl Strategy for Taylor<'_> {
    fn name(&self) -> &'static str {
        "taylor"
    }

    fn importance(&self, ticket: &Model) -> Result<Importance, StrategyError> {
        let asked = self.0.ask(ticket)?;
        Ok(combine(&asked.weights, &asked.gradient(&asked.weights), |w, g| (w * g).abs()))
    }
}
