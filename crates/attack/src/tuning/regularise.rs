//! Regularisation: strong weight decay wears down what the network does not need for its task, then it is fine-tuned
//! (Lukas et al. 2022, arXiv 2108.04974, section IV). They stop fine-tuning early; here it runs all its epochs.

use counterfoil_ticket::Model;

use super::{DATA_SHARE, Lesson, epochs, labels, rate};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings, Sparse};

/// Trains on with much decay, then with little.
pub(crate) struct Regularise;

impl Attack for Regularise {
    fn profile(&self) -> Profile {
        Profile {
            name: "regularise",
            does: "train on with strong weight decay, then with the usual one, with the mask held",
            class: Class::Model,
            cost: Cost::Tuning,
            needs: &[Need::Data],
            source: "Regularization: Lukas et al. 2022 (arXiv 2108.04974), section IV",
            parameters: const {
                &[
                    Parameter::number("decay", "0.1", [0.0, 0.999], "weight decay at first"),
                    epochs("5"),
                    Parameter::count("tune-epochs", "50", [1, 1000], "passes with a decay of 1e-4 afterwards"),
                    rate("0.001"),
                    labels("stolen"),
                    DATA_SHARE,
                ]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let sparse = Sparse::of(&stolen, means)?;
        let mut lesson = Lesson::new(settings, means, &sparse.network)?;
        let hold = sparse.held();
        let worn = sparse.trained(|network| lesson.train(network, &hold, means.on_event))?;
        lesson.schedule.epochs = settings.count("tune-epochs");
        lesson.schedule.decay = 1e-4;
        lesson.seed = lesson.seed.wrapping_add(1);
        let tuned = worn.trained(|network| lesson.train(network, &hold, means.on_event))?;
        Ok(Attacked::Model(tuned.into_model(stolen)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::victim::{kept, left_by, victim};

    #[test]
    fn weights_shrink_where_they_are_kept() {
        let before = victim();
        let set = [("tune-epochs", "1"), ("rate", "0.02"), ("data-share", "1")];
        let after = left_by(&Regularise, &before, &set);
        let size = |model: &Model| model.arrays["fc1.weight"].values().iter().map(|w| w * w).sum::<f32>();
        // 15 steps by 0.02 · 0.1 / (1 − 0.9) at most.
        assert!(size(&after) < 0.8 * size(&before), "{} {}", size(&after), size(&before));
        assert_eq!(kept(&after), kept(&before));
    }
}
