//! safetensors: an 8-byte length, a JSON header of that length, the tensors' bytes without holes.
//!
//! Format: <https://github.com/huggingface/safetensors>. The header's types are the `safetensors` crate's; it is parsed
//! here, since the crate wants the whole file in memory and keeps the last of two tensors of one name without a word.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::{Container, Listed, Recognition};
use crate::{Dtype, METADATA_KEY, ReadError};

/// Longest header read, in bytes: the format's own limit.
pub const MAX_HEADER: u64 = 100_000_000;

/// Bytes of the header's length.
const LENGTH: u64 = 8;

const NAME: &str = "safetensors";

/// An open safetensors file: the header is held, the tensors are not.
pub(crate) struct Safetensors {
    path: PathBuf,
    file: Mutex<File>,
    description: Option<String>,
    tensors: Vec<Listed>,
    /// First byte and length of each of `tensors`; checked to lie within the file.
    places: Vec<(u64, usize)>,
}

/// A length below 2^48, then the brace that the header must start with.
pub(crate) fn recognise(head: &[u8]) -> Recognition {
    match head {
        [_, _, _, _, _, _, 0, 0, b'{', ..] => Recognition::Yes,
        [_, _, _, _, _, _, _, _, _, ..] => Recognition::No,
        _ => Recognition::NeedMore,
    }
}

impl Safetensors {
    /// Reads and checks the header. Nothing is allocated from a declared size before it was compared with the file's.
    pub(crate) fn open(path: &Path) -> Result<Self, ReadError> {
        let io = |source| ReadError::Io { file: path.to_owned(), source };
        let mut file = File::open(path).map_err(io)?;
        let held = file.metadata().map_err(io)?.len();
        let mut length = [0; LENGTH as usize];
        file.read_exact(&mut length).map_err(io)?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER {
            return Err(ReadError::TooLarge {
                file: path.to_owned(),
                what: "header",
                found: length,
                limit: MAX_HEADER,
            });
        }
        let start = LENGTH + length;
        if start > held {
            return Err(ReadError::Truncated {
                file: path.to_owned(),
                what: "the header".to_owned(),
                declared: start,
                held,
            });
        }
        let mut text = Vec::new();
        (&mut file).take(length).read_to_end(&mut text).map_err(io)?;
        let Header { metadata, mut tensors } = serde_json::from_slice(&text).map_err(|e| malformed(path, e))?;
        check_unique(path, &tensors)?;
        tensors.sort_by(|(a, x), (b, y)| (x.data_offsets, a).cmp(&(y.data_offsets, b)));
        let places = places(path, &tensors, start, held)?;
        let description = description(path, &metadata)?;
        let listed = |(name, info): (String, TensorInfo)| Listed { name, dtype: dtype(info.dtype), shape: info.shape };
        let tensors = tensors.into_iter().map(listed).collect();
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), description, tensors, places })
    }
}

impl Container for Safetensors {
    fn name(&self) -> &'static str {
        NAME
    }

    fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    fn tensors(&self) -> &[Listed] {
        &self.tensors
    }

    fn bytes(&self, index: usize, range: Range<usize>) -> Result<Vec<u8>, ReadError> {
        let (start, length) = self.places[index];
        assert!(range.end <= length, "{range:?} is outside a tensor of {length} bytes");
        let start = start + range.start as u64;
        let mut bytes = vec![0; range.len()];
        // A panic elsewhere leaves the file's position anywhere, and it is set here each time.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut bytes)).map_err(|source| {
            ReadError::Tensor { file: self.path.clone(), tensor: self.tensors[index].name.clone(), source }
        })?;
        Ok(bytes)
    }

    fn reads_parts(&self) -> bool {
        true
    }
}

