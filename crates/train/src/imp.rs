//! Iterative magnitude pruning with late rewinding: the finder of the paper.
//!
//! Train; prune the smallest weights of all carriers together; put what is left back to its value at an early epoch;
//! repeat. Frankle & Carbin 2018 (arXiv 1803.03635), rewinding: Frankle et al. 2019 (arXiv 1903.01611), recipe: Chen et
//! al. 2021 (arXiv 2111.00162, section 4). With a key the ticket is stamped as it is found: in every round weights at
//! chip −1 decay faster (docs/protocol.md has the chips).

use std::collections::BTreeMap;

use counterfoil_ticket::{Description, Kind, Mask, Model, Provenance};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::checkpoint::{
    Checkpoint, Snapshot, State, group, insert_group, learner_state, mask_values, network_values, restore_learner,
    restore_network,
};
use crate::magnitude::{KeptWeight, kept_weights};
use crate::marked::OwnMark;
use crate::network::Network;
use crate::sgd::{Hold, Schedule};
use crate::training::{EpochSeed, Event, Examples, Learner};

/// Most pruning rounds.
const MAX_ROUNDS: u32 = 10_000;

/// How to find a ticket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImpSettings {
    /// Training of each round.
    pub schedule: Schedule,
    /// Share of the carriers' weights that the ticket prunes, 0 to 1.
    pub sparsity: f64,
    /// Share of the remaining weights that each round prunes, 0 to 1; the last round prunes what is left to do.
    pub prune_share: f64,
    /// Epoch whose end the weights are rewound to.
    pub rewind: u32,
    /// Seed of initialisation, order and augmentation.
    pub seed: u64,
    /// Extra decay of chip −1 positions, for keyed finding.
    pub keyed_decay: Option<f64>,
}

impl ImpSettings {
    /// Refuses values outside their ranges.
    pub fn check(&self) -> Result<(), TrainError> {
        let share = |name: &'static str, value: f64| {
            let inside = value > 0.0 && value < 1.0;
            inside.then_some(()).ok_or(TrainError::Setting { name, found: value, expected: "a share between 0 and 1" })
        };
        share("sparsity", self.sparsity)?;
        share("prune share", self.prune_share)?;
        if self.rewind >= self.schedule.epochs {
            let expected = "an epoch before the last one";
            return Err(TrainError::Setting { name: "rewind", found: f64::from(self.rewind), expected });
        }
        if self.rounds() > MAX_ROUNDS {
            let expected = "a share that gets there within 10,000 rounds";
            return Err(TrainError::Setting { name: "prune share", found: self.prune_share, expected });
        }
        self.schedule.check()
    }

    /// The paper's rewinding epoch, 3 of 182, in proportion.
    pub fn usual_rewind(epochs: u32) -> u32 {
        epochs.saturating_mul(3).div_ceil(182).min(epochs.saturating_sub(1))
    }

    /// Number of prunings until the sparsity is reached.
    pub fn rounds(&self) -> u32 {
        let rounds = (1.0 - self.sparsity).ln() / (1.0 - self.prune_share).ln();
        // A hair below a whole number is rounding, not another round.
        (rounds - 1e-9).ceil().max(1.0) as u32
    }

    /// Kept weights of `total` after `round` prunings, counted from 1.
    pub fn kept_after(&self, round: u32, total: usize) -> usize {
        let density = (1.0 - self.prune_share).powi(round as i32).max(1.0 - self.sparsity);
        (density * total as f64).round() as usize
    }
}

/// A search in progress.
struct Search {
    learner: Learner,
    round: u32,
    masks: BTreeMap<String, Mask>,
    /// Round in which a position was pruned, plus |w| then, squeezed into 0 to 1: higher is better.
    scores: BTreeMap<String, Vec<f32>>,
    /// Weights and statistics at the rewinding epoch.
    rewound: Option<State>,
}

