//! Measures marks: what finding under a key, swaps and reinforcement give, what each costs in accuracy, and what attacks
//! leave. One JSON line a measurement, appended as soon as it is made; docs/results/ is made from these lines. A run that
//! was stopped goes on behind the lines that are there.
//!
//! ```text
//! cargo run -p counterfoil-attack --example strength -- --data digits --seeds 0,1,2 -o strength.jsonl
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::{OpenOptions, read_to_string};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use counterfoil_attack::{FineTuning, Rewiring, Sparse, Victims, fine_tune, prune, rewire};
use counterfoil_claim::{Counterfoil, Dilution, OwnerKey, PanelCount, PanelId};
use counterfoil_mark::{
    Chance, KeyedFinding, StampRequest, SwapSettings, Tally, TriggerSet, chip_map, log2_upper_tail, prepare, tally,
};
use counterfoil_ticket::{Architecture, Model};
use counterfoil_train::data::{DataSource, Dataset, LoadOptions, load};
use counterfoil_train::{
    Checkpoint, DeviceChoice, Examples, Hold, ImpSettings, Network, OwnMark, Schedule, classify, count_correct, find,
    fit,
};
use serde_json::{Value, json};

#[derive(Parser)]
struct Args {
    /// Data set: `digits` or a path.
    #[arg(long, default_value = "digits")]
    data: DataSource,
    /// Seeds of data order, initialisation and keys.
    #[arg(long, value_delimiter = ',', default_value = "0,1,2")]
    seeds: Vec<u64>,
    /// Training images, all by default.
    #[arg(long)]
    limit: Option<usize>,
    /// Test images, all by default.
    #[arg(long)]
    limit_test: Option<usize>,
    /// Side that images of a folder are resized to.
    #[arg(long)]
    side: Option<u32>,
    /// Epochs of each pruning round.
    #[arg(long, default_value_t = 4)]
    find_epochs: u32,
    /// Epochs of the training of a stamped ticket.
    #[arg(long, default_value_t = 8)]
    train_epochs: u32,
    /// Epochs of fine-tuning and of recovery after pruning.
    #[arg(long, default_value_t = 3)]
    attack_epochs: u32,
    /// Weight decay.
    #[arg(long, default_value_t = 5e-4)]
    decay: f64,
    /// Extra decay λ of keyed finding; none with `--keyed` alone.
    #[arg(long, value_delimiter = ',', num_args = 0.., default_value = "1e-3,3e-3,6e-3")]
    keyed: Vec<f64>,
    /// Extra decay λ of reinforcement after swaps.
    #[arg(long, value_delimiter = ',', default_value = "0,1e-3,3e-3")]
    reinforce: Vec<f64>,
    /// Dilution of swaps; the planner's choice by default.
    #[arg(long)]
    dilution: Option<u8>,
    /// Attacks to make, by the beginning of their names; all by default.
    #[arg(long, value_delimiter = ',')]
    attacks: Option<Vec<String>>,
    /// Leave the triggers out, to see what they cost.
    #[arg(long)]
    no_triggers: bool,
    /// Where the lines go; the file is appended to.
    #[arg(short, long)]
    output: PathBuf,
}

/// What is done to a trained model, in the order in which it is measured.
const ATTACKS: [&str; 6] =
    ["none", "ft-all", "prune-mag 50 % + ft", "prune-mag 80 % + ft", "prune-rand 50 % + ft", "rigl"];

const UNMARKED: &str = "unmarked";
/// In the place of the attack: the mark would have missed its target.
const REFUSED: &str = "refused";

/// One subject to be measured: a stamped (or unmarked) ticket and how to train it.
struct Subject<'a> {
    name: &'a str,
    ticket: &'a Model,
    counterfoil: Option<&'a Counterfoil>,
    moved: f64,
    decay: f64,
}

/// Seed, subject and attack of a line.
type Measured = (u64, String, String);

struct Bench {
    args: Args,
    data: Dataset,
    seed: u64,
    /// What the output holds already.
    done: BTreeSet<Measured>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let done = args.measured()?;
    let options = LoadOptions {
        limit: args.limit,
        limit_test: args.limit_test,
        resize: args.side.map(|side| (side, side)),
        ..LoadOptions::default()
    };
    let data = load(&args.data, &options)?;
    let seeds = args.seeds.clone();
    let mut bench = Bench { args, data, seed: 0, done };
    for seed in seeds {
        bench.seed = seed;
        bench.run()?;
    }
    Ok(())
}

