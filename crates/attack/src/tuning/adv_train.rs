//! Adversarial training (Madry et al. 2018, arXiv 1706.06083): images are moved within a cube so that the network errs, and it
//! learns to answer them. Triggers that sit near the decision boundary lose their labels.
//!
//! At the start of each epoch all images are moved against the network as it stands then, by signed steps of the gradient in
//! whole bytes; one iteration is the fast gradient sign method of Goodfellow et al. 2015 (arXiv 1412.6572).

use counterfoil_ticket::Model;
use counterfoil_train::data::Split;
use counterfoil_train::{EpochSeed, Event, Examples, Learner, Network, input_gradients};

use super::{DATA_SHARE, Lesson, epochs, labels, rate};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings, Sparse};

/// Images that are moved at once.
const AT_ONCE: usize = 250;

/// Trains on images that are moved against the network.
pub(crate) struct AdvTrain;

impl Attack for AdvTrain {
    fn profile(&self) -> Profile {
        Profile {
            name: "adv-train",
            does: "train on with images that are moved against the network anew in each epoch, with the mask held",
            class: Class::Model,
            cost: Cost::Training,
            needs: &[Need::Data],
            source: "Madry et al. 2018 (arXiv 1706.06083); strengths of Lukas et al. 2022 (arXiv 2108.04974)",
            parameters: const {
                &[
                    Parameter::number(
                        "reach",
                        "0.1",
                        [0.0, 1.0],
                        "how far a pixel is moved at most, black to white being 1",
                    ),
                    Parameter::number("step", "0.01", [0.004, 1.0], "how far each iteration moves it, at least a byte"),
                    Parameter::count(
                        "iterations",
                        "40",
                        [1, 1000],
                        "iterations; each costs as much as a step of training",
                    ),
                    epochs("5"),
                    rate("0.01"),
                    labels("stolen"),
                    DATA_SHARE,
                ]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let sparse = Sparse::of(&stolen, means)?;
        let Lesson { split, augmentation, schedule, seed } = Lesson::new(settings, means, &sparse.network)?;
        schedule.check()?;
        let bytes = |name| (255.0 * settings.number(name)).round() as u8;
        let moving =
            Moving { reach: bytes("reach"), step: bytes("step").max(1), iterations: settings.count("iterations") };
        let hold = sparse.held();
        let mut learner = Learner::new(sparse.network);
        hold.apply(&mut learner.network);
        while learner.epoch < schedule.epochs {
            let moved = moving.against(&learner.network, &split);
            let examples = Examples::new(&moved, augmentation);
            let loss = learner.train_epoch(examples, &schedule, &hold, EpochSeed { seed, round: 0 }, means.on_event)?;
            let (epoch, epochs) = (learner.epoch, schedule.epochs);
            (means.on_event)(Event::Epoch { round: 0, rounds: 0, epoch, epochs, loss });
        }
        Ok(Attacked::Model(Sparse { network: learner.network, masks: sparse.masks }.into_model(stolen)))
    }
}

/// How images are moved, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moving {
    pub(crate) reach: u8,
    pub(crate) step: u8,
    pub(crate) iterations: u32,
}

impl Moving {
    /// The images, moved to where the network's loss is larger.
    pub(crate) fn against(self, network: &Network, split: &Split) -> Split {
        let size = split.shape().size();
        let batches = split.images().chunks(AT_ONCE * size).zip(split.labels().chunks(AT_ONCE));
        let images = batches.flat_map(|(images, labels)| self.moved(network, images, labels)).collect();
        Split::new(images, split.labels().to_vec(), split.shape()).expect("images keep their size")
    }

    fn moved(self, network: &Network, images: &[u8], labels: &[u32]) -> Vec<u8> {
        let mut moved = images.to_vec();
        for _ in 0..self.iterations {
            let gradient = input_gradients(network, &moved, labels);
            for ((pixel, &from), slope) in moved.iter_mut().zip(images).zip(gradient) {
                let next = match slope {
                    slope if slope > 0.0 => pixel.saturating_add(self.step),
                    slope if slope < 0.0 => pixel.saturating_sub(self.step),
                    _ => *pixel,
                };
                *pixel = next.clamp(from.saturating_sub(self.reach), from.saturating_add(self.reach));
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_train::count_correct;

    use super::*;
    use crate::victim::{correct, data, left_by, resnet, victim, with_means};

    #[test]
    fn moved_images_fool_the_network_and_stay_near() {
        let data = data();
        for model in [victim(), resnet()] {
            let network = with_means(&data, |means| Sparse::of(&model, means)).unwrap().network;
            let moved = Moving { reach: 40, step: 10, iterations: 5 }.against(&network, &data.test);
            let [before, after] = [&data.test, &moved].map(|split| count_correct(&network, split).unwrap());
            assert!(after + 80 < before, "{after} {before}");
            let distance = moved.images().iter().zip(data.test.images()).map(|(a, b)| a.abs_diff(*b)).max();
            assert_eq!(distance, Some(40));
        }
    }

    #[test]
    fn adversarial_training_withstands_what_the_victim_does_not() {
        let (before, data) = (victim(), data());
        let set = [("step", "0.05"), ("iterations", "3"), ("rate", "0.02"), ("epochs", "15"), ("data-share", "1")];
        let after = left_by(&AdvTrain, &before, &set);
        let withstood = |model: &Model| {
            let network = with_means(&data, |means| Sparse::of(model, means)).unwrap().network;
            let moved = Moving { reach: 26, step: 13, iterations: 3 }.against(&network, &data.test);
            count_correct(&network, &moved).unwrap()
        };
        assert!(withstood(&after) > withstood(&before) + 20, "{} {}", withstood(&after), withstood(&before));
        assert!(correct(&after) > 180, "{}", correct(&after));
    }
}
