//! Ticket finders behind one trait, one a file, each with its source.
//!
//! A ticket is the dense weights that a training begins with (initial, rewound or pretrained ones), a mask of each prunable
//! layer, and scores of all its positions on one scale, kept above pruned, so that a stamp knows what it takes and gives.
//!
//! Finding under a key is no matter of each finder: [`Favour`] says which positions the mark would rather not have, and a
//! finder trains with more decay there ([`Keying::Decay`]), multiplies its scores there ([`Keying::Factor`]), or both.

mod bip;
mod channel;
mod class_aware;
mod course;
mod densities;
mod edge_popup;
mod favour;
mod granet;
mod grasp;
mod imp;
mod jackpot;
mod magnitude;
mod nm;
mod probe;
mod random;
mod ranking;
mod regrow;
mod rigl;
mod rounds;
mod sap;
mod snip;
mod supermask;
mod synflow;

use std::collections::BTreeMap;

use counterfoil_ticket::{Description, Kind, Mask, Model, Provenance};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::ranking::{Allotment, best, check_finite, on_one_scale};
use crate::TrainError;
use crate::checkpoint::{Checkpoint, Snapshot, State, insert_group, mask_values};
use crate::network::Network;
use crate::sgd::Schedule;
use crate::training::{Event, Examples};

pub use bip::Bip;
pub use channel::Channel;
pub use class_aware::ClassAware;
pub use densities::Densities;
pub use edge_popup::EdgePopup;
pub use favour::{Favour, Keyed, Keying};
pub use granet::Granet;
pub use grasp::Grasp;
pub use imp::Imp;
pub use jackpot::Jackpot;
pub use magnitude::Magnitude;
pub use nm::Nm;
pub use random::Random;
pub use ranking::Scope;
pub use regrow::{GRADIENT_EXAMPLES, cosine, move_positions};
pub use rigl::Rigl;
pub use sap::Sap;
pub use snip::Snip;
pub use synflow::Synflow;

/// Kept positions by weight tensor.
pub type Masks = BTreeMap<String, Mask>;

/// A number for each position, by weight tensor: higher is better.
pub type Scores = BTreeMap<String, Vec<f32>>;

/// A way to find tickets.
pub trait Finder {
    /// What `find --finder` calls it.
    fn name(&self) -> &'static str;

    /// Its own settings, for the ticket's history.
    fn settings(&self) -> Value;

    /// What it does for a key.
    fn keying(&self) -> Keying;

    /// How its epochs divide; none if it does not train.
    fn epochs(&self, aim: &Aim) -> Option<Epochs>;

    /// Whether the rounds' number depends on the weights: what is announced is an estimate then.
    fn estimates_rounds(&self) -> bool {
        false
    }

    /// Refuses settings outside their ranges.
    ///
    /// # Errors
    ///
    /// A setting out of its range.
    fn check(&self, aim: &Aim) -> Result<(), TrainError> {
        aim.check()
    }

    /// Finds a ticket, or goes on finding it from the checkpoint.
    ///
    /// # Errors
    ///
    /// Settings out of range, training that diverges, a checkpoint of another run.
    fn find(&self, search: &mut Search) -> Result<Model, TrainError> {
        self.check(&search.aim)?;
        self.seek(search)
    }

    /// What [`Finder::find`] does once the settings have passed its check.
    ///
    /// # Errors
    ///
    /// Training that diverges, a checkpoint of another run.
    fn seek(&self, search: &mut Search) -> Result<Model, TrainError>;
}

/// What every finder is told about the ticket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aim {
    /// A training, of each round where there are several.
    pub schedule: Schedule,
    /// Share of the prunable layers' weights that the ticket prunes, 0 to 1.
    pub sparsity: f64,
    /// Epoch whose end the weights are rewound to; 0 is their initialisation.
    pub rewind: u32,
    /// Seed of order, augmentation, and what else is drawn.
    pub seed: u64,
}

/// How a finder's epochs divide, for who shows its progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epochs {
    /// Rounds, at least 1; an estimate of a finder that [estimates](Finder::estimates_rounds) them.
    pub rounds: u32,
    /// Epochs of the first round.
    pub first: u32,
    /// Epoch that later rounds begin at.
    pub rewind: u32,
}

