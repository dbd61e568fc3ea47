//! The weights that the loss depends on to second order: ½ w² |∂²L/∂w²| ("optimal brain damage", LeCun, Denker & Solla
//! 1989), its diagonal estimated without the Hessian.
//!
//! Hutchinson's estimator (Bekas, Kokiopoulou & Saad 2007, doi 10.1016/j.apnum.2007.01.003): diag(A) is the mean of z ⊙ Az
//! over random signs z. Here A = D H D with D = diag(|w|), so that the mean is w² ∂²L/∂w² itself, and A z comes from
//! gradients at w ± ε |w| z: every weight moves by the same share of itself.

use std::collections::BTreeMap;

use counterfoil_mark::{Importance, Strategy, StrategyError};
use counterfoil_ticket::Model;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::Probe;

/// Share of itself by which each weight moves: the error of central differences grows with its square, rounding in f32
/// with its inverse.
const STEP: f32 = 0.01;

/// Stream of the generator that draws signs, apart from the examples'.
const SIGNS: u64 = 1;

/// ½ w² |∂²L/∂w²|.
pub struct Hessian<'a> {
    /// What the network is asked with.
    pub probe: Probe<'a>,
    /// Number of random sign vectors, each of which takes two gradients.
    pub samples: u32,
}

impl Strategy for Hessian<'_> {
    fn name(&self) -> &'static str {
        "hessian"
    }

    fn importance(&self, ticket: &Model) -> Result<Importance, StrategyError> {
        let asked = self.probe.ask(ticket)?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.probe.seed);
        rng.set_stream(SIGNS);
        let zeros = |weights: &Vec<f32>| vec![0.0; weights.len()];
        let mut sums: Importance = asked.weights.iter().map(|(name, w)| (name.clone(), zeros(w))).collect();
        for _ in 0..self.samples.max(1) {
            let mut signs =
                |w: &Vec<f32>| w.iter().map(|_| if rng.next_u32() >> 31 == 0 { 1.0 } else { -1.0 }).collect();
            let signs: BTreeMap<&String, Vec<f32>> = asked.weights.iter().map(|(name, w)| (name, signs(w))).collect();
            let moved = |by: f32| {
                let moved = |(w, z): (&f32, &f32)| w + by * w.abs() * z;
                let tensor =
                    |(name, w): (&String, &Vec<f32>)| (name.clone(), w.iter().zip(&signs[name]).map(moved).collect());
                asked.gradient(&asked.weights.iter().map(tensor).collect())
            };
            let (ahead, behind) = (moved(STEP), moved(-STEP));
            for (name, sum) in &mut sums {
                let (weights, signs, ahead, behind) = (&asked.weights[name], &signs[name], &ahead[name], &behind[name]);
                for (p, sum) in sum.iter_mut().enumerate() {
                    let product = f64::from(ahead[p] - behind[p]) / (2.0 * f64::from(STEP));
                    *sum += f64::from(signs[p] * weights[p].abs()) * product;
                }
            }
        }
        let mean = 0.5 / f64::from(self.samples.max(1));
        sums.values_mut().flatten().for_each(|sum| *sum = (*sum * mean).abs());
        Ok(sums)
    }
}
