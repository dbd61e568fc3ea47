//! The report as one HTML page that needs nothing else: tables, curves, and every run with its parameters.

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};

use super::curves::curves;
use super::markdown::{at, points};
use super::{Report, TOLERATED, VERDICT};
use crate::Line;

const STYLE: &str = "
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1c2530}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}
table{border-collapse:collapse;font-size:13px}th,td{padding:.3rem .55rem;text-align:left;border-bottom:1px solid #dfe5ea;vertical-align:top}
th{position:sticky;top:0;background:#fff}.held{background:#e5f2e6}.inconclusive{background:#fdf1d3}.evaded{background:#f9dcdc}
.wide{overflow-x:auto}.curves{display:flex;flex-wrap:wrap;gap:1rem}svg{max-width:100%;height:auto}
.filters{display:flex;gap:.8rem;margin:.6rem 0;flex-wrap:wrap}code{font-size:12px}small{color:#5a6773}details{max-width:40rem}";

/// Shows the runs that match all filters.
const SCRIPT: &str = "
const rows=[...document.querySelectorAll('#runs tbody tr')],filters=[...document.querySelectorAll('.filters select')];
function show(){let n=0;for(const r of rows){const ok=filters.every(f=>!f.value||r.dataset[f.name]===f.value);
r.hidden=!ok;n+=ok}document.getElementById('shown').textContent=n}
filters.forEach(f=>f.addEventListener('change',show));show();";

/// The page.
pub fn html(report: &Report, title: &str) -> String {
    let totals = report.totals;
    let (verdicts, parts): (Vec<_>, Vec<_>) = report.columns().into_iter().partition(|(_, mark)| *mark == VERDICT);
    markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                p {
                    (totals.runs) " runs: " (totals.held) " held, " (totals.inconclusive) " inconclusive, "
                    (totals.evaded) " evaded. An attack succeeds if the verdict falls while the model loses at most "
                    (TOLERATED) " points of accuracy; a verdict that falls with the model counts as held."
                }
                h2 { "What each attack does" }
                p { small { "In each cell: what became of the verdict within " (TOLERATED) " points; the largest log2 p there; \
                    where the verdict falls first, at whatever price. 'inconclusive' and 'evaded' (no-match) are apart." } }
                div .wide { (outcomes(report, &verdicts)) }
                h2 { "Parts of the mark, and other marks" }
                p { small { "The same for the panels and the triggers alone, and for other marks in the same models, each by its \
                    own criterion: 'evaded' is a mark that no longer holds while the model is worth keeping." } }
                div .wide { (outcomes(report, &parts)) }
                h2 { "What a thief must pay" }
                p { small { "The least accuracy lost of all runs that bring log2 p of the best evidence above each level: the \
                    best seed for the attacker. Cost is the attack's time over that of the victim's training." } }
                div .wide { (frontier(report)) }
                h2 { "Curves" }
                p { small { "Medians over seeds. Lines: the threshold, and " (TOLERATED) " points; dashed: log2 p · (1 − r)², \
                    what moving a share r of the kept positions at random would leave." } }
                @for subject in &report.subjects {
                    h3 { (subject) }
                    div .curves { @for picture in curves(report, subject) { (PreEscaped(picture)) } }
                }
                h2 { "Runs" }
                (runs(report))
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

/// One column a subject and mark.
fn outcomes(report: &Report, columns: &[(&str, &str)]) -> Markup {
    markup! {
        table {
            thead { tr {
                th { "attack" }
                @for (subject, mark) in columns { th { (subject) @if *mark != VERDICT { br; small { (mark) } } } }
            } }
            tbody {
                @for attack in &report.attacks {
                    tr {
                        td { (attack) }
                        @for (subject, mark) in columns {
                            @match report.outcome(subject, attack, mark) {
                                None => td {},
                                Some(outcome) => td class=(outcome.result) {
                                    (outcome.result)
                                    @if let Some(worst) = outcome.worst { " " (format!("{worst:.0}")) }
                                    @if let Some(fall) = &outcome.falls_at { br; small { "falls at " (at(fall)) } }
                                },
                            }
                        }
                    }
                }
            }
        }
    }
}

fn frontier(report: &Report) -> Markup {
    markup! {
        table {
            thead { tr { @for name in ["subject", "log2 p above", "points lost", "by", "cost"] { th { (name) } } } }
            tbody {
                @for frontier in &report.frontier {
                    tr {
                        td { (frontier.subject) }
                        td { (format!("{:.0}", frontier.level)) }
                        @match (&frontier.by, &frontier.attack) {
                            (Some(fall), Some(attack)) => {
                                td { (points(fall.points)) }
                                td { (attack) " " (fall.strength) }
                                td { (share(fall.cost)) }
                            },
                            _ => { td { "never" } td {} td {} },
                        }
                    }
                }
            }
        }
    }
}

fn runs(report: &Report) -> Markup {
    let verdicts = ["proven", "marked", "inconclusive", "no-match"].map(str::to_owned);
    markup! {
        div .filters {
            (filter("subject", &report.subjects))
            (filter("attack", &report.attacks))
            (filter("verdict", &verdicts))
            span { span #shown {} " shown" }
        }
        div .wide {
            table #runs {
                thead { tr {
                    @for name in ["subject", "attack", "strength", "seeds", "accuracy, %", "points lost", "mask", "triggers",
                        "turnover", "cost", "verdict", "read by", "more"] { th { (name) } }
                } }
                tbody { @for line in &report.runs { (run(line)) } }
            }
        }
    }
}

fn filter(name: &str, values: &[String]) -> Markup {
    markup! {
        label {
            (name) " "
            select name=(name) { option value="" { "all" } @for value in values { option value=(value) { (value) } } }
        }
    }
}

fn run(line: &Line) -> Markup {
    let accuracy = |right: usize| 100.0 * right as f64 / line.accuracy.images.max(1) as f64;
    let lost = line
        .accuracy
        .points_lost()
        .map_or_else(|| "not asked".to_owned(), |(p, se)| format!("{p:.2} ± {:.2}", 1.96 * se));
    let bits = |value: Option<f64>| value.map_or_else(String::new, |bits| format!("{bits:.1}"));
    let whole = serde_json::to_string_pretty(line).unwrap_or_default();
    markup! {
        tr data-subject=(line.subject) data-attack=(line.label) data-verdict=(line.verdict) {
            td { (line.subject) }
            td { (line.label) }
            td { code { (line.strength) } }
            td { (line.subject_seed) ", " (line.seed) }
            td {
                (format!("{:.1}", accuracy(line.accuracy.before))) " → "
                @match line.accuracy.after { Some(after) => (format!("{:.1}", accuracy(after))), None => "?" }
            }
            td { (lost) }
            td { (bits(line.mask())) }
            td { (bits(line.triggers())) }
            td { (share(line.turnover)) }
            td { (share(line.cost)) }
            td class=(line.result()) { (line.verdict) }
            td { (line.decided_by.as_deref().unwrap_or("")) }
            td {
                @for flag in &line.flags { small { (flag_name(*flag)) } br; }
                @for other in &line.others { small { (other.name) ": " (other.reading) } br; }
                details { summary { "all" } pre { code { (whole) } } }
            }
        }
    }
}

fn flag_name(flag: crate::Flag) -> String {
    serde_json::to_value(flag).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(String::new, |share| format!("{:.1} %", 100.0 * share))
}
