//! `stamp`: a mark into a ticket that exists already.

use std::path::{Path, PathBuf};

use counterfoil_claim::{Counterfoil, Dilution, PanelCount, Protection, Recipient};
use counterfoil_mark::{Log2P, Prepared, StampRequest, SwapSettings, prepare, prepare_licensee};
use counterfoil_ticket::{Model, ModelFile, Overwrite, Provenance, Secrecy};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::warn;
use crate::open::UnlockArgs;
use crate::output::{print, print_json};
use crate::secret::Passphrases;
use crate::stamp_table::{StampSummary, Written};
use crate::writing::{Force, Named, Together, check};
use crate::{Error, Exit, open, value};

/// Stamp a ticket with its owner's mark
///
/// Exchanges a few kept positions for pruned ones, within their output channels, so that the mask agrees with the key;
/// of whole channels, which have nothing to take in, it drops a few. Train the stamped ticket afterwards. Writes three
/// files: the stamped ticket; the claim, a signed public statement; and the counterfoil, the private record from which
/// sealed panels are disclosed. What each panel will carry is shown before anything is written.
///
/// With --licensee the ticket is one that is stamped already, and the result a copy that can be told from other
/// licensees': claim and counterfoil are the copy's own, and the owner's prove both.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil stamp ticket.safetensors --key owner.key -o stamped.safetensors
  counterfoil stamp ticket.safetensors --key owner.key -o stamped.safetensors --dry-run
  counterfoil stamp stamped.safetensors --key owner.key -o example.safetensors \\
      --licensee 'Example Ltd' --owner-counterfoil stamped.counterfoil")]
pub(crate) struct Args {
    /// The ticket: weights with masks, as '_mask' tensors or as zeros
    ticket: PathBuf,
    /// The owner's private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the stamped ticket goes
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Where the counterfoil goes [default: the output's name with .counterfoil]
    #[arg(long, value_name = "FILE")]
    counterfoil: Option<PathBuf>,
    /// Where the claim goes [default: the output's name with .claim.json]
    #[arg(long, value_name = "FILE")]
    claim: Option<PathBuf>,
    /// Make a licensee's copy of a ticket that is stamped already: a mark of its own on top of the owner's
    #[arg(long, value_name = "NAME", value_parser = value::licensee)]
    #[arg(conflicts_with_all = ["sealed_panels", "dilution", "public_checkpoint"], requires = "owner_counterfoil")]
    licensee: Option<String>,
    #[command(flatten)]
    owners: Owners,
    #[command(flatten)]
    strength: Strength,
    #[command(flatten)]
    protection: ProtectionArgs,
    /// File with the private key's passphrase; else COUNTERFOIL_KEY_PASSPHRASE_FILE names it, else it is asked for
    #[arg(long, value_name = "FILE")]
    key_passphrase_file: Option<PathBuf>,
    /// The initial weights came from this public checkpoint, which the claim then says
    #[arg(long, value_name = "NAME")]
    public_checkpoint: Option<String>,
    /// Time of stamping for the claim, RFC 3339 [default: SOURCE_DATE_EPOCH, else now]
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    created: Option<String>,
    /// Show what would be stamped, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    force: Force,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The owner's counterfoil, for licensees' copies.
#[derive(clap::Args)]
struct Owners {
    /// With --licensee: the counterfoil of the stamped ticket
    #[arg(long, value_name = "FILE", requires = "licensee")]
    owner_counterfoil: Option<PathBuf>,
    /// File with its passphrase; else COUNTERFOIL_PASSPHRASE_FILE names it, else it is asked for
    #[arg(long, value_name = "FILE", requires = "owner_counterfoil")]
    owner_passphrase_file: Option<PathBuf>,
    /// Private key of one of its recipients: an age identity file or an SSH private key
    #[arg(long, value_name = "FILE", requires = "owner_counterfoil")]
    owner_identity: Vec<PathBuf>,
}

impl Owners {
    /// The files that it names.
    fn inputs(&self) -> impl Iterator<Item = Named<'_>> {
        let all = [
            ("the owner's counterfoil", &self.owner_counterfoil),
            ("its passphrase file", &self.owner_passphrase_file),
        ];
        let files = all.into_iter().filter_map(|(what, file)| Some((what, file.as_deref()?)));
        files.chain(self.owner_identity.iter().map(|file| ("an identity", file.as_path())))
    }

    /// The counterfoil, opened.
    fn open(&self) -> Result<Option<Counterfoil>, Error> {
        let Self { owner_counterfoil, owner_passphrase_file, owner_identity } = self;
        let unlock = UnlockArgs {
            passphrase_file: owner_passphrase_file.clone(),
            identity: owner_identity.clone(),
            whose: Passphrases::OwnersCounterfoil,
        };
        owner_counterfoil.as_deref().map(|file| open::counterfoil(file, &unlock)).transpose()
    }
}

/// How strong, and at what cost.
#[derive(clap::Args)]
struct Strength {
    /// What every panel must reach: log2 p, in bits
    #[arg(long, value_name = "BITS", default_value = "-160", value_parser = value::bits, allow_negative_numbers = true)]
    target: Log2P,
    /// Largest share of the kept positions that may move, or be dropped
    #[arg(long, value_name = "SHARE", default_value = "0.10", value_parser = value::share)]
    max_moved: f64,
    /// Number of sealed panels, 1 to 4 [default: as many as reach the target]
    #[arg(long, value_name = "N", value_parser = value::panel_count)]
    sealed_panels: Option<PanelCount>,
    /// One in how many positions carries the mark: 1, 2, 4 or 8 [default: what is strongest]
    #[arg(long, value_name = "D", value_parser = value::dilution)]
    dilution: Option<Dilution>,
}

impl Strength {
    fn settings(&self) -> SwapSettings {
        let usual = SwapSettings::default();
        SwapSettings {
            target: self.target,
            most_moved: self.max_moved,
            comfort_moved: usual.comfort_moved.min(self.max_moved),
            dilution: self.dilution,
            sealed: self.sealed_panels,
            ..usual
        }
    }
}

/// How the counterfoil, or the key mask, is protected.
#[derive(Debug, clap::Args)]
pub(crate) struct ProtectionArgs {
    /// File with a passphrase for the private file; else COUNTERFOIL_PASSPHRASE_FILE names it, else it is asked for
    #[arg(long, value_name = "FILE", conflicts_with_all = ["recipient", "unencrypted"])]
    passphrase_file: Option<PathBuf>,
    /// Encrypt the private file to this recipient instead: age1… or the line of an SSH public key; may be repeated
    #[arg(long, short, value_name = "RECIPIENT", conflicts_with = "unencrypted")]
    recipient: Vec<String>,
    /// Do not encrypt the private file: whoever reads it has what it protects
    #[arg(long)]
    unencrypted: bool,
}

impl ProtectionArgs {
    /// Whether any of its options was given.
    pub(crate) fn is_given(&self) -> bool {
        self.passphrase_file.is_some() || !self.recipient.is_empty() || self.unencrypted
    }

