//! Why a suite cannot be run.

use std::path::PathBuf;

use counterfoil_attack::AttackError;
use counterfoil_claim::{ClaimError, CounterfoilError, DisclosureError, KeyError};
use counterfoil_mark::StampingError;
use counterfoil_ticket::{ReadError, WriteError};
use counterfoil_train::TrainError;
use counterfoil_train::data::DataError;
use counterfoil_verify::VerifyError;

/// Why a suite cannot be run, or a run not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuiteError {
    /// A mistake in a file.
    #[error("{}: line {line}: {what}", file.display())]
    Mistake {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A file that cannot be read, or a folder that cannot be made.
    #[error("{}: cannot be {what}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// "read", "written", "made".
        what: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that is none of ours.
    #[error("{}: is not {expected}: {reason}", file.display())]
    Form {
        /// The file.
        file: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder of another suite.
    #[error("{}: {what}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A third party's program fails.
    #[error("the program '{name}': {reason}")]
    Program {
        /// Its name.
        name: String,
        /// What happened.
        reason: String,
    },
    /// Slurm is not there, or refuses.
    #[error("{program}: {reason}")]
    Slurm {
        /// Its program.
        program: &'static str,
        /// What it says.
        reason: String,
    },
    /// A subject that cannot be attacked.
    #[error("subject '{subject}': {reason}")]
    Subject {
        /// Its name.
        subject: String,
        /// Why.
        reason: String,
    },
    /// A key file is refused.
    #[error("{}", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Box<KeyError>,
    },
    /// A claim is refused.
    #[error("{}", file.display())]
    Claim {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Box<ClaimError>,
    },
    /// A disclosure is refused.
    #[error("{}", file.display())]
    Disclosure {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Box<DisclosureError>,
    },
    /// A counterfoil is refused.
    #[error("{}", file.display())]
    Counterfoil {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Box<CounterfoilError>,
    },
    /// An attack fails.
    #[error(transparent)]
    Attack(#[from] Box<AttackError>),
    /// Training fails.
    #[error(transparent)]
    Train(#[from] Box<TrainError>),
    /// The data are refused.
    #[error(transparent)]
    Data(#[from] Box<DataError>),
    /// A ticket cannot be stamped.
    #[error(transparent)]
    Stamping(#[from] Box<StampingError>),
    /// A model cannot be read.
    #[error(transparent)]
    Read(#[from] Box<ReadError>),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] Box<WriteError>),
    /// The verifier refuses what it is given.
    #[error(transparent)]
    Verify(#[from] Box<VerifyError>),
}

/// Large errors, boxed as they pass.
macro_rules! boxed {
    ($($source:ty),*) => {
        $(impl From<$source> for SuiteError {
            fn from(source: $source) -> Self {
                Box::new(source).into()
            }
        })*
    };
}

boxed!(AttackError, TrainError, DataError, StampingError, ReadError, WriteError, VerifyError);

/// An error and its causes, joined. Some messages quote their cause already: that one is not said twice.
pub fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}
