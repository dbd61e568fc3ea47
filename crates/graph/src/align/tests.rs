//! Networks whose channels are permuted are put back.

use counterfoil_ticket::{Architecture, ImageShape, Layer, Mask};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::draw::{below, unit};

/// Masks of the prunable layers of a network.
#[derive(Clone)]
struct Network {
    layers: Vec<(Layer, Mask)>,
    ties: Vec<Tie>,
    groups: usize,
}

fn resnet20(width: u32) -> Architecture {
    Architecture::Resnet20 { input: ImageShape { channels: 3, height: 32, width: 32 }, width, classes: 10 }
}

fn random(net: &Architecture, density: f64, seed: u64) -> Network {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let groups = net.layers().iter().map(|l| l.to).max().expect("a network has layers") + 1;
    let layers = net.layers().into_iter().filter(|l| l.prunable);
    let mask = |l: Layer| {
        let mask = Mask::from_fn(l.shape.size(), |_| unit(&mut rng) < density);
        (l, mask)
    };
    let tie = |s: counterfoil_ticket::Shortcut| Tie { from: s.from, to: s.to, reference: s.offset, suspect: s.offset };
    Network { layers: layers.map(mask).collect(), ties: net.shortcuts().into_iter().map(tie).collect(), groups }
}

/// A permutation of each group: channel c of the ticket goes to `moves[g][c]`. Tied groups move together.
fn moves(network: &Network, seed: u64) -> Vec<Vec<u32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut widths = vec![0; network.groups];
    for (l, _) in &network.layers {
        (widths[l.from], widths[l.to]) = (l.shape.inp, l.shape.out);
    }
    let mut shuffled = |mut items: Vec<u32>| {
        (1..items.len()).rev().for_each(|i| items.swap(i, below(i as u32 + 1, &mut rng) as usize));
        items
    };
    let mut moves: Vec<Vec<u32>> = widths.iter().map(|&w| shuffled((0..w).collect())).collect();
    for tie in &network.ties {
        let (first, width) = (tie.reference, widths[tie.from]);
        let outside = |c: &u32| !(first..first + width).contains(c);
        let mut others = shuffled((0..widths[tie.to]).filter(outside).collect()).into_iter();
        moves[tie.to] = (0..widths[tie.to])
            .map(|c| match outside(&c) {
                true => others.next().expect("as many as channels outside"),
                false => moves[tie.from][(c - first) as usize] + first,
            })
            .collect();
    }
    moves
}

fn permuted(network: &Network, moves: &[Vec<u32>]) -> Network {
    let move_layer = |(l, mask): &(Layer, Mask)| {
        let (inputs, taps) = (l.shape.inp as usize, l.shape.taps());
        let mut moved = Mask::empty(mask.size());
        for position in mask.positions() {
            let (out, inp, tap) = (position / taps / inputs, position / taps % inputs, position % taps);
            moved.set((moves[l.to][out] as usize * inputs + moves[l.from][inp] as usize) * taps + tap, true);
        }
        (l.clone(), moved)
    };
    Network { layers: network.layers.iter().map(move_layer).collect(), ..network.clone() }
}

/// Keeps each kept position with this chance.
fn thinned(network: &Network, share: f64, seed: u64) -> Network {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut thin = |(l, mask): &(Layer, Mask)| {
        (l.clone(), Mask::from_fn(mask.size(), |p| mask.keeps(p) && unit(&mut rng) < share))
    };
    Network { layers: network.layers.iter().map(&mut thin).collect(), ..network.clone() }
}

fn align(reference: &Network, suspect: &Network) -> Alignment {
    let layers: Vec<AlignLayer> = reference
        .layers
        .iter()
        .zip(&suspect.layers)
        .map(|((l, mask), (s, kept))| AlignLayer {
            from: l.from,
            to: l.to,
            reference: Side { shape: l.shape, kept: mask },
            suspect: Side { shape: s.shape, kept },
        })
        .collect();
    let fixed = [0, reference.groups - 1];
    Aligner::new(&layers, &reference.ties, &fixed).expect("the networks fit").align(AlignSettings::default())
}

/// Share of the channels that are where they belong.
fn share_found(alignment: &Alignment, moves: &[Vec<u32>]) -> f64 {
    let pairs = alignment.channels.iter().zip(moves).flat_map(|(found, moved)| found.iter().zip(moved));
    let (right, all) = pairs.fold((0, 0), |(right, all), (f, m)| (right + usize::from(*f == Some(*m)), all + 1));
    right as f64 / all as f64
}

#[test]
fn a_permuted_resnet20_is_put_back_from_half_of_its_positions() {
    for seed in 0..10 {
        let ticket = random(&resnet20(16), 0.05, seed);
        let moves = moves(&ticket, 100 + seed);
        let suspect = thinned(&permuted(&ticket, &moves), 0.8, seed);
        let found = align(&thinned(&ticket, 0.5, 200 + seed), &suspect);
        let share = share_found(&found, &moves);
        eprintln!("{seed}: {share} {}", found.similarity);
        assert!(share > 0.97, "{share}");
    }
}

#[test]
#[ignore]
fn resnet50_time() {
    let input = ImageShape { channels: 3, height: 32, width: 32 };
    for density in [0.05, 0.2] {
        let ticket = random(&Architecture::Resnet50 { input, width: 64, classes: 10 }, density, 1);
        let moves = moves(&ticket, 100);
        let suspect = thinned(&permuted(&ticket, &moves), 0.8, 3);
        let start = std::time::Instant::now();
        let found = align(&thinned(&ticket, 0.5, 200), &suspect);
        eprintln!("{density}: {} {} in {:?}", share_found(&found, &moves), found.similarity, start.elapsed());
        let stranger = random(&Architecture::Resnet50 { input, width: 64, classes: 10 }, density, 2);
        let start = std::time::Instant::now();
        let found = align(&thinned(&ticket, 0.5, 200), &stranger);
        eprintln!("stranger {density}: {} in {:?}", found.similarity, start.elapsed());
    }
}
