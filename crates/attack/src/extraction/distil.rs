//! Distillation: a student learns the stolen model's probabilities, at a temperature (Hinton et al. 2015, arXiv 1503.02531);
//! densely, or as a ticket of the attacker's own: a random mask of the same density.
//!
//! The student ticket is a control as well: its mask has nothing to do with the stolen one, and must not be taken for it.

use std::collections::BTreeMap;

use counterfoil_ticket::{Mask, Model};
use counterfoil_train::data::shuffle;
use counterfoil_train::finder::Densities;
use counterfoil_train::{Hold, Network, Predictor, Targets};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{RECIPE, handed_over, lesson, profile, student};
use crate::add_back::{Guess, add_back};
use crate::{Attack, AttackError, Attacked, Means, Parameter, Profile, Settings, Sparse};

const SOURCE: &str = "Hinton et al. 2015 (arXiv 1503.02531); recipe of Lukas et al. 2022 (arXiv 2108.04974)";
const TEMPERATURE: Parameter =
    Parameter::number("temperature", "3", [0.1, 100.0], "temperature of the probabilities that are learned");

/// Distils into a dense student.
pub(crate) struct Distil;
/// Distils into a sparse student.
pub(crate) struct TicketDistil;

impl Attack for Distil {
    fn profile(&self) -> Profile {
        let parameters = const { &[TEMPERATURE, RECIPE[0], RECIPE[1], RECIPE[2], RECIPE[3]] };
        let does = "train a fresh network of the same architecture on the stolen model's probabilities";
        Profile { parameters, ..profile("distil", does, SOURCE) }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        distilled(&stolen, settings, means, |_| BTreeMap::new())
    }
}

impl Attack for TicketDistil {
    fn profile(&self) -> Profile {
        const MASK: Parameter = Parameter::choice(
            "mask",
            "erk",
            &["random", "erk"],
            "the student's mask: random over all layers together, or with Erdős–Rényi densities (Evci et al. 2020)",
        );
        let parameters = const { &[MASK, TEMPERATURE, RECIPE[0], RECIPE[1], RECIPE[2], RECIPE[3]] };
        let does = "train a fresh network under a random mask of the stolen one's density on its probabilities";
        Profile { parameters, ..profile("ticket-distil", does, SOURCE) }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let victim = Sparse::of(&stolen, means)?;
        victim.check_prunes()?;
        let (is_erk, seed, kept) = (settings.word("mask") == "erk", means.seed, victim.kept());
        distilled(&stolen, settings, means, |fresh| {
            let names: Vec<String> = victim.masks.keys().cloned().collect();
            if is_erk { erk(fresh, kept, seed) } else { random(fresh, &names, kept, seed) }
        })
    }
}

fn distilled(
    stolen: &Model,
    settings: &Settings,
    means: &mut Means,
    masks: impl FnOnce(&Network) -> BTreeMap<String, Mask>,
) -> Result<Attacked, AttackError> {
    let (network, lesson) = lesson(stolen, settings, means)?;
    let fresh = student(&network, network.architecture().clone(), means.seed);
    let masks = masks(&fresh);
    let hold = Hold::new(&fresh, &masks, BTreeMap::new());
    let teacher = Predictor::new(&network);
    let targets = Targets::Taught { teacher: &teacher, temperature: settings.number("temperature") as f32 };
    let trained = lesson.train_to(targets, fresh, &hold, means.on_event)?;
    Ok(handed_over(&trained, masks))
}

/// As many positions of these weights together, at random.
fn random(network: &Network, names: &[String], kept: usize, seed: u64) -> BTreeMap<String, Mask> {
    let sizes = network.layers().iter().map(|layer| (layer.weight(), layer.shape.size()));
    let mut masks: BTreeMap<String, Mask> =
        sizes.filter(|(name, _)| names.contains(name)).map(|(name, size)| (name, Mask::empty(size))).collect();
    add_back(&mut masks, |_| Vec::new(), kept, Guess::Random(seed));
    masks
}

/// As many positions of all prunable layers as there are kept ones, by Erdős–Rényi densities.
fn erk(network: &Network, kept: usize, seed: u64) -> BTreeMap<String, Mask> {
    let prunable = network.layers().iter().filter(|layer| layer.prunable);
    let sizes: BTreeMap<String, usize> = prunable.map(|layer| (layer.weight(), layer.shape.size())).collect();
    let sparsity = 1.0 - kept as f64 / sizes.values().sum::<usize>().max(1) as f64;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let counts = Densities::Erk.kept(network.layers(), sparsity.max(0.0));
    let mut mask = |(name, count): (String, usize)| {
        let mut places: Vec<usize> = (0..sizes[&name]).collect();
        shuffle(&mut places, &mut rng);
        let mut mask = Mask::empty(places.len());
        places.into_iter().take(count).for_each(|position| mask.set(position, true));
        (name, mask)
    };
    counts.into_iter().map(&mut mask).collect()
}
