//! What swaps choose from: a carrier of a ticket, its mask, and how much each position matters.

use counterfoil_ticket::{Block, Carrier, Mask, Pattern};

/// One carrier of a ticket, and how to tell which of its positions matter.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Shape and ordinal.
    pub carrier: &'a Carrier,
    /// What the ticket keeps.
    pub mask: &'a Mask,
    /// How much each position matters.
    pub ranking: Ranking<'a>,
    /// Positions that swaps leave as they are; none if there is no mask of them.
    pub held: Option<&'a Mask>,
    /// A pattern that the mask has, and has to keep.
    pub pattern: Option<Pattern>,
}

impl Candidate<'_> {
    /// Whether swaps may drop the position, or add it.
    pub(crate) fn may_move(&self, position: usize) -> bool {
        self.held.is_none_or(|held| !held.keeps(position))
    }

    /// What swaps stay within: the blocks of the pattern or, without one, the output channels.
    pub(crate) fn cells(&self) -> Vec<Block> {
        let shape = self.carrier.shape;
        match self.pattern {
            Some(pattern) => pattern.blocks(shape).collect(),
            None => {
                let channel = |out| Block { start: out * shape.row(), count: shape.row(), step: 1 };
                (0..shape.out as usize).map(channel).collect()
            }
        }
    }
}

/// How much each position of a carrier matters, in row-major order.
#[derive(Debug, Clone, Copy)]
pub enum Ranking<'a> {
    /// The finder's scores, kept and pruned positions on one scale, higher is better.
    Scores(&'a [f32]),
    /// Weights, of which only those of kept positions are worth anything: these rank by magnitude, pruned positions in
    /// a pseudo-random order that the owner alone can repeat.
    Weights(&'a [f32]),
}

impl Ranking<'_> {
    /// The values it was made from.
    pub(crate) fn values(&self) -> &[f32] {
        match self {
            Self::Scores(values) | Self::Weights(values) => values,
        }
    }

    /// Rank of a kept position, higher is better.
    pub(crate) fn of_kept(&self, position: usize) -> u32 {
        match self {
            Self::Scores(scores) => ordered(scores[position]),
            Self::Weights(weights) => ordered(weights[position].abs()),
        }
    }
}

/// Maps finite values to integers in the same order, −0 as +0.
pub fn ordered(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordered_keeps_the_order_of_floats() {
        let values = [-f32::MAX, -1.0, -f32::MIN_POSITIVE, -0.0, f32::MIN_POSITIVE, 1.0, f32::MAX];
        assert!(values.windows(2).all(|pair| ordered(pair[0]) < ordered(pair[1])));
        assert_eq!(ordered(-0.0), ordered(0.0));
    }
}
