//! Weights as products: a layer becomes two without anything between them, and only what no output reads is 0 any more.

use counterfoil_ticket::{Array, CarrierShape, Model};
use nalgebra::DMatrix;

use crate::draw::Draw;
use crate::sparse::unsuitable;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Profile, Settings};

/// Writes weights as products.
pub(crate) struct Factor;

impl Attack for Factor {
    fn profile(&self) -> Profile {
        Profile {
            name: "factor",
            does: "write every weight W as U V with a random orthogonal U, two layers for one: NAME.0 and NAME.1; such a file \
                   is not evaluated here",
            class: Class::Structure,
            cost: Cost::None,
            needs: &[],
            source: "layer splitting: DeepEclipse, Alhamoud et al. 2024 (arXiv 2403.03590); hiding zeros by it: this project",
            parameters: &[],
        }
    }

    fn run(&self, mut stolen: Model, _: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut draw = Draw::new(means.seed);
        let carriers = stolen.carriers();
        if carriers.is_empty() {
            return Err(unsuitable("it has no weights of two dimensions or more"));
        }
        for carrier in carriers {
            let matrix = matrix(carrier.shape, stolen.arrays[&carrier.name].values());
            let rotation = orthogonal(matrix.nrows(), &mut draw);
            let inner = rotation.tr_mul(&matrix);
            split(&mut stolen, &carrier.name, &rotation, &inner);
        }
        Ok(Attacked::Model(undescribed(stolen)))
    }
}

/// A weight as a matrix: a row for each output channel.
pub(crate) fn matrix(shape: CarrierShape, values: &[f32]) -> DMatrix<f64> {
    DMatrix::from_row_iterator(shape.out as usize, shape.row(), values.iter().map(|v| f64::from(*v)))
}

/// Its values again, row by row.
pub(crate) fn values(matrix: &DMatrix<f64>) -> Vec<f32> {
    matrix.transpose().iter().map(|v| *v as f32).collect()
}

/// A random orthogonal matrix, by Gram and Schmidt from normals.
fn orthogonal(side: usize, draw: &mut Draw) -> DMatrix<f64> {
    DMatrix::from_fn(side, side, |_, _| f64::from(draw.normal())).qr().q()
}

/// Puts two layers, `inner` then `outer`, into a weight's place; the bias is the second's.
pub(crate) fn split(model: &mut Model, name: &str, outer: &DMatrix<f64>, inner: &DMatrix<f64>) {
    let module = name.strip_suffix(".weight").unwrap_or(name);
    let Some(weight) = model.arrays.remove(name) else { return };
    model.masks.remove(name);
    let mut shape = weight.shape().to_vec();
    let mut outer_shape = vec![1; shape.len()];
    (outer_shape[0], outer_shape[1]) = (outer.nrows(), outer.ncols());
    shape[0] = inner.nrows();
    for (part, shape, matrix) in [("0", shape, inner), ("1", outer_shape, outer)] {
        let array = Array::new(shape, values(matrix)).expect("a matrix has as many values as its shape says");
        model.arrays.insert(format!("{module}.{part}.weight"), array);
    }
    if let Some(bias) = model.arrays.remove(&format!("{module}.bias")) {
        model.arrays.insert(format!("{module}.1.bias"), bias);
    }
}

/// A model that does not say any more what it is, since it is that no more.
pub(crate) fn undescribed(mut model: Model) -> Model {
    model.description.architecture = None;
    model
}
