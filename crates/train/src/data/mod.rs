//! Data sets: labelled images as bytes, from an embedded set, CIFAR binary files, IDX files or image folders.
//!
//! A [`DataSource`] is what a user names; [`load`] turns it into a [`Dataset`]: two [`Split`]s in memory, the class
//! names, and how images enter a network: v / 255, normalised by channel. Everything is deterministic: the same
//! source, limits and seed give the same bytes in the same order, whatever the number of threads.
//!
//! Files are taken for hostile: nothing is allocated from a declared size, and nothing is padded or left out because
//! it is damaged. One format per file; no framework in any of them.

use counterfoil_ticket::{ImageShape, Normalisation};

mod augment;
mod cifar;
mod digits;
mod error;
mod files;
mod folder;
mod idx;
mod sample;
mod source;
mod trigger_folder;

pub use augment::{Augmentation, augment};
pub use error::DataError;
pub use sample::{below, shuffle};
pub use source::DataSource;
pub use trigger_folder::load_triggers;

use sample::{Part, chosen};
use source::{Layout, layout};

/// Bytes of pixels that a split may have. EMNIST ByClass, the largest public set of these formats, has 0.55 · 10⁹.
pub const MAX_SPLIT_BYTES: u64 = 2 << 30;
/// Pixels that one side of an image may have.
pub const MAX_SIDE: u32 = 16_384;

/// A data set in memory, and how it is to be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Training images.
    pub train: Split,
    /// Test images, of the same shape.
    pub test: Split,
    /// Number of classes; every label is below it.
    pub classes: u32,
    /// One name a class.
    pub class_names: Vec<String>,
    /// Normalisation of the channels: the published one for CIFAR-10, otherwise that of the training images loaded.
    pub normalisation: Normalisation,
    /// How training images are varied, if the user does not ask for something else.
    pub augmentation: Augmentation,
    /// `digits`, `cifar10`, `cifar100`, otherwise the last name of the path.
    pub name: String,
}

/// Labelled images of one shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// [n, channels, height, width].
    images: Vec<u8>,
    labels: Vec<u32>,
    shape: ImageShape,
}

impl Split {
    /// Images [n, channels, height, width] and their n labels; `None` if the sizes do not fit or n is 0 or above `u32`.
    pub fn new(images: Vec<u8>, labels: Vec<u32>, shape: ImageShape) -> Option<Self> {
        let size = labels.len().checked_mul(shape.size())?;
        let countable = u32::try_from(labels.len()).is_ok_and(|count| count > 0);
        (size == images.len() && countable).then_some(Self { images, labels, shape })
    }

    /// Number of images, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a split is never empty")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Shape of every image.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// All pixels, [n, channels, height, width].
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// All labels, one an image.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// One image, [channels, height, width]. Panics if there is no image of this index.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.shape.size();
        &self.images[index * size..(index + 1) * size]
    }

    /// At most `limit` images, drawn by seed, in their old order. Panics if `limit` is 0.
    pub fn limited(&self, limit: usize, seed: u64) -> Self {
        assert!(limit > 0, "a split is never empty");
        self.only(&chosen(self.len(), Some(limit), seed, Part::Train))
    }

    /// The images of these classes, under their old labels; `None` if there is none.
    pub fn of_classes(&self, is_wanted: impl Fn(u32) -> bool) -> Option<Self> {
        let indices: Vec<usize> = (0..self.len()).filter(|&index| is_wanted(self.labels[index])).collect();
        (!indices.is_empty()).then(|| self.only(&indices))
    }

    /// Mean and standard deviation of v / 255 in each channel; a channel of one value has the deviation 1.
    ///
    /// From integer sums, so the result does not depend on the order or the number of threads.
    pub fn normalisation(&self) -> Normalisation {
        let shape = self.shape;
        let plane = shape.height as usize * shape.width as usize;
        let count = self.len() as u128 * plane as u128;
        let mut sums = vec![(0u64, 0u64); shape.channels as usize];
        for (index, pixels) in self.images.chunks_exact(plane.max(1)).enumerate() {
            let (sum, squares) = &mut sums[index % shape.channels as usize];
            *sum += pixels.iter().map(|&v| u64::from(v)).sum::<u64>();
            *squares += pixels.iter().map(|&v| u64::from(v) * u64::from(v)).sum::<u64>();
        }
        let mean = |&(sum, _): &(u64, u64)| (sum as f64 / (count as f64 * 255.0)) as f32;
        let std = |&(sum, squares): &(u64, u64)| {
            // n² · variance, exactly.
            let spread = count * u128::from(squares) - u128::from(sum) * u128::from(sum);
            if spread == 0 { 1.0 } else { ((spread as f64).sqrt() / (count as f64 * 255.0)) as f32 }
        };
        Normalisation { mean: sums.iter().map(mean).collect(), std: sums.iter().map(std).collect() }
    }

    fn only(&self, indices: &[usize]) -> Self {
        Self {
            images: indices.iter().flat_map(|&index| self.image(index)).copied().collect(),
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
            shape: self.shape,
        }
    }
}

/// What part of a data set is loaded, and in which size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// At most so many training images, drawn by seed.
    pub limit: Option<usize>,
    /// At most so many test images, drawn by seed.
    pub limit_test: Option<usize>,
    /// Seed of the limits' draws; without limits it changes nothing.
    pub seed: u64,
    /// Width and height to which image files are scaled (bilinear, proportions not kept); image folders only.
    pub resize: Option<(u32, u32)>,
}

/// What a format's file gives before limits are applied.
#[derive(Debug, PartialEq)]
struct Parts {
    train: Split,
    test: Split,
    class_names: Vec<String>,
    /// `None`: that of the training images.
    normalisation: Option<Normalisation>,
}

