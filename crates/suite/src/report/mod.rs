//! Reports: what the lines of a suite say together. Tables first; [`html`], [`markdown`] and JSON show the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::Line;

mod curves;
mod html;
mod markdown;

pub use html::html;
pub use markdown::markdown;

/// Points of accuracy that a thief may lose for an attack to count as a success (DESIGN.md, section 6).
pub const TOLERATED: f64 = 5.0;

/// log2 p that the frontier is told for.
const LEVELS: [f64; 3] = [-64.0, -32.0, 0.0];

/// All that a suite's lines say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Number of runs by what became of the verdict.
    pub totals: Totals,
    /// Subjects, in order.
    pub subjects: Vec<String>,
    /// Attacks, in order.
    pub attacks: Vec<String>,
    /// Marks: ours, its parts, and others in the same models.
    pub marks: Vec<String>,
    /// One a subject, attack and mark that were run.
    pub outcomes: Vec<Outcome>,
    /// The cheapest ways down, by subject.
    pub frontier: Vec<Frontier>,
    /// One a subject, attack and strength: its seeds together.
    pub points: Vec<Point>,
    /// Every run.
    pub runs: Vec<Line>,
}

/// Runs by what became of the verdict. The last three do not overlap; a verdict that falls for more than [`TOLERATED`]
/// points lost is counted as held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// All.
    pub runs: usize,
    /// The verdict stands, or fell with the model.
    pub held: usize,
    /// The verdict is `inconclusive`, within the points that are tolerated.
    pub inconclusive: usize,
    /// The verdict is `no-match`, within the points that are tolerated.
    pub evaded: usize,
}

/// What an attack does to one mark of a subject, over all strengths and seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The subject.
    pub subject: String,
    /// The attack.
    pub attack: String,
    /// [`VERDICT`]; its parts alone, [`PANELS`] and [`TRIGGERS`]; or another mark in the same model.
    pub mark: String,
    /// `held`, `inconclusive` or `evaded`; marks that give no verdict of ours are `evaded` where they no longer hold.
    pub result: &'static str,
    /// The least points lost at which it has fallen; `None` if it never has.
    pub falls_at: Option<Fall>,
    /// log2 p, the largest of all runs within the tolerated points; `None` for a mark without one.
    pub worst: Option<f64>,
}

/// The mark as a whole: what the verifier says.
pub const VERDICT: &str = "counterfoil";
/// The better level of the mask tests alone.
pub const PANELS: &str = "panels alone";
/// The better level of the triggers alone.
pub const TRIGGERS: &str = "triggers alone";

/// What a line says of one mark: whether it has fallen, and log2 p.
struct Reading {
    is_fallen: bool,
    is_inconclusive: bool,
    log2_p: Option<f64>,
}

/// Where a verdict falls.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fall {
    /// Strength.
    pub strength: String,
    /// Points of accuracy lost; `None` if the model could not be asked.
    pub points: Option<f64>,
    /// The verdict then.
    pub verdict: String,
    /// Seconds of the attack over those of the victim's training.
    pub cost: Option<f64>,
    /// The run.
    pub run: String,
}

/// The least accuracy lost to weaken a mark so far: the best seed for the attacker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Frontier {
    /// The subject.
    pub subject: String,
    /// log2 p that is to be exceeded; at 0, nothing of the mark is left.
    pub level: f64,
    /// The cheapest run that does; `None` if none does.
    pub by: Option<Fall>,
    /// Its attack.
    pub attack: Option<String>,
}

/// Runs that differ by their seeds alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The subject.
    pub subject: String,
    /// The attack.
    pub attack: String,
    /// Strength.
    pub strength: String,
    /// Number of runs.
    pub runs: usize,
    /// Points lost: median.
    pub points: Option<f64>,
    /// log2 p of the best evidence: median and largest.
    pub log2_p: [f64; 2],
    /// log2 p of the mask alone, and of the triggers alone: medians.
    pub mask: Option<f64>,
    /// Median of the triggers alone.
    pub triggers: Option<f64>,
    /// Median turnover.
    pub turnover: Option<f64>,
    /// Median cost.
    pub cost: Option<f64>,
    /// Verdicts and how often each.
    pub verdicts: BTreeMap<String, usize>,
    /// Other marks: how often each still holds.
    pub others: BTreeMap<String, usize>,
}

