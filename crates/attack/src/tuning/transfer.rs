//! Transfer: the stolen ticket is trained for another task, with a classifier of its own, mask held (Chen et al. 2021, arXiv
//! 2111.00162, section 4.3: CIFAR-10 to CIFAR-100 and back).

use counterfoil_ticket::Model;
use counterfoil_train::Schedule;

use super::reinitialise::with_fresh_classifier;
use super::{Lesson, epochs, rate};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings, Sparse};

/// Trains for another task.
pub(crate) struct Transfer;

impl Attack for Transfer {
    fn profile(&self) -> Profile {
        Profile {
            name: "ft-transfer",
            does: "train for another task, that of the attacker's images, with a new last layer and the mask held",
            class: Class::Model,
            cost: Cost::Training,
            needs: &[Need::Data],
            source: "Chen et al. 2021 (arXiv 2111.00162), section 4.3",
            parameters: const {
                &[
                    epochs("182"),
                    rate("0.1"),
                    Parameter::share(
                        "data-share",
                        "1",
                        "share of the training images that the attacker has, drawn by the seed",
                    ),
                ]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let victim = Sparse::of(&stolen, means)?;
        let classes = means.data()?.classes;
        let mut model = with_fresh_classifier(stolen, &victim.network, classes, means.seed);
        // Another number of classes: it is recognised anew.
        model.description.architecture = None;
        model.description.normalisation = Some(victim.network.normalisation().clone());
        let fresh = Sparse::of(&model, means)?;
        let mut lesson = Lesson::new(settings, means, &fresh.network)?;
        lesson.schedule = Schedule { rate: lesson.schedule.rate, ..Schedule::paper(lesson.schedule.epochs) };
        model.description.architecture = Some(fresh.network.architecture().clone());
        let hold = fresh.held();
        let trained = fresh.trained(|network| lesson.train(network, &hold, means.on_event))?;
        Ok(Attacked::Model(trained.into_model(model)))
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_train::data::{Dataset, Split};

    use super::*;
    use crate::victim::{data, kept, left, resnet, with_means};

    #[test]
    fn another_task_has_another_classifier_and_the_same_mask() {
        // Whether a digit is even.
        let digits = data();
        let parity = |split: &Split| {
            let labels = split.labels().iter().map(|label| label % 2).collect();
            Split::new(split.images().to_vec(), labels, split.shape()).unwrap()
        };
        let data = Dataset { train: parity(&digits.train), test: parity(&digits.test), classes: 2, ..digits };
        let before = resnet();
        let after = with_means(&data, |means| left(&Transfer, &before, &[("epochs", "3")], means));
        assert_eq!(after.arrays["linear.weight"].shape(), [2, 16]);
        assert_eq!((&after.masks, kept(&after)), (&before.masks, kept(&before)));
        let network = with_means(&data, |means| Sparse::of(&after, means)).unwrap().network;
        assert!(counterfoil_train::count_correct(&network, &data.test).unwrap() > 200);
    }
}
