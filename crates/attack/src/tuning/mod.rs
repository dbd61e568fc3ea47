//! What attacks that train have in common: how many images the attacker has, whose labels they bear, how long and how hard
//! he trains on them.

pub(crate) mod adv_train;
pub(crate) mod fine_prune;
pub(crate) mod fine_tune;
pub(crate) mod label_smooth;
pub(crate) mod regularise;
pub(crate) mod reinitialise;
pub(crate) mod transfer;
pub(crate) mod unlearn;

use counterfoil_train::data::{Augmentation, Split};
use counterfoil_train::{Event, Examples, Hold, Network, Predictor, Schedule, Targets, TrainError, fit};

use crate::{AttackError, FineTuning, Means, Parameter, Settings};

/// Share of the images that the attacker has: a third is what Lukas et al. 2022 (arXiv 2108.04974) give him.
pub(crate) const DATA_SHARE: Parameter =
    Parameter::share("data-share", "0.33", "share of the training images that the attacker has, drawn by the seed");

/// Whose labels they bear.
pub(crate) const fn labels(default: &'static str) -> Parameter {
    Parameter::choice(
        "labels",
        default,
        &["own", "stolen"],
        "whose labels the images bear: their own, or the stolen model's answers",
    )
}

/// How long he trains.
pub(crate) const fn epochs(default: &'static str) -> Parameter {
    Parameter::count("epochs", default, [1, 1000], "passes over the attacker's images")
}

/// How large his steps are.
pub(crate) const fn rate(default: &'static str) -> Parameter {
    Parameter::number("rate", default, [1e-9, 10.0], "learning rate")
}

/// Weight decay.
pub(crate) const fn decay(default: &'static str) -> Parameter {
    Parameter::number("decay", default, [0.0, 0.999], "weight decay")
}

/// Images to train on, and how.
pub(crate) struct Lesson {
    /// The attacker's images and their labels.
    pub(crate) split: Split,
    pub(crate) augmentation: Augmentation,
    /// Of a constant rate.
    pub(crate) schedule: Schedule,
    pub(crate) seed: u64,
}

impl Lesson {
    /// What the settings say ("epochs", "rate"; "decay", "data-share" and "labels" where the attack has them), for a network
    /// with this one's classes, whose answers are the labels if those are to be stolen.
    ///
    /// # Errors
    ///
    /// He has no images, they have more classes than the network, or it answers none of them.
    pub(crate) fn new(settings: &Settings, means: &Means, stolen: &Network) -> Result<Self, AttackError> {
        let (data, classes) = (means.data()?, stolen.architecture().classes());
        if data.classes > classes {
            let reason = format!("it tells {classes} classes apart, and the data have {}", data.classes);
            return Err(AttackError::Unsuitable { reason });
        }
        let has = |name| settings.values().contains_key(name);
        let mut split = share_of(&data.train, settings, means.seed);
        if has("labels") && settings.word("labels") == "stolen" {
            split = relabelled(&split, &Predictor::new(stolen))?;
        }
        let (epochs, rate, seed) = (settings.count("epochs"), settings.number("rate"), means.seed);
        let mut schedule = FineTuning { epochs, rate, seed }.schedule();
        if has("decay") {
            schedule.decay = settings.number("decay");
        }
        Ok(Self { split, augmentation: means.augmentation, schedule, seed })
    }

    pub(crate) fn examples(&self) -> Examples<'_> {
        Examples::new(&self.split, self.augmentation)
    }

    /// Trains a network on the labels.
    pub(crate) fn train(
        &self,
        network: Network,
        hold: &Hold,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Network, TrainError> {
        self.train_to(Targets::Labels, network, hold, on_event)
    }

    /// Trains a network on these answers.
    pub(crate) fn train_to(
        &self,
        targets: Targets,
        network: Network,
        hold: &Hold,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Network, TrainError> {
        fit(network, Examples { targets, ..self.examples() }, &self.schedule, hold, self.seed, None, on_event)
    }
}

/// The attacker's share of some images, at least one; all of them where the attack has no such setting.
pub(crate) fn share_of(split: &Split, settings: &Settings, seed: u64) -> Split {
    let share = if settings.values().contains_key("data-share") { settings.number("data-share") } else { 1.0 };
    let count = (share * split.len() as f64).round() as usize;
    split.limited(count.clamp(1, split.len()), seed)
}

/// The images that a model answers, labelled by its answers.
///
/// # Errors
///
/// It answers none of them.
pub(crate) fn relabelled(split: &Split, model: &Predictor) -> Result<Split, AttackError> {
    let answers = model.classify(split.images());
    let answered = answers.iter().enumerate().filter(|(_, answer)| answer.is_some());
    let images = answered.flat_map(|(index, _)| split.image(index)).copied().collect();
    let labels = answers.iter().copied().flatten().collect();
    Split::new(images, labels, split.shape())
        .ok_or_else(|| crate::sparse::unsuitable("it answers none of the attacker's images"))
}
