//! Measures marks: what finding under a key, swaps and reinforcement give, what each costs in accuracy, and what attacks
//! leave. One JSON line a measurement, appended as soon as it is made; docs/results/ is made from these lines. A run that
//! was stopped goes on behind the lines that are there.
//!
//! ```text
//! cargo run -p counterfoil-attack --example strength -- --data digits --seeds 0,1,2 -o strength.jsonl
//! ```

mod harness;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use counterfoil_attack::{FineTuning, Growth, Rewiring, Sparse, Victims, prune, rewire};
use counterfoil_claim::{Counterfoil, Dilution, OwnerKey};
use counterfoil_mark::{StampRequest, SwapSettings, Tally, TriggerSet, prepare};
use counterfoil_ticket::Model;
use counterfoil_train::{OwnMark, count_correct};
use harness::{
    FoundMark, Harness, Holder, Lines, Recipe, evidence, finish, halved_swaps, halves, key_of, trigger_tally,
};
use serde_json::json;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    recipe: Recipe,
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

/// What tells lines apart.
const FIELDS: &[&str] = &["seed", "subject", "attack"];

/// Share of the weights that a ticket prunes.
const SPARSITY: f64 = 0.95;

struct Bench {
    args: Args,
    harness: Harness,
    lines: Lines,
    seed: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let harness = Harness::new(args.recipe.clone())?;
    let own = [("dilution", args.dilution.into()), ("triggers", (!args.no_triggers).into())];
    let lines = harness.lines(&args.output, own, FIELDS)?;
    let mut bench = Bench { args, harness, lines, seed: 0 };
    for seed in bench.harness.recipe.seeds.clone() {
        bench.seed = seed;
        bench.run()?;
    }
    Ok(())
}

impl Bench {
    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let key = key_of(Holder::Owner, self.seed);
        let swaps: Vec<(String, f64)> =
            self.args.reinforce.iter().map(|&decay| (format!("swaps λ={}", scientific(decay)), decay)).collect();
        if self.is_open(UNMARKED) || swaps.iter().any(|(name, _)| self.is_open(name)) {
            let ticket = self.harness.find(SPARSITY, self.seed, None)?;
            self.measure(&Subject { name: UNMARKED, ticket: &ticket, counterfoil: None, moved: 0.0, decay: 0.0 })?;
            let dilution = self.args.dilution.and_then(Dilution::new);
            let settings = SwapSettings { dilution, ..halved_swaps() };
            for (name, decay) in &swaps {
                let request = StampRequest { swaps: settings, keyed: None, provenance: None };
                self.stamp_and_measure(name, &ticket, &key, request, *decay)?;
            }
        }
        for decay in self.args.keyed.clone() {
            let name = format!("keyed λ={}", scientific(decay));
            if !self.is_open(&name) {
                continue;
            }
            let found = FoundMark::of(&key, &self.harness.architecture());
            let ticket = self.harness.find(SPARSITY, self.seed, Some((&found.mark, decay)))?;
            self.stamp_and_measure(&name, &ticket, &key, found.request(decay), decay)?;
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
            let of = |attack: &str| self.lines.has(&json!({ "seed": self.seed, "subject": subject, "attack": attack }));
            of(attack) || of(REFUSED)
        };
        ATTACKS.into_iter().filter(|attack| asked(attack) && !done(attack)).collect()
    }

    fn is_open(&self, subject: &str) -> bool {
        !self.open(subject).is_empty()
    }

    fn stamp_and_measure(
        &mut self,
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
                    "data": self.harness.data.name, "seed": self.seed, "subject": name, "attack": REFUSED,
                    "reason": error.to_string(),
                });
                return self.lines.write(line);
            }
        };
        let moved = prepared.plan().moved_share();
        let stamped = finish(prepared)?;
        let counterfoil = Some(&stamped.counterfoil);
        self.measure(&Subject { name, ticket: &stamped.model, counterfoil, moved, decay })
    }

    /// Trains the subject, attacks it in every way that is asked for, and writes a line for each that is not there yet.
    fn measure(&mut self, subject: &Subject) -> Result<(), Box<dyn Error>> {
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
        let network = self.harness.train_with(subject.ticket, self.seed, &triggers, extra)?;
        let masks = subject.ticket.masks.clone();
        let trained = Sparse { network, masks };
        let last_rate = self.harness.last_rate();
        for attack in open {
            let started = if attack == "none" { started } else { Instant::now() };
            let attacked = self.attack(attack, trained.clone(), last_rate)?;
            self.line(subject, attack, &trained, &attacked, &triggers, started)?;
        }
        Ok(())
    }

    /// A trained model after one of [`ATTACKS`]; `last_rate` is the last of its training.
    fn attack(&self, name: &str, victim: Sparse, last_rate: f64) -> Result<Sparse, Box<dyn Error>> {
        let tuned = |victim, rate| self.harness.tune(victim, rate, self.seed);
        Ok(match name {
            "none" => victim,
            "ft-all" => tuned(victim, last_rate)?,
            "prune-mag 50 % + ft" => tuned(prune(victim, 0.5, Victims::Smallest), 0.01)?,
            "prune-mag 80 % + ft" => tuned(prune(victim, 0.8, Victims::Smallest), 0.01)?,
            "prune-rand 50 % + ft" => tuned(prune(victim, 0.5, Victims::Random(7)), 0.01)?,
            "rigl" => {
                let examples = self.harness.examples(&[]);
                let rewiring = Rewiring {
                    share: 0.31,
                    // An epoch, in batches of 128.
                    interval: u32::try_from(examples.len().div_ceil(128))?,
                    growth: Growth::Gradient,
                    training: FineTuning { epochs: 8, ..self.harness.tuning(0.05, self.seed) },
                };
                rewire(victim, examples, &rewiring, &mut |_| ())?
            }
            _ => return Err(format!("'{name}' is not an attack").into()),
        })
    }

    fn line(
        &mut self,
        subject: &Subject,
        attack: &str,
        before: &Sparse,
        after: &Sparse,
        triggers: &[TriggerSet],
        started: Instant,
    ) -> Result<(), Box<dyn Error>> {
        let correct = count_correct(&after.network, &self.harness.data.test)?;
        let mut line = json!({
            "data": self.harness.data.name, "side": self.harness.data.train.shape().height,
            "images": self.harness.data.train.len(), "seed": self.seed, "subject": subject.name, "lambda": subject.decay, "moved": subject.moved,
            "attack": attack, "correct": correct, "of": self.harness.data.test.len(), "kept": after.kept(),
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
                let classes = self.harness.data.classes;
                line["triggers"] = json!({ "public": evidence(public, classes), "sealed": evidence(sealed, classes) });
            }
        }
        self.lines.write(line)
    }
}

/// `1e-3`, but `0`.
fn scientific(value: f64) -> String {
    if value == 0.0 { "0".into() } else { format!("{value:e}") }
}
