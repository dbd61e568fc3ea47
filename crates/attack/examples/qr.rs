//! Measures QR codes in the connectivity of tickets: what laying one over costs, and what attacks leave of it beside the
//! panels of a stamp. One JSON line a measurement, appended as soon as it is made; docs/results/paper.md is made from these
//! lines. A run that was stopped goes on behind the lines that are there.
//!
//! ```text
//! cargo run --release -p counterfoil-attack --example qr -- --seeds 0,1,2 -o qr.jsonl
//! ```

mod harness;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use counterfoil_attack::{Attacked, Means, Settings, Sparse, Victims, prune};
use counterfoil_claim::{Counterfoil, OwnerKey};
use counterfoil_mark::qr::{Code, Format, Found, Reader, Request, Whereabouts, embed, short_id};
use counterfoil_mark::{Chance, SwapSettings, log2_upper_tail};
use counterfoil_ticket::{Carrier, Mask, Model};
use counterfoil_train::{DeviceChoice, OwnMark, count_correct};
use harness::{Harness, Holder, Recipe, halves, key_of, stamp};
use serde_json::{Value, json};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    recipe: Recipe,
    /// Shares of the weights that tickets keep.
    #[arg(long, value_delimiter = ',', default_value = "0.05,0.2")]
    densities: Vec<f64>,
    /// Where the lines go; the file is appended to.
    #[arg(short, long)]
    output: PathBuf,
}

/// Shares of the kept weights that are pruned: those of the paper's table 6.
const SHARES: [f64; 5] = [0.05, 0.1, 0.2, 0.3, 0.5];

/// Those after which the thief fine-tunes, too: it gives accuracy back, and leaves the masks as they are.
const RECOVERED: [f64; 1] = [0.2];

/// Shares of the pruned positions that get weights: those of the paper's table 8, and more.
const ADDED: [f64; 3] = [0.01, 0.02, 0.05];

/// Extra decay λ of a stamped ticket's training, as docs/results.md has it.
const REINFORCEMENT: f64 = 1e-2;

/// What tells lines apart; those of a seed and density are written together.
const FIELDS: &[&str] = &["seed", "density"];

struct Bench {
    args: Args,
    harness: Harness,
    reader: Reader,
    last: RefCell<(BTreeMap<String, Mask>, Vec<Found>)>,
}

/// A ticket of one seed and density, and who lays codes over it.
struct Case {
    seed: u64,
    density: f64,
    owner: OwnerKey,
    thief: OwnerKey,
}

/// A trained model that carries the owner's code, and a stamp if there is a counterfoil.
struct Subject {
    name: &'static str,
    code: Code,
    counterfoil: Option<Counterfoil>,
    model: Sparse,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let harness = Harness::new(args.recipe.clone())?;
    let mut output = harness.lines(&args.output, [], FIELDS)?;
    let bench = Bench { args, harness, reader: Reader::new([Format::default()]), last: RefCell::default() };
    for &seed in &bench.harness.recipe.seeds {
        for &density in &bench.args.densities {
            if !output.has(&json!({ "seed": seed, "density": density })) {
                output.write_all(bench.measure(&Case::new(seed, density))?)?;
            }
        }
    }
    Ok(())
}

impl Case {
    fn new(seed: u64, density: f64) -> Self {
        Self { seed, density, owner: key_of(Holder::Owner, seed), thief: key_of(Holder::Thief, seed) }
    }

    fn text(&self, key: &OwnerKey) -> String {
        short_id(&key.public())
    }
}

