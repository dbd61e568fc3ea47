//! `suite.toml`: which subjects are attacked, how, how hard and how often. docs/suite.md goes through it field by field.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use counterfoil_attack::{Class, Settings, attack};
use counterfoil_claim::{MAX_TEXT, PanelCount, is_text};
use counterfoil_train::data::{DataSource, LoadOptions};
use itertools::Itertools;
use serde::Serialize;

use crate::SuiteError;
use crate::judge::{LICENSEE, OVERLAP};
use crate::report::{PANELS, TRIGGERS, VERDICT};
use crate::toml_table::{Source, Table};

/// Most runs of one suite.
pub const MAX_RUNS: usize = 100_000;

/// Most steps of a stack.
const MAX_STEPS: usize = 16;

/// A suite as its file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Suite {
    /// What it calls itself.
    pub name: String,
    /// Which images.
    pub data: DataSource,
    /// How many of them, and how large.
    pub options: LoadOptions,
    /// What log2 p must reach.
    pub threshold: f64,
    /// What is attacked.
    pub subjects: Vec<SubjectSpec>,
    /// By what.
    pub attacks: Vec<AttackSpec>,
}

/// Something to be attacked.
#[derive(Debug, Clone, PartialEq)]
pub struct SubjectSpec {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a subject comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// Made by the suite, once for each seed.
    Made {
        /// How.
        recipe: Recipe,
        /// Seeds of initialisation, order, key.
        seeds: Vec<u64>,
    },
    /// Files of somebody's.
    Files(Files),
}

/// Files of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Files {
    /// The model.
    pub model: PathBuf,
    /// The owner's public key.
    pub key: PathBuf,
    /// The claim.
    pub claim: Option<PathBuf>,
    /// Disclosed panels.
    pub disclosures: Vec<PathBuf>,
    /// The counterfoil, not encrypted, for its reference mask.
    pub counterfoil: Option<PathBuf>,
}

/// How a subject is made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recipe {
    /// Channels of the first stage of a ResNet-20.
    pub width: u32,
    /// Share of the weights that the ticket prunes.
    pub sparsity: f64,
    /// Share that each round of IMP prunes.
    pub prune_share: f64,
    /// Epochs of each round.
    pub find_epochs: u32,
    /// How it is stamped.
    pub stamp: Stamp,
    /// Extra decay of keyed finding and of reinforcement; the usual one if `None`.
    pub decay: Option<f64>,
    /// Whether training reinforces the mark.
    pub reinforce: bool,
    /// Whether training teaches the triggers.
    pub triggers: bool,
    /// Epochs of training.
    pub train_epochs: u32,
    /// Images a step.
    pub batch: u32,
    /// Other people's marks in the same model.
    pub marks: Vec<MarkSpec>,
    /// Whose copy of the owner's stamped ticket is trained; the owner's own if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licensee: Option<String>,
}

/// One of other people's marks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MarkSpec {
    /// Its name.
    pub name: String,
    /// Its program; `None` for those that come along.
    pub command: Option<Vec<String>>,
}

/// How a ticket is stamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stamp {
    /// By swaps.
    Swaps,
    /// While it is found.
    Keyed,
    /// Not at all: a control, judged under a key that it has nothing to do with.
    None,
}

/// Attacks in a row, at one strength each.
#[derive(Debug, Clone, PartialEq)]
pub struct AttackSpec {
    /// What the report calls it.
    pub label: String,
    /// Steps with all strengths of each: (attack, parameter, values).
    pub steps: Vec<StepSpec>,
    /// Seeds of the attack.
    pub seeds: Vec<u64>,
    /// Sealed panels that the attacker was shown.
    pub knows: Vec<u64>,
    /// Other models that he has: names of subjects, or `found`, the subject's own ticket before it was stamped.
    pub others: Vec<String>,
    /// Subjects that it is made on; all if empty.
    pub subjects: Vec<String>,
}

/// One step, at each of its strengths.
#[derive(Debug, Clone, PartialEq)]
pub struct StepSpec {
    /// Name of the attack, or of the program.
    pub attack: String,
    /// One for each combination of strengths.
    pub strengths: Vec<Strength>,
}

