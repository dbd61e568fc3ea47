//! Architectures: what a network looks like, without any framework.
//!
//! A file carries its architecture in its [`Description`](crate::Description), so that nothing is asked twice. From it
//! follow the parameter names and shapes (PyTorch's), and how channels are wired: each layer reads one *node group* and
//! writes another; layers whose outputs are added share a group.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Carrier, CarrierShape};
use resnet::{RESNET18, RESNET20, RESNET50, Resnet};

mod fit;
mod of_carriers;
mod resnet;
mod vgg;

pub use fit::FitError;

/// Shape of one input image: channels, height, width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "[u32; 3]", into = "[u32; 3]")]
pub struct ImageShape {
    /// Colour channels.
    pub channels: u32,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

impl ImageShape {
    /// Number of values of one image.
    pub fn size(&self) -> usize {
        self.channels as usize * self.height as usize * self.width as usize
    }
}

impl From<[u32; 3]> for ImageShape {
    fn from([channels, height, width]: [u32; 3]) -> Self {
        Self { channels, height, width }
    }
}

impl From<ImageShape> for [u32; 3] {
    fn from(s: ImageShape) -> Self {
        [s.channels, s.height, s.width]
    }
}

/// A network that counterfoil can train, and whose channels it knows how to follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum Architecture {
    /// Linear layers `fc1` … `fcN` with ReLU between them, on the flattened image.
    Mlp {
        /// Input image.
        input: ImageShape,
        /// Widths of the hidden layers.
        hidden: Vec<u32>,
        /// Number of classes.
        classes: u32,
    },
    /// The CIFAR ResNet-20 of He et al. 2015 (arXiv 1512.03385, section 4.2) with option-A shortcuts: three stages of
    /// three basic blocks, of `width`, 2 `width` and 4 `width` channels; tensor names as in akamaster's PyTorch
    /// version.
    Resnet20 {
        /// Input image.
        input: ImageShape,
        /// Channels of the first stage, 16 in the paper.
        width: u32,
        /// Number of classes.
        classes: u32,
    },
    /// The ResNet-18 of He et al. 2015 for CIFAR-sized images: a 3×3 stem without stride or pooling, four stages of two
    /// basic blocks, of `width`, 2, 4 and 8 `width` channels, with projection shortcuts; tensor names as in torchvision.
    Resnet18 {
        /// Input image.
        input: ImageShape,
        /// Channels of the first stage, 64 in the paper.
        width: u32,
        /// Number of classes.
        classes: u32,
    },
    /// The ResNet-50 of He et al. 2015 for CIFAR-sized images: a 3×3 stem without stride or pooling, four stages of 3, 4,
    /// 6 and 3 bottleneck blocks, of `width`, 2, 4 and 8 `width` channels within and four times as many between them,
    /// strides in the 3×3 convolutions, projection shortcuts; tensor names as in torchvision.
    Resnet50 {
        /// Input image.
        input: ImageShape,
        /// Channels of the stem and within the first stage's blocks, 64 in the paper.
        width: u32,
        /// Number of classes.
        classes: u32,
    },
    /// The VGG-16 of Simonyan and Zisserman 2014 (arXiv 1409.1556, configuration D) with batch norms for CIFAR-sized
    /// images: five stages of 2, 2, 3, 3 and 3 convolutions, of `width`, 2, 4, 8 and 8 `width` channels, each followed
    /// by a 2×2 max pooling; then the mean of each channel and one linear layer; tensor names as in torchvision's features.
    Vgg16 {
        /// Input image, at least 32×32.
        input: ImageShape,
        /// Channels of the first stage, 64 in the paper.
        width: u32,
        /// Number of classes.
        classes: u32,
    },
}

/// Largest width, channel count or image side of an [`Architecture`] that is read from a file.
///
/// With it no size that follows from an architecture overflows 64 bits.
pub const MAX_WIDTH: u32 = 1 << 16;

/// Most hidden layers of an [`Architecture`] that is read from a file.
pub const MAX_HIDDEN_LAYERS: usize = 1024;

/// What a layer computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// 2-D convolution, followed by the batch norm named by [`Layer::norm`].
    Conv {
        /// Step in both directions.
        stride: u32,
        /// Zeros added on every side.
        padding: u32,
    },
    /// Linear layer.
    Linear,
}

