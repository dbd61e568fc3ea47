//! `unlock`: a locked ticket and its key mask, put together.

use std::path::PathBuf;

use counterfoil_mark::unlock;
use counterfoil_ticket::ModelFile;
use serde::Serialize;
use serde_json::json;

use crate::open::UnlockArgs;
use crate::output::{print, print_json};
use crate::writing::{Force, Named, check};
use crate::{Error, Exit, open};

/// Make a locked ticket whole again, with its key mask
///
/// Checks that the key mask belongs to this ticket, and that what comes out is what was locked, by its digest: a stamped
/// ticket has the one again that its claim names.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil unlock locked.safetensors --key-mask key.mask -i licensee.key -o ticket.safetensors")]
pub(crate) struct Args {
    /// The locked ticket
    locked: PathBuf,
    /// The key mask
    #[arg(long, value_name = "FILE")]
    key_mask: PathBuf,
    #[command(flatten)]
    unlock: UnlockArgs,
    /// Where the whole ticket goes
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    force: Force,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Summary {
    ticket: String,
    digest: String,
    given_back: usize,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let overwrite = self.force.overwrite();
        let mut inputs: Vec<Named> = vec![("the locked ticket", &self.locked), ("the key mask", &self.key_mask)];
        inputs.extend(self.unlock.inputs());
        check(&[("the ticket", &self.output)], &inputs, overwrite)?;
        let locked = ModelFile::open(&self.locked)?.read_stored()?;
        let key_mask = open::key_mask(&self.key_mask, &self.unlock)?;
        let refused = |source| Error::Lock { ticket: self.locked.clone(), source };
        let mut ticket = unlock(&locked, &key_mask).map_err(refused)?;
        ticket.description.history.push(json!({ "command": "unlock", "version": env!("CARGO_PKG_VERSION") }));
        ticket.write_safetensors(&self.output, overwrite)?;

        let digest = key_mask.ticket.to_string();
        let summary = Summary { ticket: self.output.display().to_string(), digest, given_back: key_mask.size() };
        if self.json {
            print_json(&summary)?
        } else {
            let Summary { ticket, digest, given_back } = summary;
            print(&format!("{ticket}  the whole ticket, {given_back} weights given back; digest {digest}\n"))?
        }
        Ok(Exit::Success)
    }
}
