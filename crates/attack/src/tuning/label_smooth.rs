//! Fine-tuning on less certain labels: smoothed ones, or some that are wrong.
//!
//! A network that is sure of its triggers becomes less so ("LabelSmoothing" of the Watermark-Robustness-Toolbox of Lukas et al.
//! 2022, arXiv 2108.04974; smoothing itself: Szegedy et al. 2016, arXiv 1512.00567).

use counterfoil_ticket::Model;
use counterfoil_train::Targets;
use counterfoil_train::data::{Split, below};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{DATA_SHARE, Lesson, epochs, labels, rate};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings, Sparse};

/// Fine-tunes on smoothed labels.
pub(crate) struct LabelSmooth;
/// Fine-tunes on labels some of which are wrong.
pub(crate) struct LabelNoise;

const SOURCE: &str = "Watermark-Robustness-Toolbox of Lukas et al. 2022 (arXiv 2108.04974)";

impl Attack for LabelSmooth {
    fn profile(&self) -> Profile {
        Profile {
            name: "label-smooth",
            does: "train on with smoothed labels and the mask held",
            class: Class::Model,
            cost: Cost::Tuning,
            needs: &[Need::Data],
            source: SOURCE,
            parameters: const {
                &[
                    Parameter::share("smoothing", "0.3", "share of each label that is spread evenly over all classes"),
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
        let lesson = Lesson::new(settings, means, &sparse.network)?;
        let classes = sparse.network.architecture().classes();
        let targets = Targets::Smoothed { share: settings.number("smoothing") as f32, classes };
        let hold = sparse.held();
        let tuned = sparse.trained(|network| lesson.train_to(targets, network, &hold, means.on_event))?;
        Ok(Attacked::Model(tuned.into_model(stolen)))
    }
}

impl Attack for LabelNoise {
    fn profile(&self) -> Profile {
        Profile {
            name: "label-noise",
            does: "train on with some labels replaced by random ones and the mask held",
            parameters: const {
                &[
                    Parameter::share("noise", "0.3", "share of the labels that is drawn anew from all classes"),
                    epochs("5"),
                    rate("0.01"),
                    labels("stolen"),
                    DATA_SHARE,
                ]
            },
            ..LabelSmooth.profile()
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let sparse = Sparse::of(&stolen, means)?;
        let mut lesson = Lesson::new(settings, means, &sparse.network)?;
        let classes = sparse.network.architecture().classes();
        lesson.split = noisy(&lesson.split, settings.number("noise"), classes, means.seed);
        let hold = sparse.held();
        let tuned = sparse.trained(|network| lesson.train(network, &hold, means.on_event))?;
        Ok(Attacked::Model(tuned.into_model(stolen)))
    }
}

/// The split with a share of its labels, each by a draw of its own, drawn anew.
fn noisy(split: &Split, share: f64, classes: u32, seed: u64) -> Split {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut label = |&own: &u32| {
        let is_drawn = f64::from(rng.next_u32()) < share * f64::from(u32::MAX);
        let drawn = below(classes, &mut rng);
        if is_drawn { drawn } else { own }
    };
    let labels = split.labels().iter().map(&mut label).collect();
    Split::new(split.images().to_vec(), labels, split.shape()).expect("there are as many labels as before")
}

#[cfg(test)]
mod tests {
    use counterfoil_train::{Predictor, softmax};

    use super::*;
    use crate::victim::{data, left_by, victim, with_means};

    #[test]
    fn as_many_labels_change_as_asked() {
        let split = data().train;
        let wrong = noisy(&split, 0.3, 10, 1).labels().iter().zip(split.labels()).filter(|(a, b)| a != b).count();
        // Bin(300, 0.27) has a standard deviation of 7.7.
        assert!((50..=112).contains(&wrong), "{wrong}");
        assert_eq!(noisy(&split, 0.0, 10, 1), split);
    }

    #[test]
    fn smoothed_labels_make_the_network_less_sure() {
        let before = victim();
        let set = [("rate", "0.1"), ("epochs", "10"), ("data-share", "1")];
        let after = left_by(&LabelSmooth, &before, &set);
        let data = data();
        let sureness = |model: &Model| {
            let network = with_means(&data, |means| Sparse::of(model, means)).unwrap().network;
            let logits = Predictor::new(&network).logits(data.train.images());
            logits.chunks(10).map(|z| softmax(z, 1.0).into_iter().fold(0.0, f32::max)).sum::<f32>() / 300.0
        };
        // The best answer to labels that are smoothed by 0.3 is 0.73.
        assert!(sureness(&after) < 0.75 && sureness(&before) > 0.8, "{} {}", sureness(&after), sureness(&before));
    }
}