impl Line {
    /// log2 p of the best evidence there is.
    pub fn best(&self) -> f64 {
        [self.mask(), self.triggers()].into_iter().flatten().fold(0.0, f64::min)
    }

    /// log2 p of the mask: the better level.
    pub fn mask(&self) -> Option<f64> {
        least([self.log2_p.mask_public, self.log2_p.mask_sealed])
    }

    /// log2 p of the triggers: the better level.
    pub fn triggers(&self) -> Option<f64> {
        least([self.log2_p.triggers_public, self.log2_p.triggers_sealed])
    }

    /// Points lost.
    fn points(&self) -> Option<f64> {
        self.accuracy.points_lost().map(|(points, _)| points)
    }

    /// Whether the thief has kept what he stole. A model that could not be asked is taken to work.
    fn is_kept(&self) -> bool {
        self.points().is_none_or(|points| points <= TOLERATED)
    }

    fn result(&self) -> &'static str {
        match self.verdict.as_str() {
            "no-match" if self.is_kept() => EVADED,
            "inconclusive" if self.is_kept() => INCONCLUSIVE,
            _ => HELD,
        }
    }

    /// What it says of a mark; `None` if it says nothing.
    fn reading(&self, mark: &str) -> Option<Reading> {
        let part = |log2_p: Option<f64>| {
            let bits = log2_p?;
            Some(Reading { is_fallen: bits > self.threshold, is_inconclusive: false, log2_p })
        };
        match mark {
            VERDICT => Some(Reading {
                is_fallen: self.has_fallen(),
                is_inconclusive: self.verdict == INCONCLUSIVE,
                log2_p: Some(self.best()),
            }),
            PANELS => part(self.mask()),
            TRIGGERS => part(self.triggers()),
            name => self.others.iter().find(|other| other.name == name).map(|other| Reading {
                is_fallen: !other.holds,
                is_inconclusive: false,
                log2_p: other.log2_p,
            }),
        }
    }

    fn fall(&self) -> Fall {
        let (strength, verdict, run) = (self.strength.clone(), self.verdict.clone(), self.id.clone());
        Fall { strength, points: self.points(), verdict, cost: self.cost, run }
    }
}

const HELD: &str = "held";
const INCONCLUSIVE: &str = "inconclusive";
const EVADED: &str = "evaded";

fn least(values: [Option<f64>; 2]) -> Option<f64> {
    values.into_iter().flatten().reduce(f64::min)
}