/// One weight-carrying layer and its place in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Module name: the weight tensor is `NAME.weight`.
    pub name: String,
    /// Shape of its weight.
    pub shape: CarrierShape,
    /// What it computes.
    pub kind: LayerKind,
    /// Whether it adds `NAME.bias` to its output channels. In front of a batch norm, which takes it out again, that is no
    /// parameter: its gradient is 0.
    pub bias: bool,
    /// Module name of the batch norm behind it, if any.
    pub norm: Option<String>,
    /// Whether ReLU is followed by a 2×2 max pooling of stride 2.
    pub max_pooled: bool,
    /// Node group it reads.
    pub from: usize,
    /// Node group it writes (adds to, where several layers write it).
    pub to: usize,
    /// Whether finders prune it by default: not the first convolution, not the classifier (Chen et al. 2021).
    pub prunable: bool,
}

impl Layer {
    /// Name of its weight tensor.
    pub fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// Name of its bias tensor, if it has one.
    pub fn bias(&self) -> Option<String> {
        self.bias.then(|| format!("{}.bias", self.name))
    }

    /// A linear layer that is not pruned: a classifier.
    fn linear(name: &str, [out, inp]: [u32; 2], [from, to]: [usize; 2]) -> Self {
        Self {
            name: name.to_owned(),
            shape: CarrierShape { out, inp, height: 1, width: 1 },
            kind: LayerKind::Linear,
            bias: true,
            norm: None,
            max_pooled: false,
            from,
            to,
            prunable: false,
        }
    }
}

/// A channel that is passed on without a weight: channel c of `from` is added to channel c + `offset` of `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortcut {
    /// Node group that is read.
    pub from: usize,
    /// Node group that is added to.
    pub to: usize,
    /// Where channel 0 arrives.
    pub offset: u32,
}

/// Most weights of a network that is built from a description: 2 GiB of them.
const MAX_WEIGHTS: usize = 1 << 29;

impl Architecture {
    /// Input image.
    pub fn input(&self) -> ImageShape {
        match self {
            Self::Mlp { input, .. }
            | Self::Resnet20 { input, .. }
            | Self::Resnet18 { input, .. }
            | Self::Resnet50 { input, .. }
            | Self::Vgg16 { input, .. } => *input,
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> u32 {
        match self {
            Self::Mlp { classes, .. }
            | Self::Resnet20 { classes, .. }
            | Self::Resnet18 { classes, .. }
            | Self::Resnet50 { classes, .. }
            | Self::Vgg16 { classes, .. } => *classes,
        }
    }

    /// The name a user gives with `--arch`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mlp { .. } => "mlp",
            Self::Resnet20 { .. } => "resnet20",
            Self::Resnet18 { .. } => "resnet18",
            Self::Resnet50 { .. } => "resnet50",
            Self::Vgg16 { .. } => "vgg16",
        }
    }

    /// Least rows and columns of an input image.
    pub fn least_side(&self) -> u32 {
        if matches!(self, Self::Vgg16 { .. }) { vgg::LEAST_SIDE } else { 1 }
    }

    /// Whether all numbers are at least 1 and at most [`MAX_WIDTH`], with at most [`MAX_HIDDEN_LAYERS`] hidden layers and
    /// sides of at least [`Architecture::least_side`].
    ///
    /// [`Architecture::layers`] may overflow on others, so they must not come from a file.
    pub fn is_within_bounds(&self) -> bool {
        let ImageShape { channels, height, width } = self.input();
        let widths = match self {
            Self::Mlp { hidden, .. } => hidden.as_slice(),
            Self::Resnet20 { width, .. }
            | Self::Resnet18 { width, .. }
            | Self::Resnet50 { width, .. }
            | Self::Vgg16 { width, .. } => std::slice::from_ref(width),
        };
        let mut all = [channels, height, width, self.classes()].into_iter().chain(widths.iter().copied());
        // An option-A shortcut puts half its channels on either side.
        let halves = !matches!(self, Self::Resnet20 { width, .. } if width % 2 != 0);
        let within = widths.len() <= MAX_HIDDEN_LAYERS && all.all(|n| (1..=MAX_WIDTH).contains(&n)) && halves;
        let is_large_enough = height.min(width) >= self.least_side();
        within && is_large_enough && self.layers().iter().map(|layer| layer.shape.size()).sum::<usize>() <= MAX_WEIGHTS
    }

    /// The carriers that finders prune, in natural order of their names; ordinals count over all layers.
    pub fn prunable_carriers(&self) -> Vec<Carrier> {
        let layers = self.layers();
        let shape = |layer: &Layer| <[u32; 4]>::from(layer.shape).map(|d| d as usize);
        let tensors: Vec<(String, [usize; 4])> = layers.iter().map(|layer| (layer.weight(), shape(layer))).collect();
        let all = Carrier::number(tensors.iter().map(|(name, shape)| (name.as_str(), &shape[..])));
        let is_prunable = |c: &Carrier| layers.iter().any(|layer| layer.prunable && layer.weight() == c.name);
        all.into_iter().filter(is_prunable).collect()
    }

