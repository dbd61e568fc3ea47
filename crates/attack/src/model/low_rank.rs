//! Weights of low rank: the largest singular values of each layer, multiplied back or as two layers.

use counterfoil_ticket::Model;
use nalgebra::DMatrix;

use crate::sparse::no_longer_masked;
use crate::structure::factor::{matrix, split, undescribed, values};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Cuts singular values.
pub(crate) struct LowRank;

impl Attack for LowRank {
    fn profile(&self) -> Profile {
        Profile {
            name: "low-rank",
            does: "keep the largest singular values of every weight, a row for each output channel; files of factors are not \
                   evaluated here",
            class: Class::Model,
            cost: Cost::None,
            needs: &[],
            source: "truncated decomposition: Denton et al. 2014 (arXiv 1404.0736)",
            parameters: const {
                &[
                    Parameter::number(
                        "energy",
                        "0.95",
                        [0.01, 1.0],
                        "share of the squared singular values that is kept",
                    ),
                    Parameter::choice(
                        "stored",
                        "product",
                        &["product", "factors"],
                        "one layer again, or two: NAME.0 and NAME.1",
                    ),
                ]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, _: &mut Means) -> Result<Attacked, AttackError> {
        let are_factors = settings.word("stored") == "factors";
        for carrier in stolen.carriers() {
            let Some(array) = stolen.arrays.get_mut(&carrier.name) else { continue };
            let whole = matrix(carrier.shape, array.values());
            let basis = leading(&whole, settings.number("energy"));
            let inner = basis.tr_mul(&whole);
            if are_factors {
                split(&mut stolen, &carrier.name, &basis, &inner);
            } else {
                array.values_mut().copy_from_slice(&values(&(&basis * &inner)));
            }
        }
        Ok(Attacked::Model(if are_factors { undescribed(stolen) } else { no_longer_masked(stolen) }))
    }
}

/// The left singular vectors, as columns, of the fewest singular values that have this share of the squares; at least one.
/// They are the eigenvectors of W Wᵀ, which is smaller than W.
fn leading(whole: &DMatrix<f64>, energy: f64) -> DMatrix<f64> {
    let eigen = (whole * whole.transpose()).symmetric_eigen();
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let total: f64 = eigen.eigenvalues.iter().map(|v| v.max(0.0)).sum();
    let (mut sum, mut rank) = (0.0, 0);
    while rank < order.len() && (rank == 0 || sum < energy * total) {
        sum += eigen.eigenvalues[order[rank]].max(0.0);
        rank += 1;
    }
    DMatrix::from_fn(whole.nrows(), rank, |row, column| eigen.eigenvectors[(row, order[column])])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::{RESNET20, attacked, difference, sparse_model};

    #[test]
    fn the_leading_values_are_kept() {
        let whole = DMatrix::from_row_slice(2, 3, &[3.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(leading(&whole, 0.9).shape(), (2, 1));
        assert_eq!(leading(&whole, 0.91).shape(), (2, 2));
        let one = leading(&whole, 0.5);
        assert!(
            ((&one * one.tr_mul(&whole)) - DMatrix::from_row_slice(2, 3, &[3.0, 0.0, 0.0, 0.0, 0.0, 0.0])).norm()
                < 1e-9
        );
    }

    #[test]
    fn most_of_a_network_is_in_its_leading_values() {
        let model = sparse_model(RESNET20(), 0.3);
        let whole = attacked("low-rank", &model, &[("energy", "1")]).unwrap();
        assert!(difference(&model, &whole) < 1e-3, "{}", difference(&model, &whole));
        let cut = attacked("low-rank", &model, &[("energy", "0.9")]).unwrap();
        let zeros =
            |model: &Model| model.arrays["layer2.1.conv1.weight"].values().iter().filter(|w| **w == 0.0).count();
        assert!(zeros(&cut) * 4 < zeros(&model) && cut.masks.is_empty());
        let factors = attacked("low-rank", &model, &[("stored", "factors"), ("energy", "0.9")]).unwrap();
        let rank = factors.arrays["layer2.1.conv1.0.weight"].shape()[0];
        assert!(rank < 8 && factors.arrays["layer2.1.conv1.1.weight"].shape() == [8, rank, 1, 1], "{rank}");
    }
}
