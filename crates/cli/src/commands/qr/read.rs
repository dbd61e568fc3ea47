//! `qr read`: the codes of a model.

use std::path::PathBuf;

use counterfoil_mark::qr::{Code, Format, Found, Reader, Version};
use counterfoil_ticket::{ModelFile, Secrecy, write_atomically};
use serde::Serialize;

use super::LevelName;
use crate::output::{count, print, print_json};
use crate::picture::png;
use crate::progress::Places;
use crate::writing::{Force, check};
use crate::{Error, Exit, value};

/// Read the QR codes of a model
///
/// Tries all places of all layers. A code that is read is no proof: anybody can lay one over a model. No code is no proof of the
/// contrary: channels that were put into another order, or a little pruning, take it. Exits with 1 if there is none.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil qr read model.bin
  counterfoil qr read model.bin --png read.png
  counterfoil qr read model.bin --any --json")]
pub(crate) struct Args {
    /// The model: safetensors or PyTorch
    model: PathBuf,
    /// Version of the code, 1 to 10
    #[arg(long, value_name = "VERSION", default_value = "3", value_parser = value::qr_version)]
    version: Version,
    /// Level of error correction
    #[arg(long, value_enum, default_value = "h")]
    level: LevelName,
    /// Try versions 1 to 10 at all levels, which takes up to forty times as long
    #[arg(long, conflicts_with_all = ["version", "level"])]
    any: bool,
    /// Draw the code that was read best, as PNG, with its function patterns filled in
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    #[command(flatten)]
    force: Force,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What was read, and how much was looked at for it.
#[derive(Serialize)]
struct Reading {
    codes: Vec<Found>,
    /// What was looked for.
    formats: Vec<Format>,
    layers: usize,
    places: u64,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let overwrite = self.force.overwrite();
        if let Some(png) = &self.png {
            check(&[("the picture", png)], &[("the model", &self.model)], overwrite)?;
        }
        let format = Format { version: self.version, level: self.level.into() };
        let formats: Vec<Format> = if self.any { Format::all().collect() } else { vec![format] };
        let reading = Reading::of(&ModelFile::open(&self.model)?, formats)?;
        if self.json {
            print_json(&reading)?
        } else {
            print(&reading.to_string())?
        }
        let Some(best) = reading.codes.first() else { return Ok(Exit::NoMatch) };
        if let Some(path) = &self.png {
            let bytes = png(&best.picture);
            write_atomically(path, overwrite, Secrecy::Public, |out| out.write_all(&bytes))?;
        }
        Ok(Exit::Success)
    }
}

impl Reading {
    /// Codes with fewer damaged modules come first.
    fn of(file: &ModelFile, formats: Vec<Format>) -> Result<Self, Error> {
        let reader = Reader::new(formats.iter().copied());
        let mut reading = Self { codes: Vec::new(), formats, layers: 0, places: 0 };
        let carriers = file.carriers().into_iter().map(|carrier| (reader.places(&carrier), carrier));
        let carriers: Vec<_> = carriers.filter(|(places, _)| *places > 0).collect();
        let progress = Places::new(carriers.iter().map(|(places, _)| places).sum());
        for (places, carrier) in carriers {
            reading.codes.extend(reader.read(&carrier, &file.kept(&carrier.name)?));
            reading.layers += 1;
            reading.places += places;
            progress.read(reading.places, &carrier.name);
        }
        reading.codes.sort_by_key(|found| found.damaged.unwrap_or(usize::MAX));
        Ok(reading)
    }
}

impl std::fmt::Display for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for Found { code: Code { text, place, format, .. }, data_modules, damaged, .. } in &self.codes {
            writeln!(f, "'{text}' in {format}, at row {}, column {} of {}", place.row, place.column, place.carrier)?;
            match damaged {
                Some(damaged) => writeln!(f, "  {damaged} of {data_modules} data modules damaged")?,
                None => writeln!(f, "  {data_modules} data modules, encoded in another way than counterfoil's")?,
            }
        }
        if self.codes.is_empty() {
            match self.formats[..] {
                [format] => writeln!(f, "no code of {format}; --version and --level look for others, --any for all")?,
                _ => writeln!(f, "no code of any version and level")?,
            }
        }
        let Self { layers, places, .. } = self;
        writeln!(f, "looked at {} places of {layers} layers", count(*places))?;
        if !self.codes.is_empty() {
            writeln!(f, "A code proves nothing by itself: anybody can lay one over. See 'counterfoil verify'.")?;
        }
        Ok(())
    }
}
