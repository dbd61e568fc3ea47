//! Hints: what to do about an error, depending on what was given. One phrase, or nothing where the error says it all.

use std::path::Path;

use counterfoil_attack::{AttackError, Need};
use counterfoil_claim::{ClaimError, CounterfoilError, DisclosureError, KeyError, KeyMaskError, Part, ProtectionError};
use counterfoil_mark::qr::EmbedError;
use counterfoil_mark::{LockError, StampError, StampingError, StrategyError};
use counterfoil_suite::SuiteError;
use counterfoil_ticket::{Kind, ReadError, WriteError};
use counterfoil_train::data::DataError;
use counterfoil_train::{DeviceChoice, TrainError};
use counterfoil_verify::VerifyError;

use crate::Error;
use crate::file_kind::FileKind;
use crate::writing::LOG;

const PASSPHRASE: &str = "in a passphrase file everything counts except one line end after it: spaces and capitals too";

const DAMAGED: &str = "the file is of the right kind, but cut off, damaged or edited: get a fresh copy";
const LOCKED: &str = "'counterfoil unlock' makes it whole, with its key mask";
const RECIPIENT: &str = "a recipient is 'age1…' or the line of an SSH public key";
const CUT_OFF: &str = "was the file copied or downloaded to its end?";

pub(crate) fn hint(error: &Error) -> Option<String> {
    match error {
        Error::Key { file, source } => key(file, source),
        Error::Claim { file, source } => claim(file, source),
        Error::Disclosure { file, source } => disclosure(file, source),
        Error::Counterfoil { file, source } => counterfoil(file, source),
        Error::KeyMask { file, source } => key_mask(file, source),
        Error::Lock { source, .. } => locking(source),
        Error::NoData(_) => {
            Some("--data digits names the embedded ones; else give a CIFAR, IDX or image folder".to_owned())
        }
        Error::Data(DataError::SeveralLabelFiles { .. }) => Some("name one of them: --trigger-labels FILE".to_owned()),
        Error::SmallImages { .. } => {
            Some("--resize enlarges the images of a folder; or choose another --arch".to_owned())
        }
        Error::Attack(source) => attacking(source),
        Error::Suite(SuiteError::Counterfoil { source, .. }) if matches!(**source, CounterfoilError::Protection(_)) => {
            Some("a suite reads counterfoils that are not encrypted, as 'stamp --unencrypted' writes them".to_owned())
        }
        Error::NoModelLeft { .. } => Some("the suite measures it: counterfoil suite run".to_owned()),
        Error::NotPretrained => Some("name a trained model: --pretrained FILE".to_owned()),
        Error::StrategyWithoutData => Some("name the training data: --data digits, or a folder".to_owned()),
        Error::Identity { source: ProtectionError::IdentityLocked, .. } => {
            Some("name a file with its passphrase: --passphrase-file FILE".to_owned())
        }
        Error::Identity { .. } => Some("an identity is an age identity file or an SSH private key".to_owned()),
        Error::NoRecipients { .. } => {
            Some("it has a passphrase: leave the identity out, and name a file with the passphrase".to_owned())
        }
        Error::Recipient(ProtectionError::Recipient { found }) => Some(recipient(found)),
        Error::Recipient(_) => Some(RECIPIENT.to_owned()),
        Error::Write(WriteError::Exists { .. }) => Some("--force replaces it, or choose another name".to_owned()),
        Error::Write(WriteError::LeadsElsewhere { .. }) => {
            Some("results go to regular files; name one, or remove the link".to_owned())
        }
        Error::Write(WriteError::NoFolder { folder, .. }) => Some(format!("make it: mkdir -p {}", folder.display())),
        Error::Stamping { source, .. } => stamping(source),
        Error::Qr { source, .. } => qr(source),
        Error::LeftUnstamped { ticket, source, .. } => left_unstamped(ticket, source),
        Error::Unreadable { file, .. } => missing(file),
        Error::NotText { file, expected } | Error::TooLarge { file, expected, .. } => mistaken(file, expected),
        Error::SameFile { .. } => Some("give each a name of its own; inputs are never overwritten".to_owned()),
        Error::NoPassphrase { whose, .. } => {
            let option = whose.option();
            Some(format!("name a file with the passphrase: {option} FILE, or the variable {}", whose.variable()))
        }
        Error::EmptyPassphrase { .. } => {
            Some("without a passphrase: --unencrypted, or a key without --passphrase".into())
        }
        Error::NoClaim { .. } => {
            Some("give the claim that was made with the stamp too: --claim stamped.claim.json".to_owned())
        }
        Error::NoKey { .. } => Some("give the owner's public key: --key owner.pub".to_owned()),
        Error::Train(TrainError::Setting { name: "rewind", .. }) => Some(
            "name an earlier epoch with --rewind, or the initial weights with --no-rewind; a preset may have named one"
                .to_owned(),
        ),
        Error::Train(TrainError::OtherCheckpoint { file }) => {
            Some(format!("to start anew instead, add --force, or delete {}", file.display()))
        }
        Error::Train(TrainError::NotACheckpoint { file } | TrainError::CheckpointChecksum { file }) => {
            Some(format!("to start anew instead, delete {}", file.display()))
        }
        Error::Train(TrainError::Diverged { .. } | TrainError::NotFinite { .. } | TrainError::NoAnswers { .. }) => {
            Some("try a lower --rate, with --force if this run has left a progress file".to_owned())
        }
        Error::Network { .. } => {
            Some("its weights, or the normalisation of its images, are too large to compute with".to_owned())
        }
        Error::Train(TrainError::DeviceNotBuilt { feature, .. }) => {
            Some(format!("build it in: cargo build --release -p counterfoil-cli --features {feature}"))
        }
        Error::Train(TrainError::NoDevice { device, .. } | TrainError::DeviceFails { device, .. }) => {
            let driver = if matches!(device, DeviceChoice::Cuda(_)) { "an NVIDIA driver" } else { "a Vulkan driver" };
            Some(format!("install {driver} for it, name another device, or leave --device out to use the CPU"))
        }
        Error::Train(TrainError::Checkpoint(_)) => Some("to start anew instead, delete that file".to_owned()),
        Error::NotAskable { .. } => Some("leave --tests out to test what can be tested".to_owned()),
        Error::Verify(VerifyError::Read(error)) => read(error),
        Error::OtherCounterfoil { kind: Kind::Locked, .. } => {
            Some(format!("the ticket is locked: {LOCKED}; as it is, it is trained without --counterfoil"))
        }
        Error::RepeatedDisclosure { .. } => Some("give each panel's disclosure once".to_owned()),
        Error::DisputeOption { .. } => {
            Some("a dispute is between two claims: give both, and the public keys that signed them".to_owned())
        }
        Error::RepeatedKey { .. } => Some("if one key signed both claims, give it once".to_owned()),
        Error::RepeatedClaim { .. } => Some("give the claim of each owner, once".to_owned()),
        Error::IdleKey { .. } => Some("give the claim that this key signed, or leave the key out".to_owned()),
        Error::StrayClaim { .. } => Some("give the public key of whoever made this claim, or another claim".to_owned()),
        Error::StrayDisclosure { .. } => {
            Some("give the claim that was made with this disclosure's stamp, or leave it out".to_owned())
        }
        Error::StrayOriginal { .. } => Some(
            "an original is the stamped ticket as 'stamp' or 'find --key' wrote it, not a model trained from it, nor \
             the ticket before it was stamped"
                .to_owned(),
        ),
        Error::RepeatedOriginal { .. } => Some("give each original once".to_owned()),
        Error::NothingToPlot { .. } => Some("leave --plot out".to_owned()),
        Error::NotAFile { file, expected: LOG } if !file.is_dir() => {
            Some("to see progress, look at standard error".to_owned())
        }
        Error::NotAFile { file, .. } | Error::Read(ReadError::NotAFile { file }) => not_a_file(file),
        Error::Read(error) => read(error),
        _ => None,
    }
}