/// Loads a data set.
pub fn load(source: &DataSource, options: &LoadOptions) -> Result<Dataset, DataError> {
    for (limit, part) in [(options.limit, "training"), (options.limit_test, "test")] {
        if limit == Some(0) {
            return Err(DataError::ZeroLimit { part });
        }
    }
    if let Some((width, height)) = options.resize
        && !((1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height))
    {
        return Err(DataError::ResizeExtent { width, height, limit: MAX_SIDE });
    }
    let fixed_size = |name: &str| match options.resize {
        Some(_) => Err(DataError::NotResizable { name: name.to_owned() }),
        None => Ok(name.to_owned()),
    };
    let (name, parts) = match source {
        DataSource::Digits => (fixed_size("digits")?, digits::load()),
        DataSource::Path(path) => {
            let path_name = path.file_name().map_or("images".into(), |name| name.to_string_lossy());
            match layout(path)? {
                Layout::Cifar { folder, variant } => (fixed_size(variant.name())?, cifar::load(&folder, variant)?),
                Layout::Idx(files) => (fixed_size(&path_name)?, idx::load(&files)?),
                Layout::Images(folders) => (path_name.into_owned(), folder::load(&folders, options)?),
            }
        }
    };
    // Image folders have applied the limits already, so as to decode no more than is kept.
    let limited = |split: Split, limit: Option<usize>, part| match limit {
        Some(limit) if limit < split.len() => split.only(&chosen(split.len(), Some(limit), options.seed, part)),
        _ => split,
    };
    let train = limited(parts.train, options.limit, Part::Train);
    let test = limited(parts.test, options.limit_test, Part::Test);
    Ok(Dataset {
        classes: u32::try_from(parts.class_names.len()).expect("class names are listed or stand in a file"),
        class_names: parts.class_names,
        normalisation: parts.normalisation.unwrap_or_else(|| train.normalisation()),
        augmentation: Augmentation::usual(train.shape()),
        train,
        test,
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: ImageShape = ImageShape { channels: 2, height: 1, width: 2 };

    #[test]
    fn images_of_some_classes_keep_their_labels_and_order() {
        let split = Split::new((0..16).collect(), vec![2, 0, 1, 2], PAIR).unwrap();
        let some = split.of_classes(|class| class == 2).unwrap();
        assert_eq!((some.labels(), some.image(0), some.image(1)), (&[2, 2][..], split.image(0), split.image(3)));
        assert_eq!(split.of_classes(|class| class > 2), None);
    }

    #[test]
    fn splits_whose_sizes_do_not_fit_are_refused() {
        for (pixels, labels) in [(0, 0), (7, 2), (8, 1), (4, 2)] {
            assert_eq!(Split::new(vec![0; pixels], vec![0; labels], PAIR), None, "{pixels} pixels, {labels} labels");
        }
    }

    #[test]
    fn normalisation_is_that_of_each_channel() {
        // Channel 0: 0, 255, 0, 255; channel 1: 51 throughout.
        let split = Split::new(vec![0, 255, 51, 51, 0, 255, 51, 51], vec![0, 1], PAIR).unwrap();
        let normalisation = split.normalisation();
        assert_eq!(normalisation.mean, [0.5, 0.2]);
        assert_eq!(normalisation.std, [0.5, 1.0]);
    }

    #[test]
    fn limits_draw_by_seed_and_keep_images_with_their_labels() {
        let whole = load(&DataSource::Digits, &LoadOptions::default()).unwrap();
        let options = LoadOptions { limit: Some(100), limit_test: Some(1), seed: 3, resize: None };
        let some = load(&DataSource::Digits, &options).unwrap();
        assert_eq!([some.train.len(), some.test.len()], [100, 1]);
        assert_eq!(some.train, whole.train.limited(100, 3));
        assert_ne!(some.train, whole.train.limited(100, 4));
        let mut rest = (0..whole.train.len()).map(|i| (whole.train.image(i), whole.train.labels()[i]));
        for i in 0..100 {
            let image = (some.train.image(i), some.train.labels()[i]);
            assert!(rest.any(|candidate| candidate == image), "image {i} is not in the whole, or not in its order");
        }
    }

    #[test]
    fn digits_are_ready_for_use() {
        let digits = load(&DataSource::Digits, &LoadOptions::default()).unwrap();
        assert_eq!((digits.name.as_str(), digits.classes, digits.class_names.len()), ("digits", 10, 10));
        assert_eq!(digits.augmentation, Augmentation::NONE);
        assert_eq!(digits.normalisation, digits.train.normalisation());
    }

    #[test]
    fn limits_above_the_size_change_nothing() {
        let options = LoadOptions { limit: Some(5000), limit_test: Some(400), seed: 9, resize: None };
        let limited = load(&DataSource::Digits, &options).unwrap();
        assert_eq!(limited, load(&DataSource::Digits, &LoadOptions::default()).unwrap());
    }

    #[test]
    fn senseless_options_are_refused() {
        let refused = |options| load(&DataSource::Digits, &options).unwrap_err().to_string();
        let none = LoadOptions { limit_test: Some(0), ..Default::default() };
        assert_eq!(refused(none), "a limit of 0 test images, expected at least 1");
        let flat = LoadOptions { resize: Some((32, 0)), ..Default::default() };
        assert_eq!(refused(flat), "resize to 32x0 pixels, expected sides from 1 to 16384");
        let resized = LoadOptions { resize: Some((32, 32)), ..Default::default() };
        assert_eq!(
            refused(resized),
            "digits: images of this data set cannot be resized, expected a folder of image files"
        );
    }
}
