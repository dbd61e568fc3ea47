//! One image at a time, without gradients: the pixels of a plane lie side by side in vectors.
//!
//! A plane is its rows one behind the other, a zero behind each row, and zeros before the first and after the last. So a
//! tap of a 3×3 kernel is a shift of the whole plane, borders included, and rows need not be as long as vectors. What
//! comes out between rows is cleared. Strides are taken out first: the input is split into planes by the remainders of
//! row and column, in each of which a tap is a shift again.
//!
//! All of an image stays in the second cache from layer to layer, which blocks of many images do not.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::buffers::{give, take};
use crate::gather::{List, Lists};
use crate::layer::{ConvNorm, Kernels, Parameters, Statistics, lines};

/// Planes begin and end at multiples of this many floats, the most that a vector has.
const WIDEST: usize = 16;

/// How planes of `height` × `width` pixels are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    height: usize,
    width: usize,
}

impl Shape {
    /// Distance of neighbouring rows.
    fn row(self) -> usize {
        self.width + 1
    }

    /// Zeros before the first row; a shift by a row and a pixel stays in them.
    fn front(self) -> usize {
        (self.row() + 1).next_multiple_of(WIDEST)
    }

    /// Floats that are computed.
    fn length(self) -> usize {
        (self.height * self.row()).next_multiple_of(WIDEST)
    }

    /// Distance of neighbouring planes; the next one's zeros are behind the last row.
    fn plane(self) -> usize {
        self.front() + self.length()
    }
}

/// The planes of one image.
#[derive(Debug)]
pub struct Planes {
    values: Vec<f32>,
    channels: usize,
    shape: Shape,
}

impl Planes {
    /// Planes whose pixels are `value(channel, row, column)`.
    pub fn from_fn(channels: usize, [height, width]: [usize; 2], value: impl Fn(usize, usize, usize) -> f32) -> Self {
        let shape = Shape { height, width };
        let mut planes = Self::unset(channels, shape);
        planes.values.fill(0.0);
        for channel in 0..channels {
            for i in 0..height {
                let row = &mut planes.values[channel * shape.plane() + shape.front() + i * shape.row()..][..width];
                row.iter_mut().enumerate().for_each(|(j, slot)| *slot = value(channel, i, j));
            }
        }
        planes
    }

    fn unset(channels: usize, shape: Shape) -> Self {
        Self { values: take(channels * shape.plane() + shape.front()), channels, shape }
    }

    /// Rows and columns of a plane.
    pub fn size(&self) -> [usize; 2] {
        [self.shape.height, self.shape.width]
    }

    /// Number of planes.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// A row's pixels.
    pub(crate) fn row(&self, channel: usize, i: usize) -> &[f32] {
        let Shape { width, .. } = self.shape;
        &self.values[channel * self.shape.plane() + self.shape.front() + i * self.shape.row()..][..width]
    }

    /// Pixels as `[channels, height, width]`.
    pub fn pixels(&self) -> Vec<f32> {
        let rows = (0..self.channels).flat_map(|c| (0..self.shape.height).map(move |i| (c, i)));
        rows.flat_map(|(c, i)| self.row(c, i)).copied().collect()
    }

    /// Mean of each plane.
    pub fn average(&self) -> Vec<f32> {
        let pixels = (self.shape.height * self.shape.width) as f32;
        let mean = |c: usize| (0..self.shape.height).map(|i| self.row(c, i).iter().sum::<f32>()).sum::<f32>() / pixels;
        (0..self.channels).map(mean).collect()
    }

    /// For each channel and each of `phases` the plane of every `step`-th pixel from that row and column on, for
    /// convolutions to planes of `shape`.
    fn split(&self, phases: &[[usize; 2]], step: usize, shape: Shape) -> Self {
        let mut planes = Self::unset(self.channels * phases.len(), shape);
        planes.values.fill(0.0);
        for (plane, channel) in (0..self.channels).flat_map(|channel| phases.iter().map(move |_| channel)).enumerate() {
            let [down, right] = phases[plane % phases.len()];
            for i in 0..self.shape.height.saturating_sub(down).div_ceil(step) {
                let from = self.row(channel, down + i * step);
                let to = &mut planes.values[plane * shape.plane() + shape.front() + i * shape.row()..][..shape.width];
                if step == 2 {
                    // In vectors, as a step that is looked up is not.
                    let (pairs, last) = from.as_chunks::<2>();
                    to.iter_mut().zip(pairs).for_each(|(slot, pair)| *slot = pair[right]);
                    if let (0, [pixel]) = (right, last) {
                        to[pairs.len()] = *pixel;
                    }
                    continue;
                }
                let pixels = from.iter().skip(right).step_by(step);
                to.iter_mut().zip(pixels).for_each(|(slot, pixel)| *slot = *pixel);
            }
        }
        planes
    }
}

impl Drop for Planes {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.values));
    }
}

