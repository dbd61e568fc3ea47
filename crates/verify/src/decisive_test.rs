//! Decisive tests: one tally, its chance under the null, what it costs, and what it could have shown.
//!
//! Implements the p-value of docs/protocol.md, "Evidence", and the power that its "Verdicts" asks about: a test that
//! could not have reached the threshold says nothing by not reaching it.

use counterfoil_claim::PanelId;
use counterfoil_mark::{Chance, Log2P, SwapSettings, Tally, log2_upper_tail};

use crate::count::MaskCount;
use crate::{Level, TestKind};

/// Most trials that are ever asked for.
const MOST_TRIALS: u64 = 1 << 36;

/// A test that can decide.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    pub(crate) kind: TestKind,
    pub(crate) level: Level,
    /// Panels that are pooled, and the tally of each.
    pub(crate) panels: Vec<(PanelId, Tally)>,
    pub(crate) chance: Chance,
    /// Bits to pay for all ways of looking.
    pub(crate) charge: u32,
    /// Those of them that pay for what a claimant could have chosen who had the suspect at hand.
    pub(crate) choice: u32,
    pub(crate) log2_p: Log2P,
    /// Share of hits that the claim states.
    pub(crate) claimed: Option<Tally>,
    /// Carrier by carrier, for mask tests.
    pub(crate) mask: Option<MaskCount>,
}

impl Test {
    /// A mask test on the look's panels. `charge` is without what the choice costs.
    pub(crate) fn of_mask(count: MaskCount, charge: u32, choice: u32, claimed: Option<Tally>) -> Self {
        let panels = count.look.panels.iter().map(|&panel| (panel, count.of_panel(panel))).collect();
        Self {
            kind: TestKind::Mask,
            level: count.look.level,
            panels,
            chance: Chance::HALF,
            charge: charge + choice,
            choice,
            log2_p: log2_upper_tail(count.pooled(), Chance::HALF),
            claimed,
            mask: Some(count),
        }
    }

    /// A trigger test. `charge` is without what the choice costs.
    pub(crate) fn of_triggers(
        level: Level,
        panels: Vec<(PanelId, Tally)>,
        classes: u32,
        charge: u32,
        choice: u32,
    ) -> Self {
        let pooled: Tally = panels.iter().map(|(_, tally)| *tally).sum();
        let chance = Chance::one_in(classes);
        let log2_p = log2_upper_tail(pooled, chance);
        let kind = TestKind::Trigger;
        Self { kind, level, panels, chance, charge: charge + choice, choice, log2_p, claimed: None, mask: None }
    }

    /// The same test on one of its panels alone.
    pub(crate) fn only(&self, (panel, tally): (PanelId, Tally)) -> Self {
        let log2_p = log2_upper_tail(tally, self.chance);
        Self { panels: vec![(panel, tally)], log2_p, ..self.clone() }
    }

    /// All panels together.
    pub(crate) fn pooled(&self) -> Tally {
        self.panels.iter().map(|(_, tally)| *tally).sum()
    }

    /// log2 p after all ways of looking are paid for.
    pub(crate) fn after_charges(&self) -> Log2P {
        self.log2_p.charged(self.charge)
    }

    /// The same under a claim that is older than the suspect.
    pub(crate) fn under_older_claim(&self) -> Log2P {
        self.log2_p.charged(self.charge - self.choice)
    }

    /// What log2 p must reach before charges.
    pub(crate) fn target(&self, threshold: Log2P) -> Log2P {
        less(threshold, self.charge)
    }

    /// What a mark that is there could be asked for, before charges: the threshold. Where nobody states its strength, as much
    /// as stamping aims at by default, for a share of it may be gone. What choices cost is left out: paying for them protects
    /// the suspect, and must not be what clears it.
    fn goal(&self, threshold: Log2P) -> Log2P {
        let charge = self.charge - self.choice;
        let target = less(threshold, charge);
        if self.kind == TestKind::Trigger || self.claimed.is_some() {
            return target;
        }
        let stamped = less(SwapSettings::default().target, charge);
        if stamped < target { stamped } else { target }
    }

    /// Whether it would have reached the threshold if the mark were all there.
    pub(crate) fn could_reach(&self, threshold: Log2P) -> bool {
        self.would_reach(self.pooled().n(), threshold)
    }

