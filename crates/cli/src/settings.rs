//! Arguments that training commands share: data, recipe, network.

use std::io::ErrorKind;
use std::path::PathBuf;

use counterfoil_mark::TriggerSet;
use counterfoil_ticket::Architecture;
use counterfoil_train::data::{Augmentation, DataError, DataSource, Dataset, LoadOptions, Split, load, load_triggers};
use counterfoil_train::{DeviceChoice, Schedule};
use sha2::{Digest, Sha256};

use crate::{Error, value};

/// Widths of an mlp's hidden layers by default.
const HIDDEN: [u32; 2] = [300, 100];
/// From this many training images on, the paper's number of epochs is the default; below it, fewer do.
const LARGE: usize = 10_000;
/// Epochs of the paper.
const PAPER_EPOCHS: u32 = 182;
/// Epochs by default on small data.
const SMALL_EPOCHS: u32 = 12;
/// Batch by default on small data; the paper's 128 would leave too few steps.
const SMALL_BATCH: usize = 64;

/// Which images. Flattened into every command that takes data.
#[derive(Debug, clap::Args)]
pub(crate) struct DataArgs {
    /// `digits` (embedded), or a folder: CIFAR-10/100 in their binary version, IDX files (MNIST, gzip or not), or
    /// images as train/CLASS/*.jpg|png and test/CLASS/…
    #[arg(long, value_name = "DATA")]
    data: DataSource,
    #[command(flatten)]
    images: ImagesArgs,
}

impl DataArgs {
    pub(crate) fn load(&self) -> Result<Dataset, Error> {
        self.images.load(&self.data)
    }
}

/// Which of the images. Flattened into every command that can do without data.
#[derive(Debug, clap::Args)]
pub(crate) struct ImagesArgs {
    /// Use this many training images only, drawn by --data-seed
    #[arg(long, value_name = "N", requires = "data")]
    limit: Option<usize>,
    /// Use this many test images only
    #[arg(long, value_name = "N", requires = "data")]
    limit_test: Option<usize>,
    /// Seed of what --limit draws
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    data_seed: u64,
    /// Resize the images of a folder to this height and width
    #[arg(long, value_name = "PIXELS", requires = "data", value_parser = clap::value_parser!(u32).range(1..=4096))]
    resize: Option<u32>,
}

impl ImagesArgs {
    pub(crate) fn load(&self, data: &DataSource) -> Result<Dataset, Error> {
        let resize = self.resize.map(|side| (side, side));
        let options = LoadOptions { limit: self.limit, limit_test: self.limit_test, seed: self.data_seed, resize };
        load(data, &options).map_err(|error| match error {
            DataError::Io { ref source, .. } if source.kind() == ErrorKind::NotFound => Error::NoData(error),
            other => other.into(),
        })
    }
}

/// Trigger images of somebody's choice. Flattened into commands that learn or count them.
#[derive(Debug, clap::Args)]
pub(crate) struct TriggerFolderArgs {
    /// Folder of trigger images (.jpg, .png) with a label file: a number a line, in the order of the images' names, or
    /// NAME NUMBER. Such triggers decide nothing about ownership: only derived ones have an exact p-value
    #[arg(long, value_name = "FOLDER")]
    pub(crate) trigger_folder: Option<PathBuf>,
    /// Their label file [default: the only .txt file in the folder]
    #[arg(long, value_name = "FILE", requires = "trigger_folder")]
    pub(crate) trigger_labels: Option<PathBuf>,
}

/// How hard triggers of somebody's choice are learned.
#[derive(Debug, clap::Args)]
pub(crate) struct TriggerShowings {
    /// How often an epoch shows each image of the trigger folder, rounded up to an even number
    #[arg(long, value_name = "N", requires = "trigger_folder", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    trigger_showings: u32,
}

impl TriggerShowings {
    pub(crate) fn count(&self) -> u32 {
        self.trigger_showings.next_multiple_of(2)
    }

