//! Why a model file could not be read. Every message names the file and, where there is one, the tensor.

use std::io;
use std::path::PathBuf;

use crate::DescriptionError;

/// Why a model file could not be read as named tensors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The operating system failed.
    #[error("{file}: cannot be read", file = file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// A folder, a device or a pipe: reading it might never end.
    #[error("{file}: is not a regular file, expected safetensors or PyTorch", file = file.display())]
    NotAFile {
        /// The path.
        file: PathBuf,
    },
    /// No container recognises the content; the file's name is not consulted.
    #[error("{file}: starts with the bytes {found:02x?}, expected safetensors or PyTorch", file = file.display())]
    UnknownContainer {
        /// The file.
        file: PathBuf,
        /// Its first bytes, at most eight.
        found: Vec<u8>,
    },
    /// The container is recognised, but its structure is broken.
    #[error("{file}: is no valid {container} file", file = file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Which container it seems to be.
        container: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A length that the file declares is above what this version reads.
    #[error("{file}: the {what} has {found} bytes, expected at most {limit}", file = file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// What is too large.
        what: &'static str,
        /// Declared size in bytes.
        found: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Found before allocating. Never padded: a zero would pass for a pruned weight.
    #[error("{file}: {what} ends at byte {declared}, but the file holds {held}", file = file.display())]
    Truncated {
        /// The file.
        file: PathBuf,
        /// The tensor in quotes, or the part of the file.
        what: String,
        /// Where it should end.
        declared: u64,
        /// Size of the file.
        held: u64,
    },
    /// Bytes that belong to no tensor could be another file.
    #[error("{file}: bytes {from} to {to} belong to no tensor, expected none such", file = file.display())]
    Hole {
        /// The file.
        file: PathBuf,
        /// First such byte.
        from: u64,
        /// The byte after the last.
        to: u64,
    },
    /// Its bytes are also another tensor's.
    #[error("{file}: tensor '{tensor}' starts at byte {found}, within another tensor", file = file.display())]
    Overlap {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Where it starts.
        found: u64,
    },
    /// Its shape and element type do not give the number of bytes it has.
    #[error("{file}: tensor '{tensor}' has {found} bytes for {shape:?} of {dtype}", file = file.display())]
    Size {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Its element type.
        dtype: &'static str,
        /// The bytes it has.
        found: u64,
    },
    /// Which of them is the carrier would be the attacker's choice, so none is.
    #[error("{file}: tensor '{tensor}' is listed {times} times, expected once", file = file.display())]
    Repeated {
        /// The file.
        file: PathBuf,
        /// The tensor, or the metadata key.
        tensor: String,
        /// How often it is listed.
        times: usize,
    },
    /// Two dictionaries of a checkpoint could be the model.
    #[error("{file}: both '{first}' and '{second}' hold a model, expected one", file = file.display())]
    Ambiguous {
        /// The file.
        file: PathBuf,
        /// One key.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// Nothing to look at.
    #[error("{file}: holds no tensors", file = file.display())]
    NoTensors {
        /// The file.
        file: PathBuf,
    },
    /// A mask or scores without the tensor that they belong to.
    #[error("{file}: '{tensor}' belongs to '{owner}', which is not there", file = file.display())]
    Orphan {
        /// The file.
        file: PathBuf,
        /// The mask or scores.
        tensor: String,
        /// The name that is missing.
        owner: String,
    },
    /// A mask or scores of another shape than their tensor.
    #[error("{file}: '{tensor}' has the shape {found:?}, expected {expected:?}", file = file.display())]
    AttachedShape {
        /// The file.
        file: PathBuf,
        /// The mask or scores.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape of its tensor.
        expected: Vec<usize>,
    },
    /// A mask says keep (1) or prune (0), nothing between.
    #[error("{file}: mask '{tensor}' is {found} at position {position}, expected 0 or 1", file = file.display())]
    MaskValue {
        /// The file.
        file: PathBuf,
        /// The mask.
        tensor: String,
        /// Flat index.
        position: usize,
        /// What is there.
        found: f32,
    },
    /// NaN, infinite, or beyond the range of `f32`.
    #[error(
        "{file}: tensor '{tensor}' is {found} at position {position}, expected a finite number",
        file = file.display()
    )]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Flat index.
        position: usize,
        /// What is there.
        found: f64,
    },
    /// An integer that `f32` cannot hold: it is not rounded in silence.
    #[error(
        "{file}: tensor '{tensor}' is {found} at position {position}, expected an integer up to 2^24",
        file = file.display()
    )]
    Inexact {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Flat index.
        position: usize,
        /// What is there.
        found: i128,
    },
    /// Elements that are no single real number of at least a byte.
    #[error(
        "{file}: tensor '{tensor}' has elements of type {dtype}, expected f16, bf16, f32, f64, integers or bool",
        file = file.display()
    )]
    UnsupportedDtype {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its element type.
        dtype: &'static str,
    },
    /// Asked for by a name that the file does not have.
    #[error("{file}: has no tensor '{tensor}'", file = file.display())]
    NoSuchTensor {
        /// The file.
        file: PathBuf,
        /// The name asked for.
        tensor: String,
    },
    /// The bytes of one tensor are missing or corrupt, although the file as a whole could be opened.
    #[error("{file}: the bytes of tensor '{tensor}' cannot be read", file = file.display())]
    Tensor {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// Its description is not understood.
    #[error("{file}: its metadata are not understood", file = file.display())]
    Description {
        /// The file.
        file: PathBuf,
        /// What is wrong with them.
        #[source]
        source: DescriptionError,
    },
}
