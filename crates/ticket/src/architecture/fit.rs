//! Networks that were changed and still compute by their architecture: hidden channels that came or went, kernels with a
//! border.

use super::{Architecture, ImageShape, Layer, LayerKind};
use crate::CarrierShape;

/// How tensors miss an architecture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// One that it needs is not there.
    #[error("tensor '{tensor}' is missing, expected by the architecture")]
    Missing {
        /// Its name.
        tensor: String,
    },
    /// One has a shape that it cannot have.
    #[error("tensor '{tensor}' has the shape {found:?}, expected {expected}")]
    Shape {
        /// Its name.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// Dimensions that it has to have, or what its kernel has to be.
        expected: String,
    },
}

impl Architecture {
    /// Whether the width of a node group is nobody's but its own: one layer writes it, no shortcut begins or ends there,
    /// and it is neither the input nor the classes.
    pub fn is_inner(&self, group: usize) -> bool {
        let layers = self.layers();
        let classes = layers.iter().map(|layer| layer.to).max();
        let writers = layers.iter().filter(|layer| layer.to == group).count();
        let is_end = self.shortcuts().iter().any(|shortcut| [shortcut.from, shortcut.to].contains(&group));
        writers == 1 && !is_end && Some(group) != classes
    }

    /// Its layers with the shapes of these weights: [inner](Architecture::is_inner) groups have as many channels as their
    /// writer says, and kernels of convolutions may have any odd side, with half of it as padding.
    ///
    /// # Errors
    ///
    /// A weight is missing, or does not fit what it reads and writes.
    pub fn fit<'a>(&self, shape_of: impl Fn(&str) -> Option<&'a [usize]>) -> Result<Vec<Layer>, FitError> {
        let mut layers = self.layers();
        let mut widths = vec![None; layers.iter().map(|layer| layer.to + 1).max().unwrap_or(0)];
        for layer in &mut layers {
            let tensor = layer.weight();
            let found = shape_of(&tensor).ok_or_else(|| FitError::Missing { tensor: tensor.clone() })?;
            let refused =
                |expected: String| FitError::Shape { tensor: tensor.clone(), found: found.to_vec(), expected };
            let inp = widths[layer.from].unwrap_or(layer.shape.inp);
            let shape = CarrierShape::of_tensor(found).filter(|shape| shape.inp == inp);
            let shape = shape.ok_or_else(|| refused(format!("{inp} inputs")))?;
            if self.is_inner(layer.to) {
                widths[layer.to] = Some(shape.out);
            } else if shape.out != layer.shape.out {
                return Err(refused(format!("{} outputs", layer.shape.out)));
            }
            match &mut layer.kind {
                LayerKind::Conv { padding, .. } if shape.height == shape.width && shape.height % 2 == 1 => {
                    *padding = shape.height / 2;
                }
                LayerKind::Conv { .. } => return Err(refused("a square kernel of an odd side".to_owned())),
                LayerKind::Linear if shape.taps() == 1 => (),
                LayerKind::Linear => return Err(refused("no kernel".to_owned())),
            }
            layer.shape = shape;
        }
        Ok(layers)
    }

    /// Recognises a network as [`Architecture::recognise`] does, also one whose inner groups have other widths or whose
    /// kernels have other sides.
    pub fn recognise_changed(tensors: &[(&str, &[usize])], input: ImageShape) -> Option<Self> {
        let shape_of = |name: &str| tensors.iter().find(|tensor| tensor.0 == name).map(|tensor| tensor.1);
        let carriers = tensors.iter().filter(|(_, shape)| CarrierShape::of_tensor(shape).is_some()).count();
        let fits = |candidate: &Self| candidate.fit(shape_of).is_ok_and(|layers| layers.len() == carriers);
        let candidates = Self::candidates(shape_of, input).into_iter().filter(Self::is_within_bounds);
        candidates.into_iter().find(fits)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const INPUT: ImageShape = ImageShape { channels: 1, height: 8, width: 8 };
    const RESNET20: Architecture = Architecture::Resnet20 { input: INPUT, width: 4, classes: 10 };

    fn shapes(architecture: &Architecture) -> BTreeMap<String, Vec<usize>> {
        let shape = |layer: &Layer| {
            let [out, inp, height, width] = <[u32; 4]>::from(layer.shape).map(|d| d as usize);
            if layer.kind == LayerKind::Linear { vec![out, inp] } else { vec![out, inp, height, width] }
        };
        architecture.layers().iter().map(|layer| (layer.weight(), shape(layer))).collect()
    }

    fn fit(shapes: &BTreeMap<String, Vec<usize>>) -> Result<Vec<Layer>, FitError> {
        RESNET20.fit(|name| shapes.get(name).map(Vec::as_slice))
    }

    fn recognised(shapes: &BTreeMap<String, Vec<usize>>) -> Option<Architecture> {
        let tensors: Vec<(&str, &[usize])> = shapes.iter().map(|(name, shape)| (&**name, &**shape)).collect();
        Architecture::recognise_changed(&tensors, INPUT)
    }

    #[test]
    fn what_was_not_changed_fits_as_it_is() {
        assert_eq!(fit(&shapes(&RESNET20)).unwrap(), RESNET20.layers());
        assert_eq!(recognised(&shapes(&RESNET20)), Some(RESNET20));
    }

    #[test]
    fn inner_groups_and_kernels_may_have_other_sizes() {
        let mut shapes = shapes(&RESNET20);
        shapes.insert("layer2.1.conv1.weight".to_owned(), vec![11, 8, 5, 5]);
        shapes.insert("layer2.1.conv2.weight".to_owned(), vec![8, 11, 3, 3]);
        let layers = fit(&shapes).unwrap();
        let layer = |name: &str| layers.iter().find(|layer| layer.name == name).unwrap();
        assert_eq!(layer("layer2.1.conv1").kind, LayerKind::Conv { stride: 1, padding: 2 });
        assert_eq!(layer("layer2.1.conv1").shape.out, 11);
        assert_eq!(layer("layer2.1.conv2").shape.inp, 11);
        assert_eq!(recognised(&shapes), Some(RESNET20));
    }

    #[test]
    fn shared_groups_and_even_kernels_do_not_fit() {
        let refused = |name: &str, shape: &[usize]| {
            let mut shapes = shapes(&RESNET20);
            shapes.insert(name.to_owned(), shape.to_vec());
            assert_eq!(recognised(&shapes), None);
            fit(&shapes).unwrap_err().to_string()
        };
        let message = |name: &str, shape: &str, expected: &str| {
            format!("tensor '{name}' has the shape {shape}, expected {expected}")
        };
        let found = refused("layer2.1.conv2.weight", &[9, 8, 3, 3]);
        assert_eq!(found, message("layer2.1.conv2.weight", "[9, 8, 3, 3]", "8 outputs"));
        let found = refused("layer1.0.conv1.weight", &[5, 4, 3, 3]);
        assert_eq!(found, message("layer1.0.conv2.weight", "[4, 4, 3, 3]", "5 inputs"));
        let found = refused("layer1.0.conv1.weight", &[4, 4, 4, 4]);
        assert_eq!(found, message("layer1.0.conv1.weight", "[4, 4, 4, 4]", "a square kernel of an odd side"));
        let mut missing = shapes(&RESNET20);
        missing.remove("linear.weight");
        let message = "tensor 'linear.weight' is missing, expected by the architecture";
        assert_eq!(fit(&missing).unwrap_err().to_string(), message);
    }
}
