//! Measures tickets themselves: what iterative magnitude pruning with late rewinding at 20 % a round leaves of the dense
//! network's accuracy, by sparsity, beside the same mask on fresh weights and the same layer sparsities at random ("table 1"
//! of Chen et al. 2021, arXiv 2111.00162, and its controls). One JSON line a training, appended as soon as it is made; a run
//! that was stopped goes on behind the lines that are there.
//!
//! ```text
//! cargo run -p counterfoil-attack --example tickets -- --seeds 0,1,2 -o tickets.jsonl
//! ```

mod harness;

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use counterfoil_ticket::{Mask, Model};
use counterfoil_train::count_correct;
use harness::{Harness, Lines, Recipe, shuffled};
use serde_json::{Value, json};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    recipe: Recipe,
    /// Shares of the weights that tickets prune.
    #[arg(long, value_delimiter = ',', default_value = "0.5,0.8,0.9,0.95,0.98,0.99")]
    sparsities: Vec<f64>,
    /// Where the lines go; the file is appended to.
    #[arg(short, long)]
    output: PathBuf,
}

/// What tells lines apart.
const FIELDS: &[&str] = &["seed", "sparsity", "subject"];

/// Share of the remaining weights that each round prunes, as in the paper.
const PRUNE_SHARE: f64 = 0.2;

/// Added to the seed of weights that a ticket was not found with.
const OTHER: u64 = 5000;

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let harness = Harness::new(args.recipe.clone())?;
    let mut lines = harness.lines(&args.output, [], FIELDS)?;
    for seed in harness.recipe.seeds.clone() {
        let dense = Model { arrays: harness.network(seed)?.arrays(), ..Model::default() };
        measure(&harness, &mut lines, seed, 0.0, "dense", || Ok(dense))?;
        for &sparsity in &args.sparsities {
            let subjects = ["ticket", "fresh weights", "shuffled mask"];
            if subjects.iter().all(|subject| lines.has(&identity(seed, sparsity, subject))) {
                continue;
            }
            let ticket = harness.find_by(sparsity, PRUNE_SHARE, seed, None)?;
            measure(&harness, &mut lines, seed, sparsity, subjects[0], || Ok(ticket.clone()))?;
            measure(&harness, &mut lines, seed, sparsity, subjects[1], || {
                Ok(Model { arrays: harness.network(seed + OTHER)?.arrays(), ..ticket.clone() })
            })?;
            measure(&harness, &mut lines, seed, sparsity, subjects[2], || Ok(shuffled(ticket.clone(), seed + OTHER)))?;
        }
    }
    Ok(())
}

fn identity(seed: u64, sparsity: f64, subject: &str) -> Value {
    json!({ "seed": seed, "sparsity": sparsity, "subject": subject })
}

fn measure(
    harness: &Harness,
    lines: &mut Lines,
    seed: u64,
    sparsity: f64,
    subject: &str,
    ticket: impl FnOnce() -> Result<Model, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut line = identity(seed, sparsity, subject);
    if lines.has(&line) {
        return Ok(());
    }
    let ticket = ticket()?;
    let network = harness.train(&ticket, seed)?;
    line["data"] = harness.data.name.as_str().into();
    line["images"] = harness.data.train.len().into();
    line["correct"] = count_correct(&network, &harness.data.test)?.into();
    line["of"] = harness.data.test.len().into();
    line["kept"] = ticket.masks.values().map(Mask::kept).sum::<usize>().into();
    lines.write(line)
}
