//! Image folders: `train/CLASS/*.jpg` and `test/CLASS/*.png`, as torchvision's `ImageFolder` takes them.
//!
//! Classes are the subfolders of the training folder, sorted by name; test images carry the same labels. Files that do
//! not end in .jpg, .jpeg or .png are left out, as there. Images are decoded in parallel and kept in sorted order. They
//! get one channel if all that are loaded are grey, otherwise three; transparency is dropped.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use counterfoil_ticket::ImageShape;
use image::imageops::FilterType;
use image::{DynamicImage, ImageReader, Limits};
use rayon::prelude::*;

use super::files::{Listing, read_capped};
use super::sample::{Part, chosen};
use super::{DataError, LoadOptions, MAX_SIDE, MAX_SPLIT_BYTES, Parts, Split};

/// Bytes of one image file, and of one decoded image before it is resized.
const MAX_IMAGE_BYTES: u64 = 256 << 20;
const ENDINGS: [&str; 3] = ["jpg", "jpeg", "png"];
const TEST_FOLDERS: [&str; 2] = ["test", "val"];

/// The folders of training and of test images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageFolders {
    train: PathBuf,
    test: PathBuf,
}

impl ImageFolders {
    /// The two folders if there is one named `train`; `test` is preferred to `val`.
    pub(super) fn find(listing: &Listing) -> Result<Option<Self>, DataError> {
        if !listing.has_folder("train") {
            return Ok(None);
        }
        let missing = || DataError::Missing { folder: listing.folder.clone(), expected: TEST_FOLDERS[0].to_owned() };
        let test = TEST_FOLDERS.into_iter().find(|name| listing.has_folder(name)).ok_or_else(missing)?;
        Ok(Some(Self { train: listing.folder.join("train"), test: listing.folder.join(test) }))
    }
}

/// Reads the images that the limits leave.
pub(super) fn load(folders: &ImageFolders, options: &LoadOptions) -> Result<Parts, DataError> {
    let class_names = Listing::read(&folders.train)?.folders;
    if class_names.len() < 2 {
        return Err(DataError::TooFewClasses { file: folders.train.clone(), found: class_names.len() });
    }
    let known = |class: &String| class_names.binary_search(class).is_ok();
    if let Some(class) = Listing::read(&folders.test)?.folders.iter().find(|&class| !known(class)) {
        return Err(DataError::UnknownClass { folder: folders.test.join(class) });
    }
    let pick = |files: Vec<Labelled>, limit, part| -> Vec<Labelled> {
        let indices = chosen(files.len(), limit, options.seed, part);
        indices.into_iter().map(|index| files[index].clone()).collect()
    };
    let train = pick(images(&folders.train, &class_names)?, options.limit, Part::Train);
    let test = pick(images(&folders.test, &class_names)?, options.limit_test, Part::Test);

    let size = match options.resize {
        Some((width, height)) => Size { width, height },
        None => Size::of(&decode(&train[0].file)?),
    };
    for (folder, files) in [(&folders.train, &train), (&folders.test, &test)] {
        let found = files.len() as u64 * 3 * u64::from(size.width) * u64::from(size.height);
        if found > MAX_SPLIT_BYTES {
            return Err(DataError::TooLarge { file: folder.clone(), found, limit: MAX_SPLIT_BYTES });
        }
    }
    let fit = if options.resize.is_some() { Fit::Resize } else { Fit::Refuse };
    let decoded = [decode_all(&train, size, fit)?, decode_all(&test, size, fit)?];
    let grey = decoded.iter().flatten().all(|planes| matches!(planes, Planes::Grey(_)));
    let [train_images, test_images] = decoded.map(|images| join(images, if grey { 1 } else { 3 }));
    let shape = ImageShape { channels: if grey { 1 } else { 3 }, height: size.height, width: size.width };
    let split = |images, files: &[Labelled]| {
        let labels = files.iter().map(|labelled| labelled.label).collect();
        Split::new(images, labels, shape).expect("every file gave one image of this size")
    };
    Ok(Parts { train: split(train_images, &train), test: split(test_images, &test), class_names, normalisation: None })
}

