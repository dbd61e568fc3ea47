//! The commands, one a file: typed arguments, one library call, results printed.

mod completions;
mod disclose;
mod inspect;
mod keygen;
mod man;
pub(crate) mod stamp;
mod verify;

use clap::Subcommand;

use crate::{Error, Exit};

/// Shown below the list of commands.
pub(crate) const QUICK_START: &str = "\
Example:
  counterfoil keygen owner
  counterfoil find --data digits --arch resnet20 --sparsity 0.95 -o ticket.safetensors
  counterfoil stamp ticket.safetensors --key owner.key -o stamped.safetensors
  counterfoil train stamped.safetensors --data digits --counterfoil stamped.counterfoil -o model.bin
  counterfoil verify model.bin --key owner.pub

Exit codes: 0 done, proven or marked; 1 no match; 3 inconclusive; 2 bad input or usage.";

#[derive(Subcommand)]
pub(crate) enum Command {
    Keygen(keygen::Args),
    Stamp(stamp::Args),
    Verify(verify::Args),
    Disclose(disclose::Args),
    Inspect(inspect::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs a command.
pub(crate) fn run(command: Command) -> Result<Exit, Error> {
    match command {
        Command::Keygen(args) => args.run(),
        Command::Stamp(args) => args.run(),
        Command::Verify(args) => args.run(),
        Command::Disclose(args) => args.run(),
        Command::Inspect(args) => args.run(),
        Command::Completions(args) => args.run(),
        Command::Man(args) => args.run(),
    }
}
