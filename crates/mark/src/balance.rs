//! Balancing: weights made comparable across channels, so that ranks survive rescaling.
//!
//! Implements the balance of docs/protocol.md, "What is read as kept", 2: rounds of dividing each output row, then
//! each input column (over all taps), by its root mean square. An attacker can scale a channel up and the next layer
//! down without changing the network; plain |w| would then rank whole channels, balanced |w| does not see it. It is
//! the iteration of Sinkhorn & Knopp 1967 on w².
//!
//! Every sum runs in row-major order, so that all machines agree on every bit.

use counterfoil_ticket::{CarrierShape, Mask};

/// Rounds of rows, then columns.
const ROUNDS: usize = 20;

/// Balanced |w| of one carrier, row-major, given its values in that order.
///
/// Rows and columns that are all zero are left alone. Panics if the number of values is not the shape's.
pub fn balance(values: &[f32], shape: CarrierShape) -> Vec<f64> {
    assert_eq!(values.len(), shape.size(), "values and shape differ in size");
    let mut balanced: Vec<f64> = values.iter().map(|&value| f64::from(value).abs()).collect();
    for _ in 0..ROUNDS {
        divide_rows(&mut balanced, shape);
        divide_columns(&mut balanced, shape);
    }
    balanced
}

/// The `count` largest values, all of them if there are fewer; ties by lower index first. Linear time.
pub fn largest(balanced: &[f64], count: usize) -> Mask {
    if count >= balanced.len() {
        return Mask::full(balanced.len());
    }
    let mut order: Vec<usize> = (0..balanced.len()).collect();
    order.select_nth_unstable_by(count, |&a, &b| balanced[b].total_cmp(&balanced[a]).then(a.cmp(&b)));
    let mut mask = Mask::empty(balanced.len());
    order[..count].iter().for_each(|&position| mask.set(position, true));
    mask
}

fn divide_rows(values: &mut [f64], shape: CarrierShape) {
    for row in values.chunks_exact_mut(shape.row()) {
        let squares: f64 = row.iter().map(|v| v * v).sum();
        if let Some(rms) = root_mean_square(squares, row.len()) {
            row.iter_mut().for_each(|v| *v /= rms);
        }
    }
}

fn divide_columns(values: &mut [f64], shape: CarrierShape) {
    let mut squares = vec![0.0; shape.inp as usize];
    for kernels in values.chunks_exact(shape.row()) {
        for (squares, kernel) in squares.iter_mut().zip(kernels.chunks_exact(shape.taps())) {
            kernel.iter().for_each(|v| *squares += v * v);
        }
    }
    let height = shape.out as usize * shape.taps();
    let divisors: Vec<Option<f64>> = squares.into_iter().map(|squares| root_mean_square(squares, height)).collect();
    for kernels in values.chunks_exact_mut(shape.row()) {
        for (divisor, kernel) in divisors.iter().zip(kernels.chunks_exact_mut(shape.taps())) {
            if let Some(rms) = divisor {
                kernel.iter_mut().for_each(|v| *v /= rms);
            }
        }
    }
}

/// `None` if all values are zero.
fn root_mean_square(sum_of_squares: f64, count: usize) -> Option<f64> {
    (sum_of_squares > 0.0).then(|| (sum_of_squares / count as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(out: u32, inp: u32, width: u32) -> CarrierShape {
        CarrierShape { out, inp, height: 1, width }
    }

    #[test]
    fn rank_one_magnitudes_balance_to_ones() {
        let (rows, columns) = ([1.0f32, 10.0, 1e-3], [5.0f32, 0.5]);
        let values: Vec<f32> = rows.iter().flat_map(|r| columns.iter().map(move |c| -r * c)).collect();
        for value in balance(&values, shape(3, 2, 1)) {
            assert!((value - 1.0).abs() < 1e-6, "{value}");
        }
    }

    /// [[3, 4], [0, 5]] by hand: one round gives rows / (5/√2, 5/√2), then columns / (0.6, √1.64).
    #[test]
    fn one_round_divides_rows_then_columns() {
        let mut values = vec![3.0, 4.0, 0.0, 5.0];
        divide_rows(&mut values, shape(2, 2, 1));
        let root = 2.0f64.sqrt();
        for (found, expected) in values.iter().zip([0.6 * root, 0.8 * root, 0.0, root]) {
            assert!((found - expected).abs() < 1e-15, "{found}, expected {expected}");
        }
        divide_columns(&mut values, shape(2, 2, 1));
        for (found, expected) in values.iter().zip([root, 0.8 * root / 1.64f64.sqrt(), 0.0, root / 1.64f64.sqrt()]) {
            assert!((found - expected).abs() < 1e-15, "{found}, expected {expected}");
        }
    }

    #[test]
    fn the_taps_of_a_kernel_share_their_column() {
        let mut values = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        divide_columns(&mut values, shape(2, 2, 2));
        let rms = ((1.0 + 4.0 + 25.0 + 36.0) / 4.0f64).sqrt();
        assert_eq!(&values[..2], [1.0 / rms, 2.0 / rms]);
    }

    #[test]
    fn zero_rows_and_columns_stay_zero_and_extreme_values_stay_finite() {
        let balanced = balance(&[0.0, 0.0, -0.0, 0.0, f32::MAX, 1e-45], shape(2, 3, 1));
        assert_eq!(&balanced[..4], [0.0; 4]);
        assert!(balanced.iter().all(|v| v.is_finite()), "{balanced:?}");
    }

    #[test]
    fn ties_keep_the_lower_index() {
        assert_eq!(largest(&[1.0, 2.0, 1.0, 1.0, 0.5], 3).positions().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(largest(&[0.0; 4], 2).positions().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(largest(&[1.0, 2.0], 5).kept(), 2);
        assert_eq!(largest(&[], 0).size(), 0);
    }

    proptest! {
        /// The attack that balancing answers: channels scaled by powers of two, which f64 does without rounding.
        #[test]
        fn ranks_ignore_the_scale_of_channels(
            values in prop::collection::vec(-1.0f32..1.0, 24),
            scales in prop::collection::vec(-8i32..8, 4 + 3),
            count in 1usize..24,
        ) {
            let shape = shape(4, 3, 2);
            let scaled: Vec<f32> = (values.iter().enumerate())
                .map(|(i, v)| v * 2f32.powi(scales[i / 6] + scales[4 + i % 6 / 2]))
                .collect();
            // rows are divided first, so scaled columns change the start, not the limit: compare where it is clear
            let (plain, other) = (balance(&values, shape), balance(&scaled, shape));
            let mut sorted = plain.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            if sorted[count - 1] - sorted[count] > 1e-2 {
                prop_assert_eq!(largest(&plain, count), largest(&other, count));
            }
        }

        #[test]
        fn the_largest_are_as_many_as_asked_and_none_is_below_the_rest(
            values in prop::collection::vec(0u8..5, 1..60),
            count in 0usize..60,
        ) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let mask = largest(&values, count);
            prop_assert_eq!(mask.kept(), count.min(values.len()));
            for kept in mask.positions() {
                for other in (0..values.len()).filter(|&p| !mask.keeps(p)) {
                    prop_assert!(values[kept] > values[other] || values[kept] == values[other] && kept < other);
                }
            }
        }
    }
}
