//! Kernels in a larger frame: where their taps lie, channel by channel.
//!
//! A 3×3 kernel with a border of zeros is a 5×5 kernel, and in it the taps can be moved: if those into a hidden channel go one
//! column to the left, and those out of it back, the network does (but for the image's edges) what it did. So each channel
//! has a shift δ, and tap t of kernel (o, i), counted from the centre, lies at t + δ(o) − δ(i). Channels are matched on sums over
//! taps, which no shift changes; then each channel in turn takes the shift under which most of the reference's
//! positions are kept, given all others', and channels are matched once more on what that makes of their taps.

use counterfoil_ticket::{CarrierShape, Mask};

use rayon::prelude::*;

use super::aligner::{AlignLayer, Aligner, Shifted, Side};
use super::assignment::{Matrix, assign};
use super::descent::{Alignment, Channels};
use super::kept_lists::End;

/// Rows and columns by which the taps of a channel are moved, in the suspect as against the ticket.
pub type Shift = [i8; 2];

/// Most rounds over all groups.
const MAX_ROUNDS: u32 = 20;

/// Most rows or columns of a shift: 15 · 15 of them have a number that is a byte.
const MAX_SHIFT: u32 = 7;

/// The rows and columns by which the suspect's kernels are larger on each side; `None` if they are smaller, or not centred.
pub(super) fn border(reference: CarrierShape, suspect: CarrierShape) -> Option<[u32; 2]> {
    let of = |ours: u32, theirs: u32| theirs.checked_sub(ours).filter(|d| d % 2 == 0).map(|d| d / 2);
    Some([of(reference.height, suspect.height)?, of(reference.width, suspect.width)?])
}

/// The tap of the suspect at a tap of the ticket and a shift, `None` beyond the frame.
pub(super) fn tap_at(reference: CarrierShape, suspect: CarrierShape, tap: usize, shift: [i32; 2]) -> Option<usize> {
    let border = border(reference, suspect)?;
    let width = reference.width as usize;
    let place = |at: usize, border: u32, shift: i32, limit: u32| {
        let at = i64::try_from(at).ok()? + i64::from(border) + i64::from(shift);
        u64::try_from(at).ok().filter(|&at| at < u64::from(limit))
    };
    let row = place(tap / width, border[0], shift[0], suspect.height)?;
    let column = place(tap % width, border[1], shift[1], suspect.width)?;
    Some((row * u64::from(suspect.width) + column) as usize)
}

/// The centre of the suspect's kernels, as large as the ticket's; `None` if something is kept outside.
pub(super) fn cropped(reference: CarrierShape, suspect: Side) -> Option<(CarrierShape, Mask)> {
    let shape = CarrierShape { height: reference.height, width: reference.width, ..suspect.shape };
    let mut to = vec![None; suspect.shape.taps()];
    for tap in 0..shape.taps() {
        to[tap_at(reference, suspect.shape, tap, [0, 0])?] = Some(tap);
    }
    let mut centre = Mask::empty(shape.size());
    for position in suspect.kept.positions() {
        centre.set(position / to.len() * shape.taps() + to[position % to.len()]?, true);
    }
    Some((shape, centre))
}

/// Shifts of the ticket's channels, and channels anew: similarity is now that of taps, under the shift that suits a pair best.
///
/// Groups within blocks are taken before streams: as long as no shift is known, those of streams are most likely none.
pub(super) fn refine(aligner: &Aligner, shifted: &Shifted, found: &mut Alignment, rounds: u32) {
    let channels = &mut found.channels;
    let candidates = candidates(&shifted.layers);
    let mut shifts: Vec<Vec<Shift>> = channels.iter().map(|group| vec![[0, 0]; group.len()]).collect();
    for _ in 0..rounds.min(MAX_ROUNDS) {
        let mut has_changed = false;
        for group in aligner.order().into_iter().rev() {
            let (matrix, best) = similarity(aligner, shifted, group, (&*channels, &shifts), &candidates);
            let assigned = assign(&matrix);
            let of_channel = |(c, d): (usize, &Option<u32>)| {
                d.map_or([0, 0], |d| candidates[usize::from(best[c * matrix.columns + d as usize])])
            };
            let found: Vec<Shift> = assigned.iter().enumerate().map(of_channel).collect();
            has_changed |= assigned != channels[group] || found != shifts[group];
            (channels[group], shifts[group]) = (assigned, found);
        }
        if !has_changed {
            break;
        }
    }
    found.similarity = total_similarity(shifted, channels, &shifts);
    found.shifts = shifts;
}

