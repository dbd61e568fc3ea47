//! Carriers: which tensors can hold a mark, and how they are told apart without their names.
//!
//! Implements "Carriers and positions" of docs/protocol.md: shapes of four numbers, natural order of names, and the
//! ordinal among carriers of one shape. Renaming a tensor changes nothing as long as the order stays.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Shape of a carrier: (out, in, height, width). A linear layer is a 1×1 kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "[u32; 4]", into = "[u32; 4]")]
pub struct CarrierShape {
    /// Output channels (or neurons).
    pub out: u32,
    /// Input channels (or neurons) per group.
    pub inp: u32,
    /// Kernel height, 1 for linear layers.
    pub height: u32,
    /// Kernel width, 1 for linear layers.
    pub width: u32,
}

impl CarrierShape {
    /// The carrier shape of a tensor, or `None` when its rank is not 2, 3 or 4 or a dimension is 0 or above `u32`.
    pub fn of_tensor(shape: &[usize]) -> Option<Self> {
        let dims: Vec<u32> = shape.iter().map(|&d| u32::try_from(d).ok().filter(|&d| d > 0)).collect::<Option<_>>()?;
        let [out, inp, height, width] = match dims[..] {
            [out, inp] => [out, inp, 1, 1],
            [out, inp, width] => [out, inp, 1, width],
            [out, inp, height, width] => [out, inp, height, width],
            _ => return None,
        };
        Some(Self { out, inp, height, width })
    }

    /// Number of positions.
    pub fn size(&self) -> usize {
        self.out as usize * self.row()
    }

    /// Number of positions of one output channel: in × height × width.
    pub fn row(&self) -> usize {
        self.inp as usize * self.taps()
    }

    /// Number of positions of one kernel: height × width.
    pub fn taps(&self) -> usize {
        self.height as usize * self.width as usize
    }
}

impl From<[u32; 4]> for CarrierShape {
    fn from([out, inp, height, width]: [u32; 4]) -> Self {
        Self { out, inp, height, width }
    }
}

impl From<CarrierShape> for [u32; 4] {
    fn from(s: CarrierShape) -> Self {
        [s.out, s.inp, s.height, s.width]
    }
}

impl std::fmt::Display for CarrierShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}x{}", self.out, self.inp, self.height, self.width)
    }
}

/// One prunable weight tensor: its name in the file, its shape, its ordinal among the carriers of that shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Carrier {
    /// Tensor name, shared prefix removed.
    pub name: String,
    /// Shape.
    pub shape: CarrierShape,
    /// Index from 0 among the carriers of the same shape, in [`natural_order`] of the names.
    pub ordinal: u32,
}

impl Carrier {
    /// Numbers the carriers among the given (name, tensor shape) pairs, in natural order of their names.
    ///
    /// Tensors that are no carriers by rank are skipped. Names are taken as they are: the caller has removed shared
    /// prefixes and `_mask`, `_orig` and `_score` tensors.
    pub fn number<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a [usize])>) -> Vec<Self> {
        let mut found: Vec<(&str, CarrierShape)> =
            tensors.into_iter().filter_map(|(name, shape)| Some((name, CarrierShape::of_tensor(shape)?))).collect();
        found.sort_by(|a, b| natural_order(a.0, b.0));
        let mut next: BTreeMap<CarrierShape, u32> = BTreeMap::new();
        found
            .into_iter()
            .map(|(name, shape)| {
                let ordinal = next.entry(shape).or_insert(0);
                let carrier = Self { name: name.to_owned(), shape, ordinal: *ordinal };
                *ordinal += 1;
                carrier
            })
            .collect()
    }

    /// `carrier_id` of docs/protocol.md: shape and ordinal as five big-endian u32.
    pub fn id(&self) -> [u8; 20] {
        let [out, inp, height, width] = self.shape.into();
        let mut id = [0; 20];
        for (bytes, word) in id.chunks_exact_mut(4).zip([out, inp, height, width, self.ordinal]) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        id
    }
}

/// Natural order of names: runs of digits compare by value, then by length, other runs by bytes.
///
/// So `layer10` comes after `layer9`, whatever order a container keeps.
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len());
        }
        let (run_a, rest_a) = split_run(a);
        let (run_b, rest_b) = split_run(b);
        let order = if run_a[0].is_ascii_digit() && run_b[0].is_ascii_digit() {
            compare_digits(run_a, run_b)
        } else {
            run_a.cmp(run_b)
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// The longest prefix of digits, or of bytes that are no digits; `bytes` is not empty.
fn split_run(bytes: &[u8]) -> (&[u8], &[u8]) {
    let digits = bytes[0].is_ascii_digit();
    let end = bytes.iter().position(|b| b.is_ascii_digit() != digits).unwrap_or(bytes.len());
    bytes.split_at(end)
}

/// By value without parsing (the run may be longer than any integer), then by length.
fn compare_digits(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |run: &[u8]| run.iter().position(|&d| d != b'0').unwrap_or(run.len());
    let (x, y) = (&a[significant(a)..], &b[significant(b)..]);
    x.len().cmp(&y.len()).then_with(|| x.cmp(y)).then_with(|| a.len().cmp(&b.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_within_a_shape_in_natural_order() {
        let shape = [4usize, 4, 3, 3];
        let linear = [10usize, 4];
        let carriers = Carrier::number([
            ("layer10.weight", &shape[..]),
            ("layer9.weight", &shape[..]),
            ("fc.weight", &linear[..]),
            ("fc.bias", &linear[..1]),
        ]);
        let summary: Vec<_> = carriers.iter().map(|c| (c.name.as_str(), c.ordinal)).collect();
        assert_eq!(summary, [("fc.weight", 0), ("layer9.weight", 0), ("layer10.weight", 1)]);
        assert_eq!(carriers[0].shape, CarrierShape { out: 10, inp: 4, height: 1, width: 1 });
    }

    #[test]
    fn the_id_is_five_big_endian_words() {
        let carrier = &Carrier::number([("w", &[16usize, 3, 3, 5][..])])[0];
        assert_eq!(carrier.id(), [0, 0, 0, 16, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0, 0]);
    }

    #[test]
    fn digit_runs_compare_by_value_then_by_length() {
        let mut names = ["a10", "a2", "a02", "a", "b1", "a2.x", "99999999999999999999999", "100000000000000000000000"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(
            names,
            ["99999999999999999999999", "100000000000000000000000", "a", "a2", "a2.x", "a02", "a10", "b1"]
        );
    }

    #[test]
    fn tensors_of_other_ranks_and_empty_ones_are_no_carriers() {
        for shape in [&[3usize][..], &[], &[1, 2, 3, 4, 5], &[0, 4]] {
            assert_eq!(CarrierShape::of_tensor(shape), None, "{shape:?}");
        }
    }
}
