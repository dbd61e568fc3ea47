//! Moving a mask: the smallest weights are dropped, and as many positions are grown where the gradient is largest.

use counterfoil_ticket::Mask;

use super::course::Course;
use super::favour::Favour;
use super::probe::probe_seed;
use super::{Scores, Search};

/// Examples whose gradient decides what grows.
pub const GRADIENT_EXAMPLES: usize = 256;

/// Drops the `share` of kept positions with the smallest |w|, grows as many with the largest |gradient|; ties to the lower
/// position.
pub fn move_positions(mask: &mut Mask, weights: &[f32], gradient: &[f32], share: f64) {
    let mut kept: Vec<usize> = mask.positions().collect();
    let mut pruned: Vec<usize> = (0..mask.size()).filter(|&position| !mask.keeps(position)).collect();
    let count = ((kept.len() as f64 * share).round() as usize).min(pruned.len());
    kept.sort_by(|&a, &b| weights[a].abs().total_cmp(&weights[b].abs()));
    pruned.sort_by(|&a, &b| gradient[b].abs().total_cmp(&gradient[a].abs()));
    kept[..count].iter().for_each(|&position| mask.set(position, false));
    pruned[..count].iter().for_each(|&position| mask.set(position, true));
}

/// Half a cosine from `share` down to 0, where `progress` goes from 0 to 1.
pub fn cosine(share: f64, progress: f64) -> f64 {
    share / 2.0 * (1.0 + (std::f64::consts::PI * progress).cos())
}

impl Course {
    /// Moves `share` of each layer's kept positions.
    pub(super) fn regrow(&mut self, search: &Search, favour: &Favour, share: f64) {
        let (weights, mut gradients) = (self.weights(), self.gradients(search));
        favour.weigh(&mut gradients);
        for (name, mask) in &mut self.masks {
            move_positions(mask, &weights[name], &gradients[name], share);
        }
        self.hold();
    }

    /// Scores of a mask that was moved: magnitudes of what is kept, of the rest the gradient that would have grown it.
    pub(super) fn score_by_growth(&mut self, search: &Search) {
        let (magnitudes, mut scores) = (self.magnitudes(), self.gradients(search));
        for (name, mask) in &self.masks {
            let scores = scores.get_mut(name).expect("gradients are of all parameters");
            mask.positions().for_each(|position| scores[position] = magnitudes[name][position]);
        }
        self.scores = super::ranking::on_one_scale(&self.masks, &scores);
    }

    /// |∂L/∂w| on some examples.
    fn gradients(&self, search: &Search) -> Scores {
        let count = GRADIENT_EXAMPLES.min(search.examples.len());
        let mut gradients = self.learner.gradients(search.examples, count, probe_seed(search));
        gradients.retain(|name, _| self.masks.contains_key(name));
        gradients.values_mut().flatten().for_each(|g| *g = g.abs());
        gradients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_weights_move_to_the_largest_gradients() {
        let mut mask = Mask::from_fn(6, |position| position < 4);
        move_positions(&mut mask, &[0.4, -0.1, 0.3, 0.2, 0.0, 0.0], &[9.0, 9.0, 9.0, 9.0, 0.1, -0.2], 0.25);
        assert_eq!(mask.positions().collect::<Vec<_>>(), [0, 2, 3, 5]);
    }
}
