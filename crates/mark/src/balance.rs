//! Balancing: weights made comparable across channels, so that ranks survive rescaling.
//!
//! Implements docs/protocol.md, "Ranks": factors x of the output rows and y of the input columns such that the rows of
//! w² · x · y sum to about the same, and its columns too. An attacker can scale a channel up and
//! the next layer down without changing the network; plain |w| would then rank whole channels, balanced w² does not see
//! it. It is the iteration of Sinkhorn & Knopp 1967
//! (10.2140/pjm.1967.21.343) on the kernels' sums of squares.
//!
//! Every sum has its order, whatever the number of threads and the width of vectors, so that all machines agree on every
//! bit. Vectors and their run-time detection are `pulp`'s: within `dispatch` the compiler uses what the machine has.

use std::ops::Range;

use counterfoil_ticket::{CarrierShape, ReadError, Values};
use pulp::Arch;
use rayon::prelude::*;

/// Rounds of rows, then columns.
const ROUNDS: usize = 20;

/// Rows whose parts of a column's sum are added up before those of the next rows.
const BLOCK: usize = 32;

/// Values that a thread reads at a time, about.
const AT_ONCE: usize = 1 << 18;

/// Partial sums of a row.
const LANES: usize = 8;

/// Most sums of squares that are held where each is of a single weight, and could be worked out again.
const MAX_HELD_SQUARES: usize = 1 << 22;

/// Balance of one carrier.
pub(crate) struct Balance {
    /// x_o, one for each output.
    rows: Vec<f64>,
    /// y_i, one for each weight of a row: those of a kernel are equal.
    columns: Vec<f64>,
}

impl Balance {
    /// Balances; rows and columns that are all zero are left alone. Panics if the number of values is not the shape's.
    pub(crate) fn new(values: &Values, shape: CarrierShape) -> Result<Self, ReadError> {
        assert_eq!(values.size(), shape.size(), "values and shape differ in size");
        Self::from_energies(&Energies::new(values, shape, MAX_HELD_SQUARES)?, shape)
    }

    fn from_energies(energies: &Energies, shape: CarrierShape) -> Result<Self, ReadError> {
        let arch = Arch::new();
        let at_once = (AT_ONCE / shape.row()).max(1);
        let mut rows = vec![1.0; shape.out as usize];
        let mut columns = vec![1.0; shape.inp as usize];
        for _ in 0..ROUNDS {
            let blocks = rows.par_chunks_mut(BLOCK).enumerate();
            let sums = blocks.map_init(Room::default, |room, (block, rows)| {
                let mut sums = vec![0.0; columns.len()];
                for (part, rows) in rows.chunks_mut(at_once).enumerate() {
                    let first = block * BLOCK + part * at_once;
                    let energies = energies.rows(first..first + rows.len(), room)?;
                    arch.dispatch(|| scale_rows(rows, energies, &columns, &mut sums));
                }
                Ok(sums)
            });
            let mut total = vec![0.0; columns.len()];
            for sums in sums.collect::<Result<Vec<Vec<f64>>, ReadError>>()? {
                total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
            }
            columns.iter_mut().zip(total).for_each(|(factor, sum)| *factor = inverse(sum).unwrap_or(*factor));
        }
        let of_weights = |&factor: &f64| std::iter::repeat_n(factor, shape.taps());
        Ok(Self { rows, columns: columns.iter().flat_map(of_weights).collect() })
    }

    /// Ranks of the weights of whole rows, from row `first` on, appended to `ranks`: larger is ranked first, 0 is never
    /// kept.
    pub(crate) fn ranks(&self, first: usize, values: &[f32], ranks: &mut Vec<u32>) {
        Arch::new().dispatch(|| {
            for (row, values) in self.rows[first..].iter().zip(values.chunks(self.columns.len())) {
                ranks.extend(values.iter().zip(&self.columns).map(|(&value, column)| rank(value, *row, *column)));
            }
        });
    }
}

/// One more than the upper half of the binary64 (w² · x) · y, which orders as the number does; 0 if w is 0.
#[inline(always)]
fn rank(value: f32, row: f64, column: f64) -> u32 {
    let value = f64::from(value);
    let balanced = value * value * row * column;
    if value == 0.0 { 0 } else { (balanced.to_bits() >> 32) as u32 + 1 }
}

/// Σ w² over the taps of each kernel, output by output.
enum Energies<'a> {
    Held {
        sums: Vec<f64>,
        inp: usize,
    },
    /// Kernels of one tap, too many to be held.
    Squares(&'a Values<'a>, usize),
}

