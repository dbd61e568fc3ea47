//! Subjects: a trained model and what its owner can show for it, from files or made by the suite.

use std::path::{Path, PathBuf};
use std::time::Instant;

use counterfoil_attack::{Insight, handed_on};
use counterfoil_claim::{
    Counterfoil, Dilution, OpenedPanel, OwnerKey, PanelCount, Protection, PublicKey, Unlock, VerifiedClaim,
};
use counterfoil_mark::{KeyedFinding, StampRequest, Stamped, SwapSettings, TriggerSet, prepare, prepare_licensee};
use counterfoil_ticket::{Architecture, Digest, Model, ModelFile, Overwrite, Provenance};
use counterfoil_train::data::Dataset;
use counterfoil_train::finder::{Imp, Keyed, Scope};
use counterfoil_train::{
    Aim, Checkpoint, DeviceChoice, Event, Examples, Finder, Hold, Network, OwnMark, Schedule, Search, Shrinkage, fit,
};
use serde_json::{Value, json};

use crate::SuiteError;
use crate::marks::{External, Mark, Teaching, mark, secret};
use crate::plan::SubjectTask;
use crate::spec::{Files, MarkSpec, Recipe, Stamp};
use crate::store::{Store, file_digest, io, read_json, write, write_secret};

/// Weight decay of everything that the suite trains.
const DECAY: f64 = 5e-4;

/// Files of a subject that the suite has made.
const MODEL: &str = "model.safetensors";
const FOUND: &str = "found.safetensors";
const KEY: &str = "owner.pub";
const CLAIM: &str = "claim.json";
const COUNTERFOIL: &str = "counterfoil";
const LICENSEES_CLAIM: &str = "licensee.claim.json";
const LICENSEES_COUNTERFOIL: &str = "licensee.counterfoil";
const RECORD: &str = "subject.json";

/// A subject in memory.
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// The model's file.
    pub file: PathBuf,
    /// SHA-256 of that file.
    pub digest: String,
    /// The owner's key.
    pub key: PublicKey,
    /// The owner's claim.
    pub claim: Option<VerifiedClaim>,
    /// Panels that the owner discloses to the verifier: all that there are.
    pub disclosures: Vec<OpenedPanel>,
    /// The owner's counterfoil, if he shows it.
    pub counterfoil: Option<Counterfoil>,
    /// What the owner can show for the copy of a licensee, if it is one.
    pub licensee: Option<Papers>,
    /// The ticket before it was stamped, if the suite has found it.
    pub found: Option<PathBuf>,
    /// Seconds of the victim's training, if the suite has trained it.
    pub train_seconds: Option<f64>,
    /// Other people's marks in it.
    pub marks: Vec<Box<dyn Mark>>,
}

/// What is shown to a verifier: a claim with all that it commits to.
pub struct Papers {
    /// The claim.
    pub claim: VerifiedClaim,
    /// All sealed panels.
    pub disclosures: Vec<OpenedPanel>,
    /// The counterfoil, for its reference mask.
    pub counterfoil: Counterfoil,
}

impl Papers {
    /// Those of a subject that the suite has made.
    fn load(key: &PublicKey, claim_file: &Path, foil: &Path) -> Result<Self, SuiteError> {
        let claim = claim(claim_file, key)?;
        let counterfoil = counterfoil(foil, &claim)?;
        let open = |panel| -> Result<OpenedPanel, SuiteError> {
            let refused = |source| SuiteError::Counterfoil { file: foil.to_owned(), source: Box::new(source) };
            let disclosure = counterfoil.disclose(panel).map_err(refused)?;
            let refused = |source| SuiteError::Disclosure { file: foil.to_owned(), source: Box::new(source) };
            claim.open(disclosure.as_bytes()).map_err(refused)
        };
        let disclosures = counterfoil.sealed_panels().sealed().map(open).collect::<Result<_, _>>()?;
        Ok(Self { claim, disclosures, counterfoil })
    }

    /// Writes them beside the model.
    fn write(stamped: &Stamped, claim_file: &Path, foil: &Path) -> Result<(), SuiteError> {
        write(claim_file, stamped.claim.as_bytes())?;
        let refused = |source| SuiteError::Counterfoil { file: foil.to_owned(), source: Box::new(source) };
        write_secret(foil, &stamped.counterfoil.seal(&Protection::None).map_err(refused)?)
    }
}

impl Subject {
    /// What an attacker knows who was shown these sealed panels.
    pub fn insight(&self, knows: &[u64]) -> Insight {
        let shown = |panel: &&OpenedPanel| knows.contains(&u64::from(panel.panel().get()));
        Insight::new(self.key, self.claim.as_ref(), self.disclosures.iter().filter(shown))
    }

