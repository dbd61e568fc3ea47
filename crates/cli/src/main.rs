//! The `counterfoil` command line: arguments in, one library call, results out.
//!
//! Each command is a file in `commands/`. What it read wrong, and what to do about it, is said in one place
//! ([`error`] and [`hint`]), and so is the exit code: 0 for done, `proven` and `marked`, 1 for `no match` and for a model
//! without a QR code, 3 for `inconclusive` and for an undecided dispute, 2 for bad input or usage.

#![cfg_attr(test, allow(clippy::unwrap_used))] // In a test a panic is the report.

mod burn_model;
mod commands;
mod demo_pictures;
mod dispute_text;
mod error;
mod file_kind;
mod finder_args;
mod hint;
mod inspection;
mod network;
mod network_kind;
mod open;
mod output;
mod papers;
mod picture;
mod plot;
mod preset;
mod progress;
mod resume;
mod secret;
mod settings;
mod stamp_table;
mod threads;
mod value;
mod verdict_text;
mod winning;
mod writing;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Command;
use crate::error::Error;

/// Ownership marks for winning lottery tickets
///
/// Finds sparse trainable subnetworks, stamps their owner's mark into the sparse topology, and lets anyone check a
/// suspect model against the owner's public key.
#[derive(Parser)]
#[command(name = "counterfoil", version, max_term_width = 100, after_help = commands::QUICK_START)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// How a command ended that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// Done; for `verify`: proven or marked; for `dispute`: decided.
    Success,
    /// `verify`: no match; `qr read`: no code.
    NoMatch,
    /// `verify`: inconclusive; `dispute`: undecided.
    Inconclusive,
}

fn main() -> ExitCode {
    let command = preset::arguments(std::env::args_os()).map(|arguments| Cli::parse_from(arguments).command);
    let code = match command.and_then(|command| threads::check().and_then(|()| commands::run(command))) {
        Ok(Exit::Success) => 0,
        Ok(Exit::NoMatch) => 1,
        Ok(Exit::Inconclusive) => 3,
        Err(error) => {
            error.report();
            2
        }
    };
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_contradict_neither_themselves_nor_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_s_help_has_an_example() {
        for command in Cli::command().get_subcommands().filter(|command| command.get_name() != "help") {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Example"), "{}", command.get_name());
        }
    }
}
