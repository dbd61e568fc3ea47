//! Convolution, batch norm, shortcut and ReLU as one layer: forward, evaluation, backward.
//!
//! Activations are blocked: `[blocks, channels, height, width, lanes]`, a block holding as many images as a vector has
//! lanes; lanes behind the last image are 0. Work is split over blocks and joined in their order, so results do not
//! depend on the number of threads.

use std::sync::Arc;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::buffers::take;
use crate::connections::Connections;
use crate::correlate::correlate;
use crate::gather::{Lists, gather};
use crate::norm::{Added, Moments, Slope, backward_row, forward, gradient_sums};
use crate::scratch::with_room;

/// Floats of padded planes that a chunk of blocks should not exceed: what fits a core's second cache.
const CHUNK_FLOATS: usize = 1 << 18;
/// Chunks that a batch is split into at least, if it has as many blocks: work for that many threads.
const LEAST_CHUNKS: usize = 4;
/// Added to a batch norm's variance; PyTorch's default.
pub const EPSILON: f64 = 1e-5;

/// What a layer adds before its ReLU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortcut {
    /// Planes of the output's shape.
    Identity,
    /// Planes with `channels` channels of `height` × `width` pixels: every `step`-th pixel into the middle channels of
    /// the output (option A of He et al. 2015, section 4.2).
    Subsampled {
        /// Channels of the shortcut.
        channels: usize,
        /// Its rows.
        height: usize,
        /// Its columns.
        width: usize,
        /// Distance of the pixels that are taken.
        step: usize,
    },
}

/// A convolution without bias, its batch norm, an optional shortcut and an optional ReLU.
#[derive(Debug, Clone)]
pub struct ConvNorm {
    /// The convolution and the weights that it keeps.
    pub connections: Arc<Connections>,
    /// What is added before ReLU.
    pub shortcut: Option<Shortcut>,
    /// Whether ReLU follows.
    pub relu: bool,
}

/// A layer's parameters.
#[derive(Debug, Clone, Copy)]
pub struct Parameters<'a> {
    /// `[channels_out, channels_in / groups, kernel rows, kernel columns]`.
    pub weight: &'a [f32],
    /// The norm's factor, `[channels_out]`.
    pub gamma: &'a [f32],
    /// The norm's summand, `[channels_out]`.
    pub beta: &'a [f32],
}

/// Mean and biased variance by channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// `[channels_out]`.
    pub mean: Vec<f32>,
    /// `[channels_out]`, over all pixels and images.
    pub variance: Vec<f32>,
}

/// What a training pass leaves.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The convolution's output, blocked.
    pub z: Vec<f32>,
    /// The layer's output, blocked.
    pub y: Vec<f32>,
    /// The batch's statistics.
    pub statistics: Statistics,
}

/// What the backward pass needs of the forward pass.
#[derive(Debug, Clone, Copy)]
pub struct Saved<'a> {
    /// The input, blocked.
    pub x: &'a [f32],
    /// The convolution's output, blocked.
    pub z: &'a [f32],
    /// The layer's output, blocked.
    pub y: &'a [f32],
    /// The batch's statistics.
    pub statistics: &'a Statistics,
}

/// The loss's gradients by a layer's inputs and parameters.
#[derive(Debug, Clone)]
pub struct Gradients {
    /// By the input, blocked, if it was asked for.
    pub x: Option<Vec<f32>>,
    /// By the shortcut, blocked, if there is one.
    pub shortcut: Option<Vec<f32>>,
    /// By the weights: by all of them where most are kept, else 0 where none is kept.
    pub weight: Vec<f32>,
    /// By the norm's factor.
    pub gamma: Vec<f32>,
    /// By the norm's summand.
    pub beta: Vec<f32>,
}

/// The processor's kernels.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kernels {
    arch: Arch,
}

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

impl Kernels {
    /// The widest vectors that this processor has.
    pub fn detect() -> Self {
        Self { arch: Arch::new() }
    }

