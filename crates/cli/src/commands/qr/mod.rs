//! `qr`: codes in the connectivity of a ticket, laid over and read.

mod embed;
mod read;

use clap::Subcommand;
use counterfoil_mark::qr::Level;

use crate::{Error, Exit};

/// Lay a QR code over a ticket, or read those of a model
///
/// The code is in which kernels between two channels are kept. Anybody can read it, and anybody can lay another one over:
/// it says whose model this is meant to be, and proves nothing. What proves is a stamp; stamp the ticket after its code.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil qr embed ticket.safetensors --key owner.pub -o coded.safetensors
  counterfoil stamp coded.safetensors --key owner.key -o stamped.safetensors
  counterfoil qr read model.bin --png read.png")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Embed(embed::Args),
    Read(read::Args),
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        match self.command {
            Command::Embed(args) => args.run(),
            Command::Read(args) => args.run(),
        }
    }
}

/// Levels of error correction, as they are typed.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LevelName {
    /// Corrects about 7 % of a code
    L,
    /// About 15 %
    M,
    /// About 25 %
    Q,
    /// About 30 %
    H,
}

impl From<LevelName> for Level {
    fn from(name: LevelName) -> Self {
        match name {
            LevelName::L => Self::L,
            LevelName::M => Self::M,
            LevelName::Q => Self::Q,
            LevelName::H => Self::H,
        }
    }
}
