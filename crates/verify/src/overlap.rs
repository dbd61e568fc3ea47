//! Overlap with the owner's reference mask: corroboration, never a verdict.
//!
//! Stated null: in each carrier the suspect keeps as many positions as it does, drawn at random (hypergeometric). That
//! null is not exact, since two people who prune one public checkpoint get similar masks; so nothing is decided by it.
//!
//! Of a hypergeometric variable with n draws and a share q, E exp(λX) ≤ (1 + q(exp λ − 1))ⁿ (Hoeffding 1963, section 6).
//! Carriers being independent, every λ ≥ 0 bounds the chance of an overlap of k or more:
//!
//! ```text
//! ln P ≤ Σ nᵢ ln(1 + qᵢ(exp λ − 1)) − λk
//! ```

use std::collections::BTreeMap;
use std::f64::consts::LOG2_E;

use counterfoil_mark::Log2P;
use counterfoil_ticket::{Carrier, CarrierShape, Mask};
use serde::Serialize;

use crate::VerifyError;

/// λ beyond which nothing is gained: exp(−50) of a position.
const STEEPEST: f64 = 50.0;

/// Halvings of the interval in which the best λ is sought.
const HALVINGS: usize = 60;

/// How much of the reference mask the suspect keeps, over the carriers read by `zeros`. Corroboration only.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Overlap {
    /// Carriers compared.
    pub carriers: u64,
    /// Positions that the suspect keeps in them.
    pub kept: u64,
    /// Positions that the reference mask keeps in them.
    pub reference: u64,
    /// Positions that both keep.
    pub overlap: u64,
    /// Overlap to expect if the suspect's positions were drawn at random.
    pub expected: f64,
    /// Bound on log2 of the chance of so much overlap under that null.
    pub log2_p: Log2P,
}

impl Overlap {
    /// About 0 for an overlap by chance, 1 if all is kept that could be.
    pub(crate) fn likeness(&self) -> f64 {
        let most = self.kept.min(self.reference) as f64 - self.expected;
        if most > 0.0 { (self.overlap as f64 - self.expected) / most } else { 0.0 }
    }
}

/// Counts of one carrier.
struct Draws {
    /// Positions that the suspect keeps.
    kept: u64,
    /// Positions that the reference keeps.
    reference: u64,
    /// Share of positions that the reference keeps.
    share: f64,
    overlap: u64,
}

/// Overlap in the making, fed carrier by carrier.
pub(crate) struct OverlapCount<'a> {
    reference: BTreeMap<(CarrierShape, u32), &'a Mask>,
    draws: Vec<Draws>,
}

impl<'a> OverlapCount<'a> {
    pub(crate) fn new(reference: &'a [(Carrier, Mask)]) -> Self {
        let reference = reference.iter().map(|(c, mask)| ((c.shape, c.ordinal), mask)).collect();
        Self { reference, draws: Vec::new() }
    }

    /// Compares what the suspect keeps of one carrier of the ticket.
    pub(crate) fn see(&mut self, carrier: &Carrier, kept: &Mask) -> Result<(), VerifyError> {
        let Some(&reference) = self.reference.get(&(carrier.shape, carrier.ordinal)) else { return Ok(()) };
        if reference.size() != kept.size() {
            let (found, expected) = (reference.size(), kept.size());
            return Err(VerifyError::ReferenceMask { carrier: carrier.name.clone(), found, expected });
        }
        self.draws.push(Draws {
            kept: kept.kept() as u64,
            reference: reference.kept() as u64,
            share: reference.density(),
            overlap: kept.overlap(reference) as u64,
        });
        Ok(())
    }

    /// `None` if nothing could be compared.
    pub(crate) fn finish(self) -> Option<Overlap> {
        let draws = self.draws;
        let overlap = draws.iter().map(|d| d.overlap).sum();
        (!draws.is_empty()).then(|| Overlap {
            carriers: draws.len() as u64,
            kept: draws.iter().map(|d| d.kept).sum(),
            reference: draws.iter().map(|d| d.reference).sum(),
            overlap,
            expected: draws.iter().map(|d| d.kept as f64 * d.share).sum(),
            log2_p: log2_bound(&draws, overlap),
        })
    }
}

