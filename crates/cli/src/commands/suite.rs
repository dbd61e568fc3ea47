//! `suite`: subjects × attacks × strengths × seeds, and what is left of the mark.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use counterfoil_suite::{AttackCard, Line, Plan, Progress, Slurm, Store, Suite, Worker, add, run_local, run_slurm};
use counterfoil_train::Event;
use counterfoil_train::data::{Dataset, load};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::output::{print, print_json, printable};
use crate::progress::tell;
use crate::{Error, Exit, open};

/// Attack many models in many ways, and see what is left of their marks
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil suite run suites/smoke.toml -o runs
  counterfoil report runs -o report.html")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Run(RunArgs),
    Add(AddArgs),
    Task(TaskArgs),
}

/// Judge a model that somebody else has attacked, and list it with the others
///
/// The card says who, and what was done to which of the suite's subjects: docs/suite.md, "Break it yourself".
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil suite add suites/scaled.toml -o runs --suspect broken.safetensors --card card.toml")]
struct AddArgs {
    /// The suite that made the subject
    suite: PathBuf,
    /// Folder of the results
    #[arg(long, short, value_name = "FOLDER")]
    output: PathBuf,
    /// The attacked model
    #[arg(long, value_name = "FILE")]
    suspect: PathBuf,
    /// What was done to it: a TOML file
    #[arg(long, value_name = "FILE")]
    card: PathBuf,
    /// Print its line as JSON
    #[arg(long)]
    json: bool,
}

/// Do some tasks of a suite: what the jobs of a cluster call
#[derive(clap::Args)]
#[command(hide = true)]
struct TaskArgs {
    /// The suite
    suite: PathBuf,
    /// Folder of the results
    #[arg(long, short, value_name = "FOLDER")]
    output: PathBuf,
    /// Digests of tasks, one a line
    #[arg(long, value_name = "FILE")]
    list: PathBuf,
    /// The first of them, from 0
    #[arg(long, value_name = "N")]
    first: usize,
    /// How many
    #[arg(long, value_name = "N")]
    count: usize,
}

/// What does the runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// This machine
    Local,
    /// A cluster: array jobs through sbatch, in a folder that all nodes see
    Slurm,
}

/// Do the runs of a suite that are not done yet
///
/// Each run is stored under the digest of all that it depends on: what is done is never done again, a run that was stopped
/// goes on, and a changed parameter makes anew only what depends on it. A mark that breaks is a result, not an error.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil suite run suites/smoke.toml -o runs
  counterfoil report runs -o report.html")]
struct RunArgs {
    /// The suite: a TOML file
    suite: PathBuf,
    /// Folder of the results
    #[arg(long, short, value_name = "FOLDER")]
    output: PathBuf,
    /// Runs at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
    /// Where they are done
    #[arg(long, value_enum, default_value = "local")]
    engine: Engine,
    /// An option for sbatch, such as --slurm=--partition=gpu; may be repeated
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    slurm: Vec<String>,
    /// How often runs that were lost with their jobs are submitted
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    attempts: u32,
    /// Seconds between looks at the queue
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    poll: u64,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Exit with 1 if a verdict has fallen
    #[arg(long)]
    fail_if_broken: bool,
    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        match self.command {
            Command::Run(args) => args.run(),
            Command::Add(args) => args.run(),
            Command::Task(args) => args.run(),
        }
    }
}

impl RunArgs {
    fn run(self) -> Result<Exit, Error> {
        let (suite, data, plan) = planned(&self.suite)?;
        if self.dry_run {
            return self.tell(&plan);
        }
        let store = Store::open(&self.output)?;
        let worker = Worker::new(&suite, &data, &plan, &store);
        let shown = Shown::new();
        let jobs = usize::from(self.jobs);
        let failed = match self.engine {
            Engine::Local => run_local(&worker, jobs, &|progress| shown.show(&progress))?,
            Engine::Slurm => run_slurm(&worker, &self.slurm(jobs)?, &|progress| shown.show(&progress))?,
        };
        shown.bar.finish_and_clear();
        let (results, lines) = store.write_results()?;
        let planned: BTreeSet<&str> = plan.runs.iter().map(|run| run.id.as_str()).collect();
        let of_plan: Vec<&Line> = lines.iter().filter(|line| planned.contains(line.id.as_str())).collect();
        let fallen = of_plan.iter().filter(|line| line.has_fallen()).count();
        if self.json {
            print_json(&json!({
                "results": results.display().to_string(), "runs": plan.runs.len(), "done": of_plan.len(), "failed": failed, "fallen": fallen,
            }))?;
        } else {
            let done = of_plan.len();
            let name = results.display();
            print(&format!("{done} of {} runs done, the verdict has fallen in {fallen}: {name}\n", plan.runs.len()))?;
        }
        if failed > 0 {
            return Err(Error::RunsFailed { failed });
        }
        if self.fail_if_broken && fallen > 0 {
            if !self.json {
                print(&fallen_in_words(&of_plan))?;
            }
            return Ok(Exit::NoMatch);
        }
        Ok(Exit::Success)
    }

