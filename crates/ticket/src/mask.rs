//! Masks: which positions of one carrier are kept.

use fixedbitset::FixedBitSet;

/// The kept positions of one carrier, by flat index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask(FixedBitSet);

impl Mask {
    /// A mask of `size` positions, none kept.
    pub fn empty(size: usize) -> Self {
        Self(FixedBitSet::with_capacity(size))
    }

    /// A mask of `size` positions, all kept.
    pub fn full(size: usize) -> Self {
        let mut bits = FixedBitSet::with_capacity(size);
        bits.insert_range(..);
        Self(bits)
    }

    /// Keeps the positions for which `keep` says so.
    pub fn from_fn(size: usize, mut keep: impl FnMut(usize) -> bool) -> Self {
        let mut mask = Self::empty(size);
        for position in 0..size {
            mask.set(position, keep(position));
        }
        mask
    }

    /// Keeps the positions whose value is not zero (−0 is zero).
    pub fn of_nonzero(values: &[f32]) -> Self {
        let mut mask = Self::empty(values.len());
        mask.keep_nonzero(0, values);
        mask
    }

    /// Keeps the positions from `first` on whose value is not zero, a word of bits at a time. Panics if `first` is not a
    /// multiple of 64, or if there are fewer positions.
    pub fn keep_nonzero(&mut self, first: usize, values: &[f32]) {
        const WORD: usize = usize::BITS as usize;
        assert!(first.is_multiple_of(64), "position {first} does not start a word");
        assert!(first + values.len() <= self.size(), "more values than positions");
        for (word, values) in self.0.as_mut_slice()[first / WORD..].iter_mut().zip(values.chunks(WORD)) {
            *word |= values.iter().enumerate().fold(0, |bits, (i, v)| bits | usize::from(*v != 0.0) << i);
        }
    }

    /// Number of positions.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// Number of kept positions.
    pub fn kept(&self) -> usize {
        self.0.count_ones(..)
    }

    /// Share of kept positions, 0 for a mask without positions.
    pub fn density(&self) -> f64 {
        if self.size() == 0 { 0.0 } else { self.kept() as f64 / self.size() as f64 }
    }

    /// Whether the position is kept. Panics if it is outside the mask.
    pub fn keeps(&self, position: usize) -> bool {
        assert!(position < self.size(), "position {position} is outside a mask of {}", self.size());
        self.0.contains(position)
    }

    /// Keeps or prunes the position. Panics if it is outside the mask.
    pub fn set(&mut self, position: usize, kept: bool) {
        self.0.set(position, kept);
    }

    /// The kept positions in ascending order.
    pub fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.ones()
    }

    /// The mask as words: position f is bit f mod w of word ⌊f / w⌋, least significant first, w the machine's word size.
    pub fn words(&self) -> &[usize] {
        self.0.as_slice()
    }

    /// Number of positions kept by both. Panics if the sizes differ.
    pub fn overlap(&self, other: &Self) -> usize {
        assert_eq!(self.size(), other.size(), "masks of different sizes");
        self.0.intersection_count(&other.0)
    }

    /// `mask bits` of docs/protocol.md: position f is bit f mod 8 of byte ⌊f / 8⌋, spare bits 0.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.size().div_ceil(8)];
        for position in self.positions() {
            bytes[position / 8] |= 1 << (position % 8);
        }
        bytes
    }

    /// Reverses [`Mask::to_bytes`]; `None` if the length is wrong or a spare bit is set.
    pub fn from_bytes(size: usize, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != size.div_ceil(8) {
            return None;
        }
        let mask = Self::from_fn(size, |position| bytes[position / 8] >> (position % 8) & 1 == 1);
        (mask.to_bytes() == bytes).then_some(mask)
    }

    /// Sets every value outside the mask to zero. Panics if the sizes differ.
    pub fn apply(&self, values: &mut [f32]) {
        assert_eq!(values.len(), self.size(), "values and mask differ in size");
        for (position, value) in values.iter_mut().enumerate() {
            if !self.0.contains(position) {
                *value = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_least_significant_bit_first() {
        let mask = Mask::from_fn(10, |p| [0, 3, 9].contains(&p));
        assert_eq!(mask.to_bytes(), [0b0000_1001, 0b0000_0010]);
        assert_eq!(Mask::from_bytes(10, &mask.to_bytes()), Some(mask));
    }

    #[test]
    fn bytes_of_the_wrong_length_or_with_spare_bits_are_refused() {
        assert_eq!(Mask::from_bytes(10, &[0]), None);
        assert_eq!(Mask::from_bytes(10, &[0, 0b0000_0100]), None);
    }

    #[test]
    fn negative_zero_is_pruned() {
        assert_eq!(Mask::of_nonzero(&[0.0, -0.0, 1.0, f32::MIN_POSITIVE]).to_bytes(), [0b1100]);
    }

    #[test]
    fn words_are_filled_from_any_of_them_on() {
        let values: Vec<f32> = (0..200).map(|i| (i % 3) as f32).collect();
        let mut mask = Mask::empty(200);
        mask.keep_nonzero(128, &values[128..]);
        mask.keep_nonzero(0, &values[..128]);
        assert_eq!(mask, Mask::from_fn(200, |p| values[p] != 0.0));
        assert_eq!(mask, Mask::of_nonzero(&values));
    }

    #[test]
    fn apply_zeroes_what_is_pruned() {
        let mut values = [1.0, 2.0, 3.0];
        Mask::from_fn(3, |p| p == 1).apply(&mut values);
        assert_eq!(values, [0.0, 2.0, 0.0]);
    }
}
