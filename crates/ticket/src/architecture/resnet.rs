//! Residual networks: a stem, stages of equal blocks whose channels double, a classifier.

use super::{ImageShape, Layer, LayerKind, Shortcut};
use crate::CarrierShape;

/// What tells one residual network from another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resnet {
    /// Blocks of each stage.
    blocks: &'static [usize],
    block: Block,
    /// Whether stages whose channels differ from what they read begin with a projection, a 1×1 convolution (option B of
    /// He et al. 2015), not with a shortcut that adds zero channels (option A).
    projected: bool,
    /// Module name of the classifier.
    classifier: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    /// Two 3×3 convolutions, the stride in the first.
    Basic,
    /// 1×1, 3×3 with the stride (torchvision's place for it), 1×1 to four times the channels.
    Bottleneck,
}

pub(super) const RESNET20: Resnet =
    Resnet { blocks: &[3; 3], block: Block::Basic, projected: false, classifier: "linear" };
pub(super) const RESNET18: Resnet = Resnet { blocks: &[2; 4], block: Block::Basic, projected: true, classifier: "fc" };
pub(super) const RESNET50: Resnet =
    Resnet { blocks: &[3, 4, 6, 3], block: Block::Bottleneck, projected: true, classifier: "fc" };

/// Group of the stem's channels; the first stage's stream where that has as many.
const STEM: usize = 1;

impl Resnet {
    pub(super) fn classifier(&self) -> &'static str {
        self.classifier
    }

    /// Channels of a stage's stream over those within its blocks.
    fn expansion(&self) -> u32 {
        if self.block == Block::Bottleneck { 4 } else { 1 }
    }

    /// Groups: 0 input; the stem's own, if the first stage has more channels; then for each stage its stream and its
    /// blocks' hidden groups; the last the classes.
    fn stream(&self, stage: usize) -> usize {
        let (first, hidden) = if self.block == Block::Bottleneck { (STEM + 1, 2) } else { (STEM, 1) };
        first + self.blocks[..stage].iter().map(|blocks| 1 + hidden * blocks).sum::<usize>()
    }

    pub(super) fn layers(&self, input: ImageShape, width: u32, classes: u32) -> Vec<Layer> {
        let mut layers = vec![conv("conv1", "bn1", [width, input.channels], 3, 1, [0, STEM])];
        let (mut inp, mut from) = (width, STEM);
        for (stage, &blocks) in self.blocks.iter().enumerate() {
            let (within, stream) = (width << stage, self.stream(stage));
            let out = within * self.expansion();
            for block in 0..blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let at = format!("layer{}.{block}", stage + 1);
                let layer = |name: &str, norm: &str, shape, side, stride, groups| {
                    conv(&format!("{at}.{name}"), &format!("{at}.{norm}"), shape, side, stride, groups)
                };
                let mut convolutions = match self.block {
                    Block::Basic => {
                        let hidden = stream + 1 + block;
                        vec![
                            layer("conv1", "bn1", [within, inp], 3, stride, [from, hidden]),
                            layer("conv2", "bn2", [out, within], 3, 1, [hidden, stream]),
                        ]
                    }
                    Block::Bottleneck => {
                        let [first, second] = [1, 2].map(|i| stream + 2 * block + i);
                        vec![
                            layer("conv1", "bn1", [within, inp], 1, 1, [from, first]),
                            layer("conv2", "bn2", [within, within], 3, stride, [first, second]),
                            layer("conv3", "bn3", [out, within], 1, 1, [second, stream]),
                        ]
                    }
                };
                if self.projected && inp != out {
                    let projection = layer("downsample.0", "downsample.1", [out, inp], 1, stride, [from, stream]);
                    convolutions.insert(1, projection);
                }
                layers.append(&mut convolutions);
                (inp, from) = (out, stream);
            }
        }
        layers.push(Layer::linear(self.classifier, [classes, inp], [from, self.stream(self.blocks.len())]));
        layers
    }

    /// Option-A shortcuts between stages, if it has them; within a stage, groups are shared.
    pub(super) fn shortcuts(&self, width: u32) -> Vec<Shortcut> {
        let stages = if self.projected { 0..0 } else { 0..self.blocks.len() - 1 };
        stages.map(|s| Shortcut { from: self.stream(s), to: self.stream(s + 1), offset: (width << s) / 2 }).collect()
    }
}

fn conv(name: &str, norm: &str, [out, inp]: [u32; 2], side: u32, stride: u32, [from, to]: [usize; 2]) -> Layer {
    Layer {
        name: name.to_owned(),
        shape: CarrierShape { out, inp, height: side, width: side },
        kind: LayerKind::Conv { stride, padding: side / 2 },
        bias: false,
        norm: Some(norm.to_owned()),
        max_pooled: false,
        from,
        to,
        prunable: from != 0,
    }
}
