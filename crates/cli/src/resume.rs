//! The end of a run that keeps a progress file, and what to do if it was killed just there.
//!
//! The progress file gets the digests of the outputs before they are put in place, and is removed after. A run that finds
//! outputs with these digests knows that an earlier one put them there: if it is all of them, nothing is left to do.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use counterfoil_ticket::Digest;
use counterfoil_train::{Checkpoint, TrainError};
use serde_json::json;

use crate::Error;
use crate::error::warn;
use crate::writing::{Force, Named, Together};

/// Outputs that an interrupted run has put in place.
pub(crate) struct Placed {
    files: Vec<PathBuf>,
    is_all: bool,
}

impl Placed {
    /// Compares the outputs, in the order they are written in, with what the progress file beside `output` records.
    pub(crate) fn of(output: &Path, outputs: &[Named]) -> Self {
        let recorded = Checkpoint::beside(output, json!(null)).recorded_outputs();
        if recorded.len() != outputs.len() {
            return Self { files: Vec::new(), is_all: false };
        }
        let mut files = Vec::new();
        for (&(_, path), digest) in outputs.iter().zip(&recorded) {
            if digest_of_file(path).is_ok_and(|found| found == *digest) {
                files.push(path.to_owned());
            }
        }
        Self { is_all: files.len() == outputs.len(), files }
    }

    /// Whether this file is one of them.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.files.iter().any(|file| file == path)
    }
}

/// Looks at the progress file of a run that is about to begin. Gives whether the run is complete already; then the file
/// is removed. What an interrupted run has put in place of its outputs is removed if it is not all of them.
pub(crate) fn is_complete(checkpoint: &Checkpoint, placed: &Placed, force: Force) -> Result<bool, Error> {
    let file = checkpoint.path().display();
    if force.is_given() && checkpoint.remove_other()? {
        warn(&format!("{file}: belonged to a run with other settings, and is replaced"));
    }
    if !checkpoint.check()? {
        return Ok(false);
    }
    if placed.is_all {
        checkpoint.remove()?;
        return Ok(true);
    }
    for file in &placed.files {
        let what = "removed";
        std::fs::remove_file(file).map_err(|source| TrainError::Io { file: file.clone(), what, source })?;
    }
    Ok(false)
}

/// Puts the outputs of a run in place, and removes its progress file.
pub(crate) fn complete(outputs: Together, checkpoint: &Checkpoint) -> Result<(), Error> {
    let digest =
        |file: &Path| digest_of_file(file).map_err(|source| Error::Unreadable { file: file.to_owned(), source });
    checkpoint.record_outputs(&outputs.staged().map(digest).collect::<Result<Vec<_>, _>>()?)?;
    outputs.commit()?;
    Ok(checkpoint.remove()?)
}

fn digest_of_file(path: &Path) -> io::Result<Digest> {
    if !path.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Digest::of_reader(File::open(path)?)
}
