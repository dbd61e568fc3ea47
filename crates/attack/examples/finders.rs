//! Measures what tickets of all finders are worth and carry: accuracy beside the same layer sparsities at random, what swaps
//! and keyed finding put in, what they cost, and what fine-tuning and pruning leave. One JSON line a training, appended as
//! soon as it is made; a run that was stopped goes on behind the lines that are there.
//!
//! ```text
//! cargo run -p counterfoil-attack --example finders -- --seeds 0,1,2 -o finders.jsonl
//! ```

mod harness;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use counterfoil_attack::{Sparse, Victims, prune};
use counterfoil_claim::{Counterfoil, OwnerKey};
use counterfoil_mark::{Balanced, StampRequest, Way, prepare};
use counterfoil_ticket::{Carrier, Mask, Model, Pattern, Values};
use counterfoil_train::data::below;
use counterfoil_train::finder::{
    Bip, Channel, ClassAware, Densities, EdgePopup, Granet, Grasp, Imp, Jackpot, Keyed, Keying, Magnitude, Nm, Random,
    Rigl, Sap, Scope, Snip, Synflow,
};
use counterfoil_train::{Finder, Network, OwnMark, count_correct};
use harness::{FoundMark, Harness, Holder, Lines, Recipe, evidence, finish, halved_swaps, halves, key_of, shuffled};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    recipe: Recipe,
    /// Share of the weights that tickets prune.
    #[arg(long, default_value_t = 0.95)]
    sparsity: f64,
    /// Finders, all by default.
    #[arg(long, value_delimiter = ',')]
    finders: Option<Vec<String>>,
    /// Where the lines go; the file is appended to.
    #[arg(short, long)]
    output: PathBuf,
}

/// What tells lines apart.
const FIELDS: &[&str] = &["seed", "finder", "subject", "attack"];

/// Extra decay of training a stamped ticket, of keyed finding where weights are trained, and factor where scores are.
const REINFORCE: f64 = 3e-3;
const KEYED_DECAY: f64 = 3e-3;
const KEYED_FACTOR: f64 = 0.5;

const ATTACKS: [&str; 3] = ["none", "ft-all", "prune-mag 50 % + ft"];

/// The attacks that thinned tickets invite: what was dropped is filled in, and the mark read by rank.
const FILLED: [(&str, Filling); 3] = [
    ("filled + ft", Filling::Trained(0.01)),
    ("filled + ft at 0.1", Filling::Trained(0.1)),
    ("filled with noise", Filling::Noise(0.1)),
];

/// With what.
#[derive(Debug, Clone, Copy)]
enum Filling {
    /// What training on at this rate gives.
    Trained(f64),
    /// Weights of this size, in root mean squares of the layer's, with random signs.
    Noise(f32),
}

/// A finder under the name of its row, and whether it starts from a trained network.
struct Row {
    name: &'static str,
    finder: Box<dyn Finder>,
    pretrained: bool,
    /// Its own, where the finder knows one only.
    sparsity: Option<f64>,
}

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
        for row in rows() {
            if bench.args.finders.as_ref().is_none_or(|names| names.iter().any(|name| name == row.name)) {
                bench.run(&row, seed)?;
            }
        }
    }
    Ok(())
}

fn rows() -> Vec<Row> {
    let row = |name, finder: Box<dyn Finder>| Row { name, finder, pretrained: false, sparsity: None };
    let imp = |scope| Box::new(Imp { prune_share: 1.0 - 0.05_f64.powf(0.2), scope });
    let (global, layer) = (Scope::Global, Scope::Layer);
    vec![
        row("imp", imp(global)),
        row("imp by layer", imp(layer)),
        row("magnitude", Box::new(Magnitude { scope: global, pretrained: false })),
        Row {
            pretrained: true,
            ..row("magnitude pretrained", Box::new(Magnitude { scope: global, pretrained: true }))
        },
        row("random erk", Box::new(Random { densities: Densities::Erk })),
        row("random uniform", Box::new(Random { densities: Densities::Uniform })),
        row("snip", Box::new(Snip)),
        row("grasp", Box::new(Grasp)),
        row("synflow", Box::new(Synflow)),
        row("rigl", Box::new(Rigl { densities: Densities::Erk, move_share: 0.3 })),
        row("granet", Box::new(Granet { move_share: 0.5 })),
        row("edge-popup", Box::new(EdgePopup { scope: layer })),
        Row { pretrained: true, ..row("jackpot", Box::new(Jackpot { scope: global })) },
        row("bip", Box::new(Bip { scope: global, pretrained: false })),
        row("class-aware", Box::new(ClassAware)),
        row("channel", Box::new(Channel { scope: layer })),
        Row {
            sparsity: Some(0.5),
            ..row("nm 2:4", Box::new(Nm { pattern: Pattern::new(2, 4).expect("2 of 4 is a pattern") }))
        },
        row("sap", Box::new(Sap { scope: global })),
    ]
}

