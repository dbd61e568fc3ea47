//! The layers by our CPU kernels, as differentiable operations of Burn.
//!
//! Convolution, batch norm, shortcut and ReLU are one operation with its own backward pass; activations stay in the
//! kernels' blocked layout, `[blocks, channels, height, width, lanes]`, from the images to the pooling.
//!
//! Gradients by a layer's output are by what its ReLU is given, as the kernels have them: the convolutions and poolings that
//! read the output hold back what the ReLU does.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Device, Tensor, TensorData};
use counterfoil_kernels::blocked::from_fn;
use counterfoil_kernels::buffers::give;
use counterfoil_kernels::{ByInput, ConvNorm, Input, Kernels, Parameters, Saved, Shortcut, Statistics};
use counterfoil_ticket::Layer;

use crate::forward::{Connected, Pass, Then, convolution};
use crate::network::{BatchStatistics, Leaves, Network};

mod pooling;

type Values = FloatTensor<Flex>;
type Tracked = FloatTensor<Autodiff<Flex>>;

/// Whether the kernels run there.
pub(crate) fn runs_on(device: &Device) -> bool {
    *device == Device::flex()
}

/// A pass with gradients, batch norms by the batch.
pub(crate) struct Train<'a> {
    network: &'a Network,
    connected: &'a Connected,
    leaves: &'a Leaves,
    batch: &'a mut BatchStatistics,
    /// Images of the batch.
    images: usize,
}

impl<'a> Train<'a> {
    pub(crate) fn new(
        network: &'a Network,
        connected: &'a Connected,
        leaves: &'a Leaves,
        batch: &'a mut BatchStatistics,
    ) -> Self {
        Self { network, connected, leaves, batch, images: 0 }
    }

    fn primitive(&self, name: &str) -> Tracked {
        primitive(self.value(name))
    }
}

/// What flows between layers.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    /// Gradients by it are gradients by the layer's output, but its values are the convolution's output if there are
    /// lines.
    tensor: Tensor<5>,
    lines: Option<Lines>,
    /// Whether a later layer adds it too, whose gradient is there first.
    added: bool,
}

/// Norm and ReLU that whoever reads the values has to apply: `[scale, shift]` of each channel.
type Lines = Arc<Vec<[f32; 2]>>;

impl Pass for Train<'_> {
    type Activation = Flow;

    fn images(&mut self, images: &[u8]) -> Flow {
        let (values, dims) = blocked_input(self.network, images);
        self.images = images.len() / self.network.architecture().input().size();
        let tensor = Tensor::from_data(TensorData::new(values, dims), &self.network.device().clone().autodiff());
        Flow { tensor, lines: None, added: false }
    }

    fn rows(&mut self, images: &[u8]) -> Tensor<2> {
        input_rows(self.network, images, &self.network.device().clone().autodiff())
    }

    fn branch(&mut self, x: Flow) -> (Flow, Flow) {
        (Flow { added: true, ..x.clone() }, x)
    }

    fn conv_norm(&mut self, layer: &Layer, x: Flow, then: Then<Flow>) -> Flow {
        let (_, _, norm) = convolution(layer);
        let finish = !matches!(then, Then::ReluWithin);
        let (shortcut, relu) = then.parts();
        let shortcut = shortcut.map(finished);
        let added = shortcut.as_ref().map(Tensor::dims);
        let (fused, dims) = fused_layer(self.connected, layer, x.tensor.dims(), added, relu);
        let conv = *fused.connections.conv();
        let call = Call { layer: fused, images: self.images, dims, lines: x.lines, added: x.added, finish };
        let inputs = [
            primitive(x.tensor),
            self.primitive(&layer.weight()),
            self.primitive(&format!("{norm}.weight")),
            self.primitive(&format!("{norm}.bias")),
        ];
        let (tensor, lines, statistics) = match shortcut {
            None => call.run(inputs),
            Some(shortcut) => {
                let [x, weight, gamma, beta] = inputs;
                call.run([x, weight, gamma, beta, primitive(shortcut)])
            }
        };
        let count = (self.images * conv.height_out() * conv.width_out()) as f32;
        let unbiased = count / (count.max(2.0) - 1.0);
        let variance = statistics.variance.iter().map(|v| v * unbiased).collect();
        self.batch.push((norm.to_owned(), self.network.tensor(statistics.mean), self.network.tensor(variance)));
        Flow { tensor: Tensor::from_primitive::<Autodiff<Flex>>(tensor), lines, added: false }
    }

    fn max_pool(&mut self, x: Flow) -> Flow {
        Flow { tensor: pooling::largest(finished(x)), lines: None, added: false }
    }

    fn pool(&mut self, x: Flow) -> Tensor<2> {
        pooling::mean(finished(x), self.images)
    }

    fn value(&self, name: &str) -> Tensor<1> {
        self.leaves[name].clone()
    }
}

