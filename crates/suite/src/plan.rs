//! Plans: a suite as single tasks, each with the digest of all that it depends on.

use std::collections::BTreeMap;
use std::path::Path;

use counterfoil_ticket::Digest;
use counterfoil_train::data::{Dataset, Split};
use itertools::Itertools;
use serde_json::{Value, json};

use crate::spec::{AttackSpec, FOUND, Files, MAX_RUNS, Origin, Recipe, Strength};
use crate::store::{Id, file_digest};
use crate::{Suite, SuiteError};

/// A subject to be made, or files to be read.
#[derive(Debug, Clone)]
pub struct SubjectTask {
    /// Digest of what it depends on.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// What its owner's key follows from: licensees' copies of one ticket have one owner.
    pub owner: Id,
    /// Where it comes from.
    pub source: SubjectSource,
}

/// Where a subject comes from.
#[derive(Debug, Clone)]
pub enum SubjectSource {
    /// The suite makes it.
    Made(Recipe),
    /// Somebody's files.
    Files(Files),
}

/// One attack of a run, at one strength.
#[derive(Debug, Clone)]
pub struct StepTask {
    /// Digest of what the model after it depends on.
    pub id: Id,
    /// The attack, or the program's name.
    pub attack: String,
    /// Its strength.
    pub strength: Strength,
}

/// One run: a subject, attacked step by step, judged.
#[derive(Debug, Clone)]
pub struct RunTask {
    /// Digest of what its line depends on.
    pub id: Id,
    /// Index of its subject among the plan's.
    pub subject: usize,
    /// What the attack is called.
    pub label: String,
    /// Settings that differ from the defaults.
    pub strength: String,
    /// The steps.
    pub steps: Vec<StepTask>,
    /// The attack's seed.
    pub seed: u64,
    /// Sealed panels that the attacker was shown.
    pub knows: Vec<u64>,
    /// Other models that he has: indices of subjects, `None` for the subject's own ticket before it was stamped.
    pub others: Vec<Option<usize>>,
}

/// A suite as tasks.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Subjects; runs come after theirs.
    pub subjects: Vec<SubjectTask>,
    /// Runs.
    pub runs: Vec<RunTask>,
}

/// What all tasks depend on.
const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Plan {
    /// The tasks of a suite on these data.
    ///
    /// # Errors
    ///
    /// A subject's file cannot be read, or there are too many runs.
    pub fn new(suite: &Suite, data: &Dataset) -> Result<Self, SuiteError> {
        let digest = data_digest(data);
        let mut subjects = Vec::new();
        let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for spec in &suite.subjects {
            let tasks = match &spec.origin {
                Origin::Made { recipe, seeds } => {
                    seeds.iter().map(|&seed| made(&spec.name, recipe, seed, &digest)).collect()
                }
                Origin::Files(files) => vec![read(&spec.name, files)?],
            };
            by_name.entry(&spec.name).or_default().extend(subjects.len()..subjects.len() + tasks.len());
            subjects.extend(tasks);
        }
        let mut runs = Vec::new();
        for spec in &suite.attacks {
            for (index, subject) in subjects.iter().enumerate() {
                let is_asked = spec.subjects.is_empty() || spec.subjects.contains(&subject.name);
                if is_asked {
                    let others = others(spec, index, &subjects, &by_name);
                    runs.extend(runs_of(spec, index, &subjects, &others, (&digest, suite.threshold)));
                }
                if runs.len() > MAX_RUNS {
                    let what = format!("makes more than {MAX_RUNS} runs");
                    return Err(SuiteError::Subject { subject: subject.name.clone(), reason: what });
                }
            }
        }
        // A strength that is there twice is one run.
        let mut seen = std::collections::BTreeSet::new();
        runs.retain(|run| seen.insert(run.id.clone()));
        // One seed after the other: a suite that is stopped has some of everything.
        runs.sort_by_key(|run| subjects[run.subject].seed);
        Ok(Self { subjects, runs })
    }
}

