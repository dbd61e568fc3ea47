//! The maximum of each 2×2 square of pixels: on blocks, forward and backward; on the planes of one image.
//!
//! An odd side's last row or column is in no square, as in PyTorch.

use rayon::prelude::*;

use crate::Planes;
use crate::buffers::take;

/// The larger of two; the first of equals, so that its place has the gradient. NaN stays, or nobody would see that training
/// diverges.
#[inline(always)]
fn larger(first: f32, second: f32) -> f32 {
    if replaces(first, second) { second } else { first }
}

#[inline(always)]
fn replaces(first: f32, second: f32) -> bool {
    second > first || second.is_nan()
}

/// Maxima of planes of `height` × `width` pixels, blocked (see [`crate::blocked`]).
///
/// # Panics
///
/// If a side is below 2; so does the gradient.
pub fn max_pool(blocks: &[f32], [height, width]: [usize; 2], lanes: usize) -> Vec<f32> {
    let (plane, pooled) = (height * width * lanes, (height / 2) * (width / 2) * lanes);
    let mut maxima = take(blocks.len() / plane * pooled);
    maxima.par_chunks_mut(pooled).zip(blocks.par_chunks(plane)).for_each(|(maxima, plane)| {
        let rows = maxima.chunks_exact_mut(width / 2 * lanes).zip(plane.chunks_exact(2 * width * lanes));
        for (maxima, rows) in rows {
            let (above, below) = rows.split_at(width * lanes);
            let squares = above.chunks_exact(2 * lanes).zip(below.chunks_exact(2 * lanes));
            for (maxima, (above, below)) in maxima.chunks_exact_mut(lanes).zip(squares) {
                let ((a, b), (c, d)) = (above.split_at(lanes), below.split_at(lanes));
                for (lane, slot) in maxima.iter_mut().enumerate() {
                    *slot = larger(larger(a[lane], b[lane]), larger(c[lane], d[lane]));
                }
            }
        }
    });
    maxima
}

/// The gradient of [`max_pool`] by its input: the square's goes to its largest pixel, of equal ones to the first.
pub fn max_pool_gradient(blocks: &[f32], gradient: &[f32], [height, width]: [usize; 2], lanes: usize) -> Vec<f32> {
    let (plane, pooled) = (height * width * lanes, (height / 2) * (width / 2) * lanes);
    let mut by_input = take(blocks.len());
    let planes = by_input.par_chunks_mut(plane).zip(blocks.par_chunks(plane)).zip(gradient.par_chunks(pooled));
    planes.for_each(|((to, plane), gradient)| {
        to.fill(0.0);
        let rows = to.chunks_exact_mut(2 * width * lanes).zip(plane.chunks_exact(2 * width * lanes));
        for ((to, rows), gradient) in rows.zip(gradient.chunks_exact(width / 2 * lanes)) {
            let (to_above, to_below) = to.split_at_mut(width * lanes);
            let (above, below) = rows.split_at(width * lanes);
            let targets = to_above.chunks_exact_mut(2 * lanes).zip(to_below.chunks_exact_mut(2 * lanes));
            let squares = above.chunks_exact(2 * lanes).zip(below.chunks_exact(2 * lanes));
            for (((to_above, to_below), (above, below)), gradient) in
                targets.zip(squares).zip(gradient.chunks_exact(lanes))
            {
                let ((a, b), (c, d)) = (above.split_at(lanes), below.split_at(lanes));
                let ((to_a, to_b), (to_c, to_d)) = (to_above.split_at_mut(lanes), to_below.split_at_mut(lanes));
                for (lane, &gradient) in gradient.iter().enumerate() {
                    let (right_above, right_below) = (replaces(a[lane], b[lane]), replaces(c[lane], d[lane]));
                    let is_below = replaces(larger(a[lane], b[lane]), larger(c[lane], d[lane]));
                    to_a[lane] = if !is_below && !right_above { gradient } else { 0.0 };
                    to_b[lane] = if !is_below && right_above { gradient } else { 0.0 };
                    to_c[lane] = if is_below && !right_below { gradient } else { 0.0 };
                    to_d[lane] = if is_below && right_below { gradient } else { 0.0 };
                }
            }
        }
    });
    by_input
}

impl Planes {
    /// The maxima of each plane.
    pub fn max_pool(&self) -> Self {
        let [height, width] = self.size();
        Self::from_fn(self.channels(), [height / 2, width / 2], |channel, i, j| {
            let [above, below] = [0, 1].map(|down| &self.row(channel, 2 * i + down)[2 * j..2 * j + 2]);
            larger(larger(above[0], above[1]), larger(below[0], below[1]))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::blocked::{from_images, to_images};

    /// Maxima of `[planes, height, width]`, and where each of them is: the first in reading order.
    fn plain(x: &[f32], [height, width]: [usize; 2]) -> (Vec<f32>, Vec<usize>) {
        let (mut maxima, mut places) = (Vec::new(), Vec::new());
        for plane in 0..x.len() / (height * width) {
            for (i, j) in (0..height / 2).flat_map(|i| (0..width / 2).map(move |j| (i, j))) {
                let at = |k: usize| (plane * height + 2 * i + k / 2) * width + 2 * j + k % 2;
                let mut best = at(0);
                for k in 1..4 {
                    if x[at(k)] > x[best] {
                        best = at(k);
                    }
                }
                maxima.push(x[best]);
                places.push(best);
            }
        }
        (maxima, places)
    }

    fn cases() -> impl Strategy<Value = (usize, usize, [usize; 2], usize, Vec<f32>)> {
        (1..7usize, 1..4usize, 2..8usize, 2..8usize, prop_oneof![Just(1), Just(4), Just(16)]).prop_flat_map(
            |(images, channels, height, width, lanes)| {
                // Few values, so that there are equal ones in most squares.
                let values =
                    proptest::collection::vec((-2..3i8).prop_map(f32::from), images * channels * height * width);
                values.prop_map(move |x| (images, channels, [height, width], lanes, x))
            },
        )
    }

    proptest! {
        #[test]
        fn maxima_and_their_gradient_are_those_of_plain_loops((images, channels, size, lanes, x) in cases()) {
            let (maxima, places) = plain(&x, size);
            let [pixels, pooled] = [x.len(), maxima.len()].map(|values| values / images);
            let blocks = from_images(&x, pixels, lanes);
            prop_assert_eq!(to_images(&max_pool(&blocks, size, lanes), images, pooled, lanes), maxima.clone());

            let gradient: Vec<f32> = (1..=maxima.len()).map(|v| v as f32).collect();
            let mut expected = vec![0.0; x.len()];
            places.iter().zip(&gradient).for_each(|(&place, gradient)| expected[place] = *gradient);
            let found = max_pool_gradient(&blocks, &from_images(&gradient, pooled, lanes), size, lanes);
            prop_assert_eq!(to_images(&found, images, pixels, lanes), expected);

            let planes = Planes::from_fn(channels, size, |c, i, j| x[(c * size[0] + i) * size[1] + j]).max_pool();
            prop_assert_eq!(planes.pixels(), &maxima[..pooled]);
        }
    }

    #[test]
    fn nan_stays_and_has_the_gradient() {
        for place in 0..4 {
            let square: Vec<f32> = (0..4).map(|k| if k == place { f32::NAN } else { 1.0 }).collect();
            assert!(max_pool(&square, [2, 2], 1)[0].is_nan());
            let expected: Vec<f32> = (0..4).map(|k| f32::from(u8::from(k == place))).collect();
            assert_eq!(max_pool_gradient(&square, &[1.0], [2, 2], 1), expected);
        }
    }
}
