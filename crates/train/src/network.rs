//! The networks on Burn: parameters by PyTorch name, forward pass, predictions.
//!
//! Parameters are flat tensors that the forward pass reshapes, so that gradients, masks, decay and the optimizer treat
//! convolutions, linear layers and batch norms alike. The structure comes from
//! [`Architecture::layers`](counterfoil_ticket::Architecture::layers); nothing here names a layer.

use std::collections::BTreeMap;

use burn::tensor::module::{batch_norm, batch_norm_train, conv2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Int, Tensor, TensorData, activation, s};
use counterfoil_ticket::{Architecture, Array, Element, Layer, LayerKind, Model, Normalisation};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::TrainError;

/// Added to a batch norm's variance; PyTorch's default.
const EPSILON: f64 = 1e-5;
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
    /// `running_mean` and `running_var` of the batch norms, shape `[channels]`.
    pub(crate) statistics: BTreeMap<String, Tensor<1>>,
}

/// Parameters as leaves of one differentiated pass.
pub(crate) type Leaves = BTreeMap<String, Tensor<1>>;

/// Mean and unbiased variance (as PyTorch keeps it) of one batch, by batch-norm name.
type BatchStatistics = Vec<(String, Tensor<1>, Tensor<1>)>;

/// Whether batch norms use the batch or the running statistics.
enum Pass<'a> {
    Train(&'a Leaves, &'a mut BatchStatistics),
    Evaluate,
}

