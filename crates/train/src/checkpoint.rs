//! Checkpoints: the whole state of a run at the end of an epoch, so that a killed run goes on as if it had not been.
//!
//! A safetensors file beside the output, written atomically after each epoch and removed at the end. It records the
//! settings of its run; a run with other settings refuses it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use counterfoil_ticket::{Array, Mask, Model, ModelFile, Overwrite};
use serde_json::{Value, json};

use crate::TrainError;
use crate::network::{Network, to_vec};
use crate::training::Learner;

/// Named flat values, with a group before the first slash: `network/conv1.weight`, `velocity/…`, `mask/…`.
pub(crate) type State = BTreeMap<String, Vec<f32>>;

/// Where a run keeps its checkpoint, and for which settings.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    path: PathBuf,
    settings: Value,
}

/// A run's position and state.
pub(crate) struct Snapshot {
    pub(crate) round: u32,
    pub(crate) epoch: u32,
    pub(crate) state: State,
}

impl Checkpoint {
    /// Keeps the checkpoint of the run with these settings beside its output file, as `OUTPUT.progress`.
    pub fn beside(output: &Path, settings: Value) -> Self {
        let mut path = output.as_os_str().to_owned();
        path.push(".progress");
        Self { path: path.into(), settings }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong if a snapshot does not fit the run.
    pub(crate) fn damaged(&self) -> TrainError {
        TrainError::NotACheckpoint { file: self.path.clone() }
    }

    pub(crate) fn save(&self, snapshot: Snapshot) -> Result<(), TrainError> {
        let mut model = Model::default();
        let position = json!({ "round": snapshot.round, "epoch": snapshot.epoch, "settings": self.settings });
        model.description.history = vec![position];
        let array = |values: Vec<f32>| Array::new(vec![values.len()], values).expect("a flat array fits its length");
        model.arrays = snapshot.state.into_iter().map(|(name, values)| (name, array(values))).collect();
        Ok(model.write_safetensors(&self.path, Overwrite::Replace)?)
    }

    /// The last snapshot of this run; `None` if it has not begun.
    ///
    /// # Errors
    ///
    /// The file is damaged, or belongs to a run with other settings.
    pub(crate) fn load(&self) -> Result<Option<Snapshot>, TrainError> {
        let unreadable = |source| TrainError::Io { file: self.path.clone(), what: "read", source };
        if !self.path.try_exists().map_err(unreadable)? {
            return Ok(None);
        }
        let model = ModelFile::open(&self.path)?.read()?;
        let damaged = || self.damaged();
        let position = model.description.history.first().ok_or_else(damaged)?;
        if position["settings"] != self.settings {
            return Err(TrainError::OtherCheckpoint { file: self.path.clone() });
        }
        let number = |key: &str| position[key].as_u64().and_then(|n| u32::try_from(n).ok()).ok_or_else(damaged);
        let (round, epoch) = (number("round")?, number("epoch")?);
        let state = model.arrays.into_iter().map(|(name, array)| (name, array.into_values())).collect();
        Ok(Some(Snapshot { round, epoch, state }))
    }

    /// Removes the file, if there is one: the run is complete.
    pub fn remove(&self) -> Result<(), TrainError> {
        match std::fs::remove_file(&self.path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(TrainError::Io { file: self.path.clone(), what: "removed", source })
            }
            _ => Ok(()),
        }
    }
}

/// Puts a group of a state under its prefix.
pub(crate) fn insert_group(state: &mut State, group: &str, values: impl IntoIterator<Item = (String, Vec<f32>)>) {
    state.extend(values.into_iter().map(|(name, values)| (format!("{group}/{name}"), values)));
}

/// Takes a group out of a state, by name without prefix.
pub(crate) fn group<'a>(state: &'a State, group: &'a str) -> impl Iterator<Item = (&'a str, &'a Vec<f32>)> {
    state.iter().filter_map(move |(name, values)| Some((name.strip_prefix(group)?.strip_prefix('/')?, values)))
}

/// A network's values: parameters and running statistics.
pub(crate) fn network_values(network: &Network) -> impl Iterator<Item = (String, Vec<f32>)> + '_ {
    network.parameters.iter().chain(&network.statistics).map(|(name, tensor)| (name.clone(), to_vec(tensor)))
}

/// Puts values of [`network_values`] back; `None` if one is not of this network.
pub(crate) fn restore_network<'a>(
    network: &mut Network,
    values: impl Iterator<Item = (&'a str, &'a Vec<f32>)>,
) -> Option<()> {
    for (name, values) in values {
        let size = |tensor: &burn::tensor::Tensor<1>| tensor.dims()[0];
        if network.parameters.get(name).map(size) == Some(values.len()) {
            network.set_parameter(name.to_owned(), values.clone());
        } else if network.statistics.get(name).map(size) == Some(values.len()) {
            network.set_statistic(name.to_owned(), values.clone());
        } else {
            return None;
        }
    }
    Some(())
}

/// A learner's state.
pub(crate) fn learner_state(learner: &Learner) -> State {
    let mut state = State::new();
    insert_group(&mut state, "network", network_values(&learner.network));
    let velocity = learner.optimizer.velocity.iter().map(|(name, tensor)| (name.clone(), to_vec(tensor)));
    insert_group(&mut state, "velocity", velocity);
    state
}

/// Puts a learner's state back; `None` if it is another network's.
pub(crate) fn restore_learner(learner: &mut Learner, snapshot: &Snapshot) -> Option<()> {
    restore_network(&mut learner.network, group(&snapshot.state, "network"))?;
    for (name, values) in group(&snapshot.state, "velocity") {
        let parameter = learner.network.parameters.get(name)?;
        if parameter.dims()[0] != values.len() {
            return None;
        }
        let tensor = learner.network.tensor(values.clone());
        learner.optimizer.velocity.insert(name.to_owned(), tensor);
    }
    learner.epoch = snapshot.epoch;
    Some(())
}

/// Masks as values 0 and 1.
pub(crate) fn mask_values(masks: &BTreeMap<String, Mask>) -> impl Iterator<Item = (String, Vec<f32>)> + '_ {
    masks.iter().map(|(name, mask)| {
        let mut values = vec![1.0; mask.size()];
        mask.apply(&mut values);
        (name.clone(), values)
    })
}
