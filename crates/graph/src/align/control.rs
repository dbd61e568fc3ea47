//! A positive control: whether alignment would have worked, had the suspect been the ticket.

use counterfoil_ticket::{CarrierShape, Mask};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{AlignError, AlignLayer, AlignSettings, Aligner, Side};
use crate::draw::{below, without_replacement};

/// Share of what the control keeps of the ticket that has to be found in its place.
const FOUND: f64 = 0.9;

/// Whether the ticket itself is found again after its channels were permuted at random and its masks cut down, or filled up
/// at random, to as many positions as the suspect's.
///
/// `whole` are the ticket's masks, of which `layers` show the aligner only what may be aligned on. Shortcuts are not made
/// use of, so that every group can be permuted by itself: that is a little harder.
///
/// # Errors
///
/// As [`Aligner::new`].
///
/// # Panics
///
/// If there is not one whole mask, of the right size, for each layer.
pub fn finds_itself(
    layers: &[AlignLayer],
    whole: &[&Mask],
    fixed: &[usize],
    settings: AlignSettings,
    seed: u64,
) -> Result<bool, AlignError> {
    assert_eq!(layers.len(), whole.len(), "one whole mask for each layer");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let groups = layers.iter().map(|l| l.from.max(l.to) + 1).max().unwrap_or(0);
    let mut moves: Vec<Vec<u32>> = vec![Vec::new(); groups];
    for layer in layers {
        let shape = layer.reference.shape;
        for (group, width) in [(layer.from, shape.inp), (layer.to, shape.out)] {
            if moves[group].is_empty() {
                moves[group] = (0..width).collect();
                if !fixed.contains(&group) {
                    shuffle(&mut moves[group], &mut rng);
                }
            }
        }
    }
    let mut parts = Vec::new();
    let mut controls = Vec::new();
    for (layer, whole) in layers.iter().zip(whole) {
        let shape = layer.reference.shape;
        let part = cut_down(whole, layer.suspect.kept.kept(), &mut rng);
        let mut control = moved(&part, shape, &moves[layer.from], &moves[layer.to]);
        let missing = layer.suspect.kept.kept().min(whole.size()).saturating_sub(part.kept());
        fill_up(&mut control, missing, &mut rng);
        parts.push(part);
        controls.push(control);
    }
    let mut layers: Vec<AlignLayer> = layers.to_vec();
    for (layer, kept) in layers.iter_mut().zip(&controls) {
        layer.suspect = Side { shape: layer.reference.shape, kept };
    }
    let found = Aligner::new(&layers, &[], fixed)?.align(settings);
    let (mut placed, mut all) = (0, 0);
    for (layer, part) in layers.iter().zip(&parts) {
        let back = found.place([layer.from, layer.to], layer.reference.shape, layer.suspect);
        placed += back.overlap(part);
        all += part.kept();
    }
    Ok(all > 0 && placed as f64 >= FOUND * all as f64)
}

fn shuffle(items: &mut [u32], rng: &mut ChaCha8Rng) {
    (1..items.len()).rev().for_each(|i| items.swap(i, below(i as u32 + 1, rng) as usize));
}

/// At most so many of the kept positions, drawn at random.
fn cut_down(mask: &Mask, most: usize, rng: &mut ChaCha8Rng) -> Mask {
    let kept: Vec<usize> = mask.positions().collect();
    if kept.len() <= most {
        return mask.clone();
    }
    let mut part = Mask::empty(mask.size());
    // Positions of a layer are checked to be a u32's.
    without_replacement(kept.len() as u32, most as u32, rng).iter().for_each(|&i| part.set(kept[i as usize], true));
    part
}

/// Keeps so many more, drawn at random.
fn fill_up(mask: &mut Mask, missing: usize, rng: &mut ChaCha8Rng) {
    let free: Vec<usize> = (0..mask.size()).filter(|&p| !mask.keeps(p)).collect();
    let missing = missing.min(free.len());
    without_replacement(free.len() as u32, missing as u32, rng).iter().for_each(|&i| mask.set(free[i as usize], true));
}

/// Channel c becomes channel `outputs[c]`, or `inputs[c]`.
fn moved(mask: &Mask, shape: CarrierShape, inputs: &[u32], outputs: &[u32]) -> Mask {
    let (taps, inp) = (shape.taps(), shape.inp as usize);
    let mut moved = Mask::empty(mask.size());
    for position in mask.positions() {
        let (o, i, tap) = (position / taps / inp, position / taps % inp, position % taps);
        moved.set((outputs[o] as usize * inp + inputs[i] as usize) * taps + tap, true);
    }
    moved
}