/// The bound at the λ that makes it least. It is convex in λ, so the sign of its slope tells where to go.
fn log2_bound(draws: &[Draws], overlap: u64) -> Log2P {
    let slope = |lambda: f64| {
        let mean = |d: &Draws| d.kept as f64 * d.share * lambda.exp() / (1.0 + d.share * lambda.exp_m1());
        draws.iter().map(mean).sum::<f64>() - overlap as f64
    };
    let (mut low, mut high) = (0.0, STEEPEST);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if slope(middle) < 0.0 { low = middle } else { high = middle }
    }
    let ln = draws.iter().map(|d| d.kept as f64 * (d.share * low.exp_m1()).ln_1p()).sum::<f64>() - low * overlap as f64;
    Log2P::new((ln * LOG2_E).min(0.0)).unwrap_or(Log2P::ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carrier() -> Carrier {
        Carrier::number([("w", &[10usize, 100][..])]).remove(0)
    }

    fn compare(suspect: Mask, reference: Mask) -> Overlap {
        let reference = [(carrier(), reference)];
        let mut count = OverlapCount::new(&reference);
        count.see(&carrier(), &suspect).unwrap();
        count.finish().unwrap()
    }

    #[test]
    fn a_copy_overlaps_wholly_and_a_stranger_as_expected() {
        let tenth = |offset| Mask::from_fn(1000, move |p| p % 10 == offset);
        let copy = compare(tenth(0), tenth(0));
        assert_eq!((copy.kept, copy.reference, copy.overlap, copy.expected), (100, 100, 100, 10.0));
        // 1 / binomial(1000, 100) is 2^-464.4, the bound q^n = 10^-100 is 2^-332.19
        assert!((copy.log2_p.bits() - -332.19).abs() < 0.01, "{:?}", copy.log2_p);
        assert_eq!(compare(tenth(0), tenth(1)).log2_p, Log2P::ONE);
        let fair = compare(Mask::from_fn(1000, |p| p < 100), tenth(0));
        assert_eq!((fair.overlap, fair.log2_p.bits().abs() < 1e-9), (10, true));
        assert_eq!([compare(tenth(0), tenth(0)).likeness(), fair.likeness()], [1.0, 0.0]);
        assert_eq!(compare(Mask::full(1000), tenth(0)).likeness(), 0.0, "a dense suspect is like nothing");
    }

    /// Entropy form of the bound: n times the relative entropy of 3/10 and 1/10, 0.153 nats by hand.
    #[test]
    fn the_bound_is_n_times_the_relative_entropy() {
        let reference = Mask::from_fn(1000, |p| p % 10 == 0);
        let suspect = Mask::from_fn(1000, |p| (p % 10 == 0 && p < 300) || (p % 10 == 1 && p < 700));
        let found = compare(suspect, reference);
        assert_eq!((found.kept, found.overlap), (100, 30));
        let entropy = 0.3 * 3.0f64.ln() + 0.7 * (7.0f64 / 9.0).ln();
        assert!((found.log2_p.bits() + 100.0 * entropy * LOG2_E).abs() < 1e-6, "{:?}", found.log2_p);
    }

    #[test]
    fn a_mask_of_another_size_is_refused() {
        let reference = [(carrier(), Mask::full(999))];
        let error = OverlapCount::new(&reference).see(&carrier(), &Mask::full(1000)).unwrap_err();
        assert_eq!(error.to_string(), "reference mask: 999 positions for 'w', expected 1000");
    }

    #[test]
    fn without_a_reference_there_is_no_overlap() {
        let mut count = OverlapCount::new(&[]);
        count.see(&carrier(), &Mask::full(1000)).unwrap();
        assert_eq!(count.finish(), None);
    }
}