/// An image file and the index of its class.
#[derive(Debug, Clone)]
struct Labelled {
    file: PathBuf,
    label: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    width: u32,
    height: u32,
}

impl Size {
    fn of(image: &DynamicImage) -> Self {
        Self { width: image.width(), height: image.height() }
    }

    fn shape(self) -> ImageShape {
        ImageShape { channels: 3, height: self.height, width: self.width }
    }
}

/// What happens to an image of another size.
#[derive(Debug, Clone, Copy)]
enum Fit {
    Refuse,
    Resize,
}

/// Pixels of one decoded image, plane by plane.
enum Planes {
    Grey(Vec<u8>),
    Colour(Vec<u8>),
}

/// All image files below the class folders, by class, then by name.
fn images(folder: &Path, class_names: &[String]) -> Result<Vec<Labelled>, DataError> {
    let mut found = Vec::new();
    for (class, label) in class_names.iter().zip(0..) {
        let class_folder = folder.join(class);
        if !class_folder.is_dir() {
            return Err(DataError::Missing { folder: folder.to_owned(), expected: class.clone() });
        }
        let listing = Listing::read(&class_folder)?;
        if let Some(deeper) = listing.folders.first() {
            return Err(DataError::FolderInClass { folder: class_folder.join(deeper) });
        }
        let before = found.len();
        let files = listing.files.iter().map(|name| class_folder.join(name)).filter(|file| is_image(file));
        found.extend(files.map(|file| Labelled { file, label }));
        if found.len() == before {
            return Err(DataError::EmptyClass { folder: class_folder });
        }
    }
    Ok(found)
}

pub(super) fn is_image(file: &Path) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}

/// Decodes in parallel; of several errors, the first in sorted order is returned.
fn decode_all(files: &[Labelled], size: Size, fit: Fit) -> Result<Vec<Planes>, DataError> {
    let decode = |labelled: &Labelled| {
        let image = decode(&labelled.file)?;
        let found = Size::of(&image);
        match fit {
            _ if found == size => Ok(planes(&image)),
            Fit::Resize => Ok(planes(&image.resize_exact(size.width, size.height, FilterType::Triangle))),
            Fit::Refuse => {
                let file = labelled.file.clone();
                Err(DataError::MixedSizes { file, found: found.shape(), expected: size.shape() })
            }
        }
    };
    let results: Vec<_> = files.par_iter().map(decode).collect();
    results.into_iter().collect()
}

pub(super) fn decode(file: &Path) -> Result<DynamicImage, DataError> {
    let bytes = read_capped(file, MAX_IMAGE_BYTES)?;
    let decoded =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(Into::into).and_then(|mut reader| {
            let mut limits = Limits::default();
            limits.max_image_width = Some(MAX_SIDE);
            limits.max_image_height = Some(MAX_SIDE);
            limits.max_alloc = Some(MAX_IMAGE_BYTES);
            reader.limits(limits);
            reader.decode()
        });
    decoded.map_err(|source| DataError::Undecodable { file: file.to_owned(), source: Box::new(source) })
}

fn planes(image: &DynamicImage) -> Planes {
    if !image.color().has_color() {
        return Planes::Grey(image.to_luma8().into_raw());
    }
    let pixels = image.to_rgb8().into_raw();
    Planes::Colour((0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3)).copied().collect())
}

