//! The architecture of a ticket of which only the masked layers are known: a claim's carriers.

use std::collections::{BTreeMap, BTreeSet};

use super::{Architecture, ImageShape, vgg};
use crate::CarrierShape;

/// Image that is taken for granted, since masked layers hardly ever read it: 3 channels of 32 × 32.
const IMAGE: ImageShape = ImageShape { channels: 3, height: vgg::LEAST_SIDE, width: vgg::LEAST_SIDE };

/// Classes that are taken for granted where the classifier has no mask.
const CLASSES: u32 = 10;

/// By how much the widest layers of a network are wider than its first.
const FACTORS: [u32; 6] = [1, 2, 4, 8, 16, 32];

impl Architecture {
    /// A network of which all these are layers, by weight name (shared prefix removed) and shape; those of its layers that
    /// are not among them are of any input and number of classes.
    ///
    /// ```
    /// use counterfoil_ticket::{Architecture, CarrierShape};
    ///
    /// let shape = CarrierShape { out: 32, inp: 32, height: 3, width: 3 };
    /// let net = Architecture::of_carriers(&[("layer2.1.conv1.weight", shape)]).expect("it is a layer of this network");
    /// assert!(matches!(net, Architecture::Resnet20 { width: 16, .. }));
    /// ```
    pub fn of_carriers(carriers: &[(&str, CarrierShape)]) -> Option<Self> {
        let shapes: BTreeMap<&str, CarrierShape> = carriers.iter().copied().collect();
        if shapes.is_empty() {
            return None;
        }
        let matches = |candidate: &Self| {
            let layers: BTreeMap<String, CarrierShape> =
                candidate.layers().into_iter().map(|layer| (layer.weight(), layer.shape)).collect();
            shapes.iter().all(|(name, shape)| layers.get(*name) == Some(shape))
        };
        let inputs = |name: &str| shapes.get(name).map(|shape| shape.inp);
        let outputs = |name: &str| shapes.get(name).map_or(CLASSES, |shape| shape.out);
        let image = |first: &str| ImageShape { channels: inputs(first).unwrap_or(IMAGE.channels), ..IMAGE };
        let dimensions: BTreeSet<u32> = shapes.values().flat_map(|shape| [shape.out, shape.inp]).collect();
        let widths: BTreeSet<u32> = (dimensions.iter())
            .flat_map(|d| FACTORS.iter().filter(move |&factor| d % factor == 0).map(move |factor| d / factor))
            .collect();
        let of_width = |&width: &u32| {
            [
                Self::Resnet20 { input: image("conv1.weight"), width, classes: outputs("linear.weight") },
                Self::Resnet18 { input: image("conv1.weight"), width, classes: outputs("fc.weight") },
                Self::Resnet50 { input: image("conv1.weight"), width, classes: outputs("fc.weight") },
                Self::Vgg16 { input: image("features.0.weight"), width, classes: outputs("classifier.weight") },
            ]
        };
        let candidates = widths.iter().flat_map(of_width).chain(mlp(&shapes));
        candidates.filter(Self::is_within_bounds).find(matches)
    }
}

/// Linear layers `fc1` … as far as they are known, and one more as the classifier.
fn mlp(shapes: &BTreeMap<&str, CarrierShape>) -> Option<Architecture> {
    let of = |i: usize| shapes.get(format!("fc{i}.weight").as_str());
    let known: Vec<CarrierShape> = (1..=super::MAX_HIDDEN_LAYERS).map_while(of).copied().collect();
    let input = ImageShape { channels: 1, height: 1, width: known.first()?.inp };
    Some(Architecture::Mlp { input, hidden: known.iter().map(|shape| shape.out).collect(), classes: CLASSES })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prunable_layers_tell_the_network() {
        let input = ImageShape { channels: 3, height: 32, width: 32 };
        let flat = ImageShape { channels: 1, height: 1, width: 64 };
        for net in [
            Architecture::Resnet20 { input, width: 6, classes: 10 },
            Architecture::Resnet18 { input, width: 64, classes: 10 },
            Architecture::Resnet50 { input, width: 64, classes: 10 },
            Architecture::Vgg16 { input, width: 8, classes: 10 },
            Architecture::Mlp { input: flat, hidden: vec![30, 20], classes: 10 },
        ] {
            let layers = net.layers();
            let weights: Vec<(String, CarrierShape)> =
                layers.iter().filter(|l| l.prunable).map(|l| (l.weight(), l.shape)).collect();
            let carriers: Vec<(&str, CarrierShape)> = weights.iter().map(|(n, s)| (n.as_str(), *s)).collect();
            assert_eq!(Architecture::of_carriers(&carriers), Some(net));
        }
    }

    #[test]
    fn other_carriers_are_of_no_network() {
        let shape = CarrierShape { out: 4, inp: 4, height: 3, width: 3 };
        assert_eq!(Architecture::of_carriers(&[]), None);
        assert_eq!(Architecture::of_carriers(&[("a.weight", shape)]), None);
        assert_eq!(Architecture::of_carriers(&[("layer1.0.conv1.weight", shape), ("b", shape)]), None);
    }
}
