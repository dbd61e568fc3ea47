//! Pooling on blocks, as differentiable operations of Burn.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use counterfoil_kernels::blocked::{average, spread};
use counterfoil_kernels::{max_pool, max_pool_gradient};

use super::{Values, contiguous, floats, primitive, reclaim};

/// Mean of each channel of what a ReLU gave, `[images, channels]`.
pub(super) fn mean(x: Tensor<5>, images: usize) -> Tensor<2> {
    let [_, channels, height, width, lanes] = x.dims();
    let x = primitive(x);
    let values = contiguous(x.primitive());
    let means = average(floats(&values), images, channels, lanes);
    let means = Values::from_data(TensorData::new(means, [images, channels]));
    let pooled = match MeanBackward.prepare::<NoCheckpointing>([x.node()]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let dims = [images.div_ceil(lanes), channels, height, width, lanes];
            prep.finish(Averaged { x: values, images, dims }, means)
        }
        OpsKind::UnTracked(prep) => prep.finish(means),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(pooled)
}

/// What was averaged: the output of the layer before it, which keeps it too.
#[derive(Debug, Clone)]
struct Averaged {
    x: Values,
    images: usize,
    dims: [usize; 5],
}

#[derive(Debug)]
struct MeanBackward;

impl Backward<Flex, 1> for MeanBackward {
    type State = Averaged;

    fn backward(self, ops: Ops<Averaged, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(&grads.consume::<Flex>(&ops.node));
        let Averaged { x, images, dims } = ops.state;
        let [_, channels, .., lanes] = dims;
        let spread = spread(floats(&gradient), floats(&x), images, channels, lanes);
        let [parent] = ops.parents;
        if let Some(node) = parent {
            grads.register::<Flex>(node.id, Values::from_data(TensorData::new(spread, dims)));
        }
    }
}

/// The maximum of each 2×2 square of what a ReLU gave.
pub(super) fn largest(x: Tensor<5>) -> Tensor<5> {
    let [blocks, channels, height, width, lanes] = x.dims();
    let x = primitive(x);
    let values = contiguous(x.primitive());
    let maxima = max_pool(floats(&values), [height, width], lanes);
    let maxima = Values::from_data(TensorData::new(maxima, [blocks, channels, height / 2, width / 2, lanes]));
    let pooled = match LargestBackward.prepare::<NoCheckpointing>([x.node()]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let dims = [blocks, channels, height, width, lanes];
            prep.finish(Pooled { x: values, dims }, maxima)
        }
        OpsKind::UnTracked(prep) => prep.finish(maxima),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(pooled)
}

/// What was pooled: the output of the layer before it, which keeps it too.
#[derive(Debug, Clone)]
struct Pooled {
    x: Values,
    dims: [usize; 5],
}

#[derive(Debug)]
struct LargestBackward;

impl Backward<Flex, 1> for LargestBackward {
    type State = Pooled;

    fn backward(self, ops: Ops<Pooled, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(&grads.consume::<Flex>(&ops.node));
        let Pooled { x, dims } = ops.state;
        let [_, _, height, width, lanes] = dims;
        let by_input = max_pool_gradient(floats(&x), floats(&gradient), [height, width], lanes);
        reclaim(gradient);
        let [parent] = ops.parents;
        if let Some(node) = parent {
            grads.register::<Flex>(node.id, Values::from_data(TensorData::new(by_input, dims)));
        }
    }
}
