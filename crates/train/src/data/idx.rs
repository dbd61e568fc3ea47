//! IDX files: MNIST, Fashion-MNIST, KMNIST, EMNIST and whatever else is kept like them.
//!
//! A file is a magic number 00 00 08 RANK (08: bytes), RANK big-endian u32 dimensions, then the bytes; images have rank
//! 3 [n, height, width], labels rank 1 [n]. Files may be gzip-compressed. Source: Y. LeCun, C. Cortes, C. Burges, *The
//! MNIST database*, "file formats". Own code, since the crates for it take the declared sizes on trust.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use counterfoil_ticket::ImageShape;

use super::files::{Listing, io_error, open_maybe_gzip};
use super::{DataError, MAX_SIDE, MAX_SPLIT_BYTES, Parts, Split};

/// The four files of one data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IdxFiles {
    train: Pair,
    test: Pair,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair {
    images: PathBuf,
    labels: PathBuf,
}

/// The prefixes of the data sets whose training images are in the folder: empty for MNIST's names, `emnist-letters-`
/// for `emnist-letters-train-images-idx3-ubyte.gz`.
pub(super) fn prefixes(listing: &Listing) -> BTreeSet<String> {
    // A file may be there both compressed and not.
    listing.files.iter().filter_map(|name| prefix(name)).map(str::to_owned).collect()
}

/// The prefix if this is a name for training images.
pub(super) fn prefix(name: &str) -> Option<&str> {
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    ["train-images-idx3-ubyte", "train-images.idx3-ubyte"].iter().find_map(|ending| stem.strip_suffix(ending))
}

impl IdxFiles {
    /// Finds the four files with this prefix. Of a file and its compressed copy, the uncompressed one is taken.
    pub(super) fn find(listing: &Listing, prefix: &str) -> Result<Self, DataError> {
        let file = |parts: &[&str], kind: &str| {
            let names = |part: &&str| {
                let stem = format!("{prefix}{part}");
                let spellings = [("-", ""), (".", ""), ("-", ".gz"), (".", ".gz")];
                spellings.map(|(separator, ending)| format!("{stem}-{}-ubyte{ending}", kind.replace(' ', separator)))
            };
            let names: Vec<String> = parts.iter().flat_map(names).collect();
            let missing = || DataError::Missing { folder: listing.folder.clone(), expected: names[0].clone() };
            let found = names.iter().find(|name| listing.has_file(name)).ok_or_else(missing)?;
            Ok::<_, DataError>(listing.folder.join(found))
        };
        let pair = |parts: &[&str]| {
            Ok::<_, DataError>(Pair { images: file(parts, "images idx3")?, labels: file(parts, "labels idx1")? })
        };
        // EMNIST says test where MNIST says t10k.
        Ok(Self { train: pair(&["train"])?, test: pair(&["t10k", "test"])? })
    }
}

/// Reads the data set. Classes are 0 to the largest label of the training images.
pub(super) fn load(files: &IdxFiles) -> Result<Parts, DataError> {
    let train = split(&files.train)?;
    let classes = train.labels().iter().max().map_or(0, |&largest| largest + 1);
    if classes < 2 {
        return Err(DataError::TooFewClasses { file: files.train.labels.clone(), found: classes as usize });
    }
    let test = split(&files.test)?;
    if test.shape() != train.shape() {
        let file = files.test.images.clone();
        return Err(DataError::MixedSizes { file, found: test.shape(), expected: train.shape() });
    }
    if let Some((index, &found)) = test.labels().iter().enumerate().find(|&(_, &label)| label >= classes) {
        return Err(DataError::LabelOutOfRange { file: files.test.labels.clone(), index, found, classes });
    }
    let class_names = (0..classes).map(|class| class.to_string()).collect();
    Ok(Parts { train, test, class_names, normalisation: None })
}

fn split(files: &Pair) -> Result<Split, DataError> {
    let ([count, height, width], images) = read(&files.images)?;
    let ([labelled], labels) = read(&files.labels)?;
    if labelled != count {
        let file = files.labels.clone();
        return Err(DataError::CountMismatch { file, found: labelled.into(), expected: count.into() });
    }
    let labels = labels.into_iter().map(u32::from).collect();
    let shape = ImageShape { channels: 1, height, width };
    Ok(Split::new(images, labels, shape).expect("both files hold what they declare, and equally many"))
}

