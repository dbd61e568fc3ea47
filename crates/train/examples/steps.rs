//! Trains a network on random CIFAR-sized images, or runs it, for as many steps as each line of the input asks, and
//! answers with the seconds they took: our side of `make bench-train` and `make bench-infer`.
//!
//! ```text
//! echo train 4 | cargo run --release -p counterfoil-train --example steps -- resnet20 0.05
//! ```
//!
//! Lines are `train N`, N steps of 128 images; `infer N`, N batches of 128 images; `one N`, N images one after the other.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

use counterfoil_ticket::{Architecture, ImageShape, Mask, Normalisation};
use counterfoil_train::data::{Augmentation, Split};
use counterfoil_train::{DeviceChoice, EpochSeed, Examples, Hold, Learner, Network, Predictor, Schedule};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const BATCH: usize = 128;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, density] = &arguments[..] else { return Err("expected the network and its density".into()) };
    let density: f64 = density.parse()?;
    let input = ImageShape { channels: 3, height: 32, width: 32 };
    let architecture = match name.as_str() {
        "resnet20" => Architecture::Resnet20 { input, width: 16, classes: 10 },
        "resnet18" => Architecture::Resnet18 { input, width: 64, classes: 10 },
        "resnet50" => Architecture::Resnet50 { input, width: 64, classes: 10 },
        "vgg16" => Architecture::Vgg16 { input, width: 64, classes: 10 },
        _ => return Err(format!("'{name}' is unknown, expected resnet20, resnet18, resnet50 or vgg16").into()),
    };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let images = |count: usize, rng: &mut ChaCha8Rng| {
        let mut bytes = vec![0; count * input.size()];
        rng.fill_bytes(&mut bytes);
        Split::new(bytes, (0..count).map(|i| (i % 10) as u32).collect(), input)
    };
    let normalisation = Normalisation { mean: vec![0.5; 3], std: vec![0.25; 3] };
    let network = Network::initialise(architecture, normalisation, 1, &DeviceChoice::Cpu.open()?);
    let prunable = network.layers().iter().filter(|layer| layer.prunable && density < 1.0);
    let masks: BTreeMap<String, Mask> = prunable
        .map(|layer| {
            let keep = |_| f64::from(rng.next_u32()) < density * f64::from(u32::MAX);
            (layer.weight(), Mask::from_fn(layer.shape.size(), keep))
        })
        .collect();
    let hold = Hold::new(&network, &masks, BTreeMap::new());
    let mut learner = Learner::new(network);
    hold.apply(&mut learner.network);
    let schedule = Schedule { batch: BATCH, rate: 0.01, milestones: vec![], ..Schedule::paper(1000) };
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (what, steps) = line.split_once(' ').ok_or("expected 'train N', 'infer N' or 'one N'")?;
        let batch = if what == "one" { 1 } else { BATCH };
        let split = images(steps.parse::<usize>()? * batch, &mut rng).ok_or("as many labels as images")?;
        let started = match what {
            "train" => {
                let examples = Examples::new(&split, Augmentation::NONE);
                let started = Instant::now();
                learner.train_epoch(examples, &schedule, &hold, EpochSeed { seed: 1, round: 0 }, &mut |_| ())?;
                started
            }
            "infer" | "one" => {
                let predictor = Predictor::new(&learner.network);
                // Prepares it.
                predictor.classify(split.image(0));
                let started = Instant::now();
                for batch in split.images().chunks(batch * input.size()) {
                    drop(predictor.classify(batch));
                }
                started
            }
            _ => return Err(format!("'{what}' is unknown, expected train, infer or one").into()),
        };
        println!("{}", started.elapsed().as_secs_f64());
        std::io::stdout().flush()?;
    }
    Ok(())
}
