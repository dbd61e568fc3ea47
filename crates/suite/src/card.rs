//! Attacked models that were made elsewhere: judged as all others, and listed with what their makers say.

use std::path::Path;

use counterfoil_ticket::ModelFile;
use serde_json::json;

use crate::SuiteError;
use crate::judge::judge;
use crate::line::{Card, Flag, Line, Step};
use crate::plan::RunTask;
use crate::run::Worker;
use crate::store::{Id, file_digest};
use crate::toml_table::{Source, Table};

/// An attack card, TOML: what was attacked and how.
#[derive(Debug, Clone, PartialEq)]
pub struct AttackCard {
    /// The subject's name.
    pub subject: String,
    /// Its seed.
    pub seed: u64,
    /// What the attack is called.
    pub attack: String,
    /// Its parameters, as texts.
    pub parameters: Vec<(String, String)>,
    /// Seconds that it took.
    pub seconds: f64,
    /// Who, and what he says.
    pub card: Card,
}

impl AttackCard {
    /// Reads a card.
    ///
    /// # Errors
    ///
    /// A mistake, with its line.
    pub fn parse(file: &Path, text: &str) -> Result<Self, SuiteError> {
        let source = Source { file, text };
        let table = source.parse()?;
        let mut table = Table::new(source, "the card", 0, table.get_ref());
        let needed = |table: &mut Table, name: &'static str| {
            table.text(name)?.ok_or_else(|| table.mistake(&format!("names no '{name}'")))
        };
        let (subject, attack) = (needed(&mut table, "subject")?, needed(&mut table, "attack")?);
        let (by, what) = (needed(&mut table, "by")?, needed(&mut table, "what")?);
        let seed = table.count("seed", [0, u64::MAX])?.unwrap_or(0);
        let seconds = table.number("seconds", [0.0, 1e12])?.unwrap_or(0.0);
        let link = table.text("link")?;
        let reported_accuracy = table.number("accuracy", [0.0, 1.0])?;
        let mut parameters = Vec::new();
        for one in table.tables("parameters")? {
            parameters.extend(one.rest()?.into_iter().map(|(name, _, words)| (name.to_owned(), words.join(", "))));
        }
        table.end()?;
        Ok(Self { subject, seed, attack, parameters, seconds, card: Card { by, what, link, reported_accuracy } })
    }
}

/// Judges somebody's model and puts its line in place.
///
/// # Errors
///
/// The subject is none of the suite's or is not made yet, or the file cannot be read.
pub fn add(worker: &Worker, suspect: &Path, card: &AttackCard) -> Result<Line, SuiteError> {
    let is_meant = |task: &crate::SubjectTask| task.name == card.subject && task.seed == card.seed;
    let refused = |reason: &str| SuiteError::Subject { subject: card.subject.clone(), reason: reason.to_owned() };
    let index = worker.plan.subjects.iter().position(is_meant);
    let index = index.ok_or_else(|| {
        let all: Vec<String> =
            worker.plan.subjects.iter().map(|task| format!("'{}' {}", task.name, task.seed)).collect();
        refused(&format!("the suite has none of this name with seed {}, expected one of {}", card.seed, all.join(", ")))
    })?;
    let task = &worker.plan.subjects[index];
    if !worker.has_subject(task) {
        return Err(refused("is not made yet: run the suite first"));
    }
    let victim = worker.victim(index)?;
    let file = ModelFile::open(suspect)?;
    let mut judged = judge(victim, &file, None, worker.data, worker.suite.threshold)?;
    judged.flags.insert(Flag::MadeElsewhere);
    let digest = file_digest(suspect)?;
    let id = Id::of(&json!({
        "added": digest, "subject": task.id.as_str(), "attack": card.attack, "by": card.card.by,
        "what": card.card.what, "parameters": card.parameters, "seed": card.seed,
    }));
    let strength = card.parameters.iter().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join(" ");
    let run = RunTask {
        id: id.clone(),
        subject: index,
        label: card.attack.clone(),
        strength,
        steps: Vec::new(),
        seed: 0,
        knows: Vec::new(),
        others: Vec::new(),
    };
    let mut line = worker.line(&run, &victim.subject, judged, digest, card.seconds);
    let settings = card.parameters.iter().map(|(name, text)| (name.clone(), json!(text))).collect();
    line.attack = vec![Step { name: card.attack.clone(), settings }];
    line.card = Some(card.card.clone());
    worker.store.put_line(&id, &line)?;
    Ok(line)
}