/// One search: what a finder works with.
pub struct Search<'a> {
    /// The initial network, or a pretrained one.
    pub network: Network,
    /// Where its weights come from.
    pub provenance: Provenance,
    /// What is learned.
    pub examples: Examples<'a>,
    /// What is to be found.
    pub aim: Aim,
    /// The mark that the ticket is found for.
    pub keyed: Option<Keyed<'a>>,
    /// Where the search keeps its state at the end of each epoch.
    pub checkpoint: &'a Checkpoint,
    /// Takes its progress.
    pub on_event: &'a mut dyn FnMut(Event),
}

impl Aim {
    /// Refuses values outside their ranges.
    ///
    /// # Errors
    ///
    /// A value outside its range.
    pub fn check(&self) -> Result<(), TrainError> {
        check_share("sparsity", self.sparsity)?;
        if self.rewind >= self.schedule.epochs {
            let expected = "an epoch before the last one";
            return Err(TrainError::Setting { name: "rewind", found: f64::from(self.rewind), expected });
        }
        self.schedule.check()
    }

    /// The paper's rewinding epoch, 3 of 182, in proportion.
    pub fn usual_rewind(epochs: u32) -> u32 {
        epochs.saturating_mul(3).div_ceil(182).min(epochs.saturating_sub(1))
    }

    /// Kept weights of `total`.
    pub(crate) fn kept(&self, total: usize) -> usize {
        ((1.0 - self.sparsity) * total as f64).round() as usize
    }

    /// Epochs of a finder that trains once.
    pub(crate) fn one_training(&self) -> Option<Epochs> {
        Some(Epochs { rounds: 1, first: self.schedule.epochs, rewind: self.rewind })
    }
}

impl Search<'_> {
    /// Full masks of the prunable layers.
    pub(crate) fn full_masks(&self) -> Masks {
        let prunable = self.network.layers().iter().filter(|layer| layer.prunable);
        prunable.map(|layer| (layer.weight(), Mask::full(layer.shape.size()))).collect()
    }

    /// What the key asks for, if there is one.
    pub(crate) fn favour(&self) -> Favour {
        Favour::of(self.keyed.as_ref(), &self.network, &self.full_masks())
    }

    /// Refuses a sparsity that leaves nothing of so many weights.
    pub(crate) fn check_leaves_some(&self) -> Result<(), TrainError> {
        let total = self.full_masks().values().map(Mask::size).sum();
        if self.aim.kept(total) > 0 {
            return Ok(());
        }
        let expected = "a share that leaves at least one weight";
        Err(TrainError::Setting { name: "sparsity", found: self.aim.sparsity, expected })
    }

    /// The ticket of the best scored weights, for who does not train: the key's favour is not in the scores yet.
    pub(crate) fn best_at_once(&mut self, mut scores: Scores, allotment: &Allotment) -> Result<Model, TrainError> {
        check_finite(&scores)?;
        self.favour().weigh(&mut scores);
        let masks = best(&self.full_masks(), &scores, allotment);
        let scores = on_one_scale(&masks, &scores);
        self.at_once(masks, scores)
    }

    /// The ticket of these masks and scores on the search's own weights, for who does not train. So quick a search is not
    /// gone on with; its checkpoint is there for what the end of a run records in it.
    pub(crate) fn at_once(&mut self, masks: Masks, scores: Scores) -> Result<Model, TrainError> {
        let kept = masks.values().map(Mask::kept).sum();
        let of = masks.values().map(Mask::size).sum();
        (self.on_event)(Event::Pruned { round: 1, rounds: 1, kept, of });
        let mut state = State::new();
        insert_group(&mut state, "mask", mask_values(&masks));
        self.checkpoint.save(Snapshot { round: 1, epoch: 0, state })?;
        let network = self.network.clone();
        Ok(self.ticket(&network, masks, scores))
    }

    /// A ticket of this network's weights.
    pub(crate) fn ticket(&self, network: &Network, masks: Masks, scores: Scores) -> Model {
        let description = Description {
            kind: Kind::Ticket,
            architecture: Some(network.architecture().clone()),
            normalisation: Some(network.normalisation().clone()),
            provenance: self.provenance.clone(),
            ..Description::default()
        };
        Model { description, arrays: network.arrays(), masks, scores }
    }
}

/// Refuses a share that is not between 0 and 1.
pub(crate) fn check_share(name: &'static str, value: f64) -> Result<(), TrainError> {
    let inside = value > 0.0 && value < 1.0;
    inside.then_some(()).ok_or(TrainError::Setting { name, found: value, expected: "a share between 0 and 1" })
}

/// Settings as the history records them.
fn recorded(settings: &impl Serialize) -> Value {
    serde_json::to_value(settings).expect("settings are numbers and names")
}
