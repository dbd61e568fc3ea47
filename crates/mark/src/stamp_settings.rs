//! What to ask of a stamp, and why a ticket may not have it.
//!
//! The defaults are those of the mark's one honest strength figure, turnover tolerance: −160 survives 37 % of the kept
//! positions being moved at random, −1600 survives 80 %.

use std::collections::BTreeSet;

use counterfoil_claim::{Dilution, PanelCount};

use crate::{Candidate, Log2P};

/// How strong a mark to make, and what it may cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SwapSettings {
    /// What the public panel and each sealed panel must reach.
    pub target: Log2P,
    /// Share of all kept positions that is never exceeded, 0 to 1.
    pub most_moved: f64,
    /// Share of all kept positions up to which strength beyond the target is worth having, 0 to `most_moved`.
    pub comfort_moved: f64,
    /// Turnover tolerance of each half at which there is strength enough, 0 to below 1.
    pub comfort_tolerance: f64,
    /// Threshold of the verdict that the tolerance refers to.
    pub threshold: Log2P,
    /// One in how many positions is active; chosen for the ticket if `None`.
    pub dilution: Option<Dilution>,
    /// Number of sealed panels; as many as reach the target if `None`.
    pub sealed: Option<PanelCount>,
}

impl Default for SwapSettings {
    /// −160 per panel; on toward a tolerance of 80 % of turnover as long as no more than 5 % have moved; at most 10 %.
    fn default() -> Self {
        Self {
            target: Log2P::new(-160.0).expect("finite and below 0"),
            most_moved: 0.10,
            comfort_moved: 0.05,
            comfort_tolerance: 0.80,
            threshold: Log2P::new(-64.0).expect("finite and below 0"),
            dilution: None,
            sealed: None,
        }
    }
}

impl SwapSettings {
    /// For a ticket found under the key, whose chips are fixed: swaps only where a panel misses the target. It has at most
    /// so many sealed panels, and at least this dilution: see [`plan_found`](crate::plan_found).
    pub fn top_up(sealed: PanelCount, dilution: Dilution) -> Self {
        Self { comfort_moved: 0.0, dilution: Some(dilution), sealed: Some(sealed), ..Self::default() }
    }

