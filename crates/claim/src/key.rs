//! Keys: an owner's Ed25519 key pair in the files that `openssl` reads and writes.
//!
//! Private keys are PKCS#8 PEM as `openssl genpkey -algorithm ed25519` writes it (RFC 8410; version 1, without the
//! public key attached, which OpenSSL 3.0 refuses), with a passphrase PBES2 (RFC 8018) with scrypt and AES-256-CBC.
//! PBKDF2 is read too. Public keys are SPKI PEM. Keys of small order are refused, since a signature under them fits
//! almost any message, and so are encodings that are not canonical, since derivations start from the key's bytes.
//! Files are documented in docs/formats-claims.md, "Keys".

use std::error::Error;

use ed25519_dalek::pkcs8::KeypairBytes;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use pkcs8::der::{SecretDocument, pem};
use pkcs8::{
    DecodePublicKey, EncodePrivateKey, EncodePublicKey, EncryptedPrivateKeyInfoRef, LineEnding, ObjectIdentifier,
    PrivateKeyInfoRef, pkcs5,
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{MasterSeed, Seed};

/// Most PBKDF2 iterations for which a private key is opened; OWASP's advice is 600,000.
pub const MAX_PBKDF2_ITERATIONS: u32 = 10_000_000;

/// Most bytes of memory that scrypt may need to open a private key: 128 · N · r.
pub const MAX_SCRYPT_MEMORY: u64 = 1 << 30;

/// Most passes (p) that scrypt may make to open a private key.
pub const MAX_SCRYPT_PASSES: u16 = 16;

/// id-Ed25519 (RFC 8410, section 3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Why a key file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No PEM block.
    #[error("key: no PEM block found, expected one of PRIVATE KEY, ENCRYPTED PRIVATE KEY or PUBLIC KEY")]
    NotPem,
    /// A public key where the private one is needed.
    #[error("key: found a public key, expected a private key")]
    ExpectedPrivate,
    /// A private key where the public one is needed.
    #[error("key: found a private key, expected a public key")]
    ExpectedPublic,
    /// A PEM block of something else: a certificate, a key in an older format.
    #[error("key: found a PEM block {found}, expected {expected}")]
    OtherLabel {
        /// Its label.
        found: String,
        /// The labels that fit.
        expected: &'static str,
    },
    /// The PEM or DER encoding is broken.
    #[error("key: the encoding is malformed")]
    Malformed(#[source] Box<dyn Error + Send + Sync>),
    /// A key of another algorithm.
    #[error("key: found algorithm {found}, expected Ed25519 (1.3.101.112)")]
    OtherAlgorithm {
        /// Object identifier of the algorithm.
        found: String,
    },
    /// The private key is encrypted.
    #[error("key: the private key is encrypted, and no passphrase was given")]
    MissingPassphrase,
    /// The passphrase does not open the private key.
    #[error("key: the passphrase does not open the private key")]
    WrongPassphrase,
    /// Encrypted in a way that is not supported (PBES1, for instance).
    #[error("key: the private key is encrypted in a way that is not supported, expected PBES2 with AES")]
    UnsupportedEncryption(#[source] Box<dyn Error + Send + Sync>),
    /// Opening the key would take more work than a key of one's own ever should.
    #[error("key: opening the private key takes {parameter} = {found}, expected at most {limit}")]
    ExcessiveWork {
        /// Which parameter of the key derivation.
        parameter: &'static str,
        /// Its value.
        found: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// The public key attached to a private key is not its own.
    #[error("key: the public key attached to the private key is not its own")]
    Inconsistent,
    /// Not the canonical encoding of a point on the curve.
    #[error("key: the 32 bytes are no canonical Ed25519 point")]
    NotAPoint,
    /// A point of small order.
    #[error("key: the public key is a point of small order, under which almost any signature would fit")]
    Weak,
}

fn malformed(source: impl Error + Send + Sync + 'static) -> KeyError {
    KeyError::Malformed(Box::new(source))
}

/// A passphrase, wiped from memory when dropped.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes the passphrase over.
    pub fn new(passphrase: String) -> Self {
        Self(Zeroizing::new(passphrase))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// An owner's public key: a point of the curve that is not of small order, in its canonical encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads the PEM of a SubjectPublicKeyInfo ("BEGIN PUBLIC KEY").
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        match pem::decode_label(text.as_bytes()).map_err(|_| KeyError::NotPem)? {
            "PUBLIC KEY" => {}
            "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => return Err(KeyError::ExpectedPublic),
            other => return Err(KeyError::OtherLabel { found: other.to_owned(), expected: "PUBLIC KEY" }),
        }
        let document = pkcs8::Document::from_public_key_pem(text).map_err(malformed)?;
        let info = pkcs8::SubjectPublicKeyInfoRef::try_from(document.as_bytes()).map_err(malformed)?;
        if info.algorithm.oid != ED25519 {
            return Err(KeyError::OtherAlgorithm { found: info.algorithm.oid.to_string() });
        }
        let bytes = ed25519_dalek::pkcs8::PublicKeyBytes::try_from(info).map_err(malformed)?;
        Self::from_bytes(&bytes.to_bytes())
    }

    /// The key of these 32 bytes (RFC 8032, section 5.1.5).
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::NotAPoint);
        }
        Ok(Self(key))
    }

    /// PEM of the SubjectPublicKeyInfo.
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("an Ed25519 key always has an SPKI encoding")
    }

    /// The key's 32 bytes: `pk` of docs/protocol.md.
    pub fn bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// SHA-256 of the DER SubjectPublicKeyInfo, in hexadecimal: what `openssl pkey -pubin -outform DER | sha256sum`
    /// prints.
    pub fn key_id(&self) -> String {
        let der = self.0.to_public_key_der().expect("an Ed25519 key always has an SPKI encoding");
        hex::encode(Sha256::digest(der.as_bytes()))
    }

    /// Seed of panel 0.
    pub fn public_seed(&self) -> Seed {
        Seed::public(self.bytes())
    }

    /// Whether the signature is this key's over the message, by the strict rules (no small-order points, canonical s).
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

