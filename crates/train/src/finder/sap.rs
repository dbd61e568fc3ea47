//! `sap`: sparsity-informed adaptive pruning (Diao et al. 2023, arXiv 2302.05601): iterative magnitude pruning in which the
//! weights' PQ index says how much each round prunes.
//!
//! I(w) = 1 − d^(1/q − 1/p) ‖w‖_p / ‖w‖_q of d kept weights is 0 where all are equal and near 1 where few have it all.
//! With p = 1/2 and q = 1 at least d (1 − I) of them are to be retained (their bound with η = 0), so a round prunes the
//! share I, with γ = 1 and at most β = 0.9, of all layers together or of each: p, q, η, γ and β as the authors choose them
//! unless they vary them.
//!
//! They do not aim at a sparsity, but stop after 15 or 30 rounds. Shares fall from round to round, since what is kept are
//! the largest weights, which are ever more alike: of weights that are spread evenly from 1 − ρ to 1, I is about ρ²/48. At
//! least 1 % is pruned here, so that every sparsity is reached.

use counterfoil_ticket::Model;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::course::Course;
use super::ranking::{Allotment, best};
use super::rounds::in_rounds;
use super::{Aim, Epochs, Finder, Keying, Scope, Search, recorded};
use crate::TrainError;

/// Most of what is kept that a round prunes: β.
const MOST: f64 = 0.9;
/// Least of it, so that a search ends even where all weights are equal. Ours, not the paper's.
const LEAST: f64 = 0.01;
/// Share that the first round prunes, about, for an estimate of how many rounds there are: of normally distributed weights I
/// is 1 − Γ(3/4)² / √π = 0.153.
const FIRST: f64 = 0.15;
/// How the shares fall, for the same: in proportion to the round to the power −0.6, as measured on the digits, in rounds of
/// 2 epochs as in those of 12.
const FALL: f64 = 0.6;

/// How to prune.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sap {
    /// What has a PQ index, and competes.
    pub scope: Scope,
}

impl Finder for Sap {
    fn name(&self) -> &'static str {
        "sap"
    }

    fn settings(&self) -> Value {
        recorded(self)
    }

    fn keying(&self) -> Keying {
        Keying::Decay
    }

    fn epochs(&self, aim: &Aim) -> Option<Epochs> {
        let rounds = rounds_left(1.0 - aim.sparsity, 0, FIRST);
        Some(Epochs { rounds, first: aim.schedule.epochs, rewind: aim.rewind })
    }

    fn estimates_rounds(&self) -> bool {
        true
    }

    fn seek(&self, search: &mut Search) -> Result<Model, TrainError> {
        let (extra_decay, full) = (search.favour().extra_decay(), search.full_masks());
        let wanted = self.scope.allot(&full, |total| search.aim.kept(total));
        let left = |course: &Course| {
            let left = |wanted, kept, pruned| estimate(wanted, kept, course.round, pruned);
            match &wanted {
                Allotment::Together(wanted) => {
                    let pruned = course.masks.keys().map(|name| course.pruned_latest(name)).sum();
                    left(*wanted, course.counts().0, pruned)
                }
                Allotment::Each(wanted) => {
                    let of =
                        |(name, &n): (&String, &usize)| left(n, course.masks[name].kept(), course.pruned_latest(name));
                    wanted.iter().map(of).max().unwrap_or(0)
                }
            }
        };
        in_rounds(search, left, extra_decay, |course, _| {
            let magnitudes = course.magnitudes();
            let kept =
                |name: &String| -> Vec<f32> { course.masks[name].positions().map(|p| magnitudes[name][p]).collect() };
            let allotment = match &wanted {
                Allotment::Together(wanted) => {
                    Allotment::Together(after_pruning(course.masks.keys().flat_map(kept).collect()).max(*wanted))
                }
                Allotment::Each(wanted) => {
                    let of = |(name, &wanted): (&String, &usize)| (name.clone(), after_pruning(kept(name)).max(wanted));
                    Allotment::Each(wanted.iter().map(of).collect())
                }
            };
            Ok((best(&course.masks, &magnitudes, &allotment), magnitudes))
        })
    }
}

