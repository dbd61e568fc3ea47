//! Measures triggers under the attacks of the paper (Chen et al. 2021, arXiv 2111.00162, section 4.3): derived ones, and ones
//! of the owner's choice as in a trigger folder, on models that learned them and on models that did not. One JSON line a
//! subject and attack, appended as soon as it is made; a run that was stopped goes on behind the lines that are there.
//!
//! ```text
//! cargo run -p counterfoil-attack --example triggers -- --seeds 0,1,2 -o triggers.jsonl
//! ```

mod harness;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use counterfoil_attack::{Sparse, Victims, prune};
use counterfoil_mark::{Tally, TriggerSet};
use counterfoil_train::data::below;
use counterfoil_train::{OwnMark, count_correct};
use harness::{Harness, Holder, Lines, Recipe, evidence, halved_swaps, key_of, stamp, trigger_tally};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    recipe: Recipe,
    /// Share of the weights that the ticket prunes.
    #[arg(long, default_value_t = 0.95)]
    sparsity: f64,
    /// Where the lines go; the file is appended to.
    #[arg(short, long)]
    output: PathBuf,
}

/// What tells lines apart.
const FIELDS: &[&str] = &["seed", "subject", "attack"];

/// Images of the owner's choice; each is shown eight times an epoch.
const OWN: usize = 40;
const OWN_SETS: usize = 4;

/// Shares of the kept weights that are pruned, without training afterwards as in the paper, and with.
const SHARES: [f64; 5] = [0.05, 0.1, 0.2, 0.3, 0.5];

#[derive(Clone, Copy)]
enum Attack {
    None,
    FineTune { rate: f64 },
    Prune { share: f64, random: bool, recover: bool },
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let harness = Harness::new(args.recipe.clone())?;
    let mut lines = harness.lines(&args.output, [("sparsity", args.sparsity.into())], FIELDS)?;
    for seed in harness.recipe.seeds.clone() {
        measure(&harness, &mut lines, args.sparsity, seed)?;
    }
    Ok(())
}

fn measure(harness: &Harness, lines: &mut Lines, sparsity: f64, seed: u64) -> Result<(), Box<dyn Error>> {
    let last =
        |subject: &str| json!({ "seed": seed, "subject": subject, "attack": attacks().pop().map(|(name, _)| name) });
    if ["unmarked", "derived", "own"].iter().all(|subject| lines.has(&last(subject))) {
        return Ok(());
    }
    let found = harness.find(sparsity, seed, None)?;
    let stamped = stamp(&found, &key_of(Holder::Owner, seed), halved_swaps())?;
    let settings = stamped.counterfoil.triggers().ok_or("tickets of classifiers have triggers")?;
    let derived = OwnMark::of_counterfoil(&stamped.counterfoil).trigger_sets(settings)?;
    let own = own_triggers(harness, seed);
    for (subject, learned) in [("unmarked", vec![]), ("derived", derived.clone()), ("own", vec![own.clone(); OWN_SETS])]
    {
        let network = harness.train_with(&stamped.model, seed, &learned, BTreeMap::new())?;
        let trained = Sparse { network, masks: stamped.model.masks.clone() };
        for (name, attack) in attacks() {
            let mut line: Value =
                json!({ "data": harness.data.name, "seed": seed, "subject": subject, "attack": name });
            if lines.has(&line) {
                continue;
            }
            let attacked = attack.on(trained.clone(), harness, seed)?;
            line["correct"] = count_correct(&attacked.network, &harness.data.test)?.into();
            line["of"] = harness.data.test.len().into();
            let tallies: Tally = derived.iter().map(|set| trigger_tally(&attacked.network, set)).sum();
            line["derived"] = evidence(tallies, harness.data.classes);
            let tally = trigger_tally(&attacked.network, &own);
            // No p-value: nobody knows how often a model that has nothing to do with them hits labels that were chosen.
            line["own"] = json!({ "n": tally.n(), "hits": tally.hits() });
            lines.write(line)?;
        }
    }
    Ok(())
}

fn attacks() -> Vec<(String, Attack)> {
    let mut attacks = vec![
        ("none".to_owned(), Attack::None),
        ("ft-all".to_owned(), Attack::FineTune { rate: 0.001 }),
        ("rt-all".to_owned(), Attack::FineTune { rate: 0.05 }),
    ];
    for (random, how) in [(false, "prune-mag"), (true, "prune-rand")] {
        for (recover, then) in [(false, ""), (true, " + ft")] {
            let one =
                |share: f64| (format!("{how} {:.0} %{then}", 100.0 * share), Attack::Prune { share, random, recover });
            attacks.extend(SHARES.map(one));
        }
    }
    attacks
}

impl Attack {
    fn on(self, victim: Sparse, harness: &Harness, seed: u64) -> Result<Sparse, Box<dyn Error>> {
        Ok(match self {
            Self::None => victim,
            Self::FineTune { rate } => harness.tune(victim, rate, seed)?,
            Self::Prune { share, random, recover } => {
                let victims = if random { Victims::Random(seed) } else { Victims::Smallest };
                let pruned = prune(victim, share, victims);
                if recover { harness.tune(pruned, 0.01, seed)? } else { pruned }
            }
        })
    }
}

/// Noise with labels, as an owner could choose them.
fn own_triggers(harness: &Harness, seed: u64) -> TriggerSet {
    let mut rng = ChaCha8Rng::seed_from_u64(seed + 2000);
    let (shape, classes) = (harness.data.train.shape(), harness.data.classes);
    let images = (0..OWN * shape.size()).map(|_| rng.next_u32() as u8).collect();
    let labels = (0..OWN).map(|_| below(classes, &mut rng)).collect();
    TriggerSet { images, labels, shape, classes }
}
