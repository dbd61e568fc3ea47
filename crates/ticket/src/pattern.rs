//! Semi-structured sparsity: of every so many weights along the inputs, so many are kept.

use serde::{Deserialize, Serialize};

use crate::CarrierShape;

/// Longest block of a pattern.
const MAX_BLOCK: u32 = 64;

/// N of every M consecutive input channels are kept, at each output channel and tap; what hardware computes fast is 2 of 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "[u32; 2]", into = "[u32; 2]")]
pub struct Pattern {
    kept: u32,
    of: u32,
}

/// Positions that a pattern, or a swap, keeps apart from others: `count` of them from `start` on, `step` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The first position.
    pub start: usize,
    /// How many there are.
    pub count: usize,
    /// From one to the next.
    pub step: usize,
}

impl Block {
    /// Its positions, in ascending order.
    pub fn positions(self) -> impl Iterator<Item = usize> {
        (0..self.count).map(move |i| self.start + i * self.step)
    }
}

impl Pattern {
    /// `kept` of every `of` weights; `None` unless 1 ≤ `kept` < `of` ≤ 64.
    pub fn new(kept: u32, of: u32) -> Option<Self> {
        (1 <= kept && kept < of && of <= MAX_BLOCK).then_some(Self { kept, of })
    }

    /// N.
    pub fn kept(self) -> u32 {
        self.kept
    }

    /// M.
    pub fn of(self) -> u32 {
        self.of
    }

    /// Share of the weights that it prunes, where M divides the inputs.
    pub fn sparsity(self) -> f64 {
        1.0 - f64::from(self.kept) / f64::from(self.of)
    }

    /// The blocks of a carrier, output channel by output channel. The last of a row is shorter where M does not divide the
    /// inputs.
    pub fn blocks(self, shape: CarrierShape) -> impl Iterator<Item = Block> {
        let (row, taps, inp, of) = (shape.row(), shape.taps(), shape.inp as usize, self.of as usize);
        (0..shape.out as usize).flat_map(move |out| {
            (0..taps).flat_map(move |tap| {
                (0..inp).step_by(of).map(move |first| Block {
                    start: out * row + first * taps + tap,
                    count: of.min(inp - first),
                    step: taps,
                })
            })
        })
    }
}

impl TryFrom<[u32; 2]> for Pattern {
    type Error = &'static str;

    fn try_from([kept, of]: [u32; 2]) -> Result<Self, Self::Error> {
        Self::new(kept, of).ok_or("expected a pattern [N, M] with 1 <= N < M <= 64")
    }
}

impl From<Pattern> for [u32; 2] {
    fn from(pattern: Pattern) -> Self {
        [pattern.kept, pattern.of]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_run_along_the_inputs_and_meet_every_position_once() {
        let shape = CarrierShape { out: 2, inp: 6, height: 1, width: 2 };
        let blocks: Vec<Vec<usize>> =
            Pattern::new(2, 4).unwrap().blocks(shape).map(|block| block.positions().collect()).collect();
        assert_eq!(blocks[..4], [vec![0, 2, 4, 6], vec![8, 10], vec![1, 3, 5, 7], vec![9, 11]]);
        let mut all: Vec<usize> = blocks.concat();
        all.sort_unstable();
        assert_eq!(all, (0..24).collect::<Vec<_>>());
    }

    #[test]
    fn patterns_that_keep_all_or_nothing_are_none() {
        let patterns = [(0, 4), (4, 4), (5, 4), (1, 65)].map(|(kept, of)| Pattern::new(kept, of));
        assert_eq!(patterns, [None; 4]);
        let error = serde_json::from_str::<Pattern>("[4,4]").unwrap_err().to_string();
        assert_eq!(error, "expected a pattern [N, M] with 1 <= N < M <= 64");
        assert_eq!(serde_json::to_string(&Pattern::new(2, 4)).unwrap(), "[2,4]");
    }
}
