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

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> OwnerKey {
        OwnerKey::from_seed(&[7; 32])
    }

    fn pass(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned())
    }

    /// Replaces the content of a PEM block by these bytes.
    fn pem(label: &str, der: &[u8]) -> String {
        pem::encode_string(label, LineEnding::LF, der).unwrap()
    }

    fn private_error(text: &str, passphrase: Option<&Passphrase>) -> KeyError {
        OwnerKey::from_pem(text, passphrase).map(|_| ()).unwrap_err()
    }

    #[test]
    fn signatures_are_rfc_8032_test_1() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let key = OwnerKey::from_seed(&hex::decode(seed).unwrap().try_into().unwrap());
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(hex::encode(key.public().bytes()), public);
        let signature = key.sign(b"");
        assert!(hex::encode(signature).starts_with("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974"));
        assert!(key.public().has_signed(b"", &signature));
        assert!(!key.public().has_signed(b" ", &signature));
    }

    #[test]
    fn a_private_key_comes_back_with_and_without_a_passphrase() {
        for passphrase in [None, Some(pass("correct horse"))] {
            let text = key().to_pem(passphrase.as_ref());
            assert_eq!(OwnerKey::from_pem(&text, passphrase.as_ref()).unwrap().public(), key().public());
        }
        assert!(
            OwnerKey::from_pem(&key().to_pem(None), Some(&pass("unused"))).is_ok_and(|k| k.public() == key().public())
        );
    }

    #[test]
    fn a_private_key_is_version_1_of_48_bytes() {
        let text = key().to_pem(None);
        let der = SecretDocument::from_pem(&text).unwrap().1;
        assert_eq!(hex::encode(&der.as_bytes()[..16]), "302e020100300506032b657004220420");
        assert_eq!(der.as_bytes().len(), 48);
    }

    #[test]
    fn a_version_2_private_key_is_read_if_its_public_key_fits() {
        let own = key().public();
        for (public, fits) in [(*own.bytes(), true), ([1; 32], false)] {
            let pair =
                KeypairBytes { secret_key: [7; 32], public_key: Some(ed25519_dalek::pkcs8::PublicKeyBytes(public)) };
            let text = pair.to_pkcs8_pem(LineEnding::LF).unwrap();
            match OwnerKey::from_pem(&text, None) {
                Ok(key) => assert!(fits && key.public() == own),
                Err(error) => assert!(!fits && matches!(error, KeyError::Inconsistent), "{error}"),
            }
        }
    }

    #[test]
    fn passphrases_missing_and_wrong_are_told_apart() {
        let text = key().to_pem(Some(&pass("right")));
        assert!(matches!(private_error(&text, None), KeyError::MissingPassphrase));
        for wrong in ["wrong", "", "right "] {
            assert!(matches!(private_error(&text, Some(&pass(wrong))), KeyError::WrongPassphrase));
        }
    }

    #[test]
    fn the_wrong_kind_of_key_is_named() {
        let (private, public) = (key().to_pem(None), key().public().to_pem());
        assert!(matches!(private_error(&public, None), KeyError::ExpectedPrivate));
        assert!(matches!(PublicKey::from_pem(&private).unwrap_err(), KeyError::ExpectedPublic));
        let encrypted = pem("ENCRYPTED PRIVATE KEY", &[0x30, 0]);
        assert!(matches!(PublicKey::from_pem(&encrypted).unwrap_err(), KeyError::ExpectedPublic));
        let other = pem("EC PRIVATE KEY", &[0x30, 0]);
        let expected = "key: found a PEM block EC PRIVATE KEY, expected PRIVATE KEY";
        assert_eq!(private_error(&other, None).to_string(), expected);
        let expected = "key: found a PEM block EC PRIVATE KEY, expected PUBLIC KEY";
        assert_eq!(PublicKey::from_pem(&other).unwrap_err().to_string(), expected);
        assert!(matches!(private_error("hello", None), KeyError::NotPem));
        assert!(matches!(PublicKey::from_pem("").unwrap_err(), KeyError::NotPem));
    }

    #[test]
    fn malformed_and_other_algorithms_are_named() {
        for text in [pem("PRIVATE KEY", &[0x30, 5, 1]), key().to_pem(None).replace("MC4", "M*4")] {
            assert!(matches!(private_error(&text, None), KeyError::Malformed(_)), "{text}");
        }
        assert!(matches!(PublicKey::from_pem(&pem("PUBLIC KEY", &[0x30, 0])).unwrap_err(), KeyError::Malformed(_)));
        // X25519 (1.3.101.110) in place of Ed25519.
        let private = hex::decode(format!("302e020100300506032b656e04220420{}", "07".repeat(32))).unwrap();
        let error = private_error(&pem("PRIVATE KEY", &private), None);
        assert_eq!(error.to_string(), "key: found algorithm 1.3.101.110, expected Ed25519 (1.3.101.112)");
        let public = hex::decode(format!("302a300506032b656e032100{}", "07".repeat(32))).unwrap();
        let error = PublicKey::from_pem(&pem("PUBLIC KEY", &public)).unwrap_err();
        assert!(matches!(error, KeyError::OtherAlgorithm { found } if found == "1.3.101.110"));
    }

    #[test]
    fn weak_keys_and_points_that_are_none_are_refused() {
        // The eight points of small order in their canonical encodings (as listed by libsodium).
        for small in [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        ] {
            let bytes = hex::decode(small).unwrap().try_into().unwrap();
            assert!(matches!(PublicKey::from_bytes(&bytes), Err(KeyError::Weak)), "{small}");
        }
        // y = 2 is on no point; y = p + 3 is that of 3, written in a second way.
        let mut none = [0; 32];
        none[0] = 2;
        assert!(matches!(PublicKey::from_bytes(&none), Err(KeyError::NotAPoint)));
        let (mut three, mut again) = ([0; 32], [0xff; 32]);
        (three[0], again[0], again[31]) = (3, 0xf0, 0x7f);
        assert!(PublicKey::from_bytes(&three).is_ok_and(|key| key.bytes() == &three));
        assert!(matches!(PublicKey::from_bytes(&again), Err(KeyError::NotAPoint)));
    }

    #[test]
    fn key_derivation_without_end_is_refused() {
        use pkcs8::pkcs5::pbes2::{Kdf, Parameters, Pbkdf2Params, ScryptParams};
        let params =
            |kdf: Kdf| Parameters { kdf, ..Parameters::generate_pbkdf2_sha256_aes256cbc(1, &[0; 8], [0; 16]).unwrap() };
        let scrypt = ScryptParams {
            salt: [0u8; 8].as_slice().try_into().unwrap(),
            cost_parameter: 1 << 40,
            block_size: 8,
            parallelization: 1,
            key_length: None,
        };
        let cases: [(Kdf, &str); 3] = [
            (Pbkdf2Params::hmac_sha256(MAX_PBKDF2_ITERATIONS + 1, &[0; 8]).unwrap().into(), "PBKDF2 iterations"),
            (scrypt.into(), "scrypt memory in bytes"),
            (ScryptParams { cost_parameter: 2, parallelization: 17, ..scrypt }.into(), "scrypt passes"),
        ];
        for (kdf, name) in cases {
            let info = EncryptedPrivateKeyInfoRef {
                encryption_algorithm: params(kdf).into(),
                encrypted_data: pkcs8::der::asn1::OctetStringRef::new(&[0; 64]).unwrap(),
            };
            let text = pem("ENCRYPTED PRIVATE KEY", SecretDocument::try_from(&info).unwrap().as_bytes());
            let error = private_error(&text, Some(&pass("x")));
            assert!(matches!(error, KeyError::ExcessiveWork { parameter, .. } if parameter == name), "{error}");
        }
    }
}
