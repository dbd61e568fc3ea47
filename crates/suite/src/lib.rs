//! The robustness suite: subjects × attacks × strengths × seeds, and what each run leaves of a mark.
//!
//! In reading order: [`Suite`] is `suite.toml`; [`Plan`] makes tasks of it, each under the digest of all that it depends on;
//! a [`Worker`] does one task; [`Store`] is the folder that the results go to; [`run_local`] does all tasks on this machine, [`run_slurm`] on a cluster;
//! [`Line`] is what one run gives. docs/suite.md is for who uses it.
//!
//! A mark that breaks is a result, not an error. Absent on purpose: printing.

mod card;
mod error;
mod judge;
mod line;
mod local;
pub mod marks;
mod plan;
pub mod report;
mod run;
mod slurm;
mod spec;
mod store;
mod subject;
mod toml_table;
mod tuning;

pub use card::{AttackCard, add};
pub use error::{SuiteError, sentence};
pub use line::{Accuracy, Card, Evidence, Flag, Line, OtherMark, Step};
pub use local::{Progress, run_local};
pub use plan::{Plan, RunTask, StepTask, SubjectSource, SubjectTask};
pub use run::Worker;
pub use slurm::{Slurm, run_slurm};
pub use spec::{AttackSpec, Files, MAX_RUNS, MarkSpec, Origin, Recipe, Stamp, StepSpec, Strength, SubjectSpec, Suite};
pub use store::{Id, Store};
pub use subject::Subject;