    /// Kernels without vectors, for any processor.
    pub fn portable() -> Self {
        Self { arch: Arch::Scalar }
    }

    /// Images of a block.
    pub fn lanes(self) -> usize {
        self.arch.dispatch(Lanes)
    }

    /// Blocks that `images` images take.
    pub fn blocks(self, images: usize) -> usize {
        images.div_ceil(self.lanes())
    }

    /// Forward with the batch's statistics. `x` is blocked, for `images` images.
    pub fn train(
        self,
        layer: &ConvNorm,
        images: usize,
        x: &[f32],
        shortcut: Option<&[f32]>,
        parameters: Parameters,
    ) -> Trained {
        let split = Split::new(self, layer, images);
        let lists = Lists::new(&layer.connections.forward, parameters.weight);
        let mut z = take(split.blocks * split.output);
        let moments: Vec<Vec<Moments>> = z
            .par_chunks_mut(split.chunk * split.output)
            .zip(x.par_chunks(split.chunk * split.input))
            .enumerate()
            .map(|(chunk, (z, x))| {
                with_room([split.padded[0], 0], |room, _| {
                    self.arch.dispatch(Convolve { layer, split: &split, chunk, x, lists: &lists, room, z })
                })
            })
            .collect();
        let channels = layer.connections.conv.channels_out;
        let merged = (0..channels).map(|c| moments.iter().map(|m| m[c]).fold(Moments::default(), Moments::merge));
        let (mean, variance) = merged.map(|m| (m.mean as f32, (m.squares / m.count) as f32)).unzip();
        let statistics = Statistics { mean, variance };
        let lines = lines(parameters, &statistics);
        let mut y = take(z.len());
        y.par_chunks_mut(split.output).zip(z.par_chunks(split.output)).enumerate().for_each(|(block, (y, z))| {
            let shortcut = split.shortcut(shortcut, block);
            self.arch.dispatch(Apply { layer, split: &split, block, lines: &lines, shortcut, z, y });
        });
        Trained { z, y, statistics }
    }

