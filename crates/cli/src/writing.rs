//! Outputs: checked before the work, and written all together or not at all.
//!
//! A command that makes several files stages each in a hidden folder beside its place, and moves them there when all
//! are complete. What can go wrong (a full disk, a model that contradicts itself) has gone wrong by then.

use std::path::{Path, PathBuf};

use counterfoil_ticket::{Overwrite, Secrecy, StagingFolder, WriteError, can_be_a_file, folder_of, write_atomically};
use tempfile::TempPath;

use crate::Error;

/// Whether outputs replace what is there. Flattened into every command that writes.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Force {
    /// Replace output files that exist already
    #[arg(long)]
    force: bool,
}

impl Force {
    pub(crate) fn overwrite(self) -> Overwrite {
        if self.force { Overwrite::Replace } else { Overwrite::Refuse }
    }

    pub(crate) fn is_given(self) -> bool {
        self.force
    }
}

/// A file by what it is to the command: "the ticket", "the output".
pub(crate) type Named<'a> = (&'static str, &'a Path);

/// Checks, before any work is done, that all outputs can be written: none is an input or another output, none is there
/// already unless it may be replaced, and their folders can be written to.
pub(crate) fn check(outputs: &[Named], inputs: &[Named], overwrite: Overwrite) -> Result<(), Error> {
    check_but(outputs, inputs, overwrite, |_| false)
}

/// As [`check`], where outputs that are `ours` may be there already.
pub(crate) fn check_but(
    outputs: &[Named],
    inputs: &[Named],
    overwrite: Overwrite,
    ours: impl Fn(&Path) -> bool,
) -> Result<(), Error> {
    for (i, &(output, path)) in outputs.iter().enumerate() {
        for &(other, same) in inputs.iter().chain(&outputs[..i]) {
            if is_same_file(path, same) {
                return Err(Error::SameFile { file: path.to_owned(), one: other, other: output });
            }
        }
        let file = || path.to_owned();
        if !can_be_a_file(path) {
            return Err(WriteError::NotAFile { file: file() }.into());
        }
        if !folder_of(path).is_dir() {
            return Err(WriteError::NoFolder { file: file(), folder: folder_of(path).to_owned() }.into());
        }
        if overwrite == Overwrite::Refuse && path.symlink_metadata().is_ok() && !ours(path) {
            return Err(WriteError::Exists { file: file() }.into());
        }
        stage_beside(path)?;
    }
    Ok(())
}

/// Checks that a log, which is appended to, is none of these files.
pub(crate) fn check_log(log: Option<&Path>, files: &[Named]) -> Result<(), Error> {
    let Some(log) = log else { return Ok(()) };
    match files.iter().find(|(_, path)| is_same_file(log, path)) {
        Some(&(other, _)) => Err(Error::SameFile { file: log.to_owned(), one: other, other: "the log" }),
        None => Ok(()),
    }
}

/// Several files that are written together.
pub(crate) struct Together {
    overwrite: Overwrite,
    staged: Vec<Staged>,
}

struct Staged {
    folder: StagingFolder,
    file: TempPath,
    place: PathBuf,
}

impl Together {
    pub(crate) fn new(overwrite: Overwrite) -> Self {
        Self { overwrite, staged: Vec::new() }
    }

    /// Writes one file, for now beside its place; `write` gets the path to write to.
    pub(crate) fn stage(
        &mut self,
        place: &Path,
        write: impl FnOnce(&Path) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let folder = stage_beside(place)?;
        let name = place.file_name().ok_or_else(|| WriteError::NotAFile { file: place.to_owned() })?;
        let staged = folder.path().join(name);
        write(&staged)?;
        let io = |source| WriteError::Io { file: place.to_owned(), source };
        let file = TempPath::try_from_path(&staged).map_err(io)?;
        self.staged.push(Staged { folder, file, place: place.to_owned() });
        Ok(())
    }

    /// Writes one file of these bytes, for now beside its place.
    pub(crate) fn stage_bytes(&mut self, place: &Path, secrecy: Secrecy, bytes: &[u8]) -> Result<(), WriteError> {
        self.stage(place, |path| write_atomically(path, Overwrite::Refuse, secrecy, |out| out.write_all(bytes)))
    }

    /// The files as they are staged, in the order that was kept.
    pub(crate) fn staged(&self) -> impl Iterator<Item = &Path> {
        self.staged.iter().map(|staged| &*staged.file)
    }

    /// Moves all files to their places, in the order they were staged. If one cannot go, those before it go too, unless
    /// they have replaced others.
    pub(crate) fn commit(self) -> Result<(), WriteError> {
        let mut placed: Vec<PathBuf> = Vec::new();
        for Staged { folder, file, place } in self.staged {
            let moved = match self.overwrite {
                Overwrite::Replace => file.persist(&place),
                Overwrite::Refuse => file.persist_noclobber(&place),
            };
            drop(folder);
            if let Err(error) = moved {
                if self.overwrite == Overwrite::Refuse {
                    // They were not there before, and are ours.
                    placed.iter().for_each(|path| drop(std::fs::remove_file(path)));
                }
                return Err(match error.error.kind() {
                    std::io::ErrorKind::AlreadyExists => WriteError::Exists { file: place },
                    _ => WriteError::Io { file: place, source: error.error },
                });
            }
            placed.push(place);
        }
        Ok(())
    }
}

fn stage_beside(place: &Path) -> Result<StagingFolder, WriteError> {
    StagingFolder::beside(place).map_err(|source| WriteError::Io { file: place.to_owned(), source })
}

/// Whether two paths lead to one file; one that is not there yet is told by its folder and name.
fn is_same_file(a: &Path, b: &Path) -> bool {
    let resolve = |path: &Path| {
        path.canonicalize().ok().or_else(|| Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?)))
    };
    matches!((resolve(a), resolve(b)), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn all_files_are_written_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        let write = |overwrite| {
            let mut files = Together::new(overwrite);
            files.stage_bytes(&a, Secrecy::Secret, b"new").unwrap();
            files.stage_bytes(&b, Secrecy::Public, b"new").unwrap();
            files.commit()
        };
        std::fs::write(&b, "old").unwrap();
        assert!(matches!(write(Overwrite::Refuse), Err(WriteError::Exists { file }) if file == b));
        assert_eq!(listing(folder.path()), ["b"]);
        assert_eq!(std::fs::read_to_string(&b).unwrap(), "old");
        write(Overwrite::Replace).unwrap();
        assert_eq!(listing(folder.path()), ["a", "b"]);
        assert_eq!([&a, &b].map(|path| std::fs::read_to_string(path).unwrap()), ["new", "new"]);
    }

    #[test]
    fn a_file_is_the_same_whatever_leads_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let a = folder.path().join("a");
        let roundabout = folder.path().join(".").join("a");
        assert!(is_same_file(&a, &roundabout)); // not there yet
        std::fs::write(&a, "").unwrap();
        assert!(is_same_file(&a, &roundabout));
        assert!(!is_same_file(&a, &folder.path().join("b")));
    }
}
