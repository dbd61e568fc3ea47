//! The networks on Burn: parameters by PyTorch name, loss, predictions.
//!
//! Parameters are flat tensors that the forward pass reshapes, so that gradients, masks, decay and the optimizer treat
//! convolutions, linear layers and batch norms alike. The structure comes from
//! [`Architecture::layers`](counterfoil_ticket::Architecture::layers); nothing here names a layer.

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use counterfoil_ticket::{Architecture, Array, Element, Layer, LayerKind, Model, Normalisation};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::TrainError;
use crate::forward::{Connected, convolution, forward};
use crate::fused;
use crate::reference::Reference;
use crate::sgd::Hold;
use crate::targets::Soft;

/// Weight of the newest batch in the running statistics; PyTorch's default.
const STATISTICS_MOMENTUM: f64 = 0.1;

/// A network's state: parameters that are trained and running statistics that follow the data.
#[derive(Debug, Clone)]
pub struct Network {
    architecture: Architecture,
    layers: Vec<Layer>,
    normalisation: Normalisation,
    device: Device,
    /// Trained parameters by PyTorch name, flat, in name order.
    pub(crate) parameters: BTreeMap<String, Tensor<1>>,
    /// What no gradient moves, shape `[channels]`: `running_mean` and `running_var` of the batch norms, and the biases of
    /// convolutions in front of them, which stay as they are.
    pub(crate) statistics: BTreeMap<String, Tensor<1>>,
}

/// Examples of one step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    /// Bytes, `[n, channels, height, width]`.
    pub(crate) images: Vec<u8>,
    /// One an image.
    pub(crate) labels: Vec<u32>,
    /// One an image.
    pub(crate) stakes: Vec<Stake>,
    /// What the images are to be answered instead of their labels.
    pub(crate) soft: Option<Soft>,
}

/// What an example has to say in the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stake {
    /// Factor of its loss.
    pub(crate) weight: f32,
    /// At this loss or below, it says nothing.
    pub(crate) enough: f32,
}

impl Stake {
    /// That of the data.
    pub(crate) const FULL: Self = Self { weight: 1.0, enough: f32::NEG_INFINITY };
}

/// Parameters as leaves of one differentiated pass.
pub(crate) type Leaves = BTreeMap<String, Tensor<1>>;

/// Mean, without the convolution's bias, and unbiased variance (as PyTorch keeps it) of one batch, by batch-norm name;
/// without gradients.
pub(crate) type BatchStatistics = Vec<(String, Tensor<1>, Tensor<1>)>;

impl Network {
    /// A freshly initialised network: He's uniform initialisation (arXiv 1502.01852, fan-in) of weights, drawn layer by
    /// layer from ChaCha8 seeded with `seed`; biases 0, batch norms identity.
    pub fn initialise(architecture: Architecture, normalisation: Normalisation, seed: u64, device: &Device) -> Self {
        let layers = architecture.layers();
        Self::initialise_layers(architecture, layers, normalisation, seed, device)
    }

    fn initialise_layers(
        architecture: Architecture,
        layers: Vec<Layer>,
        normalisation: Normalisation,
        seed: u64,
        device: &Device,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut network = Self::empty(architecture, layers, normalisation, device);
        for layer in network.layers.clone() {
            let bound = (6.0 / layer.shape.row() as f64).sqrt();
            // 24 bits fill a float's mantissa exactly, so that every platform draws the same values.
            let uniform = |rng: &mut ChaCha8Rng| f64::from(rng.next_u32() >> 8) / f64::from(1 << 23) - 1.0;
            let weight = (0..layer.shape.size()).map(|_| (uniform(&mut rng) * bound) as f32).collect();
            network.set_parameter(layer.weight(), weight);
            let out = layer.shape.out as usize;
            match &layer.norm {
                None => network.set_parameter(format!("{}.bias", layer.name), vec![0.0; out]),
                Some(norm) => {
                    layer.bias().into_iter().for_each(|bias| network.set_statistic(bias, vec![0.0; out]));
                    network.set_parameter(format!("{norm}.weight"), vec![1.0; out]);
                    network.set_parameter(format!("{norm}.bias"), vec![0.0; out]);
                    network.set_statistic(format!("{norm}.running_mean"), vec![0.0; out]);
                    network.set_statistic(format!("{norm}.running_var"), vec![1.0; out]);
                }
            }
        }
        network
    }

