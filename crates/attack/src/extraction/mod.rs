//! Extraction: another model is trained on the stolen one's answers, so that no weight of it is in the file. Masks cannot
//! survive it; triggers may.
//!
//! The recipe is that of Lukas et al. 2022 (arXiv 2108.04974): 60 epochs at rate 0.1, decay 5e-4, the rate falling to a fifth
//! at a third, seven twelfths and five sixths of them, on all of the images.

pub(crate) mod adv_extract;
pub(crate) mod distil;
pub(crate) mod knockoff;
pub(crate) mod retrain;

use std::collections::BTreeMap;

use counterfoil_ticket::{Architecture, Description, Kind, Mask, Model};
use counterfoil_train::{Network, Schedule};

use crate::tuning::{Lesson, decay, epochs, rate};
use crate::{AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings, Sparse};

const DATA_SHARE: Parameter =
    Parameter::share("data-share", "1", "share of the training images that the attacker has, drawn by the seed");

/// What every extraction can set.
const RECIPE: [Parameter; 4] = [epochs("60"), rate("0.1"), decay("5e-4"), DATA_SHARE];

/// A profile but for what tells extractions apart.
const fn profile(name: &'static str, does: &'static str, source: &'static str) -> Profile {
    let (class, cost, needs) = (Class::Extraction, Cost::Training, &[Need::Data]);
    Profile { name, does, class, cost, needs, source, parameters: &RECIPE }
}

/// The stolen model and what the settings say of the training.
fn lesson(stolen: &Model, settings: &Settings, means: &Means) -> Result<(Network, Lesson), AttackError> {
    let network = Sparse::of(stolen, means)?.network;
    let mut lesson = Lesson::new(settings, means, &network)?;
    let epochs = lesson.schedule.epochs;
    let milestones = [1.0 / 3.0, 7.0 / 12.0, 5.0 / 6.0].map(|part| (part * f64::from(epochs)).ceil() as u32).to_vec();
    lesson.schedule = Schedule { milestones, drop: 0.2, ..lesson.schedule };
    Ok((network, lesson))
}

/// A student before its training: weights of its own, for the same images and classes. Its seed is no other network's.
fn student(teacher: &Network, architecture: Architecture, seed: u64) -> Network {
    let seed = seed ^ 0x5ded_0000_0000_0000;
    Network::initialise(architecture, teacher.normalisation().clone(), seed, teacher.device())
}

/// The student as a model file.
fn handed_over(student: &Network, masks: BTreeMap<String, Mask>) -> Attacked {
    let description = Description {
        kind: Kind::Model,
        architecture: Some(student.architecture().clone()),
        normalisation: Some(student.normalisation().clone()),
        ..Description::default()
    };
    Attacked::Model(Model { description, arrays: student.arrays(), masks, ..Model::default() })
}

#[cfg(test)]
mod tests {
    use counterfoil_train::Predictor;

    use super::*;
    use crate::victim::{correct, data, left, victim, with_means};
    use crate::{Attack, Sparse};

    /// Test images of 300 that student and victim answer alike.
    fn agreement(attack: &dyn Attack, set: &[(&str, &str)]) -> usize {
        let data = data();
        with_means(&data, |means| {
            let student = left(attack, &victim(), set, means);
            let answers =
                |model: &Model| Predictor::new(&Sparse::of(model, means).unwrap().network).classify(data.test.images());
            answers(&student).iter().zip(answers(&victim())).filter(|(a, b)| **a == *b).count()
        })
    }

    #[test]
    fn students_agree_with_the_stolen_model() {
        let short = ("epochs", "30");
        assert!(agreement(&retrain::Retrain, &[short]) > 200);
        assert!(agreement(&distil::Distil, &[short]) > 200);
        assert!(agreement(&knockoff::Knockoff, &[short, ("images", "3")]) > 150);
        assert!(agreement(&adv_extract::AdvExtract, &[("epochs", "60"), ("data-share", "0.3"), ("rounds", "2")]) > 150);
    }

    #[test]
    fn a_narrower_student_is_a_network_of_its_own() {
        let data = data();
        with_means(&data, |means| {
            let half = left(&retrain::CrossArch, &victim(), &[("width", "0.5")], means);
            assert_eq!(half.arrays["fc1.weight"].shape(), [10, 64]);
            assert!(correct(&half) > 150, "{}", correct(&half));
            let other = left(
                &retrain::CrossArch,
                &victim(),
                &[("architecture", "resnet20"), ("width", "0.25"), ("epochs", "1")],
                means,
            );
            assert_eq!(other.arrays["conv1.weight"].shape(), [4, 1, 3, 3]);
        });
    }

    #[test]
    fn a_student_ticket_has_as_many_weights_at_other_places() {
        let (data, before) = (data(), victim());
        for mask in ["random", "erk"] {
            let after = with_means(&data, |means| {
                left(&distil::TicketDistil, &before, &[("epochs", "20"), ("mask", mask)], means)
            });
            let kept = |model: &Model| model.masks.values().map(Mask::kept).sum::<usize>();
            assert_eq!((kept(&after), crate::victim::kept(&after)), (kept(&before), kept(&before)), "{mask}");
            assert_ne!(after.masks, before.masks);
            assert!(correct(&after) > 150, "{mask} {}", correct(&after));
        }
    }
}
