//! Tickets, masks and carriers: what every other crate of counterfoil works on.
//!
//! A *ticket* is a mask and rewound weights in one file. A *carrier* is one of its prunable weight tensors, a
//! *position* a carrier and a flat index. Reading order: [`CarrierShape`] and [`Carrier`], [`Mask`], [`Architecture`]
//! (what a network looks like without any framework), [`Model`] (named tensors and a [`Description`]),
//! [`ModelFile`] (any container, opened lazily), [`Ticket`].
//!
//! Absent on purpose: training, keys, anything that knows of Burn.

mod architecture;
mod carrier;
mod mask;

pub use architecture::{Architecture, ImageShape, Layer, LayerKind, Shortcut};
pub use carrier::{Carrier, CarrierShape, natural_order};
pub use mask::Mask;
