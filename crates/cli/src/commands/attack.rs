//! `attack`: what somebody does to a stolen model, to see what its mark withstands.

use std::collections::BTreeMap;
use std::path::PathBuf;

use counterfoil_attack::{Victims, prune_masks};
use counterfoil_mark::masks_of;
use counterfoil_ticket::{Description, Mask, Model, ModelFile};

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
        let mut model = ModelFile::open(&self.model)?.read()?;
        let mut masks = masks_of(&model);
        if masks.is_empty() {
            let dense = model.carriers().into_iter().map(|carrier| (carrier.name, Mask::full(carrier.shape.size())));
            masks = dense.collect();
        }
        let count = |masks: &BTreeMap<String, Mask>| masks.values().map(Mask::kept).sum::<usize>();
        let before = count(&masks);
        let victims = match self.name {
            AttackName::PruneMag => Victims::Smallest,
            AttackName::PruneRand => Victims::Random(self.seed),
        };
        prune_masks(&mut masks, |name| model.arrays[name].values().to_vec(), self.share, victims);
        for (name, mask) in &masks {
            if let Some(array) = model.arrays.get_mut(name) {
                mask.apply(array.values_mut());
            }
        }
        let Description { architecture, normalisation, .. } = model.description;
        let description = Description { architecture, normalisation, ..Description::default() };
        let attacked = Model { description, arrays: model.arrays, ..Model::default() };
        attacked.write_safetensors(&self.output, self.force.overwrite())?;
        let kept = count(&masks);
        print(&format!("{kept} of {before} weights kept: {}\n", self.output.display()))?;
        Ok(Exit::Success)
    }
}
