//! `man`: manual pages, made from the same definitions as `--help`.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_mangen::Man;
use counterfoil_ticket::{Overwrite, Secrecy, WriteError, write_atomically};

use crate::output::{print, print_bytes};
use crate::{Cli, Error, Exit};

/// Print the manual page, or write those of all commands
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil man --dir man1
  man ./man1/counterfoil-verify.1")]
pub(crate) struct Args {
    /// Write a page for each command to this folder; it is made if it is not there
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        // `help` would be named among the pages, and has none.
        let mut cli = Cli::command().disable_help_subcommand(true);
        cli.build();
        let Some(folder) = self.dir else {
            print_bytes(&page(cli))?;
            return Ok(Exit::Success);
        };
        std::fs::create_dir_all(&folder).map_err(|source| WriteError::Io { file: folder.clone(), source })?;
        for command in with_subcommands(&cli) {
            let path = folder.join(Man::new(command.clone()).get_filename());
            let page = page(command.clone());
            write_atomically(&path, Overwrite::Replace, Secrecy::Public, |out| out.write_all(&page))?;
            print(&format!("wrote {}\n", path.display()))?;
        }
        Ok(Exit::Success)
    }
}

/// A command behind its subcommands, theirs included: all that pages name.
fn with_subcommands(command: &clap::Command) -> Vec<&clap::Command> {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.flat_map(with_subcommands).chain([command]).collect()
}

/// A page in roff. No date is in it: the same version gives the same bytes.
fn page(command: clap::Command) -> Vec<u8> {
    let mut page = Vec::new();
    Man::new(command).date("").render(&mut page).expect("writing to memory does not fail");
    page
}