fn key(file: &Path, error: &KeyError) -> Option<String> {
    match error {
        KeyError::ExpectedPrivate => Some(match sibling(file, "key") {
            Some(private) => format!("give the private half: {private}"),
            None => "give the private half, the .key file that 'counterfoil keygen' wrote".to_owned(),
        }),
        KeyError::ExpectedPublic => Some(match sibling(file, "pub") {
            Some(public) => format!("give the public half: {public}; the private one is for nobody else's eyes"),
            None => "give the public half, the .pub file that 'counterfoil keygen' wrote".to_owned(),
        }),
        KeyError::NotPem => mistaken(file, "a key"),
        KeyError::WrongPassphrase => Some(PASSPHRASE.to_owned()),
        KeyError::OtherAlgorithm { .. } | KeyError::OtherLabel { .. } | KeyError::UnsupportedEncryption(_) => {
            Some("'counterfoil keygen NAME' makes keys, and 'openssl genpkey -algorithm ed25519' does too".to_owned())
        }
        _ => None,
    }
}

fn claim(file: &Path, error: &ClaimError) -> Option<String> {
    match error {
        ClaimError::Malformed { part: Part::Envelope, .. } => mistaken(file, "a claim"),
        ClaimError::OtherKey { .. } => {
            Some("this is another owner's claim: give that owner's public key, or this key's claim".to_owned())
        }
        ClaimError::BadSignature { .. } => {
            Some("the claim was changed after it was signed: ask for the original".to_owned())
        }
        ClaimError::NewerVersion { .. } => Some("a newer counterfoil made this claim: update to read it".to_owned()),
        _ => None,
    }
}

