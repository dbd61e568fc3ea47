//! Where a finder that trains stands. All of it is in the checkpoint, at the end of every epoch: a search that is killed
//! ends with the same bytes as one that is not.

use counterfoil_ticket::{Mask, Model};

use super::{Masks, Scores, Search};
use crate::TrainError;
use crate::checkpoint::{
    Snapshot, State, group, insert_group, learner_state, mask_values, network_values, restore_learner, restore_network,
};
use crate::network::Network;
use crate::sgd::Hold;
use crate::training::{EpochSeed, Event, Learner};

/// A search in progress.
pub(crate) struct Course {
    /// The network, and how far this round has come.
    pub(crate) learner: Learner,
    /// Rounds done.
    pub(crate) round: u32,
    /// What is kept.
    pub(crate) masks: Masks,
    /// Scores so far, of which the ticket's are made.
    pub(crate) scores: Scores,
    /// What else a finder has to remember.
    pub(crate) memory: State,
    /// Weights and statistics at the rewinding epoch.
    rewound: Option<State>,
}

impl Course {
    /// Begins with these masks, or goes on from the checkpoint.
    pub(crate) fn begin(search: &mut Search, masks: Masks, memory: State) -> Result<Self, TrainError> {
        let scores = masks.iter().map(|(name, mask)| (name.clone(), vec![0.0; mask.size()])).collect();
        let learner = Learner::new(search.network.clone());
        let mut course = Self { learner, round: 0, masks, scores, memory, rewound: None };
        course.hold();
        if let Some(snapshot) = search.checkpoint.load()? {
            (search.on_event)(Event::Resumed { round: snapshot.round, epoch: snapshot.epoch });
            course.restore(&snapshot, search.aim.rewind).ok_or_else(|| search.checkpoint.damaged())?;
        }
        Ok(course)
    }

