//! Presets: options of `find` in a TOML file, put among the arguments before these are parsed.
//!
//! So a preset means what its options mean on the command line, and one that is given there wins over it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::Parser;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::commands::Command;
use crate::error::warn;
use crate::{Cli, Error, open};

/// Options that a preset may have. Not where things are, nor what is secret: those belong to a run.
const OPTIONS: [&str; 24] = [
    "arch",
    "batch",
    "decay",
    "densities",
    "drop",
    "epochs",
    "finder",
    "hidden",
    "limit",
    "limit-test",
    "milestones",
    "momentum",
    "move-share",
    "n-of-m",
    "no-augmentation",
    "no-rewind",
    "prune-share",
    "rate",
    "resize",
    "rewind",
    "scope",
    "seed",
    "sparsity",
    "width",
];

/// Options that say which search it is: only if one of them is given may a preset's others be left out.
const CHOOSING: [&str; 3] = ["finder", "pretrained", "arch"];

/// An option that a preset sets.
struct Setting {
    /// Its name on the command line.
    option: String,
    /// As it stands on a command line, with its value.
    argument: OsString,
    /// Where it is in the file, from 1.
    line: usize,
}

/// The arguments, with those of a preset before them if `find` is given one. What the search has no use for is left out,
/// with a warning, if the command line says which search it is.
pub(crate) fn arguments(arguments: impl Iterator<Item = OsString>) -> Result<Vec<OsString>, Error> {
    let arguments: Vec<OsString> = arguments.collect();
    let (true, Some(preset)) = (arguments.get(1).is_some_and(|command| command == "find"), preset_of(&arguments))
    else {
        return Ok(arguments);
    };
    let text = open::text(&preset, "a preset")?;
    let (command, given) = arguments.split_at(2);
    let mut settings = settings(&preset, &text, |option| is_given(option, given))?;
    let with = |settings: &[Setting]| {
        let added: Vec<OsString> = settings.iter().map(|setting| setting.argument.clone()).collect();
        [command, &added, given].concat()
    };
    // What is wrong with the line as a whole is said where it is parsed for good.
    if let Ok(Cli { command: Command::Find(search) }) = Cli::try_parse_from(with(&settings)) {
        let is_chosen = CHOOSING.iter().any(|option| is_given(option, given));
        let mut left_out = Vec::new();
        for (option, error) in search.unused() {
            // Others are the command line's own, and refused by the search.
            let Some(place) = settings.iter().position(|setting| setting.option == option) else { continue };
            let setting = settings.remove(place);
            if !is_chosen {
                return Err(Error::Preset { file: preset, line: setting.line, what: error.to_string() });
            }
            left_out.push(option);
        }
        if !left_out.is_empty() {
            let (preset, options) = (preset.display(), left_out.join(", "));
            warn(&format!("{preset}: this search has no use for {options}, which the preset sets: left out"));
        }
    }
    Ok(with(&settings))
}

/// The file that `--preset` names.
fn preset_of(arguments: &[OsString]) -> Option<PathBuf> {
    let place = arguments.iter().position(|argument| is(argument, "preset"))?;
    match arguments[place].to_str()?.split_once('=') {
        Some((_, file)) => Some(file.into()),
        None => arguments.get(place + 1).map(PathBuf::from),
    }
}

/// Whether an option is among the arguments. Where the weights are rewound to can be said in two ways.
fn is_given(option: &str, arguments: &[OsString]) -> bool {
    let also = match option {
        "rewind" => "no-rewind",
        "no-rewind" => "rewind",
        other => other,
    };
    arguments.iter().any(|argument| is(argument, option) || is(argument, also))
}

