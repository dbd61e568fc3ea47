//! The canonical digest: one value for a ticket, whatever container it is in.
//!
//! Implements "Canonical digest of a ticket" of docs/protocol.md.

use std::{fmt, io};

use sha2::{Digest as _, Sha256};

use crate::{Element, Model, ModelError};

/// A SHA-256 value. Displays as lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// SHA-256 of these byte strings, one after the other.
    pub fn of(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut hash = Sha256::new();
        parts.into_iter().for_each(|part| hash.update(part));
        Self(hash.finalize().into())
    }

    /// SHA-256 of all that a reader gives.
    ///
    /// # Errors
    ///
    /// The reader's.
    pub fn of_reader(mut reader: impl io::Read) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(Self(hash.finalize().into())),
                Ok(read) => hash.update(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The value itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits in lower case; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        let digest = Self(bytes);
        (digest.to_string() == text).then_some(digest)
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl Model {
    /// The canonical digest: SHA-256 over all floating-point tensors and their masks, by name.
    ///
    /// The same for every container, and for any values outside the masks. Scores, integers and the description do not
    /// enter.
    pub fn digest(&self) -> Result<Digest, ModelError> {
        self.check()?;
        let floats = || self.arrays.iter().filter(|(_, array)| array.element() == Element::Float);
        let mut hash = Sha256::new();
        hash.update(b"counterfoil/v1 ticket");
        let count = u32::try_from(floats().count()).expect("a model of 2^32 tensors fits no memory");
        hash.update(count.to_be_bytes());
        // A BTreeMap of strings is in the order of their bytes.
        for (name, array) in floats() {
            let length = u32::try_from(name.len()).map_err(|_| ModelError::Name { tensor: name.clone() })?;
            hash.update(length.to_be_bytes());
            hash.update(name.as_bytes());
            hash_shape(&mut hash, name, array.shape())?;
            let mask = self.masks.get(name);
            hash.update([u8::from(mask.is_some())]);
            if let Some(mask) = mask {
                hash.update(mask.to_bytes());
            }
            for (position, &value) in array.values().iter().enumerate() {
                let kept = mask.is_none_or(|mask| mask.keeps(position));
                // −0 + 0 is +0.
                let value = if kept { value + 0.0 } else { 0.0 };
                hash.update(value.to_le_bytes());
            }
        }
        Ok(Digest(hash.finalize().into()))
    }
}

/// u8(rank) || u32(dim) …
fn hash_shape(hash: &mut Sha256, name: &str, shape: &[usize]) -> Result<(), ModelError> {
    let wrong = || ModelError::Shape { tensor: name.to_owned(), shape: shape.to_vec() };
    hash.update([u8::try_from(shape.len()).map_err(|_| wrong())?]);
    for &dim in shape {
        hash.update(u32::try_from(dim).map_err(|_| wrong())?.to_be_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Array, Mask};

    fn model() -> Model {
        let mut model = Model::default();
        let weight = Array::new(vec![2, 2], vec![1.0, 2.0, -0.0, 4.0]).unwrap();
        model.arrays.insert("fc.weight".to_owned(), weight);
        model.arrays.insert("fc.bias".to_owned(), Array::new(vec![2], vec![0.5, -1.0]).unwrap());
        let steps = Array::with_element(vec![], vec![7.0], Element::Integer).unwrap();
        model.arrays.insert("bn.num_batches_tracked".to_owned(), steps);
        model.masks.insert("fc.weight".to_owned(), Mask::from_fn(4, |p| p != 1));
        model
    }

    /// Recomputed by fixtures/models/digest.py, from the text of the protocol.
    const GOLDEN: &str = "c0ac0cbd4e715f014b192c606959df34de4cc619dce6aabed302f224cc1ea63b";

    #[test]
    fn the_digest_is_the_protocols() {
        assert_eq!(model().digest().unwrap().to_string(), GOLDEN);
    }

    #[test]
    fn only_kept_values_shapes_masks_and_names_count() {
        let golden = Digest::from_hex(GOLDEN).unwrap();
        let changed = |change: fn(&mut Model)| {
            let mut model = model();
            change(&mut model);
            model.digest().unwrap() != golden
        };
        assert!(!changed(|m| m.arrays.get_mut("fc.weight").unwrap().values_mut()[1] = 9.0));
        assert!(!changed(|m| m.arrays.get_mut("fc.weight").unwrap().values_mut()[2] = 0.0));
        assert!(!changed(|m| drop(m.arrays.remove("bn.num_batches_tracked"))));
        assert!(!changed(|m| drop(m.scores.insert("fc.weight".to_owned(), vec![1.0; 4]))));
        assert!(changed(|m| m.arrays.get_mut("fc.weight").unwrap().values_mut()[0] = 9.0));
        assert!(changed(|m| m.masks.get_mut("fc.weight").unwrap().set(1, true)));
        assert!(changed(|m| drop(m.masks.remove("fc.weight"))));
        assert!(changed(|m| drop(m.arrays.remove("fc.bias"))));
    }

    #[test]
    fn what_has_no_canonical_form_is_refused() {
        let mut nan = model();
        nan.arrays.get_mut("fc.bias").unwrap().values_mut()[1] = f32::NAN;
        let result = nan.digest();
        assert!(matches!(result, Err(ModelError::NotFinite { tensor, position: 1, .. }) if tensor == "fc.bias"));
        let mut deep = model();
        deep.arrays.insert("deep".to_owned(), Array::new(vec![1; 256], vec![1.0]).unwrap());
        assert!(matches!(deep.digest(), Err(ModelError::Shape { tensor, .. }) if tensor == "deep"));
    }

    #[test]
    fn byte_strings_are_hashed_as_one() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(["a", "", "bc"]).to_string(), abc);
        let long = vec![7; 200_000];
        assert_eq!(Digest::of_reader(&b"abc"[..]).unwrap().to_string(), abc);
        assert_eq!(Digest::of_reader(&long[..]).unwrap(), Digest::of([&long]));
    }

    #[test]
    fn hexadecimal_is_lower_case_and_whole() {
        assert_eq!(Digest::from([0xab; 32]).to_string(), "ab".repeat(32));
        assert_eq!(Digest::from_hex(&"ab".repeat(32)), Some(Digest::from([0xab; 32])));
        for wrong in ["AB".repeat(32), "ab".repeat(31), "ag".repeat(32), "ab".repeat(33)] {
            assert_eq!(Digest::from_hex(&wrong), None, "{wrong}");
        }
    }
}
