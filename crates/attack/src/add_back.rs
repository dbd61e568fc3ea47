//! Guessing a key mask: an attacker with a locked ticket keeps as many other positions as he thinks are held back.
//!
//! "fake key" of Chen et al. 2021 (arXiv 2111.00162, section 4.2): at random, or by the magnitude of the rewound weights,
//! for whoever has those (a public checkpoint, or a ticket whose weights were handed on dense).

use std::collections::BTreeMap;

use counterfoil_ticket::{Mask, Model};
use counterfoil_train::data::shuffle;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings};

/// Which pruned positions are kept again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// Any, by this seed.
    Random(u64),
    /// Those of the largest rewound weights.
    Largest,
}

/// Keeps `count` more positions of all carriers together, or all if there are fewer; `rewound` gives a carrier's rewound
/// weights by name. Ties and order are by carrier name, then position.
pub fn add_back(masks: &mut BTreeMap<String, Mask>, rewound: impl Fn(&str) -> Vec<f32>, count: usize, guess: Guess) {
    let mut pruned = Vec::new();
    for (carrier, (name, mask)) in masks.iter().enumerate() {
        let weights = match guess {
            Guess::Random(_) => Vec::new(),
            Guess::Largest => rewound(name),
        };
        // Bits of floats that are not negative sort as the floats do.
        let rank = |position: usize| weights.get(position).map_or(0, |w| !w.abs().to_bits());
        let positions = (0..mask.size()).filter(|&position| !mask.keeps(position));
        pruned.extend(positions.map(|position| (rank(position), carrier, position)));
    }
    match guess {
        Guess::Random(seed) => shuffle(&mut pruned, &mut ChaCha8Rng::seed_from_u64(seed)),
        Guess::Largest => pruned.sort_unstable(),
    }
    let mut masks: Vec<&mut Mask> = masks.values_mut().collect();
    for &(_, carrier, position) in pruned.iter().take(count) {
        masks[carrier].set(position, true);
    }
}

/// Weights for who has no rewound ones: normal with the deviation of each tensor's kept weights, by name. (The paper draws
/// N(0, 1) / 100.)
pub fn drawn_weights(model: &Model, masks: &BTreeMap<String, Mask>, seed: u64) -> BTreeMap<String, Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // 24 bits fill a float's mantissa exactly; never 0, of which there is no logarithm.
    let uniform = |rng: &mut ChaCha8Rng| (f64::from(rng.next_u32() >> 8) + 1.0) / f64::from(1 << 24);
    // Box & Muller 1958.
    let mut normal = || {
        let (radius, angle) = ((-2.0 * uniform(&mut rng).ln()).sqrt(), std::f64::consts::TAU * uniform(&mut rng));
        radius * angle.cos()
    };
    let mut drawn = |(name, mask): (&String, &Mask)| {
        let values = model.arrays[name].values();
        let squares: f64 = mask.positions().map(|p| f64::from(values[p]).powi(2)).sum();
        let deviation = (squares / mask.kept().max(1) as f64).sqrt();
        (name.clone(), values.iter().map(|_| (deviation * normal()) as f32).collect())
    };
    masks.iter().map(&mut drawn).collect()
}

/// Guesses a key mask at random.
pub(crate) struct AddBackRandom;
/// Guesses a key mask by the largest rewound weights.
pub(crate) struct AddBackMagnitude;

impl Attack for AddBackRandom {
    fn undoes_a_lock(&self) -> bool {
        true
    }