    /// The files that it names.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = Named<'_>> {
        self.passphrase_file.iter().map(|file| ("the passphrase file", file.as_path()))
    }

    /// What a new counterfoil of this name is to be protected with; may ask for a passphrase.
    pub(crate) fn protection(&self, counterfoil: &Path) -> Result<Protection, Error> {
        if self.unencrypted {
            return Ok(Protection::None);
        }
        if !self.recipient.is_empty() {
            let recipients = self.recipient.iter().map(|text| Recipient::parse(text));
            return Ok(Protection::Recipients(recipients.collect::<Result<_, _>>().map_err(Error::Recipient)?));
        }
        let what = counterfoil.display().to_string();
        Ok(Protection::Passphrase(Passphrases::Counterfoil.fresh(&what, self.passphrase_file.as_deref())?))
    }
}

/// Where a stamp's three files go.
pub(crate) struct Places {
    pub(crate) ticket: PathBuf,
    pub(crate) claim: PathBuf,
    pub(crate) counterfoil: PathBuf,
}

impl Places {
    /// As asked, else beside the ticket under its name.
    pub(crate) fn new(ticket: PathBuf, claim: Option<PathBuf>, counterfoil: Option<PathBuf>) -> Self {
        let beside = |extension| ticket.with_extension(extension);
        let claim = claim.unwrap_or_else(|| beside("claim.json"));
        let counterfoil = counterfoil.unwrap_or_else(|| beside("counterfoil"));
        Self { ticket, claim, counterfoil }
    }

    /// The outputs in the order they are put in place: a stamped ticket without its counterfoil could never be proven.
    pub(crate) fn named(&self) -> [Named<'_>; 3] {
        [("the counterfoil", &self.counterfoil), ("the claim", &self.claim), ("the stamped ticket", &self.ticket)]
    }

