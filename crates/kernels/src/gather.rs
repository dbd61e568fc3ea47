//! Sums of weighted pixels: the forward pass, and the gradient of the input.
//!
//! A pixel of a block is one vector over images, so a tap is one multiply-add of a vector with a number, whatever the
//! stride, and the zeros around a plane leave no branch. Sums stay in registers for a tile of pixels while the taps
//! go by; each multiply-add then needs one load, which is what processors offer.

use pulp::Simd;

use crate::connections::{Row, Rows, TOGETHER, Tap};
use crate::geometry::Grid;

/// A tap with the weights of `C` channels that are computed together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weighted<const C: usize> {
    pub(crate) offset: u32,
    pub(crate) weights: [f32; C],
}

/// The taps of `C` channels from `channel` on.
#[derive(Debug)]
pub(crate) struct List<const C: usize> {
    pub(crate) channel: usize,
    pub(crate) taps: Vec<Weighted<C>>,
}

/// The weights of all channels, in the order in which they are used.
#[derive(Debug)]
pub(crate) struct Lists {
    together: Vec<List<TOGETHER>>,
    single: Vec<List<1>>,
}

impl Lists {
    /// As the rows say.
    pub(crate) fn new(rows: &Rows, weight: &[f32]) -> Self {
        Self::from_fn(rows, |_, tap, c| (tap.offset, weight[tap.index as usize + c * rows.stride]))
    }

    /// Offset and weight of each tap of each row by `of(channel, tap, c)`, for channel + c.
    pub(crate) fn from_fn(rows: &Rows, of: impl Fn(usize, &Tap, usize) -> (u32, f32)) -> Self {
        let (together, single): (Vec<&Row>, Vec<&Row>) = rows.rows.iter().partition(|row| row.together == TOGETHER);
        Self {
            together: together.into_iter().map(|row| list(row, &of)).collect(),
            single: single.into_iter().map(|row| list(row, &of)).collect(),
        }
    }

    /// The lists of the channels from `first` to `end`.
    pub(crate) fn between(&self, first: usize, end: usize) -> (&[List<TOGETHER>], &[List<1>]) {
        let of = |at: usize| self.together.partition_point(|list| list.channel < at);
        let single = |at: usize| self.single.partition_point(|list| list.channel < at);
        (&self.together[of(first)..of(end)], &self.single[single(first)..single(end)])
    }
}

fn list<const C: usize>(row: &Row, of: impl Fn(usize, &Tap, usize) -> (u32, f32)) -> List<C> {
    let weighted = |tap: &Tap| Weighted {
        offset: of(row.channel, tap, 0).0,
        weights: std::array::from_fn(|c| of(row.channel, tap, c).1),
    };
    List { channel: row.channel, taps: row.taps.iter().map(weighted).collect() }
}

/// What is written for a pixel, from its channel, row and column, what stands there, and its sum.
pub(crate) trait Finish<S: Simd>: Fn(usize, usize, usize, S::f32s, S::f32s) -> S::f32s + Copy {}

impl<S: Simd, F: Fn(usize, usize, usize, S::f32s, S::f32s) -> S::f32s + Copy> Finish<S> for F {}

/// Writes the sums of all channels at the pixels of `grid` into `planes`, `plane` vectors per channel.
#[inline(always)]
pub(crate) fn gather<S: Simd, F: Finish<S>>(
    simd: S,
    source: &[S::f32s],
    lists: &Lists,
    grid: &Grid,
    planes: &mut [S::f32s],
    plane: usize,
    finish: F,
) {
    gather_lists(simd, source, &lists.together, grid, planes, plane, finish);
    gather_lists(simd, source, &lists.single, grid, planes, plane, finish);
}

#[inline(always)]
fn gather_lists<S: Simd, F: Finish<S>, const C: usize>(
    simd: S,
    source: &[S::f32s],
    lists: &[List<C>],
    grid: &Grid,
    planes: &mut [S::f32s],
    plane: usize,
    finish: F,
) {
    if lists.is_empty() {
        return;
    }
    match grid.from[2] {
        1 => gather_step::<S, F, C, 1>(simd, source, lists, grid, planes, plane, finish),
        2 => gather_step::<S, F, C, 2>(simd, source, lists, grid, planes, plane, finish),
        _ => {
            for i in 0..grid.rows {
                for j in 0..grid.columns {
                    tile::<S, F, C, 1, 1, 1>(simd, source, lists, grid, i, j, planes, plane, finish);
                }
            }
        }
    }
}