/// Dimensions and bytes of an IDX file of the given rank. Nothing is allocated from a declared size.
fn read<const RANK: usize>(file: &Path) -> Result<([u32; RANK], Vec<u8>), DataError> {
    let mut reader = open_maybe_gzip(file)?;
    let mut take = |bytes: u64| {
        let mut taken = Vec::new();
        reader.by_ref().take(bytes).read_to_end(&mut taken).map_err(io_error(file))?;
        Ok::<_, DataError>(taken)
    };
    let header_bytes = 4 + 4 * RANK as u64;
    let header = take(header_bytes)?;
    let expected = [0, 0, 8, RANK as u8];
    if let Some(&found) = header.first_chunk().filter(|&&found| found != expected) {
        return Err(DataError::WrongMagic { file: file.to_owned(), found, expected });
    }
    if header.len() as u64 != header_bytes {
        return Err(DataError::Truncated { file: file.to_owned(), found: header.len() as u64, expected: header_bytes });
    }
    let (words, _) = header[4..].as_chunks::<4>();
    let dimensions: [u32; RANK] = std::array::from_fn(|axis| u32::from_be_bytes(words[axis]));
    let declared = declared_bytes(file, &dimensions)?;

    let bytes = take(declared + 1)?;
    let found = bytes.len() as u64;
    if found > declared {
        return Err(DataError::Surplus { file: file.to_owned(), expected: header_bytes + declared });
    }
    if found < declared {
        let (found, expected) = (header_bytes + found, header_bytes + declared);
        return Err(DataError::Truncated { file: file.to_owned(), found, expected });
    }
    Ok((dimensions, bytes))
}

