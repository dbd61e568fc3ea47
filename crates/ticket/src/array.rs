//! Dense arrays: the values of one tensor, in memory.

/// Whether a tensor was stored as floating-point numbers or as integers (booleans count as integers).
///
/// Integer tensors, such as a batch norm's `num_batches_tracked`, are carried along; the canonical digest leaves them
/// out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// Floating point.
    Float,
    /// Integers and booleans, all exactly representable as `f32`.
    Integer,
}

/// A dense tensor of `f32`, row-major. Invariant: as many values as the shape says.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    values: Vec<f32>,
    element: Element,
}

/// The number of values is not the product of the shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{values} values for the shape {shape:?}, expected the product of its dimensions")]
pub struct ShapeError {
    /// The shape asked for.
    pub shape: Vec<usize>,
    /// Number of values given.
    pub values: usize,
}

impl Array {
    /// A floating-point tensor; `shape` outermost first, empty for a scalar.
    pub fn new(shape: Vec<usize>, values: Vec<f32>) -> Result<Self, ShapeError> {
        Self::with_element(shape, values, Element::Float)
    }

    /// A tensor of the given element kind. Integers must be integral values; this is not checked.
    pub fn with_element(shape: Vec<usize>, values: Vec<f32>, element: Element) -> Result<Self, ShapeError> {
        if size_of_shape(&shape) == Some(values.len()) {
            Ok(Self { shape, values, element })
        } else {
            Err(ShapeError { shape, values: values.len() })
        }
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Values in row-major order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Values in row-major order, to be changed in place.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The values alone.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// How the tensor was stored, and will be.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Number of values.
    pub fn size(&self) -> usize {
        self.values.len()
    }
}

/// Number of values of a shape, `None` if it overflows.
pub(crate) fn size_of_shape(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |size, &dim| size.checked_mul(dim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_counts_the_values() {
        let array = Array::new(vec![2, 3], vec![0.5; 6]).unwrap();
        assert_eq!((array.shape(), array.size()), (&[2, 3][..], 6));
        assert_eq!(Array::new(vec![], vec![7.0]).unwrap().into_values(), [7.0]);
        assert_eq!(Array::new(vec![0, 3], vec![]).unwrap().size(), 0);
    }

    #[test]
    fn other_counts_and_overflowing_shapes_are_refused() {
        let wrong = ShapeError { shape: vec![2, 3], values: 5 };
        assert_eq!(Array::new(vec![2, 3], vec![0.0; 5]), Err(wrong));
        let huge = ShapeError { shape: vec![usize::MAX, 2], values: 0 };
        assert_eq!(Array::new(vec![usize::MAX, 2], vec![]), Err(huge));
    }
}
