//! A dispute's report in words: the outcome first, what it means and what it does not, then what it rests on.

use std::path::Path;

use counterfoil_mark::Log2P;
use counterfoil_verify::{
    DisputeReport, Finding, Level, Outcome, Overlap, PartyReport, Piece, Report, Side, TestReport,
};

use crate::output::{Align, Table, count, wrapped};
use crate::verdict_text::{TEST_COLUMNS, best, cells, list};

/// The report for people. `subjects` are the names that the claims give to their tickets.
pub(crate) fn in_words(report: &DisputeReport, subjects: [&str; 2], suspect: Option<&Path>) -> String {
    let (headline, means, means_not) = meaning(report);
    let parts = [
        format!("{headline} (threshold {})\n", report.threshold),
        wrapped("  It means: ", &means) + &wrapped("  It does not mean: ", &means_not),
        report.parties.iter().zip(subjects).map(|(party, subject)| introduction(party, subject)).collect(),
        tests(report),
        likeness(report, suspect),
        report.missing.iter().map(|missing| not_shown(missing.side, missing.piece)).collect(),
        list("Assumed", &report.assumptions),
        list("Would decide", &report.would_decide),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The outcome, what it means, and what it does not.
fn meaning(report: &DisputeReport) -> (String, String, String) {
    const NOT_A_DENIAL: &str = "that either claim is wrong: each is tested on a model by 'counterfoil verify'.";
    let undecided = |means: &str| ("UNDECIDED".to_owned(), means.to_owned(), NOT_A_DENIAL.to_owned());
    match (report.outcome, report.first) {
        (_, Some(first)) => {
            let party = &report.parties[if first == Side::A { 0 } else { 1 }];
            let strength = party.in_other.as_ref().map_or(Log2P::ONE, |report| report.log2_p);
            let (one, two) = (first.name(), first.other().name());
            (
                format!("{one} WAS FIRST"),
                format!(
                    "{two}'s ticket was made from one that carried {one}'s mark already, and {one}'s ticket does not carry \
                     {two}'s. A ticket that has nothing to do with {one}'s key agrees this well with a chance of at most \
                     2^{strength}."
                ),
                format!(
                    "that {two} had no licence to stamp it again, that {one} found the ticket, or that nobody else was \
                     before both."
                ),
            )
        }
        (Outcome::BothInside, _) => undecided(
            "each mark is inside the other's ticket, and neither can have been there before the other. Either the two stamp \
             each other's tickets, with leave or without, and these are not their earliest claims; or one knew the other's \
             sealed seeds.",
        ),
        (Outcome::NeitherInside, _) => undecided(
            "neither mark is inside the other's ticket: these two tickets were not made from each other. Both owners may be \
             honest, with a ticket each; or one of them shows a ticket that has nothing to do with the matter.",
        ),
        (Outcome::Incomplete, _) => undecided("something that a test takes was not shown, and the answer hangs on it."),
        (Outcome::Unclear | Outcome::OneInside, _) => undecided(
            "a ticket offers too little, or says too much for a stranger's and too little for a proof: whether a mark is \
             inside it cannot be told, and the answer hangs on it.",
        ),
    }
}

fn introduction(party: &PartyReport, subject: &str) -> String {
    let PartyReport { side, key, claim, created, .. } = party;
    let short = |id: &str| id.get(..16).unwrap_or(id).to_owned();
    format!(
        "{}: claim {}… on '{subject}' by key {}…, stamped {created} by the owner's account.\n",
        side.name(),
        short(claim),
        short(key)
    )
}

/// One row for each mark and where it was sought.
fn tests(report: &DisputeReport) -> String {
    let ends = [("mark of", Align::Left), ("sought in", Align::Left)].into_iter();
    let mut table = Table::new(ends.chain(TEST_COLUMNS).chain([("", Align::Left)]));
    for party in &report.parties {
        let place = format!("{}'s ticket", party.side.other().name());
        // Panel 0 says nothing here.
        let test = party.in_other.as_ref().and_then(|report| best(report, |test| test.level == Level::Sealed));
        table.row(row(party.side, place, test, finding(party.finding)));
    }
    for party in &report.parties {
        let Some(report) = &party.in_suspect else { continue };
        let test = report.decided_by.and_then(|i| report.tests.get(i));
        table.row(row(party.side, "the suspect".to_owned(), test, report.verdict.name()));
    }
    format!("{table}charged: bits paid for all ways of looking and choosing\n")
}

fn row(side: Side, place: String, test: Option<&TestReport>, result: &str) -> impl Iterator<Item = String> {
    let cells = test.map_or_else(Default::default, cells);
    [side.name().to_owned(), place].into_iter().chain(cells).chain([result.to_owned()])
}

fn finding(finding: Finding) -> &'static str {
    match finding {
        Finding::Inside => "inside",
        Finding::NotInside => "not inside",
        Finding::Unclear => "unclear",
        Finding::Untested => "not tested",
    }
}

/// How much of each other's masks the tickets and the suspect keep.
fn likeness(report: &DisputeReport, suspect: Option<&Path>) -> String {
    let [a, b] = &report.parties;
    let overlap = |report: &Option<Report>| report.as_ref().and_then(|report| report.reference);
    let of_originals = match (overlap(&a.in_other), overlap(&b.in_other)) {
        (Some(overlap), _) => Some(("B's ticket", "A's ticket", overlap)),
        (None, overlap) => overlap.map(|overlap| ("A's ticket", "B's ticket", overlap)),
    };
    let of_suspect = [("A's ticket", a), ("B's ticket", b)]
        .into_iter()
        .filter_map(|(ticket, party)| Some(("the suspect", ticket, overlap(&party.in_suspect)?)));
    let rows: Vec<(&str, &str, Overlap)> = of_originals.into_iter().chain(of_suspect).collect();
    let mut text = String::new();
    if !rows.is_empty() {
        let mut table = Table::new([
            ("mask of", Align::Left),
            ("compared with", Align::Left),
            ("keeps", Align::Right),
            ("in common", Align::Right),
            ("by chance", Align::Right),
            ("log2 p", Align::Right),
        ]);
        for (one, other, overlap) in rows {
            let expected = format!("{:.1}", overlap.expected);
            let row = [count(overlap.kept), count(overlap.overlap), expected, overlap.log2_p.to_string()];
            table.row([one.to_owned(), other.to_owned()].into_iter().chain(row));
        }
        text += &format!("{table}corroboration only: the outcome does not rest on likeness\n");
    }
    if let (Some(suspect), Some(like)) = (suspect, report.like) {
        let (one, two) = (like.name(), like.other().name());
        text += &format!("\n{}'s mask is like that of {one}'s ticket, and far less like {two}'s.\n", suspect.display());
    }
    text
}

fn not_shown(side: Side, piece: Piece) -> String {
    let side = side.name();
    match piece {
        Piece::Original => format!("Not shown: {side}'s original.\n"),
        Piece::Disclosure => format!("Not shown: a disclosure of {side}'s claim.\n"),
    }
}
