//! Finding under a key: what any finder does for the mark.

use std::collections::BTreeMap;

use counterfoil_ticket::{Mask, Model};

use super::{Masks, Scores};
use crate::marked::OwnMark;
use crate::network::Network;

/// The mark that a ticket is found for, and how hard.
#[derive(Clone, Copy)]
pub struct Keyed<'a> {
    /// All of its panels.
    pub mark: &'a OwnMark,
    /// Extra decay of weights at chip −1, in finders that train.
    pub decay: f64,
    /// Factor of scores at chip −1, above 0 and at most 1, in finders that score.
    pub factor: f64,
}

/// How a finder favours a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keying {
    /// It trains weights and ranks them by magnitude: those at chip −1 decay faster.
    Decay,
    /// It ranks by scores of another kind: those at chip −1 count for less.
    Factor,
    /// It ranks trained weights by magnitude, and chooses by scores what it begins with or grows: both.
    Both,
}

/// Which positions a search would rather not keep, and how much so.
#[derive(Debug, Clone)]
pub struct Favour {
    against: Masks,
    decay: f64,
    factor: f64,
}

impl Favour {
    /// That of a mark, for the masked layers of a network; without a mark, none.
    pub(crate) fn of(keyed: Option<&Keyed>, network: &Network, masks: &Masks) -> Self {
        let Some(keyed) = keyed else { return Self { against: Masks::new(), decay: 0.0, factor: 1.0 } };
        let model = Model { arrays: network.arrays(), masks: masks.clone(), ..Model::default() };
        let against = keyed.mark.extra_decay(&model.marked_carriers(), 1.0);
        let against = against.into_iter().map(|(name, at)| (name, Mask::of_nonzero(&at))).collect();
        Self { against, decay: keyed.decay, factor: keyed.factor }
    }

    /// Decay to add, by weight tensor and position.
    pub(crate) fn extra_decay(&self) -> BTreeMap<String, Vec<f32>> {
        let decay =
            |mask: &Mask| (0..mask.size()).map(|p| if mask.keeps(p) { self.decay as f32 } else { 0.0 }).collect();
        self.against.iter().map(|(name, mask)| (name.clone(), decay(mask))).collect()
    }

    /// Makes scores at chip −1 worse: nearer to 0 above it, further from 0 below.
    pub(crate) fn weigh(&self, scores: &mut Scores) {
        let factor = self.factor as f32;
        for (name, mask) in &self.against {
            let scores = scores.get_mut(name).expect("the favour is of the scores' layers");
            for position in mask.positions() {
                let score = &mut scores[position];
                *score = if *score >= 0.0 { *score * factor } else { *score / factor };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_against_the_mark_get_worse_on_both_sides_of_zero() {
        let against = Masks::from([("a".to_owned(), Mask::from_fn(4, |p| p < 2))]);
        let favour = Favour { against, decay: 0.5, factor: 0.5 };
        let mut scores = Scores::from([("a".to_owned(), vec![2.0, -2.0, 2.0, -2.0])]);
        favour.weigh(&mut scores);
        assert_eq!(scores["a"], [1.0, -4.0, 2.0, -2.0]);
        assert_eq!(favour.extra_decay()["a"], [0.5, 0.5, 0.0, 0.0]);
    }
}