/// An attack at one strength.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Strength {
    /// One of ours.
    Known {
        /// All settings.
        #[serde(flatten)]
        settings: Settings,
        /// Those that the file names.
        #[serde(skip)]
        named: Vec<String>,
    },
    /// A third party's program, which gets the settings as they stand in the file.
    Program {
        /// The program and its arguments.
        command: Vec<String>,
        /// Settings by name.
        settings: BTreeMap<String, String>,
    },
}

impl Strength {
    /// The settings that the suite's file names, as a report shows them: `share=0.5`.
    pub(crate) fn in_words(&self) -> String {
        let named: Vec<String> = match self {
            Self::Program { settings, .. } => settings.iter().map(|(name, text)| format!("{name}={text}")).collect(),
            Self::Known { settings, named } => {
                let values = settings.values().iter().filter(|(name, _)| named.iter().any(|n| n == *name));
                values.map(|(name, value)| format!("{name}={value}")).collect()
            }
        };
        named.join(" ")
    }
}

impl Suite {
    /// Reads a suite. Paths are relative to its folder.
    ///
    /// # Errors
    ///
    /// A mistake, with its line.
    pub fn parse(file: &Path, text: &str) -> Result<Self, SuiteError> {
        let folder = file.parent().unwrap_or(Path::new(""));
        let source = Source { file, text };
        let table = source.parse()?;
        let mut table = Table::new(source, "the suite", 0, table.get_ref());
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let name = table.text("name")?.unwrap_or(stem);
        let data = table
            .text("data")?
            .ok_or_else(|| table.mistake("names no data, expected data = \"digits\" or a folder"))?;
        let data = match data.as_str() {
            "digits" => DataSource::Digits,
            path => DataSource::Path(folder.join(path)),
        };
        const MOST: u64 = 1 << 31;
        let size = |count: Option<u64>| count.map(|count| count as usize);
        let options = LoadOptions {
            limit: size(table.count("limit", [1, MOST])?),
            limit_test: size(table.count("limit-test", [1, MOST])?),
            resize: table.count("resize", [1, 4096])?.map(|side| (side as u32, side as u32)),
            ..LoadOptions::default()
        };
        let threshold = table.number("threshold", [-1e6, -1.0])?.unwrap_or(counterfoil_verify::DEFAULT_THRESHOLD);
        let seeds = table.counts("seeds")?.unwrap_or_else(|| vec![0]);
        let subjects = table.tables("subject")?;
        let programs = table.tables("mark")?.into_iter().map(program).collect::<Result<Vec<_>, _>>()?;
        let subjects = subjects.into_iter().map(|t| subject(t, folder, &programs)).collect::<Result<Vec<_>, _>>()?;
        let attacks = table.tables("attack")?;
        if subjects.is_empty() || attacks.is_empty() {
            return Err(table.mistake("has no [[subject]] or no [[attack]], expected at least one of each"));
        }
        let names: Vec<&str> = subjects.iter().map(|subject| subject.name.as_str()).collect();
        let attacks = attacks.into_iter().map(|t| attacks_of(t, source, &seeds, &names)).collect::<Result<_, _>>()?;
        let suite = Self { name, data, options, threshold, subjects, attacks };
        suite.check(&table)?;
        table.end()?;
        Ok(suite)
    }

    fn check(&self, table: &Table) -> Result<(), SuiteError> {
        let names: Vec<&str> = self.subjects.iter().map(|subject| subject.name.as_str()).collect();
        if let Some((_, name)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            return Err(table.mistake(&format!("has two subjects '{name}', expected different names")));
        }
        Ok(())
    }
}

/// In `others`: the subject's own ticket before it was stamped.
pub(crate) const FOUND: &str = "found";

/// A third party's mark.
fn program(mut table: Table) -> Result<MarkSpec, SuiteError> {
    let name = table.text("name")?.ok_or_else(|| table.mistake("has no name"))?;
    let command = table.texts("command")?;
    const OURS: [&str; 5] = [VERDICT, PANELS, TRIGGERS, LICENSEE, OVERLAP];
    if command.is_empty() || crate::marks::mark(&name).is_some() || OURS.contains(&name.as_str()) {
        return Err(table.mistake("has no command, or the name of a mark that comes along"));
    }
    table.end()?;
    Ok(MarkSpec { name, command: Some(command) })
}

