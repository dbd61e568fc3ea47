//! What a file is, told by its first bytes: to say which of the files of this trade was mistaken for another.
//!
//! For hints and for `inspect` only; what is read for real is checked by the library that reads it.

use std::fmt;
use std::io::Read;
use std::path::Path;

/// How many bytes are looked at.
const HEAD: u64 = 4096;

/// A kind of file that people have lying about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    PrivateKey,
    PublicKey,
    /// PEM, but not one of ours.
    OtherPem,
    Claim,
    Disclosure,
    Counterfoil,
    KeyMask,
    /// Encrypted with age: most likely a counterfoil.
    AgeFile,
    Model,
    Empty,
    Other,
}

impl FileKind {
    /// Looks at the file; `None` if it cannot be read, or is no regular file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let mut head = Vec::new();
        std::fs::File::open(path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
        Some(Self::of_bytes(&head))
    }

    fn of_bytes(head: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head);
        let text = text.trim_start();
        let has = |field: &str| text.contains(&format!("\"{field}\""));
        match text {
            _ if head.is_empty() => Self::Empty,
            _ if is_model(head) => Self::Model,
            t if t.starts_with("age-encryption.org/") || t.starts_with("-----BEGIN AGE ENCRYPTED") => Self::AgeFile,
            t if t.starts_with("-----BEGIN PUBLIC KEY-----") => Self::PublicKey,
            t if t.starts_with("-----BEGIN PRIVATE KEY-----") => Self::PrivateKey,
            t if t.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----") => Self::PrivateKey,
            t if t.starts_with("-----BEGIN ") => Self::OtherPem,
            t if t.starts_with('{') && has("payloadType") => Self::Claim,
            t if t.starts_with('{') && has("auditPath") => Self::Disclosure,
            t if t.starts_with('{') && t.contains("\"counterfoil key mask\"") => Self::KeyMask,
            t if t.starts_with('{') && has("publicKey") => Self::Counterfoil,
            _ => Self::Other,
        }
    }
}

/// Safetensors (a plausible header length, then `{`), a zip, or PyTorch's legacy pickle.
fn is_model(head: &[u8]) -> bool {
    let legacy = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
    let safetensors = head.get(6..9) == Some(b"\0\0{");
    safetensors || head.starts_with(b"PK\x03\x04") || head.starts_with(&legacy)
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrivateKey => "a private key",
            Self::PublicKey => "a public key",
            Self::OtherPem => "a PEM file of another kind",
            Self::Claim => "a claim",
            Self::Disclosure => "a disclosure",
            Self::Counterfoil => "a counterfoil",
            Self::KeyMask => "a key mask",
            Self::AgeFile => "a counterfoil, or another file encrypted with age",
            Self::Model => "a model",
            Self::Empty => "empty",
            Self::Other => "something else",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_first_bytes() {
        let cases: [(&[u8], FileKind); 11] = [
            (b"", FileKind::Empty),
            (b"-----BEGIN PUBLIC KEY-----\n", FileKind::PublicKey),
            (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", FileKind::PrivateKey),
            (b"-----BEGIN CERTIFICATE-----\n", FileKind::OtherPem),
            (b"{\"payloadType\":\"application/vnd.in-toto+json\"", FileKind::Claim),
            (b"{\n  \"version\": 1,\n  \"auditPath\": []", FileKind::Disclosure),
            (b"{\"version\":1,\"publicKey\":\"00\"", FileKind::Counterfoil),
            (b"{\"version\":1,\"what\":\"counterfoil key mask\"", FileKind::KeyMask),
            (b"age-encryption.org/v1\n-> scrypt", FileKind::AgeFile),
            (b"\x40\0\0\0\0\0\0\0{\"__metadata__\"", FileKind::Model),
            (b"\x89PNG\r\n", FileKind::Other),
        ];
        for (head, expected) in cases {
            assert_eq!(FileKind::of_bytes(head), expected, "{}", head.escape_ascii());
        }
    }
}
