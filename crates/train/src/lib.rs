//! Data sets, networks on Burn, ticket finders, training with triggers.
//!
//! ```no_run
//! use counterfoil_train::{DeviceChoice, Network, count_correct, data};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let digits = data::load(&data::DataSource::Digits, &data::LoadOptions::default())?;
//! let model = counterfoil_ticket::ModelFile::open("model.bin".as_ref())?.read()?;
//! let architecture = model.description.architecture.clone().ok_or("no architecture")?;
//! let device = DeviceChoice::Cpu.open()?;
//! let network = Network::from_model(&model, architecture, digits.normalisation.clone(), &device)?;
//! println!("{} of {}", count_correct(&network, &digits.test)?, digits.test.len());
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`data`], [`Network`], [`Schedule`] and [`Hold`], [`Learner`] and [`fit`], [`Finder`] and the finders
//! of [`finder`], [`is_it_winning`], [`kept_weights`], [`OwnMark`], [`Probe`] and the strategies that ask a network.
//! Progress comes out as [`Event`]s; nothing prints. Absent on purpose: Burn's own learner, which brings a database and
//! a terminal interface, and knows neither masks nor decay per position.

pub mod data;
pub mod finder;

mod checkpoint;
mod controls;
mod device;
mod error;
mod forward;
mod fused;
mod magnitude;
mod marked;
mod network;
mod predictor;
mod reference;
mod sgd;
mod strategy;
mod targets;
mod training;

pub use checkpoint::Checkpoint;
pub use controls::{Accuracies, Barrier, Trial, Winning, is_it_winning};
pub use device::DeviceChoice;
pub use error::TrainError;
pub use finder::{Aim, Finder, Search};
pub use magnitude::{KeptWeight, kept_weights};
pub use marked::OwnMark;
pub use network::{Network, input_gradients};
pub use predictor::{Predictor, classify, count_correct, count_hits};
pub use sgd::{Hold, Schedule, Sgd, Shrinkage};
pub use strategy::{Hessian, IntegratedGradients, Probe, Taylor};
pub use targets::{Targets, softmax};
pub use training::{EpochSeed, Event, Examples, Learner, fit, gradients};
