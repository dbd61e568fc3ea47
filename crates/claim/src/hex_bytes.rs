//! 32 bytes as 64 lower-case hexadecimal digits in JSON: hashes, and secrets that leave no copies behind.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// Public bytes: a digest, a root, a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hex32(pub(crate) [u8; 32]);

/// Secret bytes, wiped when dropped, and so is the text they are written through.
pub(crate) struct SecretHex32(pub(crate) Zeroizing<[u8; 32]>);

impl Serialize for Hex32 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl Serialize for SecretHex32 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(hex::encode(*self.0)))
    }
}

impl<'de> Deserialize<'de> for Hex32 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(*deserializer.deserialize_str(LowerHex)?))
    }
}

impl<'de> Deserialize<'de> for SecretHex32 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(deserializer.deserialize_str(LowerHex)?))
    }
}

/// Reads the digits. Its messages name the length, never the digits: they may be a seed's.
struct LowerHex;

impl Visitor<'_> for LowerHex {
    type Value = Zeroizing<[u8; 32]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("64 lower-case hexadecimal digits")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let mut bytes = Zeroizing::new([0; 32]);
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(E::custom("upper-case hexadecimal digits, expected 64 lower-case ones"));
        }
        match hex::decode_to_slice(text, &mut *bytes) {
            Ok(()) => Ok(bytes),
            Err(_) => Err(E::custom(format_args!(
                "{} characters that are not 64 hexadecimal digits, expected 64 lower-case ones",
                text.chars().count()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_64_lower_case_digits_are_read() {
        let good = "00".repeat(31) + "ff";
        let read = |text: &str| serde_json::from_str::<Hex32>(&format!("\"{text}\""));
        assert_eq!(read(&good).unwrap().0[31], 255);
        for bad in [&good[1..], &good[2..], &good.to_uppercase(), &(good.clone() + "00"), &good.replace('f', "g"), ""] {
            let message = read(bad).map(|_| ()).unwrap_err().to_string();
            assert!(message.contains("64 lower-case") || message.contains("expected 64"), "{message}");
            assert!(bad.is_empty() || !message.contains(bad), "{message}");
        }
    }
}