/// Number of bytes after the header; refuses absurd dimensions.
fn declared_bytes(file: &Path, dimensions: &[u32]) -> Result<u64, DataError> {
    let count = dimensions[0];
    let (height, width) = match dimensions {
        [_, height, width] => (*height, *width),
        _ => (1, 1),
    };
    let sides = 1..=MAX_SIDE;
    if count == 0 || !sides.contains(&height) || !sides.contains(&width) {
        return Err(DataError::Extent { file: file.to_owned(), count, width, height, limit: MAX_SIDE });
    }
    // At most 2^32 · 2^14 · 2^14.
    let declared = u64::from(count) * u64::from(height) * u64::from(width);
    if declared > MAX_SPLIT_BYTES {
        return Err(DataError::TooLarge { file: file.to_owned(), found: declared, limit: MAX_SPLIT_BYTES });
    }
    Ok(declared)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tempfile::TempDir;

    use super::*;

    const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
    const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
    const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
    const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

    fn idx(dimensions: &[u32], bytes: &[u8]) -> Vec<u8> {
        let header = [0, 0, 8, dimensions.len() as u8];
        header.into_iter().chain(dimensions.iter().flat_map(|d| d.to_be_bytes())).chain(bytes.iter().copied()).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Three training images of 2×2 pixels with the labels 0, 2, 1, and one test image with the label 1.
    fn mnist() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let pixels: Vec<u8> = (0..12).collect();
        for (name, content) in [
            (TRAIN_IMAGES, idx(&[3, 2, 2], &pixels)),
            (TRAIN_LABELS, idx(&[3], &[0, 2, 1])),
            (TEST_IMAGES, idx(&[1, 2, 2], &[9, 8, 7, 6])),
            (TEST_LABELS, idx(&[1], &[1])),
        ] {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    fn load_folder(folder: &TempDir) -> Result<Parts, DataError> {
        let listing = Listing::read(folder.path())?;
        load(&IdxFiles::find(&listing, prefixes(&listing).first().unwrap())?)
    }

    /// The error after one file was replaced.
    fn error_with(name: &str, content: &[u8]) -> DataError {
        let folder = mnist();
        fs::write(folder.path().join(name), content).unwrap();
        load_folder(&folder).expect_err("the file is damaged")
    }

    #[test]
    fn images_and_labels_are_read() {
        let data = load_folder(&mnist()).unwrap();
        assert_eq!(data.train.labels(), [0, 2, 1]);
        assert_eq!(data.train.image(1), [4, 5, 6, 7]);
        assert_eq!(<[u32; 3]>::from(data.train.shape()), [1, 2, 2]);
        assert_eq!(data.test.image(0), [9, 8, 7, 6]);
        assert_eq!(data.class_names, ["0", "1", "2"]);
    }

    #[test]
    fn dotted_compressed_and_prefixed_names_are_found() {
        let plain = load_folder(&mnist()).unwrap();
        for (from, to) in [("-idx", ".idx"), ("train", "emnist-letters-train")] {
            let folder = mnist();
            for name in [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS] {
                let old = folder.path().join(name);
                let test = if to.starts_with("emnist") { "emnist-letters-test" } else { "t10k" };
                let new = folder.path().join(format!("{}.gz", name.replace(from, to).replace("t10k", test)));
                fs::write(new, gzip(&fs::read(&old).unwrap())).unwrap();
                fs::remove_file(old).unwrap();
            }
            assert_eq!(load_folder(&folder).unwrap(), plain);
        }
    }

    #[test]
    fn the_uncompressed_file_is_preferred() {
        let folder = mnist();
        fs::write(folder.path().join(format!("{TRAIN_IMAGES}.gz")), "rubbish").unwrap();
        assert_eq!(prefixes(&Listing::read(folder.path()).unwrap()), BTreeSet::from([String::new()]));
        assert_eq!(load_folder(&folder).unwrap().train.len(), 3);
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = mnist();
        fs::remove_file(folder.path().join(TEST_LABELS)).unwrap();
        let error = load_folder(&folder).unwrap_err();
        assert!(matches!(&error, DataError::Missing { expected, .. } if expected == TEST_LABELS), "{error}");
    }

    #[test]
    fn another_magic_number_is_refused() {
        let error = error_with(TRAIN_IMAGES, &idx(&[3], &[0, 1, 2]));
        assert!(matches!(error, DataError::WrongMagic { found: [0, 0, 8, 1], expected: [0, 0, 8, 3], .. }), "{error}");
    }

    #[test]
    fn missing_bytes_are_refused_in_the_header_and_behind_it() {
        let whole = idx(&[3, 2, 2], &[0; 12]);
        for (held, wanted) in [(0, 16), (3, 16), (15, 16), (16, 28), (27, 28)] {
            for content in [whole[..held].to_vec(), gzip(&whole[..held])] {
                let error = error_with(TRAIN_IMAGES, &content);
                let DataError::Truncated { found, expected, .. } = error else { panic!("{error}") };
                assert_eq!((found, expected), (held as u64, wanted));
            }
        }
    }

    #[test]
    fn surplus_bytes_are_refused() {
        let long = idx(&[3, 2, 2], &[0; 13]);
        for content in [long.clone(), gzip(&long)] {
            let error = error_with(TRAIN_IMAGES, &content);
            assert!(matches!(error, DataError::Surplus { expected: 28, .. }), "{error}");
        }
    }

    #[test]
    fn damaged_compression_is_refused() {
        let mut content = gzip(&idx(&[3, 2, 2], &[5; 12]));
        let checksum = content.len() - 8;
        content[checksum] ^= 1;
        let error = error_with(TRAIN_IMAGES, &content);
        assert!(matches!(error, DataError::Io { .. }), "{error}");
    }

    #[test]
    fn absurd_dimensions_are_refused_before_anything_is_read() {
        for dimensions in [[0, 2, 2], [3, 0, 2], [3, 2, 16_385], [1, u32::MAX, 1]] {
            let error = error_with(TRAIN_IMAGES, &idx(&dimensions, &[0; 12]));
            assert!(matches!(error, DataError::Extent { limit: 16_384, .. }), "{error}");
        }
        for dimensions in [[u32::MAX, 16_384, 16_384], [u32::MAX, 1, 1]] {
            let error = error_with(TRAIN_IMAGES, &gzip(&idx(&dimensions, &[0; 12])));
            assert!(matches!(error, DataError::TooLarge { limit: MAX_SPLIT_BYTES, .. }), "{error}");
        }
    }

    #[test]
    fn a_bomb_is_read_no_further_than_it_declares() {
        let error = error_with(TRAIN_IMAGES, &gzip(&idx(&[3, 2, 2], &vec![0; 64 << 20])));
        assert!(matches!(error, DataError::Surplus { expected: 28, .. }), "{error}");
    }

    #[test]
    fn unpaired_labels_are_refused() {
        let error = error_with(TRAIN_LABELS, &idx(&[2], &[0, 1]));
        assert!(matches!(error, DataError::CountMismatch { found: 2, expected: 3, .. }), "{error}");
    }

    #[test]
    fn test_labels_beyond_the_training_labels_are_refused() {
        let error = error_with(TEST_LABELS, &idx(&[1], &[3]));
        assert!(matches!(error, DataError::LabelOutOfRange { index: 0, found: 3, classes: 3, .. }), "{error}");
    }

    #[test]
    fn a_single_class_is_refused() {
        let error = error_with(TRAIN_LABELS, &idx(&[3], &[0; 3]));
        assert!(matches!(error, DataError::TooFewClasses { found: 1, .. }), "{error}");
    }

    #[test]
    fn test_images_of_another_size_are_refused() {
        let error = error_with(TEST_IMAGES, &idx(&[1, 1, 4], &[0; 4]));
        assert!(matches!(error, DataError::MixedSizes { .. }), "{error}");
        assert!(error.to_string().ends_with("4x1 pixels, expected 2x2"), "{error}");
    }
}
