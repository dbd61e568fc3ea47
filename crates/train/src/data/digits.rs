//! The embedded data set: 1797 real handwritten digits of 8×8 pixels, so that everything can be tried at once.
//!
//! Source: UCI Machine Learning Repository, *Optical Recognition of Handwritten Digits*, E. Alpaydin and C. Kaynak,
//! 1998, CC BY 4.0 (fixtures/digits). The rows are the test part of that data set; both our parts are drawn from them,
//! so the same writers occur in both.

use counterfoil_ticket::ImageShape;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Parts, Split, sample};

/// 64 values of 0..16, then the label, a line each; comment lines start with `#`.
const ROWS: &str = include_str!("../../../../fixtures/digits/digits.csv");
const SHAPE: ImageShape = ImageShape { channels: 1, height: 8, width: 8 };
/// The first rows of the shuffled order; the other 400 are test images.
const TRAIN: usize = 1397;
/// The split is the same for everybody, whatever seed training takes.
const SPLIT_SEED: u64 = 0;

/// All digits: 1397 for training, 400 for testing.
pub(super) fn load() -> Parts {
    let mut rows: Vec<([u8; 64], u32)> = ROWS.lines().filter(|line| !line.starts_with('#')).map(parse).collect();
    sample::shuffle(&mut rows, &mut ChaCha8Rng::seed_from_u64(SPLIT_SEED));
    let split = |rows: &[([u8; 64], u32)]| {
        let images = rows.iter().flat_map(|(pixels, _)| pixels).copied().collect();
        let labels = rows.iter().map(|&(_, label)| label).collect();
        Split::new(images, labels, SHAPE).expect("64 pixels and a label were taken from every row")
    };
    let (train, test) = rows.split_at(TRAIN);
    Parts {
        train: split(train),
        test: split(test),
        class_names: (0..10).map(|digit| digit.to_string()).collect(),
        normalisation: None,
    }
}

/// Pixels, scaled so that 16 is 255, and label of one row.
fn parse(line: &str) -> ([u8; 64], u32) {
    let mut values = line.split(',').map(|v| v.parse::<u32>().expect("the embedded rows hold small numbers only"));
    let mut value = || values.next().expect("every embedded row has 65 values");
    // v · 255 / 16, rounded half up.
    let pixels = std::array::from_fn(|_| u8::try_from((value() * 255 + 8) / 16).expect("embedded values are 0..16"));
    (pixels, value())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_counts(splits: &[&Split]) -> [usize; 10] {
        let labels = || splits.iter().flat_map(|split| split.labels());
        std::array::from_fn(|class| labels().filter(|&&label| label as usize == class).count())
    }

    #[test]
    fn the_classes_are_as_large_as_in_the_published_data() {
        let digits = load();
        assert_eq!([digits.train.len(), digits.test.len()], [1397, 400]);
        // Class distribution of optdigits.tes, from its optdigits.names.
        let published = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180];
        assert_eq!(class_counts(&[&digits.train, &digits.test]), published);
        assert!(class_counts(&[&digits.test]).iter().all(|&count| count >= 25));
    }

    #[test]
    fn values_are_scaled_from_16_to_255_and_rounded() {
        let first = ROWS.lines().nth(1).unwrap();
        let (pixels, label) = parse(first);
        assert_eq!(label, 0);
        assert_eq!(pixels[..8], [0, 0, 80, 207, 143, 16, 0, 0]); // from 0, 0, 5, 13, 9, 1, 0, 0
        assert_eq!(parse(&format!("16{}", ",8".repeat(64))).0[..2], [255, 128]);
    }

    /// Every figure measured on this data set would change with the split. The values were recomputed outside this crate
    /// from the rows, ChaCha8 and the definitions of [`sample`]; sums are CRC-32.
    #[test]
    fn the_split_never_changes() {
        let checksum = |bytes: &[u8]| {
            let mut crc = flate2::Crc::new();
            crc.update(bytes);
            crc.sum()
        };
        let digits = load();
        for (split, first, sum) in [
            (digits.train, [5, 9, 0, 0, 0, 6, 9, 9], 0xbba7_bc48),
            (digits.test, [0, 0, 9, 2, 8, 6, 6, 7], 0x2a08_1869),
        ] {
            assert_eq!(split.labels()[..8], first);
            assert_eq!(checksum(split.images()), sum);
        }
    }
}
