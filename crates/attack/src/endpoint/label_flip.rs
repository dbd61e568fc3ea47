//! Wrong answers now and then.

use counterfoil_ticket::Model;
use counterfoil_train::Predictor;
use counterfoil_train::data::below;
use rand_chacha::rand_core::Rng;

use super::{input_profile, rng_of};
use crate::{Attack, AttackError, Attacked, Endpoint, Means, Parameter, Profile, Settings};

/// Gives wrong answers.
pub(crate) struct LabelFlip;

impl Attack for LabelFlip {
    fn profile(&self) -> Profile {
        Profile {
            parameters: const { &[Parameter::share("share", "0.05", "share of the images that are answered wrongly")] },
            ..input_profile("label-flip", "answer some images with another class, drawn at random", "this project")
        }
    }

    fn run(&self, _: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        Ok(Attacked::Served(Box::new(Flipped { share: settings.number("share"), seed: means.seed })))
    }
}

struct Flipped {
    share: f64,
    seed: u64,
}

impl Endpoint for Flipped {
    fn answer(&mut self, images: &[u8], model: &Predictor) -> Vec<Option<u32>> {
        let classes = model.classes();
        let answers = model.classify(images).into_iter().zip(images.chunks_exact(model.input().size()));
        let flip = |(answer, image): (Option<u32>, &[u8])| {
            let mut rng = rng_of(image, self.seed);
            let is_flipped = f64::from(rng.next_u32()) < self.share * f64::from(u32::MAX) && classes > 1;
            let another = |answer| (answer + 1 + below(classes - 1, &mut rng)) % classes;
            if is_flipped { answer.map(another) } else { answer }
        };
        answers.map(flip).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::tests::served;

    #[test]
    fn as_many_answers_differ_as_asked() {
        let [none, some, all] = ["0", "0.1", "1"].map(|share| served(&LabelFlip, &[("share", share)], Vec::new()));
        let differ = |answers: &[Option<u32>]| answers.iter().zip(&none).filter(|(a, b)| a != b).count();
        // Bin(300, 0.1) has a standard deviation of 5.2.
        assert!((10..=50).contains(&differ(&some)), "{}", differ(&some));
        assert_eq!(differ(&all), 300);
    }
}