    /// Forward with given statistics: the layer's output, blocked.
    pub fn evaluate(
        self,
        layer: &ConvNorm,
        images: usize,
        x: &[f32],
        shortcut: Option<&[f32]>,
        parameters: Parameters,
        statistics: &Statistics,
    ) -> Vec<f32> {
        let split = Split::new(self, layer, images);
        let lines = lines(parameters, statistics);
        let lists = Lists::new(&layer.connections.forward, parameters.weight);
        let mut y = take(split.blocks * split.output);
        y.par_chunks_mut(split.output).zip(x.par_chunks(split.input)).enumerate().for_each(|(block, (y, x))| {
            let shortcut = split.shortcut(shortcut, block);
            with_room([split.padded[0], split.output], |room, z| {
                let (lines, lists) = (&lines, &lists);
                self.arch.dispatch(Evaluate { layer, split: &split, block, lines, lists, shortcut, x, room, z, y });
            });
        });
        y
    }

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
        let size = split.chunk * split.output;
        let chunks = || saved.z.par_chunks(size).zip(saved.y.par_chunks(size)).zip(dy.par_chunks(size));
        let mean = &saved.statistics.mean;
        let sums: Vec<Vec<[f64; 2]>> =
            chunks().map(|((z, y), dy)| self.arch.dispatch(Sums { layer, split: &split, mean, z, y, dy })).collect();
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
        let mut dx_chunks: Vec<&mut [f32]> = match by_input {
            true => dx.chunks_mut(split.chunk * split.input).collect(),
            false => (0..split.chunks()).map(|_| Default::default()).collect(),
        };
        let added = split.added;
        let mut dadded = take(split.blocks * added);
        if let Some(Shortcut::Subsampled { .. }) = layer.shortcut {
            dadded.fill(0.0);
        }
        let mut added_chunks: Vec<&mut [f32]> = match added {
            0 => (0..split.chunks()).map(|_| Default::default()).collect(),
            _ => dadded.chunks_mut(split.chunk * added).collect(),
        };
        let partial: Vec<Vec<f32>> = chunks()
            .zip(saved.x.par_chunks(split.chunk * split.input))
            .zip(dx_chunks.par_iter_mut().zip(&mut added_chunks))
            .enumerate()
            .map(|(chunk, ((((z, y), dy), x), (dx, dadded)))| {
                let (split, slopes, lists) = (&split, &slopes, &lists[..]);
                let blocks = x.len() / split.input;
                with_room(split.padded.map(|size| size * blocks), |input, gradient| {
                    let rooms = [input, gradient];
                    self.arch.dispatch(Backward { layer, split, chunk, slopes, lists, x, z, y, dy, rooms, dx, dadded })
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

/// `[scale, shift]` of each channel's norm.
fn lines(parameters: Parameters, statistics: &Statistics) -> Vec<[f32; 2]> {
    let channels = parameters.gamma.iter().zip(parameters.beta).zip(&statistics.mean).zip(&statistics.variance);
    channels
        .map(|(((&gamma, &beta), &mean), &variance)| {
            let scale = f64::from(gamma) / (f64::from(variance) + EPSILON).sqrt();
            [scale as f32, (f64::from(beta) - scale * f64::from(mean)) as f32]
        })
        .collect()
}

/// How a batch is split into blocks and chunks; sizes in floats per block.
struct Split {
    images: usize,
    lanes: usize,
    blocks: usize,
    /// Blocks of a chunk.
    chunk: usize,
    input: usize,
    output: usize,
    /// Floats of a shortcut's block, 0 without one.
    added: usize,
    /// Floats of a block's padded input and padded output gradient.
    padded: [usize; 2],
}

impl Split {
    fn new(kernels: Kernels, layer: &ConvNorm, images: usize) -> Self {
        let conv = &layer.connections.conv;
        let lanes = kernels.lanes();
        let blocks = images.div_ceil(lanes);
        let padded = [conv.padded_input(), conv.padded_gradient()].map(|planes| planes.size() * lanes);
        let chunk = (CHUNK_FLOATS / (padded[0] + padded[1])).min(blocks.div_ceil(LEAST_CHUNKS)).max(1);
        let added = match layer.shortcut {
            None => 0,
            Some(Shortcut::Identity) => conv.output_size(),
            Some(Shortcut::Subsampled { channels, height, width, .. }) => channels * height * width,
        };
        let (input, output) = (conv.input_size() * lanes, conv.output_size() * lanes);
        Self { images, lanes, blocks, chunk, input, output, added: added * lanes, padded }
    }

    fn chunks(&self) -> usize {
        self.blocks.div_ceil(self.chunk)
    }

    /// Images of a block.
    fn valid(&self, block: usize) -> usize {
        (self.images - block * self.lanes).min(self.lanes)
    }

    fn shortcut<'a>(&self, shortcut: Option<&'a [f32]>, block: usize) -> &'a [f32] {
        shortcut.map_or(&[], |planes| &planes[block * self.added..(block + 1) * self.added])
    }

    /// 1 in lanes that hold an image; `None` where all do.
    #[inline(always)]
    fn mask<S: Simd>(&self, simd: S, block: usize) -> Option<S::f32s> {
        let valid = self.valid(block);
        (valid < self.lanes).then(|| {
            let mut lanes = [0.0; 64];
            lanes[..valid].fill(1.0);
            simd.partial_load_f32s(&lanes[..S::F32_LANES])
        })
    }
}

/// Which plane of a shortcut's block is added to channel `c` of the output.
#[inline(always)]
fn added_plane<V>(layer: &ConvNorm, planes: &[V], c: usize) -> Option<(std::ops::Range<usize>, usize, usize)> {
    let conv = &layer.connections.conv;
    match layer.shortcut? {
        Shortcut::Identity => {
            let plane = planes.len() / conv.channels_out;
            Some((c * plane..(c + 1) * plane, conv.width_out(), 1))
        }
        Shortcut::Subsampled { channels, height, width, step } => {
            let c = c.checked_sub((conv.channels_out - channels) / 2).filter(|&c| c < channels)?;
            Some((c * height * width..(c + 1) * height * width, width, step))
        }
    }
}

/// The convolution of a chunk, and its moments by channel.
struct Convolve<'a> {
    layer: &'a ConvNorm,
    split: &'a Split,
    chunk: usize,
    x: &'a [f32],
    lists: &'a Lists,
    room: &'a mut [f32],
    z: &'a mut [f32],
}

impl WithSimd for Convolve<'_> {
    type Output = Vec<Moments>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<Moments> {
        let Self { layer, split, chunk, x, lists, room, z } = self;
        let conv = &layer.connections.conv;
        let mut moments = vec![Moments::default(); conv.channels_out];
        let blocks = x.chunks_exact(split.input).zip(z.chunks_exact_mut(split.output));
        for (block, (x, z)) in blocks.enumerate() {
            let z = S::as_mut_simd_f32s(z).0;
            convolve(simd, layer, S::as_simd_f32s(x).0, lists, S::as_mut_simd_f32s(room).0, z);
            let valid = split.valid(chunk * split.chunk + block);
            for (moments, plane) in moments.iter_mut().zip(z.chunks_exact(conv.height_out() * conv.width_out())) {
                *moments = moments.merge(Moments::of_plane(simd, plane, valid));
            }
        }
        moments
    }
}

/// The convolution of one block, with room for its padded planes.
#[inline(always)]
fn convolve<S: Simd>(simd: S, layer: &ConvNorm, x: &[S::f32s], lists: &Lists, room: &mut [S::f32s], z: &mut [S::f32s]) {
    let conv = &layer.connections.conv;
    conv.padded_input().fill(x, simd.splat_f32s(0.0), room);
    let plane = conv.height_out() * conv.width_out();
    gather(simd, room, lists, &conv.forward_grid(), z, plane);
}

/// Norm, shortcut and ReLU of a block.
struct Apply<'a> {
    layer: &'a ConvNorm,
    split: &'a Split,
    block: usize,
    lines: &'a [[f32; 2]],
    shortcut: &'a [f32],
    z: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layer, split, block, lines, shortcut, z, y } = self;
        let conv = &layer.connections.conv;
        let (columns, plane) = (conv.width_out(), conv.height_out() * conv.width_out());
        let lanes = split.mask(simd, block);
        let shortcut = S::as_simd_f32s(shortcut).0;
        let planes = S::as_simd_f32s(z).0.chunks_exact(plane).zip(S::as_mut_simd_f32s(y).0.chunks_exact_mut(plane));
        for (c, (z, y)) in planes.enumerate() {
            let added = added_plane(layer, shortcut, c);
            let added = added.map(|(range, columns, step)| Added { plane: &shortcut[range], columns, step });
            forward(simd, z, columns, lines[c], added, layer.relu, lanes, y);
        }
    }
}