/// A layer whose norm is folded into its weights, for one image at a time.
#[derive(Debug)]
pub struct Folded {
    channels_in: usize,
    channels_out: usize,
    step: usize,
    input: Shape,
    output: Shape,
    /// Remainders of rows and columns by the step that taps read.
    phases: Vec<[usize; 2]>,
    lists: Lists,
    /// Added to each channel.
    shift: Vec<f32>,
    /// 1 at pixels, 0 between rows.
    inside: Vec<f32>,
    relu: bool,
    /// Channels that one thread takes at least: runs of channels that are computed together stay so.
    unit: usize,
    /// Multiply-adds of an image.
    work: usize,
}

impl Folded {
    /// `None` for kernels other than 3×3 with padding 1 and 1×1 without. The shortcut is told by what is given to
    /// [`Kernels::infer`].
    pub fn new(layer: &ConvNorm, parameters: Parameters, statistics: &Statistics) -> Option<Self> {
        let connections = &layer.connections;
        let conv = connections.conv;
        let reach = conv.padding;
        if conv.kernel != [2 * reach + 1; 2] || reach > 1 {
            return None;
        }
        let shape = Shape { height: conv.height_out(), width: conv.width_out() };
        let step = conv.stride;
        // Kernel row (or column) k reads pixel k − reach: that far into the plane of its remainder.
        let place = |k: usize| {
            let distance = k as isize - reach as isize;
            (distance.rem_euclid(step as isize) as usize, distance.div_euclid(step as isize))
        };
        let mut remainders: Vec<usize> = (0..conv.kernel[0]).map(|k| place(k).0).collect();
        remainders.sort_unstable();
        remainders.dedup();
        let phases: Vec<[usize; 2]> =
            remainders.iter().flat_map(|&r| remainders.iter().map(move |&c| [r, c])).collect();
        let area = conv.kernel[0] * conv.kernel[1];
        let offset = |channel: usize, index: usize| {
            let tap = index % conv.row();
            let inp = channel / conv.group_out() * conv.group_in() + tap / area;
            let (down, rows) = place(tap % area / conv.kernel[1]);
            let (right, columns) = place(tap % conv.kernel[1]);
            let phase = phases.iter().position(|phase| *phase == [down, right]).expect("all remainders are listed");
            let first = (inp * phases.len() + phase) * shape.plane() + shape.front();
            first.strict_add_signed(rows * shape.row() as isize + columns)
        };
        let lines = lines(parameters, statistics);
        let lists = Lists::from_fn(&connections.forward, |channel, tap, c| {
            let index = tap.index as usize;
            let weight = parameters.weight[index + c * connections.forward.stride] * lines[channel + c][0];
            (offset(channel, index) as u32, weight)
        });
        let runs = || connections.forward.rows.iter().filter(|row| row.together > 1);
        let unit = if runs().any(|row| row.channel % row.together != 0) {
            conv.channels_out
        } else {
            runs().map(|row| row.together).max().unwrap_or(1)
        };
        let pixels = shape.height * shape.row();
        let inside = (0..shape.length()).map(|p| f32::from(u8::from(p < pixels && p % shape.row() < shape.width)));
        let taps: usize = connections.forward.rows.iter().map(|row| row.taps.len() * row.together).sum();
        Some(Self {
            channels_in: conv.channels_in,
            channels_out: conv.channels_out,
            step,
            input: Shape { height: conv.height, width: conv.width },
            output: shape,
            phases,
            lists,
            shift: lines.iter().map(|line| line[1]).collect(),
            inside: inside.collect(),
            relu: layer.relu,
            unit,
            work: taps * pixels,
        })
    }
}

/// Multiply-adds from which on a layer is worth the call of another thread.
const SHARED_WORK: usize = if cfg!(test) { 1 } else { 1 << 19 };

impl Kernels {
    /// The layer's output for one image. A shortcut of the output's shape is added as it is, another one by option A
    /// (see [`crate::Shortcut`]). On at most `threads` threads; the result does not depend on it.
    ///
    /// # Panics
    ///
    /// If the input has another shape than the layer was made for.
    pub fn infer(self, layer: &Folded, x: &Planes, shortcut: Option<&Planes>, threads: usize) -> Planes {
        assert_eq!((x.channels, x.shape), (layer.channels_in, layer.input), "the input's shape");
        let split = (layer.step > 1).then(|| x.split(&layer.phases, layer.step, layer.output));
        let source = split.as_ref().unwrap_or(x);
        let subsampled = shortcut.filter(|shortcut| shortcut.shape != layer.output).map(|shortcut| {
            shortcut.split(&[[0, 0]], shortcut.shape.height.div_ceil(layer.output.height), layer.output)
        });
        let shortcut = subsampled.as_ref().or(shortcut);
        let plane = layer.output.plane();
        let mut output = Planes::unset(layer.channels_out, layer.output);
        let (planes, rest) = output.values.split_at_mut(layer.channels_out * plane);
        rest.fill(0.0);
        let call = Call { layer, source: &source.values, shortcut };
        let threads = if layer.work < SHARED_WORK { 1 } else { threads };
        let share = layer.channels_out.div_ceil(threads).next_multiple_of(layer.unit);
        if share >= layer.channels_out {
            self.arch.dispatch(Part { call, first: 0, planes });
        } else {
            let parts = planes.par_chunks_mut(share * plane).enumerate();
            parts.for_each(|(i, planes)| self.arch.dispatch(Part { call, first: i * share, planes }));
        }
        output
    }
}

