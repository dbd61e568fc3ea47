//! A network that is asked: prepared once, then image by image on the CPU's kernels, by Burn's operations elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use burn::tensor::{Tensor, TensorData};
use counterfoil_kernels::{Connections, ConvNorm, Folded, Kernels, Parameters, Planes, Statistics};
use counterfoil_mark::TriggerSet;
use counterfoil_ticket::{Architecture, ImageShape, Layer};
use rayon::prelude::*;

use crate::TrainError;
use crate::data::Split;
use crate::forward::{Pass, Then, conv_of, convolution, forward};
use crate::fused;
use crate::network::{Network, to_vec};
use crate::reference::Reference;

/// Images that go through Burn's operations at once.
const BATCH: usize = 250;

/// Largest side of a kernel that the CPU's kernels fold.
const LARGEST_KERNEL: u32 = 3;

/// A network with its batch norms folded into lists of its weights, on the CPU. Whoever asks more than once keeps it.
#[derive(Debug)]
pub struct Predictor<'a> {
    network: &'a Network,
    /// By layer, made when it is first used: only then its input's size is known.
    folded: BTreeMap<String, OnceLock<Folded>>,
    /// What each byte is, normalised, by channel.
    tables: Vec<[f32; 256]>,
}

impl<'a> Predictor<'a> {
    /// Of the network as it is.
    pub fn new(network: &'a Network) -> Self {
        let folded = network.layers().iter().map(|layer| (layer.name.clone(), OnceLock::new())).collect();
        Self { network, folded, tables: network.normalised_bytes() }
    }

    /// The class with the largest logit for each image (`[n, channels, height, width]` bytes), first of equals. `None`
    /// where that means nothing: a logit is NaN, or the largest are infinite and several.
    pub fn classify(&self, images: &[u8]) -> Vec<Option<u32>> {
        self.logits(images).chunks_exact(self.classes() as usize).map(largest).collect()
    }

    /// Shape of the images that it takes.
    pub fn input(&self) -> ImageShape {
        self.network.architecture().input()
    }

    /// Number of classes.
    pub fn classes(&self) -> u32 {
        self.network.architecture().classes()
    }

    /// Logits `[n, classes]` of `n` images, with running statistics and without gradients. What an image gets depends
    /// neither on the others nor on the number of threads.
    pub fn logits(&self, images: &[u8]) -> Vec<f32> {
        let (architecture, layers) = (self.network.architecture(), self.network.layers());
        let size = architecture.input().size();
        let values = |logits: Tensor<2>| to_vec(&logits.flatten(0, 1));
        let is_mlp = matches!(architecture, Architecture::Mlp { .. });
        // Kernels that were given a border have no place in the CPU's.
        let is_large = layers.iter().any(|layer| layer.shape.height > LARGEST_KERNEL);
        if is_mlp || is_large || !fused::runs_on(self.network.device()) {
            let batches = images.chunks(BATCH * size);
            let logits = |batch| values(forward(architecture, layers, &mut Reference::evaluate(self.network), batch));
            return batches.flat_map(logits).collect();
        }
        let ask = |image: &[u8], threads: usize| {
            values(forward(architecture, layers, &mut Single { predictor: self, threads }, image))
        };
        let threads = rayon::current_num_threads();
        if images.len() / size < threads {
            // On a thread of the pool, which can share its work without going to sleep.
            let all = || images.chunks(size).flat_map(|image| ask(image, threads)).collect();
            return rayon::join(all, || ()).0;
        }
        images.par_chunks(size).flat_map_iter(|image| ask(image, 1)).collect()
    }

    fn folded(&self, layer: &Layer, input: &Planes, relu: bool) -> &Folded {
        self.folded[&layer.name].get_or_init(|| {
            let (_, _, norm) = convolution(layer);
            let [mean, variance] = self.network.running(layer).map(|statistic| to_vec(&statistic));
            let values = |name: String| to_vec(&self.network.parameters[&name]);
            let weight = values(layer.weight());
            let kept: Vec<bool> = weight.iter().map(|&w| w != 0.0).collect();
            let connections = Arc::new(Connections::new(conv_of(layer, input.size()), Some(&kept)));
            let (gamma, beta) = (values(format!("{norm}.weight")), values(format!("{norm}.bias")));
            let parameters = Parameters { weight: &weight, gamma: &gamma, beta: &beta };
            let layer = ConvNorm { connections, shortcut: None, relu };
            Folded::new(&layer, parameters, &Statistics { mean, variance }).expect("kernels are 3x3 or 1x1")
        })
    }
}

