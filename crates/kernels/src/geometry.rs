//! Where a convolution reads and writes: shapes, padded planes, grids of pixels.
//!
//! Inside a block every pixel is one vector, so all offsets here count vectors, not floats.

/// A convolution's shape. Everything is per image; kernels are square in stride and padding, as PyTorch's `Conv2d` with
/// single numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Distance of neighbouring windows.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
    /// Groups: an output channel reads only the input channels of its group.
    pub groups: usize,
}

impl Conv {
    /// Rows of the output.
    pub fn height_out(&self) -> usize {
        (self.height + 2 * self.padding - self.kernel[0]) / self.stride + 1
    }

    /// Columns of the output.
    pub fn width_out(&self) -> usize {
        (self.width + 2 * self.padding - self.kernel[1]) / self.stride + 1
    }

    /// Input channels of a group.
    pub fn group_in(&self) -> usize {
        self.channels_in / self.groups
    }

    /// Output channels of a group.
    pub fn group_out(&self) -> usize {
        self.channels_out / self.groups
    }

    /// Number of weights, `[channels_out, channels_in / groups, kernel rows, kernel columns]`.
    pub fn weights(&self) -> usize {
        self.channels_out * self.row()
    }

    /// Weights of one output channel.
    pub(crate) fn row(&self) -> usize {
        self.group_in() * self.kernel[0] * self.kernel[1]
    }

    /// Pixels of one input image, all channels.
    pub(crate) fn input_size(&self) -> usize {
        self.channels_in * self.height * self.width
    }

    /// Pixels of one output image, all channels.
    pub(crate) fn output_size(&self) -> usize {
        self.channels_out * self.height_out() * self.width_out()
    }

    /// The input with its zeros around it, as the forward pass reads it.
    pub(crate) fn padded_input(&self) -> Padded {
        let p = self.padding;
        Padded {
            channels: self.channels_in,
            inner: [self.height, self.width],
            before: [p, p],
            whole: [self.height + 2 * p, self.width + 2 * p],
        }
    }

    /// The output's gradient with the zeros around it that the input's gradient reads.
    pub(crate) fn padded_gradient(&self) -> Padded {
        let inner = [self.height_out(), self.width_out()];
        let before = self.kernel.map(|k| (k - 1).saturating_sub(self.padding).div_ceil(self.stride));
        let last = [self.height, self.width].map(|size| (size - 1 + self.padding) / self.stride);
        let whole = [0, 1].map(|d| before[d] + inner[d].max(last[d] + 1));
        Padded { channels: self.channels_out, inner, before, whole }
    }
}

/// A stack of planes with zeros around each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Padded {
    pub(crate) channels: usize,
    /// Rows and columns without the zeros.
    pub(crate) inner: [usize; 2],
    /// Rows and columns of zeros before the first.
    pub(crate) before: [usize; 2],
    /// Rows and columns with the zeros.
    pub(crate) whole: [usize; 2],
}

impl Padded {
    /// Vectors of all planes.
    pub(crate) fn size(&self) -> usize {
        self.channels * self.whole[0] * self.whole[1]
    }

    /// Index of a pixel of the whole plane.
    pub(crate) fn at(&self, channel: usize, row: usize, column: usize) -> usize {
        (channel * self.whole[0] + row) * self.whole[1] + column
    }

    /// Copies planes `[channels, inner rows, inner columns]` in and writes the zeros around them.
    #[inline(always)]
    pub(crate) fn fill<V: Copy>(&self, planes: &[V], zero: V, padded: &mut [V]) {
        let mut rows = planes.chunks_exact(self.inner[1]);
        self.fill_with(zero, padded, |_, _, row| row.copy_from_slice(rows.next().expect("planes have as many rows")));
    }

    /// Writes the zeros around planes, and hands each row between them to `each`: channel, row, values.
    #[inline(always)]
    pub(crate) fn fill_with<V: Copy>(&self, zero: V, padded: &mut [V], mut each: impl FnMut(usize, usize, &mut [V])) {
        let ([rows, columns], [top, left], [height, width]) = (self.inner, self.before, self.whole);
        for (channel, padded) in padded.chunks_exact_mut(height * width).enumerate() {
            padded[..top * width].fill(zero);
            padded[(top + rows) * width..].fill(zero);
            for (i, row) in padded[top * width..(top + rows) * width].chunks_exact_mut(width).enumerate() {
                row[..left].fill(zero);
                each(channel, i, &mut row[left..left + columns]);
                row[left + columns..].fill(zero);
            }
        }
    }
}

/// Pixels that are computed alike: where each reads (its taps' offsets are added) and where it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Read index of the first pixel, and its change per row and column.
    pub(crate) from: [usize; 3],
    /// Written index of the first pixel within its plane, and its change per row and column.
    pub(crate) to: [usize; 3],
}

impl Conv {
    /// The output's pixels, read from the padded input.
    pub(crate) fn forward_grid(&self) -> Grid {
        let [_, width] = self.padded_input().whole;
        let (rows, columns, s) = (self.height_out(), self.width_out(), self.stride);
        Grid { rows, columns, from: [0, s * width, s], to: [0, columns, 1] }
    }

    /// The input's pixels whose row and column leave remainder `phase` by the stride, read from the padded gradient.
    /// Such pixels are reached by the same taps.
    pub(crate) fn backward_grid(&self, phase: [usize; 2]) -> Grid {
        let [_, width] = self.padded_gradient().whole;
        let s = self.stride;
        Grid {
            rows: self.height.saturating_sub(phase[0]).div_ceil(s),
            columns: self.width.saturating_sub(phase[1]).div_ceil(s),
            from: [0, width, 1],
            to: [phase[0] * self.width + phase[1], s * self.width, s],
        }
    }

    /// All remainders of rows and columns by the stride.
    pub(crate) fn phases(&self) -> impl Iterator<Item = [usize; 2]> {
        let s = self.stride;
        (0..s * s).map(move |i| [i / s, i % s])
    }

    /// Where an input pixel of a phase, from its grid's position, meets kernel row or column `k` (`d` is 0 for rows):
    /// offset in the padded gradient, or `None` if the window's stride skips it.
    pub(crate) fn backward_offset(&self, d: usize, phase: usize, k: usize) -> Option<usize> {
        let before = self.padded_gradient().before[d] as isize;
        let distance = phase as isize + self.padding as isize - k as isize;
        let s = self.stride as isize;
        (distance.rem_euclid(s) == 0).then(|| (distance.div_euclid(s) + before) as usize)
    }
}
