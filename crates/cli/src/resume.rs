//! The end of a run that keeps a progress file, and what to do if it was killed just there.
//!
//! The progress file gets the digests of the outputs before they are put in place, and is removed after. A run that finds
//! outputs with these digests knows that an earlier one put them there: if it is all of them, nothing is left to do.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use counterfoil_ticket::{Digest, Overwrite, place_of};
use counterfoil_train::{Checkpoint, TrainError};
use serde_json::json;

use crate::Error;
use crate::error::warn;
use crate::writing::{Force, Named, Together};

/// Outputs that an interrupted run has put in place.
#[derive(Default)]
pub(crate) struct Placed {
    files: Vec<PathBuf>,
    is_all: bool,
}

impl Placed {
    /// A first look, before the run's settings are known: what the progress file beside `output` records, of this run or
    /// another. A run has one of these sets of outputs, in the order they are written in.
    pub(crate) fn of_any_run(output: &Path, sets: &[&[Named]]) -> Self {
        let recorded = Checkpoint::beside(output, json!(null)).outputs_of_any_run();
        sets.iter().find(|set| set.len() == recorded.len()).map_or_else(Self::default, |set| Self::of(set, &recorded))
    }

    fn of(outputs: &[Named], recorded: &[Digest]) -> Self {
        if recorded.len() != outputs.len() {
            return Self::default();
        }
        let is_there = |(&(_, path), digest): (&Named, &Digest)| {
            digest_of_file(path).is_ok_and(|found| found == *digest).then(|| path.to_owned())
        };
        let files: Vec<PathBuf> = outputs.iter().zip(recorded).filter_map(is_there).collect();
        Self { is_all: files.len() == outputs.len(), files }
    }

    /// Whether this file is one of them.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.files.iter().any(|file| file == path)
    }
}

/// How far the run had come that is about to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// Its outputs are in place.
    Complete,
    /// There is something left to do, if only the last step.
    Open,
}

/// Looks at the progress file of a run that is about to begin, once its settings are known. It is refused, or replaced if
/// `force` is given, if it is not this run's.
///
/// A run is complete if the first of the sets is in place, and `accepts` agrees. Otherwise what an earlier run with the
/// same settings has put in place is removed, to be written again.
pub(crate) fn begin(
    checkpoint: &Checkpoint,
    sets: &[&[Named]],
    force: Force,
    accepts: impl FnOnce() -> Result<bool, Error>,
) -> Result<Begun, Error> {
    let file = checkpoint.path().display();
    if force.is_given() && checkpoint.remove_other()? {
        warn(&format!("{file}: belonged to a run with other settings, and is replaced"));
    }
    let Some(recorded) = checkpoint.outputs()? else { return Ok(Begun::Open) };
    let placed: Vec<Placed> = sets.iter().map(|set| Placed::of(set, &recorded)).collect();
    if placed.first().is_some_and(|outputs| outputs.is_all) && accepts()? {
        checkpoint.remove()?;
        return Ok(Begun::Complete);
    }
    for file in placed.iter().flat_map(|set| &set.files) {
        let file = place_of(file, Overwrite::Replace)?; // of a link, what it leads to
        let what = "removed";
        std::fs::remove_file(&file).map_err(|source| TrainError::Io { file, what, source })?;
    }
    Ok(Begun::Open)
}

/// Puts the outputs of a run in place, and removes its progress file.
pub(crate) fn complete(outputs: Together, checkpoint: &Checkpoint) -> Result<(), Error> {
    let digest = |(output, staged): (&Path, &Path)| {
        digest_of_file(staged).map_err(|source| Error::Unreadable { file: output.to_owned(), source })
    };
    let recorded = checkpoint.record_outputs(&outputs.staged().map(digest).collect::<Result<Vec<_>, _>>()?)?;
    outputs.commit()?;
    // That of another run, which writes the same outputs at the same time, stays.
    if recorded { Ok(checkpoint.remove()?) } else { Ok(()) }
}

fn digest_of_file(path: &Path) -> io::Result<Digest> {
    if !path.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Digest::of_reader(File::open(path)?)
}
