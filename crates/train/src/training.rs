//! Training: epochs over a data set, mixed with trigger images, under a [`Hold`].
//!
//! Everything random (order, augmentation) is drawn from ChaCha8 seeded by (seed, round, epoch), so a run that is
//! resumed at an epoch's end goes on exactly as if it had not stopped.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Gradients;
use counterfoil_mark::TriggerSet;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use crate::TrainError;
use crate::checkpoint::{Checkpoint, Snapshot, learner_state, restore_learner};
use crate::data::{Augmentation, Split, augment, shuffle};
use crate::forward::Connected;
use crate::network::{Batch, Leaves, Network, Stake, to_vec};
use crate::predictor::classify;
use crate::sgd::{Hold, Schedule, Sgd};
use crate::targets::Targets;

/// How often an epoch shows each trigger. Shown once, the public ones of the worst of three seeds were at −63.8 after
/// eight epochs on the digits and fine-tuning (docs/results.md at commit 24d3ceb); shown twice, they are far below −64.
const TRIGGER_SHOWINGS: usize = 2;
/// Share of the data's weight that all triggers of an epoch have together, as long as none weighs more than an image of
/// the data or less than [`LEAST_TRIGGER_WEIGHT`]. Their labels are drawn: a network that learns them as hard as its data
/// loses accuracy on small data sets, 0.6 points on the digits (docs/results.md).
const TRIGGER_SHARE: f64 = 0.07;
/// With less, few triggers are learned in a short training.
const LEAST_TRIGGER_WEIGHT: f64 = 0.6;
/// Loss at which a trigger is learned well enough and left alone: its label has three quarters of the probability.
const TRIGGER_ENOUGH: f32 = 0.3;

/// Images that an epoch ends with a look at.
const LAST_LOOK: usize = 16;

/// What a run reports while it goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A checkpoint was found; the run goes on behind it.
    Resumed {
        /// Pruning rounds done.
        round: u32,
        /// Epochs done in this round.
        epoch: u32,
    },
    /// A step is done.
    Batch {
        /// Examples seen in this epoch.
        done: usize,
        /// Examples of an epoch.
        of: usize,
    },
    /// An epoch is done.
    Epoch {
        /// Pruning round, from 0.
        round: u32,
        /// Pruning rounds in all; 0 outside finders.
        rounds: u32,
        /// Epochs done in this round.
        epoch: u32,
        /// Epochs of a round.
        epochs: u32,
        /// Mean training loss.
        loss: f64,
    },
    /// A pruning is done.
    Pruned {
        /// Prunings done.
        round: u32,
        /// Prunings in all.
        rounds: u32,
        /// Weights of the carriers that are left.
        kept: usize,
        /// Weights of the carriers.
        of: usize,
    },
}

/// What is learned from: a training split and, for stamped tickets, trigger images.
#[derive(Clone, Copy)]
pub struct Examples<'a> {
    /// The training split.
    pub split: &'a Split,
    /// How its images are varied; triggers never are.
    pub augmentation: Augmentation,
    /// Trigger sets, each image of which is seen twice an epoch.
    pub triggers: &'a [TriggerSet],
    /// What all of these are to be answered.
    pub targets: Targets<'a>,
}

impl<'a> Examples<'a> {
    /// A split and its labels.
    pub fn new(split: &'a Split, augmentation: Augmentation) -> Self {
        Self { split, augmentation, triggers: &[], targets: Targets::Labels }
    }

    /// Number of examples of an epoch.
    pub fn len(&self) -> usize {
        self.split.len() + TRIGGER_SHOWINGS * self.trigger_count()
    }

    fn trigger_count(&self) -> usize {
        self.triggers.iter().map(TriggerSet::len).sum()
    }

