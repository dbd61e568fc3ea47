//! Which data set a user means: `digits`, or a path, whose kind its content tells.

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::DataError;
use super::cifar::Variant;
use super::files::Listing;
use super::folder::ImageFolders;
use super::idx::{self, IdxFiles};

/// Archives unpack into a folder of their own, torchvision's into `MNIST/raw`: so many lone folders are entered.
const MAX_NESTING: usize = 3;

/// A data set by the name that a user gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataSource {
    /// The embedded handwritten digits.
    Digits,
    /// A folder of one of the known layouts, or the training-image file of an IDX data set.
    Path(PathBuf),
}

impl FromStr for DataSource {
    type Err = Infallible;

    /// `digits` is the embedded data set, anything else a path; a folder of that name is `./digits`.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "digits" { Self::Digits } else { Self::Path(text.into()) })
    }
}

impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digits => f.write_str("digits"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// What a path holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Cifar { folder: PathBuf, variant: Variant },
    Idx(IdxFiles),
    Images(ImageFolders),
}

/// Finds out what a path holds. A folder without a known layout but with just one subfolder stands for that one.
pub(super) fn layout(path: &Path) -> Result<Layout, DataError> {
    let unknown = || DataError::UnknownLayout { path: path.to_owned() };
    if path.is_file() {
        let name = path.file_name().and_then(|name| name.to_str());
        let prefix = name.and_then(idx::prefix).ok_or_else(unknown)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return Ok(Layout::Idx(IdxFiles::find(&Listing::read(folder)?, prefix)?));
    }
    let mut listing = Listing::read(path)?;
    for _ in 0..MAX_NESTING {
        if let Some(layout) = layout_of(&listing)? {
            return Ok(layout);
        }
        let [only] = &listing.folders[..] else { break };
        listing = Listing::read(&listing.folder.join(only))?;
    }
    layout_of(&listing)?.ok_or_else(unknown)
}

fn layout_of(listing: &Listing) -> Result<Option<Layout>, DataError> {
    let variants = Variant::recognise(listing);
    let prefixes = idx::prefixes(listing);
    let mut found: Vec<String> = variants.iter().map(|variant| variant.name().to_owned()).collect();
    found.extend(prefixes.iter().map(|prefix| format!("{prefix}train-images-idx3-ubyte")));
    found.extend(listing.has_folder("train").then(|| "train/CLASS".to_owned()));
    if found.len() > 1 {
        return Err(DataError::Ambiguous { folder: listing.folder.clone(), found });
    }
    if let Some(&variant) = variants.first() {
        return Ok(Some(Layout::Cifar { folder: listing.folder.clone(), variant }));
    }
    if let Some(prefix) = prefixes.first() {
        return Ok(Some(Layout::Idx(IdxFiles::find(listing, prefix)?)));
    }
    Ok(ImageFolders::find(listing)?.map(Layout::Images))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// A folder with these empty files and, where a name ends in `/`, folders.
    fn folder_with(names: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            if name.ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
        }
        folder
    }

    const MNIST: [&str; 4] = [
        "raw/train-images-idx3-ubyte",
        "raw/train-labels-idx1-ubyte",
        "raw/t10k-images-idx3-ubyte",
        "raw/t10k-labels-idx1-ubyte",
    ];

    #[test]
    fn only_the_word_digits_is_the_embedded_set() {
        for (text, source) in [
            ("digits", DataSource::Digits),
            ("./digits", DataSource::Path("./digits".into())),
            ("data/cifar", DataSource::Path("data/cifar".into())),
        ] {
            assert_eq!(text.parse(), Ok(source.clone()));
            assert_eq!(source.to_string(), text);
        }
    }

    #[test]
    fn cifar_is_found_in_the_folder_that_its_archive_makes() {
        for (name, variant) in [
            ("cifar-10-batches-bin/test_batch.bin", Variant::Cifar10),
            ("cifar-100-binary/train.bin", Variant::Cifar100),
        ] {
            let outer = folder_with(&[name, "archive.tar.gz"]);
            let folder = outer.path().join(name).parent().unwrap().to_owned();
            for given in [outer.path(), &folder] {
                assert_eq!(layout(given).unwrap(), Layout::Cifar { folder: folder.clone(), variant });
            }
        }
    }

    #[test]
    fn idx_files_are_found_by_folder_or_by_the_training_images() {
        let outer = folder_with(&MNIST);
        let by_folder = layout(outer.path()).unwrap();
        assert!(matches!(by_folder, Layout::Idx(_)), "{by_folder:?}");
        assert_eq!(layout(&outer.path().join(MNIST[0])).unwrap(), by_folder);
    }

    #[test]
    fn image_folders_are_found_with_either_name_for_the_test_images() {
        for test in ["test/", "val/"] {
            let outer = folder_with(&["train/cat/", test]);
            let found = layout(outer.path()).unwrap();
            assert!(matches!(found, Layout::Images(_)), "{found:?}");
        }
    }

    #[test]
    fn image_folders_without_test_images_are_refused() {
        let error = layout(folder_with(&["train/cat/"]).path()).unwrap_err();
        assert!(matches!(&error, DataError::Missing { expected, .. } if expected == "test"), "{error}");
    }

    #[test]
    fn several_data_sets_in_one_folder_are_refused_by_name() {
        let letters = "emnist-letters-train-images-idx3-ubyte";
        let outer = folder_with(&[letters, "train-images-idx3-ubyte.gz", "test_batch.bin", "train/"]);
        let DataError::Ambiguous { found, .. } = layout(outer.path()).unwrap_err() else { panic!("not ambiguous") };
        assert_eq!(found, ["cifar10", "train-images-idx3-ubyte", letters, "train/CLASS"]);
    }

    #[test]
    fn anything_else_is_unknown_and_named_as_given() {
        let lone = folder_with(&["a/b/c/d/test_batch.bin"]);
        let file = lone.path().join("a/b/c/d/test_batch.bin");
        let pair = folder_with(&["x/", "y/"]);
        for given in [pair.path(), lone.path(), &file] {
            let error = layout(given).unwrap_err();
            let DataError::UnknownLayout { path } = &error else { panic!("{error}") };
            assert_eq!(path, given);
        }
        let error = layout(Path::new("/does/not/exist")).unwrap_err();
        assert!(matches!(error, DataError::Io { .. }), "{error}");
    }
}