fn subject(mut table: Table, folder: &Path, programs: &[MarkSpec]) -> Result<SubjectSpec, SuiteError> {
    let name = table.text("name")?.ok_or_else(|| table.mistake("has no name"))?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || " -_.=%".contains(c);
    if name.is_empty() || name == FOUND || !name.chars().all(is_name) {
        return Err(table.mistake("has a name of other characters than letters, digits, spaces and -_.=%"));
    }
    let model = table.path("model", folder)?;
    let origin = match model {
        Some(model) => Origin::Files(Files {
            model,
            key: table.path("key", folder)?.ok_or_else(|| table.mistake("has a model and no key"))?,
            claim: table.path("claim", folder)?,
            disclosures: table.texts("disclosures")?.into_iter().map(|path| folder.join(path)).collect(),
            counterfoil: table.path("counterfoil", folder)?,
        }),
        None => made(&mut table, programs)?,
    };
    table.end()?;
    Ok(SubjectSpec { name, origin })
}

fn made(table: &mut Table, programs: &[MarkSpec]) -> Result<Origin, SuiteError> {
    const STAMPS: &[(&str, Stamp)] = &[("swaps", Stamp::Swaps), ("keyed", Stamp::Keyed), ("none", Stamp::None)];
    let flag = &[("yes", true), ("no", false)];
    let small = |count: Option<u64>, usual: u32| count.map_or(usual, |count| count as u32);
    const EPOCHS: [u64; 2] = [1, 100_000];
    let mut marks = Vec::new();
    for name in table.texts("marks")? {
        let own = programs.iter().find(|program| program.name == name).cloned();
        let known = crate::marks::mark(&name).map(|_| MarkSpec { name: name.clone(), command: None });
        marks.push(own.or(known).ok_or_else(|| {
            let all = crate::marks::NAMES.join(", ");
            table.mistake(&format!("names the mark '{name}', expected one of {all}, or a [[mark]]"))
        })?);
    }
    let recipe = Recipe {
        marks,
        width: small(table.count("width", [2, 1024])?, 16),
        sparsity: table.number("sparsity", [0.001, 0.9999])?.unwrap_or(0.95),
        prune_share: table.number("prune-share", [0.01, 0.99])?.unwrap_or(0.45),
        find_epochs: small(table.count("find-epochs", EPOCHS)?, 4),
        stamp: table.one_of("stamp", STAMPS)?.unwrap_or(Stamp::Swaps),
        decay: table.number("decay", [0.0, 0.999])?,
        reinforce: table.one_of("reinforce", flag)?.unwrap_or(true),
        triggers: table.one_of("triggers", flag)?.unwrap_or(true),
        train_epochs: small(table.count("train-epochs", EPOCHS)?, 8),
        batch: small(table.count("batch", [1, 65_536])?, 64),
        licensee: table.text("licensee")?,
    };
    if let Some(name) = recipe.licensee.as_ref().filter(|name| !is_text(name)) {
        let found = if name.chars().any(char::is_control) {
            "with control characters".to_owned()
        } else {
            format!("of {} bytes", name.len())
        };
        return Err(table.mistake(&format!("names a licensee {found}, expected 1 to {MAX_TEXT} bytes without any")));
    }
    if recipe.licensee.is_some() && recipe.stamp == Stamp::None {
        return Err(table
            .mistake("is a licensee's copy of a ticket that is not stamped, expected stamp = \"swaps\" or \"keyed\""));
    }
    if !recipe.width.is_multiple_of(2) {
        return Err(table.mistake("has an odd width, expected an even one"));
    }
    Ok(Origin::Made { recipe, seeds: table.counts("seeds")?.unwrap_or_else(|| vec![0]) })
}