fn made(name: &str, recipe: &Recipe, seed: u64, data: &str) -> SubjectTask {
    let id = |recipe: &Recipe| Id::of(&json!({ "subject": recipe, "seed": seed, "data": data, "version": VERSION }));
    // What comes after the stamp is the licensee's.
    let stamped = || Recipe { licensee: None, reinforce: true, triggers: true, train_epochs: 1, ..recipe.clone() };
    let owner = if recipe.licensee.is_some() { id(&stamped()) } else { id(recipe) };
    SubjectTask { id: id(recipe), name: name.to_owned(), seed, owner, source: SubjectSource::Made(recipe.clone()) }
}

fn read(name: &str, files: &Files) -> Result<SubjectTask, SuiteError> {
    let mut digests = Vec::new();
    let all = [&files.model, &files.key].into_iter().chain(&files.claim).chain(&files.disclosures);
    for path in all.chain(&files.counterfoil) {
        digests.push(file_digest(path)?);
    }
    let id = Id::of(&json!({ "files": digests, "version": VERSION }));
    Ok(SubjectTask {
        owner: id.clone(),
        id,
        name: name.to_owned(),
        seed: 0,
        source: SubjectSource::Files(files.clone()),
    })
}

/// Subjects that an attacker has beside this one: those of the same seed, or the only one.
fn others(
    spec: &AttackSpec,
    of: usize,
    subjects: &[SubjectTask],
    by_name: &BTreeMap<&str, Vec<usize>>,
) -> Vec<Option<usize>> {
    let same_seed = |name: &String| {
        let all = &by_name[name.as_str()];
        all.iter().copied().find(|&i| subjects[i].seed == subjects[of].seed).unwrap_or(all[0])
    };
    spec.others.iter().map(|name| (name != FOUND).then(|| same_seed(name))).collect()
}

fn runs_of(
    spec: &AttackSpec,
    subject: usize,
    subjects: &[SubjectTask],
    others: &[Option<usize>],
    (data, threshold): (&str, f64),
) -> Vec<RunTask> {
    let stacks: Vec<Vec<&Strength>> = spec.steps.iter().map(|step| &step.strengths).multi_cartesian_product().collect();
    let other_ids: Vec<Value> =
        others.iter().map(|other| other.map_or(json!(FOUND), |i| json!(subjects[i].id.as_str()))).collect();
    let run = |seed: u64, stack: &[&Strength]| {
        let mut steps: Vec<StepTask> = Vec::new();
        for (step, &strength) in spec.steps.iter().zip(stack) {
            let before = steps.last().map_or(subjects[subject].id.as_str(), |step| step.id.as_str());
            let id = Id::of(&json!({
                "before": before, "attack": step.attack, "settings": strength, "seed": seed, "knows": spec.knows,
                "others": other_ids, "data": data, "version": VERSION, "files": programs(strength),
            }));
            steps.push(StepTask { id, attack: step.attack.clone(), strength: strength.clone() });
        }
        let last = steps.last().map_or("", |step| step.id.as_str());
        let changed = steps.iter().map(|step| step.strength.in_words());
        let strengths: Vec<String> = changed.filter(|text| !text.is_empty()).collect();
        RunTask {
            id: Id::of(&json!({
                "of": last, "subject": subjects[subject].name, "label": spec.label, "threshold": threshold,
            })),
            subject,
            label: spec.label.clone(),
            strength: strengths.join(", "),
            steps,
            seed,
            knows: spec.knows.clone(),
            others: others.to_vec(),
        }
    };
    spec.seeds
        .iter()
        .flat_map(|&seed| stacks.iter().map(move |stack| (seed, stack)))
        .map(|(s, stack)| run(s, stack))
        .collect()
}

/// Digests of the files that a program's command names: of its script, where it has one.
fn programs(strength: &Strength) -> Vec<String> {
    let Strength::Program { command, .. } = strength else { return Vec::new() };
    command.iter().filter_map(|word| file_digest(Path::new(word)).ok()).collect()
}

/// What tells data from others: of images and labels of both halves.
fn data_digest(data: &Dataset) -> String {
    let parts = |split: &Split| {
        let labels: Vec<u8> = split.labels().iter().flat_map(|label| label.to_be_bytes()).collect();
        [labels, split.images().to_vec()]
    };
    Digest::of(parts(&data.train).into_iter().chain(parts(&data.test))).to_string()
}
