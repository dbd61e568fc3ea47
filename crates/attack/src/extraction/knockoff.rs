//! Extraction by images that are not the task's ("Knockoff nets": Orekondy et al. 2019, arXiv 1812.02766), labelled by the
//! stolen model.
//!
//! They ask 1.25 million photographs of the open web. Here there are no others than the attacker's, and what stands for open
//! images is made of them: mixes of two and shifted parts, or coarse blocks and noise, which know nothing of the task at all.

use counterfoil_ticket::Model;
use counterfoil_train::data::Split;
use counterfoil_train::{Hold, Predictor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{RECIPE, handed_over, lesson, profile, student};
use crate::odd_images::{Odd, odd_image};
use crate::tuning::relabelled;
use crate::{Attack, AttackError, Attacked, Means, Parameter, Profile, Settings};

/// Asks odd images.
pub(crate) struct Knockoff;

impl Attack for Knockoff {
    fn profile(&self) -> Profile {
        const KIND: Parameter = Parameter::choice(
            "kind",
            "natural",
            &["natural", "blocks", "noise", "mixes", "crops"],
            "images that are asked: mixes and shifted parts in turn, or one kind",
        );
        const IMAGES: Parameter =
            Parameter::number("images", "4", [0.01, 100.0], "images asked, for each of the attacker's");
        let parameters = const { &[KIND, IMAGES, RECIPE[0], RECIPE[1], RECIPE[2], RECIPE[3]] };
        let does = "train a fresh network on the stolen model's labels of other images, made of the attacker's";
        Profile {
            parameters,
            ..profile("knockoff", does, "Knockoff nets: Orekondy et al. 2019 (arXiv 1812.02766), without their images")
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let (network, mut lesson) = lesson(&stolen, settings, means)?;
        let own = &lesson.split;
        let count = ((settings.number("images") * own.len() as f64).round() as usize).max(1);
        let mut rng = ChaCha8Rng::seed_from_u64(means.seed);
        let mut asked = |index: usize| {
            let odd = match settings.word("kind") {
                "natural" => [Odd::Mixes, Odd::Crops][index % 2],
                word => Odd::of(word),
            };
            odd_image(odd, own, &mut rng)
        };
        let images = (0..count).flat_map(&mut asked).collect();
        let other = Split::new(images, vec![0; count], own.shape());
        let other = other.ok_or_else(|| crate::sparse::unsuitable("so many images cannot be asked"))?;
        lesson.split = relabelled(&other, &Predictor::new(&network))?;
        let fresh = student(&network, network.architecture().clone(), means.seed);
        let trained = lesson.train(fresh, &Hold::default(), means.on_event)?;
        Ok(handed_over(&trained, Default::default()))
    }
}
