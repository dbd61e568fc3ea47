//! `keygen`: a new owner's key pair.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use counterfoil_claim::OwnerKey;
use counterfoil_ticket::Secrecy;
use serde::Serialize;

use crate::output::{print, print_json};
use crate::secret::Passphrases;
use crate::writing::{Force, Together, check};
use crate::{Error, Exit};

/// Make an owner's key pair, NAME.key and NAME.pub
///
/// Ed25519, in the files that openssl reads and writes. Keep NAME.key to yourself; give NAME.pub to whoever is to
/// verify your models.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil keygen owner
  counterfoil keygen owner --passphrase")]
pub(crate) struct Args {
    /// What the files are called, with or without a folder
    name: PathBuf,
    /// Encrypt the private key with a passphrase; COUNTERFOIL_KEY_PASSPHRASE_FILE names a file with it, else it is
    /// asked for
    #[arg(long)]
    passphrase: bool,
    /// Encrypt the private key with the passphrase in this file
    #[arg(long, value_name = "FILE", visible_alias = "key-passphrase-file")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    force: Force,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Made {
    private: String,
    public: String,
    key_id: String,
    encrypted: bool,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let name = without_extension(&self.name);
        let [private, public] = ["key", "pub"].map(|extension| with_suffix(&name, extension));
        let overwrite = self.force.overwrite();
        let inputs = self.passphrase_file.as_deref().map(|file| ("the passphrase file", file));
        let outputs = [("the private key", private.as_path()), ("the public key", public.as_path())];
        check(&outputs, inputs.as_slice(), overwrite)?;

        let encrypted = self.passphrase || self.passphrase_file.is_some();
        let what = private.display().to_string();
        let passphrase =
            encrypted.then(|| Passphrases::Key.fresh(&what, self.passphrase_file.as_deref())).transpose()?;
        let key = OwnerKey::generate();
        let mut files = Together::new(overwrite);
        files.stage_bytes(&private, Secrecy::Secret, key.to_pem(passphrase.as_ref()).as_bytes())?;
        files.stage_bytes(&public, Secrecy::Public, key.public().to_pem().as_bytes())?;
        files.commit()?;

        let made =
            Made { private: what, public: public.display().to_string(), key_id: key.public().key_id(), encrypted };
        if self.json {
            print_json(&made)?
        } else {
            print(&made.in_words())?
        }
        Ok(Exit::Success)
    }
}

impl Made {
    fn in_words(&self) -> String {
        let Self { private, public, key_id, .. } = self;
        let encrypted = if self.encrypted { "encrypted" } else { "not encrypted: whoever reads it can sign as you" };
        format!("{private}  private, {encrypted}\n{public}  public, give it to verifiers\nkey {key_id}\n")
    }
}

/// `owner` for `owner.key` and `owner.pub`, which people type too.
fn without_extension(name: &Path) -> PathBuf {
    let is_ours = name.extension().is_some_and(|extension| extension == "key" || extension == "pub");
    if is_ours { name.with_extension("") } else { name.to_owned() }
}

fn with_suffix(name: &Path, extension: &str) -> PathBuf {
    let mut path = OsString::from(name);
    path.push(".");
    path.push(extension);
    path.into()
}