/// Convolution, norm, shortcut and ReLU of a block.
struct Evaluate<'a> {
    layer: &'a ConvNorm,
    split: &'a Split,
    block: usize,
    lines: &'a [[f32; 2]],
    lists: &'a Lists,
    shortcut: &'a [f32],
    x: &'a [f32],
    room: &'a mut [f32],
    z: &'a mut [f32],
    y: &'a mut [f32],
}

impl WithSimd for Evaluate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layer, split, block, lines, lists, shortcut, x, room, z, y } = self;
        let room = S::as_mut_simd_f32s(room).0;
        convolve(simd, layer, S::as_simd_f32s(x).0, lists, room, S::as_mut_simd_f32s(z).0);
        Apply { layer, split, block, lines, shortcut, z, y }.with_simd(simd);
    }
}

/// Sums of a chunk's gradients by channel.
struct Sums<'a> {
    layer: &'a ConvNorm,
    split: &'a Split,
    mean: &'a [f32],
    z: &'a [f32],
    y: &'a [f32],
    dy: &'a [f32],
}

impl WithSimd for Sums<'_> {
    type Output = Vec<[f64; 2]>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<[f64; 2]> {
        let conv = &self.layer.connections.conv;
        let plane = conv.height_out() * conv.width_out() * self.split.lanes;
        let mut sums = vec![[0.0; 2]; conv.channels_out];
        let planes = self.z.chunks_exact(plane).zip(self.y.chunks_exact(plane)).zip(self.dy.chunks_exact(plane));
        for (i, ((z, y), dy)) in planes.enumerate() {
            let c = i % conv.channels_out;
            let vectors = |plane| S::as_simd_f32s(plane).0;
            let found = gradient_sums(simd, vectors(z), vectors(y), vectors(dy), self.mean[c], self.layer.relu);
            sums[c][0] += found[0];
            sums[c][1] += found[1];
        }
        sums
    }
}

