//! Writing files: whole or not at all, and never over another by accident.
//!
//! The bytes go to a temporary file in the same folder, which is then renamed. A run that fails leaves nothing behind,
//! a reader never sees half a file, and a file that appears meanwhile is not overwritten unless that was asked for. A
//! symbolic link stays: the file that it leads to is replaced. What a killed run leaves is removed by the next that writes
//! the same file: see `temporary.rs`.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::place::place_of;
use crate::temporary::temporary_file;
use crate::{DescriptionError, ModelError};

/// What to do if the file is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Fail with [`WriteError::Exists`].
    Refuse,
    /// Replace it.
    Replace,
}

/// Who may read the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// Whoever the process' umask lets.
    Public,
    /// The owner alone (mode 0600), from the first byte on.
    Secret,
}

/// Why a file was not written. Whatever was there before is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// It is already there, and was not to be replaced.
    #[error("{file}: already exists", file = file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// The folder it should go to is not there.
    #[error("{file}: the folder {folder} does not exist", file = file.display(), folder = folder.display())]
    NoFolder {
        /// The file.
        file: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// The path ends in no file name, or is a folder.
    #[error("{file}: is not the path of a file", file = file.display())]
    NotAFile {
        /// The path.
        file: PathBuf,
    },
    /// The path is a link to a folder, a device or a pipe, or to a file that is no longer there.
    #[error("{file}: leads to {target}, which is not a regular file", file = file.display(), target = target.display())]
    LeadsElsewhere {
        /// The path.
        file: PathBuf,
        /// What it leads to.
        target: PathBuf,
    },
    /// The operating system failed.
    #[error("{file}: cannot be written", file = file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// The model contradicts itself.
    #[error("{file}: the model cannot be written", file = file.display())]
    Model {
        /// The file.
        file: PathBuf,
        /// The contradiction.
        #[source]
        source: ModelError,
    },
    /// The description is out of bounds.
    #[error("{file}: the description cannot be written", file = file.display())]
    Description {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: DescriptionError,
    },
}

impl WriteError {
    /// The same about another file: for one that is written beside its place first, under another name.
    #[must_use]
    pub fn about(mut self, place: &Path) -> Self {
        let (Self::Exists { file }
        | Self::NoFolder { file, .. }
        | Self::NotAFile { file }
        | Self::LeadsElsewhere { file, .. }
        | Self::Io { file, .. }
        | Self::Model { file, .. }
        | Self::Description { file, .. }) = &mut self;
        place.clone_into(file);
        self
    }
}

/// Writes a file whole or not at all; `write` gets a buffered writer.
pub fn write_atomically(
    path: &Path,
    overwrite: Overwrite,
    secrecy: Secrecy,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    let io = |source| WriteError::Io { file: path.to_owned(), source };
    // Checked before the work for an early answer; what counts is the rename below, which cannot be raced.
    let place = place_of(path, overwrite)?;
    let mut file = temporary_file(&place, secrecy).map_err(io)?;
    let mut buffered = BufWriter::with_capacity(1 << 20, file.as_file_mut());
    write(&mut buffered).and_then(|()| buffered.flush()).map_err(io)?;
    drop(buffered);
    file.as_file().sync_all().map_err(io)?;
    match overwrite {
        Overwrite::Replace => file.persist(&place),
        Overwrite::Refuse => file.persist_noclobber(&place),
    }
    .map_err(|e| match e.error.kind() {
        io::ErrorKind::AlreadyExists => WriteError::Exists { file: path.to_owned() },
        _ => io(e.error),
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn put(path: &Path, overwrite: Overwrite, text: &str) -> Result<(), WriteError> {
        write_atomically(path, overwrite, Secrecy::Public, |w| w.write_all(text.as_bytes()))
    }

    #[test]
    fn an_existing_file_is_replaced_only_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        put(&path, Overwrite::Refuse, "one").unwrap();
        assert!(matches!(put(&path, Overwrite::Refuse, "two"), Err(WriteError::Exists { file }) if file == path));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        put(&path, Overwrite::Replace, "three").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let result = write_atomically(&path, Overwrite::Refuse, Secrecy::Public, |w| {
            fs::write(&path, "theirs")?;
            w.write_all(b"ours")
        });
        assert!(matches!(result, Err(WriteError::Exists { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
    }

    #[test]
    fn a_failed_run_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let result = write_atomically(&folder.path().join("a"), Overwrite::Replace, Secrecy::Public, |w| {
            w.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert!(matches!(result, Err(WriteError::Io { source, .. }) if source.to_string() == "no more"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn missing_folders_and_folders_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("b");
        let result = put(&missing.join("a"), Overwrite::Replace, "");
        assert!(matches!(result, Err(WriteError::NoFolder { folder, .. }) if folder == missing));
        assert!(matches!(put(folder.path(), Overwrite::Replace, ""), Err(WriteError::NotAFile { .. })));
        assert!(matches!(put(Path::new(""), Overwrite::Replace, ""), Err(WriteError::NotAFile { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let [link, sub] = ["link", "sub"].map(|name| folder.path().join(name));
        fs::create_dir(&sub).unwrap();
        std::os::unix::fs::symlink("sub/a", &link).unwrap();
        for text in ["one", "two"] {
            put(&link, Overwrite::Replace, text).unwrap(); // at first it leads to nothing
            assert_eq!(fs::read_to_string(sub.join("a")).unwrap(), text);
        }
        assert!(link.is_symlink());
        assert!(matches!(put(&link, Overwrite::Refuse, "three"), Err(WriteError::Exists { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count() + fs::read_dir(&sub).unwrap().count(), 3);
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_is_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        put(&path, Overwrite::Refuse, "public").unwrap();
        assert_eq!(mode(&path) & 0o600, 0o600);
        write_atomically(&path, Overwrite::Replace, Secrecy::Secret, |w| w.write_all(b"secret")).unwrap();
        assert_eq!(mode(&path), 0o600);
    }
}