/// Rounds that are left from so many weights to so many, after `round` of them, the latest of which pruned so many.
fn estimate(wanted: usize, kept: usize, round: u32, pruned_latest: usize) -> u32 {
    if kept <= wanted {
        return 0;
    }
    let first = match pruned_latest {
        0 => FIRST,
        pruned => pruned as f64 / (kept + pruned) as f64 * f64::from(round).powf(FALL),
    };
    rounds_left(wanted as f64 / kept as f64, round, first)
}

/// Rounds down to a density, at least 1, after `done` of them, if the first pruned this share and they fall as usual.
fn rounds_left(density: f64, done: u32, first: f64) -> u32 {
    let (mut left, mut round) = (1.0, done);
    while left > density {
        round += 1;
        left *= 1.0 - (first * f64::from(round).powf(-FALL)).clamp(LEAST, MOST);
    }
    (round - done).max(1)
}

/// How many of these magnitudes a round leaves.
fn after_pruning(magnitudes: Vec<f32>) -> usize {
    let count = magnitudes.len();
    let pruned = (pq_index(&magnitudes).clamp(LEAST, MOST) * count as f64).floor() as usize;
    count - pruned.max(1).min(count)
}

/// 1 − (Σ √|w|)² / (d Σ |w|): the PQ index for p = 1/2, q = 1.
fn pq_index(magnitudes: &[f32]) -> f64 {
    let sum: f64 = magnitudes.iter().map(|&w| f64::from(w)).sum();
    let roots: f64 = magnitudes.iter().map(|&w| f64::from(w).sqrt()).sum();
    if sum == 0.0 { 0.0 } else { 1.0 - roots * roots / (magnitudes.len() as f64 * sum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_that_of_its_definition() {
        assert!(pq_index(&[0.5; 8]).abs() < 1e-12);
        assert!((pq_index(&[1.0, 0.0, 0.0, 0.0]) - 0.75).abs() < 1e-12);
        // (1 + 2)² / (2 · 5).
        assert!((pq_index(&[1.0, 4.0]) - 0.1).abs() < 1e-12);
        let scaled = [3.0, 12.0].map(|w| w * 7.0);
        assert!((pq_index(&scaled) - 0.1).abs() < 1e-7);
    }

    #[test]
    fn the_estimate_is_that_of_a_run() {
        assert_eq!(estimate(100, 100, 3, 7), 0);
        assert_eq!(estimate(500, 1000, 1, 9000), 1);
        // Of a search that took 132 rounds from 49,200 weights to 4,920: a perceptron on the digits, 2 epochs a round.
        let estimates = [(0, 49_200, 0), (3, 35_745, 2_656), (20, 18_964, 494), (110, 6_110, 61)];
        assert_eq!(
            estimates.map(|(round, kept, pruned)| round + estimate(4_920, kept, round, pruned)),
            [118, 139, 120, 132]
        );
    }

    #[test]
    fn alike_weights_have_an_index_near_0() {
        let of = |least: f32| (0..10_000).map(|i| least + (1.0 - least) * i as f32 / 10_000.0).collect::<Vec<_>>();
        assert!((pq_index(&of(0.0)) - 1.0 / 9.0).abs() < 1e-3);
        assert!((pq_index(&of(0.8)) / (0.2 * 0.2 / 48.0) - 1.0).abs() < 0.3);
    }

    #[test]
    fn a_round_prunes_by_the_index_within_its_bounds() {
        assert_eq!(after_pruning(vec![1.0; 1000]), 990);
        assert_eq!(after_pruning((0..10).map(|i| if i == 0 { 1.0 } else { 0.0 }).collect()), 1);
        // A tenth of 66, rounded down.
        assert_eq!(after_pruning([1.0, 4.0].repeat(33)), 60);
    }
}
