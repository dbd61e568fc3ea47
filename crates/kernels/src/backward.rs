//! The backward pass of a layer: by its input, its shortcut, its weights and its norm.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::buffers::take;
use crate::correlate::correlate;
use crate::gather::{Lists, gather};
use crate::layer::{ConvNorm, EPSILON, Gradients, Input, Kernels, Parameters, Saved, Shortcut, lines, pad_input};
use crate::norm::{Gate, Slope, backward_row, gradient_sums};
use crate::scratch::with_room;
use crate::split::{Split, added_plane};

impl Kernels {
    /// Backward: gradients from the output's gradient `dy`, blocked, 0 in lanes behind the last image.
    pub fn backward(
        self,
        layer: &ConvNorm,
        images: usize,
        saved: Saved,
        parameters: Parameters,
        dy: &[f32],
        by_input: bool,
    ) -> Gradients {
        let split = Split::new(self, layer, images);
        let conv = &layer.connections.conv;
        let output = split.blocks * split.output;
        assert_eq!([saved.z.len(), dy.len()], [output; 2], "floats of the output");
        assert_eq!(saved.x.values.len(), split.blocks * split.input, "floats of the input");
        let lines = lines(parameters, saved.statistics);
        let gates = match (layer.relu, saved.y) {
            (false, _) => Gates::Open,
            (true, Some(y)) => {
                assert_eq!(y.len(), output, "floats of the output");
                Gates::Output(y)
            }
            (true, None) => {
                assert!(layer.shortcut.is_none(), "what is added to the norm's output decides over its sign");
                Gates::Lines(&lines)
            }
        };
        let size = split.chunk * split.output;
        let chunks = || saved.z.par_chunks(size).zip(dy.par_chunks(size)).enumerate();
        let mean = &saved.statistics.mean;
        let sums: Vec<Vec<[f64; 2]>> = chunks()
            .map(|(chunk, (z, dy))| {
                let gates = gates.from(chunk * size);
                self.arch.dispatch(Sums { layer, split: &split, mean, z, gates, dy })
            })
            .collect();
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

        let lists: Vec<Lists> = match by_input {
            true => layer.connections.backward.iter().map(|rows| Lists::new(rows, parameters.weight)).collect(),
            false => Vec::new(),
        };
        let mut dx = take(if by_input { split.blocks * split.input } else { 0 });
        let mut dadded = take(split.blocks * split.added);
        if let Some(Shortcut::Subsampled { .. }) = layer.shortcut {
            dadded.fill(0.0);
        }
        let partial: Vec<Vec<f32>> = chunks()
            .zip(saved.x.values.par_chunks(split.chunk * split.input))
            .zip(split.chunks_of(&mut dx).into_par_iter().zip(split.chunks_of(&mut dadded)))
            .map(|(((chunk, (z, dy)), values), (dx, dadded))| {
                let (split, slopes, lists, x) = (&split, &slopes, &lists[..], Input { values, ..saved.x });
                let (blocks, gates) = (values.len() / split.input, gates.from(chunk * size));
                with_room(split.padded.map(|size| size * blocks), |input, gradient| {
                    let rooms = [input, gradient];
                    let chunk = Backward { layer, split, chunk, slopes, lists, x, z, gates, dy, rooms, dx, dadded };
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
            x: by_input.then_some(dx),
            shortcut: layer.shortcut.map(|_| dadded),
            weight,
            gamma: channels.clone().map(|c| (total(c, 1) * inverse(c)) as f32).collect(),
            beta: channels.map(|c| total(c, 0) as f32).collect(),
        }
    }
}

/// What says where the layer's ReLU lets gradients through.
#[derive(Clone, Copy)]
enum Gates<'a> {
    Open,
    /// The layer's output, blocked.
    Output(&'a [f32]),
    /// The norm's `[scale, shift]` by channel.
    Lines(&'a [[f32; 2]]),
}

impl<'a> Gates<'a> {
    /// From this float of the output on.
    fn from(self, first: usize) -> Self {
        match self {
            Self::Output(y) => Self::Output(&y[first..]),
            other => other,
        }
    }

    /// For a channel's plane, floats `range` of the output.
    #[inline(always)]
    fn plane<S: Simd>(self, channel: usize, range: Range<usize>) -> Gate<'a, S::f32s> {
        match self {
            Self::Open => Gate::Open,
            Self::Output(y) => Gate::Output(S::as_simd_f32s(&y[range]).0),
            Self::Lines(lines) => Gate::Line(lines[channel]),
        }
    }
}

/// Sums of a chunk's gradients by channel.
struct Sums<'a> {
    layer: &'a ConvNorm,
    split: &'a Split,
    mean: &'a [f32],
    z: &'a [f32],
    gates: Gates<'a>,
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
            let gate = self.gates.plane::<S>(c, i * plane..(i + 1) * plane);
            let found = gradient_sums(simd, S::as_simd_f32s(z).0, gate, S::as_simd_f32s(dy).0, self.mean[c]);
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
    gates: Gates<'a>,
    dy: &'a [f32],
    rooms: [&'a mut [f32]; 2],
    dx: &'a mut [f32],
    dadded: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { layer, split, chunk, slopes, lists, x, z, gates, dy, rooms, dx, dadded } = self;
        let connections = &layer.connections;
        let conv = &connections.conv;
        let (padded_in, padded_out) = (conv.padded_input(), conv.padded_gradient());
        let [input, gradient] = rooms.map(|room| S::as_mut_simd_f32s(room).0);
        for block in 0..x.values.len() / split.input {
            let lanes = split.mask(simd, chunk * split.chunk + block);
            let x = Input { values: &x.values[block * split.input..(block + 1) * split.input], ..x };
            pad_input(simd, conv, x, lanes, &mut input[block * padded_in.size()..(block + 1) * padded_in.size()]);
            let gradient = &mut gradient[block * padded_out.size()..(block + 1) * padded_out.size()];
            let output = block * split.output..(block + 1) * split.output;
            let [z, dy] = [z, dy].map(|planes| S::as_simd_f32s(&planes[output.clone()]).0);
            let gates = gates.from(output.start);
            let dadded = match split.added {
                0 => &mut [],
                size => S::as_mut_simd_f32s(&mut dadded[block * size..(block + 1) * size]).0,
            };
            before_norm(simd, layer, slopes, gates, [z, dy], lanes, gradient, dadded);
            if !dx.is_empty() {
                let dx = S::as_mut_simd_f32s(&mut dx[block * split.input..(block + 1) * split.input]).0;
                for (phase, lists) in conv.phases().zip(lists) {
                    gather(simd, gradient, lists, &conv.backward_grid(phase), dx, conv.height * conv.width);
                }
            }
        }
        let taps = connections.forward.rows.iter().map(|row| row.taps.len() * row.together).sum();
        let mut sums = vec![0.0; taps];
        correlate(simd, connections, input, gradient, &mut sums);
        sums
    }
}

/// The gradient before the norm of one block into its padded planes, and the shortcut's gradient.
#[inline(always)]
fn before_norm<S: Simd>(
    simd: S,
    layer: &ConvNorm,
    slopes: &[Slope],
    gates: Gates,
    [z, dy]: [&[S::f32s]; 2],
    lanes: Option<S::f32s>,
    gradient: &mut [S::f32s],
    dadded: &mut [S::f32s],
) {
    let conv = &layer.connections.conv;
    let padded = conv.padded_gradient();
    let [rows, columns] = padded.inner;
    // Closures are inlined by force, or they would be compiled without the vectors.
    padded.fill_with(
        simd.splat_f32s(0.0),
        gradient,
        #[inline(always)]
        |c, i, before| {
            let at = (c * rows + i) * columns..(c * rows + i + 1) * columns;
            let gate = gates.plane::<S>(c, at.start * S::F32_LANES..at.end * S::F32_LANES);
            let (z, dy) = (&z[at.clone()], &dy[at]);
            match added_plane(layer, dadded, c) {
                Some((range, from, step)) => {
                    let row = &mut dadded[range.start + i * step * from..range.start + (i * step + 1) * from];
                    backward_row(
                        simd,
                        z,
                        gate,
                        dy,
                        slopes[c],
                        lanes,
                        before,
                        #[inline(always)]
                        |j, g| row[j * step] = g,
                    );
                }
                None => backward_row(simd, z, gate, dy, slopes[c], lanes, before, |_, _| ()),
            }
        },
    );
}
