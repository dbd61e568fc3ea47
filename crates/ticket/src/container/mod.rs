//! Containers: one file format each, behind one trait, told apart by their content and never by their name.
//!
//! A container lists its tensors as they are named in the file and hands out their bytes one at a time. What the names
//! mean is [`crate::names`]' business, what the bytes mean [`crate::dtype`]'s.

mod pytorch;
mod safetensors;

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

pub use pytorch::{MAX_EXPANSION, MAX_TENSOR};
pub use safetensors::MAX_HEADER;
pub(crate) use safetensors::{Data, Record, write};

use crate::{Dtype, ReadError};

/// Most bytes looked at to recognise a container.
const MAX_HEAD: usize = 512;

/// One tensor as the file lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: Dtype,
}

/// An open file of one format.
pub(crate) trait Container: Send + Sync {
    /// The format.
    fn name(&self) -> &'static str;
    /// The text under [`crate::METADATA_KEY`], for formats that have metadata.
    fn description(&self) -> Option<&str>;
    /// All tensors, in any order, no name twice.
    fn tensors(&self) -> &[Listed];
    /// Some bytes of one of [`Container::tensors`], by index: row-major, little-endian, as many as its shape says. A format
    /// whose tensors can only be read whole reads the whole for any part.
    fn bytes(&self, index: usize, range: Range<usize>) -> Result<Vec<u8>, ReadError>;
    /// Whether reading a part costs no more than its share.
    fn reads_parts(&self) -> bool;
}

/// Whether a file that starts with the given bytes is of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recognition {
    Yes,
    No,
    NeedMore,
}

struct Format {
    recognise: fn(&[u8]) -> Recognition,
    open: fn(&Path) -> Result<Box<dyn Container>, ReadError>,
}

const FORMATS: [Format; 2] = [
    Format { recognise: safetensors::recognise, open: |path| Ok(Box::new(safetensors::Safetensors::open(path)?)) },
    Format { recognise: pytorch::recognise, open: |path| Ok(Box::new(pytorch::Pytorch::open(path)?)) },
];

/// Opens a file of any format.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Container>, ReadError> {
    let io = |source| ReadError::Io { file: path.to_owned(), source };
    // Asked before it is opened: opening a pipe waits for somebody to write to it.
    if !path.metadata().map_err(io)?.is_file() {
        return Err(ReadError::NotAFile { file: path.to_owned() });
    }
    let mut file = File::open(path).map_err(io)?;
    let mut head = Vec::new();
    for wanted in [16, MAX_HEAD] {
        read_up_to(&mut file, &mut head, wanted).map_err(io)?;
        let answers = FORMATS.map(|format| (format.open, (format.recognise)(&head)));
        if let Some((open, _)) = answers.iter().find(|(_, answer)| *answer == Recognition::Yes) {
            return open(path);
        }
        if answers.iter().all(|(_, answer)| *answer == Recognition::No) {
            break;
        }
    }
    head.truncate(8);
    Err(ReadError::UnknownContainer { file: path.to_owned(), found: head })
}

fn read_up_to(file: &mut File, head: &mut Vec<u8>, wanted: usize) -> io::Result<()> {
    let missing = wanted.saturating_sub(head.len());
    file.take(missing as u64).read_to_end(head).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_container_is_told_by_its_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        for content in [&b""[..], b"\x80", b"weights, honestly", b"{\"w\": [1, 2, 3]}", b"\x7fELF\x02\x01\x01\x00\x00"]
        {
            std::fs::write(&path, content).unwrap();
            match open(&path).map(|c| c.name()) {
                Err(ReadError::UnknownContainer { file, found }) => {
                    assert_eq!((file, &found[..]), (path.clone(), &content[..content.len().min(8)]));
                }
                other => panic!("{content:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn folders_and_devices_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = vec![folder.path()];
        if cfg!(unix) {
            paths.push(Path::new("/dev/zero"));
        }
        for path in paths {
            let result = open(path).map(|c| c.name());
            assert!(matches!(&result, Err(ReadError::NotAFile { file }) if file == path), "{result:?}");
        }
    }

    #[test]
    fn a_missing_file_is_an_io_error() {
        let result = open(Path::new("/nonexistent/model.pt")).map(|c| c.name());
        assert!(matches!(result, Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound));
    }
}
