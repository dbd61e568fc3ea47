//! Which kernels of a carrier are kept: one bit for each pair of output and input channel.

use counterfoil_ticket::{Carrier, Mask};

use super::layout::Rows;

/// The channel-connectivity matrix of a carrier.
pub(super) struct Connectivity {
    rows: usize,
    columns: usize,
    /// Words of a row, one more than it fills.
    words: usize,
    bits: Vec<u64>,
}

impl Connectivity {
    /// A kernel is kept if at least one of its positions is.
    pub(super) fn of(carrier: &Carrier, mask: &Mask) -> Self {
        let shape = carrier.shape;
        let (rows, columns) = (shape.out as usize, shape.inp as usize);
        let words = columns / 64 + 2;
        let mut bits = vec![0; rows * words];
        for kernel in mask.positions().map(|position| position / shape.taps()) {
            let (row, column) = (kernel / columns, kernel % columns);
            bits[row * words + column / 64] |= 1 << (column % 64);
        }
        Self { rows, columns, words, bits }
    }

    /// Rows and columns that the first module of a code with this side can be at, if it fits at all.
    pub(super) fn places(&self, side: usize) -> Option<(usize, usize)> {
        places(self.rows, self.columns, side)
    }

    /// The square at a place, a word a row.
    pub(super) fn square(&self, row: usize, column: usize, side: usize, square: &mut Rows) {
        let (word, shift) = (column / 64, column % 64);
        let keep = (1 << side) - 1;
        square.clear();
        square.extend((row..row + side).map(|row| {
            let low = self.bits[row * self.words + word] >> shift;
            let high = if shift == 0 { 0 } else { self.bits[row * self.words + word + 1] << (64 - shift) };
            (low | high) & keep
        }));
    }
}

/// Numbers of rows and of columns that a square can start at.
pub(super) fn places(rows: usize, columns: usize, side: usize) -> Option<(usize, usize)> {
    Some((rows.checked_sub(side)? + 1, columns.checked_sub(side)? + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_are_those_of_the_matrix() {
        let carrier = Carrier::number([("w", &[70usize, 131, 2, 2][..])]).remove(0);
        let keeps = |row: usize, column: usize| (row * 31 + column * 17) % 5 < 2;
        // One position of each kept kernel, not always the same.
        let mask = Mask::from_fn(70 * 131 * 4, |p| {
            let (row, column) = (p / 4 / 131, p / 4 % 131);
            keeps(row, column) && p % 4 == (row + column) % 4
        });
        let connectivity = Connectivity::of(&carrier, &mask);
        assert_eq!(connectivity.places(29), Some((42, 103)));
        assert_eq!(connectivity.places(71), None);
        let mut square = Rows::new();
        for (row, column, side) in [(0, 0, 21), (41, 102, 29), (3, 63, 57), (13, 64, 57), (10, 50, 29)] {
            connectivity.square(row, column, side, &mut square);
            let expected: Rows = (0..side)
                .map(|r| (0..side).fold(0, |word, c| word | u64::from(keeps(row + r, column + c)) << c))
                .collect();
            assert_eq!(square, expected, "{row} {column} {side}");
        }
    }
}
