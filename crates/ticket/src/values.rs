//! Values part by part: tensors larger than memory should hold, read as often as they are needed.
//!
//! Everything that is counted of a suspect goes through here. A tensor of moderate size is decoded once and held; a
//! larger one is read and decoded anew for each part that is asked for, which the system's page cache makes cheap.

use std::ops::Range;

use crate::array::size_of_shape;
use crate::dtype::{Undecodable, decode};
use crate::{Dtype, Mask, ModelFile, ReadError};

/// Most values of one tensor that are held in memory, 64 MiB of them, where its container lets parts be read.
pub const MAX_HELD: usize = 1 << 24;

/// Values that are read at a time: whole words of a [`Mask`].
const PART: usize = 1 << 18;

/// One tensor of a container that can be decoded.
pub(crate) struct Stored<'a> {
    file: &'a ModelFile,
    index: usize,
    dtype: Dtype,
    /// Bytes of a value.
    width: usize,
    size: usize,
}

impl<'a> Stored<'a> {
    /// Refuses types that are not read, before anything is: they can have any size.
    pub(crate) fn new(file: &'a ModelFile, index: usize) -> Result<Self, ReadError> {
        let listed = &file.container.tensors()[index];
        let Some(width) = listed.dtype.width() else {
            return Err(ReadError::UnsupportedDtype {
                file: file.path.clone(),
                tensor: listed.name.clone(),
                dtype: listed.dtype.name(),
            });
        };
        let Some(size) = size_of_shape(&listed.shape) else {
            return Err(ReadError::Size {
                file: file.path.clone(),
                tensor: listed.name.clone(),
                shape: listed.shape.clone(),
                dtype: listed.dtype.name(),
                found: 0, // a dimension is 0, or the container would have refused it
            });
        };
        Ok(Self { file, index, dtype: listed.dtype, width, size })
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Appends the values of a range of positions.
    fn read(&self, range: Range<usize>, values: &mut Vec<f32>) -> Result<(), ReadError> {
        let first = range.start;
        let bytes = self.file.container.bytes(self.index, range.start * self.width..range.end * self.width)?;
        let listed = &self.file.container.tensors()[self.index];
        let (file, tensor) = (|| self.file.path.clone(), || listed.name.clone());
        if bytes.len() != range.len() * self.width {
            let (shape, dtype, found) = (listed.shape.clone(), listed.dtype.name(), bytes.len() as u64);
            return Err(ReadError::Size { file: file(), tensor: tensor(), shape, dtype, found });
        }
        decode(self.dtype, &bytes, values).map_err(|e| match e {
            Undecodable::NotFinite { position, found } => {
                ReadError::NotFinite { file: file(), tensor: tensor(), position: first + position, found }
            }
            Undecodable::Inexact { position, found } => {
                ReadError::Inexact { file: file(), tensor: tensor(), position: first + position, found }
            }
            Undecodable::Unsupported => {
                ReadError::UnsupportedDtype { file: file(), tensor: tensor(), dtype: self.dtype.name() }
            }
        })
    }

    /// Hands on all values in order, each part with the position of its first.
    pub(crate) fn each_part(
        &self,
        mut each: impl FnMut(usize, &[f32]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let part = if self.file.container.reads_parts() { PART } else { self.size.max(1) };
        let mut values = Vec::new();
        for first in (0..self.size).step_by(part) {
            values.clear();
            self.read(first..self.size.min(first + part), &mut values)?;
            each(first, &values)?;
        }
        Ok(())
    }

    /// All values; memory grows as the file yields them.
    pub(crate) fn read_all(&self) -> Result<Vec<f32>, ReadError> {
        let mut all = Vec::new();
        self.each_part(|_, values| {
            if all.is_empty() {
                all.reserve_exact(self.size); // the file has yielded the first part
            }
            all.extend_from_slice(values);
            Ok(())
        })?;
        Ok(all)
    }
}

/// The values of one tensor.
pub struct Values<'a>(Source<'a>);

enum Source<'a> {
    Held(Vec<f32>),
    /// Those outside the mask, if there is one, are 0.
    Read(Stored<'a>, Option<Mask>),
}

impl From<Vec<f32>> for Values<'_> {
    fn from(values: Vec<f32>) -> Self {
        Self(Source::Held(values))
    }
}