fn disclosure(file: &Path, error: &DisclosureError) -> Option<String> {
    match error {
        DisclosureError::OtherClaim { .. } => {
            Some("give the claim that was made with the same stamp as this disclosure's counterfoil".to_owned())
        }
        DisclosureError::UnknownVersion { .. } => Some("another counterfoil version made it: update to read it".into()),
        DisclosureError::Malformed(_) => mistaken(file, "a disclosure"),
        _ => None,
    }
}

fn counterfoil(file: &Path, error: &CounterfoilError) -> Option<String> {
    match error {
        CounterfoilError::Protection(error) => sealed(error),
        CounterfoilError::Malformed(_) => mistaken(file, "a counterfoil"),
        CounterfoilError::UnknownVersion { .. } => {
            Some("another counterfoil version made it: update to read it".into())
        }
        _ => None,
    }
}

fn key_mask(file: &Path, error: &KeyMaskError) -> Option<String> {
    match error {
        KeyMaskError::Protection(error) => sealed(error),
        KeyMaskError::Malformed(_) => mistaken(file, "a key mask"),
        KeyMaskError::UnknownVersion { .. } => Some("another counterfoil version made it: update to read it".into()),
        _ => None,
    }
}

/// What is a recipient, instead of the name of a file.
fn recipient(found: &str) -> String {
    let file = Path::new(found);
    match FileKind::of(file) {
        Some(FileKind::PublicKey | FileKind::PrivateKey) => format!(
            "the key in {found} signs, and nothing can be encrypted to it: take the recipient's age key ('age-keygen' \
             makes one) or SSH public key ('ssh-keygen')"
        ),
        Some(FileKind::Other) => {
            format!("to encrypt to the key in that file, give its content: --recipient \"$(cat {found})\"")
        }
        Some(kind) => format!("{RECIPIENT}, and {found} is {kind}"),
        None => RECIPIENT.to_owned(),
    }
}

/// What opens a private file.
fn sealed(error: &ProtectionError) -> Option<String> {
    match error {
        ProtectionError::NeedsIdentity => {
            Some("name the private key of one of its recipients: --identity FILE (--owner-identity for an owner's counterfoil)".to_owned())
        }
        ProtectionError::NoMatchingIdentity => {
            Some("it was encrypted to other recipients: name one of their private keys with --identity".to_owned())
        }
        ProtectionError::WrongPassphrase => Some(PASSPHRASE.to_owned()),
        _ => None,
    }
}

fn locking(error: &LockError) -> Option<String> {
    match error {
        LockError::NoMask => Some("'counterfoil find' makes a ticket; 'counterfoil inspect' shows masks".to_owned()),
        LockError::AlreadyLocked => Some(LOCKED.to_owned()),
        LockError::NotLocked => Some("'counterfoil lock' writes locked tickets; this one may be whole".to_owned()),
        LockError::OtherTicket { .. } => Some("give the key mask that was written with this locked ticket".to_owned()),
        LockError::Strategy(StrategyError::NoArchitecture) => {
            Some("magnitude and random need no architecture: --strategy magnitude".to_owned())
        }
        _ => None,
    }
}

fn read(error: &ReadError) -> Option<String> {
    match error {
        ReadError::UnknownContainer { file, .. } => mistaken(file, "a model")
            .or_else(|| Some("models are safetensors or PyTorch files; others have to be converted first".to_owned())),
        ReadError::Io { file, .. } => missing(file),
        ReadError::Truncated { .. } => Some(CUT_OFF.to_owned()),
        _ => None,
    }
}

