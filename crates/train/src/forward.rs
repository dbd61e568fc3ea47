//! The architectures, written once over whatever computes their layers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use burn::tensor::{Tensor, activation};
use counterfoil_kernels::{Connections, Conv};
use counterfoil_ticket::{Architecture, Layer, LayerKind, Mask};

/// What computes the layers of one pass: [`crate::reference`] by Burn's operations on any device, with
/// gradients and without; on the CPU by our kernels [`crate::fused`] with gradients, [`crate::predictor`] without.
pub(crate) trait Pass {
    /// What flows between convolutions.
    type Activation: Clone;

    /// Normalised images.
    fn images(&mut self, images: &[u8]) -> Self::Activation;

    /// Normalised images, one row each.
    fn rows(&mut self, images: &[u8]) -> Tensor<2>;

    /// The input of a block twice: for its first convolution, and for the shortcut that its last one adds.
    fn branch(&mut self, x: Self::Activation) -> (Self::Activation, Self::Activation) {
        (x.clone(), x)
    }

    /// Convolution and batch norm of images or of what a ReLU gave, and what comes then.
    fn conv_norm(&mut self, layer: &Layer, x: Self::Activation, then: Then<Self::Activation>) -> Self::Activation;

    /// The maximum of each 2×2 square.
    fn max_pool(&mut self, x: Self::Activation) -> Self::Activation;

    /// Mean of each channel of what a ReLU gave, `[n, channels]`.
    fn pool(&mut self, x: Self::Activation) -> Tensor<2>;

    /// A parameter, flat.
    fn value(&self, name: &str) -> Tensor<1>;
}

/// What follows a batch norm.
#[derive(Debug, Clone)]
pub(crate) enum Then<A> {
    /// Nothing: a projection shortcut, which another layer adds.
    Nothing,
    /// ReLU.
    Relu,
    /// ReLU, for one convolution and nobody else: a block's hidden channels.
    ReluWithin,
    /// This shortcut is added (option A where its shape differs), then ReLU.
    AddAndRelu(A),
}

impl<A> Then<A> {
    /// The shortcut, and whether ReLU follows.
    pub(crate) fn parts(self) -> (Option<A>, bool) {
        match self {
            Self::Nothing => (None, false),
            Self::Relu | Self::ReluWithin => (None, true),
            Self::AddAndRelu(shortcut) => (Some(shortcut), true),
        }
    }
}

/// Logits `[n, classes]` of `n` images.
pub(crate) fn forward<P: Pass>(
    architecture: &Architecture,
    layers: &[Layer],
    pass: &mut P,
    images: &[u8],
) -> Tensor<2> {
    match architecture {
        Architecture::Mlp { .. } => mlp(layers, pass, images),
        Architecture::Resnet20 { .. } | Architecture::Resnet18 { .. } => resnet(layers, 2, pass, images),
        Architecture::Resnet50 { .. } => resnet(layers, 3, pass, images),
        Architecture::Vgg16 { .. } => vgg(layers, pass, images),
    }
}

fn mlp<P: Pass>(layers: &[Layer], pass: &mut P, images: &[u8]) -> Tensor<2> {
    let mut x = pass.rows(images);
    for (i, layer) in layers.iter().enumerate() {
        x = linear(pass, layer, if i == 0 { x } else { activation::relu(x) });
    }
    x
}

