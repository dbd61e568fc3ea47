//! How dense each layer is, where a finder fixes that beforehand.

use std::collections::BTreeMap;

use counterfoil_ticket::{CarrierShape, Layer, LayerKind};
use serde::{Deserialize, Serialize};

/// Densities of layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Densities {
    /// The same everywhere.
    Uniform,
    /// Erdős–Rényi with kernels (Evci et al. 2020, arXiv 1911.11134, section 3): in proportion to (out + in + height + width) /
    /// (out · in · height · width), in linear layers without the kernel's sides; layers that would be more than dense are
    /// dense, and the others bear that.
    #[default]
    Erk,
}

impl Densities {
    /// Kept weights of each prunable layer: together `1 − sparsity` of them, in each at least one.
    pub fn kept(self, layers: &[Layer], sparsity: f64) -> BTreeMap<String, usize> {
        let prunable: Vec<&Layer> = layers.iter().filter(|layer| layer.prunable).collect();
        let sizes: Vec<f64> = prunable.iter().map(|layer| layer.shape.size() as f64).collect();
        let total = ((1.0 - sparsity) * sizes.iter().sum::<f64>()).round();
        // Weights of a layer at the scale 1; its density is the scale times this, over its size.
        let raw: Vec<f64> = match self {
            Self::Uniform => sizes.clone(),
            Self::Erk => prunable.iter().map(|layer| erdos_renyi(layer)).collect(),
        };
        let mut dense = vec![false; sizes.len()];
        let wanted: Vec<f64> = loop {
            let of = |values: &[f64], is: bool| -> f64 {
                values.iter().zip(&dense).filter(|(_, dense)| **dense == is).map(|(v, _)| v).sum()
            };
            let scale = (total - of(&sizes, true)).max(0.0) / of(&raw, false).max(f64::MIN_POSITIVE);
            let beyond: Vec<usize> = (0..sizes.len()).filter(|&i| !dense[i] && scale * raw[i] > sizes[i]).collect();
            if beyond.is_empty() {
                break (0..sizes.len()).map(|i| if dense[i] { sizes[i] } else { scale * raw[i] }).collect();
            }
            beyond.into_iter().for_each(|i| dense[i] = true);
        };
        let counts = rounded(&wanted, total as usize);
        prunable.iter().zip(counts).map(|(layer, count)| (layer.weight(), count.max(1))).collect()
    }
}

fn erdos_renyi(layer: &Layer) -> f64 {
    let CarrierShape { out, inp, height, width } = layer.shape;
    let sides = match layer.kind {
        LayerKind::Conv { .. } => f64::from(height) + f64::from(width),
        LayerKind::Linear => 0.0,
    };
    f64::from(out) + f64::from(inp) + sides
}

/// Whole numbers of this sum, by largest remainders; ties to the first.
fn rounded(wanted: &[f64], sum: usize) -> Vec<usize> {
    let mut counts: Vec<usize> = wanted.iter().map(|w| w.floor() as usize).collect();
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[b].fract().total_cmp(&wanted[a].fract()));
    let missing = sum.saturating_sub(counts.iter().sum());
    order.into_iter().take(missing).for_each(|i| counts[i] += 1);
    counts
}

#[cfg(test)]
mod tests {
    use counterfoil_ticket::{Architecture, ImageShape};

    use super::*;

    fn layers() -> Vec<Layer> {
        let input = ImageShape { channels: 1, height: 2, width: 5 };
        // 10 × 20 and 20 × 4 are prunable, the classifier is not.
        Architecture::Mlp { input, hidden: vec![20, 4], classes: 3 }.layers()
    }

    #[test]
    fn uniform_densities_are_equal_and_erdos_renyi_s_follow_its_formula() {
        let uniform = Densities::Uniform.kept(&layers(), 0.5);
        assert_eq!(uniform, [("fc1.weight".to_owned(), 100), ("fc2.weight".to_owned(), 40)].into());
        // 56 weights as 30 : 24 (in + out of the two).
        let erk = Densities::Erk.kept(&layers(), 0.8);
        assert_eq!(erk, [("fc1.weight".to_owned(), 31), ("fc2.weight".to_owned(), 25)].into());
    }

    #[test]
    fn layers_beyond_density_are_dense_and_the_others_bear_it() {
        // Of 224 weights, 24/54 would be 100 in a layer of 80.
        let erk = Densities::Erk.kept(&layers(), 0.2);
        assert_eq!(erk, [("fc1.weight".to_owned(), 144), ("fc2.weight".to_owned(), 80)].into());
    }

    #[test]
    fn erk_of_a_resnet_spends_all_and_favours_small_layers() {
        let input = ImageShape { channels: 3, height: 32, width: 32 };
        let layers = Architecture::Resnet20 { input, width: 16, classes: 10 }.layers();
        let kept = Densities::Erk.kept(&layers, 0.95);
        assert_eq!(kept.values().sum::<usize>(), (267_264.0_f64 * 0.05).round() as usize);
        let density = |name: &str| {
            let size = layers.iter().find(|layer| layer.weight() == name).unwrap().shape.size();
            kept[name] as f64 / size as f64
        };
        // (16 + 16 + 6) / 2304 against (64 + 64 + 6) / 36864.
        let ratio = density("layer1.0.conv1.weight") / density("layer3.2.conv2.weight");
        assert!((ratio - (38.0 / 2304.0) / (134.0 / 36864.0)).abs() < 0.02, "{ratio}");
    }
}
