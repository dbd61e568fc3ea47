//! `attack`: what somebody does to a stolen model, to see what its mark withstands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use counterfoil_attack::{Guess, Victims, add_back, drawn_weights, prune_masks, turn_kernels};
use counterfoil_mark::{Turn, masks_of};
use counterfoil_ticket::{Description, Mask, Model, ModelFile};

use crate::output::print;
use crate::writing::{Force, Named, check};
use crate::{Error, Exit, value};

/// Attack a model, to see what its mark withstands
///
/// Writes the attacked model as a thief would hand it on: plain weights, without masks or history. Train it further with
/// 'counterfoil train' to see whether its accuracy recovers, and verify it.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil attack prune-mag model.bin --share 0.5 -o pruned.bin
  counterfoil train pruned.bin --data digits --epochs 2 --rate 0.01 -o recovered.bin
  counterfoil attack add-back-mag locked.safetensors --rewound ticket.safetensors --share 0.05 -o guessed.safetensors")]
pub(crate) struct Args {
    /// Which attack
    #[arg(value_enum)]
    name: AttackName,
    /// The model
    model: PathBuf,
    /// Share of the kept weights that goes, or how many come back, as a share of them
    #[arg(long, value_name = "SHARE", default_value = "0.5", value_parser = value::share)]
    share: f64,
    /// The ticket's rewound weights, of which pruned ones come back with their values [default: values drawn at random]
    #[arg(long, value_name = "FILE")]
    rewound: Option<PathBuf>,
    /// Seed of what goes or comes back at random
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
    /// Keep pruned positions again, at random: a guess at a key mask
    AddBackRand,
    /// Keep pruned positions again, those of the largest rewound weights; needs --rewound
    AddBackMag,
    /// Mirror every kernel from left to right: the network of mirrored images
    Mirror,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let mut inputs: Vec<Named> = vec![("the model", &self.model)];
        inputs.extend(self.rewound.iter().map(|file| ("the rewound weights", file.as_path())));
        check(&[("the attacked model", &self.output)], &inputs, self.force.overwrite())?;
        let mut model = ModelFile::open(&self.model)?.read()?;
        let mut masks = masks_of(&model);
        if masks.is_empty() {
            let dense = model.carriers().into_iter().map(|carrier| (carrier.name, Mask::full(carrier.shape.size())));
            masks = dense.collect();
        }
        let before = kept(&masks);
        let seed = self.seed;
        let mut prune = |victims| {
            prune_masks(&mut masks, |name| model.arrays[name].values().to_vec(), self.share, victims);
        };
        match self.name {
            AttackName::PruneMag => prune(Victims::Smallest),
            AttackName::PruneRand => prune(Victims::Random(seed)),
            AttackName::AddBackRand => self.add_back(&mut model, &mut masks, Guess::Random(seed))?,
            AttackName::AddBackMag => self.add_back(&mut model, &mut masks, Guess::Largest)?,
            AttackName::Mirror => {
                model.masks = std::mem::take(&mut masks);
                turn_kernels(&mut model, Turn::Mirrored);
                masks = std::mem::take(&mut model.masks);
            }
        }
        for (name, mask) in &masks {
            if let Some(array) = model.arrays.get_mut(name) {
                mask.apply(array.values_mut());
            }
        }
        let Description { architecture, normalisation, .. } = model.description;
        let description = Description { architecture, normalisation, ..Description::default() };
        let attacked = Model { description, arrays: model.arrays, ..Model::default() };
        attacked.write_safetensors(&self.output, self.force.overwrite())?;
        print(&format!("{} weights kept, {before} before: {}\n", kept(&masks), self.output.display()))?;
        Ok(Exit::Success)
    }

    /// Guesses what a locked ticket holds back.
    fn add_back(&self, model: &mut Model, masks: &mut BTreeMap<String, Mask>, guess: Guess) -> Result<(), Error> {
        let rewound = self.rewound.as_deref().map(|path| ModelFile::open(path)?.read_stored()).transpose()?;
        let rewound = match (rewound, &self.rewound, guess) {
            (Some(rewound), Some(path), _) => weights_like(model, masks, rewound, path)?,
            (_, _, Guess::Largest) => return Err(Error::NoRewound),
            (_, _, Guess::Random(seed)) => drawn_weights(model, masks, seed),
        };
        let count = (self.share * kept(masks) as f64).round() as usize;
        let held = masks.clone();
        add_back(masks, |name| rewound[name].clone(), count, guess);
        for (name, mask) in masks {
            let values = model.arrays.get_mut(name).expect("masks are of the model's tensors").values_mut();
            for position in mask.positions().filter(|&position| !held[name].keeps(position)) {
                values[position] = rewound[name][position];
            }
        }
        Ok(())
    }
}

fn kept(masks: &BTreeMap<String, Mask>) -> usize {
    masks.values().map(Mask::kept).sum()
}

/// The masked tensors of another file, which must have them in the same shapes.
fn weights_like(
    model: &Model,
    masks: &BTreeMap<String, Mask>,
    mut other: Model,
    path: &Path,
) -> Result<BTreeMap<String, Vec<f32>>, Error> {
    let weights = |name: &String| {
        let array = other.arrays.remove(name).filter(|array| array.shape() == model.arrays[name].shape());
        let array = array.ok_or_else(|| Error::OtherRewound { file: path.to_owned(), tensor: name.clone() })?;
        Ok((name.clone(), array.values().to_vec()))
    };
    masks.keys().map(weights).collect()
}
