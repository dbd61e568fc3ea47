//! Bits in projections of mean activations (DeepSigns: Rouhani et al. 2019, arXiv 1804.00750, white-box variant): the mean
//! features of key images of one class, before the classifier, times a drawn matrix; bit 1 where that is positive.
//!
//! DeepSigns puts them in by a term of the loss. Here the last batch norm's biases move the mean features there, the
//! classifier's biases take the shift out again, by turns with epochs of training: the same statistic, without a loss of its
//! own. Its criterion is theirs: no bit is wrong.

use counterfoil_ticket::{Architecture, Array, Model};
use counterfoil_train::data::Dataset;
use counterfoil_train::{Network, Predictor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use super::{Mark, Teaching, lost, of_bits, secret};
use crate::OtherMark;
use crate::judge::network_of;
use crate::tuning::tuned;

pub(super) struct Activation;

/// Bits: fewer than there are features.
const BITS: usize = 24;
/// Key images: training images of one class.
const IMAGES: usize = 48;
/// Times that bits and training take turns.
const TURNS: usize = 3;
/// Corrections each time.
const CORRECTIONS: usize = 8;
/// Distance of each projection from 0 that is aimed at, in deviations of all projections.
const MARGIN: f64 = 0.5;

impl Mark for Activation {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn on_model(&self, mut model: Model, seed: u64, teaching: &Teaching) -> Result<Model, String> {
        for _ in 0..TURNS {
            move_features(&mut model, seed, teaching.data)?;
            model = tuned(model, teaching, seed)?;
        }
        move_features(&mut model, seed, teaching.data)?;
        Ok(model)
    }

    fn read(&self, suspect: &Model, network: Option<&Network>, _: &Model, seed: u64, data: &Dataset) -> OtherMark {
        if network.is_none() {
            return lost("activation", "the model cannot be asked");
        }
        match mean_features(suspect, seed, data) {
            Err(why) => lost("activation", &why),
            Ok(features) => {
                let key = Key::new(features.len(), seed);
                let right =
                    key.projections(&features).iter().zip(&key.bits).filter(|(p, b)| (**p > 0.0) == **b).count();
                of_bits("activation", right, BITS, right == BITS)
            }
        }
    }
}

/// The owner's secret: a matrix of BITS rows, and the bits.
struct Key {
    rows: Vec<Vec<f64>>,
    bits: Vec<bool>,
}

impl Key {
    fn new(size: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(secret("activation", seed));
        let bits = (0..BITS).map(|_| rng.next_u32() & 1 == 1).collect();
        let rows = (0..BITS).map(|_| (0..size).map(|_| StandardNormal.sample(&mut rng)).collect()).collect();
        Self { rows, bits }
    }

    fn projections(&self, features: &[f64]) -> Vec<f64> {
        self.rows.iter().map(|row| row.iter().zip(features).map(|(a, f)| a * f).sum()).collect()
    }
}

/// Names of the last batch norm's and the classifier's tensors.
fn ends(model: &Model) -> Result<(String, String, Architecture), String> {
    let architecture = model.description.architecture.clone().ok_or("the architecture is not described")?;
    let layers = architecture.layers();
    let norm = layers.iter().rev().find_map(|layer| layer.norm.clone()).ok_or("there is no batch norm")?;
    let classifier = layers.last().map(|layer| layer.name.clone()).ok_or("there is no classifier")?;
    Ok((norm, classifier, architecture))
}

/// Mean features of the key images: what a classifier that passes its inputs on answers.
fn mean_features(model: &Model, seed: u64, data: &Dataset) -> Result<Vec<f64>, String> {
    let (_, classifier, architecture) = ends(model)?;
    let weight = model.arrays.get(&format!("{classifier}.weight")).ok_or("there is no classifier")?;
    let features = weight.shape()[1];
    let Architecture::Resnet20 { input, width, .. } = architecture else {
        return Err("the activation mark is for a ResNet-20".to_owned());
    };
    let mut passing = model.clone();
    let identity = (0..features * features).map(|i| f32::from(u8::from(i / features == i % features))).collect();
    let array = |shape, values| Array::new(shape, values).map_err(|error| error.to_string());
    passing.arrays.insert(format!("{classifier}.weight"), array(vec![features, features], identity)?);
    passing.arrays.insert(format!("{classifier}.bias"), array(vec![features], vec![0.0; features])?);
    let classes = u32::try_from(features).map_err(|error| error.to_string())?;
    passing.description.architecture = Some(Architecture::Resnet20 { input, width, classes });
    let network = network_of(&passing, data)?;
    let images = key_images(seed, data);
    let answers = Predictor::new(&network).logits(&images);
    let count = answers.len() / features;
    let mean = |feature: usize| answers.iter().skip(feature).step_by(features).map(|&v| f64::from(v)).sum::<f64>();
    Ok((0..features).map(|feature| mean(feature) / count as f64).collect())
}

/// Training images of one class, which the key draws.
fn key_images(seed: u64, data: &Dataset) -> Vec<u8> {
    let class = (secret("activation class", seed) % u64::from(data.classes)) as u32;
    let of_class = data.train.labels().iter().enumerate().filter(|(_, label)| **label == class).take(IMAGES);
    of_class.flat_map(|(index, _)| data.train.image(index).iter().copied()).collect()
}

/// Moves the mean features until all bits are right by a margin.
fn move_features(model: &mut Model, seed: u64, data: &Dataset) -> Result<(), String> {
    let (norm, classifier, _) = ends(model)?;
    for _ in 0..CORRECTIONS {
        let features = mean_features(model, seed, data)?;
        let key = Key::new(features.len(), seed);
        let projections = key.projections(&features);
        let deviation = (projections.iter().map(|p| p * p).sum::<f64>() / BITS as f64).sqrt();
        let target = |bit: bool| if bit { MARGIN * deviation } else { -MARGIN * deviation };
        let missing: Vec<f64> = projections
            .iter()
            .zip(&key.bits)
            .map(|(p, bit)| if (*p > 0.0) == *bit && p.abs() >= target(true) { 0.0 } else { target(*bit) - p })
            .collect();
        if missing.iter().all(|m| *m == 0.0) {
            break;
        }
        // The rows are nearly orthogonal: their sum, weighted by what is missing, is about the smallest move that gives it.
        let size = features.len() as f64;
        let moved: Vec<f64> = (0..features.len())
            .map(|j| key.rows.iter().zip(&missing).map(|(row, m)| row[j] * m).sum::<f64>() / size)
            .collect();
        // A feature that is at 0 is behind its ReLU, and cannot fall.
        let biases = model.arrays.get_mut(&format!("{norm}.bias")).ok_or("there is no batch norm")?.values_mut();
        biases.iter_mut().zip(&moved).for_each(|(bias, m)| *bias += *m as f32);
        let after = mean_features(model, seed, data)?;
        let weight = model.arrays[&format!("{classifier}.weight")].values().to_vec();
        let classes = model.arrays.get_mut(&format!("{classifier}.bias")).ok_or("there is no classifier")?.values_mut();
        for (class, bias) in classes.iter_mut().enumerate() {
            let row = &weight[class * features.len()..][..features.len()];
            let shift: f64 =
                row.iter().zip(after.iter().zip(&features)).map(|(w, (a, b))| f64::from(*w) * (a - b)).sum();
            *bias -= shift as f32;
        }
    }
    Ok(())
}
