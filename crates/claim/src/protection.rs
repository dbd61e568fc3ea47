//! Protection of private files: age encryption to a passphrase or to recipients.
//!
//! The age format (age-encryption.org/v1) by crate `age`, so that `age` and `rage` open our files. Recipients are age's
//! own (`age1…`) and SSH keys. Used for counterfoils, and for key masks handed to a licensee.

use std::io::{Read, Write};

use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, Encryptor};
use zeroize::Zeroizing;

use crate::Passphrase;

/// scrypt work factor of files that are written: N = 2^18 takes 256 MiB and about a second (age's own default).
pub const WORK_FACTOR: u8 = 18;

/// Greatest scrypt work factor for which a file is opened: N = 2^20 takes 1 GiB.
pub const MAX_WORK_FACTOR: u8 = 20;

/// First line of every age file.
const AGE_HEADER: &[u8] = b"age-encryption.org/";

/// How a private file is protected.
pub enum Protection {
    /// Encrypted; whoever has the passphrase opens it.
    Passphrase(Passphrase),
    /// Encrypted; any of the recipients opens it. At least one.
    Recipients(Vec<Recipient>),
    /// Not at all: plain text.
    None,
}

/// What opens a private file. A file in plain text is opened by any of them.
pub enum Unlock {
    /// A passphrase.
    Passphrase(Passphrase),
    /// Private keys, of which one must fit.
    Identities(Vec<Identity>),
    /// Nothing: plain text only.
    None,
}

