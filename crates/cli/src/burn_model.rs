//! A suspect that is asked: its network on Burn, as the verifier's black box.

use counterfoil_ticket::{Architecture, ImageShape, ModelFile, Normalisation};
use counterfoil_train::{DeviceChoice, Network, classify};
use counterfoil_verify::{BlackBox, BlackBoxError};

use crate::Error;

/// Values of the widest layer that one pass may compute: 256 MiB of them, whatever the file says about itself.
const MAX_ACTIVATIONS: usize = 1 << 26;

/// A network in memory that answers queries.
pub(crate) struct BurnModel {
    network: Network,
    images_at_once: usize,
}

impl BurnModel {
    /// The network of a file whose architecture is known; or, in words, why it is none after all.
    pub(crate) fn new(
        file: &ModelFile,
        architecture: &Architecture,
        normalisation: Normalisation,
    ) -> Result<Result<Self, String>, Error> {
        let model = file.read()?;
        let device = DeviceChoice::Cpu.open()?;
        let network = Network::from_model(&model, architecture.clone(), normalisation, &device);
        let of_network = |network: Network| {
            let images_at_once = (MAX_ACTIVATIONS / widest(architecture) / widening(&network)).max(1);
            Self { network, images_at_once }
        };
        Ok(network.map(of_network).map_err(|error| error.to_string()))
    }
}

impl BlackBox for BurnModel {
    fn input(&self) -> ImageShape {
        self.network.architecture().input()
    }

    fn classes(&self) -> u32 {
        self.network.architecture().classes()
    }

    fn classify(&mut self, images: &[u8]) -> Result<Vec<Option<u32>>, BlackBoxError> {
        let pass = self.images_at_once * self.input().size();
        Ok(images.chunks(pass).flat_map(|images| classify(&self.network, images)).collect())
    }
}

/// What is done to pixels before they enter: as the user says, else as the file does; `None` if neither says.
pub(crate) fn normalisation_of(
    file: &ModelFile,
    given: Option<&Normalisation>,
    channels: u32,
) -> Result<Option<Normalisation>, Error> {
    let channels = channels as usize;
    let Some(given) = given else {
        let described = file.description().and_then(|description| description.normalisation.clone());
        return Ok(described.filter(|normalisation| normalisation.mean.len() == channels));
    };
    match given.mean.len() {
        1 => Ok(Some(Normalisation { mean: vec![given.mean[0]; channels], std: vec![given.std[0]; channels] })),
        n if n == channels => Ok(Some(given.clone())),
        found => Err(Error::Channels { found, expected: channels }),
    }
}

/// Pixels as v / 255, for want of anything better.
pub(crate) fn plain_normalisation(channels: u32) -> Normalisation {
    Normalisation { mean: vec![0.0; channels as usize], std: vec![1.0; channels as usize] }
}

/// How many times as many channels as the architecture's its hidden layers have.
fn widening(network: &Network) -> usize {
    let layers = network.layers().iter().zip(network.architecture().layers());
    let most = layers.map(|(found, expected)| found.shape.out.div_ceil(expected.shape.out)).max();
    most.unwrap_or(1) as usize
}

/// Values of the widest layer for one image.
fn widest(architecture: &Architecture) -> usize {
    match architecture {
        Architecture::Mlp { .. } => {
            architecture.layers().iter().map(|layer| layer.shape.out.max(layer.shape.inp) as usize).max().unwrap_or(1)
        }
        // Where channels double, both sides halve: no later stage is wider.
        Architecture::Resnet20 { input, width, .. }
        | Architecture::Resnet18 { input, width, .. }
        | Architecture::Vgg16 { input, width, .. } => *width as usize * (input.height * input.width) as usize,
        Architecture::Resnet50 { input, width, .. } => 4 * *width as usize * (input.height * input.width) as usize,
    }
}