/// Finds a ticket, or goes on finding it from the checkpoint. `network` is the initial one.
///
/// The ticket holds the rewound weights (dense), and a mask and scores for each carrier.
///
/// # Errors
///
/// Settings out of range, training that diverges, a checkpoint of another run.
pub fn find(
    network: Network,
    examples: Examples,
    settings: &ImpSettings,
    key: Option<&OwnMark>,
    checkpoint: &Checkpoint,
    on_event: &mut dyn FnMut(Event),
) -> Result<Model, TrainError> {
    settings.check()?;
    let rounds = settings.rounds();
    let mut search = Search::begin(network);
    let extra_decay = key.map_or_else(BTreeMap::new, |mark| {
        let carriers = search.carriers();
        mark.extra_decay(&carriers, settings.keyed_decay.unwrap_or(0.0))
    });
    if let Some(snapshot) = checkpoint.load()? {
        on_event(Event::Resumed { round: snapshot.round, epoch: snapshot.epoch });
        search.restore(&snapshot, settings).ok_or_else(|| checkpoint.damaged())?;
    }
    let (_, positions) = search.counts();
    if settings.kept_after(rounds, positions) == 0 {
        let expected = "a share that leaves at least one weight";
        return Err(TrainError::Setting { name: "sparsity", found: settings.sparsity, expected });
    }
    while search.round < rounds {
        let hold = Hold::new(&search.learner.network, &search.masks, extra_decay.clone());
        while search.learner.epoch < settings.schedule.epochs {
            if search.round == 0 && search.learner.epoch == settings.rewind {
                search.rewound = Some(network_values(&search.learner.network).collect());
            }
            let seed = EpochSeed { seed: settings.seed, round: search.round };
            let loss = search.learner.train_epoch(examples, &settings.schedule, &hold, seed, on_event)?;
            let (round, epoch) = (search.round, search.learner.epoch);
            on_event(Event::Epoch { round, rounds, epoch, epochs: settings.schedule.epochs, loss });
            checkpoint.save(search.snapshot())?;
        }
        search.prune(settings);
        let (kept, of) = search.counts();
        on_event(Event::Pruned { round: search.round, rounds, kept, of });
        search.rewind(settings);
        checkpoint.save(search.snapshot())?;
    }
    Ok(search.ticket())
}

impl Search {
    fn begin(network: Network) -> Self {
        let prunable = network.layers().iter().filter(|layer| layer.prunable);
        let (mut masks, mut scores) = (BTreeMap::new(), BTreeMap::new());
        for layer in prunable {
            masks.insert(layer.weight(), Mask::full(layer.shape.size()));
            scores.insert(layer.weight(), vec![0.0; layer.shape.size()]);
        }
        Self { learner: Learner::new(network), round: 0, masks, scores, rewound: None }
    }

    fn carriers(&self) -> Vec<counterfoil_ticket::Carrier> {
        let model = Model { arrays: self.learner.network.arrays(), masks: self.masks.clone(), ..Model::default() };
        model.marked_carriers()
    }

    /// Kept weights, and all weights, of the carriers.
    fn counts(&self) -> (usize, usize) {
        (self.masks.values().map(Mask::kept).sum(), self.masks.values().map(Mask::size).sum())
    }

    /// Prunes the globally smallest |w| down to what this round keeps; ties by name, then position.
    fn prune(&mut self, settings: &ImpSettings) {
        self.round += 1;
        let network = &self.learner.network;
        let weights = |name: &str| network.parameter(name).expect("masks are those of the network's parameters");
        let mut kept = kept_weights(&self.masks, weights);
        let (_, of) = self.counts();
        let drop = kept.len().saturating_sub(settings.kept_after(self.round, of));
        if drop > 0 && drop < kept.len() {
            kept.select_nth_unstable(drop);
        }
        let mut masks: Vec<&mut Mask> = self.masks.values_mut().collect();
        let mut scores: Vec<&mut Vec<f32>> = self.scores.values_mut().collect();
        for (i, weight) in kept.iter().enumerate() {
            let (magnitude, KeptWeight { carrier, position, .. }) = (weight.magnitude(), *weight);
            let squeezed = magnitude / (1.0 + magnitude);
            let survived = if i < drop { 0.0 } else { 1.0 };
            scores[carrier][position] = self.round as f32 + survived + squeezed;
            masks[carrier].set(position, i >= drop);
        }
    }

