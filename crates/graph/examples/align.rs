//! How long it takes to align a network of ResNet-50's size: its masks permuted, a fifth of what they keep cut away, on half of
//! the positions; and a stranger, which nothing aligns. The argument is the share of weights kept.
//!
//!     cargo run --release -p counterfoil-graph --example align -- 0.1

use std::collections::BTreeMap;
use std::time::Instant;

use counterfoil_graph::{AlignLayer, AlignSettings, Aligner, Side};
use counterfoil_ticket::{Architecture, ImageShape, Layer, Mask};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

type Layers = Vec<(Layer, Mask)>;

/// Whether something of this chance happens.
fn happens(chance: f64, rng: &mut ChaCha8Rng) -> bool {
    (f64::from(rng.next_u32()) + 0.5) / f64::from(u32::MAX) < chance
}

fn network(density: f64, seed: u64) -> Layers {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let input = ImageShape { channels: 3, height: 32, width: 32 };
    let layers = Architecture::Resnet50 { input, width: 64, classes: 10 }.layers().into_iter().filter(|l| l.prunable);
    let with_mask = |l: Layer| {
        let mask = Mask::from_fn(l.shape.size(), |_| happens(density, &mut rng));
        (l, mask)
    };
    layers.map(with_mask).collect()
}

fn thinned(layers: &Layers, share: f64, seed: u64) -> Layers {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut thin = |mask: &Mask| Mask::from_fn(mask.size(), |p| mask.keeps(p) && happens(share, &mut rng));
    layers.iter().map(|(l, mask)| (l.clone(), thin(mask))).collect()
}

fn permuted(layers: &Layers) -> (Layers, BTreeMap<usize, Vec<u32>>) {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut moves: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for (group, width) in layers.iter().flat_map(|(l, _)| [(l.from, l.shape.inp), (l.to, l.shape.out)]) {
        moves.entry(group).or_insert_with(|| {
            let mut order: Vec<u32> = (0..width).collect();
            (1..order.len()).rev().for_each(|i| order.swap(i, rng.next_u32() as usize % (i + 1)));
            order
        });
    }
    let move_layer = |(l, mask): &(Layer, Mask)| {
        let (inputs, taps) = (l.shape.inp as usize, l.shape.taps());
        let mut moved = Mask::empty(mask.size());
        for p in mask.positions() {
            let (out, inp) = (moves[&l.to][p / taps / inputs], moves[&l.from][p / taps % inputs]);
            moved.set((out as usize * inputs + inp as usize) * taps + p % taps, true);
        }
        (l.clone(), moved)
    };
    let layers = layers.iter().map(move_layer).collect();
    (layers, moves)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let density: f64 = std::env::args().nth(1).map_or(Ok(0.1), |share| share.parse())?;
    let ticket = network(density, 1);
    let reference = thinned(&ticket, 0.5, 2);
    let (copy, moves) = permuted(&ticket);
    for (what, suspect) in [("permuted copy", thinned(&copy, 0.8, 3)), ("stranger", network(density, 4))] {
        let side = |(l, kept)| Side { shape: Layer::clone(l).shape, kept };
        let layers: Vec<AlignLayer> = reference
            .iter()
            .zip(&suspect)
            .map(|((l, ours), (_, theirs))| AlignLayer {
                from: l.from,
                to: l.to,
                reference: side((l, ours)),
                suspect: side((l, theirs)),
            })
            .collect();
        let start = Instant::now();
        let found = Aligner::new(&layers, &[], &[0])?.align(AlignSettings::default());
        let seconds = start.elapsed().as_secs_f64();
        let pairs = || moves.iter().flat_map(|(&group, moves)| found.channels[group].iter().zip(moves));
        let placed = pairs().filter(|(found, moved)| **found == Some(**moved)).count();
        let (all, similarity) = (pairs().count(), found.similarity);
        println!("{what}: {seconds:.1} s, {placed} of {all} channels in place, similarity {similarity:.3}");
    }
    Ok(())
}
