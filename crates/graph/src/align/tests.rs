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
    moves[0].sort_unstable(); // the input is what it is
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
        assert!(share > 0.97, "{share}");
    }
}

#[test]
fn nothing_is_lost_of_a_whole_mask_by_permutation() {
    for seed in 0..20 {
        let net = Architecture::Mlp {
            input: ImageShape { channels: 1, height: 1, width: 32 },
            hidden: vec![20 + seed as u32, 24, 16],
            classes: 4,
        };
        for net in [resnet20(4), net] {
            let ticket = random(&net, 0.25, seed);
            let suspect = permuted(&ticket, &moves(&ticket, 300 + seed));
            let found = align(&ticket, &suspect);
            for ((l, mask), (_, theirs)) in ticket.layers.iter().zip(&suspect.layers) {
                let side = Side { shape: l.shape, kept: theirs };
                assert_eq!(&found.place([l.from, l.to], l.shape, side), mask, "seed {seed}, {}", l.name);
            }
        }
    }
}

/// The suspect's hidden groups are wider, or narrower, by some channels.
#[test]
fn channels_that_were_added_or_removed_have_no_counterpart() {
    let net = |hidden: [u32; 2]| Architecture::Mlp {
        input: ImageShape { channels: 1, height: 1, width: 64 },
        hidden: hidden.to_vec(),
        classes: 10,
    };
    let wide = random(&net([48, 40]), 0.2, 1);
    let wide = permuted(&wide, &moves(&wide, 2));
    // The first 40 and 32 channels of the wide one.
    let cut = |(l, mask): &(Layer, Mask), shape: counterfoil_ticket::CarrierShape| {
        let (inputs, wide) = (shape.inp as usize, l.shape.inp as usize);
        Mask::from_fn(shape.size(), |p| mask.keeps(p / inputs * wide + p % inputs))
    };
    let narrow = net([40, 32]).layers().into_iter().filter(|l| l.prunable).zip(&wide.layers);
    let narrow: Vec<(Layer, Mask)> = narrow.map(|(l, of)| (l.clone(), cut(of, l.shape))).collect();
    let narrow = Network { layers: narrow, ..wide.clone() };
    for (reference, suspect, expected) in [(&narrow, &wide, [40, 32]), (&wide, &narrow, [40, 32])] {
        let found = align(reference, suspect);
        for (group, expected) in [1, 2].into_iter().zip(expected) {
            let pairs = found.channels[group].iter().enumerate();
            let right = pairs.filter(|(c, d)| **d == Some(*c as u32)).count();
            assert_eq!(right, expected, "group {group}");
            assert!(found.channels[group].iter().flatten().count() == expected);
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let ticket = random(&resnet20(8), 0.1, 1);
    let stranger = random(&resnet20(8), 0.1, 2);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be made");
        pool.install(|| align(&ticket, &stranger))
    };
    assert_eq!(with(1), with(5));
}

#[test]
fn alignments_are_counted_by_injections() {
    let side =
        |out, inp, kept| Side { shape: counterfoil_ticket::CarrierShape { out, inp, height: 1, width: 1 }, kept };
    let (ours, theirs) = (Mask::full(3 * 4), Mask::full(5 * 4));
    let layer = AlignLayer { from: 0, to: 1, reference: side(3, 4, &ours), suspect: side(5, 4, &theirs) };
    let aligner = Aligner::new(&[layer], &[], &[0]).expect("the layer fits");
    assert!((aligner.log2_alignments() - 60f64.log2()).abs() < 1e-12, "5 · 4 · 3");
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let mask = Mask::full(12);
    let side =
        |out, inp, width| Side { shape: counterfoil_ticket::CarrierShape { out, inp, height: 1, width }, kept: &mask };
    let layer = |from, reference, suspect| AlignLayer { from, to: from + 1, reference, suspect };
    let refused = |layers: &[AlignLayer]| Aligner::new(layers, &[], &[0]).expect_err("it does not fit");
    assert!(matches!(refused(&[layer(0, side(3, 2, 1), side(3, 4, 1))]), AlignError::MaskSize { .. }));
    assert!(matches!(refused(&[layer(0, side(2, 2, 3), side(3, 4, 1))]), AlignError::Kernel { .. }));
    let wide = [layer(0, side(3, 4, 1), side(3, 4, 1)), layer(1, side(3, 4, 1), side(4, 3, 1))];
    assert!(matches!(refused(&wide), AlignError::GroupWidth { group: 1, .. }));
}

#[test]
fn a_control_finds_a_ticket_and_not_what_is_left_of_one() {
    let ticket = random(&resnet20(8), 0.1, 1);
    let part = thinned(&ticket, 0.5, 2);
    let is_found = |suspect: &Network| {
        let layers: Vec<AlignLayer> = (part.layers.iter().zip(&suspect.layers))
            .map(|((l, ours), (_, theirs))| AlignLayer {
                from: l.from,
                to: l.to,
                reference: Side { shape: l.shape, kept: ours },
                suspect: Side { shape: l.shape, kept: theirs },
            })
            .collect();
        let whole: Vec<&Mask> = ticket.layers.iter().map(|(_, mask)| mask).collect();
        finds_itself(&layers, &whole, &[0, ticket.groups - 1], AlignSettings::default(), 1).expect("the layers fit")
    };
    assert!(is_found(&random(&resnet20(8), 0.1, 3)));
    assert!(!is_found(&random(&resnet20(8), 0.001, 4)));
}
