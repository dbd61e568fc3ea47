//! The same numbers in another layout: axes of other frameworks, batch norms folded into what they follow.

use counterfoil_ticket::{Array, Mask, Model};

use super::factor::undescribed;
use super::wired::{EPSILON, Wired};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Writes a model in another layout.
pub(crate) struct Regroup;

impl Attack for Regroup {
    fn profile(&self) -> Profile {
        Profile {
            name: "regroup",
            does: "write the weights with other axes and fold batch norms into them; such a file is not evaluated here",
            class: Class::Structure,
            cost: Cost::None,
            needs: &[],
            source: "this project; the layouts are TensorFlow's (hwio, linear layers in x out) and channels-last (ohwi)",
            parameters: const {
                &[
                    Parameter::choice("axes", "hwio", &["oihw", "ohwi", "hwio"], "order of a convolution's axes"),
                    Parameter::choice("norms", "folded", &["folded", "kept"], "what becomes of batch norms"),
                ]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        if settings.word("norms") == "folded" {
            stolen = folded(Wired::of(stolen, means)?);
        }
        let order: &[usize] = match settings.word("axes") {
            "oihw" => &[0, 1, 2, 3],
            "ohwi" => &[0, 2, 3, 1],
            _ => &[2, 3, 1, 0],
        };
        for (name, array) in &mut stolen.arrays {
            match array.shape().len() {
                4 => *array = transposed(array, order),
                2 if settings.word("axes") == "hwio" => *array = transposed(array, &[1, 0]),
                _ => continue,
            }
            if let Some(mask) = stolen.masks.get_mut(name) {
                *mask = Mask::of_nonzero(array.values());
            }
        }
        Ok(Attacked::Model(undescribed(stolen)))
    }
}

/// The model with a factor in every filter, and a bias, for each batch norm.
fn folded(mut wired: Wired) -> Model {
    for layer in wired.layers().to_vec() {
        let Some(norm) = &layer.norm else { continue };
        let bias = format!("{}.bias", layer.name);
        let mut biases = Vec::new();
        for channel in 0..layer.shape.out as usize {
            let [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
                .map(|kind| *wired.at(&format!("{norm}.{kind}"), channel));
            let before = layer.bias().map_or(0.0, |bias| *wired.at(&bias, channel));
            let factor = gamma / (variance + EPSILON).sqrt();
            wired.row(&layer, channel).iter_mut().for_each(|w| *w *= factor);
            biases.push(beta + (before - mean) * factor);
        }
        let prefix = format!("{norm}.");
        wired.model.arrays.retain(|name, _| !name.starts_with(&prefix));
        let biases = Array::new(vec![biases.len()], biases).expect("as many as there are");
        wired.model.arrays.insert(bias, biases);
    }
    wired.into_model()
}

/// A tensor whose axis i is axis `order[i]` of this one.
fn transposed(array: &Array, order: &[usize]) -> Array {
    let shape = array.shape();
    let mut strides = vec![1; shape.len()];
    (0..shape.len() - 1).rev().for_each(|axis| strides[axis] = strides[axis + 1] * shape[axis + 1]);
    let new: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
    let source = |mut index: usize| {
        let mut place = 0;
        for (&axis, &size) in order.iter().zip(&new).rev() {
            place += index % size * strides[axis];
            index /= size;
        }
        place
    };
    let values = (0..array.size()).map(|index| array.values()[source(index)]).collect();
    Array::with_element(new, values, array.element()).expect("a transposed tensor has as many values")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_change_places() {
        let array = Array::new(vec![2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let array = transposed(&array, &[1, 0]);
        assert_eq!((array.shape(), array.values()), (&[3, 2][..], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0][..]));
        let array = Array::new(vec![2, 1, 1, 2], vec![0.0, 1.0, 2.0, 3.0]).unwrap();
        let array = transposed(&array, &[2, 3, 1, 0]);
        assert_eq!((array.shape(), array.values()), (&[1, 2, 1, 2][..], &[0.0, 2.0, 1.0, 3.0][..]));
    }
}