    /// The network of a model file: its architecture must be described or have been recognised by the caller. Hidden
    /// channels and kernels may be more or fewer than the architecture's, as [`Architecture::fit`] has it.
    ///
    /// # Errors
    ///
    /// A tensor that the architecture needs is missing or has a shape that does not fit.
    pub fn from_model(
        model: &Model,
        architecture: Architecture,
        normalisation: Normalisation,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let layers = architecture.fit(|name| model.arrays.get(name).map(Array::shape))?;
        let mut network = Self::empty(architecture.clone(), layers.clone(), normalisation.clone(), device);
        let template = Self::initialise_layers(architecture, layers, normalisation, 0, device);
        let find = |name: &str, expected: usize| -> Result<Vec<f32>, TrainError> {
            let array = model.arrays.get(name).ok_or_else(|| TrainError::MissingTensor { tensor: name.to_owned() })?;
            if array.values().len() != expected {
                let (tensor, found) = (name.to_owned(), array.values().len());
                return Err(TrainError::TensorSize { tensor, found, expected });
            }
            let mut values = array.values().to_vec();
            if let Some(mask) = model.masks.get(name) {
                mask.apply(&mut values);
            }
            Ok(values)
        };
        for (name, tensor) in &template.parameters {
            network.set_parameter(name.clone(), find(name, tensor.dims()[0])?);
        }
        for (name, tensor) in &template.statistics {
            let values = find(name, tensor.dims()[0])?;
            if let Some(&found) = values.iter().find(|v| name.ends_with("running_var") && **v < 0.0) {
                return Err(TrainError::NegativeVariance { tensor: name.clone(), found });
            }
            network.set_statistic(name.clone(), values);
        }
        Ok(network)
    }

    fn empty(architecture: Architecture, layers: Vec<Layer>, normalisation: Normalisation, device: &Device) -> Self {
        let (parameters, statistics) = Default::default();
        Self { architecture, layers, normalisation, device: device.clone(), parameters, statistics }
    }

    /// What kind of network it is.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// How its input bytes are normalised.
    pub fn normalisation(&self) -> &Normalisation {
        &self.normalisation
    }

    /// Its layers in computing order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// All tensors by PyTorch name, with PyTorch's shapes; also the counters that its batch norms have.
    pub fn arrays(&self) -> BTreeMap<String, Array> {
        let shapes: BTreeMap<String, Vec<usize>> = self.layers.iter().map(|l| (l.weight(), torch_shape(l))).collect();
        let counters = self.layers.iter().filter_map(|layer| {
            let name = format!("{}.num_batches_tracked", layer.norm.as_ref()?);
            // Nobody counts: PyTorch only uses it without a momentum, and strict loading wants it to be there.
            Some((name, Array::with_element(Vec::new(), vec![0.0], Element::Integer).expect("a scalar has one value")))
        });
        let tensors = self.parameters.iter().chain(&self.statistics);
        tensors
            .map(|(name, tensor)| {
                let values = to_vec(tensor);
                let shape = shapes.get(name).cloned().unwrap_or_else(|| vec![values.len()]);
                (name.clone(), Array::new(shape, values).expect("a parameter has as many values as its shape says"))
            })
            .chain(counters)
            .collect()
    }

    /// Values of one parameter, flat. `None` if there is no such parameter.
    pub fn parameter(&self, name: &str) -> Option<Vec<f32>> {
        self.parameters.get(name).map(to_vec)
    }

    /// Name of a tensor that holds NaN or infinity, if there is one.
    pub(crate) fn not_finite(&self) -> Option<String> {
        let mut tensors = self.parameters.iter().chain(&self.statistics);
        tensors.find(|(_, tensor)| !to_vec(tensor).iter().all(|v| v.is_finite())).map(|(name, _)| name.clone())
    }

