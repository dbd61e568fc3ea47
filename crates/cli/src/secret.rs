//! Passphrases: from a file, or typed on the terminal. Wiped from memory when dropped.
//!
//! A passphrase file holds the passphrase and nothing else; one line end after it is not part of it. The file is named
//! by an option or, failing that, by an environment variable; the passphrase itself never stands on a command line or
//! in the environment, where others could read it.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use counterfoil_claim::Passphrase;
use zeroize::Zeroizing;

use crate::Error;

/// Most bytes of a passphrase file.
const MAX_PASSPHRASE: usize = 4096;

/// Which of the two passphrases of an owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Passphrases {
    /// That of the private key.
    Key,
    /// That of the counterfoil.
    #[default]
    Counterfoil,
    /// That of the owner's counterfoil, where a licensee's is made.
    OwnersCounterfoil,
}

impl Passphrases {
    /// The variable that names the file if no option does.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Key => "COUNTERFOIL_KEY_PASSPHRASE_FILE",
            Self::Counterfoil | Self::OwnersCounterfoil => "COUNTERFOIL_PASSPHRASE_FILE",
        }
    }

    /// The option that names the file.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Key => "--key-passphrase-file",
            Self::Counterfoil => "--passphrase-file",
            Self::OwnersCounterfoil => "--owner-passphrase-file",
        }
    }

    /// The files that variables name.
    pub(crate) fn named_by_variables() -> Vec<PathBuf> {
        [Self::Key, Self::Counterfoil].into_iter().filter_map(|whose| whose.file(None)).collect()
    }

    /// The passphrase of something that exists already.
    pub(crate) fn existing(self, what: &str, file: Option<&Path>) -> Result<Passphrase, Error> {
        match self.file(file) {
            Some(file) => read(&file),
            None => self.ask(what, &format!("Passphrase of {what}: ")),
        }
    }

    /// A passphrase for something that is being made: typed, it is asked for twice.
    pub(crate) fn fresh(self, what: &str, file: Option<&Path>) -> Result<Passphrase, Error> {
        if let Some(file) = self.file(file) {
            return read(&file);
        }
        let first = self.typed(what, &format!("New passphrase of {what}: "))?;
        let second = self.typed(what, "The same again: ")?;
        if first != second {
            return Err(Error::PassphrasesDiffer { what: what.to_owned() });
        }
        passphrase(first, || "the terminal".to_owned())
    }

    fn file(self, option: Option<&Path>) -> Option<PathBuf> {
        let variable = || std::env::var_os(self.variable()).filter(|value: &OsString| !value.is_empty());
        option.map(Path::to_owned).or_else(|| variable().map(PathBuf::from))
    }

    fn ask(self, what: &str, prompt: &str) -> Result<Passphrase, Error> {
        passphrase(self.typed(what, prompt)?, || "the terminal".to_owned())
    }

    fn typed(self, what: &str, prompt: &str) -> Result<Zeroizing<String>, Error> {
        if !io::stdin().is_terminal() {
            return Err(Error::NoPassphrase { what: what.to_owned(), whose: self });
        }
        let typed = rpassword::prompt_password(prompt);
        typed.map(Zeroizing::new).map_err(|source| Error::Terminal { what: what.to_owned(), source })
    }
}

/// Of an open pipe too, as of a password manager's output; no more is read than a passphrase can have.
fn read(file: &Path) -> Result<Passphrase, Error> {
    let unreadable = |source| Error::Unreadable { file: file.to_owned(), source };
    // As large as it can get from the start, so that the buffer never moves and leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_PASSPHRASE + 1));
    let opened = open(file)?;
    opened.take(MAX_PASSPHRASE as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() > MAX_PASSPHRASE {
        let expected = "a passphrase";
        return Err(Error::TooLarge { file: file.to_owned(), limit: MAX_PASSPHRASE, expected });
    }
    let line_end = if text.ends_with("\r\n") { 2 } else { usize::from(text.ends_with('\n')) };
    let length = text.len() - line_end;
    text.truncate(length);
    passphrase(text, || file.display().to_string())
}

/// Opens a passphrase file without waiting. Opening a pipe that has a name waits for somebody to write to it; one that is
/// open already (standard input, `<(…)` of a shell) does not.
fn open(file: &Path) -> Result<File, Error> {
    let unreadable = |source| Error::Unreadable { file: file.to_owned(), source };
    // Not opened again by its name: it may be a pipe with one.
    #[cfg(unix)]
    if file == Path::new("/dev/stdin") {
        use std::os::fd::AsFd;
        return io::stdin().as_fd().try_clone_to_owned().map(File::from).map_err(unreadable);
    }
    let found = file.metadata().map_err(unreadable)?;
    if found.is_dir() || is_named_pipe(file, &found) {
        return Err(Error::NotAFile { file: file.to_owned(), expected: "a file with a passphrase" });
    }
    File::open(file).map_err(unreadable)
}

/// Whether it is a pipe that stands in a folder: the link to an open one leads to no path.
#[cfg(unix)]
fn is_named_pipe(file: &Path, found: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    found.file_type().is_fifo() && !file.starts_with("/dev/fd") && file.canonicalize().is_ok()
}

#[cfg(not(unix))]
fn is_named_pipe(_: &Path, _: &Metadata) -> bool {
    false
}

fn passphrase(mut text: Zeroizing<String>, from: impl FnOnce() -> String) -> Result<Passphrase, Error> {
    if text.is_empty() {
        return Err(Error::EmptyPassphrase { from: from() });
    }
    Ok(Passphrase::new(std::mem::take(&mut *text)))
}