    /// Makes the stamp that was planned for `ticket`, and its files, ready to be put in place all together. The claim's
    /// subject is the output's name.
    pub(crate) fn stage(
        &self,
        prepared: Prepared,
        ticket: &Path,
        created: &str,
        protection: &Protection,
        overwrite: Overwrite,
    ) -> Result<Together, Error> {
        let subject = self.ticket.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let refused = |source| Error::Stamping { ticket: ticket.to_owned(), source };
        let stamped = prepared.finish(created, &subject).map_err(refused)?;
        let sealed = stamped.counterfoil.seal(protection).map_err(Error::Seal)?;
        let mut files = Together::new(overwrite);
        files.stage_bytes(&self.counterfoil, Secrecy::Secret, &sealed)?;
        files.stage_bytes(&self.claim, Secrecy::Public, stamped.claim.as_bytes())?;
        files.stage(&self.ticket, |path| stamped.model.write_safetensors(path, Overwrite::Refuse))?;
        Ok(files)
    }
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let overwrite = self.force.overwrite();
        let places = Places::new(self.output.clone(), self.claim.clone(), self.counterfoil.clone());
        check(&places.named(), &self.inputs(), overwrite)?;
        let created = created(self.created.clone())?;
        let key = open::owner_key(&self.key, self.key_passphrase_file.as_deref())?;
        let owners = self.owners.open()?;
        let ticket = ModelFile::open(&self.ticket)?.read_stored()?;
        let protection = (!self.dry_run).then(|| self.protection.protection(&places.counterfoil)).transpose()?;

        let refused = |source| Error::Stamping { ticket: self.ticket.clone(), source };
        let swaps = self.strength.settings();
        let provenance = self.public_checkpoint.clone().map(Provenance::PublicCheckpoint);
        let prepared = match self.licensee.as_deref().zip(owners.as_ref()) {
            Some((name, owners)) => prepare_licensee(&ticket, &key, owners, name, &swaps),
            None => prepare(&ticket, &key, StampRequest { swaps, keyed: None, provenance }),
        };
        let prepared = prepared.map_err(refused)?;
        self.warn(&ticket);
        let summary = self.summary(&prepared, &places);
        if self.json {
            print_json(&summary)?
        } else {
            print(&summary.to_string())?
        }
        if let Some(protection) = protection {
            places.stage(prepared, &self.ticket, &created, &protection, overwrite)?.commit()?;
            if !self.json {
                print(&Written::of(&places).to_string())?;
            }
        }
        Ok(Exit::Success)
    }

    fn inputs(&self) -> Vec<Named<'_>> {
        let mut inputs: Vec<Named> = vec![("the ticket", &self.ticket), ("the private key", &self.key)];
        inputs.extend(self.key_passphrase_file.iter().map(|file| ("the key's passphrase file", file.as_path())));
        inputs.extend(self.owners.inputs());
        inputs.extend(self.protection.passphrase_file.iter().map(|file| ("the passphrase file", file.as_path())));
        inputs
    }

    fn summary(&self, prepared: &Prepared, places: &Places) -> StampSummary {
        let threshold = SwapSettings::default().threshold;
        let written = (!self.dry_run).then(|| Written::of(places));
        StampSummary::new(&self.ticket, prepared, threshold, written)
    }

    /// Swaps can be seen by whoever finds the same ticket again.
    fn warn(&self, ticket: &Model) {
        let is_public = matches!(ticket.description.provenance, Provenance::PublicCheckpoint(_));
        if self.licensee.is_none() && (is_public || self.public_checkpoint.is_some()) {
            warn(
                "the initial weights are public: whoever finds the ticket from them again can tell which positions \
                 moved, and undo it ('counterfoil find --key' has no such limit)",
            );
        }
    }
}

/// Time of stamping: as given, else as the environment says for reproducible builds, else now; whole seconds, UTC.
pub(crate) fn created(given: Option<String>) -> Result<String, Error> {
    const EPOCH: &str = "SOURCE_DATE_EPOCH";
    if let Some(given) = given {
        return Ok(given);
    }
    let time = match std::env::var(EPOCH) {
        Err(_) => OffsetDateTime::now_utc(),
        Ok(text) => text.parse().ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok()).ok_or_else(|| {
            Error::Variable { name: EPOCH, found: text, expected: "seconds since 1970-01-01T00:00:00Z" }
        })?,
    };
    let seconds = time.replace_nanosecond(0).expect("0 is a nanosecond");
    let out_of_range = |_| Error::Variable { name: EPOCH, found: time.to_string(), expected: "a year up to 9999" };
    seconds.format(&Rfc3339).map_err(out_of_range)
}
