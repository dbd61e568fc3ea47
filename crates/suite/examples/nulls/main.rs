//! False positives: models without the mark, as they are and after every attack that needs no training, under many keys.
//!
//! Keys of several owners with all that they can show, and for each suspect one key that nobody else is tested under, so that
//! those p-values are independent of each other. One JSON line for each verification, appended at once, none made twice;
//! docs/results/nulls_table.py sums them up, docs/results/false-positives.md says what came out.

mod people;
mod suspects;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Parser;
use counterfoil_attack::{Attack, Attacked, Cost, Insight, Means, Settings, attacks, handed_on, stolen};
use counterfoil_claim::{Dilution, PanelCount, Split};
use counterfoil_mark::Log2P;
use counterfoil_ticket::{Architecture, ImageShape, Model, ModelFile, Overwrite};
use counterfoil_train::{DeviceChoice, Network, Predictor};
use counterfoil_verify::{BlackBox, BlackBoxError, Evidence, Level, Options, Report, TestKind, verify};
use serde_json::{Value, json};

use people::{Bench, Person};
use suspects::{Suspect, Town};

#[derive(Debug, Parser)]
#[command(about = "False positives: unmarked models under other people's keys, one JSON line a verification")]
struct Arguments {
    /// Suspects that have nothing in common with anybody's ticket.
    #[arg(long, default_value_t = 104)]
    independent: u32,
    /// Suspects of each of the four kinds that share something with an owner's ticket.
    #[arg(long, default_value_t = 27)]
    related: u32,
    /// Also read with channels aligned to the reference mask, which takes long.
    #[arg(long)]
    align: bool,
    /// Seed of everything.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// File that the lines are appended to.
    #[arg(short, long)]
    output: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let attacks: Vec<&dyn Attack> = attacks().iter().copied().filter(|a| a.profile().cost == Cost::None).collect();
    let names: Vec<&str> = attacks.iter().map(|attack| attack.profile().name).collect();
    let settings = json!({ "align": arguments.align, "seed": arguments.seed, "version": env!("CARGO_PKG_VERSION") });
    let mut lines = Lines::open(&arguments.output, &settings)?;
    let town = Town::new(Bench::new(arguments.seed)?, Options { align: arguments.align, ..Options::default() })?;
    for suspect in town.suspects(arguments.independent, arguments.related) {
        let keys = town.names(&suspect);
        let is_done = |attack: &&str| keys.iter().all(|key| lines.has(&suspect.name, attack, key));
        if names.iter().chain(&["none"]).all(is_done) {
            continue;
        }
        let own = town.own(&suspect)?;
        let model = stolen(town.make(&suspect)?);
        judge(&town, &own, &suspect, "none", Ok(handed_on(model.clone())), &mut lines)?;
        for attack in &attacks {
            let left = attacked(*attack, model.clone(), &town, suspect.seed);
            judge(&town, &own, &suspect, attack.profile().name, left, &mut lines)?;
        }
    }
    Ok(())
}