/// Why a private file cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtectionError {
    /// Neither `age1…` nor an SSH key.
    #[error("recipient '{found}' is neither an age recipient (age1…) nor a supported SSH public key")]
    Recipient {
        /// What was given, shortened.
        found: String,
    },
    /// No recipient, or recipients that exclude each other.
    #[error("the recipients cannot be combined, expected at least one, all of the same kind of protection")]
    Recipients(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Neither an age identity file nor an SSH private key.
    #[error("identity: neither an age identity file nor a supported SSH private key")]
    Identity,
    /// The SSH private key is encrypted.
    #[error("identity: the SSH private key is encrypted, and no passphrase was given")]
    IdentityLocked,
    /// Encrypted to a passphrase, and none was given.
    #[error("the file is encrypted with a passphrase, and none was given")]
    NeedsPassphrase,
    /// Encrypted to recipients, and no identity was given.
    #[error("the file is encrypted to recipients, and no identity was given")]
    NeedsIdentity,
    /// The passphrase does not open it.
    #[error("the passphrase does not open the file")]
    WrongPassphrase,
    /// None of the identities opens it.
    #[error("none of the identities opens the file")]
    NoMatchingIdentity,
    /// Opening would take too much memory and time.
    #[error("the file asks for a scrypt work factor of {required}, expected at most {limit}")]
    ExcessiveWork {
        /// The file's work factor, log2 N.
        required: u8,
        /// [`MAX_WORK_FACTOR`].
        limit: u8,
    },
    /// Truncated or changed after it was written, or of a newer age version.
    #[error("the age encryption is damaged")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Somebody to whom a file is encrypted.
pub struct Recipient(Box<dyn age::Recipient + Send + Sync>);

impl Recipient {
    /// Reads an age recipient (`age1…`) or a line of an SSH public key file (`ssh-ed25519 …`, `ssh-rsa …`).
    pub fn parse(text: &str) -> Result<Self, ProtectionError> {
        let text = text.trim();
        if let Ok(recipient) = text.parse::<age::x25519::Recipient>() {
            return Ok(Self(Box::new(recipient)));
        }
        match text.parse::<age::ssh::Recipient>() {
            Ok(recipient) => Ok(Self(Box::new(recipient))),
            Err(_) => Err(ProtectionError::Recipient { found: text.chars().take(40).collect() }),
        }
    }
}

/// A private key that opens files encrypted to its recipient.
pub struct Identity(Box<dyn age::Identity>);

impl Identity {
    /// Reads an age identity file (lines `AGE-SECRET-KEY-1…`) or an SSH private key, with its passphrase if it has one.
    pub fn parse(text: &str, passphrase: Option<&Passphrase>) -> Result<Vec<Self>, ProtectionError> {
        if text.trim_start().starts_with("-----BEGIN") {
            let key = age::ssh::Identity::from_buffer(text.as_bytes(), None).map_err(|_| ProtectionError::Identity)?;
            return match (key, passphrase) {
                (age::ssh::Identity::Unsupported(_), _) => Err(ProtectionError::Identity),
                (age::ssh::Identity::Encrypted(_), None) => Err(ProtectionError::IdentityLocked),
                (key, None) => Ok(vec![Self(Box::new(key))]),
                (key, Some(passphrase)) => Ok(vec![Self(Box::new(key.with_callbacks(Given(passphrase.clone()))))]),
            };
        }
        let file = age::IdentityFile::from_buffer(text.as_bytes()).map_err(|_| ProtectionError::Identity)?;
        let identities = file.into_identities().map_err(|_| ProtectionError::Identity)?;
        if identities.is_empty() {
            return Err(ProtectionError::Identity);
        }
        Ok(identities.into_iter().map(|identity| Self(identity)).collect())
    }
}

/// Answers age's question for an SSH key's passphrase with the one that was given.
#[derive(Clone)]
struct Given(Passphrase);

impl age::Callbacks for Given {
    fn display_message(&self, _: &str) {}

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn request_public_string(&self, _: &str) -> Option<String> {
        None
    }

    fn request_passphrase(&self, _: &str) -> Option<SecretString> {
        Some(secret(&self.0))
    }
}

fn secret(passphrase: &Passphrase) -> SecretString {
    SecretString::from(passphrase.expose().to_owned())
}

/// Encrypts `plaintext`, or returns it as it is under [`Protection::None`].
pub fn protect(plaintext: &[u8], protection: &Protection) -> Result<Vec<u8>, ProtectionError> {
    let scrypt;
    let recipients: Vec<&dyn age::Recipient> = match protection {
        Protection::None => return Ok(plaintext.to_vec()),
        Protection::Passphrase(passphrase) => {
            let mut recipient = age::scrypt::Recipient::new(secret(passphrase));
            recipient.set_work_factor(WORK_FACTOR);
            scrypt = recipient;
            vec![&scrypt]
        }
        Protection::Recipients(recipients) => recipients.iter().map(|r| &*r.0 as &dyn age::Recipient).collect(),
    };
    let encryptor = Encryptor::with_recipients(recipients.into_iter())
        .map_err(|source| ProtectionError::Recipients(source.into()))?;
    let mut sealed = Vec::with_capacity(plaintext.len() + 4096);
    let write = |sealed: &mut Vec<u8>| {
        let mut writer = encryptor.wrap_output(sealed)?;
        writer.write_all(plaintext)?;
        writer.finish().map(|_| ())
    };
    write(&mut sealed).expect("writing to memory does not fail");
    Ok(sealed)
}

/// Reverses [`protect`]. What is no age file is plain text and comes back as it is.
pub fn unprotect(bytes: &[u8], unlock: &Unlock) -> Result<Zeroizing<Vec<u8>>, ProtectionError> {
    if !bytes.starts_with(AGE_HEADER) {
        return Ok(Zeroizing::new(bytes.to_vec()));
    }
    let decryptor = Decryptor::new(bytes).map_err(|source| ProtectionError::Damaged(source.into()))?;
    let scrypt;
    let identities: Vec<&dyn age::Identity> = match (unlock, decryptor.is_scrypt()) {
        (Unlock::Passphrase(passphrase), true) => {
            let mut identity = age::scrypt::Identity::new(secret(passphrase));
            identity.set_max_work_factor(MAX_WORK_FACTOR);
            scrypt = identity;
            vec![&scrypt]
        }
        (Unlock::Identities(identities), false) => identities.iter().map(|i| &*i.0).collect(),
        (_, true) => return Err(ProtectionError::NeedsPassphrase),
        (_, false) => return Err(ProtectionError::NeedsIdentity),
    };
    let by_passphrase = decryptor.is_scrypt();
    let mut reader = decryptor.decrypt(identities.into_iter()).map_err(|error| match error {
        DecryptError::ExcessiveWork { required, .. } => {
            ProtectionError::ExcessiveWork { required, limit: MAX_WORK_FACTOR }
        }
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed if by_passphrase => {
            ProtectionError::WrongPassphrase
        }
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed => ProtectionError::NoMatchingIdentity,
        other => ProtectionError::Damaged(other.into()),
    })?;
    // The plaintext is shorter than the file, so the buffer never moves and leaves no copy behind.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(bytes.len()));
    reader.read_to_end(&mut plaintext).map_err(|source| ProtectionError::Damaged(source.into()))?;
    Ok(plaintext)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned())
    }

    /// An age identity file with one new key, and its recipient.
    fn age_key() -> (String, Recipient) {
        use age::secrecy::ExposeSecret;
        let key = age::x25519::Identity::generate();
        let file = format!("# a comment\n{}\n", key.to_string().expose_secret());
        (file, Recipient::parse(&key.to_public().to_string()).unwrap())
    }

    fn error(bytes: &[u8], unlock: &Unlock) -> ProtectionError {
        unprotect(bytes, unlock).unwrap_err()
    }

    #[test]
    fn a_passphrase_opens_what_it_sealed_and_no_other_does() {
        let sealed = protect(b"secret", &Protection::Passphrase(pass("right"))).unwrap();
        assert!(sealed.starts_with(b"age-encryption.org/v1\n-> scrypt "));
        assert_eq!(**unprotect(&sealed, &Unlock::Passphrase(pass("right"))).unwrap(), *b"secret");
        assert!(matches!(error(&sealed, &Unlock::Passphrase(pass("wrong"))), ProtectionError::WrongPassphrase));
        assert!(matches!(error(&sealed, &Unlock::None), ProtectionError::NeedsPassphrase));
    }

    #[test]
    fn any_of_the_recipients_opens() {
        let ((first, a), (second, b), (stranger, _)) = (age_key(), age_key(), age_key());
        let sealed = protect(b"secret", &Protection::Recipients(vec![a, b])).unwrap();
        for file in [&first, &second] {
            let unlock = Unlock::Identities(Identity::parse(file, None).unwrap());
            assert_eq!(**unprotect(&sealed, &unlock).unwrap(), *b"secret");
        }
        let stranger = Unlock::Identities(Identity::parse(&stranger, None).unwrap());
        assert!(matches!(error(&sealed, &stranger), ProtectionError::NoMatchingIdentity));
        for unlock in [Unlock::None, Unlock::Passphrase(pass("x"))] {
            assert!(matches!(error(&sealed, &unlock), ProtectionError::NeedsIdentity));
        }
        assert!(matches!(protect(b"", &Protection::Recipients(vec![])), Err(ProtectionError::Recipients(_))));
    }

    #[test]
    fn ssh_keys_are_recipients_and_identities() {
        // Made with `ssh-keygen -t ed25519 -C test`, without a passphrase and with "swordfish".
        let public = include_str!("../tests/ssh/id_ed25519.pub");
        let sealed = protect(b"secret", &Protection::Recipients(vec![Recipient::parse(public).unwrap()])).unwrap();
        let plain = Identity::parse(include_str!("../tests/ssh/id_ed25519"), None).unwrap();
        assert_eq!(**unprotect(&sealed, &Unlock::Identities(plain)).unwrap(), *b"secret");

        let locked = include_str!("../tests/ssh/id_ed25519_locked");
        assert!(matches!(Identity::parse(locked, None).map(|_| ()), Err(ProtectionError::IdentityLocked)));
        let opened = |passphrase| Unlock::Identities(Identity::parse(locked, Some(&pass(passphrase))).unwrap());
        assert_eq!(**unprotect(&sealed, &opened("swordfish")).unwrap(), *b"secret");
        assert!(matches!(error(&sealed, &opened("wrong")), ProtectionError::NoMatchingIdentity));
    }

    #[test]
    fn what_is_no_key_is_named() {
        let found = Recipient::parse("bob").map(|_| ()).unwrap_err().to_string();
        assert_eq!(found, "recipient 'bob' is neither an age recipient (age1…) nor a supported SSH public key");
        for text in ["", "# nothing\n", "hello", "-----BEGIN CERTIFICATE-----\n"] {
            assert!(matches!(Identity::parse(text, None).map(|_| ()), Err(ProtectionError::Identity)), "{text}");
        }
    }

    #[test]
    fn damage_and_excessive_work_are_named() {
        let (file, recipient) = age_key();
        let sealed = protect(b"secret", &Protection::Recipients(vec![recipient])).unwrap();
        let unlock = Unlock::Identities(Identity::parse(&file, None).unwrap());
        assert!(matches!(error(&sealed[..sealed.len() - 1], &unlock), ProtectionError::Damaged(_)));
        assert!(matches!(error(b"age-encryption.org/v9\n", &unlock), ProtectionError::Damaged(_)));
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(matches!(error(&changed, &unlock), ProtectionError::Damaged(_)));

        let sealed = protect(b"secret", &Protection::Passphrase(pass("x"))).unwrap();
        let at = sealed.windows(4).position(|w| w == b" 18\n").unwrap();
        let greedy = [&sealed[..at], b" 40\n", &sealed[at + 4..]].concat();
        match error(&greedy, &Unlock::Passphrase(pass("x"))) {
            ProtectionError::ExcessiveWork { required, limit } => assert_eq!((required, limit), (40, MAX_WORK_FACTOR)),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn plain_text_is_opened_by_anything() {
        let plain = protect(b"secret", &Protection::None).unwrap();
        assert_eq!(plain, b"secret");
        assert_eq!(**unprotect(&plain, &Unlock::Passphrase(pass("x"))).unwrap(), *b"secret");
        assert_eq!(**unprotect(&plain, &Unlock::None).unwrap(), *b"secret");
    }
}
