//! Where an output goes: to its path or, if that is a symbolic link to be written through, to what the link leads to.

use std::io;
use std::path::{Path, PathBuf};

use crate::{Overwrite, WriteError, folder_of};

/// Links that are followed before they are taken for a circle; Linux follows as many.
const MAX_LINKS: usize = 40;

/// Checks that a file can be written there, and gives the path that it is renamed to: the same, unless links lead
/// elsewhere. What a link leads to need not exist.
///
/// # Errors
///
/// It is there and not to be replaced, or no regular file can stand there.
pub fn place_of(path: &Path, overwrite: Overwrite) -> Result<PathBuf, WriteError> {
    let file = || path.to_owned();
    let ends_as_folder = path.as_os_str().as_encoded_bytes().last() == Some(&b'/');
    if path.file_name().is_none() || ends_as_folder {
        return Err(WriteError::NotAFile { file: file() });
    }
    let found = path.symlink_metadata().ok();
    let is_link = found.as_ref().is_some_and(std::fs::Metadata::is_symlink);
    let place = if is_link { end_of_link(path)? } else { file() };
    if found.as_ref().is_some_and(|found| !found.is_file() && !is_link) {
        return Err(WriteError::NotAFile { file: file() });
    }
    let folder = folder_of(&place);
    if !folder.is_dir() {
        return Err(WriteError::NoFolder { file: file(), folder: folder.to_owned() });
    }
    if overwrite == Overwrite::Refuse && found.is_some() {
        return Err(WriteError::Exists { file: file() });
    }
    Ok(place)
}

/// Whether two paths lead to one file; one that is not there yet is told by its folder and name.
pub fn is_same_file(a: &Path, b: &Path) -> bool {
    let resolve = |path: &Path| {
        let end = followed(path).ok()?;
        end.canonicalize().ok().or_else(|| Some(folder_of(&end).canonicalize().ok()?.join(end.file_name()?)))
    };
    matches!((resolve(a), resolve(b)), (Some(a), Some(b)) if a == b)
}

/// The regular file that a link leads to, or the place where there is none yet.
fn end_of_link(path: &Path) -> Result<PathBuf, WriteError> {
    let file = || path.to_owned();
    let io = |source| WriteError::Io { file: file(), source };
    match path.metadata() {
        Ok(found) => {
            let end = path.canonicalize();
            // A link to something open may show a path where it is not, as that of a file that was removed since.
            let Some(end) = end.as_ref().ok().filter(|_| found.is_file()) else {
                let target = end.or_else(|_| path.read_link()).map_err(io)?;
                return Err(WriteError::LeadsElsewhere { file: file(), target });
            };
            Ok(end.clone())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => followed(path).map_err(io),
        Err(error) => Err(io(error)),
    }
}

/// What is behind the last link of a chain.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut end = path.to_owned();
    for _ in 0..MAX_LINKS {
        match end.read_link() {
            Ok(next) => end = end.parent().unwrap_or(Path::new("")).join(next),
            // No link, or nothing there.
            Err(_) => return Ok(end),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_to_where_a_file_may_stand() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let real = folder.path().canonicalize().unwrap();
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("sub/a"), "").unwrap();
        symlink("sub/a", at("link")).unwrap();
        symlink("link", at("link to link")).unwrap();
        symlink("sub/b", at("dangling")).unwrap();
        symlink("missing/b", at("astray")).unwrap();
        symlink("sub", at("folder")).unwrap();
        symlink("/dev/null", at("device")).unwrap();
        symlink("circle", at("circle")).unwrap();
        let place = |name: &str, overwrite| place_of(&at(name), overwrite);
        for name in ["link", "link to link"] {
            assert_eq!(place(name, Overwrite::Replace).unwrap(), real.join("sub/a"));
            assert!(matches!(place(name, Overwrite::Refuse), Err(WriteError::Exists { .. })));
        }
        assert_eq!(place("dangling", Overwrite::Replace).unwrap(), at("sub/b"));
        assert!(matches!(place("dangling", Overwrite::Refuse), Err(WriteError::Exists { .. })));
        assert_eq!(place("new", Overwrite::Refuse).unwrap(), at("new"));
        assert!(
            matches!(place("astray", Overwrite::Replace), Err(WriteError::NoFolder { folder, .. }) if folder == at("missing"))
        );
        assert!(matches!(place("circle", Overwrite::Replace), Err(WriteError::Io { .. })));
        for (name, leads_to) in [("folder", real.join("sub")), ("device", "/dev/null".into())] {
            let error = place(name, Overwrite::Replace);
            assert!(
                matches!(&error, Err(WriteError::LeadsElsewhere { target, .. }) if *target == leads_to),
                "{error:?}"
            );
        }
        assert!(matches!(place("sub", Overwrite::Replace), Err(WriteError::NotAFile { .. })));
        assert!(matches!(place("a/", Overwrite::Replace), Err(WriteError::NotAFile { .. })));
    }

    #[test]
    fn a_file_is_the_same_whatever_leads_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let a = folder.path().join("a");
        let roundabout = folder.path().join(".").join("a");
        let link = folder.path().join("link");
        symlink("a", &link).unwrap();
        for _ in 0..2 {
            assert!(is_same_file(&a, &roundabout) && is_same_file(&a, &link));
            assert!(!is_same_file(&a, &folder.path().join("b")));
            fs::write(&a, "").unwrap(); // the second time it is there
        }
    }
}
