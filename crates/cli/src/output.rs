//! Printing: tables for people, JSON for programs.
//!
//! Names come from files that nobody has vouched for, so what steers a terminal never reaches it.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

use crate::Error;

/// Prints text for people. Quiet if the reader has gone, as under `| head`.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    print_bytes(printable(text).as_bytes())
}

/// Prints a value as JSON on several lines.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).expect("results are numbers, texts and lists of them");
    // In JSON they can only stand in texts, where an escape means the same; all of them have four digits.
    let text = rewritten(&text, steers_within_a_line, |c| format!("\\u{:04x}", u32::from(c)));
    print_bytes(format!("{text}\n").as_bytes())
}

/// Prints bytes as they are. Quiet if the reader has gone.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Print(error)),
        _ => Ok(()),
    }
}

/// Control characters, and those that change the order in which a line is shown (Bidi_Control, Unicode Standard Annex 9,
/// section 2), so that a name could look like another.
fn steers(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

/// The same without line ends.
fn steers_within_a_line(c: char) -> bool {
    steers(c) && c != '\n'
}

/// The text with some of its characters written in another way.
fn rewritten(text: &str, is_rewritten: fn(char) -> bool, into: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(is_rewritten) {
        return Cow::Borrowed(text);
    }
    text.chars().map(|c| if is_rewritten(c) { into(c) } else { c.to_string() }).collect()
}

/// The text with characters that steer what is shown replaced, line ends apart.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    rewritten(text, steers_within_a_line, |_| "\u{fffd}".to_owned())
}

/// The text on one line, with characters that steer what is shown written out: `\n`, `\u{1b}`.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    rewritten(text, steers, |c| c.escape_default().to_string())
}

/// Which way a column is flushed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table: a head, and rows that are as long as it.
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: impl IntoIterator<Item = (&'static str, Align)>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row, each cell on one line; missing cells are empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| escaped(&cell).into_owned()).collect());
    }
}

/// Two spaces between columns, none at the end of a line.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads: Vec<String> = self.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&heads).chain(&self.rows).collect();
        let cell = |line: &[String], column: usize| line.get(column).cloned().unwrap_or_default();
        let width = |column| lines.iter().map(|line| cell(line, column).chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        for line in lines {
            let cells = self.columns.iter().enumerate().map(|(i, (_, align))| match align {
                Align::Left => format!("{:<width$}", cell(line, i), width = widths[i]),
                Align::Right => format!("{:>width$}", cell(line, i), width = widths[i]),
            });
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// A paragraph behind a label, its lines at most 96 characters where its words allow, and a line end.
pub(crate) fn wrapped(label: &str, text: &str) -> String {
    const WIDTH: usize = 96;
    let (mut lines, mut line) = (String::new(), label.to_owned());
    for word in text.split(' ') {
        if line.chars().count() + word.chars().count() > WIDTH {
            lines += line.trim_end();
            lines.push('\n');
            line = "    ".to_owned();
        }
        line += word;
        line.push(' ');
    }
    format!("{lines}{}\n", line.trim_end())
}

/// A count with its thousands apart.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let first = (digits.len() + 2) % 3 + 1;
    let groups = (first..=digits.len()).step_by(3).map(|end| &digits[end.saturating_sub(3)..end]);
    groups.collect::<Vec<_>>().join(",")
}

/// A share, 0 to 1, in percent with one decimal.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_thousands_apart() {
        let counts = [0, 7, 42, 999, 1_000, 13_384, 270_896, 1_234_567].map(count);
        assert_eq!(counts, ["0", "7", "42", "999", "1,000", "13,384", "270,896", "1,234,567"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new([("panel", Align::Left), ("n", Align::Right)]);
        table.row(["0".into(), "1,024".into()]);
        table.row(["1".into()]);
        assert_eq!(table.to_string(), "panel      n\n0      1,024\n1\n");
    }

    #[test]
    fn long_paragraphs_are_broken_between_words() {
        let text = wrapped("It means: ", &"word ".repeat(30));
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| line.len() <= 96 && line.ends_with("word")), "{text}");
        assert_eq!(wrapped("", &"x".repeat(200)).trim(), "x".repeat(200));
    }

    #[test]
    fn names_stay_on_their_line() {
        assert_eq!(escaped("conv\u{1b}[2J\nPROVEN\r"), "conv\\u{1b}[2J\\nPROVEN\\r");
        assert_eq!(escaped("a\u{202e}b é"), "a\\u{202e}b é");
        let mut table = Table::new([("layer", Align::Left)]);
        table.row(["a\nb".to_owned()]);
        assert_eq!(table.to_string(), "layer\na\\nb\n");
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        assert_eq!(printable("conv\u{1b}[2J\nnext\r"), "conv\u{fffd}[2J\nnext\u{fffd}");
        assert_eq!(printable("a\u{202e}b\u{2066}"), "a\u{fffd}b\u{fffd}");
    }
}