impl Bench {
    fn run(&mut self, row: &Row, seed: u64) -> Result<(), Box<dyn Error>> {
        let last = [("plain", ATTACKS[0]), ("shuffled", ATTACKS[0]), ("swaps", ATTACKS[2]), ("keyed", ATTACKS[2])];
        if last.iter().all(|(subject, attack)| self.is_done(row, seed, subject, attack)) {
            return Ok(());
        }
        let mut network = self.harness.network(seed)?;
        if row.pretrained {
            network = self.harness.train(&Model { arrays: network.arrays(), ..Model::default() }, seed)?;
        }
        let sparsity = row.sparsity.unwrap_or(self.args.sparsity);
        let ticket = self.harness.find_with(&*row.finder, network.clone(), sparsity, seed, None)?;
        self.measure(row, seed, "plain", &ticket, None, 0)?;
        self.measure(row, seed, "shuffled", &shuffled(ticket.clone(), seed + 5000), None, 0)?;

        let key = key_of(Holder::Owner, seed);
        let request = StampRequest { swaps: halved_swaps(), keyed: None, provenance: None };
        self.stamp(row, seed, "swaps", &ticket, &key, request)?;

        let found = FoundMark::of(&key, &self.harness.architecture());
        let keyed = Keyed { mark: &found.mark, decay: KEYED_DECAY, factor: KEYED_FACTOR };
        let ticket = self.harness.find_with(&*row.finder, network, sparsity, seed, Some(keyed))?;
        let decay = match row.finder.keying() {
            Keying::Decay | Keying::Both => KEYED_DECAY,
            Keying::Factor => 0.0,
        };
        self.stamp(row, seed, "keyed", &ticket, &key, found.request(decay))
    }

    fn is_done(&self, row: &Row, seed: u64, subject: &str, attack: &str) -> bool {
        let identity = |attack: &str| json!({ "seed": seed, "finder": row.name, "subject": subject, "attack": attack });
        self.lines.has(&identity(attack)) || self.lines.has(&identity("refused"))
    }

    fn stamp(
        &mut self,
        row: &Row,
        seed: u64,
        subject: &str,
        ticket: &Model,
        key: &OwnerKey,
        request: StampRequest,
    ) -> Result<(), Box<dyn Error>> {
        match prepare(ticket, key, request) {
            Ok(prepared) => {
                let moved = prepared.plan().moved;
                let thinned = (prepared.plan().way == Way::Thin).then_some(&ticket.masks);
                let stamped = finish(prepared)?;
                self.measure(row, seed, subject, &stamped.model, Some((&stamped.counterfoil, thinned)), moved)
            }
            Err(_) if self.is_done(row, seed, subject, "refused") => Ok(()),
            Err(error) => self.lines.write(json!({
                "data": self.harness.data.name, "seed": seed, "finder": row.name, "subject": subject,
                "attack": "refused", "reason": error.to_string(),
            })),
        }
    }

