//! Attacks that change the structure and keep what the network computes.

pub(crate) mod ballast;
pub(crate) mod dead_split;
pub(crate) mod factor;
pub(crate) mod hijack;
pub(crate) mod kernel_expand;
pub(crate) mod mirror;
pub(crate) mod nso_clique;
pub(crate) mod nso_split;
pub(crate) mod nso_zero;
pub(crate) mod permute;
pub(crate) mod regroup;
pub(crate) mod rename;
pub(crate) mod rescale;
pub(crate) mod sign_flip;
pub(crate) mod swap_colours;
pub(crate) mod wired;

mod dummies;
#[cfg(test)]
mod tests;