impl Args {
    /// What makes lines comparable, and is in each of them.
    fn settings(&self) -> Value {
        json!({
            "limit": self.limit, "limit_test": self.limit_test, "side": self.side, "find_epochs": self.find_epochs,
            "train_epochs": self.train_epochs, "attack_epochs": self.attack_epochs, "decay": self.decay,
            "dilution": self.dilution, "triggers": !self.no_triggers,
        })
    }

    /// What the output holds already. It must have been made with the same settings.
    fn measured(&self) -> Result<BTreeSet<Measured>, Box<dyn Error>> {
        let text = match read_to_string(&self.output) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            other => other?,
        };
        let line = |(i, line): (usize, &str)| -> Result<Measured, Box<dyn Error>> {
            let at = || format!("{}, line {}", self.output.display(), i + 1);
            let line: Value = serde_json::from_str(line).map_err(|error| format!("{}: {error}", at()))?;
            if line["settings"] != self.settings() {
                return Err(format!("{}: made with other settings, expected {}", at(), self.settings()).into());
            }
            let text = |key: &str| line[key].as_str().map(str::to_owned).ok_or_else(|| format!("{}: no {key}", at()));
            Ok((line["seed"].as_u64().ok_or_else(|| format!("{}: no seed", at()))?, text("subject")?, text("attack")?))
        };
        text.lines().enumerate().map(line).collect()
    }
}

impl Bench {
    fn run(&self) -> Result<(), Box<dyn Error>> {
        let key = OwnerKey::from_seed(&key_seed(self.seed));
        let swaps: Vec<(String, f64)> =
            self.args.reinforce.iter().map(|&decay| (format!("swaps λ={}", scientific(decay)), decay)).collect();
        if self.is_open(UNMARKED) || swaps.iter().any(|(name, _)| self.is_open(name)) {
            let ticket = self.find(None)?;
            self.measure(&Subject { name: UNMARKED, ticket: &ticket, counterfoil: None, moved: 0.0, decay: 0.0 })?;
            let dilution = self.args.dilution.and_then(Dilution::new);
            let settings = SwapSettings { dilution, sealed: PanelCount::new(1), ..SwapSettings::default() };
            for (name, decay) in &swaps {
                let request = StampRequest { swaps: settings, keyed: None, provenance: None };
                self.stamp_and_measure(name, &ticket, &key, request, *decay)?;
            }
        }
        for &decay in &self.args.keyed {
            let name = format!("keyed λ={}", scientific(decay));
            if !self.is_open(&name) {
                continue;
            }
            let master = key.master_seed(&[9; 32]);
            let sealed = PanelCount::new(4).ok_or("four panels")?;
            let mark = OwnMark::under(key.public(), &master, sealed);
            let ticket = self.find(Some((&mark, decay)))?;
            let request = StampRequest {
                swaps: SwapSettings::top_up(sealed, Dilution::ALL[0]),
                keyed: Some(KeyedFinding { master, decay }),
                provenance: None,
            };
            self.stamp_and_measure(&name, &ticket, &key, request, decay)?;
        }
        Ok(())
    }

