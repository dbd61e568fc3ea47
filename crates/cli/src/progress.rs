//! Progress of long work: a bar with the time left on a terminal, plain lines otherwise, JSON lines in a log.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use counterfoil_ticket::{Carrier, ModelFile};
use counterfoil_train::Event;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::Error;
use crate::output::printable;

/// Units of the bar in an epoch.
const FINE: u64 = 1000;

/// Longest time without a plain line.
const SILENCE: Duration = Duration::from_secs(30);

/// Shows how far a run has come, and writes its log.
pub(crate) struct Progress {
    bar: ProgressBar,
    plain: bool,
    started: Instant,
    /// Epochs of the whole run, and of its first round and the later ones.
    epochs: u64,
    rounds: Rounds,
    /// Whether the number of rounds is estimated anew with each.
    estimated: bool,
    done: u64,
    /// Epochs done before a resumed run went on.
    resumed: u64,
    /// When the last plain line was written.
    told: Instant,
    log: Option<(PathBuf, File)>,
}

/// How a run's epochs divide.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    /// Number of rounds, at least 1.
    pub(crate) count: u32,
    /// Epochs of the first round.
    pub(crate) first: u32,
    /// Epoch that later rounds begin at.
    pub(crate) rewind: u32,
}

impl Rounds {
    /// Epochs done by the end of this epoch of this round (from 0).
    fn position(self, round: u32, epoch: u32) -> u64 {
        if round == 0 {
            return u64::from(epoch);
        }
        let later = u64::from(self.first - self.rewind);
        u64::from(self.first) + u64::from(round - 1) * later + u64::from(epoch.saturating_sub(self.rewind))
    }
}

impl Progress {
    /// Progress of a run; the log is appended to.
    pub(crate) fn new(label: &'static str, rounds: Rounds, log: Option<&Path>) -> Result<Self, Error> {
        let open = |path: &Path| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.map(|file| (path.to_owned(), file)).map_err(|source| unwritable(path, source))
        };
        let epochs = rounds.position(rounds.count - 1, rounds.first);
        let plain = !std::io::stderr().is_terminal();
        let bar = if plain { ProgressBar::hidden() } else { ProgressBar::new(epochs * FINE) };
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {percent} % {msg} {eta} left");
        bar.set_style(style.expect("the template is valid"));
        bar.set_prefix(label);
        let log = log.map(open).transpose()?;
        let now = Instant::now();
        Ok(Self { bar, plain, started: now, epochs, rounds, estimated: false, done: 0, resumed: 0, told: now, log })
    }

    /// Of a run whose rounds are estimated, anew with each.
    pub(crate) fn estimated(self, estimated: bool) -> Self {
        Self { estimated, ..self }
    }

    /// Takes one event of the run.
    pub(crate) fn event(&mut self, event: &Event) -> Result<(), Error> {
        match event {
            Event::Batch { done, of } => {
                let position = self.done * FINE + FINE * *done as u64 / (*of).max(1) as u64;
                self.bar.set_position(position);
                if self.told.elapsed() >= SILENCE {
                    self.line(&format!("batch {done} of {of}, {} left", self.time_left(position)));
                }
                return Ok(());
            }
            Event::Resumed { round, epoch } => {
                self.done = self.rounds.position(*round, *epoch);
                self.resumed = self.done;
                self.bar.set_position(self.done * FINE);
                self.line(&format!("goes on after epoch {epoch} of round {}", round + 1));
            }
            Event::Epoch { round, rounds, epoch, epochs, loss } => {
                self.done = self.rounds.position(*round, *epoch);
                if self.estimated {
                    self.epochs = self.rounds.position(rounds.saturating_sub(1), self.rounds.first);
                    self.bar.set_length(self.epochs * FINE);
                }
                let about = self.about();
                let place =
                    if *rounds > 0 { format!("round {} of {about}{rounds}, ", round + 1) } else { String::new() };
                let line = format!("{place}epoch {epoch} of {epochs}: loss {loss:.4}");
                self.bar.set_message(line.clone());
                self.line(&format!("{line}, {} left", self.time_left(self.done * FINE)));
            }
            Event::Pruned { round, rounds, kept, of } => {
                let about = self.about();
                self.line(&format!("round {round} of {about}{rounds} pruned: {kept} of {of} weights kept"));
            }
        }
        self.record(event)
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }

    /// What goes before a number of rounds.
    fn about(&self) -> &'static str {
        if self.estimated { "about " } else { "" }
    }

    fn line(&mut self, text: &str) {
        self.told = Instant::now();
        if self.plain {
            tell(text);
        }
    }

    /// Time that is left at this position of the bar.
    fn time_left(&self, position: u64) -> String {
        let (before, all) = (self.resumed * FINE, self.epochs * FINE);
        time_left(self.started, position.saturating_sub(before), all.saturating_sub(position))
    }

    fn record(&mut self, event: &Event) -> Result<(), Error> {
        let Some((path, file)) = &mut self.log else { return Ok(()) };
        let mut line = serde_json::to_value(event).expect("an event is numbers and names");
        line["seconds"] = json!(self.started.elapsed().as_secs_f64());
        writeln!(file, "{line}").map_err(|source| unwritable(path, source))
    }
}

