//! Which weights a convolution keeps, as lists of taps for both directions.

use crate::geometry::Conv;

/// Share of kept weights from which on computing all of them should be faster than going through a list: dense layers
/// reach about half of the processor's multiply-adds, lists a fifth (`examples/layers.rs`).
const DENSE_FROM: f64 = 0.4;

/// How many channels are computed at once where all of them have the same taps.
pub(crate) const TOGETHER: usize = 4;

/// One weight as a list entry: which pixel it multiplies, and which weight it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tap {
    /// Added to a pixel's read index.
    pub(crate) offset: u32,
    /// Index of the weight; channels that are computed together add multiples of [`Rows::stride`].
    pub(crate) index: u32,
}

/// Channels that are computed together (1, or [`TOGETHER`]) and their taps.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) channel: usize,
    pub(crate) together: usize,
    pub(crate) taps: Vec<Tap>,
}

/// The taps of all channels of one direction (and phase).
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    /// Distance of neighbouring channels' weights.
    pub(crate) stride: usize,
}

/// A convolution and the weights that it keeps.
#[derive(Debug, Clone)]
pub struct Connections {
    pub(crate) conv: Conv,
    pub(crate) forward: Rows,
    /// One per phase, in the order of [`Conv::phases`].
    pub(crate) backward: Vec<Rows>,
}

impl Connections {
    /// The connections of a convolution. `kept` says of each weight whether it may differ from 0; without it all may.
    /// Where most weights are kept, the list holds all.
    ///
    /// # Panics
    ///
    /// If `kept` has another length than the convolution has weights.
    pub fn new(conv: Conv, kept: Option<&[bool]>) -> Self {
        let count = |kept: &[bool]| kept.iter().filter(|&&kept| kept).count() as f64;
        let kept = kept.filter(|kept| {
            assert_eq!(kept.len(), conv.weights(), "one flag per weight");
            count(kept) < DENSE_FROM * conv.weights() as f64
        });
        let is_kept = |index: usize| kept.is_none_or(|kept| kept[index]);
        let dense = kept.is_none();
        let [kernel_rows, kernel_columns] = conv.kernel;
        let area = kernel_rows * kernel_columns;
        let (padded_in, padded_out) = (conv.padded_input(), conv.padded_gradient());

        let forward = |channel: usize| -> Vec<Tap> {
            let first = channel / conv.group_out() * conv.group_in();
            (0..conv.row())
                .filter(|tap| is_kept(channel * conv.row() + tap))
                .map(|tap| {
                    let (inp, row, column) = (tap / area, tap % area / kernel_columns, tap % kernel_columns);
                    let offset = padded_in.at(first + inp, row, column);
                    Tap { offset: offset as u32, index: (channel * conv.row() + tap) as u32 }
                })
                .collect()
        };
        let backward = |phase: [usize; 2], channel: usize| -> Vec<Tap> {
            let (group, inp) = (channel / conv.group_in(), channel % conv.group_in());
            let mut taps = Vec::new();
            for out in group * conv.group_out()..(group + 1) * conv.group_out() {
                for row in 0..kernel_rows {
                    let Some(down) = conv.backward_offset(0, phase[0], row) else { continue };
                    for column in 0..kernel_columns {
                        let Some(right) = conv.backward_offset(1, phase[1], column) else { continue };
                        let index = out * conv.row() + inp * area + row * kernel_columns + column;
                        if is_kept(index) {
                            taps.push(Tap { offset: padded_out.at(out, down, right) as u32, index: index as u32 });
                        }
                    }
                }
            }
            taps
        };
        let backward =
            conv.phases().map(|phase| rows(conv.channels_in, conv.group_in(), dense, area, |c| backward(phase, c)));
        Self {
            conv,
            forward: rows(conv.channels_out, conv.group_out(), dense, conv.row(), forward),
            backward: backward.collect(),
        }
    }

    /// The convolution.
    pub fn conv(&self) -> &Conv {
        &self.conv
    }
}

/// Rows of all `channels`; whole runs of [`TOGETHER`] channels of a group share one if all weights are listed.
fn rows(channels: usize, group: usize, dense: bool, stride: usize, taps: impl Fn(usize) -> Vec<Tap>) -> Rows {
    let mut rows = Vec::new();
    let mut channel = 0;
    while channel < channels {
        let together = if dense && channel % group + TOGETHER <= group { TOGETHER } else { 1 };
        rows.push(Row { channel, together, taps: taps(channel) });
        channel += together;
    }
    Rows { rows, stride }
}
