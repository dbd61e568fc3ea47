//! The weights that are largest as the ticket holds them: "OMP", one-shot magnitude, of Chen et al. 2021 (arXiv 2111.00162).

use counterfoil_ticket::Model;

use super::{Importance, Strategy, StrategyError};

/// |w|.
#[derive(Debug, Clone, Copy)]
pub struct Magnitude;

impl Strategy for Magnitude {
    fn name(&self) -> &'static str {
        "magnitude"
    }

    fn importance(&self, ticket: &Model) -> Result<Importance, StrategyError> {
        let magnitudes = |name: &String| ticket.arrays[name].values().iter().map(|w| f64::from(w.abs())).collect();
        Ok(ticket.masks.keys().map(|name| (name.clone(), magnitudes(name))).collect())
    }
}
