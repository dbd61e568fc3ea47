//! The weights by what they contribute on the way from nothing: integrated gradients (Sundararajan, Taly & Yan 2017, arXiv
//! 1703.01365, equation 1) over weights instead of inputs.
//!
//! The attribution of w is w · ∫₀¹ ∂L/∂w (αw) dα, from the baseline 0 along a straight line for all masked tensors together,
//! by the midpoint rule. Attributions add up to L(w) − L(0).

use counterfoil_mark::{Importance, Strategy, StrategyError};
use counterfoil_ticket::Model;

use super::{Probe, combine};

/// |w · ∫ ∂L/∂w|.
pub struct IntegratedGradients<'a> {
    /// What the network is asked with.
    pub probe: Probe<'a>,
    /// Number of points on the line, each of which takes a gradient.
    pub steps: u32,
}

impl IntegratedGradients<'_> {
    /// The attributions with their signs.
    pub(crate) fn attributions(&self, ticket: &Model) -> Result<Importance, StrategyError> {
        let asked = self.probe.ask(ticket)?;
        let steps = self.steps.max(1);
        let mut mean = asked.weights.clone();
        mean.values_mut().flatten().for_each(|value| *value = 0.0);
        for step in 0..steps {
            let share = (step as f32 + 0.5) / steps as f32;
            let scaled = |w: &Vec<f32>| w.iter().map(|w| share * w).collect();
            let at = asked.weights.iter().map(|(name, w)| (name.clone(), scaled(w))).collect();
            for (name, gradient) in asked.gradient(&at) {
                let sums = mean.get_mut(&name).expect("gradients are of the same tensors");
                sums.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g / steps as f32);
            }
        }
        Ok(combine(&asked.weights, &mean, |w, g| w * g))
    }
}

impl Strategy for IntegratedGradients<'_> {
    fn name(&self) -> &'static str {
        "integrated-gradients"
    }

    fn importance(&self, ticket: &Model) -> Result<Importance, StrategyError> {
        let mut attributions = self.attributions(ticket)?;
        attributions.values_mut().flatten().for_each(|value| *value = value.abs());
        Ok(attributions)
    }
}