impl Network {
    /// A freshly initialised network: He's uniform initialisation (arXiv 1502.01852, fan-in) of weights, drawn layer by
    /// layer from ChaCha8 seeded with `seed`; biases 0, batch norms identity.
    pub fn initialise(architecture: Architecture, normalisation: Normalisation, seed: u64, device: &Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut network = Self::empty(architecture, normalisation, device);
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
                    network.set_parameter(format!("{norm}.weight"), vec![1.0; out]);
                    network.set_parameter(format!("{norm}.bias"), vec![0.0; out]);
                    network.set_statistic(format!("{norm}.running_mean"), vec![0.0; out]);
                    network.set_statistic(format!("{norm}.running_var"), vec![1.0; out]);
                }
            }
        }
        network
    }

    /// The network of a model file: its architecture must be described or have been recognised by the caller.
    ///
    /// # Errors
    ///
    /// A tensor that the architecture needs is missing or has another shape.
    pub fn from_model(
        model: &Model,
        architecture: Architecture,
        normalisation: Normalisation,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let template = Self::initialise(architecture.clone(), normalisation.clone(), 0, device);
        let mut network = Self::empty(architecture, normalisation, device);
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

    fn empty(architecture: Architecture, normalisation: Normalisation, device: &Device) -> Self {
        let (parameters, statistics) = Default::default();
        let layers = architecture.layers();
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

    /// Replaces a running statistic.
    pub(crate) fn set_statistic(&mut self, name: String, values: Vec<f32>) {
        let tensor = self.tensor(values);
        self.statistics.insert(name, tensor);
    }

    /// A flat tensor on this network's device.
    pub(crate) fn tensor(&self, values: Vec<f32>) -> Tensor<1> {
        let length = values.len();
        Tensor::from_data(TensorData::new(values, [length]), &self.device)
    }

    /// Normalised input `[n, channels, height, width]` from `n` images of bytes.
    pub(crate) fn input(&self, images: &[u8], device: &Device) -> Tensor<4> {
        let shape = self.architecture.input();
        let plane = (shape.height * shape.width) as usize;
        let Normalisation { mean, std } = &self.normalisation;
        let scaled: Vec<f32> = images
            .chunks_exact(plane)
            .zip((0..shape.channels as usize).cycle())
            .flat_map(|(pixels, c)| pixels.iter().map(move |&v| (f32::from(v) / 255.0 - mean[c]) / std[c]))
            .collect();
        let n = images.len() / shape.size();
        let dims = [n, shape.channels as usize, shape.height as usize, shape.width as usize];
        Tensor::from_data(TensorData::new(scaled, dims), device)
    }

    /// Mean cross-entropy of a batch, differentiable in the returned leaves; follows the running statistics.
    pub(crate) fn loss(&mut self, images: &[u8], labels: &[u32]) -> (Tensor<1>, Leaves) {
        let device = self.device.clone().autodiff();
        let leaves: Leaves =
            self.parameters.iter().map(|(n, t)| (n.clone(), t.clone().autodiff().require_grad())).collect();
        let mut batch = Vec::new();
        let logits = self.forward(self.input(images, &device), &mut Pass::Train(&leaves, &mut batch));
        self.follow(batch);
        let labels: Vec<i32> = labels.iter().map(|&l| l as i32).collect();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(labels.clone(), [labels.len()]), &device);
        let log_probabilities = activation::log_softmax(logits, 1);
        let picked = log_probabilities.gather(1, targets.reshape([labels.len(), 1]));
        (picked.mean().neg(), leaves)
    }

    /// Moves the running statistics toward the batch's.
    fn follow(&mut self, batch: BatchStatistics) {
        for (norm, mean, variance) in batch {
            for (kind, new) in [("running_mean", mean), ("running_var", variance)] {
                let name = format!("{norm}.{kind}");
                let old = self.statistics[&name].clone();
                let new = old.mul_scalar(1.0 - STATISTICS_MOMENTUM) + new.inner().mul_scalar(STATISTICS_MOMENTUM);
                self.statistics.insert(name, new);
            }
        }
    }

    /// Logits `[n, classes]` of `n` images, with running statistics and without gradients.
    pub(crate) fn logits(&self, images: &[u8]) -> Tensor<2> {
        self.forward(self.input(images, &self.device), &mut Pass::Evaluate)
    }

    fn forward(&self, images: Tensor<4>, pass: &mut Pass) -> Tensor<2> {
        match &self.architecture {
            Architecture::Mlp { .. } => self.mlp(images, pass),
            Architecture::Resnet20 { .. } => self.resnet20(images, pass),
        }
    }

    fn mlp(&self, images: Tensor<4>, pass: &mut Pass) -> Tensor<2> {
        let mut x = images.flatten::<2>(1, 3);
        for (i, layer) in self.layers.iter().enumerate() {
            x = self.linear(layer, if i == 0 { x } else { activation::relu(x) }, pass);
        }
        x
    }

    fn resnet20(&self, images: Tensor<4>, pass: &mut Pass) -> Tensor<2> {
        let [stem, blocks @ .., classifier] = &self.layers[..] else {
            unreachable!("a ResNet-20 has a stem and a classifier")
        };
        let mut x = activation::relu(self.conv_norm(stem, images, pass));
        for block in blocks.chunks_exact(2) {
            let hidden = activation::relu(self.conv_norm(&block[0], x.clone(), pass));
            let residual = self.conv_norm(&block[1], hidden, pass);
            let shortcut = if block[0].from == block[1].to { x } else { option_a(x) };
            x = activation::relu(residual + shortcut);
        }
        let pooled = x.mean_dim(3).mean_dim(2).flatten::<2>(1, 3);
        self.linear(classifier, pooled, pass)
    }

    fn value(&self, name: &str, pass: &Pass) -> Tensor<1> {
        match pass {
            Pass::Train(leaves, _) => leaves[name].clone(),
            Pass::Evaluate => self.parameters[name].clone(),
        }
    }

    /// `[n, in, h, w]` to `[n, out, h', w']`: convolution, then batch norm.
    fn conv_norm(&self, layer: &Layer, x: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        let (LayerKind::Conv { stride, padding }, Some(norm)) = (layer.kind, &layer.norm) else {
            unreachable!("{} is a convolution with a batch norm", layer.name)
        };
        let [out, inp, height, width] = <[u32; 4]>::from(layer.shape).map(|d| d as usize);
        let weight = self.value(&layer.weight(), pass).reshape([out, inp, height, width]);
        let options = ConvOptions::new([stride as usize; 2], [padding as usize; 2], [1, 1], 1);
        let x = conv2d(x, weight, None, options);
        let gamma = self.value(&format!("{norm}.weight"), pass);
        let beta = self.value(&format!("{norm}.bias"), pass);
        match pass {
            Pass::Train(_, batch) => {
                let count = x.dims()[0] * x.dims()[2] * x.dims()[3];
                let result = batch_norm_train(x, gamma, beta, EPSILON);
                let unbiased = count as f64 / (count.max(2) - 1) as f64;
                batch.push((norm.clone(), result.mean, result.variance.mul_scalar(unbiased)));
                result.output
            }
            Pass::Evaluate => {
                let statistic = |kind: &str| self.statistics[&format!("{norm}.{kind}")].clone();
                batch_norm(x, gamma, beta, statistic("running_mean"), statistic("running_var"), EPSILON)
            }
        }
    }

    /// `[n, in]` to `[n, out]`.
    fn linear(&self, layer: &Layer, x: Tensor<2>, pass: &Pass) -> Tensor<2> {
        let (out, inp) = (layer.shape.out as usize, layer.shape.inp as usize);
        let weight = self.value(&layer.weight(), pass).reshape([out, inp]);
        let bias = self.value(&format!("{}.bias", layer.name), pass).reshape([1, out]);
        x.matmul(weight.transpose()) + bias
    }
}

