//! Whether a ticket is a winning one: `inspect --is-it-winning`.

use std::fmt;
use std::path::Path;

use counterfoil_mark::masks_of;
use counterfoil_ticket::{Description, Kind, ModelFile};
use counterfoil_train::data::DataSource;
use counterfoil_train::{DeviceChoice, Examples, Trial, Winning, is_it_winning};
use serde::Serialize;

use crate::Error;
use crate::error::warn;
use crate::finder_args::may_rewind;
use crate::network::network_for;
use crate::output::{Align, Table};
use crate::progress::{Progress, Rounds};
use crate::settings::{ImagesArgs, usual_schedule};

/// Trainings that a trial takes.
const TRAININGS: u32 = 9;

/// How to try a ticket.
#[derive(Debug, clap::Args)]
pub(crate) struct WinningArgs {
    /// Train the ticket and its controls, and say whether it is a winning ticket
    #[arg(long, requires = "data", conflicts_with_all = ["plot", "key", "image_size"])]
    is_it_winning: bool,
    /// With --is-it-winning: `digits` (embedded), or a folder, as for `find`
    #[arg(long, value_name = "DATA", requires = "is_it_winning")]
    data: Option<DataSource>,
    #[command(flatten)]
    images: ImagesArgs,
    /// Epochs of each of the nine trainings [default: 182 from 10,000 training images on, else 12]
    #[arg(long, value_name = "N", requires = "is_it_winning", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    epochs: Option<u32>,
    /// Seed of the trainings
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Where to compute: cpu; cuda:N, vulkan or wgpu if built with it
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: DeviceChoice,
}

impl WinningArgs {
    pub(crate) fn is_asked(&self) -> bool {
        self.is_it_winning
    }

    pub(crate) fn run(&self, path: &Path) -> Result<WinningReport, Error> {
        let file = ModelFile::open(path)?;
        let source = self.data.as_ref().ok_or(Error::StrategyWithoutData)?;
        let data = self.images.load(source)?;
        let (ticket, network) = network_for(path, &file, &data, None, self.device)?;
        let head_start = file.description().map_or(HeadStart::Unknown, |_| HeadStart::of(&ticket.description));
        match head_start {
            HeadStart::Trained => {
                warn("the weights were trained before, those of the controls were not: there will be no judgement");
            }
            HeadStart::Unknown => warn("the file does not say whether its weights were trained before"),
            HeadStart::None | HeadStart::Epoch(_) => {}
        }
        let masks = masks_of(&ticket);
        if masks.is_empty() {
            return Err(Error::NoTicket { file: path.to_owned() });
        }
        let examples = Examples::new(&data.train, data.augmentation);
        let schedule = usual_schedule(self.epochs, &data);
        let rounds = Rounds { count: TRAININGS, first: schedule.epochs, rewind: 0 };
        let (seed, device) = (self.seed, network.device().clone());
        let trial = Trial { examples, test: &data.test, schedule, seed, device };
        let mut progress = Progress::new("inspect", rounds, None)?;
        let mut rounds_done = 0;
        let winning = is_it_winning(&ticket, &masks, &network, &trial, &mut |event| {
            // Without a log there is nothing that could fail.
            let _ = progress.event(&in_trial(event, &mut rounds_done));
        })?;
        progress.finish();
        Ok(WinningReport::new(path, head_start, winning))
    }
}

/// What a ticket's weights have learned before it is tried. Its control on fresh weights has nothing of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HeadStart {
    /// Nothing.
    None,
    /// It is rewound to the end of this epoch.
    Epoch(u64),
    /// It is a trained model, or was found in one.
    Trained,
    /// The file does not say.
    Unknown,
}

impl HeadStart {
    /// As the file's history tells.
    fn of(description: &Description) -> Self {
        let found = description.history.iter().find(|entry| entry["command"] == "find");
        let was_pretrained = found.is_some_and(|entry| !entry["pretrained"].is_null());
        if was_pretrained || description.kind == Kind::Model {
            return Self::Trained;
        }
        let rewound = found.filter(|entry| entry["finder"].as_str().is_none_or(may_rewind));
        match rewound.and_then(|entry| entry["aim"]["rewind"].as_u64()) {
            None | Some(0) => Self::None,
            Some(epoch) => Self::Epoch(epoch),
        }
    }
}

/// What a trial shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Judgement {
    /// It beats both controls.
    Winning,
    /// It does not.
    NotShown,
    /// Its head start would win whatever its mask.
    NotJudged,
}

/// An event of one of the trainings, numbered among all of them.
fn in_trial(event: counterfoil_train::Event, done: &mut u32) -> counterfoil_train::Event {
    use counterfoil_train::Event;
    match event {
        Event::Epoch { epoch, epochs, loss, .. } => {
            let round = *done;
            *done += u32::from(epoch == epochs);
            Event::Epoch { round, rounds: TRAININGS, epoch, epochs, loss }
        }
        other => other,
    }
}