/// The layer's output itself.
fn finished(flow: Flow) -> Tensor<5> {
    assert!(flow.lines.is_none(), "hidden channels are read by one convolution and nobody else");
    flow.tensor
}

/// One fused layer of one pass.
#[derive(Debug, Clone)]
struct Call {
    layer: ConvNorm,
    images: usize,
    /// Dimensions of the output.
    dims: [usize; 5],
    /// What the input still lacks.
    lines: Option<Lines>,
    /// Whether a later layer adds the input.
    added: bool,
    /// Whether norm and ReLU are applied here.
    finish: bool,
}

/// What the backward pass of a fused layer needs; cheap to clone.
#[derive(Debug, Clone)]
struct Kept {
    call: Call,
    /// Input, weight, gamma, beta.
    inputs: [Values; 4],
    /// The convolution's output, where that is not the operation's output.
    z: Option<Arc<Vec<f32>>>,
    /// The operation's output; if there is a `z`, only for its buffer to be used again.
    output: Values,
    statistics: Arc<Statistics>,
}

impl Call {
    /// Inputs: x, weight, gamma, beta and, if there is one, the shortcut.
    fn run<const N: usize>(self, inputs: [Tracked; N]) -> (Tracked, Option<Lines>, Statistics) {
        let values: [Values; N] = std::array::from_fn(|i| contiguous(inputs[i].primitive()));
        let slices: [&[f32]; N] = std::array::from_fn(|i| floats(&values[i]));
        let parameters = Parameters { weight: slices[1], gamma: slices[2], beta: slices[3] };
        let (x, shortcut) = (self.input(slices[0]), slices.get(4).copied());
        let trained = Kernels::detect().train(&self.layer, self.images, x, shortcut, parameters, self.finish);
        let (z, output, lines) = match trained.y {
            Some(y) => (Some(Arc::new(trained.z)), y, None),
            None => (None, trained.z, Some(Arc::new(trained.lines))),
        };
        let output = Values::from_data(TensorData::new(output, self.dims));
        let nodes = std::array::from_fn(|i| inputs[i].node());
        let tracked = match LayerBackward::<N>.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let inputs = std::array::from_fn(|i| values[i].clone());
                let statistics = Arc::new(trained.statistics.clone());
                prep.finish(Kept { call: self, inputs, z, output: output.clone(), statistics }, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        (tracked, lines, trained.statistics)
    }

    fn input<'a>(&'a self, values: &'a [f32]) -> Input<'a> {
        Input { values, lines: self.lines.as_ref().map(|lines| &lines[..]) }
    }
}

#[derive(Debug)]
struct LayerBackward<const N: usize>;

impl<const N: usize> Backward<Flex, N> for LayerBackward<N> {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(&grads.consume::<Flex>(&ops.node));
        let Kept { call, inputs, z, output, statistics } = ops.state;
        let [x, weight, gamma, beta] = std::array::from_fn(|i| floats(&inputs[i]));
        let z_values = z.as_ref().map_or_else(|| floats(&output), |z| &z[..]);
        let saved = Saved { x: call.input(x), z: z_values, statistics: &statistics };
        let parameters = Parameters { weight, gamma, beta };
        let by_input = match &ops.parents[0] {
            None => ByInput::No,
            // The layer that adds the input is deeper than this one, and Burn goes from the deepest up, so its gradient is
            // there. The input is no leaf: consuming a gradient by it removes it.
            Some(node) if call.added => ByInput::Added(owned(grads.consume::<Flex>(node))),
            Some(_) => ByInput::Found,
        };
        let found = Kernels::detect().backward(&call.layer, call.images, saved, parameters, floats(&dy), by_input);
        let [blocks, .., lanes] = call.dims;
        let conv = call.layer.connections.conv();
        let tensor = |values: Vec<f32>, dims: &[usize]| Values::from_data(TensorData::new(values, dims.to_vec()));
        let by_x = found.x.map(|x| tensor(x, &[blocks, conv.channels_in, conv.height, conv.width, lanes]));
        let by_shortcut = match (call.layer.shortcut, found.shortcut) {
            (Some(Shortcut::Identity), _) => Some(dy),
            (Some(Shortcut::Subsampled { channels, height, width, .. }), Some(found)) => {
                reclaim(dy);
                Some(tensor(found, &[blocks, channels, height, width, lanes]))
            }
            _ => {
                reclaim(dy);
                None
            }
        };
        // Backward passes run from the last layer to the first, so that nobody else reads these any more; should
        // somebody, the buffer stays with him.
        reclaim(output);
        z.and_then(|z| Arc::try_unwrap(z).ok()).into_iter().for_each(give);
        let flat = |values: Vec<f32>| {
            let length = values.len();
            Some(tensor(values, &[length]))
        };
        let all = [by_x, flat(found.weight), flat(found.gamma), flat(found.beta), by_shortcut];
        for (parent, gradient) in ops.parents.into_iter().zip(all) {
            if let (Some(node), Some(gradient)) = (parent, gradient) {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

fn blocked_input(network: &Network, images: &[u8]) -> (Vec<f32>, [usize; 5]) {
    let shape = network.architecture().input();
    let lanes = Kernels::detect().lanes();
    let (size, plane) = (shape.size(), (shape.height * shape.width) as usize);
    let count = images.len() / size;
    let tables = network.normalised_bytes();
    let values = from_fn(count, size, lanes, |i, pixel| tables[pixel / plane][images[i * size + pixel] as usize]);
    (values, [count.div_ceil(lanes), shape.channels as usize, shape.height as usize, shape.width as usize, lanes])
}

pub(crate) fn input_rows(network: &Network, images: &[u8], device: &Device) -> Tensor<2> {
    let size = network.architecture().input().size();
    let dims = [images.len() / size, size];
    Tensor::from_data(TensorData::new(network.normalised(images), dims), device)
}

/// A layer for an input and a shortcut of these dimensions, and the dimensions of its output.
fn fused_layer(
    connected: &Connected,
    layer: &Layer,
    [blocks, _, height, width, lanes]: [usize; 5],
    shortcut: Option<[usize; 5]>,
    relu: bool,
) -> (ConvNorm, [usize; 5]) {
    let connections = connected.of(layer, [height, width]);
    let conv = connections.conv();
    let dims = [blocks, conv.channels_out, conv.height_out(), conv.width_out(), lanes];
    let shortcut = shortcut.map(|from| match from {
        from if from == dims => Shortcut::Identity,
        [_, channels, height, width, _] => {
            Shortcut::Subsampled { channels, height, width, step: height.div_ceil(dims[2]) }
        }
    });
    (ConvNorm { connections, shortcut, relu }, dims)
}

fn primitive<const D: usize>(tensor: Tensor<D>) -> Tracked {
    tensor.try_into_primitive::<Autodiff<Flex>>().expect("fused passes are made of tensors on the CPU with gradients")
}

/// The tensor with its values in order from the start of its storage.
fn contiguous(tensor: &Values) -> Values {
    if is_whole(tensor) { tensor.clone() } else { tensor.to_contiguous() }
}

fn is_whole(tensor: &Values) -> bool {
    tensor.is_contiguous() && tensor.layout().start_offset() == 0
}

/// Gives a tensor's buffer back to the kernels, if nobody else holds it.
fn reclaim(tensor: Values) {
    if tensor.is_unique() {
        give(owned(tensor));
    }
}

/// A tensor's values; copied if somebody else holds it.
fn owned(tensor: Values) -> Vec<f32> {
    // A clone would make it somebody else's too.
    let whole = if is_whole(&tensor) { tensor } else { tensor.to_contiguous() };
    if !whole.is_unique() {
        return floats(&whole).to_vec();
    }
    whole.into_data().try_into_vec().expect("activations and gradients are floats")
}

/// The values of a [`contiguous`] tensor.
fn floats(tensor: &Values) -> &[f32] {
    &tensor.storage()[..tensor.layout().num_elements()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use counterfoil_ticket::{Architecture, Array, ImageShape, Mask, Model, Normalisation};

    use super::*;
    use crate::DeviceChoice;
    use crate::Predictor;
    use crate::forward::forward;
    use crate::network::{Batch, Stake, to_vec};
    use crate::reference::Reference;

    const INPUT: ImageShape = ImageShape { channels: 3, height: 8, width: 8 };
    const RESNET20: Architecture = Architecture::Resnet20 { input: INPUT, width: 4, classes: 5 };
    const RESNET18: Architecture = Architecture::Resnet18 { input: INPUT, width: 3, classes: 5 };
    const RESNET50: Architecture = Architecture::Resnet50 { input: INPUT, width: 2, classes: 5 };
    const VGG16: Architecture =
        Architecture::Vgg16 { input: ImageShape { channels: 3, height: 32, width: 32 }, width: 3, classes: 5 };

    fn network(architecture: Architecture) -> Network {
        let normalisation = Normalisation { mean: vec![0.5; 3], std: vec![0.25; 3] };
        let mut network = Network::initialise(architecture, normalisation, 3, &DeviceChoice::Cpu.open().unwrap());
        // Most pixels are far from the kink of their ReLU, on either side: where rounding moves one across it, gradients
        // differ, and deep networks have hundreds of thousands of pixels.
        for layer in network.layers().to_vec() {
            let Some(norm) = layer.norm else { continue };
            let biases = (0..layer.shape.out).map(|channel| if channel % 2 == 0 { 2.0 } else { -1.0 });
            network.set_parameter(format!("{norm}.bias"), biases.collect());
        }
        network
    }

    fn images(network: &Network, count: usize) -> Vec<u8> {
        (0..count * network.architecture().input().size()).map(|i| (i * 7919 % 251) as u8).collect()
    }

    fn outcome<'a, P: Pass>(
        network: &Network,
        leaves: &'a Leaves,
        images: &[u8],
        pass: impl FnOnce(&'a Leaves, &'a mut BatchStatistics) -> P,
        batch: &'a mut BatchStatistics,
    ) -> (Tensor<2>, BTreeMap<String, Vec<f32>>) {
        let logits = forward(network.architecture(), network.layers(), &mut pass(leaves, batch), images);
        let weights: Vec<f32> = (0..logits.shape().num_elements()).map(|i| (i % 7) as f32 - 2.5).collect();
        let weights = Tensor::<1>::from_data(TensorData::new(weights.clone(), [weights.len()]), &logits.device());
        let loss = (logits.clone() * weights.reshape(logits.dims())).sum();
        let gradients = loss.backward();
        let of = |(name, leaf): (&String, &Tensor<1>)| {
            (name.clone(), to_vec(&leaf.grad(&gradients).expect("every parameter has a gradient").inner()))
        };
        (logits, leaves.iter().map(of).collect())
    }

    fn close(what: &str, found: &[f32], expected: &[f32]) {
        let scale = expected.iter().fold(1e-3f32, |most, v| most.max(v.abs()));
        let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(found.len() == expected.len() && worst <= 1e-3 * scale, "{what}: {worst} of {scale}");
    }

    #[test]
    fn fused_layers_agree_with_burn_s_operations() {
        [RESNET20, RESNET18, RESNET50, VGG16].into_iter().for_each(|architecture| compare(&network(architecture)));
    }

    fn compare(network: &Network) {
        // Not a multiple of any number of lanes.
        let images = images(network, 21);
        let leaves: Leaves =
            network.parameters.iter().map(|(n, t)| (n.clone(), t.clone().autodiff().require_grad())).collect();
        let connected = Connected::default();
        let (mut batch, mut expected_batch) = (Vec::new(), Vec::new());
        let (logits, gradients) = outcome(
            network,
            &leaves,
            &images,
            |leaves, batch| Train::new(network, &connected, leaves, batch),
            &mut batch,
        );
        let (expected_logits, expected_gradients) = outcome(
            network,
            &leaves,
            &images,
            |leaves, batch| Reference::train(network, leaves, batch),
            &mut expected_batch,
        );
        let vec = |logits: Tensor<2>| to_vec(&logits.inner().flatten::<1>(0, 1));
        close("logits", &vec(logits), &vec(expected_logits));
        for (name, expected) in &expected_gradients {
            close(name, &gradients[name], expected);
        }
        for (found, expected) in batch.iter().zip(&expected_batch) {
            assert_eq!(found.0, expected.0);
            close(&found.0, &to_vec(&found.1), &to_vec(&expected.1));
            close(&found.0, &to_vec(&found.2), &to_vec(&expected.2));
        }
        let evaluated = Predictor::new(network).logits(&images);
        let expected = forward(network.architecture(), network.layers(), &mut Reference::evaluate(network), &images);
        close("evaluated logits", &evaluated, &to_vec(&expected.flatten::<1>(0, 1)));
    }

    #[test]
    fn layers_with_other_channels_and_larger_kernels_agree_too() {
        let network = network(RESNET20);
        let mut model = Model { arrays: network.arrays(), ..Model::default() };
        let mut set = |name: &str, shape: &[usize]| {
            let values = (0..shape.iter().product()).map(|i: usize| 0.1 + (i * 31 % 17) as f32 / 34.0).collect();
            model.arrays.insert(format!("layer2.0.{name}"), Array::new(shape.to_vec(), values).unwrap());
        };
        set("conv1.weight", &[6, 4, 5, 5]);
        set("conv2.weight", &[8, 6, 3, 3]);
        for kind in ["weight", "bias", "running_mean", "running_var"] {
            set(&format!("bn1.{kind}"), &[6]);
        }
        let changed = Network::from_model(&model, RESNET20, network.normalisation().clone(), network.device());
        compare(&changed.unwrap());
    }

    #[test]
    fn pruned_weights_are_left_out_and_kept_ones_see_the_same_gradient() {
        [RESNET20, RESNET18, RESNET50, VGG16]
            .into_iter()
            .for_each(|architecture| compare_pruned(network(architecture)));
    }

    fn compare_pruned(mut network: Network) {
        let masks: BTreeMap<String, Mask> = network
            .layers()
            .iter()
            .map(|layer| (layer.weight(), Mask::from_fn(layer.shape.size(), |p| p * 31 % 17 == 0)))
            .collect();
        for (name, mask) in &masks {
            let mut values = network.parameter(name).unwrap();
            mask.apply(&mut values);
            network.set_parameter(name.clone(), values);
        }
        let images = images(&network, 16);
        let labels = (0..16).map(|i| i % 5).collect();
        let batch = Batch { images: images.clone(), labels, stakes: vec![Stake::FULL; 16], soft: None };
        let gradients = |connected: &Connected| -> BTreeMap<String, Vec<f32>> {
            let (loss, leaves) = network.clone().loss(&batch, connected);
            let gradients = loss.backward();
            leaves.iter().map(|(n, leaf)| (n.clone(), to_vec(&leaf.grad(&gradients).unwrap().inner()))).collect()
        };
        let evaluated = Predictor::new(&network).logits(&images);
        let expected = forward(network.architecture(), network.layers(), &mut Reference::evaluate(&network), &images);
        close("logits", &evaluated, &to_vec(&expected.flatten::<1>(0, 1)));
        let (listed, dense) = (gradients(&Connected::new(masks.clone())), gradients(&Connected::default()));
        for (name, dense) in dense {
            let mut expected = dense;
            // The classifier is no convolution: its gradient is dense.
            let is_convolution = network.layers().iter().any(|layer| layer.norm.is_some() && layer.weight() == name);
            if let Some(mask) = masks.get(&name).filter(|_| is_convolution) {
                mask.apply(&mut expected);
            }
            close(&name, &listed[&name], &expected);
        }
    }
}
