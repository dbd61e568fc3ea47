//! CIFAR-10 and CIFAR-100 in their binary versions.
//!
//! A file is a row of records without a header: the label (CIFAR-100: coarse, then fine label), one byte each, then
//! 3072 bytes, the red, green and blue planes of 32×32 pixels. Source: A. Krizhevsky 2009,
//! <https://www.cs.toronto.edu/~kriz/cifar.html>, "Binary version".

use std::path::{Path, PathBuf};

use counterfoil_ticket::{ImageShape, Normalisation};

use super::files::{Listing, read_capped};
use super::{DataError, MAX_SPLIT_BYTES, Parts, Split};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };
const PIXELS: usize = 3072;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    Cifar10,
    Cifar100,
}

impl Variant {
    /// The variants of which the folder holds at least one file.
    pub(super) fn recognise(listing: &Listing) -> Vec<Self> {
        let held = |variant: &Self| {
            let [train, test] = variant.files();
            train.iter().chain(test).any(|name| listing.has_file(name))
        };
        [Self::Cifar10, Self::Cifar100].into_iter().filter(held).collect()
    }

    /// The name of the data set.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
        }
    }

    /// Training files and test files.
    fn files(self) -> [&'static [&'static str]; 2] {
        match self {
            Self::Cifar10 => [
                &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
                &["test_batch.bin"],
            ],
            Self::Cifar100 => [&["train.bin"], &["test.bin"]],
        }
    }

    /// Bytes before the pixels of a record; the last of them is the label.
    fn label_bytes(self) -> usize {
        match self {
            Self::Cifar10 => 1,
            Self::Cifar100 => 2,
        }
    }

    fn class_names(self) -> &'static [&'static str] {
        match self {
            Self::Cifar10 => &CIFAR10_CLASSES,
            Self::Cifar100 => &CIFAR100_CLASSES,
        }
    }
}

/// Reads the data set from its folder. All of its files must be there, each with at least one record.
pub(super) fn load(folder: &Path, variant: Variant) -> Result<Parts, DataError> {
    let [train, test] = variant.files();
    Ok(Parts {
        train: split(folder, train, variant)?,
        test: split(folder, test, variant)?,
        class_names: variant.class_names().iter().map(|&name| name.to_owned()).collect(),
        normalisation: (variant == Variant::Cifar10).then(published_normalisation),
    })
}

/// Mean and standard deviation of the CIFAR-10 training images, as everybody rounds them.
fn published_normalisation() -> Normalisation {
    Normalisation { mean: vec![0.4914, 0.4822, 0.4465], std: vec![0.2470, 0.2435, 0.2616] }
}

fn split(folder: &Path, names: &[&str], variant: Variant) -> Result<Split, DataError> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for name in names {
        let file = folder.join(name);
        if !file.exists() {
            return Err(DataError::Missing { folder: folder.to_owned(), expected: (*name).to_owned() });
        }
        let bytes = read_capped(&file, MAX_SPLIT_BYTES / names.len() as u64)?;
        append(file, &bytes, variant, &mut images, &mut labels)?;
    }
    Ok(Split::new(images, labels, SHAPE).expect("a label and 3072 pixels were taken from every record"))
}

/// Appends the records of one file.
fn append(
    file: PathBuf,
    bytes: &[u8],
    variant: Variant,
    images: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> Result<(), DataError> {
    let label_bytes = variant.label_bytes();
    let record = label_bytes + PIXELS;
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        return Err(DataError::PartialRecord { file, found: bytes.len() as u64, record: record as u64 });
    }
    let classes = variant.class_names().len() as u32;
    images.reserve(bytes.len());
    for (index, record) in bytes.chunks_exact(record).enumerate() {
        let (head, pixels) = record.split_at(label_bytes);
        let label = u32::from(head[label_bytes - 1]);
        if label >= classes {
            return Err(DataError::LabelOutOfRange { file, index, found: label, classes });
        }
        labels.push(label);
        images.extend_from_slice(pixels);
    }
    Ok(())
}

/// `batches.meta.txt`.
const CIFAR10_CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// `fine_label_names.txt`.
#[rustfmt::skip]
const CIFAR100_CLASSES: [&str; 100] = [
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur",
    "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard",
    "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain",
    "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
    "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket",
    "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider",
    "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
    "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
];

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// A record whose planes are filled with `label`, `label` + 1 and `label` + 2.
    fn record(head: &[u8]) -> Vec<u8> {
        let label = head[head.len() - 1];
        let planes = (0..3).flat_map(|plane| [label.wrapping_add(plane); 1024]);
        head.iter().copied().chain(planes).collect()
    }

    /// One record a file: training labels 1, 2, 3, 4, 5, test label 9.
    fn cifar10() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for batch in 1..=5 {
            fs::write(folder.path().join(format!("data_batch_{batch}.bin")), record(&[batch])).unwrap();
        }
        fs::write(folder.path().join("test_batch.bin"), record(&[9])).unwrap();
        folder
    }

    #[test]
    fn batches_are_read_in_order_and_planes_stay_planes() {
        let folder = cifar10();
        let data = load(folder.path(), Variant::Cifar10).unwrap();
        assert_eq!(data.train.labels(), [1, 2, 3, 4, 5]);
        assert_eq!(data.test.labels(), [9]);
        let image = data.train.image(2);
        assert_eq!([image[0], image[1023], image[1024], image[2048], image[3071]], [3, 3, 4, 5, 5]);
        assert_eq!(data.class_names[9], "truck");
        assert_eq!(data.normalisation.unwrap().std, [0.2470, 0.2435, 0.2616]);
    }

    #[test]
    fn cifar100_is_labelled_by_its_fine_labels() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("train.bin"), [record(&[19, 11]), record(&[3, 99])].concat()).unwrap();
        fs::write(folder.path().join("test.bin"), record(&[4, 0])).unwrap();
        let data = load(folder.path(), Variant::Cifar100).unwrap();
        assert_eq!(data.train.labels(), [11, 99]);
        assert_eq!(data.train.image(1)[0], 99);
        assert_eq!([&data.class_names[0], &data.class_names[11], &data.class_names[99]], ["apple", "boy", "worm"]);
        assert_eq!(data.normalisation, None);
    }

    #[test]
    fn class_names_are_distinct_and_sorted() {
        for names in [&CIFAR10_CLASSES[..], &CIFAR100_CLASSES] {
            assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn a_missing_batch_is_named() {
        let folder = cifar10();
        fs::remove_file(folder.path().join("data_batch_4.bin")).unwrap();
        let error = load(folder.path(), Variant::Cifar10).unwrap_err();
        assert!(matches!(&error, DataError::Missing { expected, .. } if expected == "data_batch_4.bin"), "{error}");
    }

    #[test]
    fn empty_and_truncated_files_are_refused() {
        let folder = cifar10();
        let file = folder.path().join("data_batch_2.bin");
        for size in [0, 3072, 3074] {
            fs::write(&file, vec![0; size]).unwrap();
            let error = load(folder.path(), Variant::Cifar10).unwrap_err();
            let DataError::PartialRecord { file: named, found, record: 3073 } = &error else { panic!("{error}") };
            assert_eq!((named, *found), (&file, size as u64));
        }
    }

    #[test]
    fn a_label_above_the_classes_is_refused() {
        let folder = cifar10();
        fs::write(folder.path().join("test_batch.bin"), [record(&[9]), record(&[10])].concat()).unwrap();
        let error = load(folder.path(), Variant::Cifar10).unwrap_err();
        assert!(matches!(error, DataError::LabelOutOfRange { index: 1, found: 10, classes: 10, .. }), "{error}");
    }
}