    /// How to use the cluster; its nodes get whole paths.
    fn slurm(&self, jobs: usize) -> Result<Slurm, Error> {
        let unreadable = |file: &Path| {
            let file = file.to_owned();
            move |source| Error::Unreadable { file, source }
        };
        Ok(Slurm {
            program: std::env::current_exe().map_err(unreadable(Path::new("counterfoil")))?,
            suite: self.suite.canonicalize().map_err(unreadable(&self.suite))?,
            options: self.slurm.clone(),
            jobs,
            attempts: self.attempts,
            poll: Duration::from_secs(self.poll),
        })
    }

    /// Says what would be done.
    fn tell(&self, plan: &Plan) -> Result<Exit, Error> {
        let store = Store::existing(&self.output).ok();
        let is_done = |id| store.as_ref().is_some_and(|store| store.has_line(id));
        let open = plan.runs.iter().filter(|run| !is_done(&run.id)).count();
        if self.json {
            print_json(&json!({ "runs": plan.runs.len(), "open": open }))?;
            return Ok(Exit::Success);
        }
        let mut text = String::new();
        for run in &plan.runs {
            let subject = &plan.subjects[run.subject];
            let done = is_done(&run.id);
            let state = if done { "done" } else { "open" };
            text += &format!(
                "{state}  {} {}: {} {} (seed {})\n",
                subject.name, subject.seed, run.label, run.strength, run.seed
            );
        }
        print(&format!("{text}{} runs, {open} open\n", plan.runs.len()))?;
        Ok(Exit::Success)
    }
}

impl AddArgs {
    fn run(self) -> Result<Exit, Error> {
        let text = open::text(&self.card, "an attack card")?;
        let card = AttackCard::parse(&self.card, &text)?;
        let (suite, data, plan) = planned(&self.suite)?;
        let store = Store::existing(&self.output)?;
        let line = add(&Worker::new(&suite, &data, &plan, &store), &self.suspect, &card)?;
        let (results, _) = store.write_results()?;
        if self.json {
            print_json(&line)?;
        } else {
            let lost = line.accuracy.points_lost();
            let lost = lost.map_or("not asked".to_owned(), |(points, _)| format!("{points:.1} points lost"));
            print(&format!("{}: {}, {lost}: {}\n", line.label, line.verdict, results.display()))?;
        }
        Ok(Exit::Success)
    }
}

impl TaskArgs {
    fn run(self) -> Result<Exit, Error> {
        let (suite, data, plan) = planned(&self.suite)?;
        let store = Store::existing(&self.output)?;
        let list = open::text(&self.list, "a list of tasks")?;
        let ids: Vec<&str> = list.lines().skip(self.first).take(self.count).collect();
        Worker::new(&suite, &data, &plan, &store).do_listed(&ids)?;
        Ok(Exit::Success)
    }
}

/// A suite, its data and its tasks.
fn planned(file: &Path) -> Result<(Suite, Dataset, Plan), Error> {
    let text = open::text(file, "a suite")?;
    let suite = Suite::parse(file, &text)?;
    let data = load(&suite.data, &suite.options)?;
    let plan = Plan::new(&suite, &data)?;
    Ok((suite, data, plan))
}

fn fallen_in_words(lines: &[&Line]) -> String {
    let fallen = lines.iter().filter(|line| line.has_fallen());
    fallen.map(|line| format!("{} {}: {} {}\n", line.verdict, line.subject, line.label, line.strength)).collect()
}

/// Progress: a bar on a terminal, plain lines otherwise.
struct Shown {
    bar: ProgressBar,
    plain: bool,
    /// Epochs told so far are too many to be told one by one.
    last: Mutex<String>,
}

impl Shown {
    fn new() -> Self {
        let plain = !std::io::stderr().is_terminal();
        let bar = if plain { ProgressBar::hidden() } else { ProgressBar::new(1) };
        let style = ProgressStyle::with_template("suite {wide_bar} {pos} of {len} {msg} {eta} left");
        bar.set_style(style.expect("the template is valid"));
        Self { bar, plain, last: Mutex::default() }
    }

    fn show(&self, progress: &Progress) {
        match progress {
            Progress::Planned { open, done } => {
                self.bar.set_length(*open as u64);
                self.line(&format!("{open} runs to do, {done} done before"));
            }
            Progress::Making { subject } => {
                self.bar.set_message(subject.clone());
                self.line(&format!("making {subject}"));
            }
            Progress::Event(Event::Epoch { round, rounds, epoch, epochs, .. }) => {
                let place = if *rounds > 0 { format!("round {} of {rounds}, ", round + 1) } else { String::new() };
                self.bar.set_message(format!("{place}epoch {epoch} of {epochs}"));
            }
            Progress::Event(_) => {}
            Progress::Done { run, done, of } => {
                self.bar.set_position(*done as u64);
                self.bar.set_message(run.clone());
                self.line(&format!("{done} of {of}: {run}"));
            }
            Progress::Failed { run, reason } => {
                let text = format!("failed: {run}: {reason}");
                self.bar.println(&*printable(&text));
                self.line(&text);
            }
        }
    }

    fn line(&self, text: &str) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.plain && *last != text {
            tell(text);
            text.clone_into(&mut last);
        }
    }
}
