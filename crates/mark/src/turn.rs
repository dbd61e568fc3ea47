//! Turns: the symmetries of the kernel grid, under which a network that was mirrored or rotated is read.
//!
//! Mirroring every kernel gives the network that sees mirrored images: to one that was trained with flips it hardly
//! matters, to a mask that is read in place it is a shuffle. Implements reading 4 of docs/protocol.md, "What is read as
//! kept". The seven together with doing nothing are the symmetries of the square (the dihedral group of order 8), so each
//! undoes one of the others or itself.

/// A symmetry of the square, other than doing nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Columns from right to left.
    Mirrored,
    /// Rows from bottom to top.
    Flipped,
    /// Both.
    HalfTurned,
    /// Rows as columns.
    Transposed,
    /// Rows as columns, and both from the end.
    AntiTransposed,
    /// A quarter turn: row r of the result is column r, from the last row to the first.
    QuarterTurned,
    /// Three of them.
    ThreeQuarterTurned,
}

impl Turn {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 7] = [
        Self::Mirrored,
        Self::Flipped,
        Self::HalfTurned,
        Self::Transposed,
        Self::AntiTransposed,
        Self::QuarterTurned,
        Self::ThreeQuarterTurned,
    ];

    /// What reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mirrored => "mirrored",
            Self::Flipped => "flipped",
            Self::HalfTurned => "half-turned",
            Self::Transposed => "transposed",
            Self::AntiTransposed => "anti-transposed",
            Self::QuarterTurned => "quarter-turned",
            Self::ThreeQuarterTurned => "three-quarter-turned",
        }
    }

    /// For each tap of a kernel, row by row, the tap of the suspect's kernel that is read there. Turns that swap the sides
    /// leave kernels alone that are not square.
    pub fn taps(self, [height, width]: [usize; 2]) -> Vec<usize> {
        let swaps =
            matches!(self, Self::Transposed | Self::AntiTransposed | Self::QuarterTurned | Self::ThreeQuarterTurned);
        let from = |row: usize, column: usize| {
            if swaps && height != width {
                return (row, column);
            }
            let (last_row, last_column) = (height - 1, width - 1);
            match self {
                Self::Mirrored => (row, last_column - column),
                Self::Flipped => (last_row - row, column),
                Self::HalfTurned => (last_row - row, last_column - column),
                Self::Transposed => (column, row),
                Self::AntiTransposed => (last_column - column, last_row - row),
                Self::QuarterTurned => (last_column - column, row),
                Self::ThreeQuarterTurned => (column, last_row - row),
            }
        };
        let places = (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
        places.map(|(row, column)| from(row, column)).map(|(row, column)| row * width + column).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn turns_of_a_kernel_of_nine() {
        let expected: [(Turn, [usize; 9]); 7] = [
            (Turn::Mirrored, [2, 1, 0, 5, 4, 3, 8, 7, 6]),
            (Turn::Flipped, [6, 7, 8, 3, 4, 5, 0, 1, 2]),
            (Turn::HalfTurned, [8, 7, 6, 5, 4, 3, 2, 1, 0]),
            (Turn::Transposed, [0, 3, 6, 1, 4, 7, 2, 5, 8]),
            (Turn::AntiTransposed, [8, 5, 2, 7, 4, 1, 6, 3, 0]),
            (Turn::QuarterTurned, [6, 3, 0, 7, 4, 1, 8, 5, 2]),
            (Turn::ThreeQuarterTurned, [2, 5, 8, 1, 4, 7, 0, 3, 6]),
        ];
        assert_eq!(expected.map(|(turn, _)| turn), Turn::ALL);
        for (turn, taps) in expected {
            assert_eq!(turn.taps([3, 3]), taps, "{turn:?}");
        }
    }

    #[test]
    fn each_turn_is_undone_by_one_of_them() {
        for side in 1..=7 {
            let all: BTreeSet<Vec<usize>> = Turn::ALL.map(|turn| turn.taps([side, side])).into();
            assert_eq!(all.len(), [1, 7, 7][side.min(3) - 1], "side {side}");
            for turn in Turn::ALL {
                let taps = turn.taps([side, side]);
                let undoes = |other: &Turn| {
                    let other = other.taps([side, side]);
                    (0..taps.len()).all(|tap| taps[other[tap]] == tap)
                };
                assert!(Turn::ALL.iter().any(undoes), "{turn:?} of side {side}");
            }
        }
    }

    #[test]
    fn kernels_that_are_not_square_are_turned_within_their_grid() {
        assert_eq!(Turn::Mirrored.taps([1, 3]), [2, 1, 0]);
        assert_eq!(Turn::Flipped.taps([1, 3]), [0, 1, 2]);
        assert_eq!(Turn::HalfTurned.taps([2, 3]), [5, 4, 3, 2, 1, 0]);
        assert_eq!(Turn::Transposed.taps([2, 3]), [0, 1, 2, 3, 4, 5]);
        assert_eq!(Turn::QuarterTurned.taps([1, 3]), [0, 1, 2]);
    }
}
