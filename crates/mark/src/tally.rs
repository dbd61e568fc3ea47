//! Tallies: how many trials there were and how many of them agreed with the key.
//!
//! What both deciding tests reduce a suspect to (docs/protocol.md, "Evidence"): kept active positions and those with
//! chip +1, or queries and hits. Panels of one kind are pooled by adding.

use std::iter::Sum;
use std::ops::Add;

use counterfoil_claim::PanelId;
use counterfoil_ticket::Mask;
use serde::Serialize;

use crate::ChipMap;

/// n trials with s ≤ n hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub struct Tally {
    n: u64,
    hits: u64,
}

impl Tally {
    /// `None` if there are more hits than trials.
    pub fn new(n: u64, hits: u64) -> Option<Self> {
        (hits <= n).then_some(Self { n, hits })
    }

    /// Number of trials.
    pub fn n(self) -> u64 {
        self.n
    }

    /// Number of hits, at most [`Tally::n`].
    pub fn hits(self) -> u64 {
        self.hits
    }

    /// Share of hits, `None` without trials.
    pub fn share(self) -> Option<f64> {
        (self.n > 0).then(|| self.hits as f64 / self.n as f64)
    }
}

/// Pooling: still one binomial, as long as no trial is in both.
impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { n: self.n + other.n, hits: self.hits + other.hits }
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), Add::add)
    }
}

/// Counts the kept active positions of one panel, and those of them with chip +1.
///
/// Panics if mask and chips are not of one carrier, that is differ in size.
pub fn tally(kept: &Mask, chips: &ChipMap, panel: PanelId) -> Tally {
    assert_eq!(kept.size(), chips.chip.len(), "mask and chips differ in size");
    let (mut n, mut hits) = (0, 0);
    for position in kept.positions() {
        let chip = if chips.panel[position] == panel.get() { chips.chip[position] } else { 0 };
        n += u64::from(chip != 0);
        hits += u64::from(chip > 0);
    }
    Tally { n, hits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_hits_than_trials_are_no_tally() {
        assert_eq!(Tally::new(3, 4), None);
        assert_eq!(Tally::new(3, 3).map(|t| (t.n(), t.hits())), Some((3, 3)));
    }

    #[test]
    fn pooling_adds_trials_and_hits() {
        let pooled: Tally = [(10, 7), (0, 0), (5, 1)].iter().map(|&(n, hits)| Tally { n, hits }).sum();
        assert_eq!(pooled, Tally { n: 15, hits: 8 });
        assert_eq!(pooled.share(), Some(8.0 / 15.0));
        assert_eq!(Tally::default().share(), None);
    }

    #[test]
    fn only_kept_active_positions_of_the_panel_count() {
        let chips = ChipMap { panel: vec![0, 0, 1, 0, 0, 1], chip: vec![1, -1, 1, 0, 1, -1] };
        let kept = Mask::from_fn(6, |position| position != 4);
        assert_eq!(tally(&kept, &chips, PanelId::PUBLIC), Tally { n: 2, hits: 1 });
        let first = PanelId::new(1).expect("panels go up to 4");
        assert_eq!(tally(&kept, &chips, first), Tally { n: 2, hits: 1 });
        assert_eq!(tally(&Mask::full(6), &chips, PanelId::PUBLIC), Tally { n: 3, hits: 2 });
    }
}