    /// The asked attacks on a subject that no line holds yet.
    fn open(&self, subject: &str) -> Vec<&'static str> {
        let asked = |attack: &str| {
            // There is no mark to attack.
            let unmarked = subject == UNMARKED;
            attack == "none"
                || !unmarked && self.args.attacks.as_ref().is_none_or(|list| list.iter().any(|a| attack.starts_with(a)))
        };
        let done = |attack: &str| {
            let of = |attack: &str| self.done.contains(&(self.seed, subject.to_owned(), attack.to_owned()));
            of(attack) || of(REFUSED)
        };
        ATTACKS.into_iter().filter(|attack| asked(attack) && !done(attack)).collect()
    }

    fn is_open(&self, subject: &str) -> bool {
        !self.open(subject).is_empty()
    }

    fn stamp_and_measure(
        &self,
        name: &str,
        ticket: &Model,
        key: &OwnerKey,
        request: StampRequest,
        decay: f64,
    ) -> Result<(), Box<dyn Error>> {
        let prepared = match prepare(ticket, key, request) {
            Ok(prepared) => prepared,
            Err(error) => {
                let line = json!({
                    "data": self.data.name, "seed": self.seed, "subject": name, "attack": REFUSED,
                    "reason": error.to_string(),
                });
                return self.write(line);
            }
        };
        let moved = prepared.plan().moved_share();
        let stamped = prepared.finish("2026-01-01T00:00:00Z", "measured")?;
        let counterfoil = Some(&stamped.counterfoil);
        self.measure(&Subject { name, ticket: &stamped.model, counterfoil, moved, decay })
    }

    fn network(&self) -> Result<Network, Box<dyn Error>> {
        let (input, classes) = (self.data.train.shape(), self.data.classes);
        let architecture = Architecture::Resnet20 { input, width: 16, classes };
        let device = DeviceChoice::Cpu.open()?;
        Ok(Network::initialise(architecture, self.data.normalisation.clone(), self.seed, &device))
    }

    fn schedule(&self, epochs: u32) -> Schedule {
        Schedule { decay: self.args.decay, batch: 64, ..Schedule::paper(epochs) }
    }

    /// IMP to 5 % in five rounds, rewinding to epoch 1.
    fn find(&self, key: Option<(&OwnMark, f64)>) -> Result<Model, Box<dyn Error>> {
        let settings = ImpSettings {
            schedule: self.schedule(self.args.find_epochs),
            sparsity: 0.95,
            prune_share: 1.0 - 0.05_f64.powf(0.2),
            rewind: 1,
            seed: self.seed,
            keyed_decay: key.map(|(_, decay)| decay),
        };
        let folder = tempfile::tempdir()?;
        let checkpoint = Checkpoint::beside(&folder.path().join("ticket"), json!(0));
        let mark = key.map(|(mark, _)| mark);
        Ok(find(self.network()?, self.examples(&[]), &settings, mark, &checkpoint, &mut |_| ())?)
    }

    fn examples<'a>(&'a self, triggers: &'a [TriggerSet]) -> Examples<'a> {
        Examples { split: &self.data.train, augmentation: self.data.augmentation, triggers }
    }

    /// Trains the subject, attacks it in every way that is asked for, and writes a line for each that is not there yet.
    fn measure(&self, subject: &Subject) -> Result<(), Box<dyn Error>> {
        let open = self.open(subject.name);
        if open.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let mark = subject.counterfoil.map(OwnMark::of_counterfoil);
        let settings = subject.counterfoil.and_then(Counterfoil::triggers).filter(|_| !self.args.no_triggers);
        let triggers = match (&mark, settings) {
            (Some(mark), Some(settings)) => mark.trigger_sets(settings)?,
            _ => Vec::new(),
        };
        let carriers = subject.ticket.marked_carriers();
        let extra = mark.as_ref().map_or_else(BTreeMap::new, |mark| mark.extra_decay(&carriers, subject.decay));
        let architecture = self.network()?.architecture().clone();
        let device = DeviceChoice::Cpu.open()?;
        let network = Network::from_model(subject.ticket, architecture, self.data.normalisation.clone(), &device)?;
        let masks = subject.ticket.masks.clone();
        let hold = Hold::new(&network, &masks, extra);
        let schedule = self.schedule(self.args.train_epochs);
        let network = fit(network, self.examples(&triggers), &schedule, &hold, self.seed, None, &mut |_| ())?;
        let trained = Sparse { network, masks };
        let last_rate = schedule.rate_at(schedule.epochs - 1);
        for attack in open {
            let started = if attack == "none" { started } else { Instant::now() };
            let attacked = self.attack(attack, trained.clone(), last_rate)?;
            self.line(subject, attack, &trained, &attacked, &triggers, started)?;
        }
        Ok(())
    }

    /// A trained model after one of [`ATTACKS`]; `last_rate` is the last of its training.
    fn attack(&self, name: &str, victim: Sparse, last_rate: f64) -> Result<Sparse, Box<dyn Error>> {
        let tuning = |rate: f64| FineTuning { epochs: self.args.attack_epochs, rate, seed: self.seed + 1000 };
        let tuned = |victim, rate| fine_tune(victim, self.examples(&[]), &tuning(rate), &mut |_| ());
        Ok(match name {
            "none" => victim,
            "ft-all" => tuned(victim, last_rate)?,
            "prune-mag 50 % + ft" => tuned(prune(victim, 0.5, Victims::Smallest), 0.01)?,
            "prune-mag 80 % + ft" => tuned(prune(victim, 0.8, Victims::Smallest), 0.01)?,
            "prune-rand 50 % + ft" => tuned(prune(victim, 0.5, Victims::Random(7)), 0.01)?,
            "rigl" => {
                let rewiring = Rewiring { share: 0.31, training: FineTuning { epochs: 8, ..tuning(0.05) } };
                rewire(victim, self.examples(&[]), &rewiring, &mut |_| ())?
            }
            _ => return Err(format!("'{name}' is not an attack").into()),
        })
    }

    fn line(
        &self,
        subject: &Subject,
        attack: &str,
        before: &Sparse,
        after: &Sparse,
        triggers: &[TriggerSet],
        started: Instant,
    ) -> Result<(), Box<dyn Error>> {
        let correct = count_correct(&after.network, &self.data.test)?;
        let mut line = json!({
            "data": self.data.name, "side": self.data.train.shape().height, "images": self.data.train.len(),
            "seed": self.seed, "subject": subject.name, "lambda": subject.decay, "moved": subject.moved,
            "attack": attack, "correct": correct, "of": self.data.test.len(), "kept": after.kept(),
            "turnover": after.turnover(before), "seconds": started.elapsed().as_secs_f64(),
        });
        if let Some(counterfoil) = subject.counterfoil {
            let (public, sealed) = halves(counterfoil, &after.masks);
            line["dilution"] = counterfoil.dilution().get().into();
            line["mask"] = json!({ "public": evidence(public, 2), "sealed": evidence(sealed, 2) });
            let answers =
                |sets: &[TriggerSet]| -> Tally { sets.iter().map(|set| trigger_tally(&after.network, set)).sum() };
            if let [public, sealed @ ..] = triggers {
                let (public, sealed) = (answers(std::slice::from_ref(public)), answers(sealed));
                let classes = self.data.classes;
                line["triggers"] = json!({ "public": evidence(public, classes), "sealed": evidence(sealed, classes) });
            }
        }
        self.write(line)
    }

    fn write(&self, mut line: Value) -> Result<(), Box<dyn Error>> {
        line["settings"] = self.args.settings();
        let mut file = OpenOptions::new().create(true).append(true).open(&self.args.output)?;
        // At once, so that a run that is killed leaves whole lines.
        file.write_all(format!("{line}\n").as_bytes())?;
        println!("{line}");
        Ok(())
    }
}

