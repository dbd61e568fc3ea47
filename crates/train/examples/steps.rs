//! Trains a ResNet-20 on random CIFAR-sized images, or runs it, for as many steps as each line of the input asks, and
//! answers with the seconds they took: our side of `make bench-train`.
//!
//! ```text
//! echo train 4 | cargo run --release -p counterfoil-train --example steps -- 0.05
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

use counterfoil_ticket::{Architecture, ImageShape, Mask, Normalisation};
use counterfoil_train::data::{Augmentation, Split};
use counterfoil_train::{DeviceChoice, EpochSeed, Examples, Hold, Learner, Network, Schedule, classify};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const BATCH: usize = 128;

fn main() -> Result<(), Box<dyn Error>> {
    let density: f64 = std::env::args().nth(1).ok_or("expected the density as the first argument")?.parse()?;
    let input = ImageShape { channels: 3, height: 32, width: 32 };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let images = |steps: usize, rng: &mut ChaCha8Rng| {
        let mut bytes = vec![0; steps * BATCH * input.size()];
        rng.fill_bytes(&mut bytes);
        Split::new(bytes, (0..steps * BATCH).map(|i| (i % 10) as u32).collect(), input)
    };
    let architecture = Architecture::Resnet20 { input, width: 16, classes: 10 };
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
        let (what, steps) = line.split_once(' ').ok_or("expected 'train N' or 'infer N'")?;
        let split = images(steps.parse()?, &mut rng).ok_or("as many labels as images")?;
        let started = Instant::now();
        match what {
            "train" => {
                let examples = Examples { split: &split, augmentation: Augmentation::NONE, triggers: &[] };
                learner.train_epoch(examples, &schedule, &hold, EpochSeed { seed: 1, round: 0 }, &mut |_| ())?;
            }
            "infer" => {
                for batch in split.images().chunks(BATCH * input.size()) {
                    drop(classify(&learner.network, batch));
                }
            }
            _ => return Err(format!("'{what}' is unknown, expected train or infer").into()),
        }
        println!("{}", started.elapsed().as_secs_f64());
        std::io::stdout().flush()?;
    }
    Ok(())
}
