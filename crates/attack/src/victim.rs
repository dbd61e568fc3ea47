//! A small trained network that attacks which train are tested on.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use counterfoil_mark::masks_of;
use counterfoil_ticket::{Architecture, Description, Mask, Model};
use counterfoil_train::data::{Augmentation, DataSource, Dataset, LoadOptions, load};
use counterfoil_train::{DeviceChoice, Examples, Hold, Network, Schedule, count_correct, fit};

use crate::kit::{model_of, no_means};
use crate::{Attack, AttackError, Attacked, Means, Settings, Sparse, stolen};

/// 300 digits.
pub(crate) fn data() -> Dataset {
    load(&DataSource::Digits, &LoadOptions { limit: Some(300), limit_test: Some(300), ..LoadOptions::default() })
        .unwrap()
}

/// An MLP of 64, 20, 12 and 10, half of whose weights are pruned, trained on the digits.
pub(crate) fn victim() -> Model {
    static VICTIM: OnceLock<Model> = OnceLock::new();
    let make = || trained(Architecture::Mlp { input: data().train.shape(), hidden: vec![20, 12], classes: 10 });
    VICTIM.get_or_init(make).clone()
}

/// A ResNet-20 of width 4, half of whose weights are pruned, trained on the digits.
pub(crate) fn resnet() -> Model {
    static RESNET: OnceLock<Model> = OnceLock::new();
    let make = || trained(Architecture::Resnet20 { input: data().train.shape(), width: 4, classes: 10 });
    RESNET.get_or_init(make).clone()
}

fn trained(architecture: Architecture) -> Model {
    let (data, device) = (data(), DeviceChoice::Cpu.open().unwrap());
    let network = Network::initialise(architecture.clone(), data.normalisation.clone(), 1, &device);
    let prunable = network.layers().iter().filter(|layer| layer.prunable);
    let half = |size| Mask::from_fn(size, |p| p * 31 % 64 < 32);
    let masks: BTreeMap<String, Mask> = prunable.map(|layer| (layer.weight(), half(layer.shape.size()))).collect();
    let hold = Hold::new(&network, &masks, BTreeMap::new());
    let schedule = Schedule { batch: 32, ..Schedule::paper(10) };
    let network = fit(network, Examples::new(&data.train, Augmentation::NONE), &schedule, &hold, 1, None, &mut |_| ());
    let (architecture, normalisation) = (Some(architecture), Some(data.normalisation.clone()));
    let description = Description { architecture, normalisation, ..Description::default() };
    stolen(Model { description, arrays: network.unwrap().arrays(), ..Model::default() })
}

/// Calls this with an attacker's means: these images, and the seed 0.
pub(crate) fn with_means<T>(data: &Dataset, run: impl FnOnce(&mut Means) -> T) -> T {
    run(&mut Means { data: Some(data), ..no_means(&mut |_| ()) })
}

/// What an attack with these settings makes of a model or says of it.
pub(crate) fn attempt(
    attack: &dyn Attack,
    model: &Model,
    set: &[(&str, &str)],
    means: &mut Means,
) -> Result<Attacked, AttackError> {
    let profile = attack.profile();
    let settings = Settings::new(profile.name, profile.parameters, set.iter().copied())?;
    attack.run(model.clone(), &settings, means)
}

/// The model that an attack with these settings leaves.
pub(crate) fn left(attack: &dyn Attack, model: &Model, set: &[(&str, &str)], means: &mut Means) -> Model {
    model_of(attack, attempt(attack, model, set, means).unwrap())
}

/// The model that an attack leaves to one who has the digits.
pub(crate) fn left_by(attack: &dyn Attack, model: &Model, set: &[(&str, &str)]) -> Model {
    with_means(&data(), |means| left(attack, model, set, means))
}

/// Trained parameters that differ.
pub(crate) fn changed(before: &Model, after: &Model) -> Vec<String> {
    let parameters = before.arrays.iter().filter(|(name, _)| !name.contains("running"));
    let differ = parameters.filter(|(name, array)| after.arrays[*name].values() != array.values());
    differ.map(|(name, _)| name.clone()).collect()
}

/// Weights of masked layers that are not 0.
pub(crate) fn kept(model: &Model) -> usize {
    masks_of(model).values().map(Mask::kept).sum()
}

/// Right answers on 300 test images.
pub(crate) fn correct(model: &Model) -> usize {
    let data = data();
    let network = with_means(&data, |means| Sparse::of(model, means)).unwrap().network;
    count_correct(&network, &data.test).unwrap()
}