/// The header as it is listed, repeated keys included.
struct Header {
    metadata: Vec<Vec<(String, String)>>,
    tensors: Vec<(String, TensorInfo)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header { metadata: Vec::new(), tensors: Vec::new() };
                while let Some(key) = map.next_key::<String>()? {
                    if key == "__metadata__" {
                        header.metadata.push(map.next_value::<Pairs>()?.0);
                    } else {
                        header.tensors.push((key, map.next_value()?));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// A JSON object of strings as it is listed.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

fn check_unique(path: &Path, tensors: &[(String, TensorInfo)]) -> Result<(), ReadError> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    tensors.iter().for_each(|(name, _)| *times.entry(name).or_insert(0) += 1);
    match times.into_iter().find(|(_, times)| *times > 1) {
        Some((name, times)) => Err(ReadError::Repeated { file: path.to_owned(), tensor: name.to_owned(), times }),
        None => Ok(()),
    }
}

/// Where each tensor's bytes are. `tensors` are in the order of their offsets; they must cover the file from `start`
/// on.
fn places(
    path: &Path,
    tensors: &[(String, TensorInfo)],
    start: u64,
    held: u64,
) -> Result<Vec<(u64, usize)>, ReadError> {
    let file = || path.to_owned();
    let mut next = start;
    let mut places = Vec::with_capacity(tensors.len());
    for (name, info) in tensors {
        let (from, to) = info.data_offsets;
        let Some(length) = to.checked_sub(from) else {
            return Err(malformed(path, format!("tensor '{name}' ends at offset {to}, before its start at {from}")));
        };
        let bits = info.shape.iter().try_fold(info.dtype.bitsize(), |bits, &dim| bits.checked_mul(dim));
        if bits != length.checked_mul(8) || bits.is_none() {
            return Err(ReadError::Size {
                file: file(),
                tensor: name.clone(),
                shape: info.shape.clone(),
                dtype: dtype(info.dtype).name(),
                found: length as u64,
            });
        }
        let (from, to) = (start.saturating_add(from as u64), start.saturating_add(to as u64));
        if to > held {
            return Err(ReadError::Truncated { file: file(), what: format!("tensor '{name}'"), declared: to, held });
        }
        if from > next {
            return Err(ReadError::Hole { file: file(), from: next, to: from });
        }
        if from < next {
            return Err(ReadError::Overlap { file: file(), tensor: name.clone(), found: from });
        }
        places.push((from, length));
        next = to;
    }
    if next < held {
        return Err(ReadError::Hole { file: file(), from: next, to: held });
    }
    Ok(places)
}

/// The text under our key; keys of others are theirs.
fn description(path: &Path, metadata: &[Vec<(String, String)>]) -> Result<Option<String>, ReadError> {
    let repeated = |key: &str, times| ReadError::Repeated { file: path.to_owned(), tensor: key.to_owned(), times };
    if metadata.len() > 1 {
        return Err(repeated("__metadata__", metadata.len()));
    }
    let texts: Vec<&String> =
        metadata.iter().flatten().filter(|(key, _)| key == METADATA_KEY).map(|(_, text)| text).collect();
    match texts[..] {
        [] => Ok(None),
        [text] => Ok(Some(text.clone())),
        _ => Err(repeated(METADATA_KEY, texts.len())),
    }
}

fn malformed(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ReadError {
    ReadError::Malformed { file: path.to_owned(), container: NAME, source: source.into() }
}

fn dtype(dtype: safetensors::Dtype) -> Dtype {
    use safetensors::Dtype as Theirs;
    match dtype {
        Theirs::F64 => Dtype::F64,
        Theirs::F32 => Dtype::F32,
        Theirs::F16 => Dtype::F16,
        Theirs::BF16 => Dtype::BF16,
        Theirs::I64 => Dtype::I64,
        Theirs::I32 => Dtype::I32,
        Theirs::I16 => Dtype::I16,
        Theirs::I8 => Dtype::I8,
        Theirs::U64 => Dtype::U64,
        Theirs::U32 => Dtype::U32,
        Theirs::U16 => Dtype::U16,
        Theirs::U8 => Dtype::U8,
        Theirs::BOOL => Dtype::Bool,
        Theirs::C64 => Dtype::Other("C64"),
        Theirs::F8_E4M3 => Dtype::Other("F8_E4M3"),
        Theirs::F8_E5M2 => Dtype::Other("F8_E5M2"),
        Theirs::F8_E8M0 => Dtype::Other("F8_E8M0"),
        Theirs::F4 => Dtype::Other("F4"),
        _ => Dtype::Other("another"),
    }
}

/// One tensor to be written.
pub(crate) struct Record<'a> {
    pub(crate) name: String,
    pub(crate) shape: &'a [usize],
    pub(crate) data: Data<'a>,
}

/// Values to be written, and the element type they get.
#[derive(Clone, Copy)]
pub(crate) enum Data<'a> {
    F32(&'a [f32]),
    /// Integral values, as I64.
    Integers(&'a [f32]),
    /// A mask, as U8.
    Mask(&'a crate::Mask),
}

impl Data<'_> {
    fn dtype(self) -> safetensors::Dtype {
        match self {
            Self::F32(_) => safetensors::Dtype::F32,
            Self::Integers(_) => safetensors::Dtype::I64,
            Self::Mask(_) => safetensors::Dtype::U8,
        }
    }

    fn length(self) -> usize {
        match self {
            Self::F32(values) => values.len() * 4,
            Self::Integers(values) => values.len() * 8,
            Self::Mask(mask) => mask.size(),
        }
    }

    fn write(self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::F32(values) => write_words(out, values, |v| v.to_le_bytes()),
            Self::Integers(values) => write_words(out, values, |v| (v as i64).to_le_bytes()),
            Self::Mask(mask) => {
                let mut bytes = vec![0; mask.size()];
                mask.positions().for_each(|position| bytes[position] = 1);
                out.write_all(&bytes)
            }
        }
    }
}

/// Writes values as words of N bytes, many at a time.
fn write_words<const N: usize>(out: &mut dyn Write, values: &[f32], word: impl Fn(f32) -> [u8; N]) -> io::Result<()> {
    let mut words = [[0; N]; 4096];
    for values in values.chunks(words.len()) {
        words.iter_mut().zip(values).for_each(|(place, value)| *place = word(*value));
        out.write_all(words[..values.len()].as_flattened())?;
    }
    Ok(())
}

/// Writes a whole file: the same bytes as `safetensors::serialize`, without holding them.
///
/// One order for one content: by falling alignment, then by name; one metadata key; the header filled up with spaces to
/// a multiple of eight.
pub(crate) fn write(out: &mut dyn Write, description: &str, mut records: Vec<Record<'_>>) -> io::Result<()> {
    records.sort_by(|a, b| b.data.dtype().cmp(&a.data.dtype()).then_with(|| a.name.cmp(&b.name)));
    let mut end = 0;
    let infos = records.iter().map(|record| {
        let start = end;
        end += record.data.length();
        let info = TensorInfo { dtype: record.data.dtype(), shape: record.shape.to_vec(), data_offsets: (start, end) };
        (record.name.clone(), info)
    });
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), description.to_owned())]);
    let metadata = Metadata::new(Some(metadata), infos.collect()).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&metadata)?;
    header.resize(header.len().next_multiple_of(LENGTH as usize), b' ');
    if header.len() as u64 > MAX_HEADER {
        return Err(io::Error::other(format!("the header has {} bytes, expected at most {MAX_HEADER}", header.len())));
    }
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    records.iter().try_for_each(|record| record.data.write(out))
}

#[cfg(test)]
#[path = "safetensors_tests.rs"]
mod tests;
