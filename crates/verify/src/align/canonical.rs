//! Undoes what changes a network's channels and not its function, before channels are aligned. Depends on the suspect alone.
//!
//! A hidden channel computes ReLU(a · x + b), a being its filter times the batch norm's factor. Channels whose (a, b) are
//! positive multiples of each other are one channel that was split (Yan et al. 2023, neural structural obfuscation): the outgoing
//! kernels are added up, each times its multiple, and where they cancel, as those of cliques do, nothing is left.
//! Channels without incoming weights are constant, and those without outgoing ones reach nothing: weights there cost a thief
//! nothing, and would take ranks from others.

use counterfoil_ticket::Mask;

use super::Network;
use super::held::Held;

/// Squared distance of unit vectors that are taken for equal: roundings of binary32.
const EQUAL: f64 = 1e-9;

/// Weights that are left of a sum are zeros below this share of what was added up.
const NOISE: f64 = 1e-5;

/// Merges split channels of all groups that one layer writes and no shortcut passes on.
pub(super) fn merge_split(network: &Network, held: &mut [Option<Held>]) {
    for (writer, readers) in hidden(network) {
        let Some(writing) = &held[writer] else { continue };
        if readers.iter().any(|&r| held[r].is_none()) {
            continue;
        }
        let sets = proportional(&functions(writing));
        for (set, multiples) in &sets {
            for &reader in &readers {
                held[reader].iter_mut().for_each(|reading| add_up(reading, set, multiples));
            }
            held[writer].iter_mut().for_each(|writing| set[1..].iter().for_each(|&c| clear_output(writing, c)));
        }
        if !sets.is_empty() {
            for &layer in readers.iter().chain([&writer]) {
                held[layer].iter_mut().for_each(|held| held.kept = Mask::of_nonzero(&held.values));
            }
        }
    }
}

/// Zeroes weights out of constant channels and into channels that nothing reads, once through the network each way.
pub(super) fn drop_dead(network: &Network, held: &mut [Option<Held>]) {
    let hidden = hidden(network);
    for (writer, readers) in &hidden {
        let Some(writing) = &held[*writer] else { continue };
        let row = writing.shape.row();
        let is_constant =
            |c: usize| writing.affine[c][0] == 0.0 || writing.values[c * row..][..row].iter().all(|v| *v == 0.0);
        let constant: Vec<usize> = (0..writing.shape.out as usize).filter(|&c| is_constant(c)).collect();
        for &reader in readers {
            held[reader].iter_mut().for_each(|reading| constant.iter().for_each(|&c| clear_input(reading, c)));
        }
    }
    for (writer, readers) in hidden.iter().rev() {
        let (Some(writing), true) = (&held[*writer], readers.iter().all(|&r| held[r].is_some())) else { continue };
        let is_read = |c: usize| readers.iter().filter_map(|&r| held[r].as_ref()).any(|reading| reads(reading, c));
        let unread: Vec<usize> = (0..writing.shape.out as usize).filter(|&c| !is_read(c)).collect();
        held[*writer].iter_mut().for_each(|writing| unread.iter().for_each(|&c| clear_output(writing, c)));
    }
}

/// The writer and the readers of each group that has one writer and no shortcut, in computing order of the writers.
fn hidden(network: &Network) -> Vec<(usize, Vec<usize>)> {
    let layers = &network.layers;
    let at = |of: fn(&counterfoil_ticket::Layer) -> usize, group| -> Vec<usize> {
        (0..layers.len()).filter(|&i| of(&layers[i].layer) == group).collect()
    };
    let of_writer = |writer: usize| {
        let group = layers[writer].layer.to;
        let is_tied = network.ties.iter().any(|tie| tie.from == group || tie.to == group);
        let is_alone = at(|l| l.to, group).len() == 1;
        (is_alone && !is_tied && !network.fixed.contains(&group)).then(|| (writer, at(|l| l.from, group)))
    };
    (0..layers.len()).filter_map(of_writer).collect()
}

