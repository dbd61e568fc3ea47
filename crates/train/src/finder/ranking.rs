//! Which positions are kept: the best scored, together or by layer, with ties broken by name and position.

use std::collections::BTreeMap;

use counterfoil_mark::ordered;
use counterfoil_ticket::Mask;
use serde::{Deserialize, Serialize};

use super::{Masks, Scores};
use crate::TrainError;

/// What competes for being kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All layers together.
    #[default]
    Global,
    /// Each layer on its own: all of them end equally sparse.
    Layer,
}

/// How many positions are kept.
#[derive(Debug, Clone)]
pub(crate) enum Allotment {
    /// So many of all layers.
    Together(usize),
    /// So many of each layer.
    Each(BTreeMap<String, usize>),
}

impl Scope {
    /// The allotment of a density, `kept(n)` of n positions.
    pub(crate) fn allot(self, masks: &Masks, kept: impl Fn(usize) -> usize) -> Allotment {
        match self {
            Self::Global => Allotment::Together(kept(masks.values().map(Mask::size).sum())),
            Self::Layer => {
                // A layer without weights would cut the network in two.
                let of = |mask: &Mask| kept(mask.size()).max(1);
                Allotment::Each(masks.iter().map(|(name, mask)| (name.clone(), of(mask))).collect())
            }
        }
    }
}

/// A position that competes. Ordered by score, then by layer, then by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    rank: u32,
    layer: usize,
    position: usize,
}

/// Of the positions that `masks` keep, those with the best scores. Fewer if there are not so many.
pub(crate) fn best(masks: &Masks, scores: &Scores, allotment: &Allotment) -> Masks {
    let mut kept: Masks = masks.clone();
    let competing = masks.iter().enumerate().map(|(layer, (name, mask))| {
        let rank = |position| Ranked { rank: ordered(scores[name][position]), layer, position };
        mask.positions().map(rank).collect::<Vec<_>>()
    });
    let mut drop = |mut ranked: Vec<Ranked>, count: usize| {
        let dropped = ranked.len().saturating_sub(count);
        if dropped > 0 && dropped < ranked.len() {
            ranked.select_nth_unstable(dropped);
        }
        let mut masks: Vec<&mut Mask> = kept.values_mut().collect();
        ranked[..dropped].iter().for_each(|at| masks[at.layer].set(at.position, false));
    };
    match allotment {
        Allotment::Together(count) => drop(competing.flatten().collect(), *count),
        Allotment::Each(counts) => {
            competing.zip(masks.keys()).for_each(|(ranked, name)| drop(ranked, counts.get(name).copied().unwrap_or(0)));
        }
    }
    kept
}

/// Scores of any kind as shares of rank among all positions, 0 to 1, plus 1 where the masks keep: kept and pruned positions on
/// one scale, and none so close to another that it is lost in rounding.
pub(crate) fn on_one_scale(masks: &Masks, scores: &Scores) -> Scores {
    let mut ranked: Vec<Ranked> = Vec::with_capacity(scores.values().map(Vec::len).sum());
    for (layer, values) in scores.values().enumerate() {
        ranked.extend(values.iter().enumerate().map(|(position, &v)| Ranked { rank: ordered(v), layer, position }));
    }
    ranked.sort_unstable();
    let mut scaled: Scores = scores.iter().map(|(name, values)| (name.clone(), vec![0.0; values.len()])).collect();
    let count = ranked.len() as f64;
    let mut layers: Vec<(&Mask, &mut Vec<f32>)> =
        scaled.iter_mut().map(|(name, values)| (&masks[name], values)).collect();
    for (order, Ranked { layer, position, .. }) in ranked.into_iter().enumerate() {
        let (mask, values) = &mut layers[layer];
        let kept = if mask.keeps(position) { 1.0 } else { 0.0 };
        values[position] = (kept + order as f64 / count) as f32;
    }
    scaled
}

/// Refuses scores that have no order.
pub(crate) fn check_finite(scores: &Scores) -> Result<(), TrainError> {
    match scores.iter().find(|(_, values)| !values.iter().all(|v| v.is_finite())) {
        Some((name, _)) => Err(TrainError::Score { tensor: name.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (Masks, Scores) {
        let masks = [("a", 3), ("b", 4)].map(|(name, size)| (name.to_owned(), Mask::full(size)));
        let scores = [("a", vec![-1.0, 5.0, 5.0]), ("b", vec![0.0, -0.0, 4.0, 9.0])].map(|(n, s)| (n.to_owned(), s));
        (masks.into(), scores.into())
    }

    fn kept(masks: &Masks) -> [Vec<usize>; 2] {
        ["a", "b"].map(|name| masks[name].positions().collect())
    }

    #[test]
    fn the_best_are_kept_together_or_by_layer() {
        let (masks, scores) = example();
        assert_eq!(kept(&best(&masks, &scores, &Allotment::Together(3))), [vec![1, 2], vec![3]]);
        assert_eq!(kept(&best(&masks, &scores, &Allotment::Together(2))), [vec![2], vec![3]]);
        assert_eq!(kept(&best(&masks, &scores, &Scope::Layer.allot(&masks, |n| n / 2))), [vec![2], vec![2, 3]]);
        assert_eq!(kept(&best(&masks, &scores, &Allotment::Together(0))), [const { Vec::<usize>::new() }; 2]);
        // What is pruned already does not compete.
        let fewer = best(&masks, &scores, &Allotment::Together(4));
        assert_eq!(kept(&best(&fewer, &scores, &Allotment::Together(6))), kept(&fewer));
    }

    #[test]
    fn one_scale_puts_all_kept_above_all_pruned_and_keeps_the_order() {
        let (masks, scores) = example();
        let masks = best(&masks, &scores, &Scope::Layer.allot(&masks, |n| n / 2));
        let scaled = on_one_scale(&masks, &scores);
        let sevenths = |values: &[f32]| values.iter().map(|v| (v * 7.0).round() as u32).collect::<Vec<_>>();
        assert_eq!(sevenths(&scaled["a"]), [0, 4, 7 + 5]);
        assert_eq!(sevenths(&scaled["b"]), [1, 2, 7 + 3, 7 + 6]);
    }

    #[test]
    fn scores_without_an_order_are_refused() {
        let scores = Scores::from([("a".to_owned(), vec![0.0, f32::NAN])]);
        let message = "a score of 'a' is no finite number, expected finite ones";
        assert_eq!(check_finite(&scores).unwrap_err().to_string(), message);
    }
}
