//! The architectures, written once over whatever computes their layers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use burn::tensor::{Tensor, activation};
use counterfoil_kernels::{Connections, Conv};
use counterfoil_ticket::{Architecture, Layer, LayerKind, Mask};

/// What computes the layers of one pass: [`crate::reference`] by Burn's operations on any device, [`crate::fused`] by
/// our kernels on the CPU; each with gradients and without.
pub(crate) trait Pass {
    /// What flows between convolutions.
    type Activation: Clone;

    /// Normalised images.
    fn images(&mut self, images: &[u8]) -> Self::Activation;

    /// Normalised images, one row each.
    fn rows(&mut self, images: &[u8]) -> Tensor<2>;

    /// Convolution and batch norm, plus the shortcut (option A where its shape differs), then ReLU.
    fn conv_norm(&mut self, layer: &Layer, x: Self::Activation, shortcut: Option<Self::Activation>)
    -> Self::Activation;

    /// Mean of each channel, `[n, channels]`.
    fn pool(&mut self, x: Self::Activation) -> Tensor<2>;

    /// A parameter, flat.
    fn value(&self, name: &str) -> Tensor<1>;
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
        Architecture::Resnet20 { .. } => resnet20(layers, pass, images),
    }
}

fn mlp<P: Pass>(layers: &[Layer], pass: &mut P, images: &[u8]) -> Tensor<2> {
    let mut x = pass.rows(images);
    for (i, layer) in layers.iter().enumerate() {
        x = linear(pass, layer, if i == 0 { x } else { activation::relu(x) });
    }
    x
}

fn resnet20<P: Pass>(layers: &[Layer], pass: &mut P, images: &[u8]) -> Tensor<2> {
    let [stem, blocks @ .., classifier] = layers else { unreachable!("a ResNet-20 has a stem and a classifier") };
    let images = pass.images(images);
    let mut x = pass.conv_norm(stem, images, None);
    for block in blocks.chunks_exact(2) {
        let hidden = pass.conv_norm(&block[0], x.clone(), None);
        x = pass.conv_norm(&block[1], hidden, Some(x));
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
            let (stride, padding, _) = convolution(layer);
            let [channels_out, channels_in, rows, columns] = <[u32; 4]>::from(layer.shape).map(|d| d as usize);
            let kernel = [rows, columns];
            let conv = Conv { channels_in, channels_out, height, width, kernel, stride, padding, groups: 1 };
            let mask = self.masks.get(&layer.weight());
            let kept: Option<Vec<bool>> = mask.map(|mask| (0..mask.size()).map(|p| mask.keeps(p)).collect());
            Arc::new(Connections::new(conv, kept.as_deref()))
        };
        Arc::clone(made.entry((layer.name.clone(), [height, width])).or_insert_with(make))
    }
}