    /// A subject from somebody's files.
    ///
    /// # Errors
    ///
    /// One of the files is refused.
    pub fn open(name: &str, files: &Files) -> Result<Self, SuiteError> {
        let key = public_key(&files.key)?;
        let claim = files.claim.as_deref().map(|path| claim(path, &key)).transpose()?;
        let open = |path: &PathBuf| {
            let claim = claim.as_ref().ok_or_else(|| SuiteError::Subject {
                subject: name.to_owned(),
                reason: "disclosures without a claim, expected the claim that they belong to".to_owned(),
            })?;
            let refused = |source| SuiteError::Disclosure { file: path.clone(), source: Box::new(source) };
            claim.open(&bytes(path)?).map_err(refused)
        };
        let disclosures = files.disclosures.iter().map(open).collect::<Result<_, _>>()?;
        if claim.as_ref().is_some_and(|claim| claim.body().licensee.is_some()) && files.disclosures.is_empty() {
            return Err(SuiteError::Subject {
                subject: name.to_owned(),
                reason: "a licensee's claim alone shows nothing, expected its disclosure too".to_owned(),
            });
        }
        let counterfoil = match (&files.counterfoil, &claim) {
            (Some(path), Some(claim)) => Some(counterfoil(path, claim)?),
            _ => None,
        };
        let file = files.model.clone();
        let digest = file_digest(&file)?;
        let (name, train_seconds, found) = (name.to_owned(), None, None);
        Ok(Self {
            name,
            seed: 0,
            file,
            digest,
            key,
            claim,
            disclosures,
            counterfoil,
            licensee: None,
            found,
            train_seconds,
            marks: Vec::new(),
        })
    }

    /// A subject that the suite has made in this folder.
    pub(crate) fn load(name: &str, seed: u64, folder: &Path, recipe: &Recipe) -> Result<Self, SuiteError> {
        let record: Value = read_json(&folder.join(RECORD), "a record of a subject")?;
        let path = |file: &str| folder.join(file);
        let files =
            Files { model: path(MODEL), key: path(KEY), claim: None, disclosures: Vec::new(), counterfoil: None };
        let mut subject = Self::open(name, &files)?;
        if recipe.stamp != Stamp::None {
            let papers = Papers::load(&subject.key, &path(CLAIM), &path(COUNTERFOIL))?;
            subject.claim = Some(papers.claim);
            subject.disclosures = papers.disclosures;
            subject.counterfoil = Some(papers.counterfoil);
        }
        if recipe.licensee.is_some() {
            let papers = Papers::load(&subject.key, &path(LICENSEES_CLAIM), &path(LICENSEES_COUNTERFOIL))?;
            subject.licensee = Some(papers);
        }
        subject.seed = seed;
        subject.marks = recipe.marks.iter().filter_map(mark_of).collect();
        subject.found = Some(path(FOUND));
        subject.train_seconds = record["train_seconds"].as_f64();
        Ok(subject)
    }
}

/// Makes a subject and puts its folder in place. Goes on where an earlier run was stopped.
pub(crate) fn make(
    recipe: &Recipe,
    task: &SubjectTask,
    (store, data): (&Store, &Dataset),
    on_event: &mut dyn FnMut(Event),
) -> Result<(), SuiteError> {
    let SubjectTask { id, seed, owner, .. } = task;
    let seed = *seed;
    let bench = Bench { recipe, seed, data };
    let mut key_bytes = [0; 32];
    key_bytes.copy_from_slice(Digest::of(["counterfoil suite owner", owner.as_str()]).as_bytes());
    let key = OwnerKey::from_seed(&key_bytes);
    let found = bench.find(&key, store.work(id, "found"), on_event)?;
    let other_marks: Vec<Box<dyn Mark>> = recipe.marks.iter().filter_map(mark_of).collect();
    let refused = |mark: &dyn Mark, why: String| SuiteError::Subject { subject: mark.name().to_owned(), reason: why };
    let mut ticket = found.clone();
    for mark in &other_marks {
        ticket = mark.on_ticket(ticket, seed).map_err(|why| refused(mark.as_ref(), why))?;
    }
    let stamped = bench.stamp(&ticket, &key)?;
    let started = Instant::now();
    let copy = bench.copy(stamped.as_ref(), &key)?;
    let ticket = copy.as_ref().or(stamped.as_ref()).map_or(&ticket, |stamped| &stamped.model);
    let triggers = bench.triggers(stamped.as_ref())?;
    let network = bench.train(ticket, stamped.as_ref(), &triggers, store.work(id, "model"), on_event)?;
    let seconds = started.elapsed().as_secs_f64();

    let mut description = ticket.description.clone();
    description.kind = counterfoil_ticket::Kind::Model;
    let mut model = Model { description, arrays: network.arrays(), masks: ticket.masks.clone(), ..Model::default() };
    let schedule = bench.schedule(recipe.train_epochs);
    let rate = schedule.rate_at(schedule.epochs - 1);
    let teaching = Teaching { examples: bench.examples(&triggers), data, rate };
    for mark in &other_marks {
        model = mark.on_model(model, seed, &teaching).map_err(|why| refused(mark.as_ref(), why))?;
    }
    let model = handed_on(model);
    let folder = store.subject(id);
    // Of its own: several processes may be making the same subject.
    let staged = store.staging()?;
    let staged = staged.path();
    found.write_safetensors(&staged.join(FOUND), Overwrite::Replace)?;
    model.write_safetensors(&staged.join(MODEL), Overwrite::Replace)?;
    write(&staged.join(KEY), key.public().to_pem().as_bytes())?;
    for (papers, claim, foil) in [(&stamped, CLAIM, COUNTERFOIL), (&copy, LICENSEES_CLAIM, LICENSEES_COUNTERFOIL)] {
        if let Some(papers) = papers {
            Papers::write(papers, &staged.join(claim), &staged.join(foil))?;
        }
    }
    let record = json!({ "recipe": recipe, "seed": seed, "train_seconds": seconds });
    write(&staged.join(RECORD), format!("{record:#}\n").as_bytes())?;
    match std::fs::rename(staged, &folder) {
        Err(_) if folder.is_dir() => {}
        other => other.map_err(io(&folder, "put in place"))?,
    }
    for what in ["found", "model"] {
        Checkpoint::beside(&store.work(id, what), Value::Null).remove()?;
    }
    Ok(())
}

