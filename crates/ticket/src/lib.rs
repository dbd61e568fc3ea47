//! Tickets, masks and carriers: what every other crate of counterfoil works on.
//!
//! A *ticket* is a mask and rewound weights in one file. A *carrier* is one of its prunable weight tensors, a
//! *position* a carrier and a flat index. Reading order: [`CarrierShape`] and [`Carrier`], [`Mask`], [`Architecture`]
//! (what a network looks like without any framework), [`Model`] (named tensors and a [`Description`]),
//! [`ModelFile`] (any container, opened lazily), [`Digest`] (one value for a ticket, whatever container it is in).
//!
//! Absent on purpose: training, keys, anything that knows of Burn.

#![cfg_attr(test, allow(clippy::unwrap_used))] // In a test a panic is the report.

mod architecture;
mod array;
mod carrier;
mod container;
mod description;
mod digest;
mod dtype;
mod error;
mod file;
mod mask;
mod model;
mod names;
mod pattern;
mod place;
mod temporary;
mod values;
mod write;

pub use architecture::{Architecture, FitError, ImageShape, Layer, LayerKind, MAX_HIDDEN_LAYERS, MAX_WIDTH, Shortcut};
pub use array::{Array, Element, ShapeError};
pub use carrier::{Carrier, CarrierShape, natural_order};
pub use container::{MAX_EXPANSION, MAX_HEADER, MAX_TENSOR};
pub use description::{
    DESCRIPTION_VERSION, Description, DescriptionError, Kind, MAX_DESCRIPTION, METADATA_KEY, Normalisation, Provenance,
};
pub use digest::Digest;
pub use dtype::Dtype;
pub use error::ReadError;
pub use file::{Entry, ModelFile};
pub use mask::Mask;
pub use model::{Model, ModelError};
pub use pattern::{Block, Pattern};
pub use place::{is_same_file, place_of};
pub use temporary::{StagingFolder, folder_of};
pub use values::{MAX_HELD, Values};
pub use write::{Overwrite, Secrecy, WriteError, write_atomically};
