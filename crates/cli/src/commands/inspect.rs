//! `inspect`: what is in a model file; claims and public keys too.

use std::path::PathBuf;

use counterfoil_ticket::{ModelFile, Secrecy, write_atomically};
use serde::Serialize;

use crate::file_kind::FileKind;
use crate::inspection::Inspection;
use crate::network_kind::{KnownInput, architecture_of};
use crate::output::{print, print_json};
use crate::papers::{ClaimSummary, KeySummary};
use crate::plot::plot;
use crate::winning::WinningArgs;
use crate::writing::{Force, check};
use crate::{Error, Exit, open};

/// Show the layers of a model, their sparsity and its graph
///
/// Works on tickets, trained models, PyTorch files, and on claims and public keys. A mask is a '_mask' tensor or, where
/// there is none, what is not zero. Where the architecture is known, the channels are followed from input to classes:
/// dead ones, degrees, number of paths, effective sparsity. With --is-it-winning a ticket is trained against controls: the
/// same mask on fresh weights, other masks of the same layer sparsities on its weights, three times each.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil inspect model.bin
  counterfoil inspect ticket.safetensors --plot ticket.svg
  counterfoil inspect ticket.safetensors --is-it-winning --data digits
  counterfoil inspect stamped.claim.json --key owner.pub")]
pub(crate) struct Args {
    /// A model, a claim or a public key
    file: PathBuf,
    /// Draw the layers' sparsity and the channels' degrees, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// The public key that a claim is checked with
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Height and width of the images that the model takes, where its file does not say [default: 32 for a convolutional network]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=65536))]
    image_size: Option<u32>,
    #[command(flatten)]
    winning: WinningArgs,
    #[command(flatten)]
    force: Force,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        if self.winning.is_asked() {
            self.show(&self.winning.run(&self.file)?)?;
            return Ok(Exit::Success);
        }
        match (FileKind::of(&self.file), &self.plot) {
            (Some(found @ (FileKind::Claim | FileKind::PublicKey)), Some(_)) => {
                return Err(Error::NothingToPlot { file: self.file, found });
            }
            (Some(FileKind::Claim), None) => {
                let Some(key) = &self.key else { return Err(Error::NoKey { claim: self.file }) };
                let claim = open::claim(&self.file, &open::public_key(key)?)?;
                self.show(&ClaimSummary::of(&claim))?;
            }
            (Some(FileKind::PublicKey), None) => self.show(&KeySummary::of(&open::public_key(&self.file)?))?,
            _ => self.model()?,
        }
        Ok(Exit::Success)
    }

    fn model(&self) -> Result<(), Error> {
        let overwrite = self.force.overwrite();
        if let Some(plot) = &self.plot {
            check(&[("the plot", plot)], &[("the model", &self.file)], overwrite)?;
        }
        let file = ModelFile::open(&self.file)?;
        let architecture = architecture_of(&file, KnownInput { shape: None, side: self.image_size });
        let inspection = Inspection::of(&self.file, &file, architecture)?;
        if let Some(path) = &self.plot {
            let svg = plot(&inspection);
            write_atomically(path, overwrite, Secrecy::Public, |out| out.write_all(svg.as_bytes()))?;
        }
        self.show(&inspection)
    }

    fn show(&self, result: &(impl Serialize + std::fmt::Display)) -> Result<(), Error> {
        if self.json { print_json(result) } else { print(&result.to_string()) }
    }
}