fn stamping(error: &StampingError) -> Option<String> {
    match error {
        StampingError::Swaps(StampError::TooSmall { could, target, needed, .. }) => {
            let enough = could.bits() <= -80.0 && could > target;
            let weaker = format!(", or ask for less: --target {:.0} can be had", could.bits().ceil());
            let weaker = if enough { weaker.as_str() } else { "" };
            Some(match needed {
                Some(_) => format!("find a ticket that keeps more weights (a lower --sparsity){weaker}"),
                None => format!(
                    "no number of weights would do as they are pruned here: let more move (--max-moved), or find another \
                     ticket{weaker}"
                ),
            })
        }
        StampingError::NoMask => {
            Some("'counterfoil find' makes a ticket; 'counterfoil inspect' shows masks".to_owned())
        }
        StampingError::Locked => Some(LOCKED.to_owned()),
        StampingError::AlreadyStamped => Some(
            "stamp the ticket as it was found, before its first stamp; a licensee's copy is made with --licensee NAME"
                .to_owned(),
        ),
        StampingError::NotStamped => {
            Some("stamp it for its owner first: counterfoil stamp TICKET --key KEY -o STAMPED".to_owned())
        }
        StampingError::AlreadyLicensed => {
            Some("make every licensee's copy from the ticket that 'counterfoil stamp' wrote for the owner".to_owned())
        }
        StampingError::OtherCounterfoil(_) => Some(
            "give the ticket and the counterfoil that one 'counterfoil stamp' or 'find --key' wrote, and the key it had"
                .to_owned(),
        ),
        _ => None,
    }
}

fn qr(error: &EmbedError) -> Option<String> {
    match error {
        EmbedError::TooLong { .. } => Some("choose a larger --version, or a lower --level".to_owned()),
        EmbedError::NoRoom { .. } => Some("choose a smaller --version, or find a ticket of a wider network".to_owned()),
        EmbedError::Stamped => {
            Some("lay the code over the ticket as it was found, and stamp it then: the code stays".to_owned())
        }
        EmbedError::Locked => Some(LOCKED.to_owned()),
        EmbedError::NoMask | EmbedError::NoCarrier { .. } => {
            Some("'counterfoil inspect' shows the layers and their masks".to_owned())
        }
        EmbedError::Balance { layers: None, .. } => {
            Some("leave --carrier out to have all layers tried, or choose a smaller --version".to_owned())
        }
        EmbedError::Balance { found, least, .. } => Some(format!(
            "choose a smaller --version, or find a ticket that keeps {} weights (a {} --sparsity)",
            if found < least { "more" } else { "fewer" },
            if found < least { "lower" } else { "higher" }
        )),
        EmbedError::Coded { .. } => Some("lay the code over the ticket as it was found".to_owned()),
        _ => None,
    }
}

/// Stamping anew can do with less than the target of a keyed finding.
fn left_unstamped(ticket: &Path, error: &StampingError) -> Option<String> {
    let StampingError::Swaps(StampError::TooSmall { .. }) = error else { return None };
    // How much it can carry under the seeds of a stamp of its own, only `stamp` can say.
    let ticket = ticket.display();
    Some(format!(
        "find a ticket that keeps more weights (a lower --sparsity), or stamp this one for less: \
         counterfoil stamp {ticket} --target BITS …"
    ))
}

/// What the file is instead.
fn mistaken(file: &Path, expected: &str) -> Option<String> {
    let kind = FileKind::of(file).filter(|kind| *kind != FileKind::Other)?;
    let kind = kind.to_string();
    let is_expected = kind == expected || (expected == "a key" && kind.ends_with(" key"));
    if is_expected {
        return Some(DAMAGED.to_owned());
    }
    Some(format!("{} is {kind}, and {expected} is needed here", file.display()))
}

/// What can be done about a pipe or a folder.
fn not_a_file(file: &Path) -> Option<String> {
    let what = if file.is_dir() { "it is a folder: name a file in it" } else { "save it as a file first" };
    Some(what.to_owned())
}

/// The folder that a missing file would be in, if that is missing too.
fn missing(file: &Path) -> Option<String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    (!folder.exists()).then(|| format!("there is no folder {}", folder.display()))
}

/// The file of the same name with another extension, if it is there.
fn sibling(file: &Path, extension: &str) -> Option<String> {
    let sibling = file.with_extension(extension);
    (sibling != file && sibling.is_file()).then(|| sibling.display().to_string())
}
/// What an attacker may lack.
fn attacking(error: &AttackError) -> Option<String> {
    let hint = match error {
        AttackError::Unknown { .. } => "'counterfoil attack --list' says what there is",
        AttackError::Lacks { what: Need::Data } => "name the attacker's images: --data digits, or a folder",
        AttackError::Lacks { what: Need::Key } => "name the key that panel 0 derives from: --key owner.pub",
        AttackError::Lacks { what: Need::Other } => "name the other model: --other FILE",
        AttackError::Lacks { what: Need::Rewound } => "name the ticket as it was found: --rewound ticket.safetensors",
        AttackError::Sparse { .. } => {
            "name a file that has the initial weights of all positions: the ticket as 'find' wrote it, or the checkpoint that \
             it was found from"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}
