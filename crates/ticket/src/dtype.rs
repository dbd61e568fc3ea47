//! Element types, and how their bytes become `f32`.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::Element;

/// Element type of a tensor in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// Signed, 8 bytes.
    I64,
    /// Signed, 4 bytes.
    I32,
    /// Signed, 2 bytes.
    I16,
    /// Signed, 1 byte.
    I8,
    /// Unsigned, 8 bytes.
    U64,
    /// Unsigned, 4 bytes.
    U32,
    /// Unsigned, 2 bytes.
    U16,
    /// Unsigned, 1 byte.
    U8,
    /// 1 byte, 0 or 1.
    Bool,
    /// One that is listed, but whose values are not read, by its name in the file.
    Other(&'static str),
}

/// Why values cannot be had as `f32`; positions are flat indices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Undecodable {
    NotFinite { position: usize, found: f64 },
    Inexact { position: usize, found: i128 },
    Unsupported,
}

impl Dtype {
    /// Its name, as safetensors spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U64 => "U64",
            Self::U32 => "U32",
            Self::U16 => "U16",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
            Self::Other(name) => name,
        }
    }

    /// Bytes of one value; `None` for types that are not read.
    pub(crate) fn width(self) -> Option<usize> {
        match self {
            Self::F64 | Self::I64 | Self::U64 => Some(8),
            Self::F32 | Self::I32 | Self::U32 => Some(4),
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => Some(2),
            Self::I8 | Self::U8 | Self::Bool => Some(1),
            Self::Other(_) => None,
        }
    }

    /// Whether its values are floating-point numbers or integers.
    pub fn element(self) -> Element {
        match self {
            Self::F64 | Self::F32 | Self::F16 | Self::BF16 | Self::Other(_) => Element::Float,
            _ => Element::Integer,
        }
    }
}

/// Reads little-endian bytes, as many as whole elements, and appends their values. f64 is rounded to nearest; every value
/// must be finite as `f32`, and every integer exact. After an error some values may have been appended.
pub(crate) fn decode(dtype: Dtype, bytes: &[u8], values: &mut Vec<f32>) -> Result<(), Undecodable> {
    match dtype {
        Dtype::F64 => floats(bytes, values, |b| f64::from_le_bytes(b) as f32, f64::from_le_bytes),
        Dtype::F32 => floats(bytes, values, f32::from_le_bytes, |b| f32::from_le_bytes(b).into()),
        Dtype::F16 => halves(bytes, values),
        Dtype::BF16 => floats(bytes, values, |b| bf16::from_le_bytes(b).to_f32(), |b| bf16::from_le_bytes(b).into()),
        Dtype::I64 => integers(bytes, values, |b| i64::from_le_bytes(b).into()),
        Dtype::I32 => integers(bytes, values, |b| i32::from_le_bytes(b).into()),
        Dtype::I16 => integers(bytes, values, |b| i16::from_le_bytes(b).into()),
        Dtype::I8 => integers(bytes, values, |b| i8::from_le_bytes(b).into()),
        Dtype::U64 => integers(bytes, values, |b| u64::from_le_bytes(b).into()),
        Dtype::U32 => integers(bytes, values, |b| u32::from_le_bytes(b).into()),
        Dtype::U16 => integers(bytes, values, |b| u16::from_le_bytes(b).into()),
        Dtype::U8 | Dtype::Bool => integers(bytes, values, |[b]: [u8; 1]| b.into()),
        Dtype::Other(_) => Err(Undecodable::Unsupported),
    }
}

/// Converts all first and checks them after, for both loops are then vectors; `exact` is what an error shows.
fn floats<const N: usize>(
    bytes: &[u8],
    values: &mut Vec<f32>,
    convert: impl Fn([u8; N]) -> f32,
    exact: impl Fn([u8; N]) -> f64,
) -> Result<(), Undecodable> {
    let (words, start) = (bytes.as_chunks().0, values.len());
    values.extend(words.iter().map(|&word| convert(word)));
    check_finite(&values[start..], |position| exact(words[position]))
}

