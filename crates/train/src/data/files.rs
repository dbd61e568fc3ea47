//! Reading files and folders of unknown origin: sizes are capped, order is fixed, special files are not opened.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::DataError;

/// The entries of a folder, sorted by name. Names that start with a dot are left out.
pub(super) struct Listing {
    /// The folder.
    pub(super) folder: PathBuf,
    /// Names of its files.
    pub(super) files: Vec<String>,
    /// Names of its subfolders.
    pub(super) folders: Vec<String>,
}

impl Listing {
    /// Lists `folder`; links count as what they lead to.
    pub(super) fn read(folder: &Path) -> Result<Self, DataError> {
        let mut listing = Self { folder: folder.to_owned(), files: Vec::new(), folders: Vec::new() };
        for entry in fs::read_dir(folder).map_err(io_error(folder))? {
            let path = entry.map_err(io_error(folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.ok_or_else(|| DataError::NameNotUtf8 { path: path.clone() })?.to_owned();
            if name.starts_with('.') {
                continue;
            }
            let is_folder = fs::metadata(&path).map_err(io_error(&path))?.is_dir();
            if is_folder { &mut listing.folders } else { &mut listing.files }.push(name);
        }
        listing.files.sort_unstable();
        listing.folders.sort_unstable();
        Ok(listing)
    }

    /// Whether there is a file of this name.
    pub(super) fn has_file(&self, name: &str) -> bool {
        self.files.binary_search_by(|file| file.as_str().cmp(name)).is_ok()
    }

    /// Whether there is a subfolder of this name.
    pub(super) fn has_folder(&self, name: &str) -> bool {
        self.folders.binary_search_by(|folder| folder.as_str().cmp(name)).is_ok()
    }
}

/// The whole of a file that is no larger than `limit` bytes.
pub(super) fn read_capped(file: &Path, limit: u64) -> Result<Vec<u8>, DataError> {
    let opened = regular_file(file)?;
    let size = opened.metadata().map_err(io_error(file))?.len();
    if size > limit {
        return Err(DataError::TooLarge { file: file.to_owned(), found: size, limit });
    }
    let mut bytes = Vec::new();
    // It may have grown since.
    opened.take(limit).read_to_end(&mut bytes).map_err(io_error(file))?;
    Ok(bytes)
}

/// Opens a file that may be gzip-compressed, which its content tells, not its name.
pub(super) fn open_maybe_gzip(file: &Path) -> Result<Box<dyn Read>, DataError> {
    let mut reader = BufReader::new(regular_file(file)?);
    let start = reader.fill_buf().map_err(io_error(file))?;
    if start.starts_with(&[0x1f, 0x8b]) { Ok(Box::new(MultiGzDecoder::new(reader))) } else { Ok(Box::new(reader)) }
}

/// Attaches the file's name to an input error.
pub(super) fn io_error(file: &Path) -> impl FnOnce(io::Error) -> DataError + use<> {
    let file = file.to_owned();
    move |source| DataError::Io { file, source }
}

/// Opening a pipe would wait for ever, and a device may never end.
fn regular_file(file: &Path) -> Result<File, DataError> {
    if !fs::metadata(file).map_err(io_error(file))?.is_file() {
        return Err(io_error(file)(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    File::open(file).map_err(io_error(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_sorted_and_without_hidden_entries() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b", "a", "C", ".hidden"] {
            fs::write(folder.path().join(name), "").unwrap();
            fs::create_dir(folder.path().join(format!("{name}.d"))).unwrap();
        }
        let listing = Listing::read(folder.path()).unwrap();
        assert_eq!(listing.files, ["C", "a", "b"]);
        assert_eq!(listing.folders, ["C.d", "a.d", "b.d"]);
        assert!(listing.has_file("a") && !listing.has_file("a.d") && listing.has_folder("a.d"));
    }

    #[test]
    fn a_file_at_the_limit_is_read_and_one_above_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, [7; 10]).unwrap();
        assert_eq!(read_capped(&file, 10).unwrap(), [7; 10]);
        let error = read_capped(&file, 9).unwrap_err();
        assert!(matches!(error, DataError::TooLarge { found: 10, limit: 9, .. }), "{error}");
    }

    #[test]
    fn a_folder_is_not_read_as_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = read_capped(folder.path(), 9).unwrap_err();
        let DataError::Io { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.to_string(), "not a regular file");
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_utf8_are_refused() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"a\xff")), "").unwrap();
        let error = Listing::read(folder.path()).err().unwrap();
        assert!(matches!(error, DataError::NameNotUtf8 { .. }), "{error}");
    }
}
