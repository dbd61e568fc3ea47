//! One task: a subject made, or a run from its subject to its line.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Instant;

use counterfoil_attack::{AttackError, Attacked, Endpoint, Means, attack, handed_on, stolen};
use counterfoil_ticket::{Model, ModelFile};
use counterfoil_train::data::Dataset;
use counterfoil_train::{DeviceChoice, Event, TrainError};
use counterfoil_verify::{Report, Verdict};
use serde_json::json;

use crate::error::sentence;
use crate::judge::{Judged, Victim, evidence, judge};
use crate::line::{Flag, Line, Step};
use crate::marks::external::with_files;
use crate::plan::{Plan, RunTask, SubjectSource, SubjectTask};
use crate::spec::Strength;
use crate::store::{Store, file_digest, write};
use crate::subject::make;
use crate::{Subject, Suite, SuiteError};

/// What tasks are done with.
pub struct Worker<'a> {
    /// The suite.
    pub suite: &'a Suite,
    /// Its data.
    pub data: &'a Dataset,
    /// Its tasks.
    pub plan: &'a Plan,
    /// Where results go.
    pub store: &'a Store,
    /// Subjects by index, read and asked when they are first attacked.
    victims: Vec<OnceLock<Victim>>,
}

impl<'a> Worker<'a> {
    /// For the tasks of a suite.
    pub fn new(suite: &'a Suite, data: &'a Dataset, plan: &'a Plan, store: &'a Store) -> Self {
        let victims = plan.subjects.iter().map(|_| OnceLock::new()).collect();
        Self { suite, data, plan, store, victims }
    }

    /// Runs that have no line yet.
    pub(crate) fn open_runs(&self) -> Vec<usize> {
        (0..self.plan.runs.len()).filter(|&index| !self.store.has_line(&self.plan.runs[index].id)).collect()
    }

    /// Whether a subject is there.
    pub fn has_subject(&self, task: &SubjectTask) -> bool {
        matches!(task.source, SubjectSource::Files(_)) || self.store.subject(&task.id).is_dir()
    }

    /// Makes a subject, unless it is there.
    ///
    /// # Errors
    ///
    /// It cannot be found, stamped or trained as its recipe says.
    pub fn make_subject(&self, index: usize, on_event: &mut dyn FnMut(Event)) -> Result<(), SuiteError> {
        let task = &self.plan.subjects[index];
        let SubjectSource::Made(recipe) = &task.source else { return Ok(()) };
        if self.has_subject(task) {
            return Ok(());
        }
        make(recipe, task, (self.store, self.data), on_event).map_err(|error| SuiteError::Subject {
            subject: format!("{} (seed {})", task.name, task.seed),
            reason: error.to_string(),
        })
    }

    /// Subjects that these runs need and that are not there.
    pub(crate) fn subjects_to_make(&self, runs: &[usize]) -> Vec<usize> {
        let of = |&index: &usize| {
            let run = &self.plan.runs[index];
            std::iter::once(run.subject).chain(run.others.iter().flatten().copied())
        };
        let needed: BTreeSet<usize> = runs.iter().flat_map(of).collect();
        needed.into_iter().filter(|&index| !self.has_subject(&self.plan.subjects[index])).collect()
    }

    /// A run in words.
    pub(crate) fn name_of(&self, run: &RunTask) -> String {
        let subject = &self.plan.subjects[run.subject];
        format!("{} {} {}", subject.name, run.label, run.strength).trim().to_owned()
    }

    /// Does the tasks of these digests, subjects or runs. What fails leaves its reason in the folder, and the others go on.
    ///
    /// # Errors
    ///
    /// A digest is none of the plan's, or a reason cannot be written.
    pub fn do_listed(&self, ids: &[&str]) -> Result<(), SuiteError> {
        for &id in ids {
            let subject = self.plan.subjects.iter().position(|task| task.id.as_str() == id);
            let run = self.plan.runs.iter().find(|task| task.id.as_str() == id);
            let (task, result) = match (subject, run) {
                (Some(index), _) => (&self.plan.subjects[index].id, self.make_subject(index, &mut |_| ())),
                (_, Some(run)) => (&run.id, self.run(run, &mut |_| ())),
                _ => {
                    let what = format!("has no task {id}, expected the suite that the list was made for");
                    return Err(SuiteError::Folder { folder: self.store.folder().to_owned(), what });
                }
            };
            if let Err(error) = result {
                write(&self.store.work(task, "failed"), sentence(&error).as_bytes())?;
            }
        }
        Ok(())
    }

    /// A subject, read and asked once.
    pub(crate) fn victim(&self, index: usize) -> Result<&Victim, SuiteError> {
        let place = &self.victims[index];
        if let Some(victim) = place.get() {
            return Ok(victim);
        }
        let victim = Victim::new(self.subject(index)?, self.data)?;
        Ok(place.get_or_init(|| victim))
    }

    fn subject(&self, index: usize) -> Result<Subject, SuiteError> {
        let task = &self.plan.subjects[index];
        match &task.source {
            SubjectSource::Files(files) => Subject::open(&task.name, files),
            SubjectSource::Made(recipe) => Subject::load(&task.name, task.seed, &self.store.subject(&task.id), recipe),
        }
    }

