//! The verifier on suspects that are written to files: marks planted, removed, renamed, drowned, and not there at all.

mod align;
mod align_kit;
mod align_null;
mod calibration;
mod canonical;
mod charges;
mod kit;
mod mask;
mod refusals;
mod report_json;
mod triggers;
