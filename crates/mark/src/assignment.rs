//! Assignment: which of a suspect's carriers of one shape stands for which ordinal.
//!
//! Implements reading 3 of docs/protocol.md, "What is read as kept", and its charge: a suspect whose tensors were
//! renamed so that their order changed. Kuhn–Munkres from `pathfinding`; a group is a handful of carriers.

use pathfinding::kuhn_munkres::kuhn_munkres;
use pathfinding::matrix::Matrix;

/// The assignment of rows to columns with the largest sum: element i is the column of row i.
///
/// `hits[i][j]` is what is gained when row i (a suspect's carrier) stands for column j (an ordinal). Panics if the
/// matrix is not square.
pub fn assign(hits: &[Vec<u64>]) -> Vec<usize> {
    assert!(hits.iter().all(|row| row.len() == hits.len()), "an assignment needs a square matrix");
    if hits.is_empty() {
        return Vec::new();
    }
    let weights = hits.iter().map(|row| row.iter().map(|&h| i64::try_from(h).unwrap_or(i64::MAX / 4)));
    let weights = Matrix::from_rows(weights).expect("all rows have the same length");
    kuhn_munkres(&weights).1
}

/// log2 ∏ g!: the bits of choosing one order for each group of g carriers.
pub fn log2_orders(groups: &[usize]) -> f64 {
    groups.iter().flat_map(|&group| 2..=group).map(|factor| libm::log2(factor as f64)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_best_assignment_need_not_be_greedy() {
        assert_eq!(assign(&[vec![10, 9], vec![9, 1]]), [1, 0]);
        assert_eq!(assign(&[vec![0, 0, 7], vec![7, 0, 0], vec![0, 7, 0]]), [2, 0, 1]);
        assert_eq!(assign(&[vec![5]]), [0]);
        assert_eq!(assign(&[]), Vec::<usize>::new());
    }

    #[test]
    fn orders_are_products_of_factorials() {
        assert_eq!(log2_orders(&[]), 0.0);
        assert_eq!(log2_orders(&[1, 1, 1]), 0.0);
        assert_eq!(log2_orders(&[2, 2, 1]), 2.0);
        assert!((log2_orders(&[3, 6, 2]) - (6.0f64 * 720.0 * 2.0).log2()).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn no_permutation_of_four_does_better(hits in prop::collection::vec(prop::collection::vec(0u64..50, 4), 4)) {
            let sum = |columns: &[usize]| (0..4).map(|i| hits[i][columns[i]]).sum::<u64>();
            let mut best = 0;
            for code in 0..256 {
                let columns = [code % 4, code / 4 % 4, code / 16 % 4, code / 64];
                if (0..4).all(|column| columns.contains(&column)) {
                    best = best.max(sum(&columns));
                }
            }
            let mut found = assign(&hits);
            prop_assert_eq!(sum(&found), best);
            found.sort_unstable();
            prop_assert_eq!(found, [0, 1, 2, 3]);
        }
    }
}
