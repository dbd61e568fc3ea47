//! `train`: a ticket into a model, with its mark kept up and its triggers learned.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use counterfoil_claim::Counterfoil;
use counterfoil_mark::masks_of;
use counterfoil_ticket::{Carrier, Kind, Mask, Model, ModelFile, Overwrite};
use counterfoil_train::{Checkpoint, Examples, Hold, OwnMark, Shrinkage, count_correct, fit};
use serde_json::json;

use crate::network::network_for;
use crate::open::UnlockArgs;
use crate::output::print;
use crate::progress::{Progress, Rounds};
use crate::resume::{Begun, Placed, begin, complete};
use crate::settings::{DataArgs, RecipeArgs, TriggerFolderArgs, TriggerShowings, digest_of, digest_of_images};
use crate::writing::{Force, Named, Together, check_beside, check_but};
use crate::{Error, Exit, open, value};

/// Train a ticket, or a model further
///
/// Weights that are pruned stay pruned. With the counterfoil the mark is reinforced (weights that speak against it decay
/// faster) and the trigger images are learned along with the data. Without it, this is plain training, or fine-tuning of
/// a model. A run that was killed goes on when it is started again with the same arguments.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil train stamped.safetensors --data digits --counterfoil stamped.counterfoil -o model.bin
  counterfoil train model.bin --data digits --epochs 3 --rate 0.001 -o tuned.bin")]
pub(crate) struct Args {
    /// A ticket, stamped or not, or a model
    ticket: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// The stamped ticket's counterfoil
    #[arg(long, value_name = "FILE")]
    counterfoil: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockArgs,
    /// Extra weight decay where the chip is -1; 0 for none [default: 0.003, more in short runs]
    #[arg(long, value_name = "DECAY", requires = "counterfoil", value_parser = value::decay)]
    reinforce: Option<f64>,
    /// Do not learn the trigger images
    #[arg(long)]
    no_triggers: bool,
    #[command(flatten)]
    trigger_folder: TriggerFolderArgs,
    #[command(flatten)]
    showings: TriggerShowings,
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Where the model goes
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    force: Force,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let mut inputs: Vec<Named> = vec![("the ticket", &self.ticket)];
        inputs.extend(self.counterfoil.iter().map(|file| ("the counterfoil", file.as_path())));
        inputs.extend(self.unlock.inputs());
        let outputs = [("the model", self.output.as_path())];
        let placed = Placed::of_any_run(&self.output, &[&outputs]);
        check_but(&outputs, &inputs, self.force.overwrite(), |file| placed.has(file))?;
        let progress = Checkpoint::beside(&self.output, json!(null));
        inputs.extend(outputs);
        check_beside(progress.path(), self.recipe.log.as_deref(), &inputs)?;
        let file = ModelFile::open(&self.ticket)?;
        let counterfoil = self.counterfoil.as_deref().map(|path| open::counterfoil(path, &self.unlock)).transpose()?;
        let data = self.data.load()?;
        let (ticket, network) = network_for(&self.ticket, &file, &data, None, self.recipe.device)?;
        let masks = masks_of(&ticket);
        if let (Some(counterfoil), Some(path)) = (&counterfoil, &self.counterfoil) {
            self.check_mark(counterfoil, path, ticket.description.kind, &masks)?;
        }
        let mark = counterfoil.as_ref().map(OwnMark::of_counterfoil);
        let expected = (data.train.shape(), data.classes);
        let settings = counterfoil.as_ref().and_then(|c| c.triggers()).filter(|_| !self.no_triggers);
        if let Some(t) = settings.filter(|t| (t.image, t.classes) != expected) {
            let path = self.counterfoil.clone().unwrap_or_default();
            return Err(Error::OtherTriggers { counterfoil: path, found: (t.image, t.classes), expected });
        }
        let mut triggers = match (&mark, settings) {
            (Some(mark), Some(settings)) => mark.trigger_sets(settings)?,
            _ => Vec::new(),
        };
        let own = self.trigger_folder.load(&data)?;
        let own_digest = own.as_ref().map(|set| digest_of_images(&set.images, &set.labels));
        let learned = triggers.iter().chain(&own).map(|set| set.len()).sum::<usize>();
        triggers.extend(own.into_iter().flat_map(|set| self.showings.sets(set)));
        let marked: Vec<_> = ticket.carriers().into_iter().filter(|c| masks.contains_key(&c.name)).collect();
        let schedule = self.recipe.schedule(&data);
        let reinforcement = self.reinforce.unwrap_or_else(|| schedule.mark_decay(data.train.len(), 0, Shrinkage::ByE));
        let extra_decay = match &mark {
            Some(mark) if reinforcement > 0.0 => mark.extra_decay(&marked, reinforcement),
            _ => BTreeMap::new(),
        };