    /// Replaces a parameter (or adds it, while the network is being built).
    pub(crate) fn set_parameter(&mut self, name: String, values: Vec<f32>) {
        let tensor = self.tensor(values);
        self.parameters.insert(name, tensor);
    }

    /// Replaces a running statistic (or a bias in front of a batch norm).
    pub(crate) fn set_statistic(&mut self, name: String, values: Vec<f32>) {
        let tensor = self.tensor(values);
        self.statistics.insert(name, tensor);
    }

    /// A flat tensor on this network's device.
    pub(crate) fn tensor(&self, values: Vec<f32>) -> Tensor<1> {
        let length = values.len();
        Tensor::from_data(TensorData::new(values, [length]), &self.device)
    }

    /// Normalised input, flat, `[n, channels, height, width]`, from `n` images of bytes.
    pub(crate) fn normalised(&self, images: &[u8]) -> Vec<f32> {
        let shape = self.architecture.input();
        let plane = (shape.height * shape.width) as usize;
        let tables = self.normalised_bytes();
        let planes = images.chunks_exact(plane).zip(tables.iter().cycle());
        planes.flat_map(|(pixels, table)| pixels.iter().map(|&v| table[v as usize])).collect()
    }

    /// What each byte is, normalised, by channel.
    pub(crate) fn normalised_bytes(&self) -> Vec<[f32; 256]> {
        let Normalisation { mean, std } = &self.normalisation;
        let channels = mean.iter().zip(std);
        channels.map(|(mean, std)| std::array::from_fn(|v| (v as f32 / 255.0 - mean) / std)).collect()
    }

    /// Mean cross-entropy of a batch, differentiable in the returned leaves; follows the running statistics. Weights
    /// that `connected` does not keep may get no gradient.
    pub(crate) fn loss(&mut self, batch: &Batch, connected: &Connected) -> (Tensor<1>, Leaves) {
        self.loss_following(batch, connected, STATISTICS_MOMENTUM)
    }

    /// Replaces the running statistics by their means over these batches.
    pub(crate) fn estimate_statistics(&mut self, batches: &[Batch]) {
        for (before, batch) in batches.iter().enumerate() {
            self.loss_following(batch, &Connected::default(), 1.0 / (before + 1) as f64);
        }
    }

