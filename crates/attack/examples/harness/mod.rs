//! What the measuring examples share: the data and the recipe, and JSON lines of which none is made twice.

#![allow(dead_code)] // Each example uses its part.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::{OpenOptions, read_to_string};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use counterfoil_attack::{FineTuning, Sparse, fine_tune};
use counterfoil_claim::{Counterfoil, Dilution, MasterSeed, OwnerKey, PanelCount, PanelId};
use counterfoil_mark::{
    Chance, KeyedFinding, Prepared, StampRequest, Stamped, StampingError, SwapSettings, Tally, TriggerSet, chip_map,
    log2_upper_tail, prepare, tally,
};
use counterfoil_ticket::{Architecture, Mask, Model, Provenance};
use counterfoil_train::data::{DataSource, Dataset, LoadOptions, Split, load, shuffle};
use counterfoil_train::finder::{Imp, Keyed, Scope};
use counterfoil_train::{
    Aim, Checkpoint, DeviceChoice, Examples, Finder, Hold, Network, OwnMark, Schedule, Search, count_hits, fit,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};

/// Which data, and how long to learn from it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Recipe {
    /// Data set: `digits` or a path.
    #[arg(long, default_value = "digits")]
    pub(crate) data: DataSource,
    /// Seeds of data order, initialisation and keys.
    #[arg(long, value_delimiter = ',', default_value = "0,1,2")]
    pub(crate) seeds: Vec<u64>,
    /// Training images, all by default.
    #[arg(long)]
    limit: Option<usize>,
    /// Test images, all by default.
    #[arg(long)]
    limit_test: Option<usize>,
    /// Side that images of a folder are resized to.
    #[arg(long)]
    side: Option<u32>,
    /// Find tickets on images of the first half of the classes, then train and test them on those of the other half.
    #[arg(long)]
    transfer: bool,
    /// Network, of the paper's width.
    #[arg(long, value_enum, default_value_t = Arch::Resnet20)]
    arch: Arch,
    /// Epochs of each pruning round.
    #[arg(long, default_value_t = 4)]
    find_epochs: u32,
    /// Epochs of the training of a ticket.
    #[arg(long, default_value_t = 8)]
    pub(crate) train_epochs: u32,
    /// Epochs of fine-tuning and of recovery after pruning.
    #[arg(long, default_value_t = 3)]
    pub(crate) attack_epochs: u32,
    /// Weight decay.
    #[arg(long, default_value_t = 5e-4)]
    decay: f64,
}

/// The networks of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Arch {
    Resnet20,
    Resnet18,
    Resnet50,
    Vgg16,
}

/// The data and the recipe.
pub(crate) struct Harness {
    pub(crate) recipe: Recipe,
    pub(crate) data: Dataset,
    /// Images that tickets are found on, if not those that they are trained on.
    source: Option<Split>,
}

impl Harness {
    pub(crate) fn new(recipe: Recipe) -> Result<Self, Box<dyn Error>> {
        let options = LoadOptions {
            limit: recipe.limit,
            limit_test: recipe.limit_test,
            resize: recipe.side.map(|side| (side, side)),
            ..LoadOptions::default()
        };
        let mut data = load(&recipe.data, &options)?;
        let mut source = None;
        if recipe.transfer {
            let half = |split: &Split, is_first| split.of_classes(|class| (class < data.classes / 2) == is_first);
            let halves = half(&data.train, true).zip(half(&data.train, false)).zip(half(&data.test, false));
            let ((first, train), test) = halves.ok_or("a half of the classes has no images")?;
            (source, data.train, data.test) = (Some(first), train, test);
        }
        Ok(Self { recipe, data, source })
    }

    /// A fresh network.
    pub(crate) fn network(&self, seed: u64) -> Result<Network, Box<dyn Error>> {
        let device = DeviceChoice::Cpu.open()?;
        Ok(Network::initialise(self.architecture(), self.data.normalisation.clone(), seed, &device))
    }

