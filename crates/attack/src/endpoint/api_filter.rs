//! A filter of odd questions: images that look unlike the attacker's own are refused, or answered at random, at a rate of
//! false alarms that he chooses on his own images.
//!
//! After Hitaj et al. 2019 ("Evasion attacks against watermarking techniques found in MLaaS systems") and Namba & Sakuma 2019
//! (arXiv 1901.06151), by simpler detectors: the maximum of the softmax (Hendrycks & Gimpel 2017, arXiv 1610.02136), the
//! energy of the logits (Liu et al. 2020, arXiv 2010.03759), or mean, contrast and roughness of the image itself.

use counterfoil_ticket::{ImageShape, Model};
use counterfoil_train::data::below;
use counterfoil_train::{Predictor, softmax};

use super::{input_profile, rng_of};
use crate::tuning::{DATA_SHARE, share_of};
use crate::{Attack, AttackError, Attacked, Cost, Endpoint, Means, Need, Parameter, Profile, Settings, Sparse};

/// Statistics of an image.
const STATISTICS: usize = 3;

/// Filters odd questions.
pub(crate) struct ApiFilter;

impl Attack for ApiFilter {
    fn profile(&self) -> Profile {
        Profile {
            cost: Cost::Passes,
            needs: &[Need::Data],
            parameters: const {
                &[
                    Parameter::share(
                        "alarms",
                        "0.05",
                        "share of the attacker's own images that the filter takes for odd",
                    ),
                    Parameter::choice(
                        "detector",
                        "statistics",
                        &["statistics", "softmax", "energy"],
                        "what is odd: mean, contrast and roughness far from usual; an unsure model; small logits",
                    ),
                    Parameter::choice("answer", "refuse", &["refuse", "random"], "what odd images are answered"),
                    DATA_SHARE,
                ]
            },
            ..input_profile(
                "api-filter",
                "refuse images that look odd, or answer them at random",
                "Hitaj et al. 2019; Namba & Sakuma 2019 (arXiv 1901.06151), by simpler detectors",
            )
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let network = Sparse::of(&stolen, means)?.network;
        let split = share_of(&means.data()?.train, settings, means.seed);
        let detector = match settings.word("detector") {
            "softmax" => Detector::Softmax,
            "energy" => Detector::Energy,
            _ => Detector::statistics(split.images(), split.shape()),
        };
        let mut oddness = detector.oddness(split.images(), &Predictor::new(&network));
        oddness.sort_by(f64::total_cmp);
        let usual = ((1.0 - settings.number("alarms")) * oddness.len() as f64).round() as usize;
        // As many as asked are above it.
        let threshold = usual.checked_sub(1).map_or(f64::NEG_INFINITY, |last| oddness[last]);
        let refuses = settings.word("answer") == "refuse";
        Ok(Attacked::Served(Box::new(Filter { detector, threshold, refuses, seed: means.seed })))
    }
}

struct Filter {
    detector: Detector,
    threshold: f64,
    refuses: bool,
    seed: u64,
}

impl Endpoint for Filter {
    fn answer(&mut self, images: &[u8], model: &Predictor) -> Vec<Option<u32>> {
        let oddness = self.detector.oddness(images, model);
        let images_one_by_one = images.chunks_exact(model.input().size());
        let answers = model.classify(images).into_iter().zip(oddness).zip(images_one_by_one);
        let filtered = |((answer, oddness), image): ((Option<u32>, f64), &[u8])| match oddness > self.threshold {
            false => answer,
            true if self.refuses => None,
            true => Some(below(model.classes(), &mut rng_of(image, self.seed))),
        };
        answers.map(filtered).collect()
    }
}

/// How odd an image is.
enum Detector {
    /// By how little the model is sure.
    Softmax,
    /// By how small its logits are.
    Energy,
    /// By how many deviations its statistics are from the attacker's images'.
    Statistics { mean: [f64; STATISTICS], deviation: [f64; STATISTICS] },
}

impl Detector {
    fn statistics(images: &[u8], shape: ImageShape) -> Self {
        let all: Vec<_> = images.chunks_exact(shape.size()).map(|image| statistics(image, shape)).collect();
        let average = |of: &dyn Fn(&[f64; STATISTICS]) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
        let mean: [f64; STATISTICS] = std::array::from_fn(|i| average(&|image| image[i]));
        let deviation = std::array::from_fn(|i| average(&|image| (image[i] - mean[i]).powi(2)).sqrt().max(1e-6));
        Self::Statistics { mean, deviation }
    }

    /// One number an image.
    fn oddness(&self, images: &[u8], model: &Predictor) -> Vec<f64> {
        let by_logits =
            |of: &dyn Fn(&[f32]) -> f64| model.logits(images).chunks_exact(model.classes() as usize).map(of).collect();
        match self {
            Self::Softmax => by_logits(&|logits| 1.0 - f64::from(softmax(logits, 1.0).into_iter().fold(0.0, f32::max))),
            Self::Energy => by_logits(&|logits| {
                let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
                -(f64::from(most) + sum.ln())
            }),
            Self::Statistics { mean, deviation } => {
                let shape = model.input();
                let distance = |image: &[u8]| {
                    let found = statistics(image, shape);
                    (0..STATISTICS).map(|i| ((found[i] - mean[i]) / deviation[i]).powi(2)).sum()
                };
                images.chunks_exact(shape.size()).map(distance).collect()
            }
        }
    }
}

/// Mean, standard deviation, and mean difference of neighbours in a row, of all pixels.
fn statistics(image: &[u8], shape: ImageShape) -> [f64; STATISTICS] {
    let count = image.len() as f64;
    let mean = image.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let variance = image.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
    let rows = image.chunks_exact(shape.width as usize);
    let steps: f64 = rows.flat_map(|row| row.windows(2).map(|pair| f64::from(pair[0].abs_diff(pair[1])))).sum();
    [mean, variance.sqrt(), steps / count]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::tests::{right, served};
    use crate::victim::{attempt, data, victim, with_means};

    #[test]
    fn alarms_are_as_many_as_asked_and_refusals_or_guesses() {
        for detector in ["statistics", "softmax", "energy"] {
            let set = [("detector", detector), ("alarms", "0.1"), ("data-share", "1")];
            let refused = served(&ApiFilter, &set, Vec::new()).iter().filter(|answer| answer.is_none()).count();
            // On other digits than the threshold is from.
            assert!((8..=75).contains(&refused), "{detector}: {refused}");
        }
        let guessed = served(&ApiFilter, &[("alarms", "1"), ("answer", "random")], Vec::new());
        assert!(guessed.iter().all(Option::is_some) && right(&guessed) < 80);
    }

    #[test]
    fn coarse_blocks_are_odd() {
        let (data, key) = (data(), counterfoil_claim::OwnerKey::from_seed(&[3; 32]).public());
        let triggers = counterfoil_mark::TriggerSet::derive(&key.public_seed(), &key, data.train.shape(), 10, 100);
        let network = with_means(&data, |means| Sparse::of(&victim(), means)).unwrap().network;
        let attempt = with_means(&data, |means| attempt(&ApiFilter, &victim(), &[], means));
        let Ok(Attacked::Served(mut endpoint)) = attempt else { panic!("it serves") };
        let answers = endpoint.answer(&triggers.unwrap().images, &Predictor::new(&network));
        let refused = answers.iter().filter(|answer| answer.is_none()).count();
        assert!(refused > 50, "{refused}");
    }
}