/// Whether an argument is this option, with its value or without.
fn is(argument: &OsStr, option: &str) -> bool {
    let rest = argument.to_str().and_then(|text| text.strip_prefix("--")?.strip_prefix(option));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

/// What a preset sets, in the file's order, without options that are `given`.
fn settings(file: &Path, text: &str, given: impl Fn(&str) -> bool) -> Result<Vec<Setting>, Error> {
    let line_of = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let refused = |line, what| Error::Preset { file: file.to_owned(), line, what };
    let table = DeTable::parse(text).map_err(|error| {
        let what = error.message().lines().next().unwrap_or_default().to_owned();
        refused(line_of(error.span().map_or(0, |span| span.start)), what)
    })?;
    let mut settings = Vec::new();
    for (key, value) in table.get_ref() {
        let (option, line) = (key.get_ref().as_ref(), line_of(key.span().start));
        if !OPTIONS.contains(&option) {
            let what = format!("'{option}' is no option of a preset, expected one of {}", OPTIONS.join(", "));
            return Err(refused(line, what));
        }
        if given(option) {
            continue;
        }
        let wrong = || {
            let what =
                format!("'{option}' is no value of an option, expected a number, a text, a list of them, or true");
            refused(line_of(value.span().start), what)
        };
        // In one word with its option, so that a value such as "--force" is not taken for an option of its own.
        let argument = OsString::from(match value.get_ref() {
            DeValue::Boolean(true) => format!("--{option}"),
            _ => format!("--{option}={}", in_words(value).ok_or_else(wrong)?),
        });
        check(&argument).map_err(|what| refused(line, what))?;
        settings.push(Setting { option: format!("--{option}"), argument, line });
    }
    settings.sort_by_key(|setting| setting.line);
    Ok(settings)
}

/// Refuses an option whose value is none, in the words of the command line.
fn check(argument: &OsStr) -> Result<(), String> {
    let line = ["counterfoil", "find", "--data=digits", "--output=x"].map(OsStr::new);
    let Err(error) = Cli::try_parse_from(line.into_iter().chain([argument])) else { return Ok(()) };
    // What follows the first blank line is about the command as a whole.
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    Err(lines.join(" ").trim_start_matches("error: ").to_owned())
}

/// A value as it stands on a command line.
fn in_words(value: &Spanned<DeValue>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.as_ref().to_owned()),
        DeValue::Integer(number) => Some(i64::from_str_radix(number.as_str(), number.radix()).ok()?.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Array(values) => {
            let words: Option<Vec<String>> = values.iter().map(in_words).collect();
            words.map(|words| words.join(","))
        }
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str, given: &[&str]) -> Result<Vec<String>, String> {
        let given: Vec<OsString> = given.iter().map(OsString::from).collect();
        let settings = settings(Path::new("p.toml"), text, |option| is_given(option, &given));
        let settings = settings.map_err(|error| error.to_string())?;
        Ok(settings.into_iter().map(|setting| setting.argument.into_string().unwrap()).collect())
    }

    #[test]
    fn options_become_arguments_and_given_ones_win() {
        let text =
            "epochs = 182\nrate = 0.1\nmilestones = [91, 136]\nfinder = \"imp\"\nno-augmentation = true\nrewind = 3\n";
        let all = "--epochs=182 --rate=0.1 --milestones=91,136 --finder=imp --no-augmentation --rewind=3";
        assert_eq!(expanded(text, &[]).unwrap().join(" "), all);
        let fewer = "--milestones=91,136 --finder=imp --no-augmentation";
        let given = ["--epochs=4", "--no-rewind", "--rate", "0.2"];
        assert_eq!(expanded(text, &given).unwrap().join(" "), fewer);
    }

    #[test]
    fn a_value_is_no_option_of_its_own() {
        for (text, end) in [
            ("no-rewind = \"--force\"\n", "unexpected value '--force' for '--no-rewind' found; no more were expected"),
            ("no-augmentation = \"--log=x\"\n", "'--log=x' for '--no-augmentation' found; no more were expected"),
            ("limit = \"--force\"\n", "invalid value '--force' for '--limit <N>': invalid digit found in string"),
        ] {
            let error = expanded(text, &[]).unwrap_err();
            assert!(error.ends_with(end), "{error}");
        }
    }

    #[test]
    fn mistakes_are_refused_by_line() {
        for (text, start) in [
            ("epochs = 2\n\noutput = \"x\"\n", "p.toml: line 3: 'output' is no option of a preset"),
            ("epochs = 2\nrate = 2020-01-01\n", "p.toml: line 2: 'rate' is no value of an option"),
            ("epochs = 2\nno-rewind = false\n", "p.toml: line 2: 'no-rewind' is no value of an option"),
            ("epochs = 2\nepochs = 3\n", "p.toml: line 2: "),
            ("epochs 2\n", "p.toml: line 1: "),
            ("rate = 0.1\nepochs = \"x\"\n", "p.toml: line 2: invalid value 'x' for '--epochs <N>': invalid digit"),
            ("decay = 1\n", "p.toml: line 1: invalid value '1' for '--decay <DECAY>': expected a weight decay"),
            (
                "finder = \"magic\"\n",
                "p.toml: line 1: invalid value 'magic' for '--finder <FINDER>' [possible values: imp,",
            ),
        ] {
            let error = expanded(text, &[]).unwrap_err();
            assert!(error.starts_with(start), "{error}");
        }
    }

    #[test]
    fn the_presets_that_come_along_are_presets() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../presets");
        let mut found = 0;
        for kind in std::fs::read_dir(folder).unwrap() {
            for file in std::fs::read_dir(kind.unwrap().path()).unwrap() {
                let file = file.unwrap().path();
                let line = ["counterfoil", "find", "--data", "digits", "-o", "x", "--preset", file.to_str().unwrap()];
                let arguments = arguments(line.into_iter().map(OsString::from)).unwrap();
                assert!(arguments.len() > 14, "{arguments:?}");
                Cli::try_parse_from(arguments).unwrap();
                found += 1;
            }
        }
        assert!(found >= 10, "{found}");
    }

    #[test]
    fn the_file_is_found_in_both_ways_of_writing_it() {
        let of = |text: &str| preset_of(&text.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of("counterfoil find --preset a.toml -o x"), Some("a.toml".into()));
        assert_eq!(of("counterfoil find --preset=a.toml"), Some("a.toml".into()));
        assert_eq!(of("counterfoil find --presets a.toml"), None);
        assert_eq!(of("counterfoil find --preset"), None);
    }
}
