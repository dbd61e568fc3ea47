//! CPU kernels for training and running sparse convolutional networks: convolution over kept weights, batch norm,
//! shortcut and ReLU, and pooling, forward and backward.
//!
//! Images lie side by side in vectors ("blocks", [`blocked`]), so that a kept weight is a multiply-add of whole
//! vectors wherever it sits in its kernel: unstructured sparsity costs nothing but its own list. Vectors and their
//! runtime detection (AVX-512, AVX2 and FMA, a portable path) come from `pulp`, which keeps this crate free of `unsafe`;
//! threads come from `rayon`. Nothing here knows Burn: `counterfoil-train` wraps these functions as differentiable
//! operations.

#![forbid(unsafe_code)]
// Tiles are written as loops over constant ranges: several arrays go by the same index.
#![allow(clippy::needless_range_loop, clippy::too_many_arguments)]

mod backward;
pub mod blocked;
pub mod buffers;
mod connections;
mod correlate;
mod gather;
mod geometry;
mod layer;
mod max_pool;
mod norm;
#[cfg(test)]
mod reference;
mod scratch;
mod single;
mod split;

pub use connections::Connections;
pub use geometry::Conv;
pub use layer::{
    ByInput, ConvNorm, EPSILON, Gradients, Input, Kernels, Parameters, Saved, Shortcut, Statistics, Trained,
};
pub use max_pool::{max_pool, max_pool_gradient};
pub use single::{Folded, Planes};
