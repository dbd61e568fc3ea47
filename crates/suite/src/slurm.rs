//! The engine of a cluster: array jobs of Slurm, first the subjects', then the runs' behind them.
//!
//! Each element of an array does a few tasks by `counterfoil suite task`, in the suite's folder, which all nodes must see.
//! Whether a task is done is what that folder says, not Slurm: jobs that are lost with their node, preempted or killed leave
//! tasks open, and what is open is submitted again. `sbatch`, `squeue` and `scontrol` are called as programs (Slurm 20.11
//! or later; its C library is not linked, since its version would have to be the cluster's).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::SuiteError;
use crate::local::Progress;
use crate::run::Worker;
use crate::store::{Id, io, read_json, write};

/// Most elements of one array; Slurm's own default limit is 1001.
const MAX_ARRAY: usize = 1000;

/// How to use the cluster.
#[derive(Debug, Clone)]
pub struct Slurm {
    /// The program that does tasks, and the suite's file, as the nodes see them.
    pub program: PathBuf,
    /// The suite's file.
    pub suite: PathBuf,
    /// More options of `sbatch`: partition, account, time.
    pub options: Vec<String>,
    /// Most tasks at a time.
    pub jobs: usize,
    /// How often what is left open is submitted.
    pub attempts: u32,
    /// Time between looks at the queue.
    pub poll: Duration,
}

/// Jobs that were submitted, kept in the folder so that a driver that was stopped finds them again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Submitted {
    jobs: Vec<String>,
}

const RECORD: &str = "slurm.json";

/// Does all open tasks on the cluster. Gives how many runs are open still after the last attempt.
///
/// # Errors
///
/// Slurm's programs are not there or refuse, or a file cannot be written.
pub fn run_slurm(worker: &Worker, slurm: &Slurm, on_progress: &dyn Fn(Progress)) -> Result<usize, SuiteError> {
    let record = worker.store.folder().join("work").join(RECORD);
    let open = worker.open_runs();
    let of = open.len();
    on_progress(Progress::Planned { open: of, done: worker.plan.runs.len() - of });
    if record.is_file() {
        let submitted: Submitted = read_json(&record, "a record of submitted jobs")?;
        wait(worker, slurm, &submitted.jobs, of, on_progress)?;
    }
    for _ in 0..slurm.attempts {
        let open = worker.open_runs();
        if open.is_empty() {
            break;
        }
        let jobs = submit(worker, slurm, &open, &record)?;
        wait(worker, slurm, &jobs, of, on_progress)?;
    }
    match std::fs::remove_file(&record) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(&record, "removed")(error)),
        _ => {}
    }
    let left = worker.open_runs();
    for &index in &left {
        let run = &worker.plan.runs[index];
        let failed = |id: &Id| std::fs::read_to_string(worker.store.work(id, "failed"));
        // Without its subject, a run only says that it is not there.
        let subject = &worker.plan.subjects[run.subject];
        let of_subject = if worker.has_subject(subject) { failed(&run.id) } else { failed(&subject.id) };
        let reason = of_subject.or_else(|_| failed(&run.id));
        let reason = reason.unwrap_or_else(|_| "its jobs were lost; see the logs in the folder 'work'".to_owned());
        on_progress(Progress::Failed { run: worker.name_of(run), reason: reason.trim().to_owned() });
    }
    Ok(left.len())
}

/// Submits the open runs, and before them the subjects that they need.
fn submit(worker: &Worker, slurm: &Slurm, open: &[usize], record: &Path) -> Result<Vec<String>, SuiteError> {
    let subjects = worker.subjects_to_make(open);
    let mut submitted = Submitted::default();
    let ids = |of: &dyn Fn(usize) -> Id, tasks: &[usize]| tasks.iter().map(|&i| of(i)).collect::<Vec<_>>();
    let made = array(slurm, worker, "subjects", &ids(&|i| worker.plan.subjects[i].id.clone(), &subjects), None)?;
    submitted.jobs.extend(made.clone());
    // At once: if the driver is killed before the second array is submitted, the first one is not forgotten.
    save(record, &submitted)?;
    let runs = array(slurm, worker, "runs", &ids(&|i| worker.plan.runs[i].id.clone(), open), made.as_deref())?;
    submitted.jobs.extend(runs);
    save(record, &submitted)?;
    Ok(submitted.jobs)
}