    /// About the least number of trials with which it could have; `None` if the claimed share of hits is no better than
    /// chance, or so little better that [`MOST_TRIALS`] would not do.
    pub(crate) fn trials_needed(&self, threshold: Log2P) -> Option<u64> {
        // p ≤ 2^(−n · entropy) (Chernoff), and hardly less: tails of that many trials take long to sum for nothing.
        if self.bits_a_trial() * MOST_TRIALS as f64 <= -self.goal(threshold).bits() {
            return None;
        }
        let (mut few, mut many) = (0, 64);
        while !self.would_reach(many, threshold) {
            (few, many) = (many, many.checked_mul(2).filter(|&n| n <= MOST_TRIALS)?);
        }
        while many - few > 1 {
            let middle = few + (many - few) / 2;
            if self.would_reach(middle, threshold) { many = middle } else { few = middle }
        }
        Some(many)
    }

    /// Relative entropy of the share of hits to expect and of chance, in bits; 0 if the share is no better than chance.
    fn bits_a_trial(&self) -> f64 {
        let q = 1.0 / f64::from(self.chance.c());
        let share = self.claimed.map_or(Some(1.0), Tally::share).unwrap_or(0.0);
        let part = |a: f64, b: f64| if a > 0.0 { a * (a / b).log2() } else { 0.0 };
        if share > q { part(share, q) + part(1.0 - share, 1.0 - q) } else { 0.0 }
    }

    /// With so many trials that are all hits or, under a claim, hits in the share that the claim states.
    fn would_reach(&self, n: u64, threshold: Log2P) -> bool {
        let hits = match self.claimed {
            None => n,
            Some(claimed) if claimed.n() == 0 => 0,
            Some(claimed) => {
                let hits = u128::from(n) * u128::from(claimed.hits()) / u128::from(claimed.n());
                u64::try_from(hits).expect("a share of a u64 is one")
            }
        };
        let tally = Tally::new(n, hits).expect("no more hits than trials");
        log2_upper_tail(tally, self.chance) <= self.goal(threshold)
    }
}

fn less(threshold: Log2P, charge: u32) -> Log2P {
    Log2P::new(threshold.bits() - f64::from(charge)).expect("a threshold less a charge is finite and below 0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threshold() -> Log2P {
        Log2P::new(-64.0).unwrap()
    }

    fn triggers(n: u64, hits: u64, classes: u32, charge: u32) -> Test {
        let tally = Tally::new(n, hits).unwrap();
        Test::of_triggers(Level::Public, vec![(PanelId::PUBLIC, tally)], classes, charge, 0)
    }

    #[test]
    fn all_hits_need_as_many_trials_as_bits() {
        assert_eq!(triggers(10, 0, 2, 0).trials_needed(threshold()), Some(64));
        assert_eq!(triggers(10, 0, 2, 1).trials_needed(threshold()), Some(65));
        assert_eq!(triggers(10, 0, 16, 1).trials_needed(threshold()), Some(17)); // 4 bits each
        assert_eq!([64, 65].map(|n| triggers(n, 0, 2, 1).could_reach(threshold())), [false, true]);
    }

    #[test]
    fn a_claimed_share_needs_more_and_a_fair_one_is_never_enough() {
        let claimed = |n, hits| Test { claimed: Tally::new(n, hits), ..triggers(10, 0, 2, 1) };
        // 3/4: relative entropy 0.1887 bits a trial, so some 340 and a little for the polynomial factor
        let needed = claimed(1000, 750).trials_needed(threshold()).unwrap();
        assert!((300..360).contains(&needed), "{needed}");
        assert_eq!(claimed(1000, 500).trials_needed(threshold()), None);
        assert_eq!(claimed(1_000_000, 500_010).trials_needed(threshold()), None, "some 10^12 trials");
        assert_eq!(claimed(1000, 400).trials_needed(threshold()), None);
        assert_eq!(claimed(0, 0).trials_needed(threshold()), None);
    }

    #[test]
    fn charges_are_added_to_log2_p_and_never_make_it_positive() {
        assert_eq!(triggers(10, 10, 4, 3).after_charges().bits(), -17.0);
        assert_eq!(triggers(1, 1, 2, 3).after_charges().bits(), 0.0);
    }
}