    /// Back to the rewinding epoch, under the new masks.
    fn rewind(&mut self, settings: &ImpSettings) {
        let rewound = self.rewound.as_ref().expect("the first round passes the rewinding epoch");
        let mut network = self.learner.network.clone();
        let values = rewound.iter().map(|(name, values)| (name.as_str(), values));
        restore_network(&mut network, values).expect("the values are this network's");
        Hold::new(&network, &self.masks, BTreeMap::new()).apply(&mut network);
        self.learner = Learner { epoch: settings.rewind, ..Learner::new(network) };
    }

    fn snapshot(&self) -> Snapshot {
        let mut state = learner_state(&self.learner);
        insert_group(&mut state, "mask", mask_values(&self.masks));
        insert_group(&mut state, "score", self.scores.clone());
        insert_group(&mut state, "rewound", self.rewound.clone().unwrap_or_default());
        Snapshot { round: self.round, epoch: self.learner.epoch, state }
    }

    /// Puts a snapshot back; `None` if it is of another search.
    fn restore(&mut self, snapshot: &Snapshot, settings: &ImpSettings) -> Option<()> {
        restore_learner(&mut self.learner, snapshot)?;
        self.round = snapshot.round;
        for (name, values) in group(&snapshot.state, "mask") {
            let mask = self.masks.get_mut(name).filter(|mask| mask.size() == values.len())?;
            *mask = Mask::of_nonzero(values);
        }
        for (name, values) in group(&snapshot.state, "score") {
            let scores = self.scores.get_mut(name).filter(|scores| scores.len() == values.len())?;
            scores.clone_from(values);
        }
        let rewound: State =
            group(&snapshot.state, "rewound").map(|(name, values)| (name.to_owned(), values.clone())).collect();
        self.rewound = (!rewound.is_empty()).then_some(rewound);
        let passed_rewinding = snapshot.round > 0 || snapshot.epoch > settings.rewind;
        (self.rewound.is_some() == passed_rewinding).then_some(())
    }

    fn ticket(self) -> Model {
        let mut network = self.learner.network;
        let rewound = self.rewound.expect("the first round passes the rewinding epoch");
        let values = rewound.iter().map(|(name, values)| (name.as_str(), values));
        restore_network(&mut network, values).expect("the values are this network's");
        let description = Description {
            kind: Kind::Ticket,
            architecture: Some(network.architecture().clone()),
            normalisation: Some(network.normalisation().clone()),
            provenance: Provenance::Random,
            ..Description::default()
        };
        Model { description, arrays: network.arrays(), masks: self.masks, scores: self.scores }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(sparsity: f64, prune_share: f64) -> ImpSettings {
        let schedule = Schedule::paper(4);
        ImpSettings { schedule, sparsity, prune_share, rewind: 1, seed: 0, keyed_decay: None }
    }

    #[test]
    fn the_papers_rounds_end_exactly_at_the_sparsity() {
        let paper = settings(0.95, 0.2);
        assert_eq!(paper.rounds(), 14);
        assert_eq!([1, 2, 14].map(|r| paper.kept_after(r, 100_000)), [80_000, 64_000, 5_000]);
        assert_eq!(settings(0.36, 0.2).rounds(), 2);
        assert_eq!(settings(0.5, 0.5).rounds(), 1);
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        for (wrong, message) in [
            (settings(1.0, 0.2), "sparsity is 1, expected a share between 0 and 1"),
            (settings(0.5, 0.0), "prune share is 0, expected a share between 0 and 1"),
            (ImpSettings { rewind: 4, ..settings(0.5, 0.2) }, "rewind is 4, expected an epoch before the last one"),
        ] {
            assert_eq!(wrong.check().unwrap_err().to_string(), message);
        }
    }
}