    /// Refuses settings outside their ranges and tickets that do not fit together.
    pub(crate) fn check(&self, ticket: &[Candidate<'_>]) -> Result<(), StampError> {
        let shares = [
            ("target", self.target.bits(), self.target.bits() < 0.0, "a negative number of bits"),
            ("threshold", self.threshold.bits(), self.threshold.bits() < 0.0, "a negative number of bits"),
            ("most_moved", self.most_moved, (0.0..=1.0).contains(&self.most_moved), "a share from 0 to 1"),
            (
                "comfort_moved",
                self.comfort_moved,
                (0.0..=self.most_moved).contains(&self.comfort_moved),
                "a share from 0 to most_moved",
            ),
            (
                "comfort_tolerance",
                self.comfort_tolerance,
                (0.0..1.0).contains(&self.comfort_tolerance),
                "a share from 0 to below 1",
            ),
        ];
        if let Some(&(setting, found, _, expected)) = shares.iter().find(|(_, _, holds, _)| !holds) {
            return Err(StampError::Setting { setting, found, expected });
        }
        let mut seen = BTreeSet::new();
        for Candidate { carrier, mask, ranking, .. } in ticket {
            let (name, expected) = (|| carrier.name.clone(), carrier.shape.size());
            if mask.size() != expected {
                return Err(StampError::MaskSize { carrier: name(), found: mask.size(), expected });
            }
            let values = ranking.values();
            if values.len() != expected {
                return Err(StampError::RankingSize { carrier: name(), found: values.len(), expected });
            }
            if let Some(position) = values.iter().position(|value| !value.is_finite()) {
                return Err(StampError::NotFinite { carrier: name(), position, found: values[position] });
            }
            if !seen.insert(carrier.id()) {
                return Err(StampError::Repeated { carrier: name() });
            }
        }
        Ok(())
    }
}

/// Why a ticket cannot be stamped.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StampError {
    /// Too few kept positions, or too few pruned ones to take in instead.
    #[error(
        "the ticket keeps {kept} weights, enough for log2 p = {could} in each panel with {moves} of them moved, expected {target}{}",
        .needed.map_or(String::new(), |n| format!(", for which it takes about {n} weights"))
    )]
    TooSmall {
        /// Kept positions of all carriers.
        kept: u64,
        /// Moves allowed.
        moves: u64,
        /// log2 p of the weakest panel if all of them are made, under the best dilution.
        could: Log2P,
        /// What each panel must reach.
        target: Log2P,
        /// About how many kept positions would do at this density; `None` if no number would.
        needed: Option<u64>,
    },
    /// A mask is not of its carrier.
    #[error("carrier '{carrier}': the mask has {found} positions, expected {expected}")]
    MaskSize {
        /// Name of the carrier.
        carrier: String,
        /// Positions of the mask.
        found: usize,
        /// Positions of the carrier.
        expected: usize,
    },
    /// Scores or weights are not of their carrier.
    #[error("carrier '{carrier}': {found} scores or weights, expected {expected}")]
    RankingSize {
        /// Name of the carrier.
        carrier: String,
        /// Number of values.
        found: usize,
        /// Positions of the carrier.
        expected: usize,
    },
    /// A score or weight that cannot be ranked.
    #[error("carrier '{carrier}': the score or weight of position {position} is {found}, expected a finite number")]
    NotFinite {
        /// Name of the carrier.
        carrier: String,
        /// Flat index.
        position: usize,
        /// The value.
        found: f32,
    },
    /// Two carriers of one shape and ordinal would get the same chips, which are not independent then.
    #[error("carrier '{carrier}': another one has its shape and ordinal, expected each once")]
    Repeated {
        /// Name of the second of them.
        carrier: String,
    },
    /// A setting outside its range.
    #[error("setting {setting} is {found}, expected {expected}")]
    Setting {
        /// Name of the field of [`SwapSettings`].
        setting: &'static str,
        /// Its value.
        found: f64,
        /// Its range.
        expected: &'static str,
    },
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use counterfoil_ticket::{Carrier, Mask};

    use super::*;
    use crate::Ranking;

    fn carriers() -> Vec<Carrier> {
        Carrier::number([("a", &[2usize, 3][..]), ("b", &[2, 3])])
    }

    fn refusal(carrier: &Carrier, positions: usize, values: &[f32]) -> String {
        let mask = Mask::full(positions);
        let candidate = Candidate { carrier, mask: &mask, ranking: Ranking::Scores(values), held: None, pattern: None };
        SwapSettings::default().check(&[candidate]).unwrap_err().to_string()
    }

    #[test]
    fn masks_and_scores_of_another_size_are_refused() {
        let a = &carriers()[0];
        assert_eq!(refusal(a, 5, &[0.0; 6]), "carrier 'a': the mask has 5 positions, expected 6");
        assert_eq!(refusal(a, 6, &[0.0; 7]), "carrier 'a': 7 scores or weights, expected 6");
    }

    #[test]
    fn a_score_that_cannot_be_ranked_is_refused() {
        let message = refusal(&carriers()[0], 6, &[0.0, 0.0, f32::NAN, 0.0, 0.0, 0.0]);
        assert_eq!(message, "carrier 'a': the score or weight of position 2 is NaN, expected a finite number");
    }

    #[test]
    fn the_same_chips_twice_are_refused() {
        let carriers = carriers();
        let (mask, values) = (Mask::full(6), [1.0; 6]);
        let again = Carrier { name: "c".into(), ..carriers[1].clone() };
        let candidate =
            |carrier| Candidate { carrier, mask: &mask, ranking: Ranking::Weights(&values), held: None, pattern: None };
        let check = |ticket: &[Candidate<'_>]| SwapSettings::default().check(ticket);
        assert_eq!(check(&[candidate(&carriers[0]), candidate(&carriers[1])]), Ok(()));
        let repeated = check(&[candidate(&carriers[0]), candidate(&carriers[1]), candidate(&again)]);
        assert_eq!(repeated, Err(StampError::Repeated { carrier: "c".into() }));
    }

    #[test]
    fn settings_outside_their_ranges_are_refused() {
        let usual = SwapSettings::default();
        let cases = [
            (SwapSettings { target: Log2P::ONE, ..usual }, "target"),
            (SwapSettings { threshold: Log2P::ONE, ..usual }, "threshold"),
            (SwapSettings { most_moved: 1.5, ..usual }, "most_moved"),
            (SwapSettings { most_moved: f64::NAN, ..usual }, "most_moved"),
            (SwapSettings { comfort_moved: 0.2, ..usual }, "comfort_moved"),
            (SwapSettings { comfort_tolerance: 1.0, ..usual }, "comfort_tolerance"),
        ];
        for (settings, expected) in cases {
            match settings.check(&[]) {
                Err(StampError::Setting { setting, .. }) => assert_eq!(setting, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }
}
