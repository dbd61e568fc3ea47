//! Retraining of the last layer from scratch, alone or with all others ("RTLL" and "RTAL": Lukas et al. 2022, arXiv
//! 2108.04974, section IV): whatever the classifier had learned beside its task is gone. Labels are the stolen model's.

use counterfoil_ticket::{Array, Model};
use counterfoil_train::{Hold, Network};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::fine_tune::but_the_last;
use super::{DATA_SHARE, Lesson, epochs, labels, rate};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Profile, Settings, Sparse};

/// Trains the last layer anew.
pub(crate) struct RetrainLast;
/// Trains the last layer anew and all others on.
pub(crate) struct RetrainAll;

impl Attack for RetrainLast {
    fn profile(&self) -> Profile {
        Profile {
            name: "rt-last",
            does: "initialise the last layer anew and train it",
            class: Class::Model,
            cost: Cost::Tuning,
            needs: &[Need::Data],
            source: "RTLL: Lukas et al. 2022 (arXiv 2108.04974), section IV",
            parameters: const { &[epochs("10"), rate("0.01"), labels("stolen"), DATA_SHARE] },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        retrained(stolen, settings, means, but_the_last)
    }
}

impl Attack for RetrainAll {
    fn profile(&self) -> Profile {
        Profile {
            name: "rt-all",
            does: "initialise the last layer anew and train all layers, with the mask held",
            source: "RTAL: Lukas et al. 2022 (arXiv 2108.04974), section IV",
            parameters: const { &[epochs("5"), rate("0.01"), labels("stolen"), DATA_SHARE] },
            ..RetrainLast.profile()
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        retrained(stolen, settings, means, Sparse::held)
    }
}

fn retrained(
    stolen: Model,
    settings: &Settings,
    means: &mut Means,
    hold: impl Fn(&Sparse) -> Hold,
) -> Result<Attacked, AttackError> {
    let sparse = Sparse::of(&stolen, means)?;
    let lesson = Lesson::new(settings, means, &sparse.network)?;
    let stolen = with_fresh_classifier(stolen, &sparse.network, sparse.network.architecture().classes(), means.seed);
    let fresh = Sparse::of(&stolen, means)?;
    let hold = hold(&fresh);
    let trained = fresh.trained(|network| lesson.train(network, &hold, means.on_event))?;
    Ok(Attacked::Model(trained.into_model(stolen)))
}

/// The model with a last layer for so many classes, with weights drawn as [`Network::initialise`] draws them and biases of 0.
pub(crate) fn with_fresh_classifier(mut model: Model, network: &Network, classes: u32, seed: u64) -> Model {
    let layer = network.layers().last().expect("every network has a classifier");
    let (inputs, classes) = (layer.shape.row(), classes as usize);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let bound = (6.0 / inputs as f64).sqrt();
    let uniform = |_| ((f64::from(rng.next_u32() >> 8) / f64::from(1 << 23) - 1.0) * bound) as f32;
    let weight = (0..classes * inputs).map(uniform).collect();
    let mut set = |name: String, shape: Vec<usize>, values: Vec<f32>| {
        model.masks.remove(&name);
        model.arrays.insert(name, Array::new(shape, values).expect("it has as many values as its shape says"));
    };
    set(layer.weight(), vec![classes, inputs], weight);
    set(format!("{}.bias", layer.name), vec![classes], vec![0.0; classes]);
    model
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::victim::{changed, correct, left_by, victim};

    #[test]
    fn the_last_layer_is_learned_anew() {
        let before = victim();
        let left = |rate| left_by(&RetrainLast, &before, &[("rate", rate), ("epochs", "20"), ("data-share", "1")]);
        // Hardly trained, it is still the initial one, with biases of about 0.
        let untrained = left("1e-8");
        assert_eq!(changed(&before, &untrained), ["fc3.bias", "fc3.weight"]);
        assert!(untrained.arrays["fc3.bias"].values().iter().all(|bias| bias.abs() < 1e-4));
        let [untrained, trained] = [untrained, left("0.1")].map(|model| correct(&model));
        assert!(untrained < 100 && trained > 200, "{untrained} {trained}");
    }
}