/// An owner's private key, wiped from memory when dropped.
pub struct OwnerKey(SigningKey);

impl OwnerKey {
    /// A new key from the operating system's random source. Panics if there is none.
    pub fn generate() -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).expect("the operating system has a random source");
        Self::from_seed(&seed)
    }

    /// The key of this 32-byte seed (RFC 8032, section 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads PKCS#8 PEM ("BEGIN PRIVATE KEY" or, with the passphrase, "BEGIN ENCRYPTED PRIVATE KEY"). A passphrase
    /// for a key that is not encrypted is left unused.
    pub fn from_pem(text: &str, passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        let label = pem::decode_label(text.as_bytes()).map_err(|_| KeyError::NotPem)?;
        let decode = || Ok(SecretDocument::from_pem(text).map_err(malformed)?.1);
        match label {
            "PRIVATE KEY" => Self::from_der(decode()?.as_bytes()),
            "ENCRYPTED PRIVATE KEY" => {
                let passphrase = passphrase.ok_or(KeyError::MissingPassphrase)?;
                let plain = decrypt(decode()?.as_bytes(), passphrase)?;
                // Now and then a wrong passphrase gives something that looks like DER, but not like a key.
                Self::from_der(plain.as_bytes()).map_err(|error| match error {
                    KeyError::Malformed(_) => KeyError::WrongPassphrase,
                    other => other,
                })
            }
            "PUBLIC KEY" => Err(KeyError::ExpectedPrivate),
            other => Err(KeyError::OtherLabel { found: other.to_owned(), expected: "PRIVATE KEY" }),
        }
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(malformed)?;
        if info.algorithm.oid != ED25519 {
            return Err(KeyError::OtherAlgorithm { found: info.algorithm.oid.to_string() });
        }
        let pair = KeypairBytes::try_from(info).map_err(malformed)?;
        let key = SigningKey::from_bytes(&pair.secret_key);
        match pair.public_key {
            Some(public) if public.to_bytes() != *key.verifying_key().as_bytes() => Err(KeyError::Inconsistent),
            _ => Ok(Self(key)),
        }
    }

    /// PKCS#8 PEM, encrypted if a passphrase is given. Panics if the operating system has no random source.
    pub fn to_pem(&self, passphrase: Option<&Passphrase>) -> Zeroizing<String> {
        let pair = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        match passphrase {
            None => pair.to_pkcs8_pem(LineEnding::LF),
            Some(passphrase) => pair.to_pkcs8_encrypted_pem(passphrase.expose(), LineEnding::LF),
        }
        .expect("an Ed25519 key always has a PKCS#8 encoding, and the operating system a random source")
    }

    /// Its public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Master seed of the ticket with this context (docs/protocol.md, "Seeds").
    pub fn master_seed(&self, context: &[u8; 32]) -> MasterSeed {
        MasterSeed::derive(self.0.as_bytes(), context)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// Opens an EncryptedPrivateKeyInfo, after a look at what that will cost.
fn decrypt(der: &[u8], passphrase: &Passphrase) -> Result<SecretDocument, KeyError> {
    let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(malformed)?;
    if let Some(parameters) = info.encryption_algorithm.pbes2() {
        let at_most = |parameter, found, limit| {
            if found > limit { Err(KeyError::ExcessiveWork { parameter, found, limit }) } else { Ok(()) }
        };
        if let Some(kdf) = parameters.kdf.pbkdf2() {
            at_most("PBKDF2 iterations", kdf.iteration_count.into(), MAX_PBKDF2_ITERATIONS.into())?;
        }
        if let Some(kdf) = parameters.kdf.scrypt() {
            let memory = kdf.cost_parameter.saturating_mul(128).saturating_mul(kdf.block_size.into());
            at_most("scrypt memory in bytes", memory, MAX_SCRYPT_MEMORY)?;
            at_most("scrypt passes", kdf.parallelization.into(), MAX_SCRYPT_PASSES.into())?;
        }
    }
    info.decrypt(passphrase.expose()).map_err(|error| match error {
        // A wrong passphrase shows as broken padding or, one time in 256, as a plaintext that is no DER.
        pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::DecryptFailed) | pkcs8::Error::Asn1(_) => {
            KeyError::WrongPassphrase
        }
        other => KeyError::UnsupportedEncryption(Box::new(other)),
    })
}