    /// The network of a model.
    pub(crate) fn loaded(&self, model: &Model) -> Result<Network, Box<dyn Error>> {
        let device = DeviceChoice::Cpu.open()?;
        Ok(Network::from_model(model, self.architecture(), self.data.normalisation.clone(), &device)?)
    }

    /// Of the networks that tickets are found in.
    pub(crate) fn architecture(&self) -> Architecture {
        let (input, classes) = (self.data.train.shape(), self.data.classes);
        match self.recipe.arch {
            Arch::Resnet20 => Architecture::Resnet20 { input, width: 16, classes },
            Arch::Resnet18 => Architecture::Resnet18 { input, width: 64, classes },
            Arch::Resnet50 => Architecture::Resnet50 { input, width: 64, classes },
            Arch::Vgg16 => Architecture::Vgg16 { input, width: 64, classes },
        }
    }

    pub(crate) fn schedule(&self, epochs: u32) -> Schedule {
        Schedule { decay: self.recipe.decay, batch: 64, ..Schedule::paper(epochs) }
    }

    /// Learning rate at the end of the training of a ticket.
    pub(crate) fn last_rate(&self) -> f64 {
        let schedule = self.schedule(self.recipe.train_epochs);
        schedule.rate_at(schedule.epochs - 1)
    }

    /// IMP to `sparsity` in five rounds, rewinding to epoch 1.
    pub(crate) fn find(&self, sparsity: f64, seed: u64, key: Option<(&OwnMark, f64)>) -> Result<Model, Box<dyn Error>> {
        self.find_by(sparsity, 1.0 - (1.0 - sparsity).powf(0.2), seed, key)
    }

    /// IMP to `sparsity` by this share a round, rewinding to epoch 1.
    pub(crate) fn find_by(
        &self,
        sparsity: f64,
        prune_share: f64,
        seed: u64,
        key: Option<(&OwnMark, f64)>,
    ) -> Result<Model, Box<dyn Error>> {
        let keyed = key.map(|(mark, decay)| Keyed { mark, decay, factor: 1.0 });
        self.find_with(&Imp { prune_share, scope: Scope::Global }, self.network(seed)?, sparsity, seed, keyed)
    }

