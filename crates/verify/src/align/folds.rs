//! Folds: on which panels' positions the suspect is aligned, and which panels are then tested.
//!
//! No fold is aligned on what it tests. Folds share positions and are not independent, so each is a test of its own and
//! pays its own charge; their counts are never added.

use counterfoil_claim::PanelId;

use crate::Level;
use crate::report::join;
use crate::search::Search;

/// One way of splitting the panels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fold {
    pub(crate) level: Level,
    /// Panels whose chips are counted.
    pub(crate) tested: Vec<PanelId>,
    /// Panels at whose positions the reference mask is looked at: all others. Positions of no panel come on top.
    on: Vec<PanelId>,
}

impl Fold {
    /// Of which panels the positions are that it is aligned on.
    pub(crate) fn on_in_words(&self) -> String {
        if self.on.is_empty() { "none".to_owned() } else { join(self.on.iter()) }
    }
}

/// The folds of a level, the strongest first; none without a claim.
///
/// The second and the third test half of the disclosed sealed panels each, so that they lean on sealed positions too: panel
/// 0 alone can be aimed at, and ruined.
pub(crate) fn folds(search: &Search, level: Level) -> Vec<Fold> {
    let Some(claim) = search.claim else { return Vec::new() };
    let known: Vec<PanelId> = search.panels(level).map(|(panel, _)| panel).collect();
    let halves = known.split_at(known.len() / 2);
    let tested = if halves.0.is_empty() { vec![&known[..]] } else { vec![&known[..], halves.1, halves.0] };
    let fold = |tested: &[PanelId]| {
        let all = claim.sealed_panels.all().filter(|panel| claim.licensee.is_none() || !panel.is_public());
        let on = all.filter(|panel| !tested.contains(panel)).collect();
        Fold { level, tested: tested.to_vec(), on }
    };
    tested.into_iter().filter(|tested| !tested.is_empty()).map(fold).collect()
}
