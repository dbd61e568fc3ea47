//! The backward pass of a layer: by its input, its shortcut, its weights and its norm.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::buffers::take;
use crate::correlate::correlate;
use crate::gather::{Lists, gather};
use crate::geometry::Conv;
use crate::layer::{ByInput, ConvNorm, EPSILON, Gradients, Input, Kernels, Parameters, Saved, Shortcut, pad_input};
use crate::norm::{Slope, backward_row, gradient_sums, through};
use crate::scratch::with_room;
use crate::split::{Split, added_plane};

impl Kernels {
    /// Backward: gradients from the gradient `dy` by what stands before the layer's ReLU, blocked, 0 in lanes behind
    /// the last image.
    pub fn backward(
        self,
        layer: &ConvNorm,
        images: usize,
        saved: Saved,
        parameters: Parameters,
        dy: &[f32],
        by_input: ByInput,
    ) -> Gradients {
        let split = Split::new(self, layer, images);
        let conv = &layer.connections.conv;
        let output = split.blocks * split.output;
        assert_eq!([saved.z.len(), dy.len()], [output; 2], "floats of the output");
        assert_eq!(saved.x.values.len(), split.blocks * split.input, "floats of the input");
        let size = split.chunk * split.output;
        let chunks = || saved.z.par_chunks(size).zip(dy.par_chunks(size));
        let mean = &saved.statistics.mean;
        let sums: Vec<Vec<[f64; 2]>> =
            chunks().map(|(z, dy)| self.arch.dispatch(Sums { layer, split: &split, mean, z, dy })).collect();
        let total = |c: usize, s: usize| sums.iter().map(|chunk| chunk[c][s]).sum::<f64>();
        let count = (images * conv.height_out() * conv.width_out()) as f64;
        let inverse = |c: usize| 1.0 / (f64::from(saved.statistics.variance[c]) + EPSILON).sqrt();
        let channels = 0..conv.channels_out;
        let slopes: Vec<Slope> = channels
            .clone()
            .map(|c| Slope {
                factor: (f64::from(parameters.gamma[c]) * inverse(c)) as f32,
                mean_g: (total(c, 0) / count) as f32,
                slope: (total(c, 1) * inverse(c) * inverse(c) / count) as f32,
                mean: mean[c],
            })
            .collect();

        let lists = || layer.connections.backward.iter().map(|rows| Lists::new(rows, parameters.weight)).collect();
        let (mut dx, lists, add): (Option<Vec<f32>>, Vec<Lists>, bool) = match by_input {
            ByInput::No => (None, Vec::new(), false),
            ByInput::Found => (Some(take(split.blocks * split.input)), lists(), false),
            ByInput::Added(dx) => {
                assert_eq!(dx.len(), split.blocks * split.input, "floats of the input's gradient");
                (Some(dx), lists(), true)
            }
        };
        let mut dadded = match layer.shortcut {
            Some(Shortcut::Subsampled { .. }) => Some(take(split.blocks * split.added)),
            _ => None,
        };
        let partial: Vec<Vec<f32>> = chunks()
            .zip(saved.x.values.par_chunks(split.chunk * split.input))
            .zip(split.chunks_of(dx.as_deref_mut()).into_par_iter().zip(split.chunks_of(dadded.as_deref_mut())))
            .enumerate()
            .map(|(chunk, (((z, dy), values), (dx, dadded)))| {
                let (split, slopes, lists, x) = (&split, &slopes, &lists[..], Input { values, ..saved.x });
                let blocks = values.len() / split.input;
                with_room(split.padded.map(|size| size * blocks), |input, gradient| {
                    let rooms = [input, gradient];
                    let chunk = Backward { layer, split, chunk, slopes, lists, x, z, dy, rooms, dx, add, dadded };
                    self.arch.dispatch(chunk)
                })
            })
            .collect();

        let mut weight = vec![0.0; conv.weights()];
        let mut position = 0;
        for row in &layer.connections.forward.rows {
            for tap in &row.taps {
                for c in 0..row.together {
                    let index = tap.index as usize + c * layer.connections.forward.stride;
                    weight[index] = partial.iter().map(|sums| sums[position]).sum();
                    position += 1;
                }
            }
        }
        Gradients {
            x: dx,
            shortcut: dadded,
            weight,
            gamma: channels.clone().map(|c| (total(c, 1) * inverse(c)) as f32).collect(),
            beta: channels.map(|c| total(c, 0) as f32).collect(),
        }
    }
}

/// Sums of a chunk's gradients by channel.
struct Sums<'a> {
    layer: &'a ConvNorm,
    split: &'a Split,
    mean: &'a [f32],
    z: &'a [f32],
    dy: &'a [f32],
}

impl WithSimd for Sums<'_> {
    type Output = Vec<[f64; 2]>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<[f64; 2]> {
        let conv = &self.layer.connections.conv;
        let plane = conv.height_out() * conv.width_out() * self.split.lanes;
        let mut sums = vec![[0.0; 2]; conv.channels_out];
        let planes = self.z.chunks_exact(plane).zip(self.dy.chunks_exact(plane));
        for (i, (z, dy)) in planes.enumerate() {
            let c = i % conv.channels_out;
            let found = gradient_sums(simd, S::as_simd_f32s(z).0, S::as_simd_f32s(dy).0, self.mean[c]);
            sums[c][0] += found[0];
            sums[c][1] += found[1];
        }
        sums
    }
}

