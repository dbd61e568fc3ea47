//! Rectangular assignment: rows to columns, such that similarities add up to the most.
//!
//! Kuhn–Munkres of `pathfinding` (a dependency already, kept, rectangular) on integers, so that all machines agree;
//! `lapjv` takes square matrices of floats only. Where the best column of every row is another one, that is the answer.

use pathfinding::kuhn_munkres::{Weights, kuhn_munkres};

/// Similarities of rows (channels of the ticket) and columns (channels of the suspect), row by row.
#[derive(Debug, Clone)]
pub(super) struct Matrix {
    pub(super) values: Vec<f32>,
    pub(super) columns: usize,
}

/// Steps of a similarity of 1.
const SCALE: f32 = (1 << 24) as f32;

/// The column of each row, `None` for rows that are left over where there are more rows than columns.
pub(super) fn assign(matrix: &Matrix) -> Vec<Option<u32>> {
    let columns = matrix.columns;
    let rows = matrix.values.len().checked_div(columns).unwrap_or(0);
    if rows == 0 {
        return vec![None; rows];
    }
    if let Some(best) = distinct_best(matrix) {
        return best;
    }
    let weights: Vec<i64> = matrix.values.iter().map(|v| (v * SCALE).round() as i64).collect();
    if rows <= columns {
        let found = kuhn_munkres(&Table { weights, rows, columns, is_turned: false }).1;
        return found.into_iter().map(|column| Some(column as u32)).collect();
    }
    let found = kuhn_munkres(&Table { weights, rows: columns, columns: rows, is_turned: true }).1;
    let mut of_rows = vec![None; rows];
    found.into_iter().enumerate().for_each(|(column, row)| of_rows[row] = Some(column as u32));
    of_rows
}

/// The best column of each row, if no two rows have the same.
fn distinct_best(matrix: &Matrix) -> Option<Vec<Option<u32>>> {
    let mut is_taken = vec![false; matrix.columns];
    let best = matrix.values.chunks(matrix.columns).map(|row| {
        let best = (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
        (!std::mem::replace(&mut is_taken[best], true)).then_some(Some(best as u32))
    });
    best.collect()
}

/// Integer weights, with rows and columns exchanged if there are more rows.
struct Table {
    weights: Vec<i64>,
    rows: usize,
    columns: usize,
    is_turned: bool,
}

impl Weights<i64> for Table {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn at(&self, row: usize, col: usize) -> i64 {
        if self.is_turned { self.weights[col * self.rows + row] } else { self.weights[row * self.columns + col] }
    }

    fn neg(&self) -> Self {
        Self { weights: self.weights.iter().map(|w| -w).collect(), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: &[&[f32]]) -> Matrix {
        Matrix { columns: rows.first().map_or(0, |row| row.len()), values: rows.concat() }
    }

    #[test]
    fn the_best_sum_need_not_be_greedy() {
        assert_eq!(assign(&matrix(&[&[1.0, 0.9], &[0.9, 0.1]])), [Some(1), Some(0)]);
        assert_eq!(assign(&matrix(&[&[0.1, 0.9], &[0.9, 0.1]])), [Some(1), Some(0)]);
        assert_eq!(assign(&matrix(&[])), []);
    }

    #[test]
    fn rows_or_columns_may_be_left_over() {
        assert_eq!(assign(&matrix(&[&[0.6, 0.1, 0.9], &[0.4, 0.2, 0.8]])), [Some(0), Some(2)]);
        assert_eq!(assign(&matrix(&[&[0.5, 0.3], &[0.1, 0.2], &[0.9, 0.8]])), [Some(0), None, Some(1)]);
        assert_eq!(assign(&matrix(&[&[-0.5], &[-0.1]])), [None, Some(0)]);
    }
}
