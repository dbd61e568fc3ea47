//! `attack`: what somebody does to a stolen model, to see what its mark withstands.

use std::path::PathBuf;

use counterfoil_attack::{Sparse, Victims, prune};
use counterfoil_mark::masks_of;
use counterfoil_ticket::ModelFile;
use counterfoil_train::{DeviceChoice, Network};

use crate::burn_model::{normalisation_of, plain_normalisation};
use crate::network_kind::{KnownInput, architecture_of};
use crate::output::print;
use crate::writing::{Force, check};
use crate::{Error, Exit, value};

/// Attack a model, to see what its mark withstands
///
/// Writes the attacked model as a thief would hand it on: plain weights, without masks or history. Train it further with
/// 'counterfoil train' to see whether its accuracy recovers, and verify it.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil attack prune-mag model.bin --share 0.5 -o pruned.bin
  counterfoil train pruned.bin --data digits --epochs 2 --rate 0.01 -o recovered.bin")]
pub(crate) struct Args {
    /// Which attack
    #[arg(value_enum)]
    name: AttackName,
    /// The model
    model: PathBuf,
    /// Share of the kept weights that goes
    #[arg(long, value_name = "SHARE", default_value = "0.5", value_parser = value::share)]
    share: f64,
    /// Seed of what goes at random
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Where the attacked model goes
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    force: Force,
}

/// Attacks that need no data.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum AttackName {
    /// Prune the smallest weights of all layers together
    PruneMag,
    /// Prune weights at random
    PruneRand,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        check(&[("the attacked model", &self.output)], &[("the model", &self.model)], self.force.overwrite())?;
        let refused = |reason| Error::NotTrainable { model: self.model.clone(), reason };
        let file = ModelFile::open(&self.model)?;
        let architecture = architecture_of(&file, KnownInput::default()).map_err(refused)?;
        let channels = architecture.input().channels;
        let normalisation = normalisation_of(&file, None, channels)?;
        let normalisation = normalisation.unwrap_or_else(|| plain_normalisation(channels));
        let model = file.read()?;
        let network = Network::from_model(&model, architecture, normalisation, &DeviceChoice::Cpu.open()?)?;
        let victim = Sparse { network, masks: masks_of(&model) };
        let before = victim.kept();
        let victims = match self.name {
            AttackName::PruneMag => Victims::Smallest,
            AttackName::PruneRand => Victims::Random(self.seed),
        };
        let attacked = prune(victim, self.share, victims);
        attacked.model().write_safetensors(&self.output, self.force.overwrite())?;
        print(&format!("{} of {before} weights kept: {}\n", attacked.kept(), self.output.display()))?;
        Ok(Exit::Success)
    }
}
