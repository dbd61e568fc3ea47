//! The engine of this machine: threads that take one task after the other.

use std::sync::Mutex;

use counterfoil_train::Event;

use crate::SuiteError;
use crate::error::sentence;
use crate::run::Worker;

/// What an engine tells of its progress.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// So many runs are to be done, and so many are done since an earlier time.
    Planned {
        /// Runs that are open.
        open: usize,
        /// Runs that are done.
        done: usize,
    },
    /// A subject is being made.
    Making {
        /// Its name and seed.
        subject: String,
    },
    /// How that goes on.
    Event(Event),
    /// A run is done.
    Done {
        /// Its subject, attack and strength.
        run: String,
        /// Runs done of those that were open.
        done: usize,
        /// Runs that were open.
        of: usize,
    },
    /// A run cannot be done.
    Failed {
        /// Its subject, attack and strength.
        run: String,
        /// Why.
        reason: String,
    },
}

/// Does all open tasks with so many threads; what fails is told and left out. Gives how many runs failed.
///
/// # Errors
///
/// A subject cannot be made.
pub fn run_local(worker: &Worker, jobs: usize, on_progress: &(dyn Fn(Progress) + Sync)) -> Result<usize, SuiteError> {
    let open = worker.open_runs();
    on_progress(Progress::Planned { open: open.len(), done: worker.plan.runs.len() - open.len() });
    in_parallel(worker.subjects_to_make(&open), jobs, &|index| {
        let task = &worker.plan.subjects[index];
        on_progress(Progress::Making { subject: format!("{} (seed {})", task.name, task.seed) });
        worker.make_subject(index, &mut |event| on_progress(Progress::Event(event)))
    })?;
    let (done, failed) = (Mutex::new(0), Mutex::new(0));
    let of = open.len();
    in_parallel(open, jobs, &|index| {
        let task = &worker.plan.runs[index];
        let run = worker.name_of(task);
        match worker.run(task, &mut |_| ()) {
            Ok(()) => {
                let done = {
                    let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    *done += 1;
                    *done
                };
                on_progress(Progress::Done { run, done, of });
            }
            Err(error) => {
                *failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += 1;
                on_progress(Progress::Failed { run, reason: sentence(&error) });
            }
        }
        Ok(())
    })?;
    Ok(failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Does tasks in their order by several threads; stops at the first error.
fn in_parallel(
    tasks: Vec<usize>,
    jobs: usize,
    task: &(dyn Fn(usize) -> Result<(), SuiteError> + Sync),
) -> Result<(), SuiteError> {
    let queue = Mutex::new(tasks.into_iter());
    let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    let work = || -> Result<(), SuiteError> {
        while let Some(index) = next() {
            if let Err(error) = task(index) {
                // The others finish what they have begun.
                queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).by_ref().for_each(drop);
                return Err(error);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let results: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        results.into_iter().try_for_each(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