    /// Its layers in the order in which they compute. Node group 0 is the input, the highest the classes.
    pub fn layers(&self) -> Vec<Layer> {
        match self {
            Self::Mlp { input, hidden, classes } => mlp_layers(*input, hidden, *classes),
            Self::Resnet20 { input, width, classes } => RESNET20.layers(*input, *width, *classes),
            Self::Resnet18 { input, width, classes } => RESNET18.layers(*input, *width, *classes),
            Self::Resnet50 { input, width, classes } => RESNET50.layers(*input, *width, *classes),
            Self::Vgg16 { input, width, classes } => vgg::layers(*input, *width, *classes),
        }
    }

    /// Its weightless channel connections (option-A shortcuts between stages; within a stage, groups are shared).
    pub fn shortcuts(&self) -> Vec<Shortcut> {
        match self {
            Self::Mlp { .. } | Self::Vgg16 { .. } => Vec::new(),
            Self::Resnet20 { width, .. } => RESNET20.shortcuts(*width),
            Self::Resnet18 { width, .. } => RESNET18.shortcuts(*width),
            Self::Resnet50 { width, .. } => RESNET50.shortcuts(*width),
        }
    }

    /// Recognises a network without a description by its tensors: (name, shape) pairs, shared prefix removed.
    ///
    /// `input` is needed where the tensors do not tell it: the image size of a convolutional network.
    pub fn recognise(tensors: &[(&str, &[usize])], input: ImageShape) -> Option<Self> {
        let shapes: BTreeMap<&str, &[usize]> = tensors.iter().copied().collect();
        let shape_of = |name: &str| shapes.get(name).copied();
        let carriers = tensors.iter().filter(|(_, shape)| CarrierShape::of_tensor(shape).is_some()).count();
        let matches = |candidate: &Self| {
            let layers = candidate.layers();
            layers.len() == carriers
                && layers.iter().all(|l| shape_of(&l.weight()).and_then(CarrierShape::of_tensor) == Some(l.shape))
        };
        Self::candidates(shape_of, input).into_iter().filter(Self::is_within_bounds).find(matches)
    }

    /// What a network could be, by its first and last layers' weights.
    fn candidates<'a>(shape_of: impl Fn(&str) -> Option<&'a [usize]>, input: ImageShape) -> Vec<Self> {
        // Of a network that begins and ends with these: its input, first width and classes.
        let ends = |first: &str, classifier: &str| {
            let first = shape_of(&format!("{first}.weight"))?;
            let (&[width, channels, rows, columns], &[classes, _]) =
                (first, shape_of(&format!("{classifier}.weight"))?)
            else {
                return None;
            };
            if rows != columns || rows % 2 == 0 {
                return None;
            }
            let input = ImageShape { channels: u32::try_from(channels).ok()?, ..input };
            Some((input, u32::try_from(width).ok()?, u32::try_from(classes).ok()?))
        };
        let resnet = |kind: Resnet| ends("conv1", kind.classifier());
        let resnet20 = resnet(RESNET20).map(|(input, width, classes)| Self::Resnet20 { input, width, classes });
        let resnet18 = resnet(RESNET18).map(|(input, width, classes)| Self::Resnet18 { input, width, classes });
        let resnet50 = resnet(RESNET50).map(|(input, width, classes)| Self::Resnet50 { input, width, classes });
        let vgg16 =
            ends("features.0", vgg::CLASSIFIER).map(|(input, width, classes)| Self::Vgg16 { input, width, classes });
        let mlp = || {
            let widths: Vec<u32> = (1..)
                .map_while(|i| shape_of(&format!("fc{i}.weight")))
                .map(|shape| shape.first().and_then(|&d| u32::try_from(d).ok()))
                .collect::<Option<_>>()?;
            let (&classes, hidden) = widths.split_last()?;
            Some(Self::Mlp { input, hidden: hidden.to_vec(), classes })
        };
        [resnet20, resnet18, resnet50, vgg16, mlp()].into_iter().flatten().collect()
    }
}

fn mlp_layers(input: ImageShape, hidden: &[u32], classes: u32) -> Vec<Layer> {
    let mut inp = u32::try_from(input.size()).unwrap_or(u32::MAX);
    let widths = hidden.iter().copied().chain([classes]);
    widths
        .enumerate()
        .map(|(i, out)| {
            let shape = [out, inp];
            inp = out;
            let name = format!("fc{}", i + 1);
            Layer { prunable: i < hidden.len(), ..Layer::linear(&name, shape, [i, i + 1]) }
        })
        .collect()
}

#[cfg(test)]
mod tests;
