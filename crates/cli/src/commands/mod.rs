//! The commands, one a file: typed arguments, one library call, results printed.

mod attack;
mod completions;
mod demo;
mod disclose;
mod dispute;
mod evaluate;
mod find;
mod inspect;
mod keygen;
mod lock;
mod man;
mod qr;
mod report;
pub(crate) mod stamp;
mod suite;
mod train;
mod unlock;
mod verify;

use clap::Subcommand;

use crate::{Error, Exit};

/// Shown below the list of commands.
pub(crate) const QUICK_START: &str = "\
Example:
  counterfoil keygen owner
  counterfoil find --data digits --arch resnet20 --sparsity 0.95 --prune-share 0.45 -o ticket.safetensors
  counterfoil stamp ticket.safetensors --key owner.key -o stamped.safetensors
  counterfoil train stamped.safetensors --data digits --counterfoil stamped.counterfoil -o model.bin
  counterfoil verify model.bin --key owner.pub

Exit codes: 0 done, proven or marked; 1 no match, or no code; 3 inconclusive or undecided; 2 bad input or usage.";

#[derive(Subcommand)]
pub(crate) enum Command {
    Keygen(keygen::Args),
    // Of the most arguments by far.
    Find(Box<find::Args>),
    Stamp(stamp::Args),
    Train(train::Args),
    Evaluate(evaluate::Args),
    Verify(verify::Args),
    Disclose(disclose::Args),
    Dispute(dispute::Args),
    Inspect(inspect::Args),
    Lock(lock::Args),
    Unlock(unlock::Args),
    Qr(qr::Args),
    Attack(attack::Args),
    Suite(suite::Args),
    Report(report::Args),
    Demo(demo::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs a command.
pub(crate) fn run(command: Command) -> Result<Exit, Error> {
    match command {
        Command::Keygen(args) => args.run(),
        Command::Find(args) => args.run(),
        Command::Stamp(args) => args.run(),
        Command::Train(args) => args.run(),
        Command::Evaluate(args) => args.run(),
        Command::Verify(args) => args.run(),
        Command::Disclose(args) => args.run(),
        Command::Dispute(args) => args.run(),
        Command::Inspect(args) => args.run(),
        Command::Lock(args) => args.run(),
        Command::Unlock(args) => args.run(),
        Command::Qr(args) => args.run(),
        Command::Attack(args) => args.run(),
        Command::Suite(args) => args.run(),
        Command::Report(args) => args.run(),
        Command::Demo(args) => args.run(),
        Command::Completions(args) => args.run(),
        Command::Man(args) => args.run(),
    }
}