/// The middle of the values; of two middles their mean.
fn median(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().flatten().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

impl Report {
    /// What these lines say.
    pub fn new(runs: Vec<Line>) -> Self {
        let mut totals = Totals { runs: runs.len(), ..Totals::default() };
        for line in &runs {
            match line.result() {
                EVADED => totals.evaded += 1,
                INCONCLUSIVE => totals.inconclusive += 1,
                _ => totals.held += 1,
            }
        }
        let names = |of: &dyn Fn(&Line) -> &String| {
            runs.iter().map(|line| of(line).clone()).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        };
        let (subjects, attacks) = (names(&|line| &line.subject), names(&|line| &line.label));
        let mut groups: BTreeMap<(&str, &str, &str), Vec<&Line>> = BTreeMap::new();
        let mut cells: BTreeMap<(&str, &str), Vec<&Line>> = BTreeMap::new();
        for line in &runs {
            groups.entry((&line.subject, &line.label, &line.strength)).or_default().push(line);
            cells.entry((&line.subject, &line.label)).or_default().push(line);
        }
        let points = groups.iter().map(|(key, lines)| point(*key, lines)).collect();
        let mut marks = [VERDICT, PANELS, TRIGGERS].map(str::to_owned).to_vec();
        let others: BTreeSet<&String> =
            runs.iter().flat_map(|line| line.others.iter().map(|other| &other.name)).collect();
        marks.extend(others.into_iter().cloned());
        let of_cell = |(key, lines): (&(&str, &str), &Vec<&Line>)| {
            marks.iter().filter_map(|mark| outcome(*key, mark, lines)).collect::<Vec<_>>()
        };
        let outcomes = cells.iter().flat_map(of_cell).collect();
        let frontier = subjects.iter().flat_map(|subject| frontier(subject, &runs)).collect();
        Self { totals, subjects, attacks, marks, outcomes, frontier, points, runs }
    }

    fn outcome(&self, subject: &str, attack: &str, mark: &str) -> Option<&Outcome> {
        self.outcomes.iter().find(|o| o.subject == subject && o.attack == attack && o.mark == mark)
    }

    /// All marks of all subjects, the verdict's first.
    fn columns(&self) -> Vec<(&str, &str)> {
        let is_there = |subject: &str, mark: &str| self.outcomes.iter().any(|o| o.subject == subject && o.mark == mark);
        let of = |mark| self.subjects.iter().map(move |subject| (subject.as_str(), mark));
        let all = self.marks.iter().flat_map(|mark| of(mark.as_str()));
        all.filter(|(subject, mark)| is_there(subject, mark)).collect()
    }
}

fn point((subject, attack, strength): (&str, &str, &str), lines: &[&Line]) -> Point {
    let of = |value: &dyn Fn(&Line) -> Option<f64>| median(lines.iter().map(|line| value(line)));
    let (mut verdicts, mut others) = (BTreeMap::new(), BTreeMap::new());
    for line in lines {
        *verdicts.entry(line.verdict.clone()).or_default() += 1;
        for other in &line.others {
            *others.entry(other.name.clone()).or_insert(0) += usize::from(other.holds);
        }
    }
    let largest = lines.iter().map(|line| line.best()).fold(f64::NEG_INFINITY, f64::max);
    Point {
        subject: subject.to_owned(),
        attack: attack.to_owned(),
        strength: strength.to_owned(),
        runs: lines.len(),
        points: of(&Line::points),
        log2_p: [of(&|line| Some(line.best())).unwrap_or(0.0), largest],
        mask: of(&Line::mask),
        triggers: of(&Line::triggers),
        turnover: of(&|line| line.turnover),
        cost: of(&|line| line.cost),
        verdicts,
        others,
    }
}

fn outcome((subject, attack): (&str, &str), mark: &str, lines: &[&Line]) -> Option<Outcome> {
    let readings: Vec<(&Line, Reading)> = lines.iter().filter_map(|line| Some((*line, line.reading(mark)?))).collect();
    if readings.is_empty() {
        return None;
    }
    let kept = || readings.iter().filter(|(line, _)| line.is_kept());
    let result = if kept().any(|(_, reading)| reading.is_fallen && !reading.is_inconclusive) {
        EVADED
    } else if kept().any(|(_, reading)| reading.is_inconclusive) {
        INCONCLUSIVE
    } else {
        HELD
    };
    let fallen = readings.iter().filter(|(_, reading)| reading.is_fallen).map(|(line, _)| *line);
    Some(Outcome {
        subject: subject.to_owned(),
        attack: attack.to_owned(),
        mark: mark.to_owned(),
        result,
        falls_at: fallen.min_by(|a, b| loss(a).total_cmp(&loss(b))).map(Line::fall),
        worst: kept().filter_map(|(_, reading)| reading.log2_p).reduce(f64::max),
    })
}

/// For order: an attack that left nothing to ask is taken to be free.
fn loss(line: &Line) -> f64 {
    line.points().unwrap_or(0.0)
}

fn frontier(subject: &str, runs: &[Line]) -> Vec<Frontier> {
    let cheapest = |level: f64| {
        let weakened =
            |line: &&Line| line.subject == subject && (line.best() > level || level == 0.0 && line.best() >= -1.0);
        runs.iter().filter(weakened).min_by(|a, b| loss(a).total_cmp(&loss(b)))
    };
    let at = |level: f64| {
        let by = cheapest(level);
        let attack = by.map(|line| line.label.clone());
        Frontier { subject: subject.to_owned(), level, by: by.map(Line::fall), attack }
    };
    LEVELS.into_iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Accuracy, Evidence, OtherMark};

    /// A run on 100 images of which 90 were right before; so many are lost.
    fn line(strength: &str, seed: u64, verdict: &str, log2_p: f64, lost: usize) -> Line {
        Line {
            id: format!("{strength} {seed}"),
            suite: "s".to_owned(),
            subject: "a".to_owned(),
            subject_seed: 0,
            input: String::new(),
            output: String::new(),
            label: "cut".to_owned(),
            attack: Vec::new(),
            strength: strength.to_owned(),
            seed,
            knows: Vec::new(),
            version: String::new(),
            device: String::new(),
            seconds: 1.0,
            cost: None,
            accuracy: Accuracy { images: 100, before: 90, after: Some(90 - lost), lost: Some(lost), gained: Some(0) },
            kept: [10, 10],
            turnover: Some(0.0),
            log2_p: Evidence { mask_sealed: Some(log2_p), ..Evidence::default() },
            tests: Vec::new(),
            others: vec![OtherMark { name: "b".to_owned(), log2_p: None, holds: lost == 0, reading: String::new() }],
            verdict: verdict.to_owned(),
            decided_by: None,
            threshold: -64.0,
            flags: BTreeSet::new(),
            card: None,
        }
    }

    fn report() -> Report {
        Report::new(vec![
            line("1", 0, "proven", -300.0, 0),
            line("2", 0, "proven", -100.0, 2),
            line("2", 1, "inconclusive", -40.0, 4),
            line("3", 0, "no-match", -1.0, 30),
        ])
    }

    #[test]
    fn a_verdict_that_falls_with_the_model_has_held() {
        let report = report();
        assert_eq!(report.totals, Totals { runs: 4, held: 3, inconclusive: 1, evaded: 0 });
        let verdict = report.outcome("a", "cut", VERDICT).expect("it was run");
        assert_eq!((verdict.result, verdict.worst), ("inconclusive", Some(-40.0)));
        let fall = verdict.falls_at.as_ref().expect("it falls");
        assert_eq!((fall.strength.as_str(), fall.points, fall.verdict.as_str()), ("2", Some(4.0), "inconclusive"));
        // The panels have no verdict of their own: below the threshold they are lost.
        assert_eq!(report.outcome("a", "cut", PANELS).map(|o| o.result), Some("evaded"));
        assert_eq!(report.outcome("a", "cut", TRIGGERS), None);
        let other = report.outcome("a", "cut", "b").expect("it was read");
        assert_eq!((other.result, other.falls_at.as_ref().and_then(|f| f.points)), ("evaded", Some(2.0)));
    }

    #[test]
    fn the_frontier_is_the_cheapest_run_above_each_level() {
        let report = report();
        let points: Vec<Option<f64>> =
            report.frontier.iter().map(|frontier| frontier.by.as_ref().and_then(|fall| fall.points)).collect();
        assert_eq!(points, [Some(4.0), Some(30.0), Some(30.0)]);
        let median = report.points.iter().find(|point| point.strength == "2").expect("it was run");
        assert_eq!((median.runs, median.points, median.log2_p), (2, Some(3.0), [-70.0, -40.0]));
    }

    #[test]
    fn pages_show_texts_as_texts() {
        let mut line = line("<b>&", 0, "proven", -300.0, 0);
        line.label = "a|b <script>".to_owned();
        let report = Report::new(vec![line]);
        let page = html(&report, "t");
        assert!(page.contains("&lt;b&gt;&amp;") && page.contains("a|b &lt;script&gt;") && !page.contains("b <script>"));
        assert!(markdown(&report).contains("a\\|b &lt;script>"));
    }

    #[test]
    fn lost_points_have_the_error_of_pairs() {
        // 30 lost and 10 gained of 1,000: 2 points; variance (0.04 - 0.0004) / 1000.
        let accuracy = Accuracy { images: 1000, before: 900, after: Some(880), lost: Some(30), gained: Some(10) };
        let (points, error) = accuracy.points_lost().expect("it was asked");
        assert!(
            (points - 2.0).abs() < 1e-9 && (error - 100.0 * (0.0396f64 / 1000.0).sqrt()).abs() < 1e-9,
            "{points} {error}"
        );
    }
}
