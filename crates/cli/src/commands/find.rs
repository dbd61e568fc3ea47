//! `find`: a winning ticket, by one of the finders.

use std::path::{Path, PathBuf};

use counterfoil_claim::{Dilution, OwnerKey, PanelCount, Protection};
use counterfoil_mark::{KeyedFinding, StampRequest, SwapSettings, prepare};
use counterfoil_ticket::{ModelFile, Overwrite, Provenance};
use counterfoil_train::data::Dataset;
use counterfoil_train::finder::{Aim, Epochs, Keyed, Keying, Search};
use counterfoil_train::{Checkpoint, Examples, Network, OwnMark, Shrinkage};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::commands::stamp::{Places, ProtectionArgs, created};
use crate::error::warn;
use crate::finder_args::FinderArgs;
use crate::network::network_for;
use crate::output::print;
use crate::progress::{Progress, Rounds};
use crate::resume::{Begun, Placed, begin, complete};
use crate::settings::{ArchArgs, DataArgs, RecipeArgs, digest_of};
use crate::stamp_table::{StampSummary, Written};
use crate::writing::{Force, Named, Together, check_beside, check_but};
use crate::{Error, Exit, open, value};

/// Factor of scores at chip −1 by default.
const MARK_FACTOR: f64 = 0.5;

/// Find a winning ticket
///
/// By default trains, prunes the smallest weights of all layers together (not of the first convolution and the
/// classifier), rewinds the rest to an early epoch, and repeats until the sparsity is reached: iterative magnitude pruning
/// with late rewinding. --finder names other ways. With --key the ticket is stamped as it is found; if the mark misses its
/// target then, it gets fewer sealed panels, and if it misses it even so, the ticket is left unstamped as
/// X.unstamped.safetensors. A run that was killed goes on when it is started again with the same arguments; --force
/// replaces the progress of a run with others.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil find --data digits --arch resnet20 --sparsity 0.95 --prune-share 0.45 -o ticket.safetensors
  counterfoil find --data digits --key owner.key --prune-share 0.45 -o stamped.safetensors")]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    arch: ArchArgs,
    /// File of options (TOML, `epochs = 182`) that those on the command line win over; presets/ has some
    #[arg(long, value_name = "FILE")]
    preset: Option<PathBuf>,
    #[command(flatten)]
    finder: FinderArgs,
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Where the ticket goes
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    keyed: KeyedArgs,
    #[command(flatten)]
    force: Force,
}

