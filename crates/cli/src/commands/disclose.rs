//! `disclose`: one sealed panel, opened for a verifier.

use std::path::PathBuf;

use counterfoil_claim::PanelId;
use counterfoil_ticket::{Digest, Secrecy, write_atomically};
use serde::Serialize;

use crate::open::{UnlockArgs, counterfoil};
use crate::output::{print, print_json};
use crate::value::sealed_panel;
use crate::writing::{Force, check};
use crate::{Error, Exit};

/// Open a sealed panel of a counterfoil for a verifier
///
/// The disclosure proves, together with the claim, that the panel was fixed when the ticket was stamped. It tells nothing
/// about the other panels. Whoever has it can imitate this panel's mark, or aim at it: disclose as few as you need.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil disclose stamped.counterfoil --panel 1 -o panel1.disclosure
  counterfoil verify model.bin --key owner.pub \\
      --claim stamped.claim.json --disclosure panel1.disclosure")]
pub(crate) struct Args {
    /// The counterfoil that 'stamp' wrote
    counterfoil: PathBuf,
    /// Which sealed panel, 1 to as many as the stamp has
    #[arg(long, value_name = "N", value_parser = sealed_panel)]
    panel: PanelId,
    /// Where the disclosure goes
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    unlock: UnlockArgs,
    #[command(flatten)]
    force: Force,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Disclosed {
    disclosure: String,
    panel: u8,
    sealed_panels: u8,
    claim: String,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let overwrite = self.force.overwrite();
        let mut inputs = vec![("the counterfoil", self.counterfoil.as_path())];
        inputs.extend(self.unlock.inputs());
        check(&[("the disclosure", &self.output)], &inputs, overwrite)?;
        let counterfoil = counterfoil(&self.counterfoil, &self.unlock)?;
        let disclosure = counterfoil
            .disclose(self.panel)
            .map_err(|source| Error::Counterfoil { file: self.counterfoil.clone(), source })?;
        // Whom it is shown to is the owner's choice.
        write_atomically(&self.output, overwrite, Secrecy::Secret, |out| out.write_all(disclosure.as_bytes()))?;

        let disclosed = Disclosed {
            disclosure: self.output.display().to_string(),
            panel: self.panel.get(),
            sealed_panels: counterfoil.sealed_panels().get(),
            claim: Digest::from(*counterfoil.claim_digest()).to_string(),
        };
        if self.json {
            print_json(&disclosed)?
        } else {
            print(&disclosed.in_words())?
        }
        Ok(Exit::Success)
    }
}

impl Disclosed {
    fn in_words(&self) -> String {
        let Self { disclosure, panel, sealed_panels, claim } = self;
        format!("{disclosure}  opens panel {panel} of {sealed_panels} sealed ones, for the claim {claim}\n")
    }
}
