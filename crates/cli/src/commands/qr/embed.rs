//! `qr embed`: a code over a ticket.

use std::path::PathBuf;

use clap::ArgGroup;
use counterfoil_mark::SwapSettings;
use counterfoil_mark::qr::{Code, Embedded, Format, Request, Version, Whereabouts, embed, short_id};
use counterfoil_ticket::{ModelFile, WriteError};
use serde::Serialize;

use super::LevelName;
use crate::error::warn;
use crate::output::{count, percent, print, print_json};
use crate::writing::{Force, Named, check};
use crate::{Error, Exit, open, value};

/// Lay a QR code over a ticket, before it is stamped
///
/// The code goes where it costs least: of each of its modules, a dark one keeps the kernel between an output and an input
/// channel, a light one prunes it. The layer keeps as many weights as before. Finder, timing and alignment patterns and the
/// format are left out, and filled in again in reading.
#[derive(clap::Args)]
#[command(group(ArgGroup::new("says").args(["key", "text"]).required(true)))]
#[command(after_help = "\
Example:
  counterfoil qr embed ticket.safetensors --key owner.pub -o coded.safetensors
  counterfoil qr embed ticket.safetensors --text 'ACME 2026' --version 2 -o coded.safetensors")]
pub(crate) struct Args {
    /// The ticket: weights with masks, as '_mask' tensors or as zeros
    ticket: PathBuf,
    /// The owner's public key: the code says the first 24 digits of its id
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// What the code says instead, printable ASCII
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Where the ticket goes
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Version of the code, 1 to 10: it takes 4 x VERSION + 17 channels each way
    #[arg(long, value_name = "VERSION", default_value = "3", value_parser = value::qr_version)]
    version: Version,
    /// Level of error correction
    #[arg(long, value_enum, default_value = "h")]
    level: LevelName,
    /// The layer that it goes to [default: the one where it costs least]
    #[arg(long, value_name = "NAME")]
    carrier: Option<String>,
    /// Decides between weights that matter as much as each other
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    force: Force,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let overwrite = self.force.overwrite();
        let key = self.key.iter().map(|key| -> Named { ("the public key", key) });
        let inputs: Vec<Named> = [("the ticket", self.ticket.as_path())].into_iter().chain(key).collect();
        check(&[("the ticket with the code", &self.output)], &inputs, overwrite)?;
        let text = match (&self.text, &self.key) {
            (Some(text), _) => text.clone(),
            (None, Some(key)) => short_id(&open::public_key(key)?),
            (None, None) => unreachable!("clap asks for one of them"),
        };
        let ticket = ModelFile::open(&self.ticket)?.read_stored()?;
        let request = Request {
            text: &text,
            format: Format { version: self.version, level: self.level.into() },
            whereabouts: self.carrier.as_deref().map_or(Whereabouts::Anywhere, Whereabouts::Carrier),
            seed: self.seed,
        };
        let refused = |source| Error::Qr { ticket: self.ticket.clone(), source };
        let embedded = embed(&ticket, &request).map_err(refused)?;
        let written: Result<(), WriteError> = embedded.model.write_safetensors(&self.output, overwrite);
        written?;
        let summary = Summary::of(&embedded);
        if self.json {
            print_json(&summary)?
        } else {
            print(&summary.text(&self.output))?
        }
        // As many as a stamp may.
        let much = SwapSettings::default().most_moved;
        if summary.share() > much {
            warn(&format!(
                "{} of the kept weights move, more than {}: the ticket may train less well (a smaller --version moves fewer)",
                percent(summary.share()),
                percent(much)
            ));
        }
        Ok(Exit::Success)
    }
}

/// What the code says, where it is and what it took.
#[derive(Serialize)]
struct Summary<'a> {
    #[serde(flatten)]
    code: &'a Code,
    data_modules: usize,
    agreed: usize,
    opened: usize,
    closed: usize,
    moved: usize,
    kept: usize,
}

impl<'a> Summary<'a> {
    fn of(embedded: &'a Embedded) -> Self {
        let Embedded { code, data_modules, agreed, opened, closed, moved, kept, .. } = embedded;
        let [data_modules, agreed, opened, closed, moved, kept] =
            [data_modules, agreed, opened, closed, moved, kept].map(|n| *n);
        Self { code, data_modules, agreed, opened, closed, moved, kept }
    }

    /// Share of the kept weights that move.
    fn share(&self) -> f64 {
        self.moved as f64 / self.kept.max(1) as f64
    }

    fn text(&self, output: &std::path::Path) -> String {
        let Self { code: Code { text, place, format, .. }, data_modules, agreed, opened, closed, moved, kept } = self;
        let share = percent(self.share());
        format!(
            "'{text}' in {format}, at row {}, column {} of {}\n{agreed} of {data_modules} data modules were right \
             already; {opened} kernels opened, {closed} closed\n{} of {} kept weights move ({share})\n\nwrote {}\nStamp it now: \
             a code says whose model this is meant to be, and a stamp proves it.\n",
            place.row,
            place.column,
            place.carrier,
            count(*moved as u64),
            count(*kept as u64),
            output.display()
        )
    }
}
