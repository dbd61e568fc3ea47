//! ResNet-20-shaped tickets, and what a thief does to their channels.

use std::collections::BTreeMap;

use counterfoil_claim::{OpenedPanel, VerifiedClaim};
use counterfoil_ticket::{Architecture, CarrierShape, ImageShape, Layer, Model};
use counterfoil_verify::{Evidence, Options, Report, verify};

use crate::kit::{Owner, Random, Tensor, Ticket, array, file};

pub(crate) fn resnet20(width: u32) -> Architecture {
    Architecture::Resnet20 { input: ImageShape { channels: 3, height: 32, width: 32 }, width, classes: 10 }
}

/// Whether several layers write the group.
pub(crate) fn is_stream(net: &Architecture, group: usize) -> bool {
    net.layers().iter().filter(|l| l.to == group).count() > 1
}

/// The layers that tickets prune.
pub(crate) fn tensors(net: &Architecture) -> Vec<Tensor> {
    let tensor = |l: Layer| -> Tensor {
        let [o, i, h, w] = <[u32; 4]>::from(l.shape).map(|d| d as usize);
        let shape = if l.kind == counterfoil_ticket::LayerKind::Linear { vec![o, i] } else { vec![o, i, h, w] };
        (l.weight().leak(), shape.leak())
    };
    net.layers().into_iter().filter(|l| l.prunable).map(tensor).collect()
}

/// An owner's ticket with everything that can be shown of it.
pub(crate) struct Shown {
    pub(crate) owner: Owner,
    pub(crate) ticket: Ticket,
    pub(crate) claim: VerifiedClaim,
    pub(crate) disclosures: Vec<OpenedPanel>,
}

impl Shown {
    pub(crate) fn new(net: &Architecture, number: u64, density: f64, bias: f64, panels: &[u8]) -> Self {
        let owner = Owner::new(number);
        let ticket = owner.stamp(&tensors(net), density, bias);
        let claim = owner.claim(&ticket);
        let disclosures = owner.disclose(&ticket, &claim, panels);
        Self { owner, ticket, claim, disclosures }
    }

    pub(crate) fn evidence(&self) -> Evidence<'_> {
        Evidence { reference: Some(&self.ticket.masks), ..Evidence::claimed(&self.claim, &self.disclosures) }
    }

    pub(crate) fn align(&self, model: &Model, is_older: bool) -> Report {
        let options = Options { align: true, claim_is_older: is_older, ..Options::default() };
        verify(Some(&file(model).file), None, &self.evidence(), &options).expect("the suspect can be judged")
    }
}

fn shuffled(mut items: Vec<usize>, random: &mut Random) -> Vec<usize> {
    for i in (1..items.len()).rev() {
        items.swap(i, (random.bits() % (i as u64 + 1)) as usize);
    }
    items
}

/// Where the channels of each group go: shortcuts lead where they did, input and classes stay.
pub(crate) fn moves(net: &Architecture, random: &mut Random) -> BTreeMap<usize, Vec<usize>> {
    let layers = net.layers();
    let widths: BTreeMap<usize, usize> = layers.iter().map(|l| (l.to, l.shape.out as usize)).collect();
    let last = layers.iter().map(|l| l.to).max().expect("a network has layers");
    let mut moves: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (&group, &width) in widths.iter().filter(|(group, _)| **group != last) {
        moves.insert(group, shuffled((0..width).collect(), random));
    }
    for s in net.shortcuts() {
        let (first, width) = (s.offset as usize, widths[&s.from]);
        let is_tied = |c: &usize| (first..first + width).contains(c);
        let mut others = shuffled((0..widths[&s.to]).filter(|c| !is_tied(c)).collect(), random).into_iter();
        let from = moves[&s.from].clone();
        let to = |c| if is_tied(&c) { from[c - first] + first } else { others.next().expect("one for each") };
        moves.insert(s.to, (0..widths[&s.to]).map(to).collect());
    }
    moves
}