/// The gradients of a chunk: by the input and the shortcut in place, by the weights as sums in the order of the taps.
struct Backward<'a, 'b> {
    layer: &'a ConvNorm,
    split: &'a Split,
    chunk: usize,
    slopes: &'a [Slope],
    /// One per phase of the input's pixels; none if its gradient is not wanted.
    lists: &'a [Lists],
    x: &'a [f32],
    z: &'a [f32],
    y: &'a [f32],
    dy: &'a [f32],
    rooms: [&'a mut [f32]; 2],
    dx: &'a mut &'b mut [f32],
    dadded: &'a mut &'b mut [f32],
}

impl WithSimd for Backward<'_, '_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { layer, split, chunk, slopes, lists, x, z, y, dy, rooms, dx, dadded } = self;
        let connections = &layer.connections;
        let conv = &connections.conv;
        let (padded_in, padded_out) = (conv.padded_input(), conv.padded_gradient());
        let zero = simd.splat_f32s(0.0);
        let [input, gradient] = rooms.map(|room| S::as_mut_simd_f32s(room).0);
        for block in 0..x.len() / split.input {
            let x = S::as_simd_f32s(&x[block * split.input..(block + 1) * split.input]).0;
            padded_in.fill(x, zero, &mut input[block * padded_in.size()..(block + 1) * padded_in.size()]);
            let gradient = &mut gradient[block * padded_out.size()..(block + 1) * padded_out.size()];
            let output = block * split.output..(block + 1) * split.output;
            let [z, y, dy] = [z, y, dy].map(|planes| S::as_simd_f32s(&planes[output.clone()]).0);
            let dadded = match split.added {
                0 => &mut [],
                size => S::as_mut_simd_f32s(&mut dadded[block * size..(block + 1) * size]).0,
            };
            let lanes = split.mask(simd, chunk * split.chunk + block);
            before_norm(simd, layer, slopes, [z, y, dy], lanes, gradient, dadded);
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
    [z, y, dy]: [&[S::f32s]; 3],
    lanes: Option<S::f32s>,
    gradient: &mut [S::f32s],
    dadded: &mut [S::f32s],
) {
    let conv = &layer.connections.conv;
    let padded = conv.padded_gradient();
    let ([rows, columns], [top, left]) = (padded.inner, padded.before);
    padded.fill_around(simd.splat_f32s(0.0), gradient);
    for (c, slope) in slopes.iter().enumerate() {
        let added = added_plane(layer, dadded, c);
        for i in 0..rows {
            let at = (c * rows + i) * columns..(c * rows + i + 1) * columns;
            let start = padded.at(c, top + i, left);
            let before = &mut gradient[start..start + columns];
            let (z, y, dy) = (&z[at.clone()], &y[at.clone()], &dy[at]);
            match &added {
                Some((range, from, step)) => {
                    let row = &mut dadded[range.start + i * step * from..range.start + (i * step + 1) * from];
                    let each = |j: usize, g| row[j * step] = g;
                    backward_row(simd, z, y, dy, *slope, layer.relu, lanes, before, each);
                }
                None => backward_row(simd, z, y, dy, *slope, layer.relu, lanes, before, |_, _| ()),
            }
        }
    }
}
