//! Finding the ticket again from the ticket: its mask is grown at random, then pruned back in rounds of iterative magnitude
//! pruning (Frankle & Carbin 2018, arXiv 1803.03635), each from the same weights, and trained once more.
//!
//! With the rewound weights it ends as an honest rediscovery; without them the stolen model's weights, and for what was grown
//! drawn ones, are what every round goes back to.

use counterfoil_ticket::{Mask, Model};
use counterfoil_train::{Event, Network, Schedule};

use crate::add_back::{Guess, add_back, drawn_weights};
use crate::model::prune::{Victims, prune_masks};
use crate::sparse::with_masks;
use crate::tuning::{DATA_SHARE, Lesson, decay, epochs, labels, rate};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings, Sparse};

/// Grows the mask and finds a ticket in it.
pub(crate) struct ReImp;

impl Attack for ReImp {
    fn profile(&self) -> Profile {
        Profile {
            name: "re-imp",
            does: "grow the mask at random, prune back in rounds of training and rewinding, train; from the rewound weights if known",
            class: Class::Informed,
            cost: Cost::Training,
            needs: &[Need::Data],
            source: "IMP: Frankle & Carbin 2018 (arXiv 1803.03635); as an attack on masks, this project",
            parameters: const {
                &[
                    epochs("3"),
                    rate("0.1"),
                    decay("1e-4"),
                    Parameter::share("grow-to", "0.2", "density that the mask is grown to"),
                    Parameter::number(
                        "prune-share",
                        "0.2",
                        [0.01, 0.99],
                        "share of what is left that each round prunes",
                    ),
                    labels("own"),
                    DATA_SHARE,
                ]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let victim = Sparse::of(&stolen, means)?;
        victim.check_prunes()?;
        let mut lesson = Lesson::new(settings, means, &victim.network)?;
        lesson.schedule.milestones = Schedule::paper(lesson.schedule.epochs).milestones;
        let size: usize = victim.masks.values().map(Mask::size).sum();
        let (kept, grown) = (victim.kept(), (settings.number("grow-to") * size as f64).round() as usize);
        if grown <= kept {
            let reason = format!("it keeps {kept} of {size} weights, not fewer than the {grown} that it is grown to");
            return Err(AttackError::Unsuitable { reason });
        }
        let mut masks = victim.masks;
        add_back(&mut masks, |_| Vec::new(), grown - kept, Guess::Random(means.seed));
        let start = start(&stolen, means)?;
        let share = settings.number("prune-share");
        let rounds = ((grown as f64 / kept as f64).ln() / -(1.0 - share).ln() - 1e-9).ceil().max(1.0) as u32;
        for round in 0..=rounds {
            let sparse = Sparse::of(&with_masks(start.clone(), masks), means)?;
            let hold = sparse.held();
            let mut on_event = |event| (means.on_event)(in_round(event, round, rounds + 1));
            let trained = sparse.trained(|network: Network| lesson.train(network, &hold, &mut on_event))?;
            if round == rounds {
                return Ok(Attacked::Model(trained.into_model(stolen)));
            }
            let network = &trained.network;
            let weights = |name: &str| network.parameter(name).expect("masks are of the network's parameters");
            let target = ((1.0 - share).powf(f64::from(round + 1)) * grown as f64).max(kept as f64);
            let prune = 1.0 - target / trained.masks.values().map(Mask::kept).sum::<usize>() as f64;
            masks = trained.masks;
            prune_masks(&mut masks, weights, prune, Victims::Smallest);
            (means.on_event)(Event::Pruned {
                round: round + 1,
                rounds,
                kept: masks.values().map(Mask::kept).sum(),
                of: size,
            });
        }
        unreachable!("the last round returns")
    }
}

/// The dense weights that every round begins with.
fn start(stolen: &Model, means: &Means) -> Result<Model, AttackError> {
    let mut start = Model { masks: Default::default(), ..stolen.clone() };
    if let Some(rewound) = &means.rewound {
        let arrays = start.arrays.iter_mut();
        for (array, known) in arrays.filter_map(|(name, array)| Some((array, rewound.arrays.get(name)?))) {
            if array.shape() == known.shape() {
                *array = known.clone();
            }
        }
        return Ok(start);
    }
    for (name, drawn) in drawn_weights(stolen, &stolen.masks, means.seed) {
        let array = start.arrays.get_mut(&name).expect("masks are of arrays");
        let pruned = array.values_mut().iter_mut().zip(drawn).filter(|(weight, _)| **weight == 0.0);
        pruned.for_each(|(weight, drawn)| *weight = drawn);
    }
    Ok(start)
}

/// An event of a round's training.
fn in_round(event: Event, round: u32, rounds: u32) -> Event {
    match event {
        Event::Epoch { epoch, epochs, loss, .. } => Event::Epoch { round, rounds, epoch, epochs, loss },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::victim::{attempt, correct, data, kept, left_by, victim, with_means};

    #[test]
    fn a_ticket_of_the_same_density_is_found() {
        let before = victim();
        let set = [("grow-to", "0.7"), ("epochs", "6"), ("data-share", "1")];
        let after = left_by(&ReImp, &before, &set);
        assert_eq!(kept(&after), kept(&before));
        let stayed: usize = after.masks.iter().map(|(name, mask)| mask.overlap(&before.masks[name])).sum();
        let moved = 1.0 - stayed as f64 / kept(&before) as f64;
        assert!(moved > 0.05 && correct(&after) > 180, "{moved} {}", correct(&after));
    }

    #[test]
    fn what_is_denser_already_is_refused() {
        let refused = with_means(&data(), |means| attempt(&ReImp, &victim(), &[], means)).err().unwrap();
        assert!(
            refused.to_string().ends_with("of 1520 weights, not fewer than the 304 that it is grown to"),
            "{refused}"
        );
    }
}
