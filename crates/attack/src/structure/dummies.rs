//! Channels that are added and change nothing: what the three kinds of neural structural obfuscation share.

use counterfoil_ticket::Layer;

use super::wired::Wired;
use crate::draw::{Draw, rms};
use crate::{AttackError, Parameter, sparse::unsuitable};

/// How many are added.
pub(super) const SHARE: Parameter =
    Parameter::number("share", "0.2", [0.0, 4.0], "channels, as a share of each inner group's; at least one");

/// Where the three kinds are described.
pub(super) const SOURCE: &str = "neural structural obfuscation: Yan et al. 2023 (USENIX Security)";

/// Groups that channels can be added to.
pub(super) fn groups(wired: &Wired) -> Result<Vec<usize>, AttackError> {
    let inner = wired.inner();
    if inner.is_empty() { Err(unsuitable("it has no channels that one layer alone writes")) } else { Ok(inner) }
}

/// Adds copies of these channels at random places, and says where they are. They are read like what they are copies of.
pub(super) fn add(wired: &mut Wired, group: usize, copied: &[usize], draw: &mut Draw) -> Vec<usize> {
    let width = wired.width(group) + copied.len();
    let places = draw.some(0..width, copied.len());
    let mut sources = vec![None; width];
    places.iter().zip(copied).for_each(|(&place, &source)| sources[place] = Some(source));
    let mut old = 0..;
    let sources: Vec<usize> =
        sources.into_iter().map(|source| source.unwrap_or_else(|| old.next().expect("it has no end"))).collect();
    wired.take_channels(group, &sources);
    places
}

/// Gives a channel other weights where it is written: as many, elsewhere, of the layer's size.
pub(super) fn redraw_row(wired: &mut Wired, layer: &Layer, channel: usize, draw: &mut Draw) {
    let size = rms(wired.array(&layer.weight()).values());
    let row = wired.row(layer, channel);
    let kept = row.iter().filter(|w| **w != 0.0).count().max(1);
    let places = draw.some(0..row.len(), kept);
    row.fill(0.0);
    places.into_iter().for_each(|place| row[place] = size * draw.normal());
}

/// Weights of as many places of a column as the channel is read by, drawn with the layer's size; at least one.
pub(super) fn drawn_column(wired: &mut Wired, layer: &Layer, channel: usize, draw: &mut Draw) -> Vec<f32> {
    let size = rms(wired.array(&layer.weight()).values());
    let mut column: Vec<f32> = wired.column(layer, channel).map(|w| *w).collect();
    let kept = column.iter().filter(|w| **w != 0.0).count().max(1);
    let places = draw.some(0..column.len(), kept);
    column.fill(0.0);
    places.into_iter().for_each(|place| column[place] = size * draw.normal());
    column
}

/// Sets how a channel is read.
pub(super) fn set_column(wired: &mut Wired, layer: &Layer, channel: usize, weights: &[f32]) {
    wired.column(layer, channel).zip(weights).for_each(|(w, new)| *w = *new);
}
