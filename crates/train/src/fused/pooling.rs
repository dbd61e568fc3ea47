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

/// Mean of each channel, `[images, channels]`.
pub(super) fn mean(x: Tensor<5>, images: usize) -> Tensor<2> {
    let [_, channels, height, width, lanes] = x.dims();
    let shape = MeanShape { images, channels, height, width, lanes };
    let x = primitive(x);
    let means = |x: &Values| {
        let values = average(floats(&contiguous(x)), images, channels, lanes);
        Values::from_data(TensorData::new(values, [images, channels]))
    };
    let pooled = match MeanBackward.prepare::<NoCheckpointing>([x.node()]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(shape, means(x.primitive())),
        OpsKind::UnTracked(prep) => prep.finish(means(x.primitive())),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(pooled)
}

#[derive(Debug, Clone, Copy)]
struct MeanShape {
    images: usize,
    channels: usize,
    height: usize,
    width: usize,
    lanes: usize,
}

#[derive(Debug)]
struct MeanBackward;

impl Backward<Flex, 1> for MeanBackward {
    type State = MeanShape;

    fn backward(self, ops: Ops<MeanShape, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(&grads.consume::<Flex>(&ops.node));
        let MeanShape { images, channels, height, width, lanes } = ops.state;
        let spread = spread(floats(&gradient), images, channels, height * width, lanes);
        let [parent] = ops.parents;
        if let Some(node) = parent {
            let dims = [images.div_ceil(lanes), channels, height, width, lanes];
            grads.register::<Flex>(node.id, Values::from_data(TensorData::new(spread, dims)));
        }
    }
}

/// The maximum of each 2×2 square.
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