/// `1e-3`, but `0`.
fn scientific(value: f64) -> String {
    if value == 0.0 { "0".into() } else { format!("{value:e}") }
}

/// A private key of its own for each seed.
fn key_seed(seed: u64) -> [u8; 32] {
    let mut bytes = [1; 32];
    bytes[..8].copy_from_slice(&(seed + 1).to_le_bytes());
    bytes
}

fn evidence(tally: Tally, c: u32) -> Value {
    let log2_p = log2_upper_tail(tally, Chance::one_in(c)).bits();
    json!({ "n": tally.n(), "hits": tally.hits(), "log2_p": log2_p })
}

/// Tallies of the public panel and of all sealed ones.
fn halves(counterfoil: &Counterfoil, masks: &BTreeMap<String, counterfoil_ticket::Mask>) -> (Tally, Tally) {
    let seeds = counterfoil.seeds();
    let seeds: Vec<_> = seeds.iter().map(|(panel, seed)| (*panel, seed)).collect();
    let sealed = counterfoil.sealed_panels();
    let (mut public, mut hidden) = (Vec::new(), Vec::new());
    for (carrier, _) in counterfoil.reference() {
        let chips = chip_map(&seeds, counterfoil.public_key(), sealed, carrier, counterfoil.dilution());
        public.push(tally(&masks[&carrier.name], &chips, PanelId::PUBLIC));
        hidden.extend(sealed.sealed().map(|panel| tally(&masks[&carrier.name], &chips, panel)));
    }
    (public.into_iter().sum(), hidden.into_iter().sum())
}

fn trigger_tally(network: &Network, set: &TriggerSet) -> Tally {
    let answers = classify(network, &set.images);
    let hits = answers.iter().zip(&set.labels).filter(|(a, b)| **a == Some(**b)).count();
    Tally::new(set.labels.len() as u64, hits as u64).expect("there are no more hits than queries")
}
