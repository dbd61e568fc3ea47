//! The gradient of the weights: sums over all pixels and images of output gradient times input.
//!
//! Only kept weights are computed. A tile of taps keeps its sums in registers over all pixels of a chunk of blocks.

use pulp::Simd;

use crate::connections::Connections;

/// Taps whose sums are kept at once.
const TILE: usize = 8;

/// Adds nothing to what is there: fills `sums`, one per tap in the order of [`Connections`]' forward rows; of channels
/// that are computed together, tap by tap.
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
    let mut done = 0;
    for row in &connections.forward.rows {
        let mut t = 0;
        while t < row.taps.len() {
            let tile = &row.taps[t..row.taps.len().min(t + TILE)];
            // Missing taps repeat the last one; their sums are dropped.
            let mut offsets = [0; TILE];
            for (u, offset) in offsets.iter_mut().enumerate() {
                *offset = tile[u.min(tile.len() - 1)].offset as usize;
            }
            let mut c = 0;
            while c < row.together {
                if c + 2 <= row.together {
                    let found = tile_sums::<S, 2, STEP>(simd, connections, input, gradient, row.channel + c, &offsets);
                    for (c2, found) in found.iter().enumerate() {
                        for (u, sum) in found[..tile.len()].iter().enumerate() {
                            sums[done + (t + u) * row.together + c + c2] = *sum;
                        }
                    }
                    c += 2;
                } else {
                    let found = tile_sums::<S, 1, STEP>(simd, connections, input, gradient, row.channel + c, &offsets);
                    for (u, sum) in found[0][..tile.len()].iter().enumerate() {
                        sums[done + (t + u) * row.together + c] = *sum;
                    }
                    c += 1;
                }
            }
            t += TILE;
        }
        done += row.taps.len() * row.together;
    }
}

#[inline(always)]
fn tile_sums<S: Simd, const C: usize, const STEP: usize>(
    simd: S,
    connections: &Connections,
    input: &[S::f32s],
    gradient: &[S::f32s],
    channel: usize,
    offsets: &[usize; TILE],
) -> [[f32; TILE]; C] {
    let conv = &connections.conv;
    let (padded_in, padded_out) = (conv.padded_input(), conv.padded_gradient());
    let ([rows, columns], [top, left]) = (padded_out.inner, padded_out.before);
    let step = if STEP == 0 { conv.stride } else { STEP };
    let span = (columns - 1) * step + 1;
    let mut sums = [[simd.splat_f32s(0.0); TILE]; C];
    let blocks = input.chunks_exact(padded_in.size()).zip(gradient.chunks_exact(padded_out.size()));
    for (input, gradient) in blocks {
        for i in 0..rows {
            let from = i * conv.stride * padded_in.whole[1];
            let mut inputs = [&input[..0]; TILE];
            for (row, offset) in inputs.iter_mut().zip(offsets) {
                *row = &input[from + offset..][..span];
            }
            let mut gradients = [&gradient[..0]; C];
            for (c, row) in gradients.iter_mut().enumerate() {
                *row = &gradient[padded_out.at(channel + c, top + i, left)..][..columns];
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
    }
    let mut reduced = [[0.0; TILE]; C];
    for c in 0..C {
        for u in 0..TILE {
            reduced[c][u] = simd.reduce_sum_f32s(sums[c][u]);
        }
    }
    reduced
}