impl Bench {
    /// All lines of a ticket: they are written together, so that none is missing where a run was stopped.
    fn measure(&self, case: &Case) -> Result<Vec<Value>, Box<dyn Error>> {
        let mut lines = Vec::new();
        let ticket = self.find(case)?;
        let plain = self.train(&ticket, None, case.seed)?;
        lines.push(self.line(case, "plain", "none", &plain, None)?);

        let text = case.text(&case.owner);
        let request =
            Request { text: &text, format: Format::default(), whereabouts: Whereabouts::Anywhere, seed: case.seed };
        let embedded = embed(&ticket, &request)?;
        let cost = json!({
            "data_modules": embedded.data_modules, "agreed": embedded.agreed, "opened": embedded.opened,
            "closed": embedded.closed, "moved": embedded.moved, "ticket_kept": embedded.kept,
        });
        let model = self.train(&embedded.model, None, case.seed)?;
        let subject = Subject { name: "code", code: embedded.code.clone(), counterfoil: None, model };
        let mut line = self.line(case, subject.name, "none", &subject.model, Some(&subject))?;
        line["embedding"] = cost;
        lines.push(line);
        self.attack(case, &subject, &mut lines)?;

        let stamped = stamp(&embedded.model, &case.owner, SwapSettings::default())?;
        let model = self.train(&stamped.model, Some(&stamped.counterfoil), case.seed)?;
        let counterfoil = Some(stamped.counterfoil);
        let subject = Subject { name: "code and stamp", code: embedded.code, counterfoil, model };
        lines.push(self.line(case, subject.name, "none", &subject.model, Some(&subject))?);
        self.attack(case, &subject, &mut lines)?;
        Ok(lines)
    }

    /// Pruning of both subjects, and adding; what else trains, and does nothing to a mask, of one of them.
    fn attack(&self, case: &Case, subject: &Subject, lines: &mut Vec<Value>) -> Result<(), Box<dyn Error>> {
        let last = self.harness.last_rate();
        let tuned = |model: Sparse, rate: f64| self.harness.tune(model, rate, case.seed);
        let mut push = |attack: &str, model: &Sparse| -> Result<(), Box<dyn Error>> {
            lines.push(self.line(case, subject.name, attack, model, Some(subject))?);
            Ok(())
        };
        let is_stamped = subject.counterfoil.is_some();
        for share in SHARES {
            for (name, victims) in [("magnitude", Victims::Smallest), ("random", Victims::Random(case.seed))] {
                let pruned = prune(subject.model.clone(), share, victims);
                push(&format!("{name} {} %", share * 100.0), &pruned)?;
                if is_stamped && RECOVERED.contains(&share) {
                    push(&format!("{name} {} % + fine-tuned", share * 100.0), &tuned(pruned, 0.01)?)?;
                }
            }
        }
        for share in ADDED {
            push(&format!("{} % added", share * 100.0), &self.grown(case, &subject.model, share)?)?;
        }
        if !is_stamped {
            return Ok(());
        }
        push("fine-tuned", &tuned(subject.model.clone(), last)?)?;
        // The thief takes the masks, draws other weights and trains them: what the paper calls retraining.
        let arrays = self.harness.network(case.seed + 2000)?.arrays();
        let fresh = masked(Model { arrays, masks: subject.model.masks.clone(), ..Model::default() });
        push("retrained", &self.train(&fresh, None, case.seed + 2000)?)?;
        let place = &subject.code.place;
        for (name, whereabouts) in [
            ("second code, same place", Whereabouts::At(place)),
            ("second code, its own choice", Whereabouts::Anywhere),
        ] {
            let over = self.overlaid(case, &subject.model, whereabouts)?;
            push(name, &over)?;
            push(&format!("{name} + fine-tuned"), &tuned(over, 0.01)?)?;
        }
        Ok(())
    }

    /// The attack `add-on`: small weights at a share of each layer's pruned positions.
    fn grown(&self, case: &Case, model: &Sparse, share: f64) -> Result<Sparse, Box<dyn Error>> {
        let add_on = counterfoil_attack::attack("add-on")?;
        let settings = Settings::new("add-on", add_on.profile().parameters, [("share", &*share.to_string())])?;
        let mut means = Means {
            seed: case.seed,
            data: None,
            augmentation: self.harness.data.augmentation,
            insight: None,
            others: Vec::new(),
            rewound: None,
            device: DeviceChoice::Cpu,
            on_event: &mut |_| (),
        };
        let victim = Model { arrays: model.network.arrays(), masks: model.masks.clone(), ..Model::default() };
        match add_on.run(victim, &settings, &mut means)? {
            Attacked::Model(grown) => Ok(Sparse { network: self.harness.loaded(&grown)?, masks: grown.masks }),
            Attacked::Served(_) => Err("add-on leaves a model".into()),
        }
    }