    /// Kept weights, and all weights, of the prunable layers.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.masks.values().map(Mask::kept).sum(), self.masks.values().map(Mask::size).sum())
    }

    /// How many weights of a layer the latest round pruned: as scores say, which have the round as their whole part.
    pub(crate) fn pruned_latest(&self, name: &str) -> usize {
        let (mask, scores) = (&self.masks[name], &self.scores[name]);
        let round = self.round as f32;
        (0..mask.size()).filter(|&position| !mask.keeps(position) && scores[position] >= round).count()
    }

    /// The network's weights in the masked layers.
    pub(crate) fn weights(&self) -> Scores {
        let value = |name: &String| self.learner.network.parameter(name).expect("masks are of its parameters");
        self.masks.keys().map(|name| (name.clone(), value(name))).collect()
    }

    /// Their magnitudes.
    pub(crate) fn magnitudes(&self) -> Scores {
        let mut weights = self.weights();
        weights.values_mut().flatten().for_each(|w| *w = w.abs());
        weights
    }

    /// Sets weights outside the masks to 0.
    pub(crate) fn hold(&mut self) {
        Hold::new(&self.learner.network, &self.masks, State::new()).apply(&mut self.learner.network);
    }

    /// Goes on to the end of this round. `epoch` does one epoch and whatever follows it, and gives its loss.
    pub(crate) fn finish_round(
        &mut self,
        search: &mut Search,
        rounds: u32,
        mut epoch: impl FnMut(&mut Self, &mut Search, EpochSeed) -> Result<f64, TrainError>,
    ) -> Result<(), TrainError> {
        let epochs = search.aim.schedule.epochs;
        while self.learner.epoch < epochs {
            if self.round == 0 && self.learner.epoch == search.aim.rewind {
                self.rewound = Some(self.dense(&search.network));
            }
            let seed = EpochSeed { seed: search.aim.seed, round: self.round };
            let loss = epoch(self, search, seed)?;
            let (round, epoch) = (self.round, self.learner.epoch);
            (search.on_event)(Event::Epoch { round, rounds, epoch, epochs, loss });
            search.checkpoint.save(self.snapshot())?;
        }
        Ok(())
    }

    /// The network's values, and the initial weights where nothing was kept or has only just been grown: a ticket is dense.
    fn dense(&self, initial: &Network) -> State {
        let mut values: State = network_values(&self.learner.network).collect();
        for (name, _) in self.masks.iter().filter(|(_, mask)| mask.kept() < mask.size()) {
            let initial = initial.parameter(name).expect("masks are of its parameters");
            let values = values.get_mut(name).expect("masks are of its parameters");
            values.iter_mut().zip(initial).filter(|(value, _)| **value == 0.0).for_each(|(value, w)| *value = w);
        }
        values
    }

    /// Prunes down to these masks, which keep nothing that was pruned before. Scores say when a position was pruned, and then
    /// its `value` at that time, 0 or more: higher is better.
    pub(crate) fn prune_to(&mut self, masks: Masks, values: &Scores) {
        for (name, before) in &self.masks {
            let (after, values) = (&masks[name], &values[name]);
            let scores = self.scores.get_mut(name).expect("scores are of the masked layers");
            for position in before.positions() {
                let survived = if after.keeps(position) { 1.0 } else { 0.0 };
                let squeezed = values[position] / (1.0 + values[position]);
                scores[position] = self.round as f32 + survived + squeezed;
            }
        }
        self.masks = masks;
    }

    /// Back to the rewinding epoch, under the masks.
    pub(crate) fn rewind(&mut self, search: &Search) {
        self.learner = Learner { epoch: search.aim.rewind, ..Learner::new(self.rewound()) };
        self.hold();
    }

    /// The network at the rewinding epoch.
    fn rewound(&self) -> Network {
        let rewound = self.rewound.as_ref().expect("the first round passes the rewinding epoch");
        let mut network = self.learner.network.clone();
        let values = rewound.iter().map(|(name, values)| (name.as_str(), values));
        restore_network(&mut network, values).expect("the values are this network's");
        network
    }

    pub(crate) fn save(&self, search: &Search) -> Result<(), TrainError> {
        search.checkpoint.save(self.snapshot())
    }

    fn snapshot(&self) -> Snapshot {
        let mut state = learner_state(&self.learner);
        insert_group(&mut state, "mask", mask_values(&self.masks));
        insert_group(&mut state, "score", self.scores.clone());
        insert_group(&mut state, "memory", self.memory.clone());
        insert_group(&mut state, "rewound", self.rewound.clone().unwrap_or_default());
        Snapshot { round: self.round, epoch: self.learner.epoch, state }
    }

    /// Puts a snapshot back; `None` if it is of another search.
    fn restore(&mut self, snapshot: &Snapshot, rewind: u32) -> Option<()> {
        restore_learner(&mut self.learner, snapshot)?;
        self.round = snapshot.round;
        for (name, values) in group(&snapshot.state, "mask") {
            let mask = self.masks.get_mut(name).filter(|mask| mask.size() == values.len())?;
            *mask = Mask::of_nonzero(values);
        }
        for (kind, own) in [("score", &mut self.scores), ("memory", &mut self.memory)] {
            for (name, values) in group(&snapshot.state, kind) {
                own.get_mut(name).filter(|own| own.len() == values.len())?.clone_from(values);
            }
        }
        let rewound: State =
            group(&snapshot.state, "rewound").map(|(name, values)| (name.to_owned(), values.clone())).collect();
        self.rewound = (!rewound.is_empty()).then_some(rewound);
        let passed_rewinding = snapshot.round > 0 || snapshot.epoch > rewind;
        (self.rewound.is_some() == passed_rewinding).then_some(())
    }

    /// The ticket: rewound weights, masks, scores.
    pub(crate) fn ticket(self, search: &Search) -> Model {
        search.ticket(&self.rewound(), self.masks, self.scores)
    }
}