/// Permutes all hidden channels, and scales each by a power of two between 1/16 and 16, on the way in and back on the way out.
pub(crate) fn permuted(model: &Model, net: &Architecture, seed: u64) -> Model {
    let mut random = Random(seed);
    let moves = moves(net, &mut random);
    let scales: BTreeMap<usize, Vec<f32>> = (moves.iter())
        .map(|(&group, moves)| (group, moves.iter().map(|_| 2f32.powi((random.bits() % 9) as i32 - 4)).collect()))
        .collect();
    relaid(
        model,
        net,
        |layer, [o, i]| {
            let to = |group: usize, c: usize| moves.get(&group).map_or(c, |moves| moves[c]);
            let scale = |group: usize, c: usize| scales.get(&group).map_or(1.0, |scales| scales[c]);
            Some(([to(layer.to, o), to(layer.from, i)], scale(layer.to, o) / scale(layer.from, i)))
        },
        |layer| layer.shape,
    )
}

/// Writes kernel (o, i) of each layer where `to` says, if anywhere, times its factor; layers take the shape that `shape` says.
pub(crate) fn relaid(
    model: &Model,
    net: &Architecture,
    to: impl Fn(&Layer, [usize; 2]) -> Option<([usize; 2], f32)>,
    shape: impl Fn(&Layer) -> CarrierShape,
) -> Model {
    let mut relaid = model.clone();
    for layer in net.layers() {
        let Some(old) = model.arrays.get(&layer.weight()) else { continue };
        let (before, after) = (layer.shape, shape(&layer));
        let taps = before.taps();
        let mut values = vec![0.0; after.size()];
        for (p, value) in old.values().iter().enumerate() {
            let kernel = [p / taps / before.inp as usize, p / taps % before.inp as usize];
            let Some(([o, i], factor)) = to(&layer, kernel) else { continue };
            values[(o * after.inp as usize + i) * taps + p % taps] = value * factor;
        }
        let mut dimensions: Vec<usize> = old.shape().to_vec();
        (dimensions[0], dimensions[1]) = (after.out as usize, after.inp as usize);
        relaid.arrays.insert(layer.weight(), array(&dimensions, values));
    }
    relaid
}

/// Lays 3×3 kernels in a 5×5 frame. With `shift`, the taps into each hidden channel within a block are moved by up to one row and
/// one column, and those out of it back.
pub(crate) fn framed(model: &Model, net: &Architecture, shift: Option<u64>) -> Model {
    let mut random = Random(shift.unwrap_or(0));
    let mut shifts: BTreeMap<(usize, usize), [i64; 2]> = BTreeMap::new();
    let mut framed = model.clone();
    for layer in net.layers() {
        let Some(old) = model.arrays.get(&layer.weight()).filter(|_| layer.shape.height == 3) else { continue };
        let inputs = layer.shape.inp as usize;
        let mut shift_of = |group: usize, c: usize| match shift {
            Some(_) if group > 0 && !is_stream(net, group) => {
                *shifts.entry((group, c)).or_insert_with(|| [0, 1].map(|_| (random.bits() % 3) as i64 - 1))
            }
            _ => [0, 0],
        };
        let mut values = vec![0.0; old.values().len() / 9 * 25];
        for (p, value) in old.values().iter().enumerate() {
            let (kernel, tap) = (p / 9, p % 9);
            let (out, inp) = (shift_of(layer.to, kernel / inputs), shift_of(layer.from, kernel % inputs));
            let [row, column] = [0, 1].map(|axis| out[axis] - inp[axis]);
            let place = (1 + (tap / 3) as i64 + row) * 5 + 1 + (tap % 3) as i64 + column;
            values[kernel * 25 + place as usize] = *value;
        }
        framed.arrays.insert(layer.weight(), array(&[layer.shape.out as usize, inputs, 5, 5], values));
    }
    framed
}

/// Zeroes each value with this chance.
pub(crate) fn pruned(model: &Model, share: f64, seed: u64) -> Model {
    let mut random = Random(seed);
    let mut pruned = model.clone();
    crate::kit::change(&mut pruned, |v| if random.share() < share { 0.0 } else { v });
    pruned
}