    /// Does a run and puts its line in place, unless that is there. Its subject must be.
    ///
    /// # Errors
    ///
    /// A file cannot be read or written, or the attacker lacks something. A training that diverges is a result.
    pub fn run(&self, task: &RunTask, on_event: &mut dyn FnMut(Event)) -> Result<(), SuiteError> {
        if self.store.has_line(&task.id) {
            return Ok(());
        }
        let victim = self.victim(task.subject)?;
        let subject = &victim.subject;
        let mut seconds = 0.0;
        let left = self.attack(task, victim, &mut seconds, on_event);
        let (file, endpoint, diverged) = match left {
            Ok((file, endpoint)) => (file, endpoint, false),
            // There is no model to judge: the thief is left with what he had.
            Err(SuiteError::Attack(error)) if is_divergence(&error) => (ModelFile::open(&subject.file)?, None, true),
            Err(error) => return Err(error),
        };
        let output = file_digest(file.path())?;
        let mut judged = judge(victim, &file, endpoint, self.data, self.suite.threshold)?;
        if diverged {
            judged.flags = [Flag::TrainingDiverged].into();
        }
        let line = self.line(task, subject, judged, output, seconds);
        self.store.put_line(&task.id, &line)
    }

    /// The model after the last step, and what it is served behind. To `seconds` is added what each step takes, or took
    /// when it was made.
    fn attack(
        &self,
        task: &RunTask,
        victim: &Victim,
        seconds: &mut f64,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(ModelFile, Option<Box<dyn Endpoint>>), SuiteError> {
        let subject = &victim.subject;
        let done = task.steps.iter().rposition(|step| self.store.model(&step.id).is_file());
        let mut file = match done {
            Some(last) => ModelFile::open(&self.store.model(&task.steps[last].id))?,
            None => ModelFile::open(&subject.file)?,
        };
        let mut model = match done {
            Some(_) => file.read()?,
            None => victim.model.clone(),
        };
        let (made, steps) = task.steps.split_at(done.map_or(0, |last| last + 1));
        for step in made {
            *seconds += self.store.seconds(&step.id)?;
        }
        if steps.is_empty() {
            return Ok((file, None));
        }
        let mut means = Means {
            seed: task.seed,
            data: Some(self.data),
            augmentation: self.data.augmentation,
            insight: Some(subject.insight(&task.knows)),
            others: self.others(task, subject)?,
            rewound: subject.found.as_deref().map(|path| ModelFile::open(path)?.read_stored()).transpose()?,
            device: DeviceChoice::Cpu,
            on_event,
        };
        for step in steps {
            let started = Instant::now();
            let attacked = match &step.strength {
                Strength::Known { settings, .. } => {
                    attack(&step.attack)?.run(stolen(model), settings, &mut means).map_err(SuiteError::from)
                }
                Strength::Program { command, settings } => {
                    let attacked = with_files(command, "attack", task.seed, &json!(settings), &[("model", &model)]);
                    let failed = |reason| SuiteError::Program { name: step.attack.clone(), reason };
                    let (_, left) = attacked.map_err(failed)?;
                    let left = left.ok_or_else(|| failed("has written no output".to_owned()))?;
                    Ok(Attacked::Model(Model { description: model.description, ..left }))
                }
            };
            let took = started.elapsed().as_secs_f64();
            *seconds += took;
            match attacked? {
                Attacked::Model(attacked) => {
                    model = handed_on(attacked);
                    file = self.store.put_model(&step.id, &model, took)?;
                }
                // A suite has these last in a stack.
                Attacked::Served(served) => return Ok((file, Some(served))),
            }
        }
        Ok((file, None))
    }

    fn others(&self, task: &RunTask, subject: &Subject) -> Result<Vec<Model>, SuiteError> {
        let other = |other: &Option<usize>| match (other, &subject.found) {
            (Some(index), _) => crate::subject::model_of(&self.subject(*index)?),
            (None, Some(found)) => Ok(ModelFile::open(found)?.read()?),
            (None, None) => Err(SuiteError::Subject {
                subject: subject.name.clone(),
                reason: "its ticket before it was stamped is asked for, and the suite has not found it".to_owned(),
            }),
        };
        task.others.iter().map(|index| Ok(stolen(other(index)?))).collect()
    }

    pub(crate) fn line(&self, task: &RunTask, subject: &Subject, judged: Judged, output: String, seconds: f64) -> Line {
        let Judged { accuracy, kept, turnover, report, others, flags } = judged;
        let step = |step: &crate::plan::StepTask| Step {
            name: step.attack.clone(),
            settings: match &step.strength {
                Strength::Known { settings, .. } => {
                    settings.values().iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
                }
                Strength::Program { settings, .. } => {
                    settings.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
                }
            },
        };
        Line {
            id: task.id.as_str().to_owned(),
            suite: self.suite.name.clone(),
            subject: subject.name.clone(),
            subject_seed: subject.seed,
            input: subject.digest.clone(),
            output,
            label: task.label.clone(),
            attack: task.steps.iter().map(step).collect(),
            strength: task.strength.clone(),
            seed: task.seed,
            knows: task.knows.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device: "cpu".to_owned(),
            seconds,
            cost: subject.train_seconds.map(|victim| seconds / victim),
            accuracy,
            kept,
            turnover,
            log2_p: evidence(&report),
            tests: report.tests.iter().map(|test| json!(test)).collect(),
            others,
            verdict: report.verdict.name().to_owned(),
            decided_by: decided_by(&report),
            threshold: self.suite.threshold,
            flags,
            card: None,
        }
    }
}

/// Reading and level of the test that a verdict for the owner rests on.
fn decided_by(report: &Report) -> Option<String> {
    let found = matches!(report.verdict, Verdict::Proven | Verdict::Marked);
    let test = &report.tests[report.decided_by.filter(|_| found)?];
    Some(test.reading.clone().unwrap_or_else(|| "triggers".to_owned()))
}

fn is_divergence(error: &AttackError) -> bool {
    matches!(error, AttackError::Train(TrainError::Diverged { .. } | TrainError::NotFinite { .. }))
}