    /// Whether there is nothing to learn from.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a trigger has to say in the loss.
    fn trigger_stake(&self) -> Stake {
        let shown = (TRIGGER_SHOWINGS * self.trigger_count()) as f64;
        let weight = (TRIGGER_SHARE * self.split.len() as f64 / shown).clamp(LEAST_TRIGGER_WEIGHT, 1.0);
        Stake { weight: weight as f32, enough: TRIGGER_ENOUGH }
    }

    /// `count` examples (at most all) drawn by `seed`, in batches.
    pub(crate) fn drawn(&self, count: usize, batch: usize, seed: EpochSeed, epoch: u32) -> Vec<Batch> {
        let mut rng = seed.rng(epoch);
        let mut order: Vec<usize> = (0..self.len()).collect();
        shuffle(&mut order, &mut rng);
        order.truncate(count);
        order.chunks(batch.max(1)).map(|indices| self.batch(indices, &mut rng)).collect()
    }

    /// `count` examples (at most all) of a class, drawn by `seed`; `None` without any.
    pub(crate) fn drawn_of(&self, class: u32, count: usize, seed: EpochSeed) -> Option<Batch> {
        let mut rng = seed.rng(class);
        let labels = self.split.labels().iter().enumerate();
        let mut indices: Vec<usize> = labels.filter(|(_, label)| **label == class).map(|(index, _)| index).collect();
        shuffle(&mut indices, &mut rng);
        indices.truncate(count);
        (!indices.is_empty()).then(|| self.batch(&indices, &mut rng))
    }

    /// The examples of these indices.
    fn batch(&self, indices: &[usize], rng: &mut ChaCha8Rng) -> Batch {
        let mut batch = Batch::default();
        indices.iter().for_each(|&index| self.push(index, rng, &mut batch));
        batch.soft = self.targets.soft(&batch.images, &batch.labels);
        batch
    }

    /// Appends example `index` to a batch.
    fn push(&self, index: usize, rng: &mut ChaCha8Rng, Batch { images, labels, stakes, .. }: &mut Batch) {
        if index < self.split.len() {
            let (start, shape) = (images.len(), self.split.shape());
            images.resize(start + shape.size(), 0);
            augment(self.split.image(index), shape, self.augmentation, rng, &mut images[start..]);
            labels.push(self.split.labels()[index]);
            stakes.push(Stake::FULL);
            return;
        }
        let mut index = (index - self.split.len()) % self.trigger_count();
        for set in self.triggers {
            if index < set.len() {
                images.extend_from_slice(set.image(index));
                labels.push(set.labels[index]);
                stakes.push(self.trigger_stake());
                return;
            }
            index -= set.len();
        }
        unreachable!("an example is below `len`");
    }
}

/// A network in training: its state, and how far it has come.
#[derive(Debug, Clone)]
pub struct Learner {
    /// The network.
    pub network: Network,
    /// The optimizer's state.
    pub optimizer: Sgd,
    /// Epochs done.
    pub epoch: u32,
}

impl Learner {
    /// A network before its first epoch.
    pub fn new(network: Network) -> Self {
        Self { network, optimizer: Sgd::default(), epoch: 0 }
    }