/// Cosine of what the reference and the suspect keep.
fn total_similarity(shifted: &Shifted, channels: &[Channels], shifts: &[Vec<Shift>]) -> f64 {
    let (mut known, mut met, mut theirs) = (0u64, 0u64, 0u64);
    for (index, layer) in shifted.layers.iter().enumerate() {
        for (c, d) in channels[layer.to].iter().enumerate() {
            let Some(d) = *d else { continue };
            theirs += shifted.suspect[index].degree(End::Writes, d as usize) as u64;
            for (other, tap) in shifted.reference[index].links(End::Writes, c) {
                let Some(of) = channels[layer.from][other] else { continue };
                let (out, inp) = (shifts[layer.to][c], shifts[layer.from][other]);
                let by = [0, 1].map(|axis| i32::from(out[axis]) - i32::from(inp[axis]));
                let at = tap_at(layer.reference.shape, layer.suspect.shape, tap, by);
                known += 1;
                met += u64::from(at.is_some_and(|at| shifted.suspect[index].has(d as usize, of as usize, at)));
            }
        }
    }
    let size = (known as f64 * theirs as f64).sqrt();
    if size > 0.0 { met as f64 / size } else { 0.0 }
}

/// All shifts that the larger frames have room for, the least first: it is taken where nothing speaks for another.
fn candidates(layers: &[AlignLayer]) -> Vec<Shift> {
    // A group is shifted by as much as a frame has room for, and no more than a byte can number.
    let [rows, columns] = widest_border(layers).map(|most| most.min(MAX_SHIFT) as i8);
    let mut candidates: Vec<Shift> =
        (-rows..=rows).flat_map(|row| (-columns..=columns).map(move |column| [row, column])).collect();
    candidates.sort_by_key(|shift| shift.iter().map(|s| u32::from(s.unsigned_abs())).sum::<u32>());
    candidates
}

/// The most rows and columns by which the suspect's kernels are larger on either side.
pub(super) fn widest_border(layers: &[AlignLayer]) -> [u32; 2] {
    let borders = layers.iter().filter_map(|l| border(l.reference.shape, l.suspect.shape));
    borders.fold([0, 0], |most, border| [most[0].max(border[0]), most[1].max(border[1])])
}

/// As `Aligner::similarity`, each pair under the shift that suits it best; and the index of that shift.
fn similarity(
    aligner: &Aligner,
    shifted: &Shifted,
    group: usize,
    (channels, shifts): (&[Channels], &[Vec<Shift>]),
    candidates: &[Shift],
) -> (Matrix, Vec<u8>) {
    let of_group = &aligner.groups[group];
    let columns = of_group.suspect;
    let degrees: Vec<f32> = (0..columns)
        .map(|d| of_group.roles.iter().map(|&(l, end)| shifted.suspect[l].degree(end, d)).sum::<usize>() as f32)
        .collect();
    let mut values = vec![0.0; of_group.reference * columns];
    let mut best = vec![0u8; values.len()];
    let rows = values.par_chunks_mut(columns.max(1)).zip(best.par_chunks_mut(columns.max(1)));
    rows.enumerate().for_each(|(c, (row, best))| {
        let mut met = vec![0u32; candidates.len() * columns];
        let mut kept = 0;
        for &(index, end) in &of_group.roles {
            let AlignLayer { from, to, reference, suspect } = shifted.layers[index];
            let other_group = if end == End::Reads { to } else { from };
            for (other, tap) in shifted.reference[index].links(end, c) {
                let Some(theirs) = channels[other_group][other] else { continue };
                kept += 1;
                let of_other = shifts[other_group][other];
                for (met, shift) in met.chunks_mut(columns).zip(candidates) {
                    let (out, inp) = if end == End::Writes { (*shift, of_other) } else { (of_other, *shift) };
                    let by = [0, 1].map(|axis| i32::from(out[axis]) - i32::from(inp[axis]));
                    if let Some(at) = tap_at(reference.shape, suspect.shape, tap, by) {
                        let linked = shifted.suspect[index].linked(end, theirs as usize, at);
                        linked.iter().for_each(|&d| met[d as usize] += 1);
                    }
                }
            }
        }
        for d in 0..columns {
            let most = (1..candidates.len())
                .fold(0, |most, k| if met[k * columns + d] > met[most * columns + d] { k } else { most });
            let size = (kept as f32 * degrees[d]).sqrt();
            best[d] = most as u8;
            row[d] = if size > 0.0 { met[most * columns + d] as f32 / size } else { 0.0 };
        }
    });
    (Matrix { values, columns }, best)
}
