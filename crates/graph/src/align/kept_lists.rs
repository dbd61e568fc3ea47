//! Kept positions of a layer, listed by channel and by what they connect it with.

use counterfoil_ticket::{CarrierShape, Mask};

/// Lists of numbers, one after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Lists {
    starts: Vec<usize>,
    items: Vec<u32>,
}

impl Lists {
    /// `pairs` of a list below `count` and an item; items keep their order.
    fn new(count: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut starts = vec![0; count + 1];
        pairs.clone().for_each(|(list, _)| starts[list as usize + 1] += 1);
        (0..count).for_each(|list| starts[list + 1] += starts[list]);
        let mut next = starts.clone();
        let mut items = vec![0; starts[count]];
        for (list, item) in pairs {
            items[next[list as usize]] = item;
            next[list as usize] += 1;
        }
        Self { starts, items }
    }

    pub(super) fn get(&self, list: usize) -> &[u32] {
        &self.items[self.starts[list]..self.starts[list + 1]]
    }
}

/// Which end of a layer a group is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The layer reads the group.
    Reads,
    /// The layer writes the group.
    Writes,
}

/// The positions (o, i, t) that a mask keeps, seen from both ends. A *link* of channel o is i · taps + t, a link of channel
/// i is o · taps + t.
#[derive(Debug, Clone)]
pub(super) struct KeptLists {
    /// Links of each channel: of the inputs, of the outputs.
    links: [Lists; 2],
    /// Channels that have a link: inputs by links to outputs, outputs by links to inputs.
    linked: [Lists; 2],
    /// Taps of a link: those of the kernel, or 1 if they are summed.
    pub(super) taps: usize,
    /// Channels: of the inputs, of the outputs.
    pub(super) widths: [usize; 2],
}

impl KeptLists {
    /// Lists what the mask keeps. With `summed` the taps of a kernel are not told apart: a kernel of k kept taps is k equal
    /// links.
    pub(super) fn new(shape: CarrierShape, kept: &Mask, summed: bool) -> Self {
        let (kernel, inputs, outputs) = (shape.taps(), shape.inp as usize, shape.out as usize);
        let taps = if summed { 1 } else { kernel };
        let positions: Vec<u32> = kept.positions().map(|position| position as u32).collect();
        let triples = positions.iter().map(|&position| position as usize).map(|position| {
            let (out, inp, tap) = (position / kernel / inputs, position / kernel % inputs, position % kernel);
            (out, inp, if summed { 0 } else { tap })
        });
        // All are below the number of positions, which `Aligner::new` has checked to be one of a u32.
        let link = |channel: usize, tap: usize| (channel * taps + tap) as u32;
        let of_inputs = triples.clone().map(|(out, inp, tap)| (inp as u32, link(out, tap)));
        let of_outputs = triples.map(|(out, inp, tap)| (out as u32, link(inp, tap)));
        let swapped = |(channel, link): (u32, u32)| (link, channel);
        Self {
            linked: [
                Lists::new(outputs * taps, of_inputs.clone().map(swapped)),
                Lists::new(inputs * taps, of_outputs.clone().map(swapped)),
            ],
            links: [Lists::new(inputs, of_inputs), Lists::new(outputs, of_outputs)],
            taps,
            widths: [inputs, outputs],
        }
    }

    pub(super) fn width(&self, end: End) -> usize {
        self.widths[end as usize]
    }

    /// Links of a channel at this end: (channel at the other end, tap).
    pub(super) fn links(&self, end: End, channel: usize) -> impl ExactSizeIterator<Item = (usize, usize)> + '_ {
        let taps = self.taps;
        self.links[end as usize].get(channel).iter().map(move |&link| (link as usize / taps, link as usize % taps))
    }

    /// Number of kept positions of a channel at this end.
    pub(super) fn degree(&self, end: End, channel: usize) -> usize {
        self.links[end as usize].get(channel).len()
    }

    /// Channels at this end that have this link.
    pub(super) fn linked(&self, end: End, other: usize, tap: usize) -> &[u32] {
        self.linked[end as usize].get(other * self.taps + tap)
    }

    /// Whether the kernel of this output and input keeps this tap.
    pub(super) fn has(&self, out: usize, inp: usize, tap: usize) -> bool {
        // Links of a channel are in ascending order, since positions are.
        self.links[End::Writes as usize].get(out).binary_search(&((inp * self.taps + tap) as u32)).is_ok()
    }

    /// Positions that a channel at this end could keep.
    pub(super) fn room(&self, end: End) -> usize {
        let other = self.widths[1 - end as usize];
        other * self.taps
    }
}
