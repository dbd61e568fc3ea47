//! `completions`: a script for the shell.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::output::print_bytes;
use crate::{Cli, Error, Exit};

/// Print completions for a shell
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil completions bash > ~/.local/share/bash-completion/completions/counterfoil")]
pub(crate) struct Args {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "counterfoil", &mut script);
        print_bytes(&script)?;
        Ok(Exit::Success)
    }
}