/// With blocks of `depth` convolutions.
fn resnet<P: Pass>(layers: &[Layer], depth: usize, pass: &mut P, images: &[u8]) -> Tensor<2> {
    let [stem, blocks @ .., classifier] = layers else { unreachable!("a ResNet has a stem and a classifier") };
    let images = pass.images(images);
    let mut x = pass.conv_norm(stem, images, Then::Relu);
    let mut rest = blocks;
    while let [conv1, more @ ..] = rest {
        // A projection reads what its block reads.
        let (mut hidden, shortcut, more) = match more {
            [projection, more @ ..] if projection.from == conv1.from => {
                let hidden = pass.conv_norm(conv1, x.clone(), Then::ReluWithin);
                (hidden, pass.conv_norm(projection, x, Then::Nothing), more)
            }
            _ => {
                let (x, shortcut) = pass.branch(x);
                (pass.conv_norm(conv1, x, Then::ReluWithin), shortcut, more)
            }
        };
        let (within, more) = more.split_at(depth - 1);
        let [within @ .., last] = within else { unreachable!("a block has a second convolution") };
        for layer in within {
            hidden = pass.conv_norm(layer, hidden, Then::ReluWithin);
        }
        x = pass.conv_norm(last, hidden, Then::AddAndRelu(shortcut));
        rest = more;
    }
    let pooled = pass.pool(x);
    linear(pass, classifier, pooled)
}

fn vgg<P: Pass>(layers: &[Layer], pass: &mut P, images: &[u8]) -> Tensor<2> {
    let [convolutions @ .., classifier] = layers else { unreachable!("a VGG network has a classifier") };
    let mut x = pass.images(images);
    for layer in convolutions {
        x = if layer.max_pooled {
            let normed = pass.conv_norm(layer, x, Then::Relu);
            pass.max_pool(normed)
        } else {
            pass.conv_norm(layer, x, Then::ReluWithin)
        };
    }
    let pooled = pass.pool(x);
    linear(pass, classifier, pooled)
}

/// `[n, in]` to `[n, out]`.
fn linear<P: Pass>(pass: &P, layer: &Layer, x: Tensor<2>) -> Tensor<2> {
    let (out, inp) = (layer.shape.out as usize, layer.shape.inp as usize);
    let weight = pass.value(&layer.weight()).reshape([out, inp]);
    let bias = pass.value(&format!("{}.bias", layer.name)).reshape([1, out]);
    x.matmul(weight.transpose()) + bias
}

/// Stride and padding of a convolution, and its batch norm's name.
pub(crate) fn convolution(layer: &Layer) -> (usize, usize, &str) {
    let (LayerKind::Conv { stride, padding }, Some(norm)) = (layer.kind, &layer.norm) else {
        unreachable!("{} is a convolution with a batch norm", layer.name)
    };
    (stride as usize, padding as usize, norm)
}

/// A convolution of inputs of `height` × `width`, as the kernels see it.
pub(crate) fn conv_of(layer: &Layer, [height, width]: [usize; 2]) -> Conv {
    let (stride, padding, _) = convolution(layer);
    let [channels_out, channels_in, rows, columns] = <[u32; 4]>::from(layer.shape).map(|d| d as usize);
    Conv { channels_in, channels_out, height, width, kernel: [rows, columns], stride, padding, groups: 1 }
}

/// Which weights the kernels compute with: those that masks keep, or all. Lists are made when a layer is first used.
#[derive(Debug, Default)]
pub(crate) struct Connected {
    masks: BTreeMap<String, Mask>,
    made: Mutex<Made>,
}

/// Connections by layer and size of its input.
type Made = BTreeMap<(String, [usize; 2]), Arc<Connections>>;

impl Connected {
    /// The weights that masks keep, by parameter name; all of those without one.
    pub(crate) fn new(masks: BTreeMap<String, Mask>) -> Self {
        Self { masks, made: Mutex::default() }
    }

    /// A layer's connections for inputs of `height` × `width`.
    pub(crate) fn of(&self, layer: &Layer, [height, width]: [usize; 2]) -> Arc<Connections> {
        let mut made = self.made.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let make = || {
            let conv = conv_of(layer, [height, width]);
            let mask = self.masks.get(&layer.weight());
            let kept: Option<Vec<bool>> = mask.map(|mask| (0..mask.size()).map(|p| mask.keeps(p)).collect());
            Arc::new(Connections::new(conv, kept.as_deref()))
        };
        Arc::clone(made.entry((layer.name.clone(), [height, width])).or_insert_with(make))
    }
}