fn save(record: &Path, submitted: &Submitted) -> Result<(), SuiteError> {
    write(record, serde_json::json!(submitted).to_string().as_bytes())
}

/// Submits one array, behind another one if there is one. Gives its job's number.
fn array(
    slurm: &Slurm,
    worker: &Worker,
    what: &str,
    ids: &[Id],
    behind: Option<&str>,
) -> Result<Option<String>, SuiteError> {
    if ids.is_empty() {
        return Ok(None);
    }
    let folder = worker.store.folder().join("work");
    let list: Vec<&str> = ids.iter().map(Id::as_str).collect();
    let key = Id::of(&serde_json::json!(list));
    let (tasks, script) =
        (folder.join(format!("{what}-{}.txt", &key.as_str()[..12])), folder.join(format!("{what}.sh")));
    write(&tasks, format!("{}\n", list.join("\n")).as_bytes())?;
    let each = ids.len().div_ceil(MAX_ARRAY);
    let elements = ids.len().div_ceil(each);
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    let text = format!(
        "#!/bin/sh\nexec {} suite task {} -o {} --list {} --first $((SLURM_ARRAY_TASK_ID * {each})) --count {each}\n",
        quoted(&slurm.program),
        quoted(&slurm.suite),
        quoted(worker.store.folder()),
        quoted(&tasks),
    );
    write(&script, text.as_bytes())?;
    let mut command = Command::new("sbatch");
    command.args(["--parsable", "--requeue", "--job-name", &format!("counterfoil-{what}")]);
    command.arg(format!("--array=0-{}%{}", elements - 1, slurm.jobs.max(1)));
    command.arg("--output").arg(folder.join(format!("{what}-%A_%a.log")));
    // Afterany: a subject that fails is told by its runs.
    command.args(behind.map(|job| format!("--dependency=afterany:{job}")));
    let text = call(command.args(&slurm.options).arg(&script))?;
    let job = text.trim().split(';').next().unwrap_or_default();
    if job.is_empty() || !job.bytes().all(|b| b.is_ascii_digit()) {
        return Err(SuiteError::Slurm {
            program: "sbatch",
            reason: format!("gave '{}', expected a job's number", text.trim()),
        });
    }
    Ok(Some(job.to_owned()))
}

/// Waits until none of the jobs is in the queue any more.
fn wait(
    worker: &Worker,
    slurm: &Slurm,
    jobs: &[String],
    of: usize,
    on_progress: &dyn Fn(Progress),
) -> Result<(), SuiteError> {
    let mut last = usize::MAX;
    while !jobs.is_empty() && in_queue(jobs)? {
        let open = worker.open_runs().len();
        if open != last {
            on_progress(Progress::Done {
                run: format!("{} jobs in the queue", jobs.len()),
                done: of - open.min(of),
                of,
            });
            last = open;
        }
        std::thread::sleep(slurm.poll);
    }
    Ok(())
}

/// Whether one of the jobs is waiting or running. Jobs that have left the controller's memory are not.
fn in_queue(jobs: &[String]) -> Result<bool, SuiteError> {
    match call(Command::new("squeue").args(["--noheader", "--format=%T", "--jobs", &jobs.join(",")])) {
        Ok(text) => Ok(!text.trim().is_empty()),
        Err(SuiteError::Slurm { reason, .. }) if reason.contains("Invalid job id") => match jobs {
            // One unknown number hides the others.
            [_] => Ok(false),
            _ => Ok(jobs
                .iter()
                .map(|job| in_queue(std::slice::from_ref(job)))
                .collect::<Result<Vec<_>, _>>()?
                .contains(&true)),
        },
        Err(error) => Err(error),
    }
}

fn call(command: &mut Command) -> Result<String, SuiteError> {
    let program = if command.get_program() == "sbatch" { "sbatch" } else { "squeue" };
    let output = command.output().map_err(|error| SuiteError::Slurm { program, reason: error.to_string() })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(SuiteError::Slurm { program, reason })
}