/// What `inspect --is-it-winning` prints.
#[derive(Serialize)]
pub(crate) struct WinningReport {
    /// The ticket's file.
    file: String,
    judgement: Judgement,
    head_start: HeadStart,
    beats_reinitialised: bool,
    beats_shuffled: bool,
    stable: bool,
    /// What came out.
    #[serde(flatten)]
    winning: Winning,
}

impl fmt::Display for WinningReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Winning { ticket, reinitialised, shuffled, barrier, .. } = &self.winning;
        let mut table = Table::new([("trained", Align::Left), ("accuracy", Align::Right), ("spread", Align::Right)]);
        for (what, of) in [
            ("the ticket", ticket),
            ("its mask on fresh weights", reinitialised),
            ("its weights under shuffled masks", shuffled),
        ] {
            table.row([what.to_owned(), points(of.mean), points(of.deviation)]);
        }
        writeln!(f, "{}\n\n{table}", self.file)?;
        let (accuracy, loss) = (points(barrier.accuracy), barrier.loss);
        writeln!(
            f,
            "Between two trainings of the ticket: {accuracy} of accuracy lost at worst, loss {loss:.3} more\n"
        )?;
        writeln!(f, "{}", self.sentence())
    }
}

impl WinningReport {
    fn new(path: &Path, head_start: HeadStart, winning: Winning) -> Self {
        let judgement = match head_start {
            HeadStart::Trained => Judgement::NotJudged,
            _ if winning.is_winning() => Judgement::Winning,
            _ => Judgement::NotShown,
        };
        Self {
            file: path.display().to_string(),
            judgement,
            head_start,
            beats_reinitialised: winning.beats(&winning.reinitialised),
            beats_shuffled: winning.beats(&winning.shuffled),
            stable: winning.is_stable(),
            winning,
        }
    }

    fn sentence(&self) -> String {
        let stability = if self.stable {
            "training it is stable to the order of the data"
        } else {
            "training it is not stable: the order of the data decides where it ends, and a later rewinding may help"
        };
        let unbeaten = match (self.beats_reinitialised, self.beats_shuffled) {
            (false, false) => "its mask on fresh weights nor shuffled masks on its weights",
            (false, true) => "its mask on fresh weights",
            (_, _) => "shuffled masks on its weights",
        };
        let judgement = match self.judgement {
            Judgement::Winning => {
                format!("A winning ticket: it beats both controls by more than chance explains, and {stability}.")
            }
            Judgement::NotShown => {
                format!("Not shown to be a winning ticket: it does not beat {unbeaten}; {stability}.")
            }
            Judgement::NotJudged => format!(
                "Not judged: its weights were trained before, those of its controls were not, so it would win under any mask;\n{stability}."
            ),
        };
        match self.head_start {
            HeadStart::Epoch(epoch) => {
                format!(
                    "{judgement}\nIts weights are those of epoch {epoch}: so far ahead of fresh ones does it start."
                )
            }
            HeadStart::Unknown => format!(
                "{judgement}\nThat holds if its weights were never trained, which the file does not say: trained ones win under any \
                 mask."
            ),
            HeadStart::None | HeadStart::Trained => judgement,
        }
    }
}

fn points(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use counterfoil_train::{Accuracies, Barrier};

    use super::*;

    /// Judges a ticket of 90 % against controls of these accuracies.
    fn judged(head_start: HeadStart, reinitialised: f64, shuffled: f64) -> (Judgement, String) {
        let accuracies = |mean: f64| Accuracies { each: vec![mean; 3], mean, deviation: 0.0 };
        let barrier = Barrier { accuracy: 0.01, loss: 0.1, accuracies: vec![0.9], losses: vec![0.3] };
        let winning = Winning {
            ticket: accuracies(0.9),
            reinitialised: accuracies(reinitialised),
            shuffled: accuracies(shuffled),
            barrier,
            test_images: 10_000,
        };
        let report = WinningReport::new(Path::new("t"), head_start, winning);
        (report.judgement, report.sentence())
    }

    #[test]
    fn only_tickets_that_started_like_their_controls_are_judged() {
        use HeadStart::{Epoch, None, Trained, Unknown};
        use Judgement::{NotJudged, NotShown, Winning};
        for (head_start, controls, judgement, part) in [
            (None, [0.8, 0.8], Winning, "A winning ticket: it beats both controls"),
            (Epoch(3), [0.8, 0.8], Winning, "Its weights are those of epoch 3"),
            (Unknown, [0.8, 0.8], Winning, "if its weights were never trained"),
            (None, [0.9, 0.8], NotShown, "does not beat its mask on fresh weights;"),
            (None, [0.8, 0.9], NotShown, "does not beat shuffled masks on its weights;"),
            (None, [0.9, 0.95], NotShown, "fresh weights nor shuffled masks on its weights;"),
            (Trained, [0.1, 0.1], NotJudged, "it would win under any mask"),
        ] {
            let (found, sentence) = judged(head_start, controls[0], controls[1]);
            assert_eq!(found, judgement, "{head_start:?} {controls:?}");
            assert!(sentence.contains(part), "{sentence}");
        }
    }
}