    /// One epoch in a seeded order. Returns the mean training loss.
    ///
    /// # Errors
    ///
    /// The loss, a weight or the network's output is no longer finite.
    pub fn train_epoch(
        &mut self,
        examples: Examples,
        schedule: &Schedule,
        hold: &Hold,
        seed: EpochSeed,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<f64, TrainError> {
        self.train_epoch_moving(examples, schedule, &mut hold.clone(), seed, on_event, |_| None)
    }

    /// One epoch as [`Learner::train_epoch`] does it, after each step of which `moved` looks at the network and gives what
    /// holds it from then on, if that is to change.
    ///
    /// # Errors
    ///
    /// As [`Learner::train_epoch`].
    pub fn train_epoch_moving(
        &mut self,
        examples: Examples,
        schedule: &Schedule,
        hold: &mut Hold,
        seed: EpochSeed,
        on_event: &mut dyn FnMut(Event),
        mut moved: impl FnMut(&Network) -> Option<Hold>,
    ) -> Result<f64, TrainError> {
        let (rate, mut optimizer) = (schedule.rate_at(self.epoch), std::mem::take(&mut self.optimizer));
        let connected = Arc::clone(&hold.connected);
        let loss = self.epoch_by(examples, schedule.batch, connected, seed, on_event, |network, leaves, gradients| {
            optimizer.step(network, &leaves, gradients, schedule, rate, hold);
            *hold = moved(network)?;
            hold.apply(network);
            Some(Arc::clone(&hold.connected))
        });
        self.optimizer = optimizer;
        loss
    }

    /// One epoch in a seeded order, in which `step` does what it likes with each batch's gradients, and gives the weights
    /// that the next ones are computed with, if those are others.
    pub(crate) fn epoch_by(
        &mut self,
        examples: Examples,
        batch_size: usize,
        mut connected: Arc<Connected>,
        seed: EpochSeed,
        on_event: &mut dyn FnMut(Event),
        mut step: impl FnMut(&mut Network, Leaves, Gradients) -> Option<Arc<Connected>>,
    ) -> Result<f64, TrainError> {
        let mut rng = seed.rng(self.epoch);
        let mut order: Vec<usize> = (0..examples.len()).collect();
        shuffle(&mut order, &mut rng);
        let (mut sum, mut done, mut last) = (0.0, 0, Vec::new());
        for indices in order.chunks(batch_size) {
            let batch = examples.batch(indices, &mut rng);
            let (loss, leaves) = self.network.loss(&batch, &connected);
            let value = f64::from(to_vec(&loss.clone().inner())[0]);
            if !value.is_finite() {
                return Err(TrainError::Diverged { epoch: self.epoch + 1, loss: value });
            }
            if let Some(moved) = step(&mut self.network, leaves, loss.backward()) {
                connected = moved;
            }
            sum += value * indices.len() as f64;
            done += indices.len();
            last = batch.images;
            on_event(Event::Batch { done, of: examples.len() });
        }
        if let Some(name) = self.network.not_finite() {
            return Err(TrainError::NotFinite { epoch: self.epoch + 1, what: format!("tensor '{name}'") });
        }
        // No loss is computed after the last step, and finite weights can be too large to compute with.
        let images = &last[..last.len().min(LAST_LOOK * examples.split.shape().size())];
        if classify(&self.network, images).contains(&None) {
            return Err(TrainError::NotFinite { epoch: self.epoch + 1, what: "the network's output".to_owned() });
        }
        self.epoch += 1;
        Ok(sum / done.max(1) as f64)
    }
}

impl Learner {
    /// Gradients of the loss by parameter, also at pruned positions, over `count` examples drawn by `seed`. Running
    /// statistics stay as they are.
    pub fn gradients(&self, examples: Examples, count: usize, seed: EpochSeed) -> BTreeMap<String, Vec<f32>> {
        gradients(&self.network, examples, count, seed, self.epoch)
    }
}

/// Gradients of the loss by parameter, also at pruned positions, over `count` examples drawn by `seed` and the number of the
/// draw. Running statistics stay as they are.
pub fn gradients(
    network: &Network,
    examples: Examples,
    count: usize,
    seed: EpochSeed,
    draw: u32,
) -> BTreeMap<String, Vec<f32>> {
    let batch = examples.drawn(count, count, seed, draw).pop().unwrap_or_default();
    network.gradients(&batch, &Hold::default())
}

/// Trains a network through the whole schedule, or goes on from the checkpoint.
///
/// # Errors
///
/// A setting out of range, training that diverges, a checkpoint of another run.
pub fn fit(
    network: Network,
    examples: Examples,
    schedule: &Schedule,
    hold: &Hold,
    seed: u64,
    checkpoint: Option<&Checkpoint>,
    on_event: &mut dyn FnMut(Event),
) -> Result<Network, TrainError> {
    schedule.check()?;
    let mut learner = Learner::new(network);
    hold.apply(&mut learner.network);
    if let Some(checkpoint) = checkpoint
        && let Some(snapshot) = checkpoint.load()?
    {
        on_event(Event::Resumed { round: 0, epoch: snapshot.epoch });
        restore_learner(&mut learner, &snapshot).ok_or_else(|| checkpoint.damaged())?;
    }
    while learner.epoch < schedule.epochs {
        let loss = learner.train_epoch(examples, schedule, hold, EpochSeed { seed, round: 0 }, on_event)?;
        on_event(Event::Epoch { round: 0, rounds: 0, epoch: learner.epoch, epochs: schedule.epochs, loss });
        if let Some(checkpoint) = checkpoint {
            checkpoint.save(Snapshot { round: 0, epoch: learner.epoch, state: learner_state(&learner) })?;
        }
    }
    Ok(learner.network)
}

/// Where an epoch's randomness comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochSeed {
    /// The user's seed.
    pub seed: u64,
    /// The pruning round, 0 outside finders.
    pub round: u32,
}

