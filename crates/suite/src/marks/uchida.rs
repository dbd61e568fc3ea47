//! Bits in projections of the mean filter of one layer (Uchida et al. 2017, arXiv 1701.04082): X · mean over the output
//! channels of w, X drawn from N(0, 1), bit 1 where that is positive. Put in by fine-tuning, as in section 3.1 there: steps of
//! their regulariser on the layer's kept weights, by turns with epochs of training.

use counterfoil_ticket::{Carrier, CarrierShape, Model};
use counterfoil_train::Network;
use counterfoil_train::data::Dataset;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use super::{Mark, Teaching, lost, of_bits, secret};
use crate::OtherMark;
use crate::tuning::tuned;

pub(super) struct Uchida;

/// Bits of a mark: enough for log2 p = −128 if all are right.
const BITS: usize = 128;
/// Times that bits and training take turns.
const TURNS: usize = 3;
/// Steps of the regulariser each time.
const STEPS: usize = 400;
/// Each step's length, in deviations of the layer's kept weights.
const STEP: f64 = 0.02;
/// How sure of each bit a turn is to be: a sigmoid of 0.98.
const MARGIN: f64 = 4.0;

impl Mark for Uchida {
    fn name(&self) -> &'static str {
        "uchida"
    }

    fn on_model(&self, mut model: Model, seed: u64, teaching: &Teaching) -> Result<Model, String> {
        for _ in 0..TURNS {
            write_bits(&mut model, seed)?;
            model = tuned(model, teaching, seed)?;
        }
        write_bits(&mut model, seed)?;
        Ok(model)
    }

    fn read(&self, suspect: &Model, _: Option<&Network>, before: &Model, seed: u64, _: &Dataset) -> OtherMark {
        let Some((name, _)) = layer(before) else { return lost("uchida", "there is no layer for it") };
        let same = suspect.arrays.get(&name).filter(|array| array.shape() == before.arrays[&name].shape());
        let Some(array) = same else { return lost("uchida", "its layer has another shape or name") };
        let key = Key::new(array.shape(), seed);
        let right =
            key.projections(array.values()).iter().zip(&key.bits).filter(|(p, bit)| (**p > 0.0) == **bit).count();
        // Their own criterion is that all bits are right; here it is the threshold of everything else.
        let reading = of_bits("uchida", right, BITS, false);
        OtherMark { holds: reading.log2_p.is_some_and(|bits| bits <= counterfoil_verify::DEFAULT_THRESHOLD), ..reading }
    }
}

/// The layer that carries the bits: the last convolution with room for them that is pruned, as in section 4 of the paper.
fn layer(model: &Model) -> Option<(String, CarrierShape)> {
    let has_room = |carrier: &Carrier| carrier.shape.taps() > 1 && carrier.shape.row() > BITS;
    model.carriers().into_iter().rfind(has_room).map(|carrier| (carrier.name, carrier.shape))
}

/// The owner's secret: X, BITS by the size of a filter, and the bits.
struct Key {
    rows: Vec<Vec<f64>>,
    bits: Vec<bool>,
}

impl Key {
    fn new(shape: &[usize], seed: u64) -> Self {
        let size = shape[1..].iter().product();
        let mut rng = ChaCha8Rng::seed_from_u64(secret("uchida", seed));
        let bits = (0..BITS).map(|_| rng.next_u32() & 1 == 1).collect();
        let rows = (0..BITS).map(|_| (0..size).map(|_| StandardNormal.sample(&mut rng)).collect()).collect();
        Self { rows, bits }
    }

    /// X times the mean filter.
    fn projections(&self, values: &[f32]) -> Vec<f64> {
        let size = self.rows[0].len();
        let mut mean = vec![0.0; size];
        for filter in values.chunks(size) {
            mean.iter_mut().zip(filter).for_each(|(sum, w)| *sum += f64::from(*w));
        }
        let out = (values.len() / size) as f64;
        let mean: Vec<f64> = mean.into_iter().map(|sum| sum / out).collect();
        self.rows.iter().map(|row| row.iter().zip(&mean).map(|(x, w)| x * w).sum()).collect()
    }
}

/// Steps of the binary cross-entropy's gradient on the kept weights, until all bits are sure.
fn write_bits(model: &mut Model, seed: u64) -> Result<(), String> {
    let (name, _) = layer(model).ok_or("no pruned convolution has room for the bits of Uchida's mark")?;
    let array = model.arrays.get_mut(&name).ok_or("the layer has no weights")?;
    let key = Key::new(array.shape(), seed);
    let values = array.values_mut();
    let size = key.rows[0].len();
    let kept = values.iter().filter(|w| **w != 0.0);
    let deviation = (kept.clone().map(|w| f64::from(*w).powi(2)).sum::<f64>() / kept.count().max(1) as f64).sqrt();
    // Projections are of the size of the mean filter: in units of their own deviation, a margin is one.
    let scale = key.projections(values).iter().map(|p| p * p).sum::<f64>().sqrt() / (BITS as f64).sqrt();
    for _ in 0..STEPS {
        let projections = key.projections(values);
        let pull: Vec<f64> = projections
            .iter()
            .zip(&key.bits)
            .map(|(projection, bit)| {
                let target = if *bit { 1.0 } else { -1.0 };
                let sure = target * projection / scale.max(f64::MIN_POSITIVE);
                if sure >= MARGIN { 0.0 } else { target / (1.0 + sure.exp()) }
            })
            .collect();
        let mut gradient = vec![0.0; size];
        for (row, pull) in key.rows.iter().zip(&pull).filter(|(_, pull)| **pull != 0.0) {
            gradient.iter_mut().zip(row).for_each(|(sum, x)| *sum += pull * x);
        }
        let length = (gradient.iter().map(|g| g * g).sum::<f64>() / size as f64).sqrt();
        if length == 0.0 {
            break;
        }
        for (position, w) in values.iter_mut().enumerate().filter(|(_, w)| **w != 0.0) {
            *w += (STEP * deviation * gradient[position % size] / length) as f32;
        }
    }
    Ok(())
}
