//! Triggers: images and labels that follow from a seed, for suspects that only answer queries.
//!
//! Implements "Triggers" of docs/protocol.md. Labels are exactly uniform over the classes and independent of the
//! images, so that a model with no knowledge of the seed hits each with chance 1/C, however biased it is.

use counterfoil_claim::{PublicKey, Seed};
use counterfoil_ticket::ImageShape;

use crate::stream::{KeyStream, derive};

/// Cells of an image along each side; a cell is drawn as one block of pixels.
const CELLS: usize = 8;

/// Most bytes that the images of one set may take: 1 GiB. Checked before anything is allocated.
pub const MAX_TRIGGER_BYTES: u64 = 1 << 30;

/// Evidence in bits of the usual number of triggers, if all are hits: half of it is more than the default threshold, for
/// those that are not learned or are worn down. More triggers cost accuracy (docs/results.md).
const USUAL_BITS: f64 = 132.0;

/// Triggers of the public panel, and of all sealed ones together, unless a claim says otherwise: the least n with
/// C^n ≥ 2^132. With the key alone a verifier asks just as many. Fewer classes than two, which
/// [`TriggerSet::derive`] refuses, count as two.
pub fn usual_triggers(classes: u32) -> u32 {
    (USUAL_BITS / f64::from(classes.max(2)).log2()).ceil() as u32
}

/// Why no triggers can be derived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TriggerError {
    /// With one class every answer is a hit.
    #[error("triggers for {found} classes, expected at least 2")]
    Classes {
        /// Number of classes asked for.
        found: u32,
    },
    /// More than [`MAX_TRIGGER_BYTES`], or an image without pixels.
    #[error(
        "{count} trigger images of {channels}x{height}x{width} bytes, expected 1 to {MAX_TRIGGER_BYTES} bytes in all"
    )]
    Size {
        /// Number of images asked for.
        count: u32,
        /// Colour channels of an image.
        channels: u32,
        /// Rows of an image.
        height: u32,
        /// Columns of an image.
        width: u32,
    },
}

/// The triggers of one panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerSet {
    /// Pixels, `[n, channels, height, width]`, to enter the model as v / 255 under its normalisation.
    pub images: Vec<u8>,
    /// Labels, `[n]`, each below `classes`.
    pub labels: Vec<u32>,
    /// Shape of one image.
    pub shape: ImageShape,
    /// Number of classes, at least 2.
    pub classes: u32,
}

impl TriggerSet {
    /// The first `count` triggers of the panel with this seed.
    pub fn derive(
        seed: &Seed,
        pk: &PublicKey,
        shape: ImageShape,
        classes: u32,
        count: u32,
    ) -> Result<Self, TriggerError> {
        if classes < 2 {
            return Err(TriggerError::Classes { found: classes });
        }
        check_size(shape, count)?;
        let key_images = derive(seed.as_bytes(), pk.bytes(), &[b"counterfoil/v1 trigger images"]);
        let key_labels =
            derive(seed.as_bytes(), pk.bytes(), &[b"counterfoil/v1 trigger labels", &classes.to_be_bytes()]);
        let images = images(KeyStream::new(&key_images), shape, count);
        let labels = labels(KeyStream::new(&key_labels), classes, count);
        Ok(Self { images, labels, shape, classes })
    }

    /// Number of triggers.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no triggers.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Pixels of trigger `t`, `[channels, height, width]`. Panics if there is no such trigger.
    pub fn image(&self, t: usize) -> &[u8] {
        &self.images[t * self.shape.size()..][..self.shape.size()]
    }
}

/// Both the pixels and the cells they come from must be within [`MAX_TRIGGER_BYTES`].
fn check_size(shape: ImageShape, count: u32) -> Result<(), TriggerError> {
    let ImageShape { channels, height, width } = shape;
    let (cells, pixels) = ((CELLS * CELLS) as u64, u64::from(height).checked_mul(u64::from(width)));
    let bytes = pixels
        .filter(|&pixels| pixels > 0 && channels > 0)
        .and_then(|pixels| pixels.max(cells).checked_mul(u64::from(channels)))
        .and_then(|bytes| bytes.checked_mul(u64::from(count)));
    match bytes {
        Some(bytes) if bytes <= MAX_TRIGGER_BYTES => Ok(()),
        _ => Err(TriggerError::Size { count, channels, height, width }),
    }
}