impl EpochSeed {
    fn rng(self, epoch: u32) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(u64::from(self.round) << 32 | u64::from(epoch) | 1 << 63);
        rng
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_ticket::{Architecture, ImageShape, Mask, Normalisation};

    use super::*;
    use crate::{DeviceChoice, count_correct};

    /// Bright images are class 1, dark ones class 0.
    fn split() -> Split {
        let images = (0..64).flat_map(|i| vec![if i % 2 == 0 { 20 } else { 220 }; 16]).collect();
        let shape = ImageShape { channels: 1, height: 4, width: 4 };
        Split::new(images, (0..64).map(|i| i % 2).collect(), shape).unwrap()
    }

    fn network() -> Network {
        let input = ImageShape { channels: 1, height: 4, width: 4 };
        let architecture = Architecture::Mlp { input, hidden: vec![8], classes: 2 };
        let normalisation = Normalisation { mean: vec![0.5], std: vec![0.5] };
        Network::initialise(architecture, normalisation, 3, &DeviceChoice::Cpu.open().unwrap())
    }

    fn run(checkpoint: Option<&Checkpoint>, epochs: u32, hold: &Hold) -> Network {
        let split = split();
        let examples = Examples::new(&split, Augmentation::NONE);
        let schedule = Schedule { batch: 16, milestones: vec![3], ..Schedule::paper(epochs) };
        fit(network(), examples, &schedule, hold, 5, checkpoint, &mut |_| ()).unwrap()
    }

    #[test]
    fn layers_that_are_frozen_stay_as_they_are() {
        let before = network();
        let layers = before.layers().to_vec();
        let hold = Hold::default().but_for_layers(&before, layers.last());
        let trained = run(None, 2, &hold);
        let same = |name| trained.parameter(name) == before.parameter(name);
        assert!(same("fc1.weight") && same("fc1.bias") && !same("fc2.weight") && !same("fc2.bias"));
    }

    #[test]
    fn a_mask_that_moves_within_an_epoch_holds_from_then_on() {
        let (split, schedule) = (split(), Schedule { batch: 16, ..Schedule::paper(1) });
        let mut learner = Learner::new(network());
        let mask = |keep: usize| BTreeMap::from([("fc1.weight".to_owned(), Mask::from_fn(128, |p| p % 2 == keep))]);
        let mut hold = Hold::new(&learner.network, &mask(0), BTreeMap::new());
        hold.apply(&mut learner.network);
        let (examples, seed) = (Examples::new(&split, Augmentation::NONE), EpochSeed { seed: 1, round: 0 });
        let mut steps = 0;
        let moved = |network: &Network| {
            steps += 1;
            (steps == 2).then(|| Hold::new(network, &mask(1), BTreeMap::new()))
        };
        learner.train_epoch_moving(examples, &schedule, &mut hold, seed, &mut |_| (), moved).unwrap();
        let weights = learner.network.parameter("fc1.weight").unwrap();
        assert_eq!(steps, 4);
        assert!(weights.iter().step_by(2).all(|w| *w == 0.0) && weights.iter().skip(1).step_by(2).any(|w| *w != 0.0));
    }

