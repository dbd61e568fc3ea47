//! What a thief puts before a model that he serves: changes to what is asked, and to what is answered.
//!
//! Everything random follows from the seed and the image's bytes: the same image is always treated the same way, whatever it
//! is asked together with, and asking again gives nothing away.

pub(crate) mod api_filter;
pub(crate) mod api_vote;
pub(crate) mod flip;
pub(crate) mod jpeg;
pub(crate) mod label_flip;
pub(crate) mod noise;
pub(crate) mod occlude;
pub(crate) mod quantise;
pub(crate) mod smooth;

use counterfoil_ticket::{Digest, ImageShape};
use counterfoil_train::Predictor;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::{Attacked, Class, Cost, Endpoint, Profile};

/// A model that answers changed images; `change` gives another image of the same shape, [channels, height, width].
fn changed_input(seed: u64, change: impl Fn(&[u8], ImageShape, &mut ChaCha8Rng) -> Vec<u8> + 'static) -> Attacked {
    Attacked::Served(Box::new(ChangedInput { seed, change }))
}

struct ChangedInput<F> {
    seed: u64,
    change: F,
}

impl<F: Fn(&[u8], ImageShape, &mut ChaCha8Rng) -> Vec<u8>> Endpoint for ChangedInput<F> {
    fn answer(&mut self, images: &[u8], model: &Predictor) -> Vec<Option<u32>> {
        let shape = model.input();
        let images = images.chunks_exact(shape.size());
        let changed = images.flat_map(|image| (self.change)(image, shape, &mut rng_of(image, self.seed)));
        model.classify(&changed.collect::<Vec<u8>>())
    }
}

/// What is drawn for one image.
fn rng_of(image: &[u8], seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(*Digest::of([&seed.to_be_bytes(), image]).as_bytes())
}

/// Each plane, [height, width], by what a function of (row, column) makes of it; pixels beyond a border are those on it.
fn by_neighbours(
    image: &[u8],
    shape: ImageShape,
    value: impl Fn(&dyn Fn(isize, isize) -> u8, usize, usize) -> u8,
) -> Vec<u8> {
    let (height, width) = (shape.height as usize, shape.width as usize);
    let plane = |pixels: &[u8]| -> Vec<u8> {
        let inside = |at: isize, side: usize| at.clamp(0, side as isize - 1) as usize;
        let pixel = |y: isize, x: isize| pixels[inside(y, height) * width + inside(x, width)];
        (0..height * width).map(|index| value(&pixel, index / width, index % width)).collect()
    };
    image.chunks_exact(height * width).flat_map(plane).collect()
}

/// A profile of a change to what goes in.
const fn input_profile(name: &'static str, does: &'static str, source: &'static str) -> Profile {
    Profile { name, does, class: Class::Endpoint, cost: Cost::None, needs: &[], source, parameters: &[] }
}

/// The toolbox whose grid of strengths the inputs' changes have.
const TOOLBOX: &str = "Watermark-Robustness-Toolbox of Lukas et al. 2022 (arXiv 2108.04974)";

#[cfg(test)]
mod tests {
    use counterfoil_ticket::Model;

    use super::*;
    use crate::victim::{attempt, data, victim, with_means};
    use crate::{Attack, Sparse};

    /// An attack and its settings.
    type Strength<'a> = (&'a dyn Attack, &'a [(&'a str, &'a str)]);

    /// Answers of the served victim to the test images.
    pub(super) fn served(attack: &dyn Attack, set: &[(&str, &str)], others: Vec<Model>) -> Vec<Option<u32>> {
        let data = data();
        let (model, network) = (victim(), with_means(&data, |means| Sparse::of(&victim(), means)).unwrap().network);
        let attempt = with_means(&data, |means| {
            means.others = others;
            attempt(attack, &model, set, means)
        });
        let Ok(Attacked::Served(mut endpoint)) = attempt else { panic!("{} serves", attack.profile().name) };
        let predictor = Predictor::new(&network);
        let answers = endpoint.answer(data.test.images(), &predictor);
        let size = data.test.shape().size();
        let apart = data.test.images().chunks(size).take(20).flat_map(|image| endpoint.answer(image, &predictor));
        assert_eq!(apart.collect::<Vec<_>>(), answers[..20], "{} treats images alone", attack.profile().name);
        answers
    }

    /// Right answers of 300.
    pub(super) fn right(answers: &[Option<u32>]) -> usize {
        answers.iter().zip(data().test.labels()).filter(|(answer, label)| **answer == Some(**label)).count()
    }

    #[test]
    fn gentle_changes_cost_little_and_rough_ones_much() {
        let plain = crate::victim::correct(&victim());
        let (jpeg, noise): (&dyn Attack, &dyn Attack) = (&jpeg::Jpeg, &noise::InputNoise);
        let gentle: [Strength; 6] = [
            (jpeg, &[("quality", "95")]),
            (&smooth::Blur, &[("sigma", "0.3")]),
            (noise, &[("sigma", "0.01")]),
            (&quantise::Quantise, &[]),
            (&quantise::Squeeze, &[]),
            (&occlude::Occlude, &[("share", "0.02")]),
        ];
        for (attack, set) in gentle {
            let right = right(&served(attack, set, Vec::new()));
            assert!(right + 25 > plain, "{}: {right} of {plain}", attack.profile().name);
        }
        let rough: [Strength; 4] = [
            (&flip::Flip, &[]),
            (&smooth::Median, &[("size", "7")]),
            (noise, &[("sigma", "1")]),
            (&occlude::Occlude, &[("share", "0.8")]),
        ];
        for (attack, set) in rough {
            let right = right(&served(attack, set, Vec::new()));
            assert!(right < plain - 60, "{}: {right} of {plain}", attack.profile().name);
        }
    }
}