/// Pixels of `count` images: each plane is 8 × 8 cells, stretched to the image's size.
fn images(mut stream: KeyStream, shape: ImageShape, count: u32) -> Vec<u8> {
    let (height, width) = (shape.height as usize, shape.width as usize);
    let mut images = Vec::with_capacity(count as usize * shape.size());
    for _ in 0..u64::from(count) * u64::from(shape.channels) {
        let mut cells = [[0; CELLS]; CELLS];
        cells.as_flattened_mut().iter_mut().for_each(|cell| *cell = stream.byte());
        for y in 0..height {
            let row = &cells[CELLS * y / height];
            images.extend((0..width).map(|x| row[CELLS * x / width]));
        }
    }
    images
}

/// `count` labels below `classes`, by rejection: words beyond the largest multiple of `classes` are skipped.
fn labels(mut stream: KeyStream, classes: u32, count: u32) -> Vec<u32> {
    let limit = (1u64 << 32) / u64::from(classes) * u64::from(classes);
    let mut label = || {
        loop {
            let word = stream.word();
            if u64::from(word) < limit {
                return word % classes;
            }
        }
    };
    (0..count).map(|_| label()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewer_classes_the_more_triggers() {
        for (classes, triggers) in [(2, 132), (4, 66), (8, 44), (10, 40), (16, 33), (100, 20), (1000, 14)] {
            assert_eq!(usual_triggers(classes), triggers, "{classes} classes");
        }
    }

    const PLAIN: ImageShape = ImageShape { channels: 1, height: 8, width: 8 };

    #[test]
    fn empty_and_oversized_images_are_refused_before_allocating() {
        let huge = ImageShape { channels: u32::MAX, height: u32::MAX, width: u32::MAX };
        for (shape, count) in [(huge, u32::MAX), (huge, 1), (PLAIN, u32::MAX), (ImageShape { width: 0, ..PLAIN }, 1)] {
            let ImageShape { channels, height, width } = shape;
            assert_eq!(check_size(shape, count), Err(TriggerError::Size { count, channels, height, width }));
        }
        assert_eq!(check_size(PLAIN, 1 << 24), Ok(()));
    }

    #[test]
    fn labels_stay_below_the_number_of_classes_and_reach_all_of_them() {
        for classes in [2, 3, 10] {
            let labels = labels(KeyStream::new(&[7; 32]), classes, 500);
            assert_eq!(labels.len(), 500);
            let mut seen = vec![false; classes as usize];
            labels.iter().for_each(|&label| seen[label as usize] = true);
            assert!(seen.iter().all(|&seen| seen), "{classes} classes");
        }
    }

    /// 2³² mod (2³¹ + 1) = 2³¹ − 1: about half of the words are beyond the limit, and none of them is a label.
    #[test]
    fn words_beyond_the_last_multiple_are_skipped() {
        let classes = (1 << 31) + 1;
        let labels = labels(KeyStream::new(&[1; 32]), classes, 200);
        let mut stream = KeyStream::new(&[1; 32]);
        let kept: Vec<u32> = std::iter::repeat_with(|| stream.word()).filter(|&w| w < classes).take(200).collect();
        assert_eq!(labels, kept);
    }

    #[test]
    fn cells_stretch_over_larger_and_smaller_images() {
        let plane = images(KeyStream::new(&[3; 32]), PLAIN, 1);
        let doubled = images(KeyStream::new(&[3; 32]), ImageShape { channels: 1, height: 16, width: 16 }, 1);
        let thin = images(KeyStream::new(&[3; 32]), ImageShape { channels: 1, height: 1, width: 3 }, 1);
        assert!((0..256).all(|i| doubled[i] == plane[i / 32 * 8 + i % 16 / 2]));
        assert_eq!(thin, [plane[0], plane[2], plane[5]]);
    }
}
