//! Convolution, batch norm, shortcut and ReLU as one layer: what it is, and its forward pass in
//! training. Without gradients images go one by one, see [`crate::single`].
//!
//! Activations are blocked: `[blocks, channels, height, width, lanes]`, a block holding as many images as a vector has
//! lanes; lanes behind the last image are 0. Work is split over blocks and joined in their order, so results do not
//! depend on the number of threads.
//!
//! A gradient "by a layer's output" is one by what its ReLU is given: the layers that read the output hold back what the
//! ReLU does, since they have the output at hand. So the backward pass of a layer need not read its own output, and the
//! gradient of an identity shortcut is the output's, without a copy.

use std::sync::Arc;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::buffers::take;
use crate::connections::Connections;
use crate::gather::{Lists, gather};
use crate::geometry::Conv;
use crate::norm::{Added, Moments, forward};
use crate::scratch::with_room;
use crate::split::{Split, added_plane};

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

/// A layer's input, blocked: as it is, or as the output of the convolution before it, whose norm and ReLU are applied
/// wherever it is read. The latter saves writing and reading as much again.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Values.
    pub values: &'a [f32],
    /// `[scale, shift]` of each channel, if norm and ReLU are still to be applied.
    pub lines: Option<&'a [[f32; 2]]>,
}

/// What a training pass leaves.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The convolution's output, blocked.
    pub z: Vec<f32>,
    /// The layer's output, blocked, if it was asked for.
    pub y: Option<Vec<f32>>,
    /// The norm of this batch: `[scale, shift]` of each channel.
    pub lines: Vec<[f32; 2]>,
    /// The batch's statistics.
    pub statistics: Statistics,
}

/// What the backward pass needs of the forward pass.
#[derive(Debug, Clone, Copy)]
pub struct Saved<'a> {
    /// The input.
    pub x: Input<'a>,
    /// The convolution's output, blocked.
    pub z: &'a [f32],
    /// The batch's statistics.
    pub statistics: &'a Statistics,
}

/// Whether a backward pass finds the gradient by its input, which has to be the output of a ReLU.
#[derive(Debug, Clone)]
pub enum ByInput {
    /// No: the input is an image.
    No,
    /// Yes.
    Found,
    /// Yes, and added to what others who read the input found, blocked.
    Added(Vec<f32>),
}

/// The loss's gradients by a layer's inputs and parameters.
#[derive(Debug, Clone)]
pub struct Gradients {
    /// By what the ReLU before the input was given, blocked, if it was asked for.
    pub x: Option<Vec<f32>>,
    /// By a subsampled shortcut, blocked. (By an identity it is the output's gradient itself.)
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
    pub(crate) arch: Arch,
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

    /// Forward with the batch's statistics. `x` and the shortcut are blocked, for `images` images. With `finish`, norm,
    /// shortcut and ReLU are applied to the convolution's output.
    ///
    /// # Panics
    ///
    /// If a buffer has not the size that the layer and the number of images ask for; so do the other passes.
    pub fn train(
        self,
        layer: &ConvNorm,
        images: usize,
        x: Input,
        shortcut: Option<&[f32]>,
        parameters: Parameters,
        finish: bool,
    ) -> Trained {
        let split = Split::new(self, layer, images);
        split.check(layer, x.values, shortcut, parameters);
        let lists = Lists::new(&layer.connections.forward, parameters.weight);
        let mut z = take(split.blocks * split.output);
        let moments: Vec<Vec<Moments>> = z
            .par_chunks_mut(split.chunk * split.output)
            .zip(x.values.par_chunks(split.chunk * split.input))
            .enumerate()
            .map(|(chunk, (z, values))| {
                let x = Input { values, ..x };
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
        if !finish {
            return Trained { z, y: None, lines, statistics };
        }
        let mut y = take(z.len());
        y.par_chunks_mut(split.output).zip(z.par_chunks(split.output)).enumerate().for_each(|(block, (y, z))| {
            let shortcut = split.shortcut(shortcut, block);
            self.arch.dispatch(Apply { layer, split: &split, block, lines: &lines, shortcut, z, y });
        });
        Trained { z, y: Some(y), lines, statistics }
    }
}

/// `[scale, shift]` of each channel's norm.
pub(crate) fn lines(parameters: Parameters, statistics: &Statistics) -> Vec<[f32; 2]> {
    let channels = parameters.gamma.iter().zip(parameters.beta).zip(&statistics.mean).zip(&statistics.variance);
    channels
        .map(|(((&gamma, &beta), &mean), &variance)| {
            let scale = f64::from(gamma) / (f64::from(variance) + EPSILON).sqrt();
            [scale as f32, (f64::from(beta) - scale * f64::from(mean)) as f32]
        })
        .collect()
}

/// The convolution of a chunk, and its moments by channel.
struct Convolve<'a> {
    layer: &'a ConvNorm,
    split: &'a Split,
    chunk: usize,
    x: Input<'a>,
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
        let room = S::as_mut_simd_f32s(room).0;
        let blocks = x.values.chunks_exact(split.input).zip(z.chunks_exact_mut(split.output));
        for (block, (values, z)) in blocks.enumerate() {
            let z = S::as_mut_simd_f32s(z).0;
            let block = chunk * split.chunk + block;
            pad_input(simd, conv, Input { values, ..x }, split.mask(simd, block), room);
            gather(
                simd,
                room,
                lists,
                &conv.forward_grid(),
                z,
                conv.height_out() * conv.width_out(),
                #[inline(always)]
                |_, _, _, _, sum| sum,
            );
            let valid = split.valid(block);
            for (moments, plane) in moments.iter_mut().zip(z.chunks_exact(conv.height_out() * conv.width_out())) {
                *moments = moments.merge(Moments::of_plane(simd, plane, valid));
            }
        }
        moments
    }
}

/// The input of one block with zeros around it, norm and ReLU applied if they are not yet; `lanes` as in [`forward`].
#[inline(always)]
pub(crate) fn pad_input<S: Simd>(simd: S, conv: &Conv, x: Input, lanes: Option<S::f32s>, padded: &mut [S::f32s]) {
    let (zero, values, columns) = (simd.splat_f32s(0.0), S::as_simd_f32s(x.values).0, conv.width);
    match x.lines {
        None => conv.padded_input().fill(values, zero, padded),
        Some(lines) => {
            // Inlined by force, or it would be compiled without the vectors.
            conv.padded_input().fill_with(
                zero,
                padded,
                #[inline(always)]
                |c, i, row| {
                    let values = &values[(c * conv.height + i) * columns..][..columns];
                    forward(simd, values, columns, lines[c], None, true, lanes, row);
                },
            );
        }
    }
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
