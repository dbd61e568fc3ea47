//! The gradient of the weights: sums over all pixels and images of output gradient times input.
//!
//! Only kept weights are computed. A tile of taps keeps its sums in registers over all pixels of a chunk of blocks.

use std::ops::Range;

use pulp::Simd;

use crate::connections::{Connections, Row, TOGETHER};

/// Taps whose sums are kept at once.
const TILE: usize = 8;
/// Floats of input rows that stay in a core's first cache beside what else goes by.
const BAND_FLOATS: usize = 1 << 12;

/// Fills `sums`, one per tap in the order of [`Connections`]' forward rows; of channels that are computed together, tap by
/// tap.
///
/// `input` and `gradient` are padded planes of the same blocks, one block after the other.
#[inline(always)]
pub(crate) fn correlate<S: Simd>(
    simd: S,
    connections: &Connections,
    input: &[S::f32s],
    gradient: &[S::f32s],
    sums: &mut [f32],
) {
    match connections.conv.stride {
        1 => correlate_step::<S, 1>(simd, connections, input, gradient, sums),
        2 => correlate_step::<S, 2>(simd, connections, input, gradient, sums),
        // The slow way for unusual strides: the step is looked up.
        _ => correlate_step::<S, 0>(simd, connections, input, gradient, sums),
    }
}

#[inline(always)]
fn correlate_step<S: Simd, const STEP: usize>(
    simd: S,
    connections: &Connections,
    input: &[S::f32s],
    gradient: &[S::f32s],
    sums: &mut [f32],
) {
    let rows = &connections.forward.rows;
    let group = |row: &Row| row.channel / connections.conv.group_out();
    let mut done = 0;
    for run in rows.chunk_by(|a, b| a.together == TOGETHER && b.together == TOGETHER && group(a) == group(b)) {
        let size = run.iter().map(|row| row.taps.len() * row.together).sum::<usize>();
        let sums = &mut sums[done..done + size];
        if run[0].together == TOGETHER {
            correlate_run::<S, 2, STEP>(simd, connections, run, input, gradient, sums);
        } else {
            correlate_run::<S, 1, STEP>(simd, connections, run, input, gradient, sums);
        }
        done += size;
    }
}

/// Rows that all have the same taps, `C` channels at once.
#[inline(always)]
fn correlate_run<S: Simd, const C: usize, const STEP: usize>(
    simd: S,
    connections: &Connections,
    run: &[Row],
    input: &[S::f32s],
    gradient: &[S::f32s],
    sums: &mut [f32],
) {
    let conv = &connections.conv;
    let (padded_in, padded_out) = (conv.padded_input(), conv.padded_gradient());
    let rows = padded_out.inner[0];
    let (first, taps, together) = (run[0].channel, &run[0].taps, run[0].together);
    let channels = run.len() * together;
    // Rows of two input planes that fill a third of a usual first cache: all channels go by while they stay there. A
    // single channel has nobody to share them with.
    let band = if channels == 1 { rows } else { (BAND_FLOATS / (2 * padded_in.whole[1] * S::F32_LANES)).max(1) };
    let mut kept = vec![[[simd.splat_f32s(0.0); TILE]; C]; channels / C];
    for (t, tile) in taps.chunks(TILE).enumerate() {
        // Missing taps repeat the last one; their sums are dropped.
        let mut offsets = [0; TILE];
        for (u, offset) in offsets.iter_mut().enumerate() {
            *offset = tile[u.min(tile.len() - 1)].offset as usize;
        }
        kept.fill([[simd.splat_f32s(0.0); TILE]; C]);
        let blocks = input.chunks_exact(padded_in.size()).zip(gradient.chunks_exact(padded_out.size()));
        for (input, gradient) in blocks {
            let mut start = 0;
            while start < rows {
                let band = start..rows.min(start + band);
                for (c, kept) in kept.iter_mut().enumerate() {
                    let channel = first + c * C;
                    tile_sums::<S, C, STEP>(simd, connections, input, gradient, channel, &offsets, &band, kept);
                }
                start = band.end;
            }
        }
        for (c, kept) in kept.iter().enumerate() {
            for c2 in 0..C {
                let (row, within) = ((c * C + c2) / together, (c * C + c2) % together);
                for u in 0..tile.len() {
                    let at = row * taps.len() * together + (t * TILE + u) * together + within;
                    sums[at] = simd.reduce_sum_f32s(kept[c2][u]);
                }
            }
        }
    }
}

/// Adds a band of rows of one block.
#[inline(always)]
fn tile_sums<S: Simd, const C: usize, const STEP: usize>(
    simd: S,
    connections: &Connections,
    input: &[S::f32s],
    gradient: &[S::f32s],
    channel: usize,
    offsets: &[usize; TILE],
    band: &Range<usize>,
    kept: &mut [[S::f32s; TILE]; C],
) {
    let conv = &connections.conv;
    let (padded_in, padded_out) = (conv.padded_input(), conv.padded_gradient());
    let (columns, [top, left]) = (padded_out.inner[1], padded_out.before);
    let step = if STEP == 0 { conv.stride } else { STEP };
    let span = (columns - 1) * step + 1;
    let mut sums = *kept;
    for i in band.clone() {
        let from = i * conv.stride * padded_in.whole[1];
        let mut inputs = [&input[..0]; TILE];
        for u in 0..TILE {
            inputs[u] = &input[from + offsets[u]..][..span];
        }
        let mut gradients = [&gradient[..0]; C];
        for c in 0..C {
            gradients[c] = &gradient[padded_out.at(channel + c, top + i, left)..][..columns];
        }
        for j in 0..columns {
            let mut pixel = [simd.splat_f32s(0.0); C];
            for c in 0..C {
                pixel[c] = gradients[c][j];
            }
            for u in 0..TILE {
                let x = inputs[u][j * step];
                for c in 0..C {
                    sums[c][u] = simd.mul_add_e_f32s(pixel[c], x, sums[c][u]);
                }
            }
        }
    }
    *kept = sums;
}