struct Bench<'a> {
    recipe: &'a Recipe,
    seed: u64,
    data: &'a Dataset,
}

impl Bench<'_> {
    fn schedule(&self, epochs: u32) -> Schedule {
        Schedule { decay: DECAY, batch: self.recipe.batch as usize, ..Schedule::paper(epochs) }
    }

    /// Schedule of a round of finding, and the epoch that it rewinds to.
    fn finding(&self) -> (Schedule, u32) {
        let epochs = self.recipe.find_epochs;
        (self.schedule(epochs), Aim::usual_rewind(epochs))
    }

    fn decay(&self, schedule: &Schedule, start: u32, shrinkage: Shrinkage) -> f64 {
        self.recipe.decay.unwrap_or_else(|| schedule.mark_decay(self.data.train.len(), start, shrinkage))
    }

    /// The ticket; under the key, if it is found so.
    fn find(&self, key: &OwnerKey, place: PathBuf, on_event: &mut dyn FnMut(Event)) -> Result<Model, SuiteError> {
        let Recipe { width, sparsity, prune_share, .. } = *self.recipe;
        let architecture = Architecture::Resnet20 { input: self.data.train.shape(), width, classes: self.data.classes };
        let device = DeviceChoice::Cpu.open()?;
        let network = Network::initialise(architecture, self.data.normalisation.clone(), self.seed, &device);
        let (schedule, rewind) = self.finding();
        let (mark, decay) =
            (self.own_mark(key, network.architecture()), self.decay(&schedule, rewind, Shrinkage::ByRootOfE));
        let keyed = (self.recipe.stamp == Stamp::Keyed).then_some(Keyed { mark: &mark, decay, factor: 1.0 });
        let imp = Imp { prune_share, scope: Scope::Global };
        let settings = json!({ "recipe": self.recipe, "seed": self.seed });
        Ok(imp.find(&mut Search {
            network,
            provenance: Provenance::Random,
            examples: self.examples(&[]),
            aim: Aim { schedule, sparsity, rewind, seed: self.seed },
            keyed,
            checkpoint: &Checkpoint::beside(&place, settings),
            on_event,
        })?)
    }

    /// The mark that a ticket is found for.
    fn own_mark(&self, key: &OwnerKey, architecture: &Architecture) -> OwnMark {
        OwnMark::under(key.public(), &key.master_seed(&FINDING), SEALED, &architecture.prunable_carriers())
    }

    fn stamp(&self, found: &Model, key: &OwnerKey) -> Result<Option<Stamped>, SuiteError> {
        let request = match self.recipe.stamp {
            Stamp::None => return Ok(None),
            Stamp::Swaps => StampRequest { swaps: SwapSettings::default(), keyed: None, provenance: None },
            Stamp::Keyed => {
                let (schedule, rewind) = self.finding();
                let decay = self.decay(&schedule, rewind, Shrinkage::ByRootOfE);
                let keyed = KeyedFinding { master: key.master_seed(&FINDING), decay: Some(decay), factor: None };
                let swaps = SwapSettings::top_up(SEALED, Dilution::ALL[0]);
                StampRequest { swaps, keyed: Some(keyed), provenance: None }
            }
        };
        Ok(Some(prepare(found, key, request)?.finish(CREATED, "suite")?))
    }

    /// The licensee's copy that is trained in place of the owner's ticket.
    fn copy(&self, stamped: Option<&Stamped>, key: &OwnerKey) -> Result<Option<Stamped>, SuiteError> {
        let (Some(stamped), Some(name)) = (stamped, &self.recipe.licensee) else { return Ok(None) };
        let prepared = prepare_licensee(&stamped.model, key, &stamped.counterfoil, name, &SwapSettings::default())?;
        Ok(Some(prepared.finish(CREATED, name)?))
    }

    fn examples<'b>(&'b self, triggers: &'b [TriggerSet]) -> Examples<'b> {
        Examples { triggers, ..Examples::new(&self.data.train, self.data.augmentation) }
    }

    fn triggers(&self, stamped: Option<&Stamped>) -> Result<Vec<TriggerSet>, SuiteError> {
        match stamped.filter(|_| self.recipe.triggers) {
            Some(Stamped { counterfoil, .. }) => match counterfoil.triggers() {
                Some(settings) => Ok(OwnMark::of_counterfoil(counterfoil).trigger_sets(settings)?),
                None => Ok(Vec::new()),
            },
            None => Ok(Vec::new()),
        }
    }

    fn train(
        &self,
        ticket: &Model,
        stamped: Option<&Stamped>,
        triggers: &[TriggerSet],
        place: PathBuf,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Network, SuiteError> {
        let Some(architecture) = ticket.description.architecture.clone() else {
            unreachable!("the suite's tickets describe their architecture")
        };
        let device = DeviceChoice::Cpu.open()?;
        let network = Network::from_model(ticket, architecture, self.data.normalisation.clone(), &device)?;
        let schedule = self.schedule(self.recipe.train_epochs);
        let mark = stamped.map(|stamped| OwnMark::of_counterfoil(&stamped.counterfoil));
        let extra = match &mark {
            Some(mark) if self.recipe.reinforce => {
                mark.extra_decay(&ticket.marked_carriers(), self.decay(&schedule, 0, Shrinkage::ByE))
            }
            _ => Default::default(),
        };
        let hold = Hold::new(&network, &ticket.masks, extra);
        let checkpoint = Checkpoint::beside(&place, json!({ "recipe": self.recipe, "seed": self.seed }));
        // Licensees train on their own.
        let seed = self.recipe.licensee.as_ref().map_or(self.seed, |name| secret(name, self.seed));
        Ok(fit(network, self.examples(triggers), &schedule, &hold, seed, Some(&checkpoint), on_event)?)
    }
}

