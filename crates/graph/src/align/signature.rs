//! Signatures: what a channel looks like when nothing is known of its neighbours.
//!
//! For each layer that meets the group and each tap, the number of kept positions of the channel: no permutation of other
//! groups changes it. Of the table of channels and these features the Pearson residuals (n − n̂)/√n̂ are taken, n̂ being
//! what the channel's and the feature's sums make expect: so a channel that keeps more, or a layer that was pruned more,
//! looks like any other. Two channels are as alike as the cosine of their residuals.

use rayon::prelude::*;

use super::Aligner;
use super::aligner::Group;
use super::assignment::Matrix;
use super::kept_lists::{End, KeptLists};
use super::similarity::AT_ONCE;

impl Aligner<'_> {
    /// Similarities of all pairs of channels of a group, by signature alone.
    pub(super) fn signature_similarity(&self, group: usize) -> Matrix {
        let of_group = &self.groups[group];
        let ours = self.signatures(of_group, of_group.reference, |layer| &self.layers[layer].reference);
        let theirs = self.signatures(of_group, of_group.suspect, |layer| &self.layers[layer].suspect);
        let columns = of_group.suspect;
        let mut values = vec![0.0; of_group.reference * columns];
        values.par_chunks_mut(columns.max(1)).with_min_len(AT_ONCE / columns.max(1) + 1).zip(&ours).for_each(
            |(row, c)| {
                for (value, d) in row.iter_mut().zip(&theirs) {
                    *value = c.iter().zip(d).map(|(a, b)| a * b).sum();
                }
            },
        );
        Matrix { values, columns }
    }

    /// Residuals of each channel, of length 1 or 0.
    fn signatures<'b>(&self, group: &Group, width: usize, side: impl Fn(usize) -> &'b KeptLists) -> Vec<Vec<f32>> {
        let counts = |channel: usize| -> Vec<f64> {
            let of_role = |&(layer, end): &(usize, End)| {
                let lists = side(layer);
                let mut counts = vec![0.0; lists.taps];
                lists.links(end, channel).for_each(|(_, tap)| counts[tap] += 1.0);
                counts
            };
            group.roles.iter().flat_map(of_role).collect()
        };
        let table: Vec<Vec<f64>> = (0..width).map(counts).collect();
        let features = table.first().map_or(0, Vec::len);
        let of_feature: Vec<f64> = (0..features).map(|f| table.iter().map(|row| row[f]).sum()).collect();
        let all: f64 = of_feature.iter().sum();
        let residuals = |row: &Vec<f64>| {
            let of_channel: f64 = row.iter().sum();
            let expected = of_feature.iter().map(|sum| sum * of_channel / all);
            let residual =
                |(n, expected): (&f64, f64)| if expected > 0.0 { (n - expected) / expected.sqrt() } else { 0.0 };
            let residuals: Vec<f64> = row.iter().zip(expected).map(residual).collect();
            let length = residuals.iter().map(|x| x * x).sum::<f64>().sqrt();
            residuals.iter().map(|x| if length > 0.0 { (x / length) as f32 } else { 0.0 }).collect()
        };
        table.iter().map(residuals).collect()
    }
}
