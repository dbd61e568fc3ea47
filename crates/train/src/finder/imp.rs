//! `imp`: iterative magnitude pruning, the finder of the paper.
//!
//! Train; prune the smallest weights, of all layers together or of each; put what is left back to its value at an early
//! epoch; repeat. Frankle & Carbin 2018 (arXiv 1803.03635: back to the initialisation, layer by layer in their small
//! networks), rewinding: Frankle et al. 2019 (arXiv 1903.01611), recipe: Chen et al. 2021 (arXiv 2111.00162, section 4).

use counterfoil_ticket::Model;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ranking::best;
use super::rounds::{MAX_ROUNDS, in_rounds};
use super::{Aim, Epochs, Finder, Keying, Scope, Search, check_share, recorded};
use crate::TrainError;

/// How to prune.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imp {
    /// Share of the remaining weights that each round prunes, 0 to 1; the last round prunes what is left to do.
    pub prune_share: f64,
    /// What competes.
    pub scope: Scope,
}

impl Imp {
    /// Number of prunings until the sparsity is reached.
    pub fn rounds(&self, aim: &Aim) -> u32 {
        let rounds = (1.0 - aim.sparsity).ln() / (1.0 - self.prune_share).ln();
        // A hair below a whole number is rounding, not another round.
        (rounds - 1e-9).ceil().max(1.0) as u32
    }

    /// Kept weights of `total` after `round` prunings, counted from 1.
    fn kept_after(&self, aim: &Aim, round: u32, total: usize) -> usize {
        let density = (1.0 - self.prune_share).powi(round as i32).max(1.0 - aim.sparsity);
        (density * total as f64).round() as usize
    }
}

impl Finder for Imp {
    fn name(&self) -> &'static str {
        "imp"
    }

    fn settings(&self) -> Value {
        recorded(self)
    }

    fn keying(&self) -> Keying {
        Keying::Decay
    }

    fn epochs(&self, aim: &Aim) -> Option<Epochs> {
        Some(Epochs { rounds: self.rounds(aim), first: aim.schedule.epochs, rewind: aim.rewind })
    }

    fn check(&self, aim: &Aim) -> Result<(), TrainError> {
        aim.check()?;
        check_share("prune share", self.prune_share)?;
        if self.rounds(aim) > MAX_ROUNDS {
            let expected = "a share that gets there within 10,000 rounds";
            return Err(TrainError::Setting { name: "prune share", found: self.prune_share, expected });
        }
        Ok(())
    }

    fn seek(&self, search: &mut Search) -> Result<Model, TrainError> {
        let (extra_decay, rounds) = (search.favour().extra_decay(), self.rounds(&search.aim));
        in_rounds(
            search,
            |course| rounds.saturating_sub(course.round),
            extra_decay,
            |course, search| {
                let magnitudes = course.magnitudes();
                let kept = |total| self.kept_after(&search.aim, course.round + 1, total);
                let allotment = self.scope.allot(&course.masks, kept);
                Ok((best(&course.masks, &magnitudes, &allotment), magnitudes))
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Schedule;

    fn settings(sparsity: f64, prune_share: f64) -> (Imp, Aim) {
        let imp = Imp { prune_share, scope: Scope::Global };
        (imp, Aim { schedule: Schedule::paper(4), sparsity, rewind: 1, seed: 0 })
    }

    fn rounds((imp, aim): (Imp, Aim)) -> u32 {
        imp.rounds(&aim)
    }

    #[test]
    fn the_papers_rounds_end_exactly_at_the_sparsity() {
        let (imp, aim) = settings(0.95, 0.2);
        assert_eq!([1, 2, 14].map(|r| imp.kept_after(&aim, r, 100_000)), [80_000, 64_000, 5_000]);
        let found = [(0.95, 0.2), (0.36, 0.2), (0.5, 0.5)].map(|(sparsity, share)| rounds(settings(sparsity, share)));
        assert_eq!(found, [14, 2, 1]);
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let late = settings(0.5, 0.2);
        let late = (late.0, Aim { rewind: 4, ..late.1 });
        for ((imp, aim), message) in [
            (settings(1.0, 0.2), "sparsity is 1, expected a share between 0 and 1"),
            (settings(0.5, 0.0), "prune share is 0, expected a share between 0 and 1"),
            (late, "rewind is 4, expected an epoch before the last one"),
        ] {
            assert_eq!(imp.check(&aim).unwrap_err().to_string(), message);
        }
    }
}
