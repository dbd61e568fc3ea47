//! Whether a block of codewords is within reach of error correction: what lets millions of places be looked at.
//!
//! Only the locations of errors are asked for (Berlekamp and Massey, then the roots); what is within reach is decoded by the
//! crate `rqrr`. Mask patterns are linear, so the syndromes of a place serve all eight.

/// Logarithms and powers of the generator 2 in GF(256) over x^8 + x^4 + x^3 + x^2 + 1.
struct Field {
    log: [u8; 256],
    /// Twice around, so that sums of two logarithms need no remainder.
    exp: [u8; 512],
}

const FIELD: Field = {
    let mut field = Field { log: [0; 256], exp: [0; 512] };
    let (mut value, mut power) = (1u16, 0);
    while power < 255 {
        field.exp[power] = value as u8;
        field.exp[power + 255] = value as u8;
        field.log[value as usize] = power as u8;
        value <<= 1;
        if value & 0x100 != 0 {
            value ^= 0x11d;
        }
        power += 1;
    }
    field
};

fn times(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        0
    } else {
        FIELD.exp[usize::from(FIELD.log[usize::from(a)]) + usize::from(FIELD.log[usize::from(b)])]
    }
}

fn over(a: u8, b: u8) -> u8 {
    let (a, b) = (a, usize::from(FIELD.log[usize::from(b)]));
    if a == 0 { 0 } else { FIELD.exp[usize::from(FIELD.log[usize::from(a)]) + 255 - b] }
}

/// Most codewords of error correction in a block, up to version 10.
const MOST: usize = 30;

/// The syndromes of a block; all 0 for a block without errors.
pub(super) type Syndromes = [u8; MOST];

/// Blocks of this many codewords, of which so many are error correction.
pub(super) struct Block {
    length: usize,
    correction: usize,
    /// What each value of each codeword adds to the syndromes.
    shares: Vec<Syndromes>,
}

impl Block {
    pub(super) fn new(length: usize, correction: usize) -> Self {
        assert!(correction <= MOST && correction < length && length <= 255, "{correction} of {length}");
        let share = |place: usize, value: u8| -> Syndromes {
            let power = length - 1 - place;
            std::array::from_fn(|i| if i < correction { times(value, FIELD.exp[i * power % 255]) } else { 0 })
        };
        let shares = (0..length).flat_map(|place| (0..=255).map(move |value| share(place, value))).collect();
        Self { length, correction, shares }
    }

    pub(super) fn syndromes(&self, codewords: impl IntoIterator<Item = u8>) -> Syndromes {
        let mut sum = [0; MOST];
        for (place, value) in codewords.into_iter().enumerate() {
            add(&mut sum, &self.shares[place * 256 + usize::from(value)]);
        }
        sum
    }

    /// Number of damaged codewords, if they are few enough to be corrected.
    pub(super) fn errors(&self, syndromes: &Syndromes) -> Option<usize> {
        let most = self.correction / 2;
        let (locator, errors) = self.locator(syndromes, most)?;
        // Each root belongs to a codeword: all must be within the block.
        let mut roots = 0;
        for power in 0..self.length {
            if errors - roots > self.length - power {
                return None;
            }
            let inverse = (255 - power) % 255;
            let value = (0..=errors).fold(0, |sum, i| sum ^ times(locator[i], FIELD.exp[i * inverse % 255]));
            roots += usize::from(value == 0);
        }
        (roots == errors).then_some(errors)
    }

    /// The polynomial whose roots tell where the errors are, and its degree.
    fn locator(&self, syndromes: &Syndromes, most: usize) -> Option<([u8; MOST], usize)> {
        let (mut locator, mut previous) = ([0; MOST], [0; MOST]);
        (locator[0], previous[0]) = (1, 1);
        let (mut errors, mut shift, mut last) = (0, 1, 1);
        for n in 0..self.correction {
            let discrepancy = (0..=errors).fold(0, |sum, i| sum ^ times(locator[i], syndromes[n - i]));
            if discrepancy == 0 {
                shift += 1;
                continue;
            }
            let before = locator;
            let factor = over(discrepancy, last);
            for i in shift..MOST {
                locator[i] ^= times(factor, previous[i - shift]);
            }
            if 2 * errors <= n {
                errors = n + 1 - errors;
                if errors > most {
                    return None;
                }
                (previous, last, shift) = (before, discrepancy, 1);
            } else {
                shift += 1;
            }
        }
        Some((locator, errors))
    }
}

/// Adds what a mask pattern, or another block, changes.
pub(super) fn add(syndromes: &mut Syndromes, other: &Syndromes) {
    syndromes.iter_mut().zip(other).for_each(|(a, b)| *a ^= b);
}