fn attacks_of(mut table: Table, source: Source, seeds: &[u64], names: &[&str]) -> Result<AttackSpec, SuiteError> {
    let label = table.text("label")?;
    let seeds = table.counts("seeds")?.unwrap_or_else(|| seeds.to_vec());
    let knows = table.counts("knows")?.unwrap_or_default();
    if let Some(panel) = knows.iter().find(|panel| !(1..=u64::from(PanelCount::MAX)).contains(*panel)) {
        return Err(table.mistake(&format!("knows panel {panel}, expected sealed panels, 1 to {}", PanelCount::MAX)));
    }
    let others = table.texts("others")?;
    let subjects = table.texts("subjects")?;
    let is_known = |name: &String| names.contains(&name.as_str());
    let mut unknown = subjects.iter().filter(|name| !is_known(name));
    if let Some(name) = unknown.next() {
        return Err(table.mistake(&format!("names the subject '{name}', expected one of {}", names.join(", "))));
    }
    if let Some(name) = others.iter().find(|name| *name != FOUND && !is_known(name)) {
        let expected = names.join(", ");
        let what = format!("names '{name}' among its others, expected 'found' or a subject: {expected}");
        return Err(table.mistake(&what));
    }
    let stack = table.tables("stack")?;
    let steps = if stack.is_empty() {
        vec![step(table, source, true)?]
    } else if stack.len() > MAX_STEPS {
        return Err(table.mistake(&format!("stacks {} attacks, expected at most {MAX_STEPS}", stack.len())));
    } else {
        table.end()?;
        let last = stack.len() - 1;
        stack.into_iter().enumerate().map(|(i, table)| step(table, source, i == last)).collect::<Result<_, _>>()?
    };
    let joined = || steps.iter().map(|step: &StepSpec| step.attack.as_str()).collect::<Vec<_>>().join(" + ");
    let label = label.unwrap_or_else(joined);
    Ok(AttackSpec { label, steps, seeds, knows, others, subjects })
}

/// One step, with every combination of its strengths.
fn step(mut table: Table, source: Source, is_last: bool) -> Result<StepSpec, SuiteError> {
    let name = table.text("name")?.ok_or_else(|| table.mistake("has no name and no stack"))?;
    let command = table.texts("command")?;
    let profile = match command.is_empty() {
        true => Some(attack(&name).map_err(|error| table.mistake(&error.to_string()))?.profile()),
        false => None,
    };
    if profile.as_ref().is_some_and(|profile| profile.class == Class::Endpoint) && !is_last {
        return Err(table.mistake(&format!("'{name}' serves a model, expected as the last of its stack")));
    }
    let values = table.rest()?;
    let mut count = 1usize;
    for (parameter, at, words) in &values {
        for (word, profile) in words.iter().flat_map(|word| profile.iter().map(move |profile| (word, profile))) {
            // Told here, where it stands.
            let alone = Settings::new(profile.name, profile.parameters, [(*parameter, word.as_str())]);
            alone.map_err(|error| source.mistake(*at, error.to_string()))?;
        }
        count = count.saturating_mul(words.len());
        if count > MAX_RUNS {
            return Err(source.mistake(*at, format!("makes more than {MAX_RUNS} runs")));
        }
    }
    let choices = values.iter().map(|(parameter, _, words)| words.iter().map(move |word| (*parameter, word.as_str())));
    let mut combinations: Vec<Vec<(&str, &str)>> = choices.multi_cartesian_product().collect();
    if values.is_empty() {
        combinations = vec![Vec::new()]; // the product of nothing, which itertools leaves empty
    }
    let strength = |combination: Vec<(&str, &str)>| -> Result<Strength, SuiteError> {
        Ok(match &profile {
            Some(profile) => Strength::Known {
                named: combination.iter().map(|(name, _)| (*name).to_owned()).collect(),
                settings: Settings::new(profile.name, profile.parameters, combination)?,
            },
            None => {
                let settings = combination.into_iter().map(|(name, word)| (name.to_owned(), word.to_owned())).collect();
                Strength::Program { command: command.clone(), settings }
            }
        })
    };
    Ok(StepSpec { attack: name, strengths: combinations.into_iter().map(strength).collect::<Result<_, _>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suites_that_come_along_are_suites() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../suites");
        let mut found = 0;
        for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "toml") {
                let suite = Suite::parse(&file, &std::fs::read_to_string(&file).unwrap()).unwrap();
                assert!(!suite.subjects.is_empty() && suite.attacks.len() > 5, "{}", file.display());
                found += 1;
            }
        }
        assert!(found >= 5, "{found}");
    }
}
