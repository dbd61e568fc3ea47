//! Errors as people see them: one sentence with its causes, then a hint if there is something to do.
//!
//! The libraries state what they found and what they expected; which file it was is added here, what to do about it in
//! `hint.rs`.

use std::io::{self, Write};
use std::path::PathBuf;

use counterfoil_claim::{ClaimError, CounterfoilError, DisclosureError, KeyError, KeyMaskError, ProtectionError};
use counterfoil_graph::GraphError;
use counterfoil_mark::qr::EmbedError;
use counterfoil_mark::{LockError, StampingError};
use counterfoil_suite::sentence;
use counterfoil_ticket::{Architecture, Digest, ImageShape, Kind, ModelError, ReadError, WriteError};
use counterfoil_train::TrainError;
use counterfoil_train::data::DataError;
use counterfoil_verify::VerifyError;

use crate::file_kind::FileKind;
use crate::hint::hint;
use crate::output::escaped;
use crate::secret::Passphrases;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A key file is refused.
    #[error("{}", file.display())]
    Key { file: PathBuf, source: KeyError },
    /// A claim is refused.
    #[error("{}", file.display())]
    Claim { file: PathBuf, source: ClaimError },
    /// A disclosure is refused.
    #[error("{}", file.display())]
    Disclosure { file: PathBuf, source: DisclosureError },
    /// A counterfoil is refused.
    #[error("{}", file.display())]
    Counterfoil { file: PathBuf, source: CounterfoilError },
    /// A key mask is refused.
    #[error("{}", file.display())]
    KeyMask { file: PathBuf, source: KeyMaskError },
    /// A private key that should open a counterfoil is refused.
    #[error("{}", file.display())]
    Identity { file: PathBuf, source: ProtectionError },
    /// A private key for a counterfoil or key mask that none opens.
    #[error(
        "{}: is encrypted with a passphrase, which the identity {} does not open", sealed.display(), identity.display()
    )]
    NoRecipients { sealed: PathBuf, identity: PathBuf },
    /// Something that counterfoils should be encrypted to is refused.
    #[error("--recipient")]
    Recipient(#[source] ProtectionError),
    /// A counterfoil cannot be encrypted.
    #[error("the counterfoil cannot be encrypted")]
    Seal(#[source] CounterfoilError),
    /// A key mask cannot be encrypted.
    #[error("the key mask cannot be encrypted")]
    SealKeyMask(#[source] KeyMaskError),
    /// A ticket cannot be locked or unlocked.
    #[error("{}", ticket.display())]
    Lock { ticket: PathBuf, source: LockError },
    /// Some strategies ask the network.
    #[error("the strategy asks the network about training images, and no data are given")]
    StrategyWithoutData,
    /// A model file is refused.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A ticket cannot be stamped.
    #[error("{}", ticket.display())]
    Stamping { ticket: PathBuf, source: StampingError },
    /// A code cannot be laid over a ticket.
    #[error("{}", ticket.display())]
    Qr { ticket: PathBuf, source: EmbedError },
    /// A ticket was found under a key and cannot be stamped: it is kept.
    #[error("{}: is not written, and the ticket is left unstamped in {}", output.display(), ticket.display())]
    LeftUnstamped { output: PathBuf, ticket: PathBuf, source: Box<StampingError> },
    /// Nothing can be said about a suspect.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Training, finding or evaluating failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// An attack that cannot be made.
    #[error(transparent)]
    Attack(#[from] counterfoil_attack::AttackError),
    /// A suite that cannot be run.
    #[error(transparent)]
    Suite(#[from] counterfoil_suite::SuiteError),
    /// Runs that could not be done.
    #[error("{failed} runs could not be done; the others are")]
    RunsFailed { failed: usize },
    /// An attack that leaves the model as it is.
    #[error("{attack} changes what a served model is asked or answers, expected an attack that changes the model")]
    NoModelLeft { attack: &'static str },
    /// A network that cannot be evaluated.
    #[error("{}", model.display())]
    Network { model: PathBuf, source: Box<TrainError> },
    /// A file holds no network that can be trained or evaluated.
    #[error("{}: {reason}", model.display())]
    NotTrainable { model: PathBuf, reason: String },
    /// A network for other images or classes.
    #[error(
        "{}: takes {} images in {} classes, but {data} has {} images in {} classes", model.display(),
        shape(architecture.input()), architecture.classes(), shape(expected.0), expected.1
    )]
    OtherData { model: PathBuf, architecture: Architecture, data: String, expected: (ImageShape, u32) },
    /// A counterfoil that belongs to another ticket.
    #[error("{}: its masks are not those of {}", ticket.display(), counterfoil.display())]
    OtherCounterfoil { ticket: PathBuf, kind: Kind, counterfoil: PathBuf },
    /// Triggers that the network cannot be shown.
    #[error(
        "{}: its triggers are {} images of {} classes, but the ticket takes {} images of {}", counterfoil.display(),
        shape(found.0), found.1, shape(expected.0), expected.1
    )]
    OtherTriggers { counterfoil: PathBuf, found: (ImageShape, u32), expected: (ImageShape, u32) },
    /// Images that a network has nothing left of where it ends.
    #[error(
        "a {} halves its images until nothing is left of {}x{} pixels: expected {side}x{side} at least",
        architecture.name(), found.height, found.width, side = architecture.least_side()
    )]
    SmallImages { architecture: Architecture, found: ImageShape },
    /// A network that cannot be built.
    #[error(
        "the network's widths are out of range: expected 1 to 65536 each, even for a resnet20, 2^29 weights in all"
    )]
    Width,
    /// A preset that is not what it should be.
    #[error("{}: line {line}: {what}", file.display())]
    Preset { file: PathBuf, line: usize, what: String },
    /// An option of another finder.
    #[error("the finder '{finder}' takes no {option}, expected it with {} only", takers.join(", "))]
    OtherFindersOption { option: &'static str, finder: String, takers: Vec<String> },
    /// An option of training for a finder that does none.
    #[error("{finder} trains nothing, expected no {option}")]
    TrainsNothing { option: &'static str, finder: String },
    /// The kind of a network that is there already.
    #[error("the network is that of --pretrained, expected no {option}")]
    PretrainedNetwork { option: &'static str },
    /// Widths as other networks have them.
    #[error("the network has no {option}, expected it with {expected} only")]
    OtherNetworksOption { option: &'static str, expected: &'static str },
    /// The strength of a mark as finders of another kind take it.
    #[error("the finder '{finder}' takes no {option}, expected {expected}")]
    OtherKeying { option: &'static str, finder: &'static str, expected: &'static str },
    /// Rewinding was asked for where nothing is trained.
    #[error("--rewind and --no-rewind are for weights that are trained, and those of --pretrained stay as they are")]
    NothingToRewind,
    /// A mask is to be sought on pretrained weights, and there are none.
    #[error("the finder 'jackpot' seeks a mask on pretrained weights, and none are given")]
    NotPretrained,
    /// No ticket: it has no mask that could be shuffled.
    #[error("{}: has no mask, expected a ticket", file.display())]
    NoTicket { file: PathBuf },
    /// Protection was asked for where no counterfoil is made.
    #[error("without --key no counterfoil is made that could be protected")]
    NothingToProtect,
    /// A model that contradicts itself.
    #[error("{}", model.display())]
    Model { model: PathBuf, source: ModelError },
    /// A verdict of the demo that should not be.
    #[error("suspect '{suspect}' is {found}, expected {expected}")]
    Surprise { suspect: &'static str, found: String, expected: &'static str },
    /// A data set cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// What `--data` names is not there.
    #[error(transparent)]
    NoData(DataError),
    /// A model has no graph that could be drawn.
    #[error("{}", file.display())]
    Graph { file: PathBuf, source: GraphError },
    /// The operating system failed to read.
    #[error("{}: cannot be read", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    /// A folder, a device or a pipe.
    #[error("{}: is not a regular file, expected {expected}", file.display())]
    NotAFile { file: PathBuf, expected: &'static str },
    /// Far more than such a file has.
    #[error("{}: more than {limit} bytes, expected {expected}", file.display())]
    TooLarge { file: PathBuf, limit: usize, expected: &'static str },
    /// A text file that is none.
    #[error("{}: is not text, expected {expected}", file.display())]
    NotText { file: PathBuf, expected: &'static str },
    /// Writing would destroy what is read, or two outputs would be one.
    #[error("{}: is both {one} and {other}, expected different files", file.display())]
    SameFile { file: PathBuf, one: &'static str, other: &'static str },
    /// A passphrase is needed, and nobody can be asked.
    #[error("{what}: needs a passphrase, and there is no terminal to ask for it")]
    NoPassphrase { what: String, whose: Passphrases },
    /// Nothing before the end of the line.
    #[error("{from}: the passphrase is empty")]
    EmptyPassphrase { from: String },
    /// Typed differently the second time.
    #[error("{what}: the two passphrases differ")]
    PassphrasesDiffer { what: String },
    /// The terminal failed.
    #[error("{what}: the passphrase cannot be read from the terminal")]
    Terminal { what: String, source: io::Error },
    /// Disclosures prove themselves only against a claim.
    #[error("{}: a disclosure proves nothing without the claim that it belongs to", disclosure.display())]
    NoClaim { disclosure: PathBuf },
    /// Counted twice, a panel would look stronger than it is.
    #[error("{}: opens panel {panel}, as {} does, expected each panel once", file.display(), other.display())]
    RepeatedDisclosure { file: PathBuf, other: PathBuf, panel: u8 },
    /// A dispute is between two claims.
    #[error("{option}: {found} given, expected {expected}")]
    DisputeOption { option: &'static str, found: usize, expected: &'static str },
    /// One of the keys of a dispute would be left out.
    #[error("{}: is the key in {}, expected the two owners' different keys", file.display(), other.display())]
    RepeatedKey { file: PathBuf, other: PathBuf },
    /// A dispute of a claim with itself.
    #[error("{}: is the claim in {}, expected two different claims", file.display(), other.display())]
    RepeatedClaim { file: PathBuf, other: PathBuf },
    /// A key of a dispute that signed nothing.
    #[error(
        "{}: key {found} signed neither claim, expected the keys that did, of which one is {expected}", file.display()
    )]
    IdleKey { file: PathBuf, found: String, expected: String },
    /// A claim of a dispute by somebody else.
    #[error("{}: signed by key {found}, expected key {}", file.display(), expected.join(" or "))]
    StrayClaim { file: PathBuf, found: String, expected: Vec<String> },
    /// A disclosure of a dispute that belongs to another claim.
    #[error("{}: made for claim {found}, expected claim {}", file.display(), either(expected))]
    StrayDisclosure { file: PathBuf, found: String, expected: Vec<Digest> },
    /// An original that neither claim is about.
    #[error("{}: the ticket has the digest {found}, expected {}, as the claims say", file.display(), either(expected))]
    StrayOriginal { file: PathBuf, found: Digest, expected: Vec<Digest> },
    /// An original that is there already.
    #[error("{}: is the ticket {digest}, as {} is, expected each original once", file.display(), other.display())]
    RepeatedOriginal { file: PathBuf, other: PathBuf, digest: Digest },
    /// A picture of something that is no model.
    #[error("{}: is {found}, expected a model to plot", file.display())]
    NothingToPlot { file: PathBuf, found: FileKind },
    /// A claim says nothing before its signature is checked.
    #[error("{}: a claim is read only under the key that signed it", claim.display())]
    NoKey { claim: PathBuf },
    /// Triggers were asked for, and the model cannot be asked.
    #[error("{}: cannot be asked for its answers to triggers: {reason}", model.display())]
    NotAskable { model: PathBuf, reason: String },
    /// A normalisation of other images than the model's.
    #[error("--normalisation is for {found} channels, expected {expected}, as the model's images have")]
    Channels { found: usize, expected: usize },
    /// An environment variable that makes no sense.
    #[error("{name} is '{found}', expected {expected}")]
    Variable { name: &'static str, found: String, expected: &'static str },
    /// Results cannot be printed.
    #[error("the results cannot be printed")]
    Print(#[source] io::Error),
}

impl Error {
    /// Prints `error: …` and, if there is one, `hint: …`.
    pub(crate) fn report(&self) {
        // Names from files are quoted in it: one that holds a line end must not look like a line of ours.
        let mut text = format!("error: {}\n", escaped(&sentence(self)));
        if let Some(hint) = hint(self) {
            text += &format!("hint: {}\n", escaped(&hint));
        }
        // If nobody listens any more, the exit code still says it.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// Prints something that people should know but that stops nothing.
pub(crate) fn warn(text: &str) {
    let _ = io::stderr().write_all(format!("warning: {}\n", escaped(text)).as_bytes());
}

fn either(digests: &[Digest]) -> String {
    digests.iter().map(Digest::to_string).collect::<Vec<_>>().join(" or ")
}

fn shape(shape: ImageShape) -> String {
    format!("{}x{}x{}", shape.channels, shape.height, shape.width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_joined_and_not_repeated() {
        let source = CounterfoilError::Protection(ProtectionError::WrongPassphrase);
        let error = Error::Counterfoil { file: "a.counterfoil".into(), source };
        assert_eq!(sentence(&error), "a.counterfoil: counterfoil: the passphrase does not open the file");
        let source = io::Error::from(io::ErrorKind::NotFound);
        let error = Error::Unreadable { file: "owner.key".into(), source };
        assert_eq!(sentence(&error), "owner.key: cannot be read: entity not found");
    }
}
