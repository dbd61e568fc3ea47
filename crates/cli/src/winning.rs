//! Whether a ticket is a winning one: `inspect --is-it-winning`.

use std::fmt;
use std::path::Path;

use counterfoil_mark::masks_of;
use counterfoil_ticket::{Kind, ModelFile};
use counterfoil_train::data::DataSource;
use counterfoil_train::{Accuracies, DeviceChoice, Examples, Trial, Winning, is_it_winning};
use serde::Serialize;

use crate::Error;
use crate::error::warn;
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

    pub(crate) fn run(&self, path: &Path) -> Result<Winning, Error> {
        let file = ModelFile::open(path)?;
        let source = self.data.as_ref().ok_or(Error::StrategyWithoutData)?;
        let data = self.images.load(source)?;
        let (ticket, network) = network_for(path, &file, &data, None, self.device)?;
        if ticket.description.kind == Kind::Model && file.description().is_some() {
            warn("this is a trained model: its weights have learned already, those of the controls have not");
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
        Ok(winning)
    }
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
    pub(crate) file: String,
    /// What came out.
    #[serde(flatten)]
    pub(crate) winning: Winning,
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
        writeln!(f, "{}", self.judgement())
    }
}

impl WinningReport {
    fn judgement(&self) -> String {
        let winning = &self.winning;
        let lost = |control: &Accuracies, name: &str| (!winning.beats(control)).then(|| name.to_owned());
        let unbeaten: Vec<String> = [
            lost(&winning.reinitialised, "its mask on fresh weights"),
            lost(&winning.shuffled, "shuffled masks on its weights"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let stability = if winning.is_stable() {
            "training it is stable to the order of the data"
        } else {
            "training it is not stable: the order of the data decides where it ends, and a later rewinding may help"
        };
        if unbeaten.is_empty() {
            format!("A winning ticket: it beats both controls by more than chance explains, and {stability}.")
        } else {
            format!("Not shown to be a winning ticket: it does not beat {}; {stability}.", unbeaten.join(" nor "))
        }
    }
}

fn points(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