/// [n, channels, height, width], grey images repeated where three channels are asked for.
fn join(images: Vec<Planes>, channels: usize) -> Vec<u8> {
    let mut joined = Vec::new();
    for image in images {
        match image {
            Planes::Grey(plane) => (0..channels).for_each(|_| joined.extend_from_slice(&plane)),
            Planes::Colour(planes) => joined.extend(planes),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::{ColorType, save_buffer};
    use tempfile::TempDir;

    use super::*;

    const RED: [u8; 3] = [200, 10, 20];
    const BLUE: [u8; 3] = [5, 6, 220];

    /// Writes an image of one colour; the name's ending says the format, one value means grey.
    fn paint(root: &TempDir, name: &str, [width, height]: [u32; 2], colour: &[u8]) {
        let file = root.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let pixels = colour.repeat((width * height) as usize);
        let kind = if colour.len() == 1 { ColorType::L8 } else { ColorType::Rgb8 };
        save_buffer(file, &pixels, width, height, kind).unwrap();
    }

    /// Two classes with one training image, 3 wide and 2 high, and one test image each.
    fn cats_and_dogs() -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for part in ["train", "test"] {
            paint(&root, &format!("{part}/dog/1.png"), [3, 2], &RED);
            paint(&root, &format!("{part}/cat/1.png"), [3, 2], &BLUE);
        }
        root
    }

    fn load_root(root: &TempDir, options: LoadOptions) -> Result<Parts, DataError> {
        load(&ImageFolders::find(&Listing::read(root.path())?)?.expect("there is a train folder"), &options)
    }

    fn error_of(root: &TempDir) -> DataError {
        load_root(root, LoadOptions::default()).expect_err("the folder is damaged")
    }

    #[test]
    fn classes_and_images_are_sorted_and_pixels_become_planes() {
        let root = cats_and_dogs();
        paint(&root, "train/cat/0.PNG", [3, 2], &RED);
        fs::write(root.path().join("train/cat/notes.txt"), "left out").unwrap();
        let data = load_root(&root, LoadOptions::default()).unwrap();
        assert_eq!(data.class_names, ["cat", "dog"]);
        assert_eq!(data.train.labels(), [0, 0, 1]);
        assert_eq!(<[u32; 3]>::from(data.train.shape()), [3, 2, 3]);
        assert_eq!(data.train.image(0), [[200; 6], [10; 6], [20; 6]].concat());
        assert_eq!(data.train.image(1), [[5; 6], [6; 6], [220; 6]].concat());
        assert_eq!(data.test.labels(), [0, 1]);
    }

    #[test]
    fn jpeg_images_are_read_whatever_they_are_called() {
        let root = cats_and_dogs();
        paint(&root, "train/dog/2.jpeg", [3, 2], &[128, 128, 128]);
        fs::rename(root.path().join("train/dog/2.jpeg"), root.path().join("train/dog/2.png")).unwrap();
        let data = load_root(&root, LoadOptions::default()).unwrap();
        // A single grey stays within 1 after quantisation.
        assert!(data.train.image(2).iter().all(|&v| v.abs_diff(128) <= 1), "{:?}", data.train.image(2));
    }

    #[test]
    fn one_channel_is_kept_only_if_all_images_are_grey() {
        let root = tempfile::tempdir().unwrap();
        for (name, grey) in [("train/a/1.png", 10), ("train/b/1.jpg", 20), ("val/a/1.png", 30), ("val/b/1.png", 40)] {
            paint(&root, name, [8, 8], &[grey]);
        }
        let data = load_root(&root, LoadOptions::default()).unwrap();
        assert_eq!(<[u32; 3]>::from(data.train.shape()), [1, 8, 8]);
        assert_eq!(data.train.image(0), [10; 64]);
        paint(&root, "val/b/1.png", [8, 8], &RED);
        let data = load_root(&root, LoadOptions::default()).unwrap();
        assert_eq!(<[u32; 3]>::from(data.train.shape()), [3, 8, 8]);
        assert_eq!(data.train.image(0), [10; 192]);
    }

    #[test]
    fn limits_decode_no_more_than_is_kept() {
        let root = cats_and_dogs();
        for image in 2..40 {
            paint(&root, &format!("train/cat/{image}.png"), [3, 2], &RED);
        }
        let options = LoadOptions { limit: Some(7), limit_test: Some(1), seed: 5, resize: None };
        let data = load_root(&root, options).unwrap();
        assert_eq!([data.train.len(), data.test.len()], [7, 1]);
        assert_eq!(load_root(&root, options).unwrap(), data);
    }

    #[test]
    fn images_of_another_size_are_refused_unless_resized() {
        let root = cats_and_dogs();
        paint(&root, "test/dog/2.png", [4, 4], &RED);
        let error = error_of(&root);
        assert!(error.to_string().ends_with("2.png: 4x4 pixels, expected 3x2"), "{error}");
        let resized = load_root(&root, LoadOptions { resize: Some((5, 4)), ..Default::default() }).unwrap();
        assert_eq!(<[u32; 3]>::from(resized.test.shape()), [3, 4, 5]);
        assert_eq!(resized.test.image(2), [[200; 20], [10; 20], [20; 20]].concat());
    }

    #[test]
    fn damaged_images_are_named_and_the_first_in_order_is_reported() {
        let root = cats_and_dogs();
        let whole = fs::read(root.path().join("train/dog/1.png")).unwrap();
        for content in [&whole[..whole.len() / 2], b"GIF89a", b""] {
            for name in ["train/dog/2.png", "train/dog/3.png"] {
                fs::write(root.path().join(name), content).unwrap();
            }
            let error = error_of(&root);
            let DataError::Undecodable { file, .. } = &error else { panic!("{error}") };
            assert_eq!(file, &root.path().join("train/dog/2.png"));
        }
    }

    #[test]
    fn an_image_that_declares_absurd_sides_is_refused() {
        let root = cats_and_dogs();
        let file = root.path().join("train/dog/1.png");
        let mut bytes = fs::read(&file).unwrap();
        // Width in the IHDR chunk; its checksum follows 13 bytes after the chunk's name.
        bytes[16..20].copy_from_slice(&20_000u32.to_be_bytes());
        let mut checksum = flate2::Crc::new();
        checksum.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.sum().to_be_bytes());
        fs::write(&file, bytes).unwrap();
        let DataError::Undecodable { source, .. } = error_of(&root) else { panic!("decoded") };
        assert!(source.to_string().contains("limit"), "{source}");
    }

    #[test]
    fn more_pixels_than_memory_should_hold_are_refused_before_decoding() {
        let options = LoadOptions { resize: Some((MAX_SIDE, MAX_SIDE)), ..Default::default() };
        let root = cats_and_dogs();
        paint(&root, "train/cat/2.png", [3, 2], &RED);
        let error = load_root(&root, options).unwrap_err();
        // Three images of three channels.
        assert!(matches!(error, DataError::TooLarge { found: 2_415_919_104, .. }), "{error}");
    }

    #[test]
    fn empty_missing_unknown_and_nested_classes_are_refused() {
        let root = cats_and_dogs();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("train/owl")).unwrap();
        assert!(matches!(error_of(&root), DataError::EmptyClass { folder } if folder == at("train/owl")));
        paint(&root, "train/owl/1.png", [3, 2], &RED);
        assert!(matches!(error_of(&root), DataError::Missing { expected, .. } if expected == "owl"));
        paint(&root, "test/owl/1.png", [3, 2], &RED);
        fs::create_dir(at("test/emu")).unwrap();
        assert!(matches!(error_of(&root), DataError::UnknownClass { folder } if folder == at("test/emu")));
        fs::remove_dir(at("test/emu")).unwrap();
        fs::create_dir(at("test/cat/deeper")).unwrap();
        assert!(matches!(error_of(&root), DataError::FolderInClass { folder } if folder == at("test/cat/deeper")));
    }

    #[test]
    fn a_single_class_is_refused() {
        let root = cats_and_dogs();
        fs::remove_dir_all(root.path().join("train/dog")).unwrap();
        assert!(matches!(error_of(&root), DataError::TooFewClasses { found: 1, .. }));
    }
}