/// Context of the master seed of keyed finding: the key is the suite's own, and used once.
const FINDING: [u8; 32] = [9; 32];
/// Sealed panels that keyed finding aims at.
const SEALED: PanelCount = PanelCount::new(4).expect("four are allowed");
/// Time in the suite's claims: the same bytes whenever they are made.
const CREATED: &str = "2026-01-01T00:00:00Z";

/// A mark by its name, or as a program.
fn mark_of(spec: &MarkSpec) -> Option<Box<dyn Mark>> {
    match &spec.command {
        Some(command) => Some(Box::new(External { name: spec.name.clone(), command: command.clone() })),
        None => mark(&spec.name),
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, SuiteError> {
    std::fs::read(path).map_err(io(path, "read"))
}

fn public_key(path: &Path) -> Result<PublicKey, SuiteError> {
    let text = std::fs::read_to_string(path).map_err(io(path, "read"))?;
    PublicKey::from_pem(&text).map_err(|source| SuiteError::Key { file: path.to_owned(), source: Box::new(source) })
}

fn claim(path: &Path, key: &PublicKey) -> Result<VerifiedClaim, SuiteError> {
    let refused = |source| SuiteError::Claim { file: path.to_owned(), source: Box::new(source) };
    VerifiedClaim::verify(&bytes(path)?, key).map_err(refused)
}

fn counterfoil(path: &Path, claim: &VerifiedClaim) -> Result<Counterfoil, SuiteError> {
    let refused = |source| SuiteError::Counterfoil { file: path.to_owned(), source: Box::new(source) };
    let counterfoil = Counterfoil::open(&bytes(path)?, &Unlock::None).map_err(refused)?;
    counterfoil.check(claim).map_err(refused)?;
    Ok(counterfoil)
}

/// The file of a subject's model, read.
pub(crate) fn model_of(subject: &Subject) -> Result<Model, SuiteError> {
    Ok(ModelFile::open(&subject.file)?.read()?)
}
