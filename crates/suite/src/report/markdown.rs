//! The report as Markdown: tables that docs and discussions can take over.

use std::fmt::Write as _;

use super::{Fall, Report, TOLERATED, VERDICT};

/// The tables of a report.
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    let totals = report.totals;
    let _ = writeln!(
        text,
        "{} runs: {} held, {} inconclusive and {} evaded with at most {TOLERATED} points of accuracy lost.\n",
        totals.runs, totals.held, totals.inconclusive, totals.evaded
    );
    let columns = report.columns();
    let name = |(subject, mark): &(&str, &str)| {
        escaped(&if *mark == VERDICT { (*subject).to_owned() } else { format!("{subject}: {mark}") })
    };
    header(&mut text, std::iter::once("attack".to_owned()).chain(columns.iter().map(name)));
    for attack in &report.attacks {
        let cell = |(subject, mark): &(&str, &str)| match report.outcome(subject, attack, mark) {
            None => String::new(),
            Some(outcome) => {
                let fall = outcome.falls_at.as_ref().map(|fall| format!(", falls at {}", at(fall)));
                let worst = outcome.worst.map_or_else(String::new, |worst| format!(" ({worst:.0})"));
                format!("{}{worst}{}", outcome.result, fall.unwrap_or_default())
            }
        };
        row(&mut text, std::iter::once(escaped(attack)).chain(columns.iter().map(cell)));
    }
    text.push_str("\nIn parentheses: the largest log2 p within those points.\n\n");
    header(&mut text, ["subject", "log2 p above", "least points lost", "by"].map(str::to_owned).into_iter());
    for frontier in &report.frontier {
        let (points, by) = match (&frontier.by, &frontier.attack) {
            (Some(fall), Some(attack)) => (points(fall.points), format!("{attack} {}", fall.strength)),
            _ => ("never".to_owned(), String::new()),
        };
        row(
            &mut text,
            [frontier.subject.clone(), format!("{:.0}", frontier.level), points, escaped(by.trim())].into_iter(),
        );
    }
    text.push('\n');
    let columns =
        ["subject", "attack", "strength", "runs", "points lost", "mask", "triggers", "turnover", "cost", "verdicts"];
    header(&mut text, columns.map(str::to_owned).into_iter());
    for point in &report.points {
        let bits = |value: Option<f64>| value.map_or_else(String::new, |bits| format!("{bits:.0}"));
        let share = |value: Option<f64>| value.map_or_else(String::new, |share| format!("{:.0} %", 100.0 * share));
        let mut verdicts: Vec<String> = point.verdicts.iter().map(|(verdict, n)| format!("{n} {verdict}")).collect();
        verdicts.extend(point.others.iter().map(|(mark, n)| escaped(&format!("{mark} {n}"))));
        let cells = [
            point.subject.clone(),
            escaped(&point.attack),
            escaped(&point.strength),
            point.runs.to_string(),
            points(point.points),
            bits(point.mask),
            bits(point.triggers),
            share(point.turnover),
            share(point.cost),
            verdicts.join(", "),
        ];
        row(&mut text, cells.into_iter());
    }
    text
}

pub(super) fn points(points: Option<f64>) -> String {
    points.map_or_else(|| "not asked".to_owned(), |points| format!("{points:.1}"))
}

/// Where and at what price a verdict falls.
pub(super) fn at(fall: &Fall) -> String {
    let strength = if fall.strength.is_empty() { "its one strength" } else { &fall.strength };
    // Another mark may be lost where ours is found.
    let what = if ["proven", "marked"].contains(&fall.verdict.as_str()) { "lost" } else { &fall.verdict };
    format!("{strength}: {what}, {} points", points(fall.points))
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('&', "&amp;").replace('<', "&lt;").replace(['\n', '\r'], " ")
}

fn header(text: &mut String, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    row(text, cells.iter().cloned());
    row(text, cells.iter().map(|_| "---".to_owned()));
}

fn row(text: &mut String, cells: impl Iterator<Item = String>) {
    let _ = writeln!(text, "| {} |", cells.collect::<Vec<_>>().join(" | "));
}