/// Finding under a key: the ticket is stamped as it is found.
#[derive(Debug, clap::Args)]
struct KeyedArgs {
    /// The owner's private key: the ticket is stamped as it is found, and its claim and counterfoil are written too
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// File with the private key's passphrase; else COUNTERFOIL_KEY_PASSPHRASE_FILE names it, else it is asked for
    #[arg(long, value_name = "FILE", requires = "key")]
    key_passphrase_file: Option<PathBuf>,
    /// Finders that rank trained weights: extra weight decay where the chip is -1 [default: 0.003, more in short runs]
    #[arg(long, value_name = "DECAY", requires = "key", value_parser = value::decay)]
    mark_decay: Option<f64>,
    /// Finders that rank or grow by scores: their factor where the chip is -1 [default: 0.5]
    #[arg(long, value_name = "FACTOR", requires = "key", value_parser = value::share)]
    mark_factor: Option<f64>,
    /// Most sealed panels, 1 to 4; fewer if that is what reaches the target [default: 4]
    #[arg(long, value_name = "N", requires = "key", value_parser = value::panel_count)]
    sealed_panels: Option<PanelCount>,
    /// Where the counterfoil goes [default: the output's name with .counterfoil]
    #[arg(long, value_name = "FILE", requires = "key")]
    counterfoil: Option<PathBuf>,
    /// Where the claim goes [default: the output's name with .claim.json]
    #[arg(long, value_name = "FILE", requires = "key")]
    claim: Option<PathBuf>,
    /// Time of stamping for the claim, RFC 3339 [default: SOURCE_DATE_EPOCH, else now]
    #[arg(long, value_name = "TIME", requires = "key", value_parser = value::time)]
    created: Option<String>,
    #[command(flatten)]
    protection: ProtectionArgs,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        if let Some((_, error)) = self.unused().into_iter().next() {
            return Err(error);
        }
        let finder = self.finder.finder()?;
        let keying = finder.keying();
        self.keyed.check(keying, finder.name())?;
        let overwrite = self.force.overwrite();
        let keyed = &self.keyed;
        let sealed = self.sealed_panels();
        let places = Places::new(self.output.clone(), keyed.claim.clone(), keyed.counterfoil.clone());
        let outputs = match &keyed.key {
            None => vec![("the ticket", self.output.as_path())],
            Some(_) => places.named().to_vec(),
        };
        let unstamped = unstamped(&self.output);
        let left = [("the unstamped ticket", unstamped.as_path())];
        // What a run leaves: its outputs or, under a key, the unstamped ticket instead.
        let sets: &[&[Named]] = if keyed.key.is_some() { &[&outputs, &left] } else { &[&outputs] };
        let placed = Placed::of_any_run(&self.output, sets);
        let possible = sets.concat();
        let mut inputs: Vec<Named> = keyed.key.iter().map(|file| ("the private key", file.as_path())).collect();
        inputs.extend(keyed.key_passphrase_file.iter().map(|file| ("the key's passphrase file", file.as_path())));
        inputs.extend(keyed.protection.inputs());
        inputs.extend(self.preset.iter().map(|file| ("the preset", file.as_path())));
        inputs.extend(self.finder.pretrained.iter().map(|file| ("the pretrained model", file.as_path())));
        check_but(&possible, &inputs, overwrite, |file| placed.has(file))?;
        let own_progress = Checkpoint::beside(&self.output, json!(null));
        check_beside(own_progress.path(), self.recipe.log.as_deref(), &[possible, inputs].concat())?;
        let key = match &keyed.key {
            None if keyed.protection.is_given() => return Err(Error::NothingToProtect),
            None => None,
            Some(path) => {
                let key = open::owner_key(path, keyed.key_passphrase_file.as_deref())?;
                // Asked before hours of work, not after them.
                Some((key, keyed.protection.protection(&places.counterfoil)?, created(keyed.created.clone())?))
            }
        };
        let data = self.data.load()?;
        let schedule = self.recipe.schedule(&data);
        let rewind = self.finder.rewind(schedule.epochs);
        let usual = schedule.mark_decay(data.train.len(), rewind, Shrinkage::ByRootOfE);
        let decay = (keying != Keying::Factor).then(|| keyed.mark_decay.unwrap_or(usual));
        let factor = (keying != Keying::Decay).then(|| keyed.mark_factor.unwrap_or(MARK_FACTOR));
        let aim = Aim { schedule, sparsity: self.finder.sparsity(), rewind, seed: self.recipe.seed };
        finder.check(&aim)?;
        let Start { network, provenance, pretrained } = self.start(&data)?;
        let record = json!({
            "command": "find", "version": env!("CARGO_PKG_VERSION"), "finder": finder.name(),
            "architecture": network.architecture(), "pretrained": pretrained,
            "data": data.name, "images": data.train.len(), "augmentation": self.recipe.augmentation(&data),
            "images_sha256": digest_of(&data.train), "aim": self.recorded(&aim), "settings": finder.settings(),
            "mark_decay": key.as_ref().and(decay),
            "mark_factor": key.as_ref().and(factor),
            "sealed_panels": key.is_some().then_some(sealed.get()),
        });
        // The master seed of a keyed search is fixed by its settings and data, before there is any ticket.
        let context: [u8; 32] = Sha256::digest(record.to_string()).into();
        let carriers = network.architecture().prunable_carriers();
        let mark =
            key.as_ref().map(|(key, ..)| OwnMark::under(key.public(), &key.master_seed(&context), sealed, &carriers));

        let examples = Examples::new(&data.train, self.recipe.augmentation(&data));
        let owner = key.as_ref().map(|(key, ..)| key.public().key_id());
        let checkpoint = Checkpoint::beside(&self.output, json!({ "run": record, "owner": owner }));
        let accepts = || match &key {
            Some((_, protection, _)) => is_protected_as_asked(&places.counterfoil, protection),
            None => Ok(true),
        };
        if begin(&checkpoint, sets, self.force, accepts)? == Begun::Complete {
            print(&format!("ticket: {}, complete since an earlier run\n", self.output.display()))?;
            return Ok(Exit::Success);
        }
        let epochs = finder.epochs(&aim).unwrap_or(Epochs { rounds: 1, first: 0, rewind: 0 });
        let rounds = Rounds { count: epochs.rounds, first: epochs.first, rewind: epochs.rewind };
        let log = self.recipe.log.as_deref();
        let mut progress = Progress::new("find", rounds, log)?.estimated(finder.estimates_rounds());
        let mut logged = Ok(());
        let mut ticket = finder.find(&mut Search {
            network,
            provenance,
            examples,
            aim,
            keyed: mark.as_ref().map(|mark| Keyed { mark, decay: decay.unwrap_or(0.0), factor: factor.unwrap_or(1.0) }),
            checkpoint: &checkpoint,
            on_event: &mut |event| {
                if logged.is_ok() {
                    logged = progress.event(&event);
                }
            },
        })?;
        progress.finish();
        ticket.description.history.push(record);

