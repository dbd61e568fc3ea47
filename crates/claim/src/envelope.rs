//! DSSE envelopes: the outer layer of a claim, which carries the signature.
//!
//! DSSE 1.0 (github.com/secure-systems-lab/dsse): JSON with the payload in base64, its type and the signatures, which are
//! over the pre-authentication encoding (PAE) of type and payload. A claim has exactly one signature, by its owner.
//! What is checked is the payload as received, before anything in it is parsed. The envelope itself is not signed: its
//! white space and order of fields are free, all else is refused. Own code, since the crates there are bring a whole
//! signing ecosystem; see docs/protocol.md, "Claim".

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::claim::{ClaimError, Part};
use crate::objects::{from_slice, objects};
use crate::{OwnerKey, PublicKey};

/// Most bytes of an envelope that are read.
pub const MAX_ENVELOPE: usize = 16 << 20;

/// Payload type of every in-toto Statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EnvelopeJson {
    payload_type: String,
    payload: String,
    #[serde(deserialize_with = "objects")]
    signatures: Vec<SignatureJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureJson {
    keyid: String,
    sig: String,
}

/// An envelope as it was received; nothing in it is trusted.
pub(crate) struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    key_id: String,
    signature: [u8; 64],
}

impl Envelope {
    /// Parses the envelope, but not its payload.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ClaimError> {
        if bytes.len() > MAX_ENVELOPE {
            return Err(ClaimError::TooLarge { found: bytes.len(), limit: MAX_ENVELOPE });
        }
        let json: EnvelopeJson = from_slice(bytes)
            .map_err(|source| ClaimError::Malformed { part: Part::Envelope, source: source.into() })?;
        if json.payload_type != PAYLOAD_TYPE {
            return Err(ClaimError::PayloadType { found: json.payload_type });
        }
        let [signature] = <[SignatureJson; 1]>::try_from(json.signatures)
            .map_err(|signatures| ClaimError::SignatureCount { found: signatures.len() })?;
        let decode = |field, text: &str| {
            BASE64_STANDARD.decode(text).map_err(|source| ClaimError::Base64 { field, source: source.into() })
        };
        let signature_bytes = decode("signatures[0].sig", &signature.sig)?;
        Ok(Self {
            payload_type: json.payload_type,
            payload: decode("payload", &json.payload)?,
            key_id: signature.keyid,
            signature: signature_bytes
                .try_into()
                .map_err(|bytes: Vec<u8>| ClaimError::SignatureLength { found: bytes.len() })?,
        })
    }

    /// The payload, if this key has signed it.
    pub(crate) fn verify(self, key: &PublicKey) -> Result<Vec<u8>, ClaimError> {
        let expected = key.key_id();
        if self.key_id != expected {
            return Err(ClaimError::OtherKey { found: self.key_id, expected });
        }
        if !key.has_signed(&self.pae(), &self.signature) {
            return Err(ClaimError::BadSignature { key: expected });
        }
        Ok(self.payload)
    }

    /// Wraps and signs a payload.
    pub(crate) fn sign(payload: &[u8], key: &OwnerKey) -> String {
        let signature = key.sign(&pre_authentication_encoding(PAYLOAD_TYPE, payload));
        let json = EnvelopeJson {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: BASE64_STANDARD.encode(payload),
            signatures: vec![SignatureJson { keyid: key.public().key_id(), sig: BASE64_STANDARD.encode(signature) }],
        };
        serde_json::to_string(&json).expect("strings always have a JSON form")
    }

    fn pae(&self) -> Vec<u8> {
        pre_authentication_encoding(&self.payload_type, &self.payload)
    }
}

/// The bytes that the signature of this envelope is over, so that another tool (`openssl pkeyutl -verify -rawin`) can
/// check it. The envelope's shape is checked, its signature is not.
pub fn pae(envelope: &[u8]) -> Result<Vec<u8>, ClaimError> {
    Ok(Envelope::parse(envelope)?.pae())
}

/// PAE of the DSSE protocol: `"DSSEv1" SP len(type) SP type SP len(payload) SP payload`, lengths in ASCII decimal.
fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pae_is_the_example_of_the_dsse_protocol() {
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn the_size_is_looked_at_before_the_content() {
        let error = pae(&vec![b' '; MAX_ENVELOPE + 1]).unwrap_err();
        assert_eq!(error.to_string(), "claim: 16777217 bytes, expected at most 16777216");
    }
}
