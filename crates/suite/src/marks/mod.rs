//! Other people's marks, put into the suite's subjects beside ours, so that every attack is made on all of them alike.
//!
//! One mark a file behind the trait [`Mark`], each with its source. They do not touch what ours rests on: a QR code's kernels
//! are left alone by the stamp, the others only change values.

use counterfoil_mark::{Chance, Tally, log2_upper_tail};
use counterfoil_ticket::{Digest, Model};
use counterfoil_train::data::Dataset;
use counterfoil_train::{Examples, Network};

use crate::OtherMark;

mod activation;
pub(crate) mod external;
mod qr;
mod uchida;

pub use external::External;

/// What a mark can lean on when it is put in.
pub struct Teaching<'a> {
    /// What the subject was trained on, triggers included.
    pub examples: Examples<'a>,
    /// The data.
    pub data: &'a Dataset,
    /// Rate of the last epochs of training.
    pub rate: f64,
}

/// A mark that is not ours.
pub trait Mark: Send + Sync {
    /// Its name in lines and reports.
    fn name(&self) -> &str;

    /// Puts what it has to put into a ticket that is not stamped yet.
    ///
    /// # Errors
    ///
    /// In words, why the ticket cannot carry it.
    fn on_ticket(&self, ticket: Model, _seed: u64) -> Result<Model, String> {
        Ok(ticket)
    }

    /// Puts what it has to put into a trained network's model; its masks are held.
    ///
    /// # Errors
    ///
    /// In words, why the model cannot carry it.
    fn on_model(&self, model: Model, _seed: u64, _teaching: &Teaching) -> Result<Model, String> {
        Ok(model)
    }

    /// What its owner reads in a suspect; `network` is there if it can be asked. `before` is what he put the mark into.
    fn read(&self, suspect: &Model, network: Option<&Network>, before: &Model, seed: u64, data: &Dataset) -> OtherMark;
}

/// The marks that come along.
pub(crate) const NAMES: [&str; 3] = ["qr", "uchida", "activation"];

/// A mark that comes along.
pub(crate) fn mark(name: &str) -> Option<Box<dyn Mark>> {
    let all: [Box<dyn Mark>; 3] = [Box::new(qr::Qr), Box::new(uchida::Uchida), Box::new(activation::Activation)];
    all.into_iter().find(|mark| mark.name() == name)
}

/// A seed of a mark's, or a licensee's, own.
pub(crate) fn secret(mark: &str, seed: u64) -> u64 {
    let digest = Digest::of([mark.as_bytes(), &seed.to_be_bytes()]);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_be_bytes(bytes)
}

/// A reading of bits that are right by chance in half of the cases: the owner has drawn them before.
fn of_bits(name: &str, right: usize, of: usize, holds: bool) -> OtherMark {
    let tally = Tally::new(of as u64, right as u64).expect("no more are right than there are");
    let log2_p = Some(log2_upper_tail(tally, Chance::HALF).bits());
    OtherMark { name: name.to_owned(), log2_p, holds, reading: format!("{right} of {of} bits") }
}

fn lost(name: &str, why: &str) -> OtherMark {
    OtherMark { name: name.to_owned(), log2_p: Some(0.0), holds: false, reading: why.to_owned() }
}