/// Room for what is read and worked out.
#[derive(Default)]
struct Room {
    values: Vec<f32>,
    squares: Vec<f64>,
}

impl<'a> Energies<'a> {
    fn new(values: &'a Values<'a>, shape: CarrierShape, most: usize) -> Result<Self, ReadError> {
        let (inp, taps, row) = (shape.inp as usize, shape.taps(), shape.row());
        if taps == 1 && shape.size() > most {
            return Ok(Self::Squares(values, inp));
        }
        let mut sums = vec![0.0; shape.out as usize * inp];
        sums.par_chunks_mut(BLOCK * inp).enumerate().try_for_each_init(Vec::new, |room, (block, sums)| {
            let first = block * BLOCK * row;
            let values = values.part(first..first + sums.len() * taps, room)?;
            for (sum, kernel) in sums.iter_mut().zip(values.chunks(taps)) {
                *sum = kernel.iter().fold(0.0, |sum, &w| sum + f64::from(w) * f64::from(w));
            }
            Ok(())
        })?;
        Ok(Self::Held { sums, inp })
    }

    fn rows<'b>(&'b self, rows: Range<usize>, room: &'b mut Room) -> Result<&'b [f64], ReadError> {
        match self {
            Self::Held { sums, inp } => Ok(&sums[rows.start * inp..rows.end * inp]),
            Self::Squares(values, inp) => {
                let values = values.part(rows.start * inp..rows.end * inp, &mut room.values)?;
                room.squares.clear();
                room.squares.extend(values.iter().map(|&w| f64::from(w) * f64::from(w)));
                Ok(&room.squares)
            }
        }
    }
}

/// Gives these rows new factors, and adds to the columns' sums what the rows then have.
#[inline(always)]
fn scale_rows(rows: &mut [f64], energies: &[f64], columns: &[f64], sums: &mut [f64]) {
    for (factor, energies) in rows.iter_mut().zip(energies.chunks(columns.len())) {
        *factor = inverse(dot(energies, columns)).unwrap_or(*factor);
        let factor = *factor;
        sums.iter_mut().zip(energies).for_each(|(sum, energy)| *sum += energy * factor);
    }
}

/// Σ a · b: term i goes to partial sum i mod 8, and these are added in pairs.
#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut s = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            s[lane] += a[lane] * b[lane];
        }
    }
    s.iter_mut().zip(a_rest.iter().zip(b_rest)).for_each(|(s, (a, b))| *s += a * b);
    ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))
}

