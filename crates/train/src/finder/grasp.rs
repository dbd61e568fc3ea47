//! `grasp`: what the gradient's norm would lose (Wang, Zhang & Grosse 2020, arXiv 2002.07376).
//!
//! Of −w · (Hg) the highest are pruned: they reduce the flow of gradients least, or raise it. The product of Hessian and
//! gradient is a central difference of gradients. As in the paper's code logits are divided by a temperature of 200.

use counterfoil_ticket::Model;
use serde_json::{Value, json};

use super::probe::{PROBED, asked};
use super::snip::by_scores;
use super::{Aim, Epochs, Finder, Keying, Scores, Search};
use crate::TrainError;
use crate::network::Network;

/// Step of the difference, as a share of the weights' norm: its error grows with the square, rounding in f32 with the inverse.
const STEP: f64 = 0.01;

/// Temperature of the softmax.
const TEMPERATURE: f32 = 200.0;

/// Nothing to set: all layers compete on one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grasp;

impl Finder for Grasp {
    fn name(&self) -> &'static str {
        "grasp"
    }

    fn settings(&self) -> Value {
        json!({ "examples": PROBED, "step": STEP, "temperature": TEMPERATURE })
    }

    fn keying(&self) -> Keying {
        Keying::Factor
    }

    fn epochs(&self, _: &Aim) -> Option<Epochs> {
        None
    }

    fn seek(&self, search: &mut Search) -> Result<Model, TrainError> {
        let asked = asked(&cooled(&search.network), search);
        let gradient = asked.gradient(&asked.weights);
        let step = STEP * norm(&asked.weights) / norm(&gradient).max(f64::MIN_POSITIVE);
        let moved = |by: f64| -> Scores {
            let tensor = |(name, weights): (&String, &Vec<f32>)| {
                let moved = weights.iter().zip(&gradient[name]).map(|(w, g)| w + (by * f64::from(*g)) as f32);
                (name.clone(), moved.collect())
            };
            asked.gradient(&asked.weights.iter().map(tensor).collect())
        };
        let (mut scores, behind) = (moved(step), moved(-step));
        for (name, scores) in &mut scores {
            let (weights, behind) = (&asked.weights[name], &behind[name]);
            for (position, score) in scores.iter_mut().enumerate() {
                let product = f64::from(*score - behind[position]) / (2.0 * step);
                *score = (f64::from(weights[position]) * product) as f32;
            }
        }
        by_scores(search, scores)
    }
}

/// The network with its logits divided by the temperature: its last layer, which no finder prunes, is what gives them.
fn cooled(network: &Network) -> Network {
    let mut network = network.clone();
    if let Some(last) = network.layers().last().cloned() {
        for name in [last.weight(), format!("{}.bias", last.name)] {
            if let Some(values) = network.parameter(&name) {
                network.set_parameter(name, values.into_iter().map(|v| v / TEMPERATURE).collect());
            }
        }
    }
    network
}

fn norm(values: &Scores) -> f64 {
    values.values().flatten().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt()
}
