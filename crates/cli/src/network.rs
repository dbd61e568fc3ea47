//! A model file as a network for a data set: what it takes is compared with what the data are.

use std::path::Path;

use counterfoil_ticket::{Architecture, Model, ModelFile, Normalisation};
use counterfoil_train::data::Dataset;
use counterfoil_train::{DeviceChoice, Network};

use crate::Error;
use crate::burn_model::normalisation_of;
use crate::network_kind::{KnownInput, architecture_of};

/// Reads the model in a file, `path`, and makes a network of it that takes the images of these data. They are normalised
/// as asked, else as the file says, else as the data are.
pub(crate) fn network_for(
    path: &Path,
    file: &ModelFile,
    data: &Dataset,
    normalisation: Option<&Normalisation>,
    device: DeviceChoice,
) -> Result<(Model, Network), Error> {
    let known = KnownInput { shape: Some(data.train.shape()), side: None };
    let architecture =
        architecture_of(file, known).map_err(|reason| Error::NotTrainable { model: path.to_owned(), reason })?;
    check_data(path, &architecture, data)?;
    let normalisation = normalisation_of(file, normalisation, architecture.input().channels)?;
    let normalisation = normalisation.unwrap_or_else(|| data.normalisation.clone());
    let model = file.read()?;
    let network = Network::from_model(&model, architecture, normalisation, &device.open()?)?;
    Ok((model, network))
}

/// Checks that the network in a file, `path`, takes the images of these data and tells as many classes apart.
pub(crate) fn check_data(path: &Path, architecture: &Architecture, data: &Dataset) -> Result<(), Error> {
    let expected = (data.train.shape(), data.classes);
    if (architecture.input(), architecture.classes()) == expected {
        return Ok(());
    }
    let (model, architecture, data) = (path.to_owned(), architecture.clone(), data.name.clone());
    Err(Error::OtherData { model, architecture, data, expected })
}
