//! Coordinate descent over the node groups, from several starts.

use std::collections::BTreeMap;

use counterfoil_ticket::{CarrierShape, Mask};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::assignment::{Matrix, assign};
use super::shift::{self, Shift, tap_at};
use super::{Aligner, Side};
use crate::draw::unit;

/// For each channel of the ticket, the suspect's that stands for it.
pub type Channels = Vec<Option<u32>>;

/// How long is sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlignSettings {
    /// Starts at most; no other is made once two have led to the same alignment.
    pub starts: u32,
    /// Rounds over all groups at most, for each start.
    pub rounds: u32,
}

impl Default for AlignSettings {
    fn default() -> Self {
        Self { starts: 4, rounds: 50 }
    }
}

/// Rounds without a better alignment after which a start is given up.
const PATIENCE: u32 = 4;

/// Largest number added to similarities by signature, in starts other than the first.
const PERTURBATION: f32 = 0.5;

/// Which channels of ticket and suspect belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    /// For each node group.
    pub channels: Vec<Channels>,
    /// For each node group, the shifts of the ticket's channels; empty if the suspect's kernels are not shifted.
    pub shifts: Vec<Vec<Shift>>,
    /// How alike ticket and suspect are under it, about −1 to 1; about 0 if they have nothing to do with each other.
    pub similarity: f64,
}

impl Alignment {
    /// What the suspect keeps of a layer, in the ticket's channels; `groups` are those that the layer reads and writes.
    ///
    /// # Panics
    ///
    /// If the layer is none of those that were aligned.
    pub fn place(&self, groups: [usize; 2], shape: CarrierShape, suspect: Side) -> Mask {
        let back = |group: usize, width: u32| {
            let mut back = vec![None; width as usize];
            let pairs = self.channels[group].iter().enumerate();
            pairs.for_each(|(ours, theirs)| theirs.iter().for_each(|&theirs| back[theirs as usize] = Some(ours)));
            back
        };
        let [inputs, outputs] = [back(groups[0], suspect.shape.inp), back(groups[1], suspect.shape.out)];
        let (taps, inp) = (suspect.shape.taps(), suspect.shape.inp as usize);
        let shift = |group: usize, c: usize| self.shifts.get(group).map_or([0, 0], |of_group| of_group[c]);
        let mut placed = Mask::empty(shape.size());
        // For each shift of a kernel, the tap of the ticket at each tap of the suspect.
        let mut read: BTreeMap<[i32; 2], Vec<Option<usize>>> = BTreeMap::new();
        for position in suspect.kept.positions() {
            let (kernel, tap) = (position / taps, position % taps);
            if let (Some(out), Some(of)) = (outputs[kernel / inp], inputs[kernel % inp]) {
                let (of_out, of_inp) = (shift(groups[1], out), shift(groups[0], of));
                let by = [0, 1].map(|axis| i32::from(of_out[axis]) - i32::from(of_inp[axis]));
                let read = read.entry(by).or_insert_with(|| {
                    let mut read = vec![None; taps];
                    for ours in 0..shape.taps() {
                        tap_at(shape, suspect.shape, ours, by).into_iter().for_each(|at| read[at] = Some(ours));
                    }
                    read
                });
                if let Some(tap) = read[tap] {
                    placed.set((out * shape.inp as usize + of) * shape.taps() + tap, true);
                }
            }
        }
        placed
    }
}

impl Aligner<'_> {
    /// The best alignment that is found.
    pub fn align(&self, settings: AlignSettings) -> Alignment {
        let signatures: Vec<Option<Matrix>> = (0..self.groups.len())
            .map(|group| (!self.groups[group].is_fixed).then(|| self.signature_similarity(group)))
            .collect();
        let mut best: Option<Alignment> = None;
        for start in 0..settings.starts.max(1) {
            let found = self.descend(self.start(&signatures, start), settings.rounds);
            let is_seen = best.as_ref().is_some_and(|best| best.channels == found.channels);
            if best.as_ref().is_none_or(|best| found.similarity > best.similarity) {
                best = Some(found);
            }
            if is_seen {
                break;
            }
        }
        let mut best = best.expect("there is at least one start");
        if let Some(shifted) = &self.shifted {
            shift::refine(self, shifted, &mut best, settings.rounds);
        }
        best
    }

    /// Groups to align, those that most layers meet first: streams before what lies within blocks.
    pub(super) fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.groups.len()).filter(|&group| !self.groups[group].is_fixed).collect();
        order.retain(|&group| !self.groups[group].roles.is_empty());
        order.sort_by_key(|&group| std::cmp::Reverse(self.groups[group].roles.len()));
        order
    }

    /// Each group by its signatures, and by what is known of its neighbours by then.
    fn start(&self, signatures: &[Option<Matrix>], start: u32) -> Vec<Channels> {
        let mut rng = ChaCha8Rng::seed_from_u64(u64::from(start));
        let fixed = |group: &super::aligner::Group| {
            let known = |c: usize| (group.is_fixed && c < group.suspect).then_some(c as u32);
            (0..group.reference).map(known).collect()
        };
        let mut channels: Vec<Channels> = self.groups.iter().map(fixed).collect();
        for group in self.order() {
            let mut matrix = self.similarity(group, &channels);
            let signature = signatures[group].as_ref().expect("groups that are aligned have signatures");
            for (value, signature) in matrix.values.iter_mut().zip(&signature.values) {
                let noise = if start == 0 { 0.0 } else { PERTURBATION * unit(&mut rng) as f32 };
                *value += signature + noise;
            }
            channels[group] = assign(&matrix);
        }
        channels
    }

    fn descend(&self, mut channels: Vec<Channels>, rounds: u32) -> Alignment {
        let order = self.order();
        let mut best = self.alignment(&channels);
        let mut waited = 0;
        for _ in 0..rounds {
            let mut has_changed = false;
            for &group in &order {
                let assigned = assign(&self.similarity(group, &channels));
                has_changed |= assigned != channels[group];
                channels[group] = assigned;
            }
            let found = self.alignment(&channels);
            waited += 1;
            if found.similarity > best.similarity {
                (best, waited) = (found, 0);
            }
            if !has_changed || waited >= PATIENCE {
                break;
            }
        }
        best
    }

    fn alignment(&self, channels: &[Channels]) -> Alignment {
        let similarity = self.total_similarity(channels);
        Alignment { similarity, channels: channels.to_vec(), shifts: Vec::new() }
    }
}
