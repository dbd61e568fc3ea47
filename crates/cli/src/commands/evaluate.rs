//! `evaluate`: accuracy of a model on a data set.

use std::path::{Path, PathBuf};

use counterfoil_ticket::{ModelFile, Normalisation};
use counterfoil_train::data::{DataSource, LoadOptions, Split, load};
use counterfoil_train::{DeviceChoice, Network, count_correct, count_hits};
use serde_json::json;

use crate::network::network_for;
use crate::network_kind::in_words;
use crate::output::{print, print_json};
use crate::settings::{DataArgs, TriggerFolderArgs};
use crate::{Error, Exit, value};

/// Measure a model's accuracy
///
/// Gives the share of images classified correctly, with its 95 % interval (Wilson 1927).
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil evaluate model.bin --data digits
  counterfoil evaluate resnet20.th --data cifar --normalisation 0.485,0.456,0.406:0.229,0.224,0.225")]
pub(crate) struct Args {
    /// The model: a safetensors or PyTorch file
    model: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// Which images
    #[arg(long, value_enum, default_value = "test")]
    split: SplitName,
    #[command(flatten)]
    triggers: TriggerFolderArgs,
    /// Means and deviations of the channels: MEAN:STD on the scale 0 to 1 [default: the file's, else the data set's]
    #[arg(long, value_name = "MEAN:STD", value_parser = value::normalisation)]
    normalisation: Option<Normalisation>,
    /// Where to compute: cpu; cuda:N, vulkan or wgpu if built with it
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: DeviceChoice,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Half of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum SplitName {
    /// Images to learn from
    Train,
    /// Images to be tested on
    Test,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let file = ModelFile::open(&self.model)?;
        let data = self.data.load()?;
        let (_, network) = network_for(&self.model, &file, &data, self.normalisation.as_ref(), self.device)?;
        let split = if self.split == SplitName::Train { &data.train } else { &data.test };
        let correct = correct_of(&self.model, &network, split)?;
        let triggers = self.triggers.load(&data)?;
        let triggers = triggers.map(|set| (count_hits(&network, &set), set.len()));
        let (low, high) = wilson(correct, split.len());
        let accuracy = correct as f64 / split.len() as f64;
        if self.json {
            let mut result = json!({
                "model": self.model, "data": data.name, "images": split.len(), "correct": correct,
                "accuracy": accuracy, "low": low, "high": high,
            });
            if let Some((hits, of)) = triggers {
                result["triggers"] = json!({ "hits": hits, "of": of });
            }
            print_json(&result)?;
        } else {
            let network = in_words(network.architecture());
            let [accuracy, low, high] = [accuracy, low, high].map(|share| 100.0 * share);
            let (images, name) = (split.len(), &data.name);
            print(&format!("{accuracy:.2} % of {images} images of {name} ({low:.2} to {high:.2} %), {network}\n"))?;
            if let Some((hits, of)) = triggers {
                let share = 100.0 * hits as f64 / of as f64;
                print(&format!("{share:.2} % of {of} triggers of the folder\n"))?;
            }
        }
        Ok(Exit::Success)
    }
}

/// Accuracy of a described model on the digits.
pub(crate) fn accuracy(model: &Path) -> Result<f64, Error> {
    let data = load(&DataSource::Digits, &LoadOptions::default())?;
    let (_, network) = network_for(model, &ModelFile::open(model)?, &data, None, DeviceChoice::Cpu)?;
    let correct = correct_of(model, &network, &data.test)?;
    Ok(correct as f64 / data.test.len() as f64)
}

/// Correct answers of the network in this file.
fn correct_of(model: &Path, network: &Network, split: &Split) -> Result<usize, Error> {
    count_correct(network, split).map_err(|source| Error::Network { model: model.to_owned(), source: Box::new(source) })
}

/// Wilson's 95 % interval of a share (JASA 22, 1927, p. 209).
fn wilson(hits: usize, n: usize) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    let (hits, n) = (hits as f64, n as f64);
    let centre = (hits + Z * Z / 2.0) / (n + Z * Z);
    let half = Z / (n + Z * Z) * (hits * (n - hits) / n + Z * Z / 4.0).sqrt();
    (centre - half, centre + half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_s_interval_is_that_of_the_textbooks() {
        // 8 of 10: Agresti & Coull 1998 give (0.490, 0.943)
        let (low, high) = wilson(8, 10);
        assert!((low - 0.4902).abs() < 1e-4 && (high - 0.9433).abs() < 1e-4, "{low} {high}");
    }
}
