//! Element types, and how their bytes become `f32`.

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

    /// Whether its values are floating-point numbers or integers.
    pub fn element(self) -> Element {
        match self {
            Self::F64 | Self::F32 | Self::F16 | Self::BF16 | Self::Other(_) => Element::Float,
            _ => Element::Integer,
        }
    }
}

/// Reads little-endian bytes, as many as whole elements. f64 is rounded to nearest; every value must be finite as
/// `f32`, and every integer exact.
pub(crate) fn decode(dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>, Undecodable> {
    match dtype {
        Dtype::F64 => floats(bytes, f64::from_le_bytes),
        Dtype::F32 => floats(bytes, |b| f32::from_le_bytes(b).into()),
        Dtype::F16 => floats(bytes, |b| f16::from_le_bytes(b).into()),
        Dtype::BF16 => floats(bytes, |b| bf16::from_le_bytes(b).into()),
        Dtype::I64 => integers(bytes, |b| i64::from_le_bytes(b).into()),
        Dtype::I32 => integers(bytes, |b| i32::from_le_bytes(b).into()),
        Dtype::I16 => integers(bytes, |b| i16::from_le_bytes(b).into()),
        Dtype::I8 => integers(bytes, |b| i8::from_le_bytes(b).into()),
        Dtype::U64 => integers(bytes, |b| u64::from_le_bytes(b).into()),
        Dtype::U32 => integers(bytes, |b| u32::from_le_bytes(b).into()),
        Dtype::U16 => integers(bytes, |b| u16::from_le_bytes(b).into()),
        Dtype::U8 | Dtype::Bool => integers(bytes, |[b]: [u8; 1]| b.into()),
        Dtype::Other(_) => Err(Undecodable::Unsupported),
    }
}

fn floats<const N: usize>(bytes: &[u8], parse: impl Fn([u8; N]) -> f64) -> Result<Vec<f32>, Undecodable> {
    let convert = |(position, &word): (usize, &[u8; N])| {
        let found = parse(word);
        let value = found as f32;
        if value.is_finite() { Ok(value) } else { Err(Undecodable::NotFinite { position, found }) }
    };
    bytes.as_chunks().0.iter().enumerate().map(convert).collect()
}

fn integers<const N: usize>(bytes: &[u8], parse: impl Fn([u8; N]) -> i128) -> Result<Vec<f32>, Undecodable> {
    let convert = |(position, &word): (usize, &[u8; N])| {
        let found = parse(word);
        let exact = found.unsigned_abs() <= 1 << f32::MANTISSA_DIGITS;
        if exact { Ok(found as f32) } else { Err(Undecodable::Inexact { position, found }) }
    };
    bytes.as_chunks().0.iter().enumerate().map(convert).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