#[inline(always)]
fn gather_step<S: Simd, F: Finish<S>, const C: usize, const STEP: usize>(
    simd: S,
    source: &[S::f32s],
    lists: &[List<C>],
    grid: &Grid,
    planes: &mut [S::f32s],
    plane: usize,
    finish: F,
) {
    let mut i = 0;
    while i < grid.rows {
        let left = grid.rows - i;
        // Narrow planes fill the registers with several rows at once.
        if left >= 4 && grid.columns < sums::<S>() / (2 * C) {
            strip::<S, F, C, 4, STEP>(simd, source, lists, grid, i, planes, plane, finish);
            i += 4;
        } else if left >= 2 && grid.columns < sums::<S>() / C {
            strip::<S, F, C, 2, STEP>(simd, source, lists, grid, i, planes, plane, finish);
            i += 2;
        } else {
            strip::<S, F, C, 1, STEP>(simd, source, lists, grid, i, planes, plane, finish);
            i += 1;
        }
    }
}

/// Sums that are kept in registers.
#[inline(always)]
const fn sums<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 16 } else { 8 }
}

/// `R` rows of the grid from row `i` on.
#[inline(always)]
fn strip<S: Simd, F: Finish<S>, const C: usize, const R: usize, const STEP: usize>(
    simd: S,
    source: &[S::f32s],
    lists: &[List<C>],
    grid: &Grid,
    i: usize,
    planes: &mut [S::f32s],
    plane: usize,
    finish: F,
) {
    let mut j = 0;
    if C * R * 16 <= sums::<S>() {
        while j + 16 <= grid.columns {
            tile::<S, F, C, R, 16, STEP>(simd, source, lists, grid, i, j, planes, plane, finish);
            j += 16;
        }
    }
    if C * R * 8 <= sums::<S>() {
        while j + 8 <= grid.columns {
            tile::<S, F, C, R, 8, STEP>(simd, source, lists, grid, i, j, planes, plane, finish);
            j += 8;
        }
    }
    if C * R * 4 <= sums::<S>() {
        while j + 4 <= grid.columns {
            tile::<S, F, C, R, 4, STEP>(simd, source, lists, grid, i, j, planes, plane, finish);
            j += 4;
        }
    }
    while j + 2 <= grid.columns {
        tile::<S, F, C, R, 2, STEP>(simd, source, lists, grid, i, j, planes, plane, finish);
        j += 2;
    }
    if j < grid.columns {
        tile::<S, F, C, R, 1, STEP>(simd, source, lists, grid, i, j, planes, plane, finish);
    }
}

/// `R` rows by `W` columns of all channels, from row `i` and column `j` on: the pixels that they read stay in the first
/// cache while channel after channel is computed.
#[inline(always)]
fn tile<S: Simd, F: Finish<S>, const C: usize, const R: usize, const W: usize, const STEP: usize>(
    simd: S,
    source: &[S::f32s],
    lists: &[List<C>],
    grid: &Grid,
    i: usize,
    j: usize,
    planes: &mut [S::f32s],
    plane: usize,
    finish: F,
) {
    let [first, per_row, per_column] = grid.from;
    let from = first + i * per_row + j * per_column;
    let [first, to_row, to_column] = grid.to;
    let to = first + i * to_row + j * to_column;
    for List { channel, taps } in lists {
        let mut sums = [[[simd.splat_f32s(0.0); W]; R]; C];
        for tap in taps {
            let mut weights = [simd.splat_f32s(0.0); C];
            for c in 0..C {
                weights[c] = simd.splat_f32s(tap.weights[c]);
            }
            for r in 0..R {
                let pixels = &source[from + r * per_row + tap.offset as usize..][..(W - 1) * STEP + 1];
                for w in 0..W {
                    let pixel = pixels[w * STEP];
                    for c in 0..C {
                        sums[c][r][w] = simd.mul_add_e_f32s(weights[c], pixel, sums[c][r][w]);
                    }
                }
            }
        }
        for c in 0..C {
            for r in 0..R {
                let to = (channel + c) * plane + to + r * to_row;
                for w in 0..W {
                    let pixel = &mut planes[to + w * to_column];
                    *pixel = finish(channel + c, i + r, j + w, *pixel, sums[c][r][w]);
                }
            }
        }
    }
}
