//! The null hypothesis as it is stated: for a fixed suspect and random keys, p ≤ α happens no more often than α.
//!
//! Tallies are discrete, so each key has its attainable level, the largest tail ≤ α at its n. The number of keys that
//! reach α is then a sum of independent coins with these levels as chances; its exact distribution is computed, and the
//! count must lie in the central 99.9 %. Keys are fixed, so the outcome is too.

use counterfoil_claim::{Dilution, Marked, OwnerKey, PanelCount, PanelId, Split};
use counterfoil_mark::{Chance, Log2P, Tally, TriggerSet, chip_map, hits_for, log2_upper_tail, tally};
use counterfoil_ticket::{Carrier, CarrierShape, ImageShape, Mask};

const KEYS: u32 = 2_000;
const LEVELS: [f64; 4] = [0.5, 0.1, 0.01, 0.001];

fn key(number: u32) -> OwnerKey {
    let mut seed = [0x5a; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    OwnerKey::from_seed(&seed)
}

/// How many tallies reach α, and the distribution of that number: element i is the chance of i.
fn reached(tallies: &[Tally], chance: Chance, alpha: f64) -> (usize, Vec<f64>) {
    let target = Log2P::new(alpha.log2()).expect("a level is at most 1");
    let mut distribution = vec![1.0];
    for tally in tallies {
        let level = hits_for(tally.n(), chance, target).map_or(0.0, |hits| {
            let least = Tally::new(tally.n(), hits).expect("hits_for stays within n");
            log2_upper_tail(least, chance).bits().exp2()
        });
        distribution.push(0.0);
        for i in (0..distribution.len()).rev() {
            let below = if i > 0 { distribution[i - 1] } else { 0.0 };
            distribution[i] = distribution[i] * (1.0 - level) + below * level;
        }
    }
    let count = tallies.iter().filter(|&&tally| log2_upper_tail(tally, chance) <= target).count();
    (count, distribution)
}

fn assert_calibrated(tallies: &[Tally], chance: Chance) {
    for alpha in LEVELS {
        let (count, distribution) = reached(tallies, chance, alpha);
        let at_most: f64 = distribution[..=count].iter().sum();
        let at_least: f64 = distribution[count..].iter().sum();
        assert!(at_most > 0.0005 && at_least > 0.0005, "{count} of {} reach {alpha}", tallies.len());
    }
}

/// A mask that no chance made: a solid block, a diagonal and every seventh position.
#[test]
fn a_fixed_mask_is_as_surprising_as_it_should_be() {
    let shape = CarrierShape { out: 24, inp: 16, height: 3, width: 3 };
    let carrier = Carrier { name: "w".to_owned(), shape, ordinal: 0 };
    let mask = Mask::from_fn(shape.size(), |p| p < 300 || p % (shape.row() + 1) == 0 || p % 7 == 0);
    let (sealed, dilution) = (PanelCount::new(2).expect("1 to 4"), Dilution::new(2).expect("1, 2, 4 or 8"));
    let first = PanelId::new(1).expect("0 to 4");
    let (mut public, mut pooled) = (Vec::new(), Vec::new());
    for number in 0..KEYS {
        let key = key(number);
        let (pk, sealed_seed) = (key.public(), key.master_seed(&[0; 32]).panel(first, &Marked::from_bytes([0; 32])));
        let seeds = [(PanelId::PUBLIC, &pk.public_seed()), (first, &sealed_seed)];
        let map = chip_map(&seeds, &pk, &Split::Owner(sealed), &carrier, dilution);
        public.push(tally(&mask, &map, PanelId::PUBLIC));
        pooled.push(tally(&mask, &map, PanelId::PUBLIC) + tally(&mask, &map, first));
    }
    assert_calibrated(&public, Chance::HALF);
    assert_calibrated(&pooled, Chance::HALF);
}

/// A suspect that answers by the brightness of a corner, and otherwise always the same.
#[test]
fn a_biased_classifier_hits_as_often_as_chance() {
    let shape = ImageShape { channels: 1, height: 8, width: 8 };
    let tallies: Vec<Tally> = (0..KEYS)
        .map(|number| {
            let pk = key(number).public();
            let set = TriggerSet::derive(&pk.public_seed(), &pk, shape, 10, 60).expect("60 small images");
            let answers = (0..set.len()).map(|t| if set.image(t)[0] > 200 { 3 } else { 7 });
            let hits = answers.zip(&set.labels).filter(|(answer, label)| answer == *label).count();
            Tally::new(60, hits as u64).expect("60 queries")
        })
        .collect();
    assert_calibrated(&tallies, Chance::one_in(10));
}