    /// The triggers as often as they take to be shown: every set that is learned from is shown twice.
    pub(crate) fn sets(&self, own: TriggerSet) -> impl Iterator<Item = TriggerSet> {
        std::iter::repeat_n(own, self.count() as usize / 2)
    }
}

impl TriggerFolderArgs {
    /// The triggers for a network that takes these data, if there are any.
    pub(crate) fn load(&self, data: &Dataset) -> Result<Option<TriggerSet>, Error> {
        let Some(folder) = &self.trigger_folder else { return Ok(None) };
        Ok(Some(load_triggers(folder, self.trigger_labels.as_deref(), data.train.shape(), data.classes)?))
    }
}

/// What tells a training set from others of the same name and size: SHA-256 of its labels and images.
pub(crate) fn digest_of(split: &Split) -> String {
    digest_of_images(split.images(), split.labels())
}

/// SHA-256 of labels and images.
pub(crate) fn digest_of_images(images: &[u8], labels: &[u32]) -> String {
    let mut hash = Sha256::new();
    labels.iter().for_each(|label| hash.update(label.to_be_bytes()));
    hash.update(images);
    counterfoil_ticket::Digest::from(<[u8; 32]>::from(hash.finalize())).to_string()
}

/// How to train. Defaults are the paper's, scaled to the data.
#[derive(Debug, clap::Args)]
pub(crate) struct RecipeArgs {
    /// Passes over the data [default: 182 from 10,000 training images on, else 12]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) epochs: Option<u32>,
    /// Images a step [default: 128 from 10,000 training images on, else 64]
    #[arg(long, value_name = "N", value_parser = value::count)]
    batch: Option<usize>,
    /// Learning rate [default: 0.1]
    #[arg(long, value_name = "RATE", value_parser = value::rate)]
    rate: Option<f64>,
    /// Epochs at which the rate drops [default: at 1/2 and 3/4]
    #[arg(long, value_name = "EPOCHS", value_delimiter = ',')]
    milestones: Option<Vec<u32>>,
    /// Factor of each drop [default: 0.1]
    #[arg(long, value_name = "FACTOR", value_parser = value::share)]
    drop: Option<f64>,
    /// Momentum [default: 0.9]
    #[arg(long, value_name = "SHARE", value_parser = value::momentum)]
    momentum: Option<f64>,
    /// Weight decay [default: 0.0001]
    #[arg(long, value_name = "DECAY", value_parser = value::decay)]
    decay: Option<f64>,
    /// Seed of initialisation, order and augmentation; the same seed gives the same bytes
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Do not pad, crop and flip training images, even where that suits the data
    #[arg(long)]
    no_augmentation: bool,
    /// Where to compute: cpu; cuda:N, vulkan or wgpu if built with it
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: DeviceChoice,
    /// Append one JSON line an epoch to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
}

impl RecipeArgs {
    pub(crate) fn schedule(&self, data: &Dataset) -> Schedule {
        let usual = usual_schedule(self.epochs, data);
        Schedule {
            epochs: usual.epochs,
            batch: self.batch.unwrap_or(usual.batch),
            rate: self.rate.unwrap_or(usual.rate),
            milestones: self.milestones.clone().unwrap_or(usual.milestones),
            drop: self.drop.unwrap_or(usual.drop),
            momentum: self.momentum.unwrap_or(usual.momentum),
            decay: self.decay.unwrap_or(usual.decay),
        }
    }

    /// Which options of training are given.
    pub(crate) fn of_schedule(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            ("--epochs", self.epochs.is_some()),
            ("--batch", self.batch.is_some()),
            ("--rate", self.rate.is_some()),
            ("--milestones", self.milestones.is_some()),
            ("--drop", self.drop.is_some()),
            ("--momentum", self.momentum.is_some()),
            ("--decay", self.decay.is_some()),
            ("--no-augmentation", self.no_augmentation),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(option, _)| option)
    }

    pub(crate) fn augmentation(&self, data: &Dataset) -> Augmentation {
        if self.no_augmentation { Augmentation::NONE } else { data.augmentation }
    }
}

