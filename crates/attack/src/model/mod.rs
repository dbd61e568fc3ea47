//! Attacks that change the weights without knowing of the mark.

pub(crate) mod low_rank;
pub(crate) mod noise;
pub(crate) mod prune;
pub(crate) mod prune_layer;
pub(crate) mod prune_struct;
pub(crate) mod quant;
pub(crate) mod shift;
pub(crate) mod soup;

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests;