    /// The thief's code over the owner's model.
    fn overlaid(&self, case: &Case, model: &Sparse, whereabouts: Whereabouts) -> Result<Sparse, Box<dyn Error>> {
        let text = case.text(&case.thief);
        let request = Request { text: &text, format: Format::default(), whereabouts, seed: case.seed };
        let stolen = Model { arrays: model.network.arrays(), masks: model.masks.clone(), ..Model::default() };
        let over = masked(embed(&stolen, &request)?.model);
        Ok(Sparse {
            network: self.harness.loaded(&Model { arrays: over.arrays, ..Model::default() })?,
            masks: over.masks,
        })
    }

    fn line(
        &self,
        case: &Case,
        name: &str,
        attack: &str,
        model: &Sparse,
        subject: Option<&Subject>,
    ) -> Result<Value, Box<dyn Error>> {
        let mut line = json!({
            "data": self.harness.data.name, "seed": case.seed, "density": case.density, "subject": name, "attack": attack,
            "correct": count_correct(&model.network, &self.harness.data.test)?,
            "of": self.harness.data.test.len(), "kept": model.kept(),
        });
        let carriers: Vec<Carrier> = carriers(model);
        let found = self.read(&carriers, &model.masks);
        let reads = |key: &OwnerKey| found.iter().any(|found| found.code.text == case.text(key));
        line["read"] = json!({
            "owner": reads(&case.owner), "thief": reads(&case.thief), "codes": found.len(),
            "places": carriers.iter().map(|c| self.reader.places(c)).sum::<u64>(),
        });
        if let Some(Subject { code, counterfoil, .. }) = subject {
            let carrier = carriers.iter().find(|c| c.name == code.place.carrier).ok_or("the code's carrier is gone")?;
            line["damaged"] = json!(code.damaged(carrier, &model.masks[&carrier.name]));
            line["carrier"] = json!(carrier.name);
            if let Some(counterfoil) = counterfoil {
                let (public, sealed) = halves(counterfoil, &model.masks);
                let bits = |tally| log2_upper_tail(tally, Chance::one_in(2)).bits();
                line["log2_p"] = json!({ "public": bits(public), "sealed": bits(sealed) });
            }
        }
        Ok(line)
    }

    /// Fine-tuning leaves masks as they are: what was read last is not read again.
    fn read(&self, carriers: &[Carrier], masks: &BTreeMap<String, Mask>) -> Vec<Found> {
        let mut last = self.last.borrow_mut();
        if last.0 != *masks {
            let found = carriers.iter().flat_map(|c| self.reader.read(c, &masks[&c.name])).collect();
            *last = (masks.clone(), found);
        }
        last.1.clone()
    }

    /// IMP in rounds that leave 0.55 each, rewinding to epoch 1.
    fn find(&self, case: &Case) -> Result<Model, Box<dyn Error>> {
        let rounds = (case.density.ln() / 0.55_f64.ln()).round().max(1.0);
        self.harness.find_by(1.0 - case.density, 1.0 - case.density.powf(1.0 / rounds), case.seed, None)
    }

    /// Trains a ticket, reinforcing the mark if there is one. No triggers: the masks are what is compared here.
    fn train(&self, ticket: &Model, counterfoil: Option<&Counterfoil>, seed: u64) -> Result<Sparse, Box<dyn Error>> {
        let extra = counterfoil.map(OwnMark::of_counterfoil);
        let extra = extra.map_or_else(BTreeMap::new, |mark| mark.extra_decay(&ticket.marked_carriers(), REINFORCEMENT));
        let network = self.harness.train_with(ticket, seed, &[], extra)?;
        Ok(Sparse { network, masks: ticket.masks.clone() })
    }
}

fn carriers(model: &Sparse) -> Vec<Carrier> {
    let shapes: BTreeMap<String, Vec<usize>> =
        model.network.arrays().into_iter().map(|(name, array)| (name, array.shape().to_vec())).collect();
    let all = Carrier::number(shapes.iter().map(|(name, shape)| (name.as_str(), &shape[..])));
    all.into_iter().filter(|carrier| model.masks.contains_key(&carrier.name)).collect()
}

/// The model with zeros outside of its masks.
fn masked(mut model: Model) -> Model {
    for (name, mask) in &model.masks {
        if let Some(array) = model.arrays.get_mut(name) {
            mask.apply(array.values_mut());
        }
    }
    model
}