impl<'a> Values<'a> {
    pub(crate) fn open(stored: Stored<'a>, mask: Option<Mask>) -> Result<Self, ReadError> {
        if stored.size > MAX_HELD && stored.file.container.reads_parts() {
            return Ok(Self(Source::Read(stored, mask)));
        }
        let mut values = stored.read_all()?;
        mask.iter().for_each(|mask| mask.apply(&mut values));
        Ok(values.into())
    }

    /// Number of values.
    pub fn size(&self) -> usize {
        match &self.0 {
            Source::Held(values) => values.len(),
            Source::Read(stored, _) => stored.size,
        }
    }

    /// The values of a range of positions; `room` is where they go if they have to be read. Panics if the range is
    /// outside the tensor. If the file is changed meanwhile, so are they.
    pub fn part<'b>(&'b self, range: Range<usize>, room: &'b mut Vec<f32>) -> Result<&'b [f32], ReadError> {
        match &self.0 {
            Source::Held(values) => Ok(&values[range]),
            Source::Read(stored, mask) => {
                assert!(range.end <= stored.size, "{range:?} is outside a tensor of {} values", stored.size);
                room.clear();
                stored.read(range.clone(), room)?;
                if let Some(mask) = mask {
                    room.iter_mut().zip(range).filter(|(_, p)| !mask.keeps(*p)).for_each(|(value, _)| *value = 0.0);
                }
                Ok(room)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Array, Model, Overwrite};

    /// `w_orig` with a mask, and `b`, as a safetensors file.
    fn file() -> (tempfile::TempDir, ModelFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let mut model = Model::default();
        let values = |size: usize| (0..size).map(|i| i as f32 + 1.0).collect();
        model.arrays.insert("w".to_owned(), Array::new(vec![4, 5], values(20)).unwrap());
        model.masks.insert("w".to_owned(), Mask::from_fn(20, |p| p % 3 == 0));
        model.write_safetensors(&path, Overwrite::Refuse).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        // the name gets longer, and the spaces that fill up the header are what it takes
        let text = String::from_utf8_lossy(&bytes[8..]).into_owned();
        let header = &text[..text.rfind('}').unwrap() + 1];
        let longer = header.replace("\"w\":", "\"w_orig\":");
        let end = bytes.len() - 20 * 4 - 20;
        let padded = format!("{longer:<width$}", width = longer.len().next_multiple_of(8));
        let whole = [&(padded.len() as u64).to_le_bytes()[..], padded.as_bytes(), &bytes[end..]].concat();
        std::fs::write(&path, whole).unwrap();
        let file = ModelFile::open(&path).unwrap();
        (folder, file)
    }

    #[test]
    fn parts_read_from_the_file_are_those_of_the_whole() {
        let (_folder, file) = file();
        let whole = file.values("w").unwrap().into_values();
        assert_eq!(whole[..4], [1.0, 0.0, 0.0, 4.0]);
        let index = file.container.tensors().iter().position(|t| t.name == "w_orig").unwrap();
        let read = Values(Source::Read(Stored::new(&file, index).unwrap(), file.mask("w").unwrap()));
        let held = file.values_by_parts("w").unwrap();
        assert!(matches!(held.0, Source::Held(_)));
        let mut room = Vec::new();
        for (from, to) in [(0, 20), (3, 11), (19, 20), (7, 7)] {
            assert_eq!(read.part(from..to, &mut room).unwrap(), &whole[from..to]);
            assert_eq!(held.part(from..to, &mut room).unwrap(), &whole[from..to]);
        }
        assert_eq!([read.size(), held.size()], [20; 2]);
    }
}
