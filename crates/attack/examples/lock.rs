//! Measures key masks: what a locked ticket trains to, by strategy and share held back, without its key mask, with it, and
//! with as many positions guessed; tickets are stamped where they are large enough. One JSON line a training, appended as
//! soon as it is made; a run that was stopped goes on behind the lines that are there.
//!
//! ```text
//! cargo run -p counterfoil-attack --example lock -- --data digits --seeds 0,1,2 -o lock.jsonl
//! ```

mod harness;

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use counterfoil_attack::{Guess, add_back};
use counterfoil_claim::Counterfoil;
use counterfoil_mark::{
    Betweenness, Locked, Magnitude, Paths, Random, StampError, Stamped, StampingError, Strategy, lock,
};
use counterfoil_ticket::{Mask, Model};
use counterfoil_train::data::Augmentation;
use counterfoil_train::{DeviceChoice, Examples, Hessian, IntegratedGradients, Probe, Taylor, count_correct};
use harness::{Harness, Holder, Lines, Recipe, evidence, halved_swaps, halves, key_of, stamp};
use serde_json::{Value, json};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    recipe: Recipe,
    /// Share of the weights that the ticket prunes.
    #[arg(long, default_value_t = 0.95)]
    sparsity: f64,
    /// Shares of the kept weights that are held back.
    #[arg(long, value_delimiter = ',', default_value = "0.05,0.1,0.2,0.3,0.5")]
    fractions: Vec<f64>,
    /// Strategies, all by default.
    #[arg(long, value_delimiter = ',')]
    strategies: Option<Vec<String>>,
    /// What is trained of each locked ticket.
    #[arg(long, value_delimiter = ',', default_value = "locked,add-back-rand,add-back-mag")]
    variants: Vec<String>,
    /// Where the lines go; the file is appended to.
    #[arg(short, long)]
    output: PathBuf,
}

/// What tells lines apart.
const FIELDS: &[&str] = &["seed", "strategy", "fraction", "variant"];

/// Examples that gradients are taken over, and how many random vectors or points.
const PROBE: usize = 1024;
const SAMPLES: u32 = 16;

struct Bench {
    args: Args,
    harness: Harness,
    lines: Lines,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let harness = Harness::new(args.recipe.clone())?;
    let lines = harness.lines(&args.output, [("sparsity", args.sparsity.into())], FIELDS)?;
    let mut bench = Bench { args, harness, lines };
    for seed in bench.harness.recipe.seeds.clone() {
        bench.run(seed)?;
    }
    Ok(())
}

impl Bench {
    fn run(&mut self, seed: u64) -> Result<(), Box<dyn Error>> {
        let found = self.harness.find(self.args.sparsity, seed, None)?;
        let stamped = match stamp(&found, &key_of(Holder::Owner, seed), halved_swaps()) {
            Ok(stamped) => Some(stamped),
            Err(StampingError::Swaps(StampError::TooSmall { .. })) => None,
            Err(other) => return Err(other.into()),
        };
        let (whole, counterfoil) = match &stamped {
            Some(Stamped { model, counterfoil, .. }) => (model, Some(counterfoil)),
            None => (&found, None),
        };
        self.measure(seed, "none", 0.0, "whole", counterfoil, whole)?;
        for strategy in self.strategies(seed)? {
            for fraction in self.args.fractions.clone() {
                let Locked { ticket: locked, key_mask, .. } = lock(whole, &*strategy, fraction)?;
                for variant in self.args.variants.clone() {
                    let guess = match variant.as_str() {
                        "locked" => None,
                        "add-back-rand" => Some(Guess::Random(seed)),
                        "add-back-mag" => Some(Guess::Largest),
                        other => return Err(format!("'{other}' is no variant").into()),
                    };
                    let ticket = guess.map(|guess| added_back(&locked, &found, key_mask.size(), guess));
                    let ticket = ticket.as_ref().unwrap_or(&locked);
                    self.measure(seed, strategy.name(), fraction, &variant, counterfoil, ticket)?;
                }
            }
        }
        Ok(())
    }

    fn measure(
        &mut self,
        seed: u64,
        strategy: &str,
        fraction: f64,
        variant: &str,
        counterfoil: Option<&Counterfoil>,
        ticket: &Model,
    ) -> Result<(), Box<dyn Error>> {
        let mut line: Value = json!({
            "data": self.harness.data.name, "images": self.harness.data.train.len(), "seed": seed, "strategy": strategy,
            "fraction": fraction, "variant": variant,
        });
        if self.lines.has(&line) {
            return Ok(());
        }
        let started = Instant::now();
        let network = self.harness.train(ticket, seed)?;
        line["correct"] = count_correct(&network, &self.harness.data.test)?.into();
        line["of"] = self.harness.data.test.len().into();
        line["kept"] = ticket.masks.values().map(Mask::kept).sum::<usize>().into();
        if let Some(counterfoil) = counterfoil {
            let (public, sealed) = halves(counterfoil, &ticket.masks);
            line["mask"] = json!({ "public": evidence(public, 2), "sealed": evidence(sealed, 2) });
        }
        line["seconds"] = started.elapsed().as_secs_f64().into();
        self.lines.write(line)
    }

    fn strategies(&self, seed: u64) -> Result<Vec<Box<dyn Strategy>>, Box<dyn Error>> {
        let device = DeviceChoice::Cpu.open()?;
        // Lives as long as the process, as the strategies do.
        let split = Box::leak(Box::new(self.harness.data.train.clone()));
        let examples = Examples::new(split, Augmentation::NONE);
        let probe = || Probe { examples, count: PROBE, seed, device: device.clone() };
        let all: Vec<Box<dyn Strategy>> = vec![
            Box::new(Random { seed }),
            Box::new(Magnitude),
            Box::new(Paths::ewp(seed)),
            Box::new(Paths::random(seed)),
            Box::new(Betweenness::exact()),
            Box::new(Taylor(probe())),
            Box::new(Hessian { probe: probe(), samples: SAMPLES }),
            Box::new(IntegratedGradients { probe: probe(), steps: SAMPLES }),
        ];
        let asked = |name: &str| self.args.strategies.as_ref().is_none_or(|names| names.iter().any(|n| n == name));
        Ok(all.into_iter().filter(|strategy| asked(strategy.name())).collect())
    }
}

/// A locked ticket with `count` positions guessed, which have their true rewound weights: the attacker has the ticket as it
/// was found, dense.
fn added_back(locked: &Model, found: &Model, count: usize, guess: Guess) -> Model {
    let mut guessed = locked.clone();
    add_back(&mut guessed.masks, |name| found.arrays[name].values().to_vec(), count, guess);
    for (name, mask) in &guessed.masks {
        let mut values = found.arrays[name].values().to_vec();
        mask.apply(&mut values);
        guessed.arrays.get_mut(name).expect("masks are of the model's tensors").values_mut().copy_from_slice(&values);
    }
    guessed
}
