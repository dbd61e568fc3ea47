//! The binary as people meet it: what it prints, writes and returns, above all when something is wrong.
//!
//! Snapshots are in the tests; `SNAPSHOTS=overwrite cargo test -p counterfoil-cli` renews them, for a person to read.
//! Hardly anything is trained here: a network of two hidden layers with random weights is stamped by the library.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

mod attack;
mod disclose;
mod dispute;
mod find;
mod inspect;
mod keygen;
mod kit;
mod licensee;
mod lock;
mod not_finite;
mod openssl;
mod outputs;
mod places;
mod qr;
mod stamp;
mod trigger_folder;
mod usage;
mod verify;