        let hold = Hold::new(&network, &masks, extra_decay);
        let augmentation = self.recipe.augmentation(&data);
        let examples = Examples { triggers: &triggers, ..Examples::new(&data.train, augmentation) };
        let mut record = json!({
            "command": "train", "version": env!("CARGO_PKG_VERSION"), "data": data.name, "images": data.train.len(),
            "augmentation": augmentation, "schedule": schedule, "seed": self.recipe.seed,
            "reinforced": mark.as_ref().map(|_| reinforcement), "triggers": learned,
        });
        if let Some(digest) = own_digest {
            record["trigger_folder"] = json!({ "digest": digest, "showings": self.showings.count() });
        }
        let from = ticket.digest().map_err(|source| Error::Model { model: self.ticket.clone(), source })?.to_string();
        let checkpoint =
            Checkpoint::beside(&self.output, json!({ "run": record, "from": from, "images": digest_of(&data.train) }));
        if begin(&checkpoint, &[&outputs], self.force, || Ok(true))? == Begun::Complete {
            print(&format!("model: {}, complete since an earlier run\n", self.output.display()))?;
            return Ok(Exit::Success);
        }
        let rounds = Rounds { count: 1, first: schedule.epochs, rewind: 0 };
        let mut progress = Progress::new("train", rounds, self.recipe.log.as_deref())?;
        let mut logged = Ok(());
        let network = fit(network, examples, &schedule, &hold, self.recipe.seed, Some(&checkpoint), &mut |event| {
            if logged.is_ok() {
                logged = progress.event(&event);
            }
        })?;
        progress.finish();

        let correct = count_correct(&network, &data.test)?;
        let mut description = ticket.description.clone();
        description.kind = Kind::Model;
        description.architecture = Some(network.architecture().clone());
        description.normalisation = Some(network.normalisation().clone());
        description.history.push(record);
        let model = Model { description, arrays: network.arrays(), ..Model::default() };
        let mut files = Together::new(self.force.overwrite());
        files.stage(&self.output, |path| model.write_safetensors(path, Overwrite::Refuse))?;
        complete(files, &checkpoint)?;
        logged?; // Only now: the result is worth more than its log.
        let share = 100.0 * correct as f64 / data.test.len() as f64;
        print(&format!("model: {}, {share:.1} % of {} test images\n", self.output.display(), data.test.len()))?;
        Ok(Exit::Success)
    }

    /// Reinforcing the mark of another ticket would do nothing but harm.
    fn check_mark(
        &self,
        held: &Counterfoil,
        path: &Path,
        kind: Kind,
        masks: &BTreeMap<String, Mask>,
    ) -> Result<(), Error> {
        let same = |(carrier, reference): &(Carrier, Mask)| masks.get(&carrier.name) == Some(reference);
        if held.reference().iter().all(same) {
            return Ok(());
        }
        Err(Error::OtherCounterfoil { ticket: self.ticket.clone(), kind, counterfoil: path.to_owned() })
    }
}
