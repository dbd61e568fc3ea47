//! Tables of a TOML file, read field by field, such that every mistake is told with its line.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::SuiteError;

/// A file's text, for lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a Path,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    /// A mistake at this byte.
    pub(crate) fn mistake(self, at: usize, what: String) -> SuiteError {
        let line = self.text[..at.min(self.text.len())].matches('\n').count() + 1;
        SuiteError::Mistake { file: self.file.to_owned(), line, what }
    }

    /// The file's table.
    pub(crate) fn parse(&self) -> Result<Spanned<DeTable<'_>>, SuiteError> {
        DeTable::parse(self.text).map_err(|error| {
            let what = error.message().lines().next().unwrap_or_default().to_owned();
            self.mistake(error.span().map_or(0, |span| span.start), what)
        })
    }
}

/// A table being read: fields are taken out, and what is left over is a mistake.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    source: Source<'a>,
    /// What it is, for messages: "the suite", "[[subject]]".
    what: &'static str,
    at: usize,
    fields: Vec<(&'a str, usize, &'a Spanned<DeValue<'a>>)>,
    known: Vec<&'static str>,
}

/// A value and where it stands.
type Field<'a> = (usize, &'a DeValue<'a>);

/// A field's name, where its value stands, and the words of that: one, or those of a list.
pub(crate) type Words<'a> = (&'a str, usize, Vec<String>);

impl<'a> Table<'a> {
    pub(crate) fn new(source: Source<'a>, what: &'static str, at: usize, table: &'a DeTable<'a>) -> Self {
        let fields = table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span().start, value)).collect();
        Self { source, what, at, fields, known: Vec::new() }
    }

    /// A mistake about the table as a whole.
    pub(crate) fn mistake(&self, what: &str) -> SuiteError {
        self.source.mistake(self.at, format!("{}: {what}", self.what))
    }

    fn take(&mut self, name: &'static str) -> Option<Field<'a>> {
        self.known.push(name);
        let index = self.fields.iter().position(|(key, ..)| *key == name)?;
        let (_, _, value) = self.fields.swap_remove(index);
        Some((value.span().start, value.get_ref()))
    }

    /// A field that `read` makes something of, if it is there.
    fn read<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl Fn(&'a DeValue<'a>) -> Option<T>,
    ) -> Result<Option<T>, SuiteError> {
        let Some((at, value)) = self.take(name) else { return Ok(None) };
        let wrong = || self.source.mistake(at, format!("'{name}' is {}, expected {expected}", in_words(value)));
        read(value).map(Some).ok_or_else(wrong)
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, SuiteError> {
        self.read(name, "a text", |value| value.as_str().map(str::to_owned))
    }

    pub(crate) fn path(&mut self, name: &'static str, folder: &Path) -> Result<Option<PathBuf>, SuiteError> {
        Ok(self.text(name)?.map(|text| folder.join(text)))
    }

    pub(crate) fn texts(&mut self, name: &'static str) -> Result<Vec<String>, SuiteError> {
        let list = |value: &DeValue| {
            value.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        Ok(self.read(name, "a list of texts", list)?.unwrap_or_default())
    }

    pub(crate) fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
    ) -> Result<Option<T>, SuiteError> {
        let expected = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let find =
            |value: &DeValue| words.iter().find(|(word, _)| value.as_str() == Some(word)).map(|(_, found)| *found);
        self.read(name, &format!("one of {expected}"), find)
    }

    pub(crate) fn number(&mut self, name: &'static str, [least, most]: [f64; 2]) -> Result<Option<f64>, SuiteError> {
        let expected = format!("a number from {least} to {most}");
        self.read(name, &expected, |value| number(value).filter(|v| (least..=most).contains(v)))
    }

    pub(crate) fn count(&mut self, name: &'static str, [least, most]: [u64; 2]) -> Result<Option<u64>, SuiteError> {
        let expected = format!("a whole number from {least} to {most}");
        self.read(name, &expected, |value| whole(value).filter(|v| (least..=most).contains(v)))
    }

    pub(crate) fn counts(&mut self, name: &'static str) -> Result<Option<Vec<u64>>, SuiteError> {
        let list = |value: &DeValue| {
            let list: Option<Vec<u64>> = value.as_array()?.iter().map(|item| whole(item.get_ref())).collect();
            list.filter(|list| !list.is_empty())
        };
        self.read(name, "a list of whole numbers", list)
    }

    /// A list of tables within.
    pub(crate) fn tables(&mut self, name: &'static str) -> Result<Vec<Table<'a>>, SuiteError> {
        let Some((at, value)) = self.take(name) else { return Ok(Vec::new()) };
        let wrong = |at, value: &DeValue| {
            self.source.mistake(at, format!("'{name}' is {}, expected a list of tables", in_words(value)))
        };
        let items = value.as_array().ok_or_else(|| wrong(at, value))?;
        let table = |item: &'a Spanned<DeValue<'a>>| {
            let table = item.get_ref().as_table().ok_or_else(|| wrong(item.span().start, item.get_ref()))?;
            Ok(Table::new(self.source, name, item.span().start, table))
        };
        items.iter().map(table).collect()
    }

    /// Everything that was not asked for.
    pub(crate) fn rest(self) -> Result<Vec<Words<'a>>, SuiteError> {
        let words = |(name, _, value): &(&'a str, usize, &'a Spanned<DeValue<'a>>)| {
            let (at, value) = (value.span().start, value.get_ref());
            let items: Option<Vec<String>> = match value {
                DeValue::Array(items) => items.iter().map(|item| word(item.get_ref())).collect(),
                one => word(one).map(|one| vec![one]),
            };
            let wrong = || {
                let expected = "expected a number, a text, or a list of them";
                self.source.mistake(at, format!("'{name}' is {}, {expected}", in_words(value)))
            };
            Ok((*name, at, items.filter(|items| !items.is_empty()).ok_or_else(wrong)?))
        };
        self.fields.iter().map(words).collect()
    }

    /// Refuses what was not asked for.
    pub(crate) fn end(mut self) -> Result<(), SuiteError> {
        self.fields.sort_by_key(|(_, at, _)| *at);
        match self.fields.first() {
            None => Ok(()),
            Some((name, at, _)) => {
                let what = format!("{} has no field '{name}', expected one of {}", self.what, self.known.join(", "));
                Err(self.source.mistake(*at, what))
            }
        }
    }
}

fn number(value: &DeValue) -> Option<f64> {
    match value {
        DeValue::Integer(number) => Some(i64::from_str_radix(number.as_str(), number.radix()).ok()? as f64),
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    }
}

fn whole(value: &DeValue) -> Option<u64> {
    match value {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

/// A number or a text as it would stand on a command line.
fn word(value: &DeValue) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.as_ref().to_owned()),
        DeValue::Integer(number) => Some(i64::from_str_radix(number.as_str(), number.radix()).ok()?.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

fn in_words(value: &DeValue) -> String {
    match value {
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(items) if items.is_empty() => "an empty list".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
        other => word(other).map_or_else(|| "a number out of range".to_owned(), |word| format!("'{word}'")),
    }
}