#[derive(Clone, Copy)]
struct Call<'a> {
    layer: &'a Folded,
    source: &'a [f32],
    shortcut: Option<&'a Planes>,
}

/// The channels from `first` on that `planes` have room for.
struct Part<'a> {
    call: Call<'a>,
    first: usize,
    planes: &'a mut [f32],
}

impl WithSimd for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { call, first, planes } = self;
        let shape = call.layer.output;
        planes.chunks_exact_mut(shape.plane()).for_each(|plane| plane[..shape.front()].fill(0.0));
        let end = first + planes.len() / shape.plane();
        let (together, single) = call.layer.lists.between(first, end);
        let vectors = shape.length() / S::F32_LANES;
        // As even as tiles can be.
        let tiles = |most: usize| {
            let count = vectors.div_ceil(most);
            (0..count).map(move |t| (t * vectors / count, (t + 1) * vectors / count))
        };
        let wide = S::REGISTER_COUNT >= 32;
        if !together.is_empty() {
            for (from, to) in tiles(if wide { 3 } else { 2 }) {
                let mut target = Target { first, at: from * S::F32_LANES, planes: &mut *planes };
                match to - from {
                    1 => tile::<S, 4, 1>(simd, call, together, &mut target),
                    2 => tile::<S, 4, 2>(simd, call, together, &mut target),
                    _ => tile::<S, 4, 3>(simd, call, together, &mut target),
                }
            }
        }
        if !single.is_empty() {
            for (from, to) in tiles(8) {
                let mut target = Target { first, at: from * S::F32_LANES, planes: &mut *planes };
                match to - from {
                    1 => tile::<S, 1, 1>(simd, call, single, &mut target),
                    2 => tile::<S, 1, 2>(simd, call, single, &mut target),
                    3 => tile::<S, 1, 3>(simd, call, single, &mut target),
                    4 => tile::<S, 1, 4>(simd, call, single, &mut target),
                    5 => tile::<S, 1, 5>(simd, call, single, &mut target),
                    6 => tile::<S, 1, 6>(simd, call, single, &mut target),
                    7 => tile::<S, 1, 7>(simd, call, single, &mut target),
                    _ => tile::<S, 1, 8>(simd, call, single, &mut target),
                }
            }
        }
    }
}

/// Where a tile goes: floats from `at` on of the planes of channels from `first` on.
struct Target<'a> {
    first: usize,
    at: usize,
    planes: &'a mut [f32],
}

/// `W` vectors of the planes of all listed channels.
#[inline(always)]
fn tile<S: Simd, const C: usize, const W: usize>(simd: S, call: Call, lists: &[List<C>], target: &mut Target) {
    let layer = call.layer;
    let (shape, at, floats) = (layer.output, target.at, W * S::F32_LANES);
    let zero = simd.splat_f32s(0.0);
    let inside = S::as_simd_f32s(&layer.inside[at..][..floats]).0;
    for List { channel, taps } in lists {
        let mut sums = [[zero; W]; C];
        for c in 0..C {
            sums[c] = [simd.splat_f32s(layer.shift[channel + c]); W];
        }
        for tap in taps {
            let pixels = S::as_simd_f32s(&call.source[tap.offset as usize + at..][..floats]).0;
            let mut weights = [zero; C];
            for c in 0..C {
                weights[c] = simd.splat_f32s(tap.weights[c]);
            }
            for w in 0..W {
                for c in 0..C {
                    sums[c][w] = simd.mul_add_e_f32s(weights[c], pixels[w], sums[c][w]);
                }
            }
        }
        for c in 0..C {
            if let Some(shortcut) = call.shortcut
                && let Some(from) = (channel + c).checked_sub((layer.channels_out - shortcut.channels) / 2)
                && from < shortcut.channels
            {
                let added = &shortcut.values[from * shape.plane() + shape.front() + at..][..floats];
                let added = S::as_simd_f32s(added).0;
                for w in 0..W {
                    sums[c][w] = simd.add_f32s(sums[c][w], added[w]);
                }
            }
            let plane = (channel + c - target.first) * shape.plane() + shape.front() + at;
            let to = S::as_mut_simd_f32s(&mut target.planes[plane..][..floats]).0;
            for w in 0..W {
                let mut value = sums[c][w];
                if layer.relu {
                    // Not a maximum, which would turn NaN into 0.
                    value = simd.select_f32s(simd.less_than_f32s(value, zero), zero, value);
                }
                to[w] = simd.select_f32s(simd.greater_than_f32s(inside[w], zero), value, zero);
            }
        }
    }
}
