//! The suspect's layers in memory: their values, what they keep, and the batch norms behind them.
//!
//! A layer that was factored in two (`X.0.weight`, then `X.1.weight`, without a non-linearity between them) is multiplied back
//! here: W(o, i, t) = Σ b(o, r) · a(r, i), one of the two having the taps.

use counterfoil_ticket::{Carrier, CarrierShape, Mask, ModelFile, ReadError};

use super::Network;
use super::network::NetworkLayer;

/// A product is a zero if it is below this share of Σ |b| · |a|: what is left where factors in binary32 cancel.
const NOISE: f64 = 1.0 / (1 << 16) as f64;

/// What is added to variances, as PyTorch does.
const EPSILON: f64 = 1e-5;

/// A layer of the suspect.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) shape: CarrierShape,
    pub(super) values: Vec<f32>,
    pub(super) kept: Mask,
    /// Factor and addend of each output behind the layer: of its batch norm and its bias. What a file does not have is none.
    pub(super) affine: Vec<[f64; 2]>,
}

/// All layers of the network that the suspect has a tensor for.
pub(super) fn read_all(file: &ModelFile, network: &Network) -> Result<Vec<Option<Held>>, ReadError> {
    network.layers.iter().map(|layer| read(file, layer)).collect()
}

fn read(file: &ModelFile, layer: &NetworkLayer) -> Result<Option<Held>, ReadError> {
    let Some(tensor) = &layer.tensor else { return Ok(None) };
    let (values, kept) = match &layer.factors {
        Some([first, second]) => {
            let factor = |of: &Carrier| Ok(layer.layout.values(of.shape, file.values(&of.name)?.into_values()));
            let (a, b): (Vec<f32>, Vec<f32>) = (factor(first)?, factor(second)?);
            let values = product((&a, first.shape), (&b, second.shape));
            let kept = Mask::of_nonzero(&values);
            (values, kept)
        }
        None => {
            let kept = layer.layout.mask(tensor.shape, file.kept(&tensor.name)?);
            let mut values = layer.layout.values(tensor.shape, file.values(&tensor.name)?.into_values());
            kept.apply(&mut values);
            (values, kept)
        }
    };
    Ok(Some(Held { shape: tensor.shape, values, kept, affine: affine(file, layer, tensor.shape.out as usize)? }))
}

/// W of two factors: the first reads the input.
fn product((a, first): (&[f32], CarrierShape), (b, second): (&[f32], CarrierShape)) -> Vec<f32> {
    let (inputs, ranks) = (first.inp as usize, first.out as usize);
    let [of_a, of_b] = [first.taps(), second.taps()];
    let taps = of_a.max(of_b);
    let mut values = Vec::with_capacity(second.out as usize * inputs * taps);
    let (mut sums, mut sizes) = (vec![0.0; inputs * taps], vec![0.0; inputs * taps]);
    for o in 0..second.out as usize {
        sums.fill(0.0);
        sizes.fill(0.0);
        for r in 0..ranks {
            let b = &b[(o * ranks + r) * of_b..][..of_b];
            let a = &a[r * inputs * of_a..][..inputs * of_a];
            for (p, (sum, size)) in sums.iter_mut().zip(&mut sizes).enumerate() {
                let (i, t) = (p / taps, p % taps);
                let term =
                    f64::from(a[i * of_a + if of_a > 1 { t } else { 0 }]) * f64::from(b[if of_b > 1 { t } else { 0 }]);
                *sum += term;
                *size += term.abs();
            }
        }
        values.extend(
            sums.iter().zip(&sizes).map(|(&sum, size)| if sum.abs() > NOISE * size { sum as f32 } else { 0.0 }),
        );
    }
    values
}

/// Factor and addend of each output.
fn affine(file: &ModelFile, layer: &NetworkLayer, outputs: usize) -> Result<Vec<[f64; 2]>, ReadError> {
    let vector = |name: String, absent: f32| -> Result<Vec<f32>, ReadError> {
        let is_there = file.entries().iter().any(|entry| entry.name == name && entry.shape == [outputs]);
        if is_there { Ok(file.values(&name)?.into_values()) } else { Ok(vec![absent; outputs]) }
    };
    let bias = vector(format!("{}.bias", layer.layer.name), 0.0)?;
    let Some(norm) = &layer.layer.norm else { return Ok(bias.iter().map(|&b| [1.0, f64::from(b)]).collect()) };
    let of = |part: &str, absent| vector(format!("{norm}.{part}"), absent);
    let (gamma, beta) = (of("weight", 1.0)?, of("bias", 0.0)?);
    let (mean, variance) = (of("running_mean", 0.0)?, of("running_var", 1.0)?);
    let affine = |c: usize| {
        let factor = f64::from(gamma[c]) / (f64::from(variance[c]) + EPSILON).sqrt();
        [factor, f64::from(beta[c]) + factor * (f64::from(bias[c]) - f64::from(mean[c]))]
    };
    Ok((0..outputs).map(affine).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_multiplied_back_and_what_cancels_is_a_zero() {
        // a: 2 ranks, 2 inputs, 1 × 3 taps; b: 1 output of both ranks.
        let first = CarrierShape { out: 2, inp: 2, height: 1, width: 3 };
        let second = CarrierShape { out: 1, inp: 2, height: 1, width: 1 };
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.1, 1.0, 1.0, 1.0, 1.0, 2.0];
        let found = product((&a, first), (&[0.1, -1.0], second));
        let expected = [0.0, -0.8, -0.7, -0.6, -0.5, -1.4];
        assert!(found.iter().zip(expected).all(|(f, e): (&f32, f32)| (f - e).abs() < 1e-6), "{found:?}");
        assert_eq!(found[0], 0.0);
    }
}