    /// The loss, with this weight of the batch in the running statistics.
    fn loss_following(&mut self, batch: &Batch, connected: &Connected, newest: f64) -> (Tensor<1>, Leaves) {
        let device = self.device.clone().autodiff();
        let Batch { images, labels, stakes, soft } = batch;
        let leaves: Leaves =
            self.parameters.iter().map(|(n, t)| (n.clone(), t.clone().autodiff().require_grad())).collect();
        let mut batch = Vec::new();
        let logits = if fused::runs_on(&self.device) {
            forward(
                &self.architecture,
                &self.layers,
                &mut fused::Train::new(self, connected, &leaves, &mut batch),
                images,
            )
        } else {
            forward(&self.architecture, &self.layers, &mut Reference::train(self, &leaves, &mut batch), images)
        };
        self.follow(batch, newest);
        let shape = [labels.len(), 1];
        let losses = match soft {
            None => {
                let targets: Vec<i32> = labels.iter().map(|&l| l as i32).collect();
                let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, shape), &device);
                activation::log_softmax(logits, 1).gather(1, targets).neg()
            }
            Some(Soft { probabilities, temperature }) => {
                let targets = TensorData::new(probabilities.clone(), logits.dims());
                let targets = Tensor::<2>::from_data(targets, &device);
                let logits = activation::log_softmax(logits.div_scalar(*temperature), 1);
                (logits * targets).sum_dim(1).mul_scalar(-temperature * temperature)
            }
        };
        let of_each = |of: fn(&Stake) -> f32| {
            let values: Vec<f32> = stakes.iter().map(of).collect();
            Tensor::<2>::from_data(TensorData::new(values, shape), &device)
        };
        // Constants: what an example weighs in this step is not to be learned.
        let above = losses.clone().detach().greater(of_each(|stake| stake.enough)).float();
        ((losses * above * of_each(|stake| stake.weight)).mean(), leaves)
    }

    /// Gradients of the loss of a batch by parameter; running statistics stay as they are. Weights that `hold` prunes may get
    /// none (0).
    pub(crate) fn gradients(&self, batch: &Batch, hold: &Hold) -> BTreeMap<String, Vec<f32>> {
        let (loss, leaves) = self.clone().loss(batch, &hold.connected);
        let gradients = loss.backward();
        let gradient = |leaf: &Tensor<1>| leaf.grad(&gradients).map(|g| to_vec(&g.inner()));
        leaves.iter().filter_map(|(name, leaf)| Some((name.clone(), gradient(leaf)?))).collect()
    }

    /// The network with all its values on the device with gradients, itself not differentiated.
    fn constant(&self) -> Self {
        let lifted = |values: &BTreeMap<String, Tensor<1>>| {
            values.iter().map(|(name, tensor)| (name.clone(), tensor.clone().autodiff())).collect()
        };
        let (parameters, statistics) = (lifted(&self.parameters), lifted(&self.statistics));
        Self { parameters, statistics, device: self.device.clone().autodiff(), ..self.clone() }
    }

    /// Running mean and variance of what a convolution gives without its bias: the kernels leave it out, and running
    /// means have it.
    pub(crate) fn running(&self, layer: &Layer) -> [Tensor<1>; 2] {
        let (_, _, norm) = convolution(layer);
        let [mean, variance] =
            ["running_mean", "running_var"].map(|kind| self.statistics[&format!("{norm}.{kind}")].clone());
        match layer.bias() {
            Some(bias) => [mean - self.statistics[&bias].clone(), variance],
            None => [mean, variance],
        }
    }

    /// Moves the running statistics toward the batch's.
    fn follow(&mut self, batch: BatchStatistics, newest: f64) {
        let biases: BTreeMap<&str, String> =
            self.layers.iter().filter_map(|layer| Some((layer.norm.as_deref()?, layer.bias()?))).collect();
        for (norm, mean, variance) in batch {
            let mean = match biases.get(&*norm) {
                Some(bias) => mean + self.statistics[bias].clone(),
                None => mean,
            };
            for (kind, new) in [("running_mean", mean), ("running_var", variance)] {
                let name = format!("{norm}.{kind}");
                let old = self.statistics[&name].clone();
                let new = old.mul_scalar(1.0 - newest) + new.mul_scalar(newest);
                self.statistics.insert(name, new);
            }
        }
    }
}

/// Derivatives of the sum of images' cross-entropies by their normalised pixels, `[n, channels, height, width]`, with the
/// running statistics. By Burn's operations on any device: on the CPU slower than a step of training.
pub fn input_gradients(network: &Network, images: &[u8], labels: &[u32]) -> Vec<f32> {
    let [channels, height, width] = <[u32; 3]>::from(network.architecture.input()).map(|n| n as usize);
    let network = network.constant();
    let dims = [labels.len(), channels, height, width];
    let input = TensorData::new(network.normalised(images), dims);
    let input = Tensor::<4>::from_data(input, &network.device).require_grad();
    let mut pass = Reference::evaluate_input(&network, input.clone());
    let logits = forward(&network.architecture, &network.layers, &mut pass, images);
    let targets: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
    let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [labels.len(), 1]), &network.device);
    let loss = activation::log_softmax(logits, 1).gather(1, targets).neg().sum();
    let gradient = input.grad(&loss.backward()).map(|gradient| to_vec(&gradient.inner().flatten(0, 3)));
    gradient.unwrap_or_else(|| vec![0.0; images.len()])
}

/// PyTorch's shape of a layer's weight.
fn torch_shape(layer: &Layer) -> Vec<usize> {
    let [out, inp, height, width] = <[u32; 4]>::from(layer.shape).map(|d| d as usize);
    match layer.kind {
        LayerKind::Conv { .. } => vec![out, inp, height, width],
        LayerKind::Linear => vec![out, inp],
    }
}

/// A float tensor's values on the host.
pub(crate) fn to_vec(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.to_data().try_to_vec().expect("parameters are f32")
}

#[cfg(test)]
mod tests;
