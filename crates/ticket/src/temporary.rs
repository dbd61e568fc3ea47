//! Temporary files and folders beside an output, and what killed runs have left of them.
//!
//! Their names tell which output they are for: `.counterfoil-HASH-…`. Whoever makes one holds a lock on it, which the
//! operating system drops with the process, however that ended. So one that nobody holds is a killed run's, and the next
//! that writes the same output removes it. Where files or folders cannot be locked, nothing is removed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempDir};

use crate::{Digest, Secrecy};

/// A hidden folder beside an output, for what is to be moved there. Removed on drop, with whatever is still in it.
#[derive(Debug)]
pub struct StagingFolder {
    folder: TempDir,
    /// Held as long as the folder is in use; `None` where folders cannot be locked.
    _lock: Option<File>,
}

impl StagingFolder {
    /// Makes one in the folder of this output.
    pub fn beside(output: &Path) -> io::Result<Self> {
        remove_abandoned(output);
        loop {
            let folder = Builder::new().prefix(&prefix(output)).tempdir_in(folder_of(output)).map_err(without_path)?;
            let lock = File::open(folder.path()).ok().filter(|folder| folder.lock().is_ok());
            // Gone, if another run took it for abandoned before it was locked.
            if folder.path().exists() {
                return Ok(Self { folder, _lock: lock });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A new file beside an output that is removed on drop, readable as `secrecy` says from the start.
pub(crate) fn temporary_file(output: &Path, secrecy: Secrecy) -> io::Result<NamedTempFile> {
    remove_abandoned(output);
    let prefix = prefix(output);
    let mut builder = Builder::new();
    builder.prefix(&prefix);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The umask is taken off this, as with any file that a program creates.
        let mode = match secrecy {
            Secrecy::Public => 0o666,
            Secrecy::Secret => 0o600,
        };
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = secrecy; // Access follows the folder there.
    loop {
        let file = builder.tempfile_in(folder_of(output)).map_err(without_path)?;
        // Without a lock nobody takes it for abandoned either.
        let _ = file.as_file().lock();
        if file.path().exists() {
            return Ok(file);
        }
    }
}

/// The reason alone: `tempfile` adds the hidden name, which says nothing to whoever asked for the output.
fn without_path(error: io::Error) -> io::Error {
    let reason = error.get_ref().and_then(|named| named.source()).and_then(|source| source.downcast_ref::<io::Error>());
    reason.and_then(io::Error::raw_os_error).map_or(error, io::Error::from_raw_os_error)
}

/// The folder that a file is in, or will be.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What the names of all temporary files of an output start with.
fn prefix(output: &Path) -> String {
    let name = output.file_name().unwrap_or_else(|| OsStr::new(""));
    format!(".counterfoil-{}-", &Digest::of([name.as_encoded_bytes()]).to_string()[..8])
}

/// Removes what killed runs have left of this output. What cannot be removed stays: it is in nobody's way.
fn remove_abandoned(output: &Path) {
    let prefix = prefix(output);
    let Ok(entries) = fs::read_dir(folder_of(output)) else { return };
    for entry in entries.flatten().filter(|e| e.file_name().as_encoded_bytes().starts_with(prefix.as_bytes())) {
        let path: PathBuf = entry.path();
        // Of the entry itself: a link is followed nowhere, and opening a pipe would wait.
        let Ok(kind) = entry.file_type() else { continue };
        if !(kind.is_file() || kind.is_dir()) {
            continue;
        }
        // The lock is held until the entry is gone, so that its maker, if it is only just making it, sees that.
        let Ok(found) = File::open(&path) else { continue };
        if found.try_lock().is_ok() {
            let _ = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_killed_runs_left_of_the_same_output_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("a");
        let left = |name: String| folder.path().join(name);
        let prefix = prefix(&output);
        let [file, staging, held] = ["file", "folder", "held"].map(|name| left(format!("{prefix}{name}")));
        let foreign = [left(".counterfoil-00000000-x".to_owned()), left(".a".to_owned())];
        fs::create_dir(&staging).unwrap();
        fs::write(staging.join("a"), "half").unwrap();
        for path in [&file, &held, &foreign[0], &foreign[1]] {
            fs::write(path, "half").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), left(format!("{prefix}link"))).unwrap();
        let lock = File::open(&held).unwrap();
        lock.lock().unwrap();
        let living = StagingFolder::beside(&output).unwrap();
        let new = temporary_file(&output, Secrecy::Public).unwrap();
        assert!(!file.exists() && !staging.exists());
        assert!(held.exists() && foreign.iter().all(|path| path.exists()));
        assert!(living.path().exists() && new.path().exists());
        let paths = [living.path().to_owned(), new.path().to_owned()];
        drop((living, new, lock));
        assert!(paths.iter().all(|path| !path.exists()));
        drop(temporary_file(&output, Secrecy::Public).unwrap());
        assert!(!held.exists());
    }
}
