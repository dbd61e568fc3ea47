//! VGG networks: stages of 3×3 convolutions, each of which ends in a max pooling, and a classifier.

use super::{ImageShape, Layer, LayerKind};
use crate::CarrierShape;

/// Convolutions of each stage, and their channels over the first's: configuration D.
const STAGES: [(usize, u32); 5] = [(2, 1), (2, 2), (3, 4), (3, 8), (3, 8)];

/// Least rows and columns of an image: every stage halves them, and one pixel has to be left.
pub(super) const LEAST_SIDE: u32 = 1 << STAGES.len();

/// Module name of the classifier.
pub(super) const CLASSIFIER: &str = "classifier";

/// Groups: 0 input, then one a convolution, the last the classes.
pub(super) fn layers(input: ImageShape, width: u32, classes: u32) -> Vec<Layer> {
    let (mut layers, mut inp, mut module) = (Vec::new(), input.channels, 0);
    for (convolutions, factor) in STAGES {
        for i in 1..=convolutions {
            let out = width * factor;
            let at = layers.len();
            layers.push(Layer {
                name: format!("features.{module}"),
                shape: CarrierShape { out, inp, height: 3, width: 3 },
                kind: LayerKind::Conv { stride: 1, padding: 1 },
                bias: true,
                norm: Some(format!("features.{}", module + 1)),
                max_pooled: i == convolutions,
                from: at,
                to: at + 1,
                prunable: at > 0,
            });
            inp = out;
            // Convolution, batch norm, ReLU.
            module += 3;
        }
        // Max pooling.
        module += 1;
    }
    let at = layers.len();
    layers.push(Layer::linear(CLASSIFIER, [classes, inp], [at, at + 1]));
    layers
}