/// What an attack leaves at its default strength; or, in words, why it leaves nothing to verify.
fn attacked(attack: &dyn Attack, model: Model, town: &Town, seed: u64) -> Result<Model, String> {
    let profile = attack.profile();
    let settings = Settings::new(profile.name, profile.parameters, []).map_err(|error| error.to_string())?;
    let insight = Insight {
        key: town.owners[0].person.key,
        split: Split::Owner(PanelCount::new(1).expect("one panel is allowed")),
        dilution: Dilution::ALL[0],
        disclosed: Vec::new(),
    };
    let mut means = Means {
        seed,
        data: Some(&town.bench.data),
        augmentation: town.bench.data.augmentation,
        insight: Some(insight),
        others: vec![stolen(town.stranger.clone())],
        rewound: None,
        device: DeviceChoice::Cpu,
        on_event: &mut |_| (),
    };
    match attack.run(model, &settings, &mut means) {
        Ok(Attacked::Model(model)) => Ok(handed_on(model)),
        Ok(Attacked::Served(_)) => Err("it leaves the file as it is".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Verifies a model under every key, and writes the lines.
fn judge(
    town: &Town,
    own: &Person,
    suspect: &Suspect,
    attack: &str,
    left: Result<Model, String>,
    lines: &mut Lines,
) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("suspect.safetensors");
    let file = match &left {
        Ok(model) => {
            model.write_safetensors(&path, Overwrite::Replace)?;
            Ok(ModelFile::open(&path)?)
        }
        Err(reason) => Err(reason),
    };
    let network = left.as_ref().ok().and_then(|model| network_of(model, town));
    for person in town.people(suspect, own) {
        if lines.has(&suspect.name, attack, &person.name) {
            continue;
        }
        let mut line = json!({ "suspect": suspect.name, "attack": attack, "key": person.name });
        match &file {
            Ok(file) => {
                let report = verified(file, network.as_ref(), person, &town.options)?;
                describe(&mut line, &report, std::ptr::eq(person, own));
            }
            Err(reason) => line["skipped"] = json!(reason),
        }
        lines.append(&line)?;
    }
    Ok(())
}

fn verified(
    file: &ModelFile,
    network: Option<&Network>,
    person: &Person,
    options: &Options,
) -> Result<Report, Box<dyn Error>> {
    let mut asked = network.map(|network| Asked { network, predictor: Predictor::new(network) });
    let black_box = asked.as_mut().map(|asked| asked as &mut dyn BlackBox);
    let evidence =
        Evidence { reference: Some(&person.reference), ..Evidence::claimed(&person.claim, &person.disclosures) };
    Ok(verify(Some(file), black_box, &evidence, options)?)
}

/// What a report says, in few bytes: under a key that many are tested under, the verdict and the best of its p-values; under
/// the suspect's own key also those of the single tests before charges, which is where they are what they say.
fn describe(line: &mut Value, report: &Report, is_own: bool) {
    let round = |p: Log2P| (p.bits() * 1000.0).round() / 1000.0;
    line["verdict"] = json!(report.verdict);
    line["log2_p"] = json!(round(report.log2_p));
    let single = |kind, level| {
        let is_it = |reading: Option<&str>| reading.is_none_or(|reading| reading == "zeros");
        let mut tests = report.tests.iter().filter(|test| test.decisive && test.kind == kind && test.level == level);
        tests.find(|test| is_it(test.reading.as_deref())).map(|test| round(test.log2_p))
    };
    if is_own {
        line["mask"] = json!([single(TestKind::Mask, Level::Public), single(TestKind::Mask, Level::Sealed)]);
        line["triggers"] = json!([single(TestKind::Trigger, Level::Public), single(TestKind::Trigger, Level::Sealed)]);
    }
}

/// The network of a model, if it still is one that can be asked.
fn network_of(model: &Model, town: &Town) -> Option<Network> {
    let data = &town.bench.data;
    let tensors: Vec<(&str, &[usize])> = model.arrays.iter().map(|(name, a)| (name.as_str(), a.shape())).collect();
    let described = model.description.architecture.clone();
    let architecture = described.or_else(|| Architecture::recognise(&tensors, data.test.shape()))?;
    Network::from_model(model, architecture, data.normalisation.clone(), &DeviceChoice::Cpu.open().ok()?).ok()
}

struct Asked<'a> {
    network: &'a Network,
    predictor: Predictor<'a>,
}

impl BlackBox for Asked<'_> {
    fn input(&self) -> ImageShape {
        self.network.architecture().input()
    }

    fn classes(&self) -> u32 {
        self.network.architecture().classes()
    }

    fn classify(&mut self, images: &[u8]) -> Result<Vec<Option<u32>>, BlackBoxError> {
        Ok(self.predictor.classify(images))
    }
}

/// The file of lines: the first says what they are comparable by. Attacks and suspects that are new since add lines.
struct Lines {
    file: PathBuf,
    done: BTreeSet<[String; 3]>,
}

impl Lines {
    fn open(file: &Path, settings: &Value) -> Result<Self, Box<dyn Error>> {
        let text = match std::fs::read_to_string(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            other => other?,
        };
        let mut lines = Self { file: file.to_owned(), done: BTreeSet::new() };
        // A run that was killed while it wrote may have left half a line.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            OpenOptions::new().write(true).open(file)?.set_len(whole as u64)?;
        }
        let mut there = text[..whole].lines();
        match there.next() {
            None => lines.append(settings)?,
            Some(first) if serde_json::from_str::<Value>(first)? == *settings => (),
            Some(_) => return Err(format!("{}: made with other settings, expected {settings}", file.display()).into()),
        }
        for line in there {
            let line: Value = serde_json::from_str(line)?;
            lines.done.insert(["suspect", "attack", "key"].map(|field| line[field].as_str().unwrap_or("").to_owned()));
        }
        Ok(lines)
    }

    fn has(&self, suspect: &str, attack: &str, key: &str) -> bool {
        self.done.contains(&[suspect, attack, key].map(str::to_owned))
    }

    fn append(&self, line: &Value) -> Result<(), Box<dyn Error>> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.file)?;
        Ok(file.write_all(format!("{line}\n").as_bytes())?)
    }
}