/// Option-A shortcut between stages: every second pixel, zero channels on both sides (He et al. 2015, section 4.2).
fn option_a(x: Tensor<4>) -> Tensor<4> {
    let x = x.slice(s![.., .., ..;2, ..;2]);
    let [n, channels, height, width] = x.dims();
    let zeros = Tensor::zeros([n, channels / 2, height, width], &x.device());
    Tensor::cat(vec![zeros.clone(), x, zeros], 1)
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
mod tests {
    use counterfoil_ticket::ImageShape;

    use super::*;
    use crate::DeviceChoice;

    fn network(architecture: Architecture) -> Network {
        let normalisation = Normalisation { mean: vec![0.5; 3], std: vec![0.25; 3] };
        Network::initialise(architecture, normalisation, 7, &DeviceChoice::Cpu.open().unwrap())
    }

    fn resnet20() -> Network {
        let input = ImageShape { channels: 3, height: 8, width: 8 };
        network(Architecture::Resnet20 { input, width: 2, classes: 4 })
    }

    fn images(network: &Network, n: usize) -> Vec<u8> {
        (0..n * network.architecture().input().size()).map(|i| (i * 7919 % 251) as u8).collect()
    }

    #[test]
    fn an_mlp_computes_what_is_written_on_paper() {
        let input = ImageShape { channels: 1, height: 1, width: 2 };
        let mut net = network(Architecture::Mlp { input, hidden: vec![2], classes: 2 });
        net.set_parameter("fc1.weight".into(), vec![1.0, 2.0, -1.0, 0.5]);
        net.set_parameter("fc1.bias".into(), vec![0.5, 0.0]);
        net.set_parameter("fc2.weight".into(), vec![1.0, 1.0, 2.0, -3.0]);
        net.set_parameter("fc2.bias".into(), vec![0.0, 1.0]);
        // Bytes 255 and 51 are 1 and 0.2, normalised 2 and -1.2; hidden 2 - 2.4 + 0.5 = 0.1 and relu(-2 - 0.6) = 0.
        let logits: Vec<f32> = net.logits(&[255, 51]).into_data().try_to_vec().unwrap();
        assert!((logits[0] - 0.1).abs() < 1e-5 && (logits[1] - 1.2).abs() < 1e-5, "{logits:?}");
    }

    #[test]
    fn the_option_a_shortcut_takes_every_second_pixel_into_the_middle_channels() {
        let device = DeviceChoice::Cpu.open().unwrap();
        let values: Vec<f32> = (0..32).map(|v| v as f32).collect();
        let x = Tensor::<1>::from_data(TensorData::new(values, [32]), &device).reshape([1, 2, 4, 4]);
        let out = option_a(x);
        assert_eq!(out.dims(), [1, 4, 2, 2]);
        let expected = [0., 0., 0., 0., 0., 2., 8., 10., 16., 18., 24., 26., 0., 0., 0., 0.];
        assert_eq!(out.into_data().try_to_vec::<f32>().unwrap(), expected);
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let net = resnet20();
        let (images, labels) = (images(&net, 6), [0, 1, 2, 3, 0, 1]);
        let loss_of = |net: &Network| f64::from(to_vec(&net.clone().loss(&images, &labels).0.inner())[0]);
        let (loss, leaves) = net.clone().loss(&images, &labels);
        let gradients = loss.backward();
        for name in ["conv1.weight", "layer2.0.conv1.weight", "layer3.2.bn2.weight", "linear.weight", "linear.bias"] {
            let gradient = to_vec(&leaves[name].grad(&gradients).unwrap().inner());
            let values = net.parameter(name).unwrap();
            let position = (0..values.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs())).unwrap();
            let moved = |by: f32| {
                let (mut net, mut values) = (net.clone(), values.clone());
                values[position] += by;
                net.set_parameter(name.to_owned(), values);
                loss_of(&net)
            };
            let step = 2e-4; // Small against ReLU kinks, large against f32 rounding (1e-7 / 4e-4).
            let difference = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
            let analytic = f64::from(gradient[position]);
            assert!((difference - analytic).abs() < 0.05 * analytic.abs() + 1e-3, "{name}: {difference} {analytic}");
        }
    }

    #[test]
    fn arrays_have_pytorch_s_shapes_and_load_again() {
        let net = resnet20();
        let arrays = net.arrays();
        assert_eq!(arrays["conv1.weight"].shape(), [2, 3, 3, 3]);
        assert_eq!(arrays["linear.weight"].shape(), [4, 8]);
        assert_eq!(arrays["layer1.0.bn1.running_var"].shape(), [2]);
        let model = Model { arrays, ..Model::default() };
        let load = |model: &Model| {
            Network::from_model(model, net.architecture().clone(), net.normalisation().clone(), net.device())
        };
        let images = images(&net, 2);
        let logits = |net: &Network| net.logits(&images).into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(logits(&load(&model).unwrap()), logits(&net));

        let mut incomplete = model.clone();
        incomplete.arrays.remove("linear.bias");
        let message = load(&incomplete).unwrap_err().to_string();
        assert_eq!(message, "tensor 'linear.bias' is missing, expected by the architecture");
        let mut wrong = model;
        wrong.arrays.insert("linear.bias".into(), Array::new(vec![3], vec![0.0; 3]).unwrap());
        assert_eq!(load(&wrong).unwrap_err().to_string(), "tensor 'linear.bias' has 3 values, expected 4");
    }
}