        let (files, told) = match key {
            None => {
                let mut files = Together::new(overwrite);
                files.stage(&self.output, |path| ticket.write_safetensors(path, Overwrite::Refuse))?;
                (files, format!("ticket: {}\n", self.output.display()))
            }
            Some((key, protection, created)) => {
                let request = self.request(&key, &context, decay, factor);
                let prepared = match prepare(&ticket, &key, request) {
                    Ok(prepared) => prepared,
                    Err(source) => {
                        let mut files = Together::new(overwrite);
                        files.stage(&unstamped, |path| ticket.write_safetensors(path, Overwrite::Refuse))?;
                        complete(files, &checkpoint)?;
                        let (output, ticket, source) = (self.output.clone(), unstamped.clone(), Box::new(source));
                        return Err(Error::LeftUnstamped { output, ticket, source });
                    }
                };
                let found = prepared.plan().sealed;
                if found != sealed {
                    let (asked, target) = (sealed.get(), SwapSettings::default().target);
                    let found = found.get();
                    warn(&format!(
                        "not all of {asked} sealed panels would reach {target} bits: the ticket gets {found}"
                    ));
                }
                let threshold = SwapSettings::default().threshold;
                print(&StampSummary::new(&self.output, &prepared, threshold, None).to_string())?;
                let files = places.stage(prepared, &self.output, &created, &protection, overwrite)?;
                (files, Written::of(&places).to_string())
            }
        };
        complete(files, &checkpoint)?;
        logged?; // Only now: the result is worth more than its log.
        print(&told)?;
        Ok(Exit::Success)
    }

    /// Options that are given and that this search has no use for, each with what is to be said of it.
    pub(crate) fn unused(&self) -> Vec<(&'static str, Error)> {
        let mut unused = self.finder.unused();
        if !self.finder.trains() {
            let untrained = |option| (option, self.finder.trains_nothing(option));
            unused.extend(self.recipe.of_schedule().map(untrained));
        }
        unused.extend(self.arch.unused(self.finder.pretrained.is_some()));
        unused
    }

    /// The aim for the record, without settings that this search has no use for.
    fn recorded(&self, aim: &Aim) -> Value {
        let mut recorded = json!(aim);
        let settings = recorded.as_object_mut().expect("an aim is an object");
        if !self.finder.trains() {
            settings.remove("schedule");
        }
        if !self.finder.rewinds() {
            settings.remove("rewind");
        }
        recorded
    }

    /// The network that the search begins with.
    fn start(&self, data: &Dataset) -> Result<Start, Error> {
        let Some(path) = &self.finder.pretrained else {
            let (architecture, device) = (self.arch.architecture(data)?, self.recipe.device.open()?);
            let network = Network::initialise(architecture, data.normalisation.clone(), self.recipe.seed, &device);
            return Ok(Start { network, provenance: Provenance::Random, pretrained: None });
        };
        let (model, network) = network_for(path, &ModelFile::open(path)?, data, None, self.recipe.device)?;
        let digest = model.digest().map_err(|source| Error::Model { model: path.clone(), source })?;
        Ok(Start { network, provenance: model.description.provenance, pretrained: Some(digest.to_string()) })
    }

    fn sealed_panels(&self) -> PanelCount {
        self.keyed.sealed_panels.unwrap_or(PanelCount::new(PanelCount::MAX).expect("the most is allowed"))
    }

    /// `decay` and `factor` are what the search did at chip −1 positions.
    fn request(&self, key: &OwnerKey, context: &[u8; 32], decay: Option<f64>, factor: Option<f64>) -> StampRequest {
        let master = key.master_seed(context);
        // All positions of a ticket found under the key are active: decay has worked on all of them.
        let swaps = SwapSettings::top_up(self.sealed_panels(), Dilution::ALL[0]);
        StampRequest { swaps, keyed: Some(KeyedFinding { master, decay, factor }), provenance: None }
    }
}

/// What a search begins with.
struct Start {
    network: Network,
    provenance: Provenance,
    /// Digest of the pretrained model, if it is one.
    pretrained: Option<String>,
}

impl KeyedArgs {
    /// Refuses the setting of finders of the other kind.
    fn check(&self, keying: Keying, finder: &'static str) -> Result<(), Error> {
        match keying {
            Keying::Decay if self.mark_factor.is_some() => {
                Err(Error::OtherKeying { option: "--mark-factor", finder, expected: "--mark-decay" })
            }
            Keying::Factor if self.mark_decay.is_some() => {
                Err(Error::OtherKeying { option: "--mark-decay", finder, expected: "--mark-factor" })
            }
            Keying::Decay | Keying::Factor | Keying::Both => Ok(()),
        }
    }
}

/// Whether the counterfoil that an earlier run wrote is protected as this one asks. If not, or if that cannot be told,
/// this run has to write its outputs again.
fn is_protected_as_asked(counterfoil: &Path, protection: &Protection) -> Result<bool, Error> {
    if open::is_protected_by(counterfoil, protection)? {
        return Ok(true);
    }
    let file = counterfoil.display();
    warn(&format!(
        "{file}: is there from an earlier run, and is written again with the protection that this one asks for"
    ));
    Ok(false)
}

/// Where a ticket that was found under a key goes if it cannot be stamped: `X.unstamped.safetensors` for `X.safetensors`.
fn unstamped(output: &Path) -> PathBuf {
    output.with_extension("unstamped.safetensors")
}
