//! The verifier: one straight function from a suspect to a report.
//!
//! [`verify`] takes a suspect (a model file, a black box, or both) and [`Evidence`] (a public key; better, a claim signed
//! by it; better still, disclosures of sealed panels), runs the two exact tests of docs/protocol.md, "Evidence", pays
//! for every way of looking, and says how sure one may be.
//!
//! ```
//! use counterfoil_claim::PublicKey;
//! use counterfoil_ticket::ModelFile;
//! use counterfoil_verify::{Evidence, Options, Verdict, VerifyError, verify};
//!
//! /// Whether the model carries the public mark of this key.
//! fn is_marked(model: &ModelFile, key: &PublicKey) -> Result<bool, VerifyError> {
//!     let report = verify(Some(model), None, &Evidence::key_alone(key), &Options::default())?;
//!     Ok(report.verdict == Verdict::Marked)
//! }
//! ```
//!
//! In reading order: [`Evidence`] and [`Options`] go in, [`BlackBox`] is what a suspect without a file must offer,
//! [`verify`] is the protocol's steps in their order, [`Report`] comes out: plain data, documented field by field, and as
//! JSON in docs/formats-report.md.
//!
//! [`dispute`] is the other question: which of two marks was there first.
//!
//! Absent on purpose: printing, training frameworks, the network, QR codes and trigger folders (no exact null).

mod advice;
mod align;
mod assigned;
mod black_box;
mod census;
mod choice;
mod count;
mod decisive_test;
mod dispute;
mod error;
mod evidence;
mod mask_test;
mod overlap;
mod power;
mod report;
mod search;
mod stand_in;
mod trigger_test;
mod verify;

pub use black_box::{BlackBox, BlackBoxError};
pub use count::MAX_ROW;
pub use dispute::{
    DISPUTE_VERSION, DisputeReport, Finding, Missing, Original, Outcome, Party, PartyReport, Piece, Side, dispute,
};
pub use error::VerifyError;
pub use evidence::{DEFAULT_THRESHOLD, Evidence, Options, Tests};
pub use overlap::Overlap;
pub use power::HINT;
pub use report::{
    AlignmentReport, CarrierReport, CarrierState, Needed, REPORT_VERSION, Report, Skipped, TestKind, TestReport,
    Verdict,
};
pub use search::Level;
pub use stand_in::MAX_GROUP;
pub use trigger_test::IMAGES_AT_ONCE;
pub use verify::verify;