    #[test]
    fn a_student_learns_what_its_teacher_says_and_not_the_labels() {
        let (split, teacher) = (split(), run(None, 5, &Hold::default()));
        let wrong = Split::new(split.images().to_vec(), vec![0; 64], split.shape()).unwrap();
        let teacher = crate::Predictor::new(&teacher);
        let targets = Targets::Taught { teacher: &teacher, temperature: 3.0 };
        let examples = Examples { targets, ..Examples::new(&wrong, Augmentation::NONE) };
        let schedule = Schedule { batch: 16, ..Schedule::paper(5) };
        let student = fit(network(), examples, &schedule, &Hold::default(), 2, None, &mut |_| ()).unwrap();
        assert_eq!(count_correct(&student, &split).unwrap(), 64);
    }

    #[test]
    fn what_can_be_learned_is_learned_and_pruned_weights_stay_zero() {
        let masks = BTreeMap::from([("fc1.weight".to_owned(), Mask::from_fn(128, |p| p % 3 == 0))]);
        let trained = run(None, 5, &Hold::new(&network(), &masks, BTreeMap::new()));
        assert_eq!(count_correct(&trained, &split()).unwrap(), 64);
        let weights = trained.parameter("fc1.weight").unwrap();
        assert_eq!(Mask::of_nonzero(&weights), masks["fc1.weight"]);
    }

    #[test]
    fn bottlenecks_and_pooled_convolutions_learn() {
        let image = |side: u32| ImageShape { channels: 1, height: side, width: side };
        for architecture in [
            Architecture::Resnet50 { input: image(8), width: 4, classes: 2 },
            Architecture::Vgg16 { input: image(32), width: 2, classes: 2 },
        ] {
            let (name, shape) = (architecture.name(), architecture.input());
            // Uneven images, or batch norms would have nothing to divide by.
            let pixel = |i: usize, p: usize| (if i.is_multiple_of(2) { 20 } else { 160 }) + ((i + p) * 7919 % 61) as u8;
            let images = (0..64).flat_map(|i| (0..shape.size()).map(move |p| pixel(i, p))).collect();
            let split = Split::new(images, (0..64).map(|i| i % 2).collect(), shape).unwrap();
            let examples = Examples::new(&split, Augmentation::NONE);
            let normalisation = Normalisation { mean: vec![0.5], std: vec![0.5] };
            let network = Network::initialise(architecture, normalisation, 3, &DeviceChoice::Cpu.open().unwrap());
            let schedule = Schedule { batch: 16, rate: 0.02, ..Schedule::paper(16) };
            let trained = fit(network, examples, &schedule, &Hold::default(), 5, None, &mut |_| ()).unwrap();
            assert_eq!(count_correct(&trained, &split).unwrap(), 64, "{name}");
        }
    }

