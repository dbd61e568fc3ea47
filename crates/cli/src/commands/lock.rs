//! `lock`: hold back a key mask of a ticket.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use counterfoil_mark::{Betweenness, Certainty, Locked, Magnitude, Paths, Random, Strategy, lock};
use counterfoil_ticket::{Kind, Model, ModelFile, Overwrite, Secrecy};
use counterfoil_train::data::{Augmentation, DataSource, Dataset};
use counterfoil_train::{DeviceChoice, Examples, Hessian, IntegratedGradients, Probe, Taylor};
use serde::Serialize;
use serde_json::json;

use crate::commands::stamp::ProtectionArgs;
use crate::error::warn;
use crate::network::check_data;
use crate::output::{print, print_json};
use crate::progress::Waiting;
use crate::settings::ImagesArgs;
use crate::writing::{Force, Named, Together, check};
use crate::{Error, Exit, value};

/// Hold back a key mask, without which a ticket trains less well
///
/// Splits the ticket's mask in two: the locked ticket, which can be published, and the key mask, which is handed to
/// licensees. 'counterfoil unlock' puts them together again: the ticket's masks, its weights within them, all its other
/// tensors and its digest. Scores and weights outside of the masks are left out of both, and its history grows by an entry
/// for each. A mark in the ticket stays in the locked one.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil lock stamped.safetensors --strategy ewp --fraction 0.05 \\
      -o locked.safetensors --key-mask key.mask
  counterfoil lock stamped.safetensors --strategy taylor --data digits --fraction 0.05 \\
      -o locked.safetensors --key-mask key.mask --recipient \"$(cat licensee.pub)\"")]
pub(crate) struct Args {
    /// The ticket, stamped or not
    ticket: PathBuf,
    /// Which weights are held back
    #[arg(long, value_enum, default_value = "ewp")]
    strategy: StrategyName,
    /// Share of the kept weights that is held back
    #[arg(long, value_name = "SHARE", default_value = "0.05", value_parser = value::part)]
    fraction: f64,
    /// Where the locked ticket goes
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Where the key mask goes
    #[arg(long, value_name = "FILE")]
    key_mask: PathBuf,
    #[command(flatten)]
    protection: ProtectionArgs,
    /// Training images, for strategies that need them: `digits`, or a folder as for 'counterfoil train'
    #[arg(long, value_name = "DATA")]
    data: Option<DataSource>,
    #[command(flatten)]
    images: ImagesArgs,
    #[command(flatten)]
    effort: Effort,
    #[command(flatten)]
    force: Force,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The strategies by the names that key masks record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum StrategyName {
    /// Kernels that most paths pass, of paths drawn along strong kernels
    Ewp,
    /// Kernels that most paths pass, of paths drawn along any kernels
    RandomPath,
    /// Kernels that most shortest paths pass
    Betweenness,
    /// The largest weights
    Magnitude,
    /// At random
    Random,
    /// |w x gradient|; needs --data
    Taylor,
    /// The curvature of the loss at each weight; needs --data
    Hessian,
    /// What each weight contributes on the way from 0; needs --data
    IntegratedGradients,
}

/// How much work a strategy does.
#[derive(Debug, clap::Args)]
struct Effort {
    /// Number of training images that gradients are taken over, at most all
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = value::count)]
    probe: usize,
    /// Random vectors of hessian, points of integrated-gradients
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    samples: u32,
    /// Paths of ewp and random-path
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..))]
    paths: u32,
    /// Channels that betweenness looks from, drawn at random; how far its values may be off then is told [default: all]
    #[arg(long, value_name = "N")]
    sources: Option<NonZeroUsize>,
    /// Seed of what is drawn
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Where to compute gradients: cpu; cuda:N, vulkan or wgpu if built with it
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: DeviceChoice,
}

#[derive(Serialize)]
struct Summary {
    locked: String,
    key_mask: String,
    strategy: &'static str,
    held_back: usize,
    kept: usize,
    /// Null unless the strategy estimates.
    certainty: Option<Certainty>,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let overwrite = self.force.overwrite();
        let mut inputs: Vec<Named> = vec![("the ticket", &self.ticket)];
        inputs.extend(self.protection.inputs());
        check(&[("the key mask", &self.key_mask), ("the locked ticket", &self.output)], &inputs, overwrite)?;
        let mut ticket = ModelFile::open(&self.ticket)?.read_stored()?;
        if ticket.description.kind == Kind::Model {
            warn(&format!(
                "{}: is a trained model, or does not say that it is a ticket: key masks are for rewound weights, which are \
                 trained when the ticket is whole again",
                self.ticket.display()
            ));
        }
        // Asked before the work, not after it: betweenness and the strategies that ask the network take a while.
        let protection = self.protection.protection(&self.key_mask)?;
        let data = self.data.as_ref().map(|source| self.images.load(source)).transpose()?;
        let strategy = self.strategy(&ticket, data.as_ref())?;
        ticket.description.history.push(json!({
            "command": "lock", "version": env!("CARGO_PKG_VERSION"), "strategy": strategy.name(),
            "fraction": self.fraction,
        }));
        let refused = |source| Error::Lock { ticket: self.ticket.clone(), source };
        let waiting = self.waiting(&ticket, &*strategy, data.as_ref());
        let Locked { ticket: locked, key_mask, certainty } =
            lock(&ticket, &*strategy, self.fraction).map_err(refused)?;
        drop(waiting);
        let sealed = key_mask.seal(&protection).map_err(Error::SealKeyMask)?;
        let mut files = Together::new(overwrite);
        // A locked ticket without its key mask would be lost.
        files.stage_bytes(&self.key_mask, Secrecy::Secret, &sealed)?;
        files.stage(&self.output, |path| locked.write_safetensors(path, Overwrite::Refuse))?;
        files.commit()?;

