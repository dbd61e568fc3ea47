//! Attacks by who knows how the mark works, or some of its panels.

pub(crate) mod add_on;
pub(crate) mod collude;
pub(crate) mod epsilon;
pub(crate) mod mask_transplant;
pub(crate) mod overwrite;
pub(crate) mod panel_ruin;
pub(crate) mod panel_undo;
pub(crate) mod qr_overwrite;
pub(crate) mod starve;
pub(crate) mod tap_shuffle;
pub(crate) mod undo_reference;

mod known;
#[cfg(test)]
mod tests;