    fn measure(
        &mut self,
        row: &Row,
        seed: u64,
        subject: &str,
        ticket: &Model,
        mark: Option<(&Counterfoil, Option<&BTreeMap<String, Mask>>)>,
        moved: u64,
    ) -> Result<(), Box<dyn Error>> {
        let (counterfoil, before) = (mark.map(|(counterfoil, _)| counterfoil), mark.and_then(|(_, before)| before));
        let attacks = if counterfoil.is_some() { &ATTACKS[..] } else { &ATTACKS[..1] };
        let all = attacks.iter().copied().chain(before.into_iter().flat_map(|_| FILLED.map(|(attack, _)| attack)));
        let open: Vec<&str> = all.filter(|attack| !self.is_done(row, seed, subject, attack)).collect();
        if open.is_empty() {
            return Ok(());
        }
        let own_mark = counterfoil.map(OwnMark::of_counterfoil);
        let carriers = ticket.marked_carriers();
        let extra = own_mark.map_or_else(BTreeMap::new, |mark| mark.extra_decay(&carriers, REINFORCE));
        let network = self.harness.train_with(ticket, seed, &[], extra)?;
        let trained = Sparse { network, masks: ticket.masks.clone() };
        for attack in open {
            let filled = mark.zip(FILLED.iter().find(|(filled, _)| *filled == attack));
            let attacked = match filled {
                Some(((counterfoil, Some(before)), &(_, filling))) => {
                    let filled = self.filled(&trained, before, filling, seed)?;
                    Sparse { masks: by_rank(&filled, counterfoil)?, network: filled }
                }
                _ => self.attacked(attack, trained.clone(), seed)?,
            };
            let mut line: Value = json!({
                "data": self.harness.data.name, "seed": seed, "finder": row.name, "subject": subject, "attack": attack,
                "kept": ticket.masks.values().map(Mask::kept).sum::<usize>(), "moved": moved,
                "correct": count_correct(&attacked.network, &self.harness.data.test)?,
                "of": self.harness.data.test.len(),
            });
            if let Some(counterfoil) = counterfoil {
                let (public, hidden) = halves(counterfoil, &attacked.masks);
                line["mask"] = json!({ "public": evidence(public, 2), "sealed": evidence(hidden, 2) });
            }
            self.lines.write(line)?;
        }
        Ok(())
    }

    /// A thinned network with what it dropped of `before`.
    fn filled(
        &self,
        thinned: &Sparse,
        before: &BTreeMap<String, Mask>,
        filling: Filling,
        seed: u64,
    ) -> Result<Network, Box<dyn Error>> {
        let network = thinned.network.clone();
        let size = match filling {
            Filling::Trained(rate) => {
                return Ok(self.harness.tune(Sparse { masks: before.clone(), network }, rate, seed)?.network);
            }
            Filling::Noise(size) => size,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed + 1000);
        let mut arrays = network.arrays();
        for (name, after) in &thinned.masks {
            let values = arrays.get_mut(name).expect("masks are of the network's tensors").values_mut();
            let square = after.positions().map(|p| values[p] * values[p]).sum::<f32>() / after.kept().max(1) as f32;
            for gap in before[name].positions().filter(|&p| !after.keeps(p)) {
                values[gap] = size * square.sqrt() * if below(2, &mut rng) == 0 { 1.0 } else { -1.0 };
            }
        }
        self.harness.loaded(&Model { arrays, ..Model::default() })
    }

    fn attacked(&self, attack: &str, victim: Sparse, seed: u64) -> Result<Sparse, Box<dyn Error>> {
        Ok(match attack {
            "ft-all" => self.harness.tune(victim, 0.001, seed)?,
            "prune-mag 50 % + ft" => self.harness.tune(prune(victim, 0.5, Victims::Smallest), 0.01, seed)?,
            _ => victim,
        })
    }
}

/// What a verifier keeps of weights without zeros: the largest ranks of each carrier, as many as its claim says.
fn by_rank(network: &Network, counterfoil: &Counterfoil) -> Result<BTreeMap<String, Mask>, Box<dyn Error>> {
    let arrays = network.arrays();
    let largest = |(carrier, mask): &(Carrier, Mask)| {
        let values = Values::from(arrays[&carrier.name].values().to_vec());
        let (kept, _) = Balanced::new(&values, carrier.shape)?.largest(mask.kept())?;
        Ok((carrier.name.clone(), kept))
    };
    counterfoil.reference().iter().map(largest).collect()
}