    fn profile(&self) -> Profile {
        Profile {
            name: "add-back-rand",
            does: "keep pruned positions again, at random: a guess at a key mask, with values from the rewound weights if known",
            class: Class::Informed,
            cost: Cost::None,
            needs: &[],
            source: "fake key: Chen et al. 2021 (arXiv 2111.00162), section 4.2",
            parameters: const {
                &[Parameter::share(
                    "share",
                    "0.05",
                    "share f of the whole ticket's kept weights that the key mask is thought to hold: f / (1 - f) of those left come back",
                )]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let rewound = match &means.rewound {
            Some(rewound) => rewound_weights(&stolen, rewound)?,
            None => drawn_weights(&stolen, &stolen.masks, means.seed),
        };
        Ok(Attacked::Model(added_back(stolen, settings, &rewound, Guess::Random(means.seed))))
    }
}

impl Attack for AddBackMagnitude {
    fn undoes_a_lock(&self) -> bool {
        true
    }

    fn profile(&self) -> Profile {
        Profile {
            name: "add-back-mag",
            does: "keep pruned positions again, those of the largest rewound weights",
            needs: &[Need::Rewound],
            ..AddBackRandom.profile()
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let rewound = means.rewound.as_ref().ok_or(AttackError::Lacks { what: Need::Rewound })?;
        let rewound = rewound_weights(&stolen, rewound)?;
        Ok(Attacked::Model(added_back(stolen, settings, &rewound, Guess::Largest)))
    }
}

fn added_back(mut model: Model, settings: &Settings, rewound: &BTreeMap<String, Vec<f32>>, guess: Guess) -> Model {
    let kept: usize = model.masks.values().map(Mask::kept).sum();
    let count = held_back(settings.number("share"), kept);
    let held = model.masks.clone();
    add_back(&mut model.masks, |name| rewound[name].clone(), count, guess);
    for (name, mask) in &model.masks {
        let values = model.arrays.get_mut(name).expect("masks are of the model's tensors").values_mut();
        for position in mask.positions().filter(|&position| !held[name].keeps(position)) {
            values[position] = rewound[name][position];
        }
    }
    model
}

/// How many positions a key mask holds that has this share of a ticket's, if so many are left. Rounding makes it one more or
/// less. All, of a share of 1.
fn held_back(share: f64, left: usize) -> usize {
    (share / (1.0 - share) * left as f64).round() as usize
}

/// The rewound weights of the masked tensors, which must have the same shapes, and zeros at no more than half of the pruned
/// positions: zeros are no guess at what a key mask holds.
fn rewound_weights(model: &Model, other: &Model) -> Result<BTreeMap<String, Vec<f32>>, AttackError> {
    let weights = weights_like(model, other)?;
    let (mut pruned, mut zeros) = (0, 0);
    for (name, mask) in &model.masks {
        for position in (0..mask.size()).filter(|&position| !mask.keeps(position)) {
            pruned += 1;
            zeros += usize::from(weights[name][position] == 0.0);
        }
    }
    if 2 * zeros > pruned {
        return Err(AttackError::Sparse { zeros, pruned });
    }
    Ok(weights)
}

/// The masked tensors of another model, which must have them in the same shapes.
fn weights_like(model: &Model, other: &Model) -> Result<BTreeMap<String, Vec<f32>>, AttackError> {
    let weights = |name: &String| {
        let array = other.arrays.get(name).filter(|array| array.shape() == model.arrays[name].shape());
        let array = array.ok_or_else(|| AttackError::Unsuitable {
            reason: format!("the rewound weights have no tensor '{name}' of its shape"),
        })?;
        Ok((name.clone(), array.values().to_vec()))
    };
    model.masks.keys().map(weights).collect()
}

#[cfg(test)]
mod tests {
    use counterfoil_mark::{Locked, Magnitude, lock};
    use counterfoil_ticket::Array;

    use super::*;
    use crate::kit::{MLP, attacked, kept, no_means, sparse_model};
    use crate::victim::attempt;
    use crate::{attack, stolen};

    fn masks() -> BTreeMap<String, Mask> {
        ["a", "b"].map(|name| (name.to_owned(), Mask::from_fn(50, |p| p < 10))).into()
    }

    #[test]
    fn the_largest_pruned_weights_come_back() {
        let mut masks = masks();
        let weights = |name: &str| (0..50).map(|p| if name == "a" { p as f32 } else { -0.5 - p as f32 }).collect();
        add_back(&mut masks, weights, 3, Guess::Largest);
        let new = |name: &str| masks[name].positions().filter(|&p| p >= 10).collect::<Vec<_>>();
        assert_eq!((new("a"), new("b")), (vec![49], vec![48, 49]));
    }

    #[test]
    fn drawn_weights_are_as_large_as_the_kept_ones() {
        let values = (0..10_000).map(|i| if i % 2 == 0 { 0.3 } else { 9.0 }).collect();
        let array = Array::new(vec![100, 100], values).unwrap();
        let model = Model { arrays: BTreeMap::from([("a".to_owned(), array)]), ..Model::default() };
        let masks = BTreeMap::from([("a".to_owned(), Mask::from_fn(10_000, |p| p % 2 == 0))]);
        let drawn = &drawn_weights(&model, &masks, 1)["a"];
        let mean_square = drawn.iter().map(|w| w * w).sum::<f32>() / 10_000.0;
        // A mean of 10,000 squares of normals has a standard deviation of √2 %; five of them.
        assert!((mean_square / 0.09 - 1.0).abs() < 0.071, "{mean_square}");
    }

    #[test]
    fn as_many_come_back_as_a_key_mask_of_the_share_took() {
        let mut ticket = sparse_model(MLP(), 0.4);
        ticket.masks.values_mut().for_each(|mask| *mask = Mask::from_fn(mask.size(), |p| p % 5 < 2));
        let whole = kept(&ticket);
        for share in ["0.05", "0.3", "0.5"] {
            let Locked { ticket: locked, key_mask, .. } = lock(&ticket, &Magnitude, share.parse().unwrap()).unwrap();
            let guessed = attacked("add-back-rand", &stolen(locked), &[("share", share)]).unwrap();
            assert!(kept(&guessed).abs_diff(whole) <= 1, "{share}: {} {whole} {}", kept(&guessed), key_mask.size());
        }
        assert_eq!((held_back(0.0, 100), held_back(0.5, 100)), (0, 100));
        assert_eq!(held_back(1.0, 100), usize::MAX);
    }

    #[test]
    fn rewound_weights_that_are_pruned_are_refused() {
        let locked = sparse_model(MLP(), 0.1);
        let with = |name: &str, rewound: Model| {
            let mut on_event = |_| ();
            let mut means = Means { rewound: Some(rewound), ..no_means(&mut on_event) };
            attempt(attack(name).unwrap(), &locked, &[], &mut means).map(|attacked| match attacked {
                Attacked::Model(model) => kept(&model),
                _ => panic!("{name} makes a model"),
            })
        };
        let mut dense = locked.clone();
        dense.arrays.values_mut().for_each(|array| array.values_mut().fill(0.5));
        let left = kept(&locked);
        let pruned: usize = locked.masks.values().map(|mask| mask.size() - mask.kept()).sum();
        for name in ["add-back-rand", "add-back-mag"] {
            // The default of 5 % of the whole.
            assert_eq!(with(name, dense.clone()).unwrap(), left + held_back(0.05, left), "{name}");
            let message = format!(
                "the rewound weights are 0 at {pruned} of the {pruned} positions that the model prunes, expected weights there too"
            );
            assert_eq!(with(name, locked.clone()).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn random_guesses_follow_their_seed_and_keep_what_is_kept() {
        let guess = |seed, count| {
            let mut masks = masks();
            add_back(&mut masks, |_| unreachable!("nobody asks for weights"), count, Guess::Random(seed));
            masks
        };
        assert_eq!(guess(1, 20), guess(1, 20));
        assert_ne!(guess(1, 20), guess(2, 20));
        let kept = |masks: &BTreeMap<String, Mask>| masks.values().map(Mask::kept).sum::<usize>();
        assert_eq!((kept(&guess(1, 20)), kept(&guess(1, 1000))), (40, 100));
        assert!(guess(1, 20).values().all(|mask| (0..10).all(|p| mask.keeps(p))));
    }
}
