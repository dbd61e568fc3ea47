//! Extraction with few images: the student's own gradients say where to ask more ("Jacobian-based augmentation": Papernot et
//! al. 2017, arXiv 1602.02697).
//!
//! In each round the student is trained from scratch on all that was answered so far, then every image is moved by one signed
//! step against the student and asked again, which doubles what there is.

use counterfoil_ticket::Model;
use counterfoil_train::data::Split;
use counterfoil_train::{Hold, Predictor};

use super::{RECIPE, handed_over, lesson, profile, student};
use crate::tuning::adv_train::Moving;
use crate::tuning::relabelled;
use crate::{Attack, AttackError, Attacked, Means, Parameter, Profile, Settings};

/// Asks where the student is unsure.
pub(crate) struct AdvExtract;

impl Attack for AdvExtract {
    fn profile(&self) -> Profile {
        const ROUNDS: Parameter =
            Parameter::count("rounds", "3", [1, 10], "trainings; each but the first has twice the images");
        const STEP: Parameter =
            Parameter::number("step", "0.1", [0.004, 1.0], "how far a pixel is moved, black to white being 1");
        const SHARE: Parameter = Parameter::share(
            "data-share",
            "0.1",
            "share of the training images that the attacker has, drawn by the seed",
        );
        let parameters = const { &[ROUNDS, STEP, RECIPE[0], RECIPE[1], RECIPE[2], SHARE] };
        let does =
            "train a fresh network on the stolen model's labels of few images and of those moved against it, in rounds";
        Profile { parameters, ..profile("adv-extract", does, "Papernot et al. 2017 (arXiv 1602.02697)") }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let (network, mut lesson) = lesson(&stolen, settings, means)?;
        let teacher = Predictor::new(&network);
        lesson.split = relabelled(&lesson.split, &teacher)?;
        let step = (255.0 * settings.number("step")).round() as u8;
        let moving = Moving { reach: step, step, iterations: 1 };
        let mut round = 1;
        loop {
            let fresh = student(&network, network.architecture().clone(), means.seed);
            let trained = lesson.train(fresh, &Hold::default(), means.on_event)?;
            if round == settings.count("rounds") {
                return Ok(handed_over(&trained, Default::default()));
            }
            let moved = relabelled(&moving.against(&trained, &lesson.split), &teacher)?;
            lesson.split = joined(&lesson.split, &moved)?;
            round += 1;
        }
    }
}

fn joined(one: &Split, other: &Split) -> Result<Split, AttackError> {
    let (images, labels) = ([one.images(), other.images()].concat(), [one.labels(), other.labels()].concat());
    Split::new(images, labels, one.shape()).ok_or_else(|| crate::sparse::unsuitable("so many images cannot be asked"))
}