/// The paper's recipe, scaled to the data, or of so many epochs.
pub(crate) fn usual_schedule(epochs: Option<u32>, data: &Dataset) -> Schedule {
    let small = data.train.len() < LARGE;
    let usual = Schedule::paper(epochs.unwrap_or(if small { SMALL_EPOCHS } else { PAPER_EPOCHS }));
    Schedule { batch: if small { SMALL_BATCH } else { usual.batch }, ..usual }
}

/// A network to be found a ticket in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ArchName {
    /// Linear layers and ReLU
    Mlp,
    /// The CIFAR ResNet-20 with option-A shortcuts
    Resnet20,
    /// The ResNet-18 with a 3x3 stem for CIFAR-sized images
    Resnet18,
    /// The ResNet-50 with a 3x3 stem for CIFAR-sized images
    Resnet50,
    /// The VGG-16 with batch norms and one linear layer, for images of at least 32x32
    Vgg16,
}

/// Which network, for this data.
#[derive(Debug, clap::Args)]
pub(crate) struct ArchArgs {
    /// The network [default: resnet20]
    #[arg(long, value_enum)]
    arch: Option<ArchName>,
    /// Widths of an mlp's hidden layers [default: 300,100]
    #[arg(long, value_name = "WIDTHS", value_delimiter = ',')]
    hidden: Option<Vec<u32>>,
    /// Channels of a convolutional network's first layer [default: 16 for resnet20, 64 for the others]
    #[arg(long, value_name = "CHANNELS", value_parser = clap::value_parser!(u32).range(1..=1024))]
    width: Option<u32>,
}

impl ArchArgs {
    pub(crate) fn architecture(&self, data: &Dataset) -> Result<Architecture, Error> {
        let (input, classes) = (data.train.shape(), data.classes);
        let architecture = match self.name() {
            ArchName::Mlp => {
                let hidden = self.hidden.clone().unwrap_or(HIDDEN.to_vec());
                Architecture::Mlp { input, hidden, classes }
            }
            ArchName::Resnet20 => Architecture::Resnet20 { input, width: self.width.unwrap_or(16), classes },
            ArchName::Resnet18 => Architecture::Resnet18 { input, width: self.width.unwrap_or(64), classes },
            ArchName::Resnet50 => Architecture::Resnet50 { input, width: self.width.unwrap_or(64), classes },
            ArchName::Vgg16 => Architecture::Vgg16 { input, width: self.width.unwrap_or(64), classes },
        };
        if input.height.min(input.width) < architecture.least_side() {
            return Err(Error::SmallImages { architecture, found: input });
        }
        if architecture.is_within_bounds() { Ok(architecture) } else { Err(Error::Width) }
    }

    fn name(&self) -> ArchName {
        self.arch.unwrap_or(ArchName::Resnet20)
    }

    /// Which of these options are given in vain, and why: a pretrained network is as it is, and others have widths of
    /// one kind.
    pub(crate) fn unused(&self, pretrained: bool) -> Vec<(&'static str, Error)> {
        let given =
            [("--arch", self.arch.is_some()), ("--hidden", self.hidden.is_some()), ("--width", self.width.is_some())];
        let why = |option| match (option, self.name()) {
            _ if pretrained => Some(Error::PretrainedNetwork { option }),
            ("--hidden", ArchName::Mlp) => None,
            ("--hidden", _) => Some(Error::OtherNetworksOption { option, expected: "'--arch mlp'" }),
            ("--width", ArchName::Mlp) => Some(Error::OtherNetworksOption { option, expected: "a convolutional one" }),
            _ => None,
        };
        given.into_iter().filter(|(_, given)| *given).filter_map(|(option, _)| Some((option, why(option)?))).collect()
    }
}
