//! Why training, finding or evaluating failed.

use std::io;
use std::path::PathBuf;

use counterfoil_mark::TriggerError;
use counterfoil_ticket::{FitError, ReadError, WriteError};

use crate::DeviceChoice;

/// Why training, finding or evaluating failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A tensor that the architecture needs is not in the model.
    #[error("tensor '{tensor}' is missing, expected by the architecture")]
    MissingTensor {
        /// Its name.
        tensor: String,
    },
    /// The weights are not the architecture's.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// A tensor has another size than the architecture says.
    #[error("tensor '{tensor}' has {found} values, expected {expected}")]
    TensorSize {
        /// Its name.
        tensor: String,
        /// Values it has.
        found: usize,
        /// Values of the architecture.
        expected: usize,
    },
    /// A batch norm that would give NaN.
    #[error("tensor '{tensor}' holds the variance {found}, expected none below 0")]
    NegativeVariance {
        /// Its name.
        tensor: String,
        /// The first such value.
        found: f32,
    },
    /// The loss is no longer finite.
    #[error("the loss is {loss} in epoch {epoch}, expected a finite number")]
    Diverged {
        /// Epoch, from 1.
        epoch: u32,
        /// The loss.
        loss: f64,
    },
    /// A weight, a statistic or the network's output is no longer finite.
    #[error("{what} is no longer finite after epoch {epoch}, expected finite numbers")]
    NotFinite {
        /// Epoch, from 1.
        epoch: u32,
        /// Which tensor, or the network's output.
        what: String,
    },
    /// Scores that nothing can be ranked by.
    #[error("a score of '{tensor}' is no finite number, expected finite ones")]
    Score {
        /// The weight tensor.
        tensor: String,
    },
    /// A network that has no accuracy.
    #[error("the network's outputs are not finite numbers for {found} of {of} images, expected finite ones")]
    NoAnswers {
        /// Images without an answer.
        found: usize,
        /// Images in all.
        of: usize,
    },
    /// A setting outside its range.
    #[error("{name} is {found}, expected {expected}")]
    Setting {
        /// Which one.
        name: &'static str,
        /// Its value.
        found: f64,
        /// Its range.
        expected: &'static str,
    },
    /// A checkpoint of a run with other settings.
    #[error("{}: belongs to a run with other settings, expected those of this one", file.display())]
    OtherCheckpoint {
        /// The checkpoint.
        file: PathBuf,
    },
    /// A file in the checkpoint's place that no run wrote.
    #[error("{}: records no run, expected a checkpoint", file.display())]
    NotACheckpoint {
        /// The file.
        file: PathBuf,
    },
    /// A checkpoint that was changed after it was written.
    #[error("{}: its content does not fit its checksum, expected it as it was written", file.display())]
    CheckpointChecksum {
        /// The checkpoint.
        file: PathBuf,
    },
    /// A checkpoint that is no model file, or a broken one.
    #[error(transparent)]
    Checkpoint(ReadError),
    /// No device has this name.
    #[error("device '{found}' is unknown, expected cpu, cuda:N, vulkan or wgpu")]
    UnknownDevice {
        /// What was asked for.
        found: String,
    },
    /// The binary was built without the backend.
    #[error("device '{device}' needs the feature '{feature}', with which this binary was not built")]
    DeviceNotBuilt {
        /// What was asked for.
        device: DeviceChoice,
        /// The cargo feature.
        feature: &'static str,
    },
    /// The machine, or its driver, has no such device.
    #[error("device '{device}' is not there: found {found} of its kind")]
    NoDevice {
        /// What was asked for.
        device: DeviceChoice,
        /// How many devices of its kind there are.
        found: usize,
    },
    /// A device that is there and cannot compute.
    #[error("device '{device}' does not work: {reason}")]
    DeviceFails {
        /// What was asked for.
        device: DeviceChoice,
        /// What its driver says.
        reason: String,
    },
    /// The operating system failed.
    #[error("{}: cannot be {what}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// "read" or "removed".
        what: &'static str,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// Trigger images too large.
    #[error(transparent)]
    Triggers(#[from] TriggerError),
    /// A checkpoint cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}
