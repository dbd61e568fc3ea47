//! Fine-tuning, of all layers with the mask held or let go, or of the last one ("FTAL" and "FTLL": Lukas et al. 2022, arXiv
//! 2108.04974, section IV; there on a third of the data, by Adam).

use counterfoil_ticket::Model;
use counterfoil_train::{Event, Examples, Hold, Schedule, TrainError, fit};

use super::{DATA_SHARE, Lesson, epochs, labels, rate};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings, Sparse};

/// How to fine-tune.
#[derive(Debug, Clone, PartialEq)]
pub struct FineTuning {
    /// Passes over the thief's data.
    pub epochs: u32,
    /// Constant learning rate.
    pub rate: f64,
    /// Seed of the order.
    pub seed: u64,
}

impl FineTuning {
    /// A schedule of constant rate.
    pub(crate) fn schedule(&self) -> Schedule {
        Schedule { rate: self.rate, milestones: Vec::new(), ..Schedule::paper(self.epochs) }
    }
}

/// Trains all layers on, with the mask held.
///
/// # Errors
///
/// Training diverges, or a setting is out of range.
pub fn fine_tune(
    victim: Sparse,
    examples: Examples,
    settings: &FineTuning,
    on_event: &mut dyn FnMut(Event),
) -> Result<Sparse, TrainError> {
    let hold = victim.held();
    victim.trained(|network| fit(network, examples, &settings.schedule(), &hold, settings.seed, None, on_event))
}

/// Holds the masks, and all layers but the last.
pub(crate) fn but_the_last(sparse: &Sparse) -> Hold {
    sparse.held().but_for_layers(&sparse.network, sparse.network.layers().last())
}

/// Trains all layers on.
pub(crate) struct FineTuneAll;
/// Trains the last layer on.
pub(crate) struct FineTuneLast;

const MASK: Parameter = Parameter::choice("mask", "held", &["held", "free"], "whether pruned weights stay 0");

impl Attack for FineTuneAll {
    fn profile(&self) -> Profile {
        Profile {
            name: "ft-all",
            does: "train all layers on, with the mask held or let go",
            class: Class::Model,
            cost: Cost::Tuning,
            needs: &[Need::Data],
            source: "FTAL: Lukas et al. 2022 (arXiv 2108.04974), section IV",
            parameters: const { &[epochs("5"), rate("0.001"), MASK, labels("own"), DATA_SHARE] },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        if settings.word("mask") == "free" {
            stolen.masks.clear();
        }
        tuned(stolen, settings, means, Sparse::held)
    }
}

impl Attack for FineTuneLast {
    fn profile(&self) -> Profile {
        Profile {
            name: "ft-last",
            does: "train the last layer on; of the others only the running statistics follow the attacker's images",
            source: "FTLL: Lukas et al. 2022 (arXiv 2108.04974), section IV",
            parameters: const { &[epochs("5"), rate("0.001"), labels("own"), DATA_SHARE] },
            ..FineTuneAll.profile()
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        tuned(stolen, settings, means, but_the_last)
    }
}

fn tuned(
    stolen: Model,
    settings: &Settings,
    means: &mut Means,
    hold: impl Fn(&Sparse) -> Hold,
) -> Result<Attacked, AttackError> {
    let sparse = Sparse::of(&stolen, means)?;
    let lesson = Lesson::new(settings, means, &sparse.network)?;
    let hold = hold(&sparse);
    let tuned = sparse.trained(|network| lesson.train(network, &hold, means.on_event))?;
    Ok(Attacked::Model(tuned.into_model(stolen)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::victim::{changed, data, kept, left, left_by, victim, with_means};

    #[test]
    fn the_last_layer_alone_moves() {
        let before = victim();
        let after = left_by(&FineTuneLast, &before, &[("epochs", "2")]);
        assert_eq!(changed(&before, &after), ["fc3.bias", "fc3.weight"]);
        let after = left_by(&FineTuneAll, &before, &[("rate", "0.1")]);
        assert_eq!(changed(&before, &after).len(), 6);
        assert_eq!((after.masks.clone(), kept(&after)), (before.masks.clone(), kept(&before)));
    }

    #[test]
    fn a_mask_that_is_let_go_fills_up() {
        let after = left_by(&FineTuneAll, &victim(), &[("mask", "free"), ("rate", "0.1")]);
        let zeros = after.arrays["fc1.weight"].values().iter().filter(|w| **w == 0.0).count();
        // Some digits' pixels are always dark; their weights get no gradient.
        assert!(zeros < 200, "{zeros} of 1280 are still 0");
    }

    #[test]
    fn the_same_seed_gives_the_same_weights_and_another_one_others() {
        let (before, data) = (victim(), data());
        let run = |seed| {
            with_means(&data, |means| {
                means.seed = seed;
                left(&FineTuneAll, &before, &[("labels", "stolen"), ("epochs", "1")], means).arrays
            })
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
}
