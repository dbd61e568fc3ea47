//! A small network on the digits, and what tests do with tickets.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use counterfoil_ticket::{Architecture, Carrier, Mask, Model, Provenance};
use counterfoil_train::data::{Augmentation, DataSource, Dataset, LoadOptions, Split, load, shuffle};
use counterfoil_train::finder::{Aim, Finder, Keyed, Search};
use counterfoil_train::{
    Checkpoint, DeviceChoice, Event, Examples, Hold, Network, Schedule, TrainError, count_correct, fit,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// A data set and a network, and how tickets are sought in it.
pub(crate) struct Kit {
    pub(crate) data: Dataset,
    architecture: Architecture,
    schedule: Schedule,
    pub(crate) sparsity: f64,
    pretrained: Option<Network>,
}

impl Kit {
    /// A perceptron of which a twentieth is kept.
    pub(crate) fn mlp() -> Self {
        let options = LoadOptions { limit: Some(800), ..LoadOptions::default() };
        let data = load(&DataSource::Digits, &options).unwrap();
        let architecture =
            Architecture::Mlp { input: data.train.shape(), hidden: vec![100, 50], classes: data.classes };
        let schedule = Schedule { batch: 32, rate: 0.05, ..Schedule::paper(6) };
        Self { data, architecture, schedule, sparsity: 0.95, pretrained: None }
    }

    pub(crate) fn of_epochs(mut self, epochs: u32) -> Self {
        self.schedule = Schedule { batch: 32, rate: 0.05, ..Schedule::paper(epochs) };
        self
    }

    pub(crate) fn of_sparsity(self, sparsity: f64) -> Self {
        Self { sparsity, ..self }
    }

    /// The same with a trained network to begin with.
    pub(crate) fn pretrained(mut self, seed: u64) -> Self {
        let network = self.network(seed);
        let hold = Hold::default();
        let trained = fit(network, self.examples(), &self.schedule, &hold, seed, None, &mut |_| ()).unwrap();
        self.pretrained = Some(trained);
        self
    }

    pub(crate) fn aim(&self, seed: u64) -> Aim {
        Aim { schedule: self.schedule.clone(), sparsity: self.sparsity, rewind: 1, seed }
    }

    fn examples(&self) -> Examples<'_> {
        Examples::new(&self.data.train, Augmentation::NONE)
    }

    /// What finders prune.
    pub(crate) fn carriers(&self) -> Vec<Carrier> {
        self.architecture.prunable_carriers()
    }

    pub(crate) fn network(&self, seed: u64) -> Network {
        let device = DeviceChoice::Cpu.open().unwrap();
        Network::initialise(self.architecture.clone(), self.data.normalisation.clone(), seed, &device)
    }

    pub(crate) fn find(&self, finder: &dyn Finder, seed: u64) -> Model {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::beside(&folder.path().join("ticket"), serde_json::json!(0));
        self.search(finder, seed, &checkpoint, &mut |_| ()).unwrap()
    }

    /// Goes on finding up to whatever follows the next epoch, as if killed there; `None` if that was not the end.
    pub(crate) fn find_for_an_epoch(&self, finder: &dyn Finder, seed: u64, checkpoint: &Checkpoint) -> Option<Model> {
        struct Killed;
        let mut epochs = 0;
        let mut on_event = |event: Event| {
            if epochs > 0 {
                resume_unwind(Box::new(Killed)); // unlike a panic says nothing
            }
            epochs += usize::from(matches!(event, Event::Epoch { .. }));
        };
        match catch_unwind(AssertUnwindSafe(|| self.search(finder, seed, checkpoint, &mut on_event))) {
            Ok(ticket) => Some(ticket.unwrap()),
            Err(reason) if reason.is::<Killed>() => None,
            Err(reason) => resume_unwind(reason),
        }
    }

    /// The same for a mark.
    pub(crate) fn find_keyed(&self, finder: &dyn Finder, seed: u64, keyed: Keyed) -> Model {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::beside(&folder.path().join("ticket"), serde_json::json!(0));
        self.search_for(Some(keyed), finder, seed, &checkpoint, &mut |_| ()).unwrap()
    }

    fn search(
        &self,
        finder: &dyn Finder,
        seed: u64,
        checkpoint: &Checkpoint,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Model, TrainError> {
        self.search_for(None, finder, seed, checkpoint, on_event)
    }

    fn search_for(
        &self,
        keyed: Option<Keyed>,
        finder: &dyn Finder,
        seed: u64,
        checkpoint: &Checkpoint,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Model, TrainError> {
        finder.find(&mut Search {
            network: self.pretrained.clone().unwrap_or_else(|| self.network(seed)),
            provenance: Provenance::Random,
            examples: self.examples(),
            aim: self.aim(seed),
            keyed,
            checkpoint,
            on_event,
        })
    }

    /// A ticket's network after training.
    pub(crate) fn trained(&self, ticket: &Model, seed: u64) -> Network {
        let network = self.untrained(ticket);
        let hold = Hold::new(&network, &ticket.masks, BTreeMap::new());
        fit(network, self.examples(), &self.schedule, &hold, seed, None, &mut |_| ()).unwrap()
    }

    /// A ticket's network as it is.
    pub(crate) fn untrained(&self, ticket: &Model) -> Network {
        let device = DeviceChoice::Cpu.open().unwrap();
        Network::from_model(ticket, self.architecture.clone(), self.data.normalisation.clone(), &device).unwrap()
    }
}

/// Share of correct answers.
pub(crate) fn accuracy_of(network: &Network, split: &Split) -> f64 {
    count_correct(network, split).unwrap() as f64 / split.len() as f64
}

pub(crate) fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// The same ticket with as many positions of each layer, anywhere.
pub(crate) fn shuffled(ticket: &Model, seed: u64) -> Model {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut ticket = ticket.clone();
    for mask in ticket.masks.values_mut() {
        let mut positions: Vec<usize> = (0..mask.size()).collect();
        shuffle(&mut positions, &mut rng);
        let kept = mask.kept();
        let mut shuffled = Mask::empty(mask.size());
        positions[..kept].iter().for_each(|&position| shuffled.set(position, true));
        *mask = shuffled;
    }
    ticket
}
