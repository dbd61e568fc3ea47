//! Measures marks: what finding under a key, swaps and reinforcement give, what each costs in accuracy, and what attacks
//! leave. One JSON line a measurement, appended as soon as it is made; docs/results/ is made from these lines.
//!
//! ```text
//! cargo run -p counterfoil-attack --example strength -- --data digits --seeds 0,1,2 -o strength.jsonl
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
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
    Checkpoint, DeviceChoice, Event, Examples, Hold, ImpSettings, Network, OwnMark, Schedule, classify, count_correct,
    find, fit,
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

/// An attack on a trained model.
type Attack<'a> = dyn Fn(Sparse) -> Result<Sparse, counterfoil_train::TrainError> + 'a;

/// One subject to be measured: a stamped (or unmarked) ticket and how to train it.
struct Subject<'a> {
    name: String,
    ticket: &'a Model,
    counterfoil: Option<&'a Counterfoil>,
    moved: f64,
    decay: f64,
}

struct Bench {
    args: Args,
    data: Dataset,
    seed: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let options = LoadOptions {
        limit: args.limit,
        limit_test: args.limit_test,
        resize: args.side.map(|side| (side, side)),
        ..LoadOptions::default()
    };
    let data = load(&args.data, &options)?;
    let seeds = args.seeds.clone();
    let mut bench = Bench { args, data, seed: 0 };
    for seed in seeds {
        bench.seed = seed;
        bench.run()?;
    }
    Ok(())
}

impl Bench {
    fn run(&self) -> Result<(), Box<dyn Error>> {
        let key = OwnerKey::from_seed(&key_seed(self.seed));
        let ticket = self.find(None)?;
        self.measure(&Subject { name: "unmarked".into(), ticket: &ticket, counterfoil: None, moved: 0.0, decay: 0.0 })?;
        let dilution = self.args.dilution.and_then(Dilution::new);
        let request = StampRequest {
            swaps: SwapSettings { dilution, sealed: PanelCount::new(1), ..SwapSettings::default() },
            keyed: None,
            provenance: None,
        };
        let prepared = prepare(&ticket, &key, request)?;
        let moved = prepared.plan().moved_share();
        let stamped = prepared.finish("2026-01-01T00:00:00Z", "measured")?;
        for &decay in &self.args.reinforce {
            self.measure(&Subject {
                name: format!("swaps D={} λ={decay:e}", stamped.counterfoil.dilution().get()),
                ticket: &stamped.model,
                counterfoil: Some(&stamped.counterfoil),
                moved,
                decay,
            })?;
        }
        for &decay in &self.args.keyed {
            let master = key.master_seed(&[9; 32]);
            let sealed = PanelCount::new(4).ok_or("four panels")?;
            let mark = OwnMark::under(key.public(), &master, sealed);
            let ticket = self.find(Some((&mark, decay)))?;
            let request = StampRequest {
                swaps: SwapSettings::top_up(sealed, Dilution::ALL[0]),
                keyed: Some(KeyedFinding { master, decay }),
                provenance: None,
            };
            let prepared = match prepare(&ticket, &key, request) {
                Ok(prepared) => prepared,
                Err(error) => {
                    let subject = format!("keyed λ={decay:e}");
                    self.write(&json!({
                        "data": self.data.name, "seed": self.seed, "subject": subject, "attack": "refused",
                        "reason": error.to_string(),
                    }))?;
                    continue;
                }
            };
            let moved = prepared.plan().moved_share();
            let stamped = prepared.finish("2026-01-01T00:00:00Z", "measured")?;
            self.measure(&Subject {
                name: format!("keyed λ={decay:e}"),
                ticket: &stamped.model,
                counterfoil: Some(&stamped.counterfoil),
                moved,
                decay,
            })?;
        }
        Ok(())
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

    /// Trains the subject, attacks it in every way, and writes a line for each.
    fn measure(&self, subject: &Subject) -> Result<(), Box<dyn Error>> {
        let started = Instant::now();
        let mark = subject.counterfoil.map(OwnMark::of_counterfoil);
        let triggers =
            match (&mark, subject.counterfoil.and_then(Counterfoil::triggers).filter(|_| !self.args.no_triggers)) {
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
        let mut quiet = |_: Event| ();
        let network = fit(network, self.examples(&triggers), &schedule, &hold, self.seed, None, &mut quiet)?;
        let trained = Sparse { network, masks };
        self.line(subject, "none", &trained, &trained, &triggers, started)?;
        if subject.counterfoil.is_none() {
            return Ok(()); // There is no mark to attack.
        }

        let epochs = self.args.attack_epochs;
        let rate = schedule.rate_at(schedule.epochs - 1);
        let tuning = |rate: f64| FineTuning { epochs, rate, seed: self.seed + 1000 };
        let attacks: [(&str, &Attack); 5] = [
            ("ft-all", &|v| fine_tune(v, self.examples(&[]), &tuning(rate), &mut |_| ())),
            ("prune-mag 50 % + ft", &|v| {
                fine_tune(prune(v, 0.5, Victims::Smallest), self.examples(&[]), &tuning(0.01), &mut |_| ())
            }),
            ("prune-mag 80 % + ft", &|v| {
                fine_tune(prune(v, 0.8, Victims::Smallest), self.examples(&[]), &tuning(0.01), &mut |_| ())
            }),
            ("prune-rand 50 % + ft", &|v| {
                fine_tune(prune(v, 0.5, Victims::Random(7)), self.examples(&[]), &tuning(0.01), &mut |_| ())
            }),
            ("rigl", &|v| {
                let rewiring = Rewiring { share: 0.31, training: FineTuning { epochs: 8, ..tuning(0.05) } };
                rewire(v, self.examples(&[]), &rewiring, &mut |_| ())
            }),
        ];
        let asked = |name: &str| self.args.attacks.as_ref().is_none_or(|list| list.iter().any(|a| name.starts_with(a)));
        for (name, attack) in attacks.into_iter().filter(|(name, _)| asked(name)) {
            let started = Instant::now();
            let attacked = attack(trained.clone())?;
            self.line(subject, name, &trained, &attacked, &triggers, started)?;
        }
        Ok(())
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
            line["mask"] = json!({ "public": evidence(public, 2), "sealed": evidence(sealed, 2) });
            let answers =
                |sets: &[TriggerSet]| -> Tally { sets.iter().map(|set| trigger_tally(&after.network, set)).sum() };
            if let [public, sealed @ ..] = triggers {
                let (public, sealed) = (answers(std::slice::from_ref(public)), answers(sealed));
                let classes = self.data.classes;
                line["triggers"] = json!({ "public": evidence(public, classes), "sealed": evidence(sealed, classes) });
            }
        }
        self.write(&line)
    }

    fn write(&self, line: &Value) -> Result<(), Box<dyn Error>> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.args.output)?;
        writeln!(file, "{line}")?;
        println!("{line}");
        Ok(())
    }
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
