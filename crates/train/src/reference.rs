//! The layers by Burn's own operations: on any device, and what the kernels are tested against.

use std::collections::BTreeMap;

use burn::tensor::module::{batch_norm, batch_norm_train, conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData, activation, s};
use counterfoil_kernels::EPSILON;
use counterfoil_ticket::Layer;

use crate::forward::{Pass, Then, convolution};
use crate::network::{BatchStatistics, Leaves, Network};

/// A pass by Burn's operations.
pub(crate) struct Reference<'a> {
    network: &'a Network,
    /// Where the images go: with gradients or without, as the values are.
    device: Device,
    values: &'a BTreeMap<String, Tensor<1>>,
    /// Where batch norms leave their statistics; without it they use the running ones.
    batch: Option<&'a mut BatchStatistics>,
    /// Normalised images to use in place of the bytes'.
    input: Option<Tensor<4>>,
}

impl<'a> Reference<'a> {
    /// With gradients by `leaves`, batch norms by the batch.
    pub(crate) fn train(network: &'a Network, leaves: &'a Leaves, batch: &'a mut BatchStatistics) -> Self {
        Self { network, device: network.device().clone().autodiff(), values: leaves, batch: Some(batch), input: None }
    }

    /// Without gradients, batch norms by the running statistics.
    pub(crate) fn evaluate(network: &'a Network) -> Self {
        Self { network, device: network.device().clone(), values: &network.parameters, batch: None, input: None }
    }

    /// As [`Reference::evaluate`], on normalised images that are there already. The network and they are on one device, with
    /// gradients or without.
    pub(crate) fn evaluate_input(network: &'a Network, input: Tensor<4>) -> Self {
        Self { device: input.device(), input: Some(input), ..Self::evaluate(network) }
    }
}

impl Pass for Reference<'_> {
    type Activation = Tensor<4>;

    fn images(&mut self, images: &[u8]) -> Tensor<4> {
        if let Some(input) = self.input.take() {
            return input;
        }
        let shape = self.network.architecture().input();
        let n = images.len() / shape.size();
        let dims = [n, shape.channels as usize, shape.height as usize, shape.width as usize];
        Tensor::from_data(TensorData::new(self.network.normalised(images), dims), &self.device)
    }

    fn rows(&mut self, images: &[u8]) -> Tensor<2> {
        self.images(images).flatten(1, 3)
    }

    fn conv_norm(&mut self, layer: &Layer, x: Tensor<4>, then: Then<Tensor<4>>) -> Tensor<4> {
        let (_, _, norm) = convolution(layer);
        let z = convolve(layer, x, self.value(&layer.weight()));
        let [gamma, beta] = ["weight", "bias"].map(|kind| self.value(&format!("{norm}.{kind}")));
        let normed = match &mut self.batch {
            Some(batch) => {
                let count = z.dims()[0] * z.dims()[2] * z.dims()[3];
                let result = batch_norm_train(z, gamma, beta, EPSILON);
                let unbiased = count as f64 / (count.max(2) - 1) as f64;
                batch.push((norm.to_owned(), result.mean.inner(), result.variance.inner().mul_scalar(unbiased)));
                result.output
            }
            None => {
                let [mean, variance] = self.network.running(layer);
                batch_norm(z, gamma, beta, mean, variance, EPSILON)
            }
        };
        match then {
            Then::Nothing => normed,
            Then::Relu | Then::ReluWithin => activation::relu(normed),
            Then::AddAndRelu(shortcut) if shortcut.dims() == normed.dims() => activation::relu(normed + shortcut),
            Then::AddAndRelu(shortcut) => activation::relu(normed + option_a(shortcut)),
        }
    }

    fn max_pool(&mut self, x: Tensor<4>) -> Tensor<4> {
        max_pool2d(x, MaxPoolOptions::new([2, 2]).with_stride([2, 2]))
    }

    fn pool(&mut self, x: Tensor<4>) -> Tensor<2> {
        x.mean_dim(3).mean_dim(2).flatten(1, 3)
    }

    fn value(&self, name: &str) -> Tensor<1> {
        self.values[name].clone()
    }
}

/// `[n, in, h, w]` to `[n, out, h', w']`.
fn convolve(layer: &Layer, x: Tensor<4>, weight: Tensor<1>) -> Tensor<4> {
    let (stride, padding, _) = convolution(layer);
    let weight = weight.reshape(<[u32; 4]>::from(layer.shape).map(|d| d as usize));
    conv2d(x, weight, None, ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1))
}

/// Option-A shortcut between stages: every second pixel, zero channels on both sides (He et al. 2015, section 4.2).
fn option_a(x: Tensor<4>) -> Tensor<4> {
    let x = x.slice(s![.., .., ..;2, ..;2]);
    let [n, channels, height, width] = x.dims();
    let zeros = Tensor::zeros([n, channels / 2, height, width], &x.device());
    Tensor::cat(vec![zeros.clone(), x, zeros], 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeviceChoice;

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
}