/// `None` if it is not a positive finite number: all weights are zero, or farther apart than numbers go.
#[inline(always)]
fn inverse(sum: f64) -> Option<f64> {
    let inverse = 1.0 / sum;
    (inverse > 0.0 && inverse.is_finite()).then_some(inverse)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(out: u32, inp: u32, width: u32) -> CarrierShape {
        CarrierShape { out, inp, height: 1, width }
    }

    fn balance(values: &[f32], shape: CarrierShape) -> Balance {
        Balance::new(&Values::from(values.to_vec()), shape).expect("held values can be read")
    }

    fn ranks(values: &[f32], shape: CarrierShape) -> Vec<u32> {
        let mut ranks = Vec::new();
        balance(values, shape).ranks(0, values, &mut ranks);
        ranks
    }

    /// w² · x · y of each position.
    fn balanced(values: &[f32], shape: CarrierShape) -> Vec<f64> {
        let Balance { rows, columns } = balance(values, shape);
        let of = |(i, &w): (usize, &f32)| f64::from(w).powi(2) * rows[i / columns.len()] * columns[i % columns.len()];
        values.iter().enumerate().map(of).collect()
    }

    #[test]
    fn rank_one_magnitudes_balance_to_equal_parts_of_a_column() {
        let (rows, columns) = ([1.0f32, 10.0, 1e-3], [5.0f32, 0.5]);
        let values: Vec<f32> = rows.iter().flat_map(|r| columns.iter().map(move |c| -r * c)).collect();
        for value in balanced(&values, shape(3, 2, 1)) {
            assert!((value - 1.0 / 3.0).abs() < 1e-7, "{value}");
        }
    }

    /// [[3, 4], [0, 5]]: of a positive diagonal, so the limit is the only doubly stochastic matrix of that pattern, the
    /// identity; the entry off the diagonal dies as 1 / (2 · rounds).
    #[test]
    fn what_cannot_be_balanced_dies_out() {
        let found = balanced(&[3.0, 4.0, 0.0, 5.0], shape(2, 2, 1));
        assert!((0.01..0.03).contains(&found[1]), "{found:?}");
        assert!((found[0] - 1.0).abs() < 1e-9 && (found[3] + found[1] - 1.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn the_taps_of_a_kernel_share_their_column() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let found = balance(&values, shape(2, 2, 2));
        assert_eq!((found.columns[0], found.columns[2]), (found.columns[1], found.columns[3]));
        let sums: [f64; 4] = std::array::from_fn(|i| balanced(&values, shape(2, 2, 2))[2 * i..2 * i + 2].iter().sum());
        for column in [sums[0] + sums[2], sums[1] + sums[3]] {
            assert!((column - 1.0).abs() < 1e-9, "{sums:?}");
        }
    }

    /// Sums in the written order, plainly.
    #[test]
    fn the_order_of_sums_is_the_protocols() {
        let shape = shape(70, 19, 3);
        let values: Vec<f32> = (0..shape.size()).map(|i| ((i * 7919 % 1009) as f32 - 500.0) / 300.0).collect();
        let e: Vec<f64> =
            values.chunks(3).map(|k| k.iter().fold(0.0, |s, w| s + f64::from(*w) * f64::from(*w))).collect();
        let (mut x, mut y) = ([1.0; 70], [1.0; 19]);
        for _ in 0..20 {
            for o in 0..70 {
                let mut s = [0.0; 8];
                (0..19).for_each(|i| s[i % 8] += e[19 * o + i] * y[i]);
                x[o] = 1.0 / (((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])));
            }
            for i in 0..19 {
                let blocks = [0..32, 32..64, 64..70].map(|rows| rows.fold(0.0, |s, o| s + e[19 * o + i] * x[o]));
                y[i] = 1.0 / ((blocks[0] + blocks[1]) + blocks[2]);
            }
        }
        let found = balance(&values, shape);
        assert_eq!(found.rows, x);
        assert!(found.columns.chunks(3).zip(y).all(|(taps, y)| *taps == [y; 3]));
    }

    #[test]
    fn squares_worked_out_anew_balance_as_those_held() {
        let shape = shape(70, 19, 1);
        let values = Values::from((0..shape.size()).map(|i| (i * 7919 % 1009) as f32 - 500.0).collect::<Vec<_>>());
        let [held, anew] = [usize::MAX, 0].map(|most| {
            let energies = Energies::new(&values, shape, most).expect("held values can be read");
            assert_eq!(matches!(energies, Energies::Squares(..)), most == 0);
            Balance::from_energies(&energies, shape).expect("held values can be read")
        });
        assert_eq!((held.rows, held.columns), (anew.rows, anew.columns));
    }

    #[test]
    fn zeros_have_no_rank_and_extreme_values_have_one() {
        let found = ranks(&[0.0, 0.0, -0.0, 0.0, f32::MAX, 1e-45], shape(2, 3, 1));
        assert_eq!(found[..4], [0; 4]);
        assert!(found[4..].iter().all(|&rank| rank > 1), "{found:?}");
        assert_eq!(rank(1e-45, 1e-300, 1e-300), 1, "too small for a number, yet no zero");
        assert!(rank(f32::MAX, 1e300, 1e300) < 1 << 31);
    }

    proptest! {
        /// The attack that balancing answers: channels scaled by powers of two, which f64 does without rounding.
        ///
        /// Both begin at most ln 2^(4 · 2 · 8) = 45 apart in Hilbert's metric. With |w| in [1/2, 1], so that cross ratios of w²
        /// are at most 16, each half of a round brings them nearer by a factor of (4 − 1) / (4 + 1) (Birkhoff 1957): after
        /// 20 rounds they are 45 · 0.6^40 < 1e-7 apart.
        #[test]
        fn ranks_ignore_the_scale_of_channels(
            values in prop::collection::vec((0.5f32..1.0, any::<bool>()), 24),
            scales in prop::collection::vec(-8i32..8, 4 + 3),
        ) {
            let shape = shape(4, 3, 2);
            let values: Vec<f32> = values.into_iter().map(|(v, negative)| if negative { -v } else { v }).collect();
            let scaled: Vec<f32> = (values.iter().enumerate())
                .map(|(i, v)| v * 2f32.powi(scales[i / 6] + scales[4 + i % 6 / 2]))
                .collect();
            for (a, b) in balanced(&values, shape).iter().zip(balanced(&scaled, shape)) {
                prop_assert!((a - b).abs() < 1e-6, "{a} and {b}");
            }
        }
    }
}