/// `half` converts slices by the processor's own instruction where it has one.
fn halves(bytes: &[u8], values: &mut Vec<f32>) -> Result<(), Undecodable> {
    let words: Vec<f16> = bytes.as_chunks().0.iter().map(|&word| f16::from_le_bytes(word)).collect();
    let start = values.len();
    values.resize(start + words.len(), 0.0);
    words.convert_to_f32_slice(&mut values[start..]);
    check_finite(&values[start..], |position| words[position].into())
}

fn check_finite(values: &[f32], exact: impl Fn(usize) -> f64) -> Result<(), Undecodable> {
    const INFINITE: u32 = f32::INFINITY.to_bits();
    // As integers, infinities and NaN are the largest magnitudes.
    if values.iter().fold(0, |largest, v| v.abs().to_bits().max(largest)) < INFINITE {
        return Ok(());
    }
    let position = values.iter().position(|v| !v.is_finite()).expect("the largest is not finite");
    Err(Undecodable::NotFinite { position, found: exact(position) })
}

fn integers<const N: usize>(
    bytes: &[u8],
    values: &mut Vec<f32>,
    parse: impl Fn([u8; N]) -> i128,
) -> Result<(), Undecodable> {
    for (position, &word) in bytes.as_chunks().0.iter().enumerate() {
        let found = parse(word);
        if found.unsigned_abs() > 1 << f32::MANTISSA_DIGITS {
            return Err(Undecodable::Inexact { position, found });
        }
        values.push(found as f32);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>, Undecodable> {
        let mut values = Vec::new();
        super::decode(dtype, bytes, &mut values).map(|()| values)
    }

    #[test]
    fn every_type_gives_its_values() {
        let minus_two: [(Dtype, &[u8]); 9] = [
            (Dtype::F64, &[0, 0, 0, 0, 0, 0, 0, 0xc0]),
            (Dtype::F32, &[0, 0, 0, 0xc0]),
            (Dtype::F16, &[0, 0xc0]),
            (Dtype::BF16, &[0, 0xc0]),
            (Dtype::I64, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            (Dtype::I32, &[0xfe, 0xff, 0xff, 0xff]),
            (Dtype::I16, &[0xfe, 0xff]),
            (Dtype::I8, &[0xfe]),
            (Dtype::I8, &[0xfe]),
        ];
        for (dtype, bytes) in minus_two {
            assert_eq!(decode(dtype, bytes), Ok(vec![-2.0]), "{dtype:?}");
        }
        let two_five_four: [(Dtype, &[u8]); 5] = [
            (Dtype::U64, &[0xfe, 0, 0, 0, 0, 0, 0, 0]),
            (Dtype::U32, &[0xfe, 0, 0, 0]),
            (Dtype::U16, &[0xfe, 0]),
            (Dtype::U8, &[0xfe]),
            (Dtype::Bool, &[0xfe]),
        ];
        for (dtype, bytes) in two_five_four {
            assert_eq!(decode(dtype, bytes), Ok(vec![254.0]), "{dtype:?}");
        }
    }

    #[test]
    fn values_that_are_not_finite_as_f32_are_refused() {
        let bytes = [1.0f64, 1e39].map(f64::to_le_bytes).concat();
        assert_eq!(decode(Dtype::F64, &bytes), Err(Undecodable::NotFinite { position: 1, found: 1e39 }));
        assert!(
            matches!(decode(Dtype::F16, &[0, 0x7e]), Err(Undecodable::NotFinite { position: 0, found }) if found.is_nan())
        );
        let infinity = Undecodable::NotFinite { position: 0, found: f64::NEG_INFINITY };
        assert_eq!(decode(Dtype::BF16, &[0x80, 0xff]), Err(infinity));
    }

    #[test]
    fn integers_are_not_rounded() {
        let most = 1i64 << 24;
        assert_eq!(decode(Dtype::I64, &most.to_le_bytes()), Ok(vec![16_777_216.0]));
        let inexact = Undecodable::Inexact { position: 0, found: 16_777_217 };
        assert_eq!(decode(Dtype::I64, &(most + 1).to_le_bytes()), Err(inexact));
    }

    #[test]
    fn other_types_have_no_values() {
        assert_eq!(decode(Dtype::Other("C64"), &[0; 8]), Err(Undecodable::Unsupported));
    }
}