/// The gradients of a chunk: by the input and the shortcut in place, by the weights as sums in the order of the taps.
struct Backward<'a> {
    layer: &'a ConvNorm,
    split: &'a Split,
    chunk: usize,
    slopes: &'a [Slope],
    /// One per phase of the input's pixels; none if its gradient is not wanted.
    lists: &'a [Lists],
    x: Input<'a>,
    z: &'a [f32],
    dy: &'a [f32],
    rooms: [&'a mut [f32]; 2],
    /// The gradient by the input; empty if it is not wanted.
    dx: &'a mut [f32],
    /// Whether it is added to what `dx` holds.
    add: bool,
    /// The gradient by a subsampled shortcut; empty if there is none.
    dadded: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { layer, split, chunk, slopes, lists, x, z, dy, rooms, dx, add, dadded } = self;
        let connections = &layer.connections;
        let conv = &connections.conv;
        let (padded_in, padded_out) = (conv.padded_input(), conv.padded_gradient());
        let [input, gradient] = rooms.map(|room| S::as_mut_simd_f32s(room).0);
        for block in 0..x.values.len() / split.input {
            let lanes = split.mask(simd, chunk * split.chunk + block);
            let x = Input { values: &x.values[block * split.input..(block + 1) * split.input], ..x };
            let input = &mut input[block * padded_in.size()..(block + 1) * padded_in.size()];
            pad_input(simd, conv, x, lanes, input);
            let gradient = &mut gradient[block * padded_out.size()..(block + 1) * padded_out.size()];
            let output = block * split.output..(block + 1) * split.output;
            let [z, dy] = [z, dy].map(|planes| S::as_simd_f32s(&planes[output.clone()]).0);
            before_norm(simd, layer, slopes, [z, dy], lanes, gradient);
            if !dadded.is_empty() {
                let dadded = &mut dadded[block * split.added..(block + 1) * split.added];
                subsampled(simd, layer, dy, S::as_mut_simd_f32s(dadded).0);
            }
            if !dx.is_empty() {
                let dx = S::as_mut_simd_f32s(&mut dx[block * split.input..(block + 1) * split.input]).0;
                if add {
                    by_input::<S, true>(simd, conv, lists, gradient, input, dx);
                } else {
                    by_input::<S, false>(simd, conv, lists, gradient, input, dx);
                }
            }
        }
        let taps = connections.forward.rows.iter().map(|row| row.taps.len() * row.together).sum();
        let mut sums = vec![0.0; taps];
        correlate(simd, connections, input, gradient, &mut sums);
        sums
    }
}

/// The gradient by the input of one block into `dx`, or added to it, where the padded input is above 0: its ReLU holds the
/// rest back.
#[inline(always)]
fn by_input<S: Simd, const ADD: bool>(
    simd: S,
    conv: &Conv,
    lists: &[Lists],
    gradient: &[S::f32s],
    input: &[S::f32s],
    dx: &mut [S::f32s],
) {
    let padded = conv.padded_input();
    for (phase, lists) in conv.phases().zip(lists) {
        let first = phase.map(|phase| conv.padding + phase);
        let at = |c, i, j| padded.at(c, first[0] + i * conv.stride, first[1] + j * conv.stride);
        gather(
            simd,
            gradient,
            lists,
            &conv.backward_grid(phase),
            dx,
            conv.height * conv.width,
            // Inlined by force, or it would be compiled without the vectors.
            #[inline(always)]
            |c, i, j, before, sum| {
                let sum = if ADD { simd.add_f32s(before, sum) } else { sum };
                through(simd, input[at(c, i, j)], sum)
            },
        );
    }
}

/// The gradient before the norm of one block into its padded planes.
#[inline(always)]
fn before_norm<S: Simd>(
    simd: S,
    layer: &ConvNorm,
    slopes: &[Slope],
    [z, dy]: [&[S::f32s]; 2],
    lanes: Option<S::f32s>,
    gradient: &mut [S::f32s],
) {
    let padded = layer.connections.conv.padded_gradient();
    let [rows, columns] = padded.inner;
    padded.fill_with(
        simd.splat_f32s(0.0),
        gradient,
        #[inline(always)]
        |c, i, before| {
            let at = (c * rows + i) * columns..(c * rows + i + 1) * columns;
            backward_row(simd, &z[at.clone()], &dy[at], slopes[c], lanes, before);
        },
    );
}

/// The gradient by a subsampled shortcut of one block: the output's at the pixels that were taken, else 0.
#[inline(always)]
fn subsampled<S: Simd>(simd: S, layer: &ConvNorm, dy: &[S::f32s], dadded: &mut [S::f32s]) {
    let columns = layer.connections.conv.width_out();
    dadded.fill(simd.splat_f32s(0.0));
    for (c, dy) in dy.chunks_exact(layer.connections.conv.height_out() * columns).enumerate() {
        if let Some((range, from, step)) = added_plane(layer, dadded, c) {
            for (i, dy) in dy.chunks_exact(columns).enumerate() {
                let row = &mut dadded[range.start + i * step * from..range.start + (i * step + 1) * from];
                row.iter_mut().step_by(step).zip(dy).for_each(|(slot, &g)| *slot = g);
            }
        }
    }
}
