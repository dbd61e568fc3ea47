//! Checkpoints: the whole state of a run at the end of an epoch, so that a killed run goes on as if it had not been.
//!
//! A safetensors file beside the output, written atomically after each epoch and removed at the end. It records the
//! settings of its run, which a run with other settings refuses, and a checksum. Before the outputs are put in place it
//! records their digests, so that a run that is killed between that and its end is known to be complete.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use counterfoil_ticket::{Array, Digest, Mask, Model, ModelFile, Overwrite};
use serde_json::{Value, json};

use crate::TrainError;
use crate::network::{Network, to_vec};
use crate::training::Learner;

/// Fields of the record, beside "round", "epoch" and "settings".
const CHECKSUM: &str = "sha256";
const OUTPUTS: &str = "outputs";

/// Named flat values, with a group before the first slash: `network/conv1.weight`, `velocity/…`, `mask/…`.
pub(crate) type State = BTreeMap<String, Vec<f32>>;

/// What a checkpoint file holds: the record of its run, and the state as arrays.
type Record = (Value, BTreeMap<String, Array>);

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
        let position = json!({ "round": snapshot.round, "epoch": snapshot.epoch, "settings": self.settings });
        let array = |values: Vec<f32>| Array::new(vec![values.len()], values).expect("a flat array fits its length");
        self.write(position, snapshot.state.into_iter().map(|(name, values)| (name, array(values))).collect())
    }

    /// The last snapshot of this run; `None` if it has not begun.
    ///
    /// # Errors
    ///
    /// The file is damaged, or belongs to a run with other settings.
    pub(crate) fn load(&self) -> Result<Option<Snapshot>, TrainError> {
        let Some((position, arrays)) = self.read()? else { return Ok(None) };
        if !self.is_of(&position) {
            return Err(TrainError::OtherCheckpoint { file: self.path.clone() });
        }
        let number = |key| position[key].as_u64().and_then(|n| u32::try_from(n).ok()).ok_or_else(|| self.damaged());
        let (round, epoch) = (number("round")?, number("epoch")?);
        let state = arrays.into_iter().map(|(name, array)| (name, array.into_values())).collect();
        Ok(Some(Snapshot { round, epoch, state }))
    }

    /// Removes the file if it belongs to a run with other settings; whether it did.
    ///
    /// # Errors
    ///
    /// The file is damaged, or cannot be removed.
    pub fn remove_other(&self) -> Result<bool, TrainError> {
        match self.outputs() {
            Err(TrainError::OtherCheckpoint { .. }) => self.remove().map(|()| true),
            other => other.map(|_| false),
        }
    }

    /// Records the digests of the run's outputs, which are about to be put in place. Gives whether it did: not if there is
    /// no file, or if another run with other settings has replaced it since.
    ///
    /// # Errors
    ///
    /// The file is damaged, or cannot be written.
    pub fn record_outputs(&self, outputs: &[Digest]) -> Result<bool, TrainError> {
        let Some((mut position, arrays)) = self.read()?.filter(|(position, _)| self.is_of(position)) else {
            return Ok(false);
        };
        position[OUTPUTS] = outputs.iter().map(Digest::to_string).collect();
        self.write(position, arrays).map(|()| true)
    }

    /// What [`Checkpoint::record_outputs`] has recorded for this run; `None` if the run has not begun, an empty list if it
    /// has not come so far.
    ///
    /// # Errors
    ///
    /// The file is damaged, or belongs to a run with other settings.
    pub fn outputs(&self) -> Result<Option<Vec<Digest>>, TrainError> {
        match self.read()? {
            None => Ok(None),
            Some((position, _)) if self.is_of(&position) => Ok(Some(outputs_of(&position))),
            Some(_) => Err(TrainError::OtherCheckpoint { file: self.path.clone() }),
        }
    }

    /// The same whatever the run's settings; nothing if the file cannot be used. For a first look, before they are known.
    pub fn outputs_of_any_run(&self) -> Vec<Digest> {
        self.read().ok().flatten().map(|(position, _)| outputs_of(&position)).unwrap_or_default()
    }

    fn is_of(&self, position: &Value) -> bool {
        position["settings"] == self.settings
    }

    fn write(&self, mut position: Value, arrays: BTreeMap<String, Array>) -> Result<(), TrainError> {
        position[CHECKSUM] = checksum(&position, &arrays).into();
        let mut model = Model { arrays, ..Model::default() };
        model.description.history = vec![position];
        Ok(model.write_safetensors(&self.path, Overwrite::Replace)?)
    }

    /// The file, after its checksum was compared; `None` without one.
    fn read(&self) -> Result<Option<Record>, TrainError> {
        let unreadable = |source| TrainError::Io { file: self.path.clone(), what: "read", source };
        if !self.path.try_exists().map_err(unreadable)? {
            return Ok(None);
        }
        let model = ModelFile::open(&self.path).and_then(|file| file.read()).map_err(TrainError::Checkpoint)?;
        let mut position = model.description.history.into_iter().next().ok_or_else(|| self.damaged())?;
        let recorded = position.as_object_mut().and_then(|position| position.remove(CHECKSUM));
        let recorded = recorded.ok_or_else(|| self.damaged())?;
        if recorded != checksum(&position, &model.arrays) {
            return Err(TrainError::CheckpointChecksum { file: self.path.clone() });
        }
        Ok(Some((position, model.arrays)))
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

fn outputs_of(position: &Value) -> Vec<Digest> {
    let outputs = position[OUTPUTS].as_array().map_or(&[][..], Vec::as_slice);
    outputs.iter().filter_map(|digest| Digest::from_hex(digest.as_str()?)).collect()
}

/// SHA-256 of everything that a checkpoint holds, each part behind its length.
fn checksum(position: &Value, arrays: &BTreeMap<String, Array>) -> String {
    let framed = |bytes: &[u8]| [&(bytes.len() as u64).to_be_bytes()[..], bytes].concat();
    let values = |array: &Array| array.values().iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let parts = arrays.iter().flat_map(|(name, array)| [framed(name.as_bytes()), framed(&values(array))]);
    Digest::of(std::iter::once(framed(position.to_string().as_bytes())).chain(parts)).to_string()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> (tempfile::TempDir, Checkpoint) {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::beside(&folder.path().join("model"), json!({ "rate": 0.1 }));
        let state = State::from([("network/w".to_owned(), vec![0.5, -1.0]), ("velocity/w".to_owned(), vec![0.0, 2.0])]);
        checkpoint.save(Snapshot { round: 1, epoch: 2, state }).unwrap();
        (folder, checkpoint)
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let (_folder, checkpoint) = saved();
        let sound = std::fs::read(checkpoint.path()).unwrap();
        let mut checksums = 0;
        for byte in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[byte] ^= 1;
            std::fs::write(checkpoint.path(), damaged).unwrap();
            let error = checkpoint.load().err().unwrap_or_else(|| panic!("byte {byte} of {}", sound.len()));
            checksums += usize::from(matches!(error, TrainError::CheckpointChecksum { .. }));
        }
        assert!(checksums >= 16, "{checksums}"); // at least each byte of the values
        std::fs::write(checkpoint.path(), sound).unwrap();
        assert_eq!(checkpoint.load().unwrap().map(|s| (s.round, s.epoch)), Some((1, 2)));
    }

    #[test]
    fn outputs_are_recorded_beside_the_state() {
        let (_folder, checkpoint) = saved();
        assert_eq!(checkpoint.outputs().unwrap(), Some(vec![]));
        let outputs = vec![Digest::of(["a"]), Digest::of(["b"])];
        assert!(checkpoint.record_outputs(&outputs).unwrap());
        assert_eq!(checkpoint.outputs().unwrap().as_ref(), Some(&outputs));
        assert_eq!(checkpoint.load().unwrap().unwrap().state["network/w"], [0.5, -1.0]);
        checkpoint.remove().unwrap();
        assert!(!checkpoint.record_outputs(&outputs).unwrap());
        assert_eq!(checkpoint.outputs().unwrap(), None);
    }

    #[test]
    fn a_run_records_no_outputs_in_the_file_of_another() {
        let (folder, checkpoint) = saved();
        let other = Checkpoint::beside(&folder.path().join("model"), json!({ "rate": 0.01 }));
        assert!(!other.record_outputs(&[Digest::of(["a"])]).unwrap());
        assert_eq!(checkpoint.outputs().unwrap(), Some(vec![]));
        assert!(matches!(other.outputs(), Err(TrainError::OtherCheckpoint { .. })));
        checkpoint.record_outputs(&[Digest::of(["a"])]).unwrap();
        assert!(matches!(other.outputs(), Err(TrainError::OtherCheckpoint { .. })));
        assert_eq!(other.outputs_of_any_run(), [Digest::of(["a"])]);
    }

    #[test]
    fn only_another_run_s_file_is_removed_for_it() {
        let (folder, checkpoint) = saved();
        assert!(!checkpoint.remove_other().unwrap());
        let other = Checkpoint::beside(&folder.path().join("model"), json!({ "rate": 0.01 }));
        assert!(matches!(other.load(), Err(TrainError::OtherCheckpoint { .. })));
        assert!(other.remove_other().unwrap());
        assert!(checkpoint.outputs().unwrap().is_none() && !other.remove_other().unwrap());
    }
}
