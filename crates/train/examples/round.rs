//! One round of iterative magnitude pruning on an image folder, from the files to the next mask: our side of
//! `make bench-imp`. Prints the seconds that it took and the weights that are kept.
//!
//! ```text
//! cargo run --release -p counterfoil-train --example round -- cifar10 2560 2 0.8
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

use counterfoil_ticket::{Architecture, Mask};
use counterfoil_train::data::{DataSource, LoadOptions, load};
use counterfoil_train::{DeviceChoice, EpochSeed, Examples, Hold, Learner, Network, Schedule, kept_weights};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Share of the kept weights that a round prunes.
const PRUNED: f64 = 0.2;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, images, epochs, sparsity] = &arguments[..] else {
        return Err("expected an image folder, the number of images, of epochs, and the sparsity".into());
    };
    let (images, epochs, sparsity): (usize, u32, f64) = (images.parse()?, epochs.parse()?, sparsity.parse()?);
    let started = Instant::now();
    // A round needs no test images, but a data set has some.
    let options = LoadOptions { limit: Some(images), limit_test: Some(1), ..LoadOptions::default() };
    let data = load(&DataSource::Path(folder.into()), &options)?;
    let architecture = Architecture::Resnet20 { input: data.train.shape(), width: 16, classes: data.classes };
    let network = Network::initialise(architecture, data.normalisation.clone(), 1, &DeviceChoice::Cpu.open()?);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut masks: BTreeMap<String, Mask> = BTreeMap::new();
    for layer in network.layers().iter().filter(|layer| layer.prunable) {
        let keep = |_| f64::from(rng.next_u32()) >= sparsity * f64::from(u32::MAX);
        masks.insert(layer.weight(), Mask::from_fn(layer.shape.size(), keep));
    }
    let hold = Hold::new(&network, &masks, BTreeMap::new());
    let mut learner = Learner::new(network);
    hold.apply(&mut learner.network);
    let examples = Examples::new(&data.train, data.augmentation);
    let schedule = Schedule::paper(epochs);
    for _ in 0..epochs {
        learner.train_epoch(examples, &schedule, &hold, EpochSeed { seed: 1, round: 0 }, &mut |_| ())?;
    }
    let mut weights = kept_weights(&masks, |name| learner.network.parameter(name).expect("masks are its parameters'"));
    let drop = (weights.len() as f64 * PRUNED) as usize;
    weights.select_nth_unstable(drop);
    let mut masks: Vec<&mut Mask> = masks.values_mut().collect();
    weights[..drop].iter().for_each(|weight| masks[weight.carrier].set(weight.position, false));
    let kept: usize = masks.iter().map(|mask| mask.kept()).sum();
    println!("{} {kept}", started.elapsed().as_secs_f64());
    Ok(())
}
