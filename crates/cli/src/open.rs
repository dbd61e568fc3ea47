//! The files that commands take, opened and checked. Errors name the file.

use std::io::Read;
use std::path::{Path, PathBuf};

use counterfoil_claim::{
    Counterfoil, CounterfoilError, Identity, KeyError, KeyMask, KeyMaskError, MAX_COUNTERFOIL, MAX_DISCLOSURE,
    MAX_ENVELOPE, MAX_KEY_MASK, OpenedPanel, OwnerKey, Protection, ProtectionError, PublicKey, Unlock, VerifiedClaim,
};
use zeroize::Zeroizing;

use crate::Error;
use crate::secret::Passphrases;
use crate::writing::Named;

/// Most bytes of a key or an identity file.
const MAX_KEY: usize = 1 << 16;

const COUNTERFOIL: &str = "a counterfoil";

/// What opens a counterfoil or a key mask. Flattened into every command that takes one.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct UnlockArgs {
    /// File with the private file's passphrase (or of the identity, if that has one); else COUNTERFOIL_PASSPHRASE_FILE
    /// names it, else it is asked for
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Private key of one of the private file's recipients: an age identity file or an SSH private key
    #[arg(long, short, value_name = "FILE")]
    pub(crate) identity: Vec<PathBuf>,
    /// Whose passphrase it is.
    #[arg(skip)]
    pub(crate) whose: Passphrases,
}

impl UnlockArgs {
    /// The files that it names.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = Named<'_>> {
        let passphrase = self.passphrase_file.iter().map(|file| ("the passphrase file", file.as_path()));
        passphrase.chain(self.identity.iter().map(|file| ("an identity", file.as_path())))
    }
}

/// A public key.
pub(crate) fn public_key(path: &Path) -> Result<PublicKey, Error> {
    let text = text(path, "a public key")?;
    PublicKey::from_pem(&text).map_err(|source| Error::Key { file: path.to_owned(), source })
}

/// A private key, with its passphrase if it has one.
pub(crate) fn owner_key(path: &Path, passphrase_file: Option<&Path>) -> Result<OwnerKey, Error> {
    let text = text(path, "a private key")?;
    let refused = |source| Error::Key { file: path.to_owned(), source };
    match OwnerKey::from_pem(&text, None) {
        Err(KeyError::MissingPassphrase) => {
            let passphrase = Passphrases::Key.existing(&path.display().to_string(), passphrase_file)?;
            OwnerKey::from_pem(&text, Some(&passphrase)).map_err(refused)
        }
        other => other.map_err(refused),
    }
}

/// A claim that this key has signed.
pub(crate) fn claim(path: &Path, key: &PublicKey) -> Result<VerifiedClaim, Error> {
    let bytes = bytes(path, MAX_ENVELOPE, "a claim")?;
    VerifiedClaim::verify(&bytes, key).map_err(|source| Error::Claim { file: path.to_owned(), source })
}

/// A panel that this claim had committed to.
pub(crate) fn disclosure(path: &Path, claim: &VerifiedClaim) -> Result<OpenedPanel, Error> {
    let bytes = bytes(path, MAX_DISCLOSURE, "a disclosure")?;
    claim.open(&bytes).map_err(|source| Error::Disclosure { file: path.to_owned(), source })
}

/// A counterfoil, with whatever it takes to open it.
/// The claim and the panels opened under it, each at most once.
pub(crate) fn evidence(
    key: &PublicKey,
    file: Option<&Path>,
    disclosures: &[PathBuf],
) -> Result<(Option<VerifiedClaim>, Vec<OpenedPanel>), Error> {
    let Some(file) = file else {
        return match disclosures.first() {
            Some(disclosure) => Err(Error::NoClaim { disclosure: disclosure.clone() }),
            None => Ok((None, Vec::new())),
        };
    };
    let claim = claim(file, key)?;
    let mut opened: Vec<OpenedPanel> = Vec::new();
    for file in disclosures {
        let panel = disclosure(file, &claim)?;
        if let Some(i) = opened.iter().position(|other| other.panel() == panel.panel()) {
            let (file, other) = (file.clone(), disclosures[i].clone());
            return Err(Error::RepeatedDisclosure { file, other, panel: panel.panel().get() });
        }
        opened.push(panel);
    }
    Ok((Some(claim), opened))
}

pub(crate) fn counterfoil(path: &Path, unlock: &UnlockArgs) -> Result<Counterfoil, Error> {
    let bytes = bytes(path, MAX_COUNTERFOIL, COUNTERFOIL)?;
    fn protection(error: &CounterfoilError) -> Option<&ProtectionError> {
        match error {
            CounterfoilError::Protection(error) => Some(error),
            _ => None,
        }
    }
    sealed(path, unlock, |unlock| Counterfoil::open(&bytes, unlock), protection)?
        .map_err(|source| Error::Counterfoil { file: path.to_owned(), source })
}