    /// A ticket of `sparsity` by this finder, from this network, rewinding to epoch 1.
    pub(crate) fn find_with(
        &self,
        finder: &dyn Finder,
        network: Network,
        sparsity: f64,
        seed: u64,
        keyed: Option<Keyed>,
    ) -> Result<Model, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        Ok(finder.find(&mut Search {
            network,
            provenance: Provenance::Random,
            examples: Examples::new(self.source.as_ref().unwrap_or(&self.data.train), self.data.augmentation),
            aim: Aim { schedule: self.schedule(self.recipe.find_epochs), sparsity, rewind: 1, seed },
            keyed,
            checkpoint: &Checkpoint::beside(&folder.path().join("ticket"), json!(0)),
            on_event: &mut |_| (),
        })?)
    }

    pub(crate) fn examples<'a>(&'a self, triggers: &'a [TriggerSet]) -> Examples<'a> {
        Examples { triggers, ..Examples::new(&self.data.train, self.data.augmentation) }
    }

    /// The network that a ticket trains to, plainly.
    pub(crate) fn train(&self, ticket: &Model, seed: u64) -> Result<Network, Box<dyn Error>> {
        self.train_with(ticket, seed, &[], BTreeMap::new())
    }

    /// The network that a ticket trains to, with triggers and extra decay.
    pub(crate) fn train_with(
        &self,
        ticket: &Model,
        seed: u64,
        triggers: &[TriggerSet],
        extra_decay: BTreeMap<String, Vec<f32>>,
    ) -> Result<Network, Box<dyn Error>> {
        let network = self.loaded(ticket)?;
        let hold = Hold::new(&network, &ticket.masks, extra_decay);
        let schedule = self.schedule(self.recipe.train_epochs);
        Ok(fit(network, self.examples(triggers), &schedule, &hold, seed, None, &mut |_| ())?)
    }

    /// Training on with the mask held: fine-tuning, or recovery after an attack.
    pub(crate) fn tune(&self, victim: Sparse, rate: f64, seed: u64) -> Result<Sparse, Box<dyn Error>> {
        let tuning = self.tuning(rate, seed);
        Ok(fine_tune(victim, self.examples(&[]), &tuning, &mut |_| ())?)
    }

    pub(crate) fn tuning(&self, rate: f64, seed: u64) -> FineTuning {
        FineTuning { epochs: self.recipe.attack_epochs, rate, seed: seed + 1000 }
    }

    /// The lines of a file. Their settings make them comparable and are in each of them: the recipe's, and an example's own.
    pub(crate) fn lines<const N: usize>(
        &self,
        file: &Path,
        own: [(&str, Value); N],
        fields: &'static [&'static str],
    ) -> Result<Lines, Box<dyn Error>> {
        let mut settings = self.settings();
        own.into_iter().for_each(|(name, value)| settings[name] = value);
        Lines::open(file, settings, fields)
    }

    fn settings(&self) -> Value {
        let recipe = &self.recipe;
        let mut settings = json!({
            "limit": recipe.limit, "limit_test": recipe.limit_test, "side": recipe.side,
            "find_epochs": recipe.find_epochs, "train_epochs": recipe.train_epochs,
            "attack_epochs": recipe.attack_epochs, "decay": recipe.decay,
        });
        // Lines from before there was a choice have none of these.
        if recipe.transfer {
            settings["transfer"] = true.into();
        }
        if recipe.arch != Arch::Resnet20 {
            settings["arch"] = self.architecture().name().into();
        }
        settings
    }
}

/// JSON lines in a file, each told from the others by some of its fields; appended as soon as they are made.
pub(crate) struct Lines {
    file: PathBuf,
    settings: Value,
    fields: &'static [&'static str],
    done: BTreeSet<String>,
}

impl Lines {
    /// The lines that are there already, which must have been made with the same settings.
    fn open(file: &Path, settings: Value, fields: &'static [&'static str]) -> Result<Self, Box<dyn Error>> {
        let text = match read_to_string(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            other => other?,
        };
        let mut lines = Self { file: file.to_owned(), settings, fields, done: BTreeSet::new() };
        for (i, line) in text.lines().enumerate() {
            let at = || format!("{}, line {}", file.display(), i + 1);
            let line: Value = serde_json::from_str(line).map_err(|error| format!("{}: {error}", at()))?;
            if line["settings"] != lines.settings {
                return Err(format!("{}: made with other settings, expected {}", at(), lines.settings).into());
            }
            lines.done.insert(lines.identity(&line));
        }
        Ok(lines)
    }

    fn identity(&self, line: &Value) -> String {
        self.fields.iter().map(|field| format!("{}\n", line[field])).collect()
    }

    /// Whether a line with these fields is there.
    pub(crate) fn has(&self, line: &Value) -> bool {
        self.done.contains(&self.identity(line))
    }

    /// Appends a line at once, so that a run that is killed leaves whole lines.
    pub(crate) fn write(&mut self, line: Value) -> Result<(), Box<dyn Error>> {
        self.write_all(vec![line])
    }

    /// Appends lines together.
    pub(crate) fn write_all(&mut self, mut lines: Vec<Value>) -> Result<(), Box<dyn Error>> {
        lines.iter_mut().for_each(|line| line["settings"] = self.settings.clone());
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let mut file = OpenOptions::new().create(true).append(true).open(&self.file)?;
        file.write_all(text.as_bytes())?;
        print!("{text}");
        self.done.extend(lines.iter().map(|line| self.identity(line)).collect::<Vec<_>>());
        Ok(())
    }
}

/// Who has a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Holder {
    Owner = 1,
    Thief = 2,
}