/// (a, b) of each output.
fn functions(held: &Held) -> Vec<Vec<f64>> {
    let rows = held.values.chunks(held.shape.row()).zip(&held.affine);
    rows.map(|(row, [factor, addend])| row.iter().map(|w| f64::from(*w) * factor).chain([*addend]).collect()).collect()
}

/// Sets of two or more functions that are positive multiples of one another, and how many times the first each is.
fn proportional(functions: &[Vec<f64>]) -> Vec<(Vec<usize>, Vec<f64>)> {
    let length = |f: &[f64]| f.iter().map(|x| x * x).sum::<f64>().sqrt();
    // Constant functions, whose a is 0, are left alone.
    let is_constant = |f: &[f64]| f.split_last().is_none_or(|(_, a)| a.iter().all(|x| *x == 0.0));
    let mut units: Vec<(f64, usize, Vec<f64>)> = Vec::new();
    for (c, f) in functions.iter().enumerate().filter(|(_, f)| !is_constant(f)) {
        let unit: Vec<f64> = f.iter().map(|x| x / length(f)).collect();
        // A fixed direction that no structure has; equal functions are neighbours along it.
        let along = unit.iter().enumerate().map(|(i, x)| x * ((i as f64 + 1.0) * 0.754_877_666).fract()).sum();
        units.push((along, c, unit));
    }
    units.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut is_taken = vec![false; units.len()];
    let mut sets = Vec::new();
    for i in 0..units.len() {
        if is_taken[i] {
            continue;
        }
        let reach = EQUAL.sqrt() * (units[i].2.len() as f64).sqrt();
        let near = (i + 1..units.len()).take_while(|&j| units[j].0 - units[i].0 <= reach);
        let distance = |j: usize| units[i].2.iter().zip(&units[j].2).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let equal: Vec<usize> = near.filter(|&j| distance(j) < EQUAL).collect();
        let mut set = vec![units[i].1];
        for j in equal.into_iter().filter(|&j| !is_taken[j]).collect::<Vec<_>>() {
            is_taken[j] = true;
            set.push(units[j].1);
        }
        if set.len() > 1 {
            set.sort_unstable();
            let first = length(&functions[set[0]]);
            let multiples = set.iter().map(|&c| length(&functions[c]) / first).collect();
            sets.push((set, multiples));
        }
    }
    sets
}

/// Adds the inputs of a set to its first.
fn add_up(reading: &mut Held, set: &[usize], multiples: &[f64]) {
    let (inputs, taps) = (reading.shape.inp as usize, reading.shape.taps());
    for kernel in (0..reading.shape.out as usize).map(|o| o * inputs) {
        for tap in 0..taps {
            let (mut sum, mut size) = (0.0, 0.0);
            for (&c, multiple) in set.iter().zip(multiples) {
                let value = &mut reading.values[(kernel + c) * taps + tap];
                let term = f64::from(*value) * multiple;
                (sum, size) = (sum + term, size + term.abs());
                *value = 0.0;
            }
            if sum.abs() > NOISE * size {
                reading.values[(kernel + set[0]) * taps + tap] = sum as f32;
            }
        }
    }
}

fn clear_output(held: &mut Held, c: usize) {
    let row = held.shape.row();
    for p in c * row..(c + 1) * row {
        held.values[p] = 0.0;
        held.kept.set(p, false);
    }
}

fn clear_input(held: &mut Held, c: usize) {
    let (row, taps) = (held.shape.row(), held.shape.taps());
    for p in (0..held.shape.out as usize).flat_map(|o| o * row + c * taps..o * row + (c + 1) * taps) {
        held.values[p] = 0.0;
        held.kept.set(p, false);
    }
}

fn reads(held: &Held, c: usize) -> bool {
    let (row, taps) = (held.shape.row(), held.shape.taps());
    (0..held.shape.out as usize).any(|o| held.values[o * row + c * taps..][..taps].iter().any(|v| *v != 0.0))
}
