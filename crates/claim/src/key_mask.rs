//! Key masks: the part of a ticket that is held back, without which it does not train well.
//!
//! "Scheme 1" of Chen, Chen, Zhang & Wang 2021 (arXiv 2111.00162, section 3.2): the mask is split into a locked mask, which
//! is published, and a key mask, which licensees get. The file, JSON inside age encryption, is described in
//! docs/formats-claims.md, "Key mask". It names both tickets by digest, so that it opens one ticket and gives one.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use counterfoil_ticket::{CarrierShape, Digest, Kind, Mask};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::claim_rules::{check_numbering, field};
use crate::disclosure::Version;
use crate::hex_bytes::Hex32;
use crate::objects::{from_slice, objects};
use crate::protection::{protect, unprotect};
use crate::{FieldError, Protection, ProtectionError, Unlock};

/// Most bytes of a key mask that are read: 1 GiB, more than the largest ticket's.
pub const MAX_KEY_MASK: usize = 1 << 30;

/// The version of the format that is written and read.
const VERSION: u64 = 1;

/// What the file says it is, so that no other private file is taken for one.
const WHAT: &str = "counterfoil key mask";

/// Why a key mask was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyMaskError {
    /// It cannot be sealed or opened.
    #[error("key mask: {0}")]
    Protection(#[source] ProtectionError),
    /// Found before anything is read.
    #[error("key mask: {found} bytes, expected at most {limit}")]
    TooLarge {
        /// Its size.
        found: usize,
        /// [`MAX_KEY_MASK`].
        limit: usize,
    },
    /// Not JSON of the right form: truncated, a field missing, repeated, unknown or of the wrong type.
    #[error("key mask: the JSON is malformed")]
    Malformed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A key mask in a format of another version.
    #[error("key mask: version {found}, expected version {expected}")]
    UnknownVersion {
        /// Its version.
        found: u64,
        /// The version that is read.
        expected: u64,
    },
    /// A field that says something impossible.
    #[error("key mask: {0}")]
    Field(#[from] FieldError),
}

/// The kept positions of one carrier that are held back, and their weights.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldBack {
    /// Name of the weight tensor.
    pub name: String,
    /// Its shape.
    pub shape: CarrierShape,
    /// Its number among the carriers of that shape.
    pub ordinal: u32,
    /// The positions.
    pub mask: Mask,
    /// Their weights, in ascending order of position.
    pub weights: Vec<f32>,
}

/// What turns a locked ticket into the whole one.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyMask {
    /// Canonical digest of the locked ticket.
    pub locked: Digest,
    /// Canonical digest of the whole ticket.
    pub ticket: Digest,
    /// What the whole ticket is.
    pub kind: Kind,
    /// How the positions were chosen: name of the strategy.
    pub strategy: String,
    /// By carrier, in the ticket's order; carriers of which nothing is held back may be left out.
    pub held_back: Vec<HeldBack>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyMaskJson<'a> {
    version: u64,
    what: Cow<'a, str>,
    locked: Hex32,
    ticket: Hex32,
    kind: Kind,
    strategy: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "objects")]
    carriers: Vec<HeldBackJson<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeldBackJson<'a> {
    name: Cow<'a, str>,
    shape: CarrierShape,
    ordinal: u32,
    mask: Cow<'a, str>,
    weights: Cow<'a, str>,
}

impl KeyMask {
    /// Number of positions held back.
    pub fn size(&self) -> usize {
        self.held_back.iter().map(|held| held.mask.kept()).sum()
    }

    /// The file's bytes: JSON, encrypted as asked.
    ///
    /// # Errors
    ///
    /// [`KeyMaskError::Protection`].
    pub fn seal(&self, protection: &Protection) -> Result<Vec<u8>, KeyMaskError> {
        protect(&self.to_json(), protection).map_err(KeyMaskError::Protection)
    }

    /// Opens a key mask file.
    ///
    /// # Errors
    ///
    /// All of [`KeyMaskError`].
    pub fn open(bytes: &[u8], unlock: &Unlock) -> Result<Self, KeyMaskError> {
        if bytes.len() > MAX_KEY_MASK {
            return Err(KeyMaskError::TooLarge { found: bytes.len(), limit: MAX_KEY_MASK });
        }
        Self::from_json(&unprotect(bytes, unlock).map_err(KeyMaskError::Protection)?)
    }

    fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let carriers: Vec<_> = self
            .held_back
            .iter()
            .map(|held| HeldBackJson {
                name: Cow::Borrowed(&held.name),
                shape: held.shape,
                ordinal: held.ordinal,
                mask: Cow::Owned(BASE64_STANDARD.encode(held.mask.to_bytes())),
                weights: Cow::Owned(BASE64_STANDARD.encode(weight_bytes(&held.weights))),
            })
            .collect();
        // Room for the longest escapes and numbers, so that the buffer never moves and leaves no copy behind.
        let each = |c: &HeldBackJson| c.mask.len() + c.weights.len() + 6 * c.name.len() + 256;
        let room = 1024 + 6 * self.strategy.len() + carriers.iter().map(each).sum::<usize>();
        let mut json = Zeroizing::new(Vec::with_capacity(room));
        let content = KeyMaskJson {
            version: VERSION,
            what: Cow::Borrowed(WHAT),
            locked: Hex32(*self.locked.as_bytes()),
            ticket: Hex32(*self.ticket.as_bytes()),
            kind: self.kind,
            strategy: Cow::Borrowed(&self.strategy),
            carriers,
        };
        serde_json::to_writer(&mut *json, &content).expect("numbers and texts always have a JSON form");
        debug_assert!(json.len() <= room);
        json
    }

    fn from_json(json: &[u8]) -> Result<Self, KeyMaskError> {
        let malformed = |source: serde_json::Error| KeyMaskError::Malformed(source.into());
        let Version { version } = from_slice(json).map_err(malformed)?;
        if version != VERSION {
            return Err(KeyMaskError::UnknownVersion { found: version, expected: VERSION });
        }
        let json: KeyMaskJson = from_slice(json).map_err(malformed)?;
        if json.what != WHAT {
            return Err(field("what", format!("'{}'", json.what.escape_debug()), format!("'{WHAT}'")).into());
        }
        if json.kind == Kind::Locked {
            return Err(field("kind", "'locked'", "the kind of a whole ticket").into());
        }
        let order: Vec<_> = json.carriers.iter().map(|c| (&*c.name, c.shape, c.ordinal)).collect();
        check_numbering("carriers", &order)?;
        Ok(Self {
            locked: json.locked.0.into(),
            ticket: json.ticket.0.into(),
            kind: json.kind,
            strategy: json.strategy.into_owned(),
            held_back: json.carriers.iter().enumerate().map(read_held_back).collect::<Result<_, _>>()?,
        })
    }
}

fn weight_bytes(weights: &[f32]) -> Vec<u8> {
    weights.iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn read_held_back((i, json): (usize, &HeldBackJson)) -> Result<HeldBack, FieldError> {
    let at = |leaf: &str| format!("carriers[{i}].{leaf}");
    let wrong = |leaf: &str, text: &str, expected: String| {
        field(at(leaf), format!("{} characters that are not that", text.len()), expected)
    };
    let size = json.shape.size();
    let decode = |text: &str| BASE64_STANDARD.decode(text).ok();
    let mask = decode(&json.mask).and_then(|bytes| Mask::from_bytes(size, &bytes));
    let mask = mask.ok_or_else(|| wrong("mask", &json.mask, format!("the base64 of {size} mask bits")))?;
    let bytes = decode(&json.weights).filter(|bytes| bytes.len() == 4 * mask.kept());
    let expected = || format!("the base64 of {} finite 32-bit floats", mask.kept());
    let bytes = bytes.ok_or_else(|| wrong("weights", &json.weights, expected()))?;
    let (floats, _) = bytes.as_chunks();
    let weights: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    if let Some(found) = weights.iter().find(|w| !w.is_finite()) {
        return Err(field(at("weights"), found, expected()));
    }
    Ok(HeldBack { name: json.name.to_string(), shape: json.shape, ordinal: json.ordinal, mask, weights })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_mask() -> KeyMask {
        let held_back = vec![HeldBack {
            name: "fc.weight".to_owned(),
            shape: CarrierShape::from([2, 5, 1, 1]),
            ordinal: 0,
            mask: Mask::from_fn(10, |p| p % 4 == 1),
            weights: vec![0.5, -1.0, 0.0],
        }];
        let (locked, ticket) = ([1; 32].into(), [2; 32].into());
        KeyMask { locked, ticket, kind: Kind::Stamped, strategy: "magnitude".to_owned(), held_back }
    }

    fn refused(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut json = serde_json::from_slice(&key_mask().to_json()).unwrap();
        change(&mut json);
        let error = KeyMask::open(json.to_string().as_bytes(), &Unlock::None).unwrap_err();
        error.to_string()
    }

    #[test]
    fn what_is_sealed_opens_again() {
        let sealed = key_mask().seal(&Protection::None).unwrap();
        assert_eq!(KeyMask::open(&sealed, &Unlock::None).unwrap(), key_mask());
        assert_eq!(key_mask().size(), 3);
    }

    #[test]
    fn what_says_something_impossible_is_refused_by_field() {
        assert_eq!(refused(|json| json["version"] = 2.into()), "key mask: version 2, expected version 1");
        let message = "key mask: what is 'counterfoil', expected 'counterfoil key mask'";
        assert_eq!(refused(|json| json["what"] = "counterfoil".into()), message);
        let message = "key mask: kind is 'locked', expected the kind of a whole ticket";
        assert_eq!(refused(|json| json["kind"] = "locked".into()), message);
        let message =
            "key mask: carriers[0].mask is 4 characters that are not that, expected the base64 of 10 mask bits";
        assert_eq!(refused(|json| json["carriers"][0]["mask"] = "AAAA".into()), message);
        let message = "key mask: carriers[0].weights is 8 characters that are not that, expected the base64 of 3 finite \
                       32-bit floats";
        assert_eq!(refused(|json| json["carriers"][0]["weights"] = "AAAAAA==".into()), message);
        let nan = BASE64_STANDARD.encode(weight_bytes(&[0.5, f32::NAN, 1.0]));
        let message = "key mask: carriers[0].weights is NaN, expected the base64 of 3 finite 32-bit floats";
        assert_eq!(refused(|json| json["carriers"][0]["weights"] = nan.into()), message);
        assert!(refused(|json| json["more"] = 1.into()).contains("malformed"));
    }

    #[test]
    fn cut_off_files_are_refused() {
        let sealed = key_mask().seal(&Protection::None).unwrap();
        for end in [0, 1, sealed.len() / 2, sealed.len() - 1] {
            assert!(matches!(KeyMask::open(&sealed[..end], &Unlock::None), Err(KeyMaskError::Malformed(_))), "{end}");
        }
    }
}