    #[test]
    fn an_epoch_shows_each_trigger_twice() {
        let split = split();
        let triggers: Vec<TriggerSet> = [vec![1, 0], vec![1]]
            .into_iter()
            .enumerate()
            .map(|(i, labels)| TriggerSet {
                images: vec![i as u8 + 1; 16 * labels.len()],
                labels,
                shape: split.shape(),
                classes: 2,
            })
            .collect();
        let examples = Examples { triggers: &triggers, ..Examples::new(&split, Augmentation::NONE) };
        assert_eq!(examples.len(), 64 + 2 * 3);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let batch = examples.batch(&[64, 65, 66, 67, 68, 69, 0], &mut rng);
        assert_eq!(batch.labels, [1, 0, 1, 1, 0, 1, 0]);
        assert_eq!(batch.images.iter().step_by(16).copied().collect::<Vec<u8>>(), [1, 1, 2, 1, 1, 2, 20]);
        // All of them weigh 7 % of the 64 images.
        let weights: Vec<f32> = batch.stakes.iter().map(|stake| stake.weight).collect();
        assert!((weights[..6].iter().sum::<f32>() - 0.07 * 64.0).abs() < 1e-4 && weights[6] == 1.0, "{weights:?}");
        let weight = |triggers| Examples { triggers, ..examples }.trigger_stake().weight;
        assert_eq!(weight(&triggers[1..]), 1.0);
        let many = [&triggers[..], &triggers[..]].concat();
        assert_eq!(weight(&many), 0.6);
    }

    #[test]
    fn training_that_diverges_ends_in_the_epoch_that_it_does() {
        // Gradients are about 1, so weights become about the rate, and products of two layers' its square.
        for (rate, batch, epoch) in [(1e38, 16, 1), (1e38, 64, 1), (1e30, 64, 1)] {
            let split = split();
            let examples = Examples::new(&split, Augmentation::NONE);
            let schedule = Schedule { batch, rate, ..Schedule::paper(3) };
            let folder = tempfile::tempdir().unwrap();
            let checkpoint = Checkpoint::beside(&folder.path().join("model"), serde_json::json!(null));
            let error = fit(network(), examples, &schedule, &Hold::default(), 5, Some(&checkpoint), &mut |_| ());
            let error = error.unwrap_err();
            let found = match error {
                TrainError::Diverged { epoch, .. } | TrainError::NotFinite { epoch, .. } => epoch,
                other => panic!("{other}"),
            };
            assert_eq!(found, epoch, "rate {rate}, batch {batch}");
        }
    }

    #[test]
    fn a_network_that_answers_nan_has_no_accuracy() {
        let mut network = network();
        let mut bias = network.parameter("fc2.bias").unwrap();
        bias[1] = f32::NAN;
        network.set_parameter("fc2.bias".to_owned(), bias);
        let error = count_correct(&network, &split()).unwrap_err();
        let message = "the network's outputs are not finite numbers for 64 of 64 images, expected finite ones";
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn more_decay_makes_smaller_weights() {
        let decay = (0..128).map(|p| if p < 64 { 0.03 } else { 0.0 }).collect();
        let extra = BTreeMap::from([("fc1.weight".to_owned(), decay)]);
        let norm = |network: &Network, range: std::ops::Range<usize>| -> f32 {
            network.parameter("fc1.weight").unwrap()[range].iter().map(|w| w * w).sum()
        };
        let plain = run(None, 5, &Hold::default());
        let decayed = run(None, 5, &Hold::new(&network(), &BTreeMap::new(), extra));
        let ratio = |range: std::ops::Range<usize>| norm(&decayed, range.clone()) / norm(&plain, range);
        assert!(ratio(0..64) < 0.9 * ratio(64..128), "{} {}", ratio(0..64), ratio(64..128));
    }

    #[test]
    fn a_run_that_goes_on_ends_as_one_that_never_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::beside(&folder.path().join("model"), serde_json::json!({"run": 1}));
        let whole = run(None, 6, &Hold::default());
        run(Some(&checkpoint), 4, &Hold::default());
        let resumed = run(Some(&checkpoint), 6, &Hold::default());
        assert_eq!(resumed.arrays(), whole.arrays());

        let other = Checkpoint::beside(&folder.path().join("model"), serde_json::json!({"run": 2}));
        let message = other.load().err().unwrap().to_string();
        assert!(message.ends_with("model.progress: belongs to a run with other settings, expected those of this one"));
        checkpoint.remove().unwrap();
        assert!(checkpoint.load().unwrap().is_none());
    }
}
