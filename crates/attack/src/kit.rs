//! Small networks that attacks are tested on.

use counterfoil_claim::PublicKey;
use counterfoil_ticket::{Architecture, ImageShape, Mask, Model, Normalisation};
use counterfoil_train::data::{Augmentation, DataSource, LoadOptions, load};
use counterfoil_train::{DeviceChoice, Event, Network, Predictor};

use crate::draw::Draw;
use crate::victim::attempt;
use crate::{Attack, AttackError, Attacked, Insight, Means, attack, stolen};

pub(crate) const DIGITS: ImageShape = ImageShape { channels: 1, height: 8, width: 8 };
pub(crate) const MLP: fn() -> Architecture = || Architecture::Mlp { input: DIGITS, hidden: vec![20, 12], classes: 10 };
pub(crate) const RESNET20: fn() -> Architecture = || Architecture::Resnet20 { input: DIGITS, width: 4, classes: 10 };
pub(crate) const RESNET18: fn() -> Architecture = || Architecture::Resnet18 { input: DIGITS, width: 4, classes: 10 };
pub(crate) const RESNET50: fn() -> Architecture = || Architecture::Resnet50 { input: DIGITS, width: 2, classes: 10 };
pub(crate) const VGG16: fn() -> Architecture = || {
    let input = ImageShape { channels: 3, height: 32, width: 32 };
    Architecture::Vgg16 { input, width: 3, classes: 5 }
};

fn normalisation(architecture: &Architecture) -> Normalisation {
    let channels = architecture.input().channels as usize;
    Normalisation { mean: vec![0.5; channels], std: vec![0.25; channels] }
}

/// A network whose prunable layers keep a share of their weights, with batch norms that do something.
pub(crate) fn sparse_model(architecture: Architecture, density: f64) -> Model {
    let normalisation = normalisation(&architecture);
    let device = DeviceChoice::Cpu.open().unwrap();
    let network = Network::initialise(architecture.clone(), normalisation.clone(), 5, &device);
    let mut draw = Draw::new(9);
    let mut arrays = network.arrays();
    for (name, array) in &mut arrays {
        let vary: &mut dyn FnMut(f32) -> f32 = if name.ends_with("running_var") {
            &mut |_| draw.factor(0.5)
        } else if name.ends_with("num_batches_tracked") || array.shape().len() > 1 {
            &mut |v| v
        } else {
            &mut |v| v + 0.3 * draw.normal()
        };
        array.values_mut().iter_mut().for_each(|v| *v = vary(*v));
    }
    let mut model = Model { arrays, ..Model::default() };
    for layer in network.layers().iter().filter(|layer| layer.prunable) {
        model.masks.insert(layer.weight(), Mask::from_fn(layer.shape.size(), |_| draw.happens(density)));
    }
    model.description.architecture = Some(architecture);
    model.description.normalisation = Some(normalisation);
    stolen(model)
}

/// An attack by name with these settings and nothing else.
pub(crate) fn attacked(name: &str, model: &Model, set: &[(&str, &str)]) -> Result<Model, AttackError> {
    attacked_with(name, model, set, Vec::new(), None)
}

/// An attack by name, with other models and an insight.
pub(crate) fn attacked_with(
    name: &str,
    model: &Model,
    set: &[(&str, &str)],
    others: Vec<Model>,
    insight: Option<Insight>,
) -> Result<Model, AttackError> {
    let attack = attack(name).unwrap();
    let mut on_event = |_| ();
    let mut means = Means { seed: 3, insight, others, ..no_means(&mut on_event) };
    Ok(model_of(attack, attempt(attack, model, set, &mut means)?))
}

/// An attacker who has nothing but the seed 0.
pub(crate) fn no_means(on_event: &mut dyn FnMut(Event)) -> Means<'_> {
    Means {
        seed: 0,
        data: None,
        augmentation: Augmentation::NONE,
        insight: None,
        others: Vec::new(),
        rewound: None,
        device: DeviceChoice::Cpu,
        on_event,
    }
}

/// The model of an attack that leaves one.
pub(crate) fn model_of(attack: &dyn Attack, attacked: Attacked) -> Model {
    match attacked {
        Attacked::Model(model) => model,
        Attacked::Served(_) => panic!("{} leaves a model", attack.profile().name),
    }
}

/// Some digits, or noise for who takes other images.
fn images(input: ImageShape) -> Vec<u8> {
    if input != DIGITS {
        return (0..3 * input.size()).map(|i| (i * 7919 % 251) as u8).collect();
    }
    let digits = load(&DataSource::Digits, &LoadOptions::default()).unwrap();
    digits.test.images()[..20 * input.size()].to_vec()
}

pub(crate) fn logits(model: &Model, architecture: &Architecture) -> Vec<f32> {
    let device = DeviceChoice::Cpu.open().unwrap();
    let network = Network::from_model(model, architecture.clone(), normalisation(architecture), &device).unwrap();
    Predictor::new(&network).logits(&images(architecture.input()))
}

/// The largest difference over the largest logit.
pub(crate) fn difference(model: &Model, other: &Model) -> f32 {
    let architecture = model.description.architecture.clone().unwrap();
    let [a, b] = [model, other].map(|model| logits(model, &architecture));
    let largest = a.iter().fold(0f32, |most, v| most.max(v.abs()));
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
}

pub(crate) fn kept(model: &Model) -> usize {
    model.masks.values().map(Mask::kept).sum()
}

/// A thief who knows the public panel.
pub(crate) fn insight(key: &PublicKey) -> Insight {
    Insight::new(*key, None, [])
}
