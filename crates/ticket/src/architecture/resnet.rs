//! Residual networks of basic blocks: a stem, stages of equal blocks whose channels double, a classifier.

use super::{ImageShape, Layer, LayerKind, Shortcut};
use crate::CarrierShape;

/// What tells one residual network from another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resnet {
    stages: usize,
    /// Basic blocks of a stage, two convolutions each.
    blocks: usize,
    /// Whether stages begin with a projection, a 1×1 convolution (option B of He et al. 2015), not with a shortcut that
    /// adds zero channels (option A).
    projected: bool,
    /// Module name of the classifier.
    classifier: &'static str,
}

pub(super) const RESNET20: Resnet = Resnet { stages: 3, blocks: 3, projected: false, classifier: "linear" };
pub(super) const RESNET18: Resnet = Resnet { stages: 4, blocks: 2, projected: true, classifier: "fc" };

impl Resnet {
    pub(super) fn classifier(&self) -> &'static str {
        self.classifier
    }

    /// Groups: 0 input; then for each stage its stream and its blocks' hidden groups; the last the classes.
    fn stream(&self, stage: usize) -> usize {
        1 + (1 + self.blocks) * stage
    }

    pub(super) fn layers(&self, input: ImageShape, width: u32, classes: u32) -> Vec<Layer> {
        let conv =
            |name: String, norm: String, [out, inp]: [u32; 2], side: u32, stride: u32, groups: [usize; 2]| Layer {
                prunable: groups[0] != 0,
                name,
                shape: CarrierShape { out, inp, height: side, width: side },
                kind: LayerKind::Conv { stride, padding: side / 2 },
                norm: Some(norm),
                from: groups[0],
                to: groups[1],
            };
        let mut layers = vec![conv("conv1".into(), "bn1".into(), [width, input.channels], 3, 1, [0, self.stream(0)])];
        for stage in 0..self.stages {
            let out = width << stage;
            let stream = self.stream(stage);
            for block in 0..self.blocks {
                let first = stage > 0 && block == 0;
                let (inp, from, stride) = if first { (out / 2, self.stream(stage - 1), 2) } else { (out, stream, 1) };
                let hidden = stream + 1 + block;
                let at = format!("layer{}.{block}", stage + 1);
                let [conv1, conv2] = [1, 2].map(|i| (format!("{at}.conv{i}"), format!("{at}.bn{i}")));
                layers.push(conv(conv1.0, conv1.1, [out, inp], 3, stride, [from, hidden]));
                if first && self.projected {
                    let (name, norm) = (format!("{at}.downsample.0"), format!("{at}.downsample.1"));
                    layers.push(conv(name, norm, [out, inp], 1, stride, [from, stream]));
                }
                layers.push(conv(conv2.0, conv2.1, [out, out], 3, 1, [hidden, stream]));
            }
        }
        layers.push(Layer {
            name: self.classifier.into(),
            shape: CarrierShape { out: classes, inp: width << (self.stages - 1), height: 1, width: 1 },
            kind: LayerKind::Linear,
            norm: None,
            from: self.stream(self.stages - 1),
            to: self.stream(self.stages),
            prunable: false,
        });
        layers
    }

    /// Option-A shortcuts between stages, if it has them; within a stage, groups are shared.
    pub(super) fn shortcuts(&self, width: u32) -> Vec<Shortcut> {
        let stages = if self.projected { 0..0 } else { 0..self.stages - 1 };
        stages.map(|s| Shortcut { from: self.stream(s), to: self.stream(s + 1), offset: (width << s) / 2 }).collect()
    }
}