/// The classes of images, as [`Predictor::classify`] says; for who asks once.
pub fn classify(network: &Network, images: &[u8]) -> Vec<Option<u32>> {
    Predictor::new(network).classify(images)
}

/// Correct answers on a split.
///
/// # Errors
///
/// The network gives no answer to some images: a share of the others would say nothing about it.
pub fn count_correct(network: &Network, split: &Split) -> Result<usize, TrainError> {
    let answers = classify(network, split.images());
    match answers.iter().filter(|answer| answer.is_none()).count() {
        0 => Ok(answers.iter().zip(split.labels()).filter(|(a, b)| **a == Some(**b)).count()),
        found => Err(TrainError::NoAnswers { found, of: answers.len() }),
    }
}

/// Triggers that the network answers as their labels say; no answer is a miss.
pub fn count_hits(network: &Network, triggers: &TriggerSet) -> usize {
    let answers = classify(network, &triggers.images);
    answers.iter().zip(&triggers.labels).filter(|(answer, label)| **answer == Some(**label)).count()
}

fn largest(logits: &[f32]) -> Option<u32> {
    let best = (0..logits.len()).reduce(|best, i| if logits[i] > logits[best] { i } else { best });
    let best = best.expect("a network has at least one class");
    let is_clear = logits[best].is_finite() || logits.iter().filter(|v| **v == logits[best]).count() == 1;
    (is_clear && !logits.iter().any(|v| v.is_nan())).then_some(best as u32)
}

/// The pass of one image.
struct Single<'a> {
    predictor: &'a Predictor<'a>,
    threads: usize,
}

impl Pass for Single<'_> {
    type Activation = Arc<Planes>;

    fn images(&mut self, images: &[u8]) -> Arc<Planes> {
        let input = self.predictor.network.architecture().input();
        let [channels, height, width] = <[u32; 3]>::from(input).map(|n| n as usize);
        let tables = &self.predictor.tables;
        let value = |c: usize, i: usize, j: usize| tables[c][images[(c * height + i) * width + j] as usize];
        Arc::new(Planes::from_fn(channels, [height, width], value))
    }

    fn rows(&mut self, images: &[u8]) -> Tensor<2> {
        fused::input_rows(self.predictor.network, images, self.predictor.network.device())
    }

    fn conv_norm(&mut self, layer: &Layer, x: Arc<Planes>, then: Then<Arc<Planes>>) -> Arc<Planes> {
        let (shortcut, relu) = then.parts();
        let folded = self.predictor.folded(layer, &x, relu);
        Arc::new(Kernels::detect().infer(folded, &x, shortcut.as_deref(), self.threads))
    }

    fn max_pool(&mut self, x: Arc<Planes>) -> Arc<Planes> {
        Arc::new(x.max_pool())
    }

    fn pool(&mut self, x: Arc<Planes>) -> Tensor<2> {
        Tensor::from_data(TensorData::new(x.average(), [1, x.channels()]), self.predictor.network.device())
    }

    fn value(&self, name: &str) -> Tensor<1> {
        self.predictor.network.parameters[name].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_one_largest_logit() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        for (logits, answer) in [
            ([1.0, 3.0, 2.0], Some(1)),
            ([2.0, 1.0, 2.0], Some(0)),
            ([-inf, 1.0, inf], Some(2)),
            ([-inf, 1.0, -inf], Some(1)),
            ([inf, 1.0, inf], None),
            ([-inf; 3], None),
            ([1.0, nan, 2.0], None),
            ([nan, 1.0, 2.0], None),
        ] {
            assert_eq!(largest(&logits), answer, "{logits:?}");
        }
    }
}