        let summary = Summary {
            locked: self.output.display().to_string(),
            key_mask: self.key_mask.display().to_string(),
            strategy: strategy.name(),
            held_back: key_mask.size(),
            kept: key_mask.size() + locked.masks.values().map(|mask| mask.kept()).sum::<usize>(),
            certainty,
        };
        if self.json {
            print_json(&summary)?
        } else {
            print(&summary.in_words())?
        }
        Ok(Exit::Success)
    }

    /// Shows that a strategy that may take a while is at work.
    fn waiting(&self, ticket: &Model, strategy: &dyn Strategy, data: Option<&Dataset>) -> Option<Waiting> {
        let name = strategy.name();
        match (self.strategy, data) {
            (StrategyName::Magnitude | StrategyName::Random, _) => None,
            (StrategyName::Taylor | StrategyName::Hessian | StrategyName::IntegratedGradients, Some(data)) => {
                let images = self.effort.probe.min(data.train.len());
                let doing = format!("{name} asks the network about {images} images");
                Some(Waiting::told(&doing, Some(&format!("{doing}, which may take minutes"))))
            }
            _ => {
                let told = format!("{name} may take minutes in a network of this size");
                Some(Waiting::start(name, &told, [ticket.carriers()]))
            }
        }
    }

    fn strategy<'a>(&self, ticket: &Model, data: Option<&'a Dataset>) -> Result<Box<dyn Strategy + 'a>, Error> {
        let Effort { probe: count, samples, paths, sources, seed, device } = self.effort;
        let probe = || -> Result<Probe<'a>, Error> {
            let data = data.ok_or(Error::StrategyWithoutData)?;
            // Without an architecture the strategy refuses the ticket.
            if let Some(architecture) = &ticket.description.architecture {
                check_data(&self.ticket, architecture, data)?;
            }
            let examples = Examples::new(&data.train, Augmentation::NONE);
            Ok(Probe { examples, count, seed, device: device.open()? })
        };
        Ok(match self.strategy {
            StrategyName::Ewp => Box::new(Paths { paths, ..Paths::ewp(seed) }),
            StrategyName::RandomPath => Box::new(Paths { paths, ..Paths::random(seed) }),
            StrategyName::Betweenness => Box::new(Betweenness { sampled: sources.map(|count| (count, seed)) }),
            StrategyName::Magnitude => Box::new(Magnitude),
            StrategyName::Random => Box::new(Random { seed }),
            StrategyName::Taylor => Box::new(Taylor(probe()?)),
            StrategyName::Hessian => Box::new(Hessian { probe: probe()?, samples }),
            StrategyName::IntegratedGradients => Box::new(IntegratedGradients { probe: probe()?, steps: samples }),
        })
    }
}

impl Summary {
    fn in_words(&self) -> String {
        let Self { locked, key_mask, strategy, held_back, kept, certainty } = self;
        let share = 100.0 * *held_back as f64 / *kept as f64;
        let mut text = format!(
            "{locked}  the locked ticket, to publish\n\
             {key_mask}  the key mask, for licensees: {held_back} of {kept} weights ({share:.1} %), chosen by {strategy}\n"
        );
        if let Some(Certainty { confidence, error, largest, cut, certain }) = certainty {
            let confidence = 100.0 * confidence;
            text += &format!(
                "\n{strategy} is estimated from a sample: with a confidence of {confidence:.0} % it is nowhere off by more than \
                 {error:.1}.\nThe largest value is {largest:.1}, and the least that is held back {cut:.1}. "
            );
            text += &match certain {
                0 => "This says nothing about which weights matter\nmost: draw more --sources, or leave them out for the \
                      exact values.\n"
                    .to_owned(),
                _ => format!("Exact values would choose at least\n{certain} of the {held_back} weights too.\n"),
            };
        }
        text
    }
}