/// A plain line of progress. It is worth less than the work: a closed standard error does not stop that.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable(text));
}

/// How long the rest takes, if it goes on as it has since it was started.
fn time_left(started: Instant, done: u64, left: u64) -> String {
    match (started.elapsed().as_secs_f64() / done.max(1) as f64 * left as f64) as u64 {
        s @ 0..=119 => format!("{s} s"),
        s @ 120..=7199 => format!("{} min", s / 60),
        s => format!("{:.1} h", s as f64 / 3600.0),
    }
}

/// Places from which on reading them takes more than seconds.
const MANY: u64 = 500_000;

/// Progress of reading places, layer by layer.
pub(crate) struct Places {
    bar: ProgressBar,
    is_plain: bool,
    started: Instant,
    of: u64,
}

impl Places {
    /// A bar on a terminal, otherwise lines if there are many of them.
    pub(crate) fn new(of: u64) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new(of) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("read {wide_bar} {percent} % {msg} {eta} left");
        bar.set_style(style.expect("the template is valid"));
        bar.tick();
        Self { bar, is_plain: !is_terminal && of >= MANY, started: Instant::now(), of }
    }

    /// So many are read, the last ones of this layer.
    pub(crate) fn read(&self, done: u64, layer: &str) {
        self.bar.set_position(done);
        self.bar.set_message(printable(layer).into_owned());
        if self.is_plain {
            let left = time_left(self.started, done, self.of.saturating_sub(done));
            tell(&format!("{layer}: {done} of {} places, {left} left", self.of));
        }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Positions from which on what is done to a model at once takes more than seconds.
const LARGE: usize = 4_000_000;

/// Shows that something is being done whose end cannot be foretold; until it is dropped.
pub(crate) struct Waiting(ProgressBar);

impl Waiting {
    /// A spinner with `doing` on a terminal, otherwise the line `told` if one of the models, whose carriers are given,
    /// is large enough to wait for.
    pub(crate) fn start(doing: &str, told: &str, models: impl IntoIterator<Item = Vec<Carrier>>) -> Self {
        let size = |carriers: Vec<Carrier>| carriers.iter().map(|carrier| carrier.shape.size()).sum::<usize>();
        let is_large = models.into_iter().map(size).max().is_some_and(|size| size >= LARGE);
        Self::told(doing, is_large.then_some(told))
    }

    /// A spinner with `doing` on a terminal, otherwise the line `told`, if there is one.
    pub(crate) fn told(doing: &str, told: Option<&str>) -> Self {
        if !std::io::stderr().is_terminal() {
            told.into_iter().for_each(tell);
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
        let bar = ProgressBar::new_spinner().with_style(style.expect("the template is valid"));
        bar.set_message(doing.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// That channels are being aligned.
    pub(crate) fn aligning<'a>(models: impl IntoIterator<Item = &'a ModelFile>) -> Self {
        let told = "channels are aligned if the mark is not in place, which takes minutes in large networks";
        Self::start("aligning channels", told, models.into_iter().map(ModelFile::carriers))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn unwritable(path: &Path, source: std::io::Error) -> Error {
    Error::Write(counterfoil_ticket::WriteError::Io { file: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_rounds_begin_at_the_rewinding_epoch() {
        let rounds = Rounds { count: 3, first: 10, rewind: 2 };
        assert_eq!(rounds.position(0, 10), 10);
        assert_eq!(rounds.position(1, 2), 10);
        assert_eq!(rounds.position(2, 10), 26);
    }
}