/// A key mask, with whatever it takes to open it.
pub(crate) fn key_mask(path: &Path, unlock: &UnlockArgs) -> Result<KeyMask, Error> {
    let bytes = bytes(path, MAX_KEY_MASK, "a key mask")?;
    fn protection(error: &KeyMaskError) -> Option<&ProtectionError> {
        match error {
            KeyMaskError::Protection(error) => Some(error),
            _ => None,
        }
    }
    sealed(path, unlock, |unlock| KeyMask::open(&bytes, unlock), protection)?
        .map_err(|source| Error::KeyMask { file: path.to_owned(), source })
}

/// Opens a private file, with what its protection turns out to need.
fn sealed<T, E>(
    path: &Path,
    unlock: &UnlockArgs,
    open: impl Fn(&Unlock) -> Result<T, E>,
    protection: impl Fn(&E) -> Option<&ProtectionError>,
) -> Result<Result<T, E>, Error> {
    let plain = open(&Unlock::None);
    let Err(error) = &plain else { return Ok(plain) };
    let (passphrase_file, whose) = (unlock.passphrase_file.as_deref(), unlock.whose);
    let unlock = match (protection(error), &unlock.identity[..]) {
        (Some(ProtectionError::NeedsPassphrase), [identity, ..]) => {
            return Err(Error::NoRecipients { sealed: path.to_owned(), identity: identity.clone() });
        }
        (Some(ProtectionError::NeedsPassphrase), []) => {
            Unlock::Passphrase(whose.existing(&path.display().to_string(), passphrase_file)?)
        }
        (Some(ProtectionError::NeedsIdentity), identities @ [_, ..]) => {
            let identities = identities.iter().map(|file| identity(file, passphrase_file, whose));
            Unlock::Identities(identities.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        }
        _ => return Ok(plain),
    };
    Ok(open(&unlock))
}

/// Whether a counterfoil is in plain text, or opened by the passphrase, as `protection` has it. Never for recipients: whom
/// it is encrypted to, nobody but them can tell.
pub(crate) fn is_protected_by(path: &Path, protection: &Protection) -> Result<bool, Error> {
    let bytes = bytes(path, MAX_COUNTERFOIL, COUNTERFOIL)?;
    let is_plain = Counterfoil::open(&bytes, &Unlock::None).is_ok();
    Ok(match protection {
        Protection::None => is_plain,
        Protection::Passphrase(passphrase) => {
            !is_plain && Counterfoil::open(&bytes, &Unlock::Passphrase(passphrase.clone())).is_ok()
        }
        Protection::Recipients(_) => false,
    })
}

fn identity(path: &Path, passphrase_file: Option<&Path>, whose: Passphrases) -> Result<Vec<Identity>, Error> {
    let text = text(path, "an identity")?;
    let refused = |source| Error::Identity { file: path.to_owned(), source };
    match Identity::parse(&text, None) {
        Err(ProtectionError::IdentityLocked) => {
            let passphrase = whose.existing(&path.display().to_string(), passphrase_file)?;
            Identity::parse(&text, Some(&passphrase)).map_err(refused)
        }
        other => other.map_err(refused),
    }
}

/// A small file as text.
pub(crate) fn text(path: &Path, expected: &'static str) -> Result<Zeroizing<String>, Error> {
    let bytes = match bytes(path, MAX_KEY, expected) {
        // A file of another kind, most likely: what it is says more than how long it is.
        Err(Error::TooLarge { file, .. }) => return Err(Error::NotText { file, expected }),
        other => other?,
    };
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(Error::NotText { file: path.to_owned(), expected }),
    }
}

/// A file of at most this many bytes. Wiped when dropped: it may be secret.
pub(crate) fn bytes(path: &Path, limit: usize, expected: &'static str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let unreadable = |source| Error::Unreadable { file: path.to_owned(), source };
    let too_large = || Error::TooLarge { file: path.to_owned(), limit, expected };
    // Asked before it is opened: a device may never end, and opening a pipe waits for somebody to write to it.
    let found = path.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(Error::NotAFile { file: path.to_owned(), expected });
    }
    let size = found.len();
    if size > limit as u64 {
        return Err(too_large());
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // Large enough from the start, so that the buffer never moves and leaves no copy behind.
    let room = usize::try_from(size).unwrap_or(limit).min(limit) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > limit { Err(too_large()) } else { Ok(bytes) }
}
