//! Outputs: checked before the work, and written all together or not at all.
//!
//! A command that makes several files stages each in a hidden folder beside its place, and moves them there when all
//! are complete. What can go wrong (a full disk, a model that contradicts itself) has gone wrong by then.

use std::path::{Path, PathBuf};

use counterfoil_ticket::{Overwrite, Secrecy, StagingFolder, WriteError, is_same_file, place_of, write_atomically};
use tempfile::TempPath;

use crate::Error;
use crate::secret::Passphrases;

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

const PROGRESS_FILE: &str = "the progress file";

/// What a log is to be, as messages say it.
pub(crate) const LOG: &str = "a file that the log is appended to";

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
    let passphrases = Passphrases::named_by_variables();
    let named: Vec<Named> = passphrases.iter().map(|file| ("a passphrase file", file.as_path())).collect();
    for (i, &(output, path)) in outputs.iter().enumerate() {
        for &(other, same) in inputs.iter().chain(&named).chain(&outputs[..i]) {
            if is_same_file(path, same) {
                return Err(Error::SameFile { file: path.to_owned(), one: other, other: output });
            }
        }
        let overwrite = if ours(path) { Overwrite::Replace } else { overwrite };
        stage_beside(path, &place_of(path, overwrite)?)?;
    }
    Ok(())
}

/// Checks the files that a run keeps beside its outputs: the progress file, which is replaced and removed, and the log,
/// which is appended to. Neither is one of the run's other files, or the other.
pub(crate) fn check_beside(progress: &Path, log: Option<&Path>, files: &[Named]) -> Result<(), Error> {
    check_apart(progress, PROGRESS_FILE, files)?;
    let Some(log) = log else { return Ok(()) };
    // Opening a pipe would wait for somebody to read from it.
    if log.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(Error::NotAFile { file: log.to_owned(), expected: LOG });
    }
    check_apart(log, "the log", files)?;
    check_apart(log, "the log", &[(PROGRESS_FILE, progress)])
}

fn check_apart(file: &Path, other: &'static str, files: &[Named]) -> Result<(), Error> {
    match files.iter().find(|(_, path)| is_same_file(file, path)) {
        Some(&(one, _)) => Err(Error::SameFile { file: file.to_owned(), one, other }),
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
    /// What was asked for; may be a link.
    output: PathBuf,
    /// Where it goes.
    place: PathBuf,
}

impl Together {
    pub(crate) fn new(overwrite: Overwrite) -> Self {
        Self { overwrite, staged: Vec::new() }
    }

    /// Writes one file, for now beside its place; `write` gets the path to write to.
    pub(crate) fn stage(
        &mut self,
        output: &Path,
        write: impl FnOnce(&Path) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let place = match self.overwrite {
            Overwrite::Replace => place_of(output, Overwrite::Replace)?,
            Overwrite::Refuse => output.to_owned(), // is not there, as the move will see
        };
        let folder = stage_beside(output, &place)?;
        let name = place.file_name().ok_or_else(|| WriteError::NotAFile { file: output.to_owned() })?;
        let staged = folder.path().join(name);
        write(&staged).map_err(|error| error.about(output))?;
        let file = TempPath::try_from_path(&staged).map_err(|source| io_error(output, source))?;
        self.staged.push(Staged { folder, file, output: output.to_owned(), place });
        Ok(())
    }

    /// Writes one file of these bytes, for now beside its place.
    pub(crate) fn stage_bytes(&mut self, place: &Path, secrecy: Secrecy, bytes: &[u8]) -> Result<(), WriteError> {
        self.stage(place, |path| write_atomically(path, Overwrite::Refuse, secrecy, |out| out.write_all(bytes)))
    }

    /// The outputs, and the files that are staged for them, in the order that was kept.
    pub(crate) fn staged(&self) -> impl Iterator<Item = (&Path, &Path)> {
        self.staged.iter().map(|staged| (&*staged.output, &*staged.file))
    }

    /// Moves all files to their places, in the order they were staged. If one cannot go, those before it go too, unless
    /// they have replaced others.
    pub(crate) fn commit(self) -> Result<(), WriteError> {
        let mut placed: Vec<PathBuf> = Vec::new();
        for Staged { folder, file, output, place } in self.staged {
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
                    std::io::ErrorKind::AlreadyExists => WriteError::Exists { file: output },
                    _ => io_error(&output, error.error),
                });
            }
            placed.push(place);
        }
        Ok(())
    }
}

fn stage_beside(output: &Path, place: &Path) -> Result<StagingFolder, WriteError> {
    StagingFolder::beside(place).map_err(|source| io_error(output, source))
}

fn io_error(output: &Path, source: std::io::Error) -> WriteError {
    WriteError::Io { file: output.to_owned(), source }
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
}