/// A private key of its own for each seed.
pub(crate) fn key_of(holder: Holder, seed: u64) -> OwnerKey {
    let mut bytes = [holder as u8; 32];
    bytes[..8].copy_from_slice(&(seed + 1).to_le_bytes());
    OwnerKey::from_seed(&bytes)
}

/// Swaps with a single sealed panel, which gets half of the mark: the other half is public.
pub(crate) fn halved_swaps() -> SwapSettings {
    SwapSettings { sealed: PanelCount::new(1), ..SwapSettings::default() }
}

/// A ticket that is stamped by swaps alone.
pub(crate) fn stamp(ticket: &Model, key: &OwnerKey, swaps: SwapSettings) -> Result<Stamped, StampingError> {
    finish(prepare(ticket, key, StampRequest { swaps, keyed: None, provenance: None })?)
}

/// Signs a claim whose time and subject are no matter.
pub(crate) fn finish(prepared: Prepared) -> Result<Stamped, StampingError> {
    prepared.finish("2026-01-01T00:00:00Z", "measured")
}

/// A mark of four sealed panels that a ticket is found under.
pub(crate) struct FoundMark {
    pub(crate) mark: OwnMark,
    master: MasterSeed,
    sealed: PanelCount,
}

impl FoundMark {
    pub(crate) fn of(key: &OwnerKey, architecture: &Architecture) -> Self {
        let (master, sealed) = (key.master_seed(&[9; 32]), PanelCount::new(4).expect("four panels are allowed"));
        let carriers = architecture.prunable_carriers();
        Self { mark: OwnMark::under(key.public(), &master, sealed, &carriers), master, sealed }
    }

    /// What stamps the ticket: swaps where finding has not put in enough.
    pub(crate) fn request(self, decay: f64) -> StampRequest {
        let swaps = SwapSettings::top_up(self.sealed, Dilution::ALL[0]);
        let keyed = KeyedFinding { master: self.master, decay: Some(decay), factor: None };
        StampRequest { swaps, keyed: Some(keyed), provenance: None }
    }
}

pub(crate) fn evidence(tally: Tally, c: u32) -> Value {
    let log2_p = log2_upper_tail(tally, Chance::one_in(c)).bits();
    json!({ "n": tally.n(), "hits": tally.hits(), "log2_p": log2_p })
}

/// Tallies of the public panel and of all sealed ones.
pub(crate) fn halves(counterfoil: &Counterfoil, masks: &BTreeMap<String, Mask>) -> (Tally, Tally) {
    let seeds = counterfoil.seeds();
    let seeds: Vec<_> = seeds.iter().map(|(panel, seed)| (*panel, seed)).collect();
    let sealed = counterfoil.sealed_panels();
    let (mut public, mut hidden) = (Vec::new(), Vec::new());
    for (carrier, _) in counterfoil.reference() {
        let chips = chip_map(&seeds, counterfoil.public_key(), &counterfoil.split(), carrier, counterfoil.dilution());
        public.push(tally(&masks[&carrier.name], &chips, PanelId::PUBLIC));
        hidden.extend(sealed.sealed().map(|panel| tally(&masks[&carrier.name], &chips, panel)));
    }
    (public.into_iter().sum(), hidden.into_iter().sum())
}

pub(crate) fn trigger_tally(network: &Network, set: &TriggerSet) -> Tally {
    let hits = count_hits(network, set);
    Tally::new(set.labels.len() as u64, hits as u64).expect("there are no more hits than queries")
}

/// As many positions of each layer, at random.
pub(crate) fn shuffled(mut ticket: Model, seed: u64) -> Model {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for mask in ticket.masks.values_mut() {
        let mut positions: Vec<usize> = (0..mask.size()).collect();
        shuffle(&mut positions, &mut rng);
        let mut shuffled = Mask::empty(mask.size());
        positions[..mask.kept()].iter().for_each(|&position| shuffled.set(position, true));
        *mask = shuffled;
    }
    ticket
}
