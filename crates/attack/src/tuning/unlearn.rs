//! Unlearning of odd images: the attacker fine-tunes on his own images and, between them, on odd ones with random labels, new
//! ones in every epoch, so that whatever the network knew of images that are none is overwritten.
//!
//! A substitute for Neural Cleanse (Wang et al. 2019), WILD laundering (Aiken et al. 2021, arXiv 2004.11368) and Neural
//! Dehydration (Lu et al. 2024): those first reverse-engineer small patterns or the marked classes, and our triggers are whole
//! images with labels of all classes, so there is no pattern to find. What is missing is therefore their search; what is
//! here is their unlearning, told the family of the triggers, which docs/protocol.md publishes.

use counterfoil_ticket::{ImageShape, Model};
use counterfoil_train::data::{Split, below};
use counterfoil_train::{EpochSeed, Event, Examples, Learner};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{DATA_SHARE, Lesson, epochs, labels, rate};
use crate::odd_images::{Odd, odd_image};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings, Sparse};

/// Overwrites what is known of odd images.
pub(crate) struct Unlearn;

impl Attack for Unlearn {
    fn profile(&self) -> Profile {
        Profile {
            name: "unlearn",
            does: "train on with odd images under random labels between the attacker's own, so that triggers are forgotten",
            class: Class::Informed,
            cost: Cost::Tuning,
            needs: &[Need::Data],
            source: "this project, in place of Neural Cleanse, laundering and dehydration, which search for patterns first",
            parameters: const {
                &[
                    Parameter::choice(
                        "odd",
                        "blocks",
                        Odd::WORDS,
                        "odd images: coarse blocks as triggers are, noise, mixes or crops",
                    ),
                    Parameter::number(
                        "odd-share",
                        "0.5",
                        [0.0, 10.0],
                        "odd images an epoch, for each of the attacker's",
                    ),
                    epochs("5"),
                    rate("0.01"),
                    labels("own"),
                    DATA_SHARE,
                ]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let sparse = Sparse::of(&stolen, means)?;
        let Lesson { split, augmentation, schedule, seed } = Lesson::new(settings, means, &sparse.network)?;
        schedule.check()?;
        let odd = Odd::of(settings.word("odd"));
        let count = (settings.number("odd-share") * split.len() as f64).round() as usize;
        let (hold, classes) = (sparse.held(), sparse.network.architecture().classes());
        let mut learner = Learner::new(sparse.network);
        hold.apply(&mut learner.network);
        while learner.epoch < schedule.epochs {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(u64::from(learner.epoch) + 1);
            let mixed = with_odd(&split, odd, count, classes, &mut rng);
            let examples = Examples::new(&mixed, augmentation);
            let loss = learner.train_epoch(examples, &schedule, &hold, EpochSeed { seed, round: 0 }, means.on_event)?;
            let (epoch, epochs) = (learner.epoch, schedule.epochs);
            (means.on_event)(Event::Epoch { round: 0, rounds: 0, epoch, epochs, loss });
        }
        Ok(Attacked::Model(Sparse { network: learner.network, masks: sparse.masks }.into_model(stolen)))
    }
}

/// The split, and behind it `count` odd images with random labels.
fn with_odd(split: &Split, odd: Odd, count: usize, classes: u32, rng: &mut ChaCha8Rng) -> Split {
    let shape: ImageShape = split.shape();
    let (mut images, mut labels) = (split.images().to_vec(), split.labels().to_vec());
    for _ in 0..count {
        images.extend(odd_image(odd, split, rng));
        labels.push(below(classes, rng));
    }
    Split::new(images, labels, shape).expect("every image has its label")
}

#[cfg(test)]
mod tests {
    use counterfoil_claim::OwnerKey;
    use counterfoil_mark::TriggerSet;
    use counterfoil_train::count_hits;

    use super::*;
    use crate::victim::{correct, data, left_by, resnet, with_means};

    #[test]
    fn triggers_are_forgotten_and_digits_are_not() {
        let data = data();
        let key = OwnerKey::from_seed(&[3; 32]).public();
        let triggers = TriggerSet::derive(&key.public_seed(), &key, data.train.shape(), 10, 40).unwrap();
        // The victim has learned its triggers.
        let sparse = with_means(&data, |means| Sparse::of(&resnet(), means)).unwrap();
        let hold = sparse.held();
        let sets = [triggers.clone()];
        let examples = Examples { triggers: &sets, ..Examples::new(&data.train, data.augmentation) };
        let schedule = counterfoil_train::Schedule { batch: 32, ..counterfoil_train::Schedule::paper(30) };
        let learned = counterfoil_train::fit(sparse.network, examples, &schedule, &hold, 1, None, &mut |_| ()).unwrap();
        let hits = |model: &Model| {
            count_hits(&with_means(&data, |means| Sparse::of(model, means)).unwrap().network, &triggers)
        };
        let before = Model { arrays: learned.arrays(), ..resnet() };
        let after = left_by(&Unlearn, &before, &[("epochs", "10"), ("rate", "0.05"), ("data-share", "1")]);
        assert!(hits(&before) > 30 && hits(&after) < hits(&before) - 10, "{} {}", hits(&before), hits(&after));
        assert!(correct(&after) + 60 > correct(&before), "{} {}", correct(&after), correct(&before));
    }
}
