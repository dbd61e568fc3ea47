//! Batch norm, shortcut and ReLU on the planes of one channel: statistics, forward, backward.

use pulp::Simd;

/// Count, mean and sum of squared distances from the mean; merged without cancellation (Chan, Golub and LeVeque 1979).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Moments {
    pub(crate) count: f64,
    pub(crate) mean: f64,
    pub(crate) squares: f64,
}

impl Moments {
    pub(crate) fn merge(self, other: Self) -> Self {
        let count = self.count + other.count;
        if count == 0.0 {
            return self;
        }
        let apart = other.mean - self.mean;
        Self {
            count,
            mean: self.mean + apart * other.count / count,
            squares: self.squares + other.squares + apart * apart * self.count * other.count / count,
        }
    }

    /// Moments of one plane whose lanes from `valid` on are 0 and do not count.
    #[inline(always)]
    pub(crate) fn of_plane<S: Simd>(simd: S, plane: &[S::f32s], valid: usize) -> Self {
        let count = (plane.len() * valid) as f64;
        let mean = f64::from(simd.reduce_sum_f32s(fold(simd, plane, |sum, z| simd.add_f32s(sum, z)))) / count;
        let center = simd.splat_f32s(mean as f32);
        let squares = fold(simd, plane, |sum, z| {
            let apart = simd.sub_f32s(z, center);
            simd.mul_add_e_f32s(apart, apart, sum)
        });
        let missing = (plane.len() * (S::F32_LANES - valid)) as f64;
        let rounded = f64::from(mean as f32);
        // About the rounded mean; the difference to the mean itself is below rounding.
        let squares = f64::from(simd.reduce_sum_f32s(squares)) - missing * rounded * rounded;
        Self { count, mean, squares: squares.max(0.0) }
    }
}

/// Folds a plane with four sums side by side.
#[inline(always)]
fn fold<S: Simd>(simd: S, plane: &[S::f32s], mut step: impl FnMut(S::f32s, S::f32s) -> S::f32s) -> S::f32s {
    let [mut a, mut b, mut c, mut d] = [simd.splat_f32s(0.0); 4];
    let (quads, rest) = plane.as_chunks::<4>();
    for quad in quads {
        a = step(a, quad[0]);
        b = step(b, quad[1]);
        c = step(c, quad[2]);
        d = step(d, quad[3]);
    }
    for &vector in rest {
        a = step(a, vector);
    }
    simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d))
}

/// What is added to a plane before ReLU: pixels of another plane, `step` apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Added<'a, V> {
    pub(crate) plane: &'a [V],
    pub(crate) columns: usize,
    pub(crate) step: usize,
}

/// `y = relu(scale · z + shift + added)`, times `lanes` (1 where an image is, 0 where none is).
#[inline(always)]
pub(crate) fn forward<S: Simd>(
    simd: S,
    z: &[S::f32s],
    columns: usize,
    [scale, shift]: [f32; 2],
    added: Option<Added<S::f32s>>,
    relu: bool,
    lanes: Option<S::f32s>,
    y: &mut [S::f32s],
) {
    let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
    let zero = simd.splat_f32s(0.0);
    let least = simd.splat_f32s(if relu { 0.0 } else { f32::NEG_INFINITY });
    // Not a maximum, which would turn NaN into 0 and hide that training diverges.
    let rectified = |value| simd.select_f32s(simd.less_than_f32s(value, least), zero, value);
    let rows = z.chunks_exact(columns).zip(y.chunks_exact_mut(columns));
    for (i, (z, y)) in rows.enumerate() {
        match added {
            None => {
                for (z, y) in z.iter().zip(&mut *y) {
                    *y = rectified(simd.mul_add_e_f32s(*z, scale, shift));
                }
            }
            Some(Added { plane, columns: from, step }) => {
                let added = plane[i * step * from..(i * step + 1) * from].iter().step_by(step);
                for ((z, y), added) in z.iter().zip(&mut *y).zip(added) {
                    let sum = simd.add_f32s(simd.mul_add_e_f32s(*z, scale, shift), *added);
                    *y = rectified(sum);
                }
            }
        }
        if let Some(lanes) = lanes {
            for y in y {
                *y = simd.mul_f32s(*y, lanes);
            }
        }
    }
}

/// The gradient where a ReLU's output is above 0, else 0.
#[inline(always)]
pub(crate) fn through<S: Simd>(simd: S, output: S::f32s, gradient: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    simd.select_f32s(simd.greater_than_f32s(output, zero), gradient, zero)
}

/// Sums of the gradient before ReLU, and of the same times `z − mean`.
#[inline(always)]
pub(crate) fn gradient_sums<S: Simd>(simd: S, z: &[S::f32s], gradient: &[S::f32s], mean: f32) -> [f64; 2] {
    let mean = simd.splat_f32s(mean);
    let zero = simd.splat_f32s(0.0);
    let mut sums = [[zero; 2]; 2];
    for (q, (&z, &g)) in z.iter().zip(gradient).enumerate() {
        let sums = &mut sums[q % 2];
        sums[0] = simd.add_f32s(sums[0], g);
        sums[1] = simd.mul_add_e_f32s(g, simd.sub_f32s(z, mean), sums[1]);
    }
    let sum = |s: usize| f64::from(simd.reduce_sum_f32s(simd.add_f32s(sums[0][s], sums[1][s])));
    [sum(0), sum(1)]
}

/// The coefficients of one channel's gradient before the norm: `factor · (g − mean_g − slope · (z − mean))`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slope {
    pub(crate) factor: f32,
    pub(crate) mean_g: f32,
    pub(crate) slope: f32,
    pub(crate) mean: f32,
}

/// One row of the gradient before the norm, into `before`.
#[inline(always)]
pub(crate) fn backward_row<S: Simd>(
    simd: S,
    z: &[S::f32s],
    gradient: &[S::f32s],
    slope: Slope,
    lanes: Option<S::f32s>,
    before: &mut [S::f32s],
) {
    let factor = simd.splat_f32s(slope.factor);
    // factor · (g − mean_g − slope · (z − mean)) = factor · g + line · z + shift
    let line = simd.splat_f32s(-slope.factor * slope.slope);
    let mean = simd.splat_f32s(slope.mean);
    let shift = simd.splat_f32s(-slope.factor * slope.mean_g);
    for ((&z, &g), before) in z.iter().zip(gradient).zip(before) {
        let rest = simd.mul_add_e_f32s(line, simd.sub_f32s(z, mean), shift);
        let value = simd.mul_add_e_f32s(factor, g, rest);
        *before = match lanes {
            Some(lanes) => simd.mul_f32s(value, lanes),
            None => value,
        };
    }
}
