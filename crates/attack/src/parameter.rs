//! Parameters of attacks: what can be set, within which bounds, and what is set.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::AttackError;

/// One thing that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it sets, one phrase with its unit.
    pub about: &'static str,
    /// What it may be.
    pub range: Range,
    /// What it is unless it is set.
    pub default: &'static str,
}

impl Parameter {
    /// A number from `least` to `most`.
    pub const fn number(name: &'static str, default: &'static str, bounds: [f64; 2], about: &'static str) -> Self {
        Self { name, about, default, range: Range::Number { least: bounds[0], most: bounds[1] } }
    }

    /// A share, 0 to 1.
    pub const fn share(name: &'static str, default: &'static str, about: &'static str) -> Self {
        Self::number(name, default, [0.0, 1.0], about)
    }

    /// A whole number from `least` to `most`.
    pub const fn count(name: &'static str, default: &'static str, bounds: [u32; 2], about: &'static str) -> Self {
        Self { name, about, default, range: Range::Count { least: bounds[0], most: bounds[1] } }
    }

    /// One of several words.
    pub const fn choice(
        name: &'static str,
        default: &'static str,
        words: &'static [&'static str],
        about: &'static str,
    ) -> Self {
        Self { name, about, default, range: Range::Choice { words } }
    }
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Range {
    /// A number.
    Number {
        /// The smallest.
        least: f64,
        /// The largest.
        most: f64,
    },
    /// A whole number.
    Count {
        /// The smallest.
        least: u32,
        /// The largest.
        most: u32,
    },
    /// A word.
    Choice {
        /// All that there are.
        words: &'static [&'static str],
    },
}

impl Range {
    fn value(self, text: &str) -> Option<Value> {
        match self {
            Self::Number { least, most } => {
                text.parse().ok().filter(|v: &f64| (least..=most).contains(v)).map(Value::Number)
            }
            Self::Count { least, most } => {
                text.parse().ok().filter(|v: &u32| (least..=most).contains(v)).map(Value::Count)
            }
            Self::Choice { words } => words.iter().find(|word| **word == text).map(|word| Value::Word(word)),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { least, most } => write!(f, "a number from {least} to {most}"),
            Self::Count { least, most } => write!(f, "a whole number from {least} to {most}"),
            Self::Choice { words } => write!(f, "one of {}", words.join(", ")),
        }
    }
}

/// What a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A whole number.
    Count(u32),
    /// A word.
    Word(&'static str),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(value) => value.fmt(f),
            Self::Count(value) => value.fmt(f),
            Self::Word(word) => word.fmt(f),
        }
    }
}

/// A value for each parameter of an attack.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Settings(BTreeMap<&'static str, Value>);

impl Settings {
    /// The defaults, but for what is `given` as (name, value).
    ///
    /// # Errors
    ///
    /// A name is not a parameter's or is given twice, or a value is outside its range.
    pub fn new<'a>(
        attack: &'static str,
        parameters: &[Parameter],
        given: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, AttackError> {
        let read = |parameter: &Parameter, text: &str| {
            parameter.range.value(text).ok_or_else(|| AttackError::Value {
                attack,
                parameter: parameter.name,
                found: text.to_owned(),
                expected: parameter.range,
            })
        };
        let mut values = BTreeMap::new();
        for (name, text) in given {
            let Some(parameter) = parameters.iter().find(|parameter| parameter.name == name) else {
                let names: Vec<&str> = parameters.iter().map(|parameter| parameter.name).collect();
                return Err(AttackError::Parameter { attack, found: name.to_owned(), expected: names.join(", ") });
            };
            if values.insert(parameter.name, read(parameter, text)?).is_some() {
                return Err(AttackError::Twice { attack, parameter: parameter.name });
            }
        }
        for parameter in parameters {
            if !values.contains_key(parameter.name) {
                values.insert(parameter.name, read(parameter, parameter.default)?);
            }
        }
        Ok(Self(values))
    }

    /// A number. Panics if the attack has no such parameter: its own code asks.
    pub fn number(&self, name: &str) -> f64 {
        match self.0[name] {
            Value::Number(value) => value,
            Value::Count(value) => f64::from(value),
            Value::Word(word) => unreachable!("'{name}' is a word, {word}"),
        }
    }

    /// A whole number. Panics as [`Settings::number`] does.
    pub fn count(&self, name: &str) -> u32 {
        match self.0[name] {
            Value::Count(value) => value,
            value => unreachable!("'{name}' is not a count, but {value:?}"),
        }
    }

    /// A word. Panics as [`Settings::number`] does.
    pub fn word(&self, name: &str) -> &'static str {
        match self.0[name] {
            Value::Word(word) => word,
            value => unreachable!("'{name}' is not a word, but {value:?}"),
        }
    }

    /// All of them, by name.
    pub fn values(&self) -> &BTreeMap<&'static str, Value> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETERS: [Parameter; 3] = [
        Parameter::share("share", "0.5", "share"),
        Parameter::count("rounds", "3", [1, 9], "rounds"),
        Parameter::choice("kind", "up", &["up", "down"], "which way"),
    ];

    #[test]
    fn what_is_not_given_is_the_default() {
        let settings = Settings::new("a", &PARAMETERS, [("rounds", "4"), ("kind", "down")]).expect("all are right");
        assert_eq!((settings.number("share"), settings.count("rounds"), settings.word("kind")), (0.5, 4, "down"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |given: &[(&'static str, &'static str)]| {
            Settings::new("a", &PARAMETERS, given.iter().copied()).expect_err("refused").to_string()
        };
        assert_eq!(error(&[("shares", "1")]), "a has no parameter 'shares', expected one of share, rounds, kind");
        assert_eq!(error(&[("share", "1.5")]), "share of a is '1.5', expected a number from 0 to 1");
        assert_eq!(error(&[("share", "NaN")]), "share of a is 'NaN', expected a number from 0 to 1");
        assert_eq!(error(&[("rounds", "2.5")]), "rounds of a is '2.5', expected a whole number from 1 to 9");
        assert_eq!(error(&[("kind", "left")]), "kind of a is 'left', expected one of up, down");
        assert_eq!(error(&[("share", "1"), ("share", "1")]), "share of a is given twice");
    }
}
