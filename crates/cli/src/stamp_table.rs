//! What a stamp will carry, before it is made: as a table and as JSON.

use std::fmt;
use std::path::Path;

use counterfoil_claim::TriggerSettings;
use counterfoil_mark::{Chance, Log2P, Plan, Prepared, Tally, Way, log2_upper_tail, turnover_tolerance};
use serde::Serialize;

use crate::commands::stamp::Places;
use crate::output::{Align, Table, count, percent};

/// A planned stamp: the JSON of `stamp --json`.
#[derive(Serialize)]
pub(crate) struct StampSummary {
    /// The ticket's file.
    ticket: String,
    /// Whose copy it is, if a licensee's.
    licensee: Option<String>,
    /// Number of carriers that have a mask.
    carriers: usize,
    /// Kept positions.
    kept: u64,
    /// Number of moves: swaps or, if thinned, positions dropped.
    moved: u64,
    /// Whether positions are dropped and none taken in.
    thinned: bool,
    /// Share of the kept positions that move, 0 to 1.
    moved_share: f64,
    /// One in how many positions carries the mark.
    dilution: u8,
    /// Number of sealed panels.
    sealed_panels: u8,
    /// Each panel, the public one first.
    panels: Vec<Strength>,
    /// All sealed panels together.
    sealed: Strength,
    /// What log2 p has to reach in a verification, for the turnover tolerances.
    threshold: Log2P,
    /// Number of triggers; null if the ticket's architecture is not described.
    triggers: Option<Triggers>,
    /// Where the files go; null if none are written.
    written: Option<Written>,
}

/// A panel, or several pooled, before and after the moves.
#[derive(Serialize)]
struct Strength {
    /// "0", "1", "1+2".
    panel: String,
    moves: u64,
    before: Tally,
    after: Tally,
    log2_p_before: Log2P,
    log2_p_after: Log2P,
    /// r*: share of the kept positions that may be moved at random before the threshold is missed, 0 to 1.
    turnover_tolerance: f64,
}

#[derive(Serialize)]
struct Triggers {
    public: u32,
    sealed_each: u32,
}

/// The three files of a stamp.
#[derive(Serialize)]
pub(crate) struct Written {
    ticket: String,
    claim: String,
    counterfoil: String,
}

impl StampSummary {
    pub(crate) fn new(ticket: &Path, prepared: &Prepared, threshold: Log2P, written: Option<Written>) -> Self {
        let plan = prepared.plan();
        let triggers = |TriggerSettings { public, sealed_each, .. }| Triggers { public, sealed_each };
        Self {
            ticket: ticket.display().to_string(),
            licensee: prepared.licensee().map(str::to_owned),
            carriers: prepared.carriers().len(),
            kept: plan.kept,
            moved: plan.moved,
            thinned: plan.way == Way::Thin,
            moved_share: plan.moved_share(),
            dilution: plan.dilution.get(),
            sealed_panels: plan.sealed.get(),
            // A licensee's mark has no public panel.
            panels: (plan.sealed.all().skip(usize::from(prepared.licensee().is_some())))
                .map(|panel| Strength::pooled(plan, &[panel.get()], threshold))
                .collect(),
            sealed: Strength::pooled(plan, &plan.sealed.sealed().map(|p| p.get()).collect::<Vec<_>>(), threshold),
            threshold,
            triggers: prepared.triggers().map(triggers),
            written,
        }
    }
}

impl Strength {
    fn pooled(plan: &Plan, panels: &[u8], threshold: Log2P) -> Self {
        let pooled = || plan.panels.iter().filter(|plan| panels.contains(&plan.panel.get()));
        let before: Tally = pooled().map(|panel| panel.before).sum();
        let after: Tally = pooled().map(|panel| panel.after).sum();
        let log2_p_after = log2_upper_tail(after, Chance::HALF);
        Self {
            panel: panels.iter().map(u8::to_string).collect::<Vec<_>>().join("+"),
            moves: pooled().map(|panel| panel.moves).sum(),
            before,
            after,
            log2_p_before: log2_upper_tail(before, Chance::HALF),
            log2_p_after,
            turnover_tolerance: turnover_tolerance(log2_p_after, threshold),
        }
    }

    fn cells(&self) -> [String; 7] {
        [
            format!("{} {}", self.panel, if self.panel == "0" { "public" } else { "sealed" }),
            count(self.after.n()),
            count(self.before.hits()),
            count(self.after.hits()),
            self.log2_p_before.to_string(),
            self.log2_p_after.to_string(),
            percent(self.turnover_tolerance),
        ]
    }
}

impl Written {
    pub(crate) fn of(places: &Places) -> Self {
        let [ticket, claim, counterfoil] =
            [&places.ticket, &places.claim, &places.counterfoil].map(|path| path.display().to_string());
        Self { ticket, claim, counterfoil }
    }
}

impl fmt::Display for StampSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ticket, carriers, dilution, threshold, .. } = self;
        let (kept, moved, share) = (count(self.kept), count(self.moved), percent(self.moved_share));
        let what = if self.thinned { "are dropped" } else { "move" };
        writeln!(f, "{ticket}: {kept} weights kept in {carriers} layers, of which {moved} {what} ({share})\n")?;
        let mut table = Table::new([
            ("panel", Align::Left),
            ("positions", Align::Right),
            ("chip +1", Align::Right),
            ("after", Align::Right),
            ("log2 p", Align::Right),
            ("after", Align::Right),
            ("survives turnover of", Align::Right),
        ]);
        self.panels.iter().for_each(|panel| table.row(panel.cells()));
        if self.sealed_panels > 1 {
            table.row(self.sealed.cells());
        }
        writeln!(f, "{table}")?;
        if let Some(licensee) = &self.licensee {
            return writeln!(
                f,
                "Panel 1 is for '{licensee}' alone, at secret positions that all licensees' marks share. The owner's mark\n\
                 is about as strong as before. A verdict takes log2 p of {threshold} or less."
            );
        }
        let which = if *dilution == 1 { "each".to_owned() } else { format!("one in {dilution}") };
        writeln!(f, "Of the kept positions {which} carries the mark. A verdict takes log2 p of {threshold} or less.")?;
        if self.thinned {
            writeln!(
                f,
                "There is too little to take in instead, as in whole channels, so weights are dropped. Whoever looks sees\n\
                 which, and can fill the gaps: rely on triggers too. No verdict will be 'no match'."
            )?;
        }
        match &self.triggers {
            Some(Triggers { public, sealed_each }) => {
                writeln!(f, "Training adds {public} public triggers and {sealed_each} for each sealed panel.")
            }
            None => writeln!(f, "No triggers: the ticket does not describe its architecture."),
        }
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new([("wrote", Align::Left), ("", Align::Left)]);
        table.row([self.ticket.clone(), "the stamped ticket, to be trained".to_owned()]);
        table.row([self.claim.clone(), "signed and public: verifiers need it".to_owned()]);
        table
            .row([self.counterfoil.clone(), "private: opens the sealed panels, keep it as safe as the key".to_owned()]);
        write!(f, "\n{table}")
    }
}
