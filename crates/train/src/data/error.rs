//! What can be wrong with a data set: one variant a defect, each naming the file or folder.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use counterfoil_ticket::ImageShape;

/// Why a data set could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file or folder is absent or unreadable, or its compression is damaged.
    #[error("{file}: cannot be read")]
    Io {
        /// What was to be read.
        file: PathBuf,
        /// The operating system's, or the decompressor's, reason.
        #[source]
        source: io::Error,
    },
    /// Names become class names, and order the images; two of them must never look the same.
    #[error("{path}: the name is not UTF-8")]
    NameNotUtf8 {
        /// The entry, unprintable bytes replaced.
        path: PathBuf,
    },
    /// No known layout fits the names in the folder.
    #[error("{path}: expected CIFAR binary files, IDX files, or image folders train/CLASS and test/CLASS")]
    UnknownLayout {
        /// The path that was given.
        path: PathBuf,
    },
    /// Which of them is meant cannot be told.
    #[error("{folder}: holds several data sets ({}), expected one", .found.join(", "))]
    Ambiguous {
        /// The folder.
        folder: PathBuf,
        /// What was recognised in it.
        found: Vec<String>,
    },
    /// The layout is known, but one of its files or folders is absent.
    #[error("{folder}: '{expected}' is missing")]
    Missing {
        /// Where it should be.
        folder: PathBuf,
        /// Its name.
        expected: String,
    },
    /// More than this crate takes into memory.
    #[error("{file}: {found} bytes of data, expected at most {limit}")]
    TooLarge {
        /// The file, or the folder of images.
        file: PathBuf,
        /// Bytes declared or found.
        found: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The file is of another kind than its name says.
    #[error("{file}: starts with {found:02x?}, expected {expected:02x?}")]
    WrongMagic {
        /// The file.
        file: PathBuf,
        /// Its first bytes.
        found: [u8; 4],
        /// What an IDX file of this rank starts with.
        expected: [u8; 4],
    },
    /// Bytes are missing. Never padded: a missing pixel is not a black one.
    #[error("{file}: holds {found} bytes, expected {expected}")]
    Truncated {
        /// The file.
        file: PathBuf,
        /// Bytes after decompression.
        found: u64,
        /// Bytes that the header takes or declares.
        expected: u64,
    },
    /// The file goes on after its declared end.
    #[error("{file}: holds more than the {expected} bytes that its header declares")]
    Surplus {
        /// The file.
        file: PathBuf,
        /// Bytes that the header declares.
        expected: u64,
    },
    /// A file of fixed-size records ends within one, or has none.
    #[error("{file}: holds {found} bytes, expected a positive multiple of {record}")]
    PartialRecord {
        /// The file.
        file: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// Size of one record in bytes.
        record: u64,
    },
    /// There are as many labels as images, but of others.
    #[error("{file}: has no label for '{}', expected one for each image", image.file_name().unwrap_or_default().display())]
    NoLabel {
        /// The label file.
        file: PathBuf,
        /// The image.
        image: PathBuf,
    },
    /// Images and labels are not paired.
    #[error("{file}: holds {found} labels, expected {expected}, one for each image")]
    CountMismatch {
        /// The label file.
        file: PathBuf,
        /// Its number of labels.
        found: u64,
        /// Number of images.
        expected: u64,
    },
    /// A label that names no class.
    #[error("{file}: label {index} is {found}, expected less than {classes}")]
    LabelOutOfRange {
        /// The label file.
        file: PathBuf,
        /// Index of the label, from 0.
        index: usize,
        /// The label.
        found: u32,
        /// Number of classes.
        classes: u32,
    },
    /// A line of a label file of triggers that is no label.
    #[error("{file}: line {line} is {found}, expected a label, or an image's name and its label, none twice")]
    LabelLine {
        /// The label file.
        file: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What it says.
        found: String,
    },
    /// Which of them is meant cannot be told.
    #[error("{folder}: holds several label files ({}), expected one", .found.join(", "))]
    SeveralLabelFiles {
        /// The folder of triggers.
        folder: PathBuf,
        /// Their names.
        found: Vec<String>,
    },
    /// Nothing can be classified.
    #[error("{file}: {found} classes, expected at least 2")]
    TooFewClasses {
        /// The label file or the training folder.
        file: PathBuf,
        /// Number of classes.
        found: usize,
    },
    /// Images of no or of absurd extent.
    #[error("{file}: {count} images of {width}x{height} pixels, expected some, with sides from 1 to {limit}")]
    Extent {
        /// The file.
        file: PathBuf,
        /// Declared number of images.
        count: u32,
        /// Declared width.
        width: u32,
        /// Declared height.
        height: u32,
        /// Largest side allowed.
        limit: u32,
    },
    /// One image differs in size from the first, or the test images from the training images.
    #[error("{file}: {}x{} pixels, expected {}x{}", .found.width, .found.height, .expected.width, .expected.height)]
    MixedSizes {
        /// The file.
        file: PathBuf,
        /// Its shape.
        found: ImageShape,
        /// Shape of the first training image.
        expected: ImageShape,
    },
    /// Not a JPEG or PNG image, a damaged one, or one above the limits.
    #[error("{file}: cannot be decoded as JPEG or PNG")]
    Undecodable {
        /// The file.
        file: PathBuf,
        /// The decoder's reason.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A class without images.
    #[error("{folder}: holds no .jpg, .jpeg or .png file, expected at least one")]
    EmptyClass {
        /// The class folder.
        folder: PathBuf,
    },
    /// Images of a class are not looked for in deeper folders.
    #[error("{folder}: a folder, expected images only")]
    FolderInClass {
        /// The folder.
        folder: PathBuf,
    },
    /// Labels are the sorted class names of the training images, so the test images can have no others.
    #[error("{folder}: a class that the training images do not have")]
    UnknownClass {
        /// The class folder among the test images.
        folder: PathBuf,
    },
    /// Sizes are changed only while image files are decoded.
    #[error("{name}: images of this data set cannot be resized, expected a folder of image files")]
    NotResizable {
        /// Name of the data set.
        name: String,
    },
    /// A size to which nothing can be resized.
    #[error("resize to {width}x{height} pixels, expected sides from 1 to {limit}")]
    ResizeExtent {
        /// Width asked for.
        width: u32,
        /// Height asked for.
        height: u32,
        /// Largest side allowed.
        limit: u32,
    },
    /// A limit that leaves nothing.
    #[error("a limit of 0 {part} images, expected at least 1")]
    ZeroLimit {
        /// `training` or `test`.
        part: &'static str,
    },
}
