//! How alike two channels are, given which channels of the neighbouring groups belong together.
//!
//! Channel c of the ticket keeps r positions (of those aligned on), channel d of the suspect s, and a of them meet. If
//! the s were spread at random over the N positions of the layer's channel, r·s/N would meet. The similarity is
//!
//! ```text
//! Σ (a − r·s/N) / √(Σ r(1 − r/N) · Σ s(1 − s/N))        over the layers that meet the group
//! ```
//!
//! Pearson's correlation of what they keep: 1 for equals, and on average 0 for channels that have nothing to do with each
//! other, however much they keep.

use rayon::prelude::*;

use super::Aligner;
use super::aligner::Tie;
use super::assignment::Matrix;
use super::descent::Channels;
use super::kept_lists::End;

/// Pairs that a thread works on at a time, at least.
pub(super) const AT_ONCE: usize = 1 << 14;

/// What it adds to a pair's similarity that a shortcut leads from, or to, a pair that is taken to belong together.
const TIE: f32 = 0.1;

impl Aligner<'_> {
    /// Similarities of all pairs of channels of a group; `channels` says for each group what is known so far.
    pub(super) fn similarity(&self, group: usize, channels: &[Channels]) -> Matrix {
        let of_group = &self.groups[group];
        let columns = of_group.suspect;
        let of_role = |&(l, end): &(usize, End), d: usize| {
            let suspect = &self.layers[l].suspect;
            let (degree, room) = (suspect.degree(end, d) as f32, suspect.room(end) as f32);
            degree - degree * degree / room
        };
        let variances: Vec<f32> =
            (0..columns).map(|d| of_group.roles.iter().map(|role| of_role(role, d)).sum()).collect();
        let mut values = vec![0.0; of_group.reference * columns];
        values.par_chunks_mut(columns.max(1)).with_min_len(AT_ONCE / columns.max(1) + 1).enumerate().for_each_init(
            || vec![0u32; columns],
            |met, (c, row)| {
                met.fill(0);
                let mut variance = 0.0;
                for &(index, end) in &of_group.roles {
                    let layer = &self.layers[index];
                    let other = if end == End::Reads { layer.to } else { layer.from };
                    let mut known = 0u32;
                    for (channel, tap) in layer.reference.links(end, c) {
                        if let Some(theirs) = channels[other][channel] {
                            let theirs = layer.suspect.linked(end, theirs as usize, tap);
                            theirs.iter().for_each(|&d| met[d as usize] += 1);
                            known += 1;
                        }
                    }
                    let share = known as f32 / layer.suspect.room(end) as f32;
                    variance += known as f32 * (1.0 - share);
                    for (d, value) in row.iter_mut().enumerate() {
                        *value -= share * layer.suspect.degree(end, d) as f32;
                    }
                }
                for ((value, &met), &theirs) in row.iter_mut().zip(&*met).zip(&variances) {
                    let size = (variance * theirs).sqrt();
                    *value = if size > 0.0 { (*value + met as f32) / size } else { 0.0 };
                }
            },
        );
        let mut matrix = Matrix { values, columns };
        self.add_ties(group, channels, &mut matrix);
        matrix
    }

    fn add_ties(&self, group: usize, channels: &[Channels], matrix: &mut Matrix) {
        let mut add = |c: usize, d: usize| matrix.values[c * matrix.columns + d] += TIE;
        for &Tie { from, to, reference, suspect } in &self.ties {
            let (reference, suspect) = (reference as usize, suspect as usize);
            if from == group {
                let ends = channels[to][reference..].iter().take(self.groups[from].reference);
                for (c, theirs) in ends.enumerate() {
                    let d = theirs.and_then(|theirs| (theirs as usize).checked_sub(suspect));
                    if let Some(d) = d.filter(|&d| d < self.groups[from].suspect) {
                        add(c, d);
                    }
                }
            }
            if to == group {
                for (c, theirs) in channels[from].iter().enumerate() {
                    if let Some(theirs) = theirs {
                        add(c + reference, *theirs as usize + suspect);
                    }
                }
            }
        }
    }

    /// How alike ticket and suspect are under an alignment: the same measure over all layers at once.
    pub(super) fn total_similarity(&self, channels: &[Channels]) -> f64 {
        let of_layer = |layer: &super::aligner::Indexed| {
            let end = End::Writes;
            let (mut known, mut met, mut theirs) = (0u64, 0u64, 0u64);
            for (c, d) in channels[layer.to].iter().enumerate() {
                let Some(d) = *d else { continue };
                theirs += layer.suspect.degree(end, d as usize) as u64;
                for (channel, tap) in layer.reference.links(end, c) {
                    if let Some(other) = channels[layer.from][channel] {
                        known += 1;
                        met += u64::from(layer.suspect.has(d as usize, other as usize, tap));
                    }
                }
            }
            (known, met, theirs, layer.suspect.room(end) * layer.suspect.width(end))
        };
        let counted: Vec<_> = self.layers.par_iter().map(of_layer).collect();
        let (mut sum, mut known, mut theirs) = (0.0, 0, 0);
        for (k, m, t, room) in counted {
            sum += m as f64 - k as f64 * t as f64 / (room as f64).max(1.0);
            (known, theirs) = (known + k, theirs + t);
        }
        let size = (known as f64 * theirs as f64).sqrt();
        if size > 0.0 { sum / size } else { 0.0 }
    }
}
