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
        let device = self.device.clone().autodiff();
        let Batch { images, labels, stakes } = batch;
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
        self.follow(batch);
        let shape = [labels.len(), 1];
        let targets: Vec<i32> = labels.iter().map(|&l| l as i32).collect();
        let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, shape), &device);
        let losses = activation::log_softmax(logits, 1).gather(1, targets).neg();
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
    fn follow(&mut self, batch: BatchStatistics) {
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
                let new = old.mul_scalar(1.0 - STATISTICS_MOMENTUM) + new.mul_scalar(STATISTICS_MOMENTUM);
                self.statistics.insert(name, new);
            }
        }
    }
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
    use crate::{DeviceChoice, Predictor};

    fn network(architecture: Architecture) -> Network {
        let normalisation = Normalisation { mean: vec![0.5; 3], std: vec![0.25; 3] };
        Network::initialise(architecture, normalisation, 7, &DeviceChoice::Cpu.open().unwrap())
    }

    fn resnet20() -> Network {
        let input = ImageShape { channels: 3, height: 8, width: 8 };
        network(Architecture::Resnet20 { input, width: 2, classes: 4 })
    }

    fn resnet50() -> Network {
        let input = ImageShape { channels: 3, height: 8, width: 8 };
        network(Architecture::Resnet50 { input, width: 2, classes: 4 })
    }

    fn vgg16() -> Network {
        let input = ImageShape { channels: 3, height: 32, width: 32 };
        network(Architecture::Vgg16 { input, width: 2, classes: 4 })
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
        let logits = Predictor::new(&net).logits(&[255, 51]);
        assert!((logits[0] - 0.1).abs() < 1e-5 && (logits[1] - 1.2).abs() < 1e-5, "{logits:?}");
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let weights = ["conv1.weight", "layer2.0.conv1.weight", "layer3.2.bn2.weight", "linear.weight", "linear.bias"];
        compare_to_finite_differences(&resnet20(), &weights);
        let weights = ["layer1.0.downsample.0.weight", "layer3.0.conv2.weight", "layer4.2.conv3.weight", "fc.bias"];
        compare_to_finite_differences(&resnet50(), &weights);
        compare_to_finite_differences(&vgg16(), &["features.0.weight", "features.31.bias", "features.40.weight"]);
    }

    fn compare_to_finite_differences(net: &Network, names: &[&str]) {
        // One image is learned well enough at any loss, and so has no part in it.
        let stakes = [1.0, 0.5, 1.0, 1.0, 1.0, 1.0].map(|weight| Stake { weight, ..Stake::FULL }).to_vec();
        let mut batch = Batch { images: images(net, 6), labels: vec![0, 1, 2, 3, 0, 1], stakes };
        batch.stakes[3].enough = f32::INFINITY;
        let loss_of = |net: &Network| f64::from(to_vec(&net.clone().loss(&batch, &Connected::default()).0.inner())[0]);
        let (loss, leaves) = net.clone().loss(&batch, &Connected::default());
        let gradients = loss.backward();
        for &name in names {
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
    fn a_resnet18_has_the_state_of_torchvision_s() {
        let input = ImageShape { channels: 3, height: 8, width: 8 };
        let arrays = network(Architecture::Resnet18 { input, width: 2, classes: 4 }).arrays();
        assert_eq!(arrays["conv1.weight"].shape(), [2, 3, 3, 3]);
        assert_eq!(arrays["layer2.0.conv1.weight"].shape(), [4, 2, 3, 3]);
        assert_eq!(arrays["layer2.0.downsample.0.weight"].shape(), [4, 2, 1, 1]);
        assert_eq!(arrays["layer2.0.downsample.1.running_mean"].shape(), [4]);
        assert_eq!(arrays["layer4.1.bn2.bias"].shape(), [16]);
        assert_eq!(arrays["fc.weight"].shape(), [4, 16]);
        assert_eq!(arrays["fc.bias"].shape(), [4]);
        // Weight and five tensors of the norm for each convolution; torchvision's has 122 too.
        assert_eq!(arrays.len(), 20 * 6 + 2);
    }

    #[test]
    fn a_resnet50_has_the_state_of_torchvision_s() {
        let arrays = resnet50().arrays();
        assert_eq!(arrays["layer1.0.conv1.weight"].shape(), [2, 2, 1, 1]);
        assert_eq!(arrays["layer1.0.downsample.0.weight"].shape(), [8, 2, 1, 1]);
        assert_eq!(arrays["layer2.0.conv2.weight"].shape(), [4, 4, 3, 3]);
        assert_eq!(arrays["layer2.0.conv3.weight"].shape(), [16, 4, 1, 1]);
        assert_eq!(arrays["layer4.2.bn3.running_var"].shape(), [64]);
        assert_eq!(arrays["fc.weight"].shape(), [4, 64]);
        // torchvision's has 320 too.
        assert_eq!(arrays.len(), 53 * 6 + 2);
    }

    #[test]
    fn a_vgg16_has_the_state_of_torchvision_s_features() {
        let arrays = vgg16().arrays();
        assert_eq!(arrays["features.0.weight"].shape(), [2, 3, 3, 3]);
        assert_eq!(arrays["features.0.bias"].shape(), [2]);
        assert_eq!(arrays["features.1.running_mean"].shape(), [2]);
        assert_eq!(arrays["features.40.weight"].shape(), [16, 16, 3, 3]);
        assert_eq!(arrays["features.41.weight"].shape(), [16]);
        assert_eq!(arrays["classifier.weight"].shape(), [4, 16]);
        // Of each convolution also a bias.
        assert_eq!(arrays.len(), 13 * 7 + 2);
    }

    #[test]
    fn a_bias_in_front_of_a_batch_norm_is_in_the_running_mean_and_nowhere_else() {
        let (mut net, images) = (vgg16(), images(&vgg16(), 3));
        let stakes = vec![Stake::FULL; 3];
        let batch = Batch { images: images.clone(), labels: vec![0, 1, 2], stakes };
        let mut plain = net.clone();
        let shift = |channels: usize, by: f32| (0..channels).map(|c| by * (1 + c) as f32).collect::<Vec<f32>>();
        for layer in net.layers().to_vec() {
            let (Some(norm), Some(bias)) = (&layer.norm, layer.bias()) else { continue };
            net.set_statistic(bias, shift(layer.shape.out as usize, 0.25));
            net.set_statistic(format!("{norm}.running_mean"), shift(layer.shape.out as usize, 0.25));
        }
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs()));
        let logits = |net: &Network| Predictor::new(net).logits(&images);
        assert!(close(&logits(&net), &logits(&plain)));
        let losses = [&mut net, &mut plain].map(|net| to_vec(&net.loss(&batch, &Connected::default()).0.inner())[0]);
        assert_eq!(losses[0], losses[1]);
        for layer in net.layers() {
            let (Some(norm), Some(bias)) = (&layer.norm, layer.bias()) else { continue };
            let [with, without] = [&net, &plain].map(|net| to_vec(&net.statistics[&format!("{norm}.running_mean")]));
            let expected = shift(layer.shape.out as usize, 0.25);
            assert_eq!(to_vec(&net.statistics[&bias]), expected);
            assert!(without.iter().any(|mean| *mean != 0.0), "{norm} follows");
            let found: Vec<f32> = with.iter().zip(without).map(|(with, without)| with - without).collect();
            assert!(close(&found, &expected), "{norm}: {found:?}");
            assert!(net.parameters.keys().all(|name| *name != bias));
        }
        assert!(close(&logits(&net), &logits(&plain)));
    }

    #[test]
    fn examples_count_by_their_stakes() {
        let net = resnet20();
        let batch =
            |stakes: [Stake; 3]| Batch { images: images(&net, 3), labels: vec![0, 1, 2], stakes: stakes.to_vec() };
        let loss_of = |stakes| to_vec(&net.clone().loss(&batch(stakes), &Connected::default()).0.inner())[0];
        let alone = |i: usize| {
            let none = Stake { weight: 0.0, ..Stake::FULL };
            loss_of(std::array::from_fn(|j| if i == j { Stake::FULL } else { none }))
        };
        let losses = [0, 1, 2].map(alone);
        let enough = Stake { enough: 3.0 * losses[2] + 1e-3, ..Stake::FULL };
        let found = loss_of([Stake { weight: 0.25, ..Stake::FULL }, Stake::FULL, enough]);
        let expected = 0.25 * losses[0] + losses[1];
        assert!((found - expected).abs() < 1e-5 * expected && losses[2] > 0.0, "{found} {losses:?}");
    }

    #[test]
    fn arrays_have_pytorch_s_shapes_and_load_again() {
        let net = resnet20();
        let arrays = net.arrays();
        assert_eq!(arrays["conv1.weight"].shape(), [2, 3, 3, 3]);
        assert_eq!(arrays["linear.weight"].shape(), [4, 8]);
        assert_eq!(arrays["layer1.0.bn1.running_var"].shape(), [2]);
        assert_eq!(arrays.len(), 19 * 6 + 2);
        let model = Model { arrays, ..Model::default() };
        let load = |model: &Model| {
            Network::from_model(model, net.architecture().clone(), net.normalisation().clone(), net.device())
        };
        let images = images(&net, 2);
        let logits = |net: &Network| Predictor::new(net).logits(&images);
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
