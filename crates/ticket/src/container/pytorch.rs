//! PyTorch checkpoints: zip files (since 1.6) and legacy pickles. Nothing in them is executed.
//!
//! Read with `pytorch-reader`, which checks every declared length against the file and never pads. Added here: names
//! that two nested dictionaries spell alike are refused, the model is picked out of a training checkpoint, and views
//! cannot declare many times the size of the file. Plain pickles cannot hold tensors; tar files went out of use in
//! 2017.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

use pytorch_reader::{DType, PickleValue, PytorchError, PytorchReader, Tensor};

use super::{Container, Listed, Recognition};
use crate::{Dtype, ReadError};

/// Largest tensor read, in bytes (10 GiB on 64-bit machines).
pub const MAX_TENSOR: usize = pytorch_reader::MAX_TENSOR_SIZE;

/// The tensors of a file may together declare this many times its size in bytes.
///
/// More than one, since views share storages and zip files can be compressed; bounded, since a view can repeat one
/// number a billion times.
pub const MAX_EXPANSION: u64 = 100;

const NAME: &str = "pytorch";

/// How the pickle spells the number 0x1950a86a20f9469cfc6c that opens a legacy file, by protocol.
const LEGACY_MAGIC: [&[u8]; 2] = [b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", b"119547037146038801333356"];

/// The magic number ends within this many bytes, whatever the protocol.
const LEGACY_HEAD: usize = 64;

/// Keys under which training scripts keep the model.
const MODEL_KEYS: [&str; 2] = ["state_dict", "model_state_dict"];

/// Keys that can also be a part of a model: they count only beside something that no model has.
const LIKELY_MODEL_KEYS: [&str; 2] = ["model", "net"];

/// An open checkpoint: the pickle is held, the tensors are not.
pub(crate) struct Pytorch {
    path: PathBuf,
    tensors: Vec<Listed>,
    handles: Vec<Tensor>,
}

pub(crate) fn recognise(head: &[u8]) -> Recognition {
    let legacy = |head: &[u8]| LEGACY_MAGIC.iter().any(|magic| head.windows(magic.len()).any(|w| w == *magic));
    if head.starts_with(b"PK\x03\x04") || legacy(&head[..head.len().min(LEGACY_HEAD)]) {
        Recognition::Yes
    } else if head.len() < LEGACY_HEAD {
        Recognition::NeedMore
    } else {
        Recognition::No
    }
}

impl Pytorch {
    /// Reads the pickle and checks what it declares.
    pub(crate) fn open(path: &Path) -> Result<Self, ReadError> {
        let root = match PytorchReader::read_pickle_data(path, None).map_err(|e| error(path, e))? {
            PickleValue::Dict(root) => root,
            other => return Err(malformed(path, format!("the root is {}, expected a dictionary", kind(&other)))),
        };
        let key = model_key(path, &root)?;
        let mut paths = BTreeMap::new();
        match key.and_then(|key| root.get(key)) {
            Some(model) => count_tensors(model, &mut Vec::new(), &mut paths),
            None => root.iter().for_each(|(name, value)| count_tensors(value, &mut vec![name.clone()], &mut paths)),
        }
        if let Some((name, times)) = paths.into_iter().find(|(_, times)| *times > 1) {
            return Err(ReadError::Repeated { file: path.to_owned(), tensor: name, times });
        }
        let reader = match key {
            Some(key) => PytorchReader::with_top_level_key(path, key),
            None => PytorchReader::new(path),
        };
        let mut handles: Vec<Tensor> = reader.map_err(|e| error(path, e))?.into_tensors().into_values().collect();
        handles.sort_by(|a, b| a.name.cmp(&b.name));
        check_expansion(path, &handles)?;
        let listed = |t: &Tensor| Listed { name: t.name.clone(), shape: t.shape().to_vec(), dtype: dtype(t.dtype()) };
        Ok(Self { path: path.to_owned(), tensors: handles.iter().map(listed).collect(), handles })
    }
}

impl Container for Pytorch {
    fn name(&self) -> &'static str {
        NAME
    }

    fn description(&self) -> Option<&str> {
        None
    }

    fn tensors(&self) -> &[Listed] {
        &self.tensors
    }

    fn bytes(&self, index: usize, range: Range<usize>) -> Result<Vec<u8>, ReadError> {
        let tensor = &self.handles[index];
        let mut bytes = tensor.read().map_err(|source| ReadError::Tensor {
            file: self.path.clone(),
            tensor: tensor.name.clone(),
            source,
        })?;
        // The library hands out the machine's own order.
        if cfg!(target_endian = "big") {
            bytes.chunks_exact_mut(tensor.dtype().size()).for_each(<[u8]>::reverse);
        }
        bytes.truncate(range.end);
        bytes.drain(..range.start);
        Ok(bytes)
    }

    fn reads_parts(&self) -> bool {
        false
    }
}

/// The key of the model in a training checkpoint; `None` if the root itself is the model.
fn model_key(path: &Path, root: &HashMap<String, PickleValue>) -> Result<Option<&'static str>, ReadError> {
    let among = |keys: &[&'static str]| -> Result<Option<&'static str>, ReadError> {
        let is_model =
            |key: &&str| matches!(root.get(*key), Some(value @ PickleValue::Dict(_)) if holds_tensors(value));
        match keys.iter().copied().filter(is_model).collect::<Vec<_>>()[..] {
            [] => Ok(None),
            [key] => Ok(Some(key)),
            [first, second, ..] => Err(ReadError::Ambiguous { file: path.to_owned(), first, second }),
        }
    };
    let is_training = || root.iter().any(|(key, value)| key.starts_with("optim") || !holds_tensors(value));
    match among(&MODEL_KEYS)? {
        None if is_training() => among(&LIKELY_MODEL_KEYS),
        found => Ok(found),
    }
}

fn is_tensor(value: &PickleValue) -> bool {
    matches!(value, PickleValue::Unsupported(python_type) if python_type == "torch.Tensor")
}

/// Recursion is bounded by the library, which refuses deep nesting.
fn holds_tensors(value: &PickleValue) -> bool {
    match value {
        PickleValue::Dict(entries) => entries.values().any(holds_tensors),
        PickleValue::List(items) => items.iter().any(holds_tensors),
        other => is_tensor(other),
    }
}

/// Counts the tensors under each dotted path, in the library's spelling. It would keep any one of those that agree.
fn count_tensors(value: &PickleValue, path: &mut Vec<String>, counts: &mut BTreeMap<String, usize>) {
    let mut step = |key: String, value: &PickleValue| {
        path.push(key);
        count_tensors(value, path, counts);
        path.pop();
    };
    match value {
        PickleValue::Dict(entries) => entries.iter().for_each(|(key, value)| step(key.clone(), value)),
        PickleValue::List(items) => items.iter().enumerate().for_each(|(i, value)| step(i.to_string(), value)),
        other if is_tensor(other) => *counts.entry(path.join(".")).or_insert(0) += 1,
        _ => {}
    }
}

fn check_expansion(path: &Path, tensors: &[Tensor]) -> Result<(), ReadError> {
    let held = path.metadata().map_err(|source| ReadError::Io { file: path.to_owned(), source })?.len();
    let limit = held.saturating_mul(MAX_EXPANSION);
    let found = tensors.iter().fold(0u64, |sum, tensor| sum.saturating_add(tensor.byte_len() as u64));
    if found > limit {
        return Err(ReadError::TooLarge { file: path.to_owned(), what: "sum of all tensors", found, limit });
    }
    Ok(())
}

fn malformed(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ReadError {
    ReadError::Malformed { file: path.to_owned(), container: NAME, source: source.into() }
}

/// The system's failures apart from the file's.
fn error(path: &Path, error: PytorchError) -> ReadError {
    use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    match error {
        PytorchError::Io(source) if !matches!(source.kind(), InvalidData | InvalidInput | UnexpectedEof | Other) => {
            ReadError::Io { file: path.to_owned(), source }
        }
        other => malformed(path, other),
    }
}

fn kind(value: &PickleValue) -> String {
    match value {
        PickleValue::Unsupported(python_type) => python_type.clone(),
        PickleValue::List(_) => "a list".to_owned(),
        _ => "a single value".to_owned(),
    }
}

fn dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U64 => Dtype::U64,
        DType::U32 => Dtype::U32,
        DType::U16 => Dtype::U16,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::Bool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models").join(name)
    }

    fn names(name: &str) -> Vec<String> {
        Pytorch::open(&fixture(name)).unwrap().tensors.into_iter().map(|t| t.name).collect()
    }

    #[test]
    fn both_layouts_are_recognised_by_their_first_bytes() {
        for name in ["zip.pt", "legacy.th"] {
            let bytes = std::fs::read(fixture(name)).unwrap();
            assert_eq!(recognise(&bytes), Recognition::Yes);
            assert_eq!(recognise(&bytes[..3]), Recognition::NeedMore);
        }
        assert_eq!(recognise(&[b' '; LEGACY_HEAD]), Recognition::No);
    }

    #[test]
    fn the_model_is_picked_out_of_a_checkpoint() {
        let all = ["bn1.bias", "bn1.num_batches_tracked", "bn1.running_mean", "bn1.running_var", "bn1.weight"];
        let rest = ["conv1.weight", "fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"];
        let expected: Vec<&str> = all.into_iter().chain(rest).collect();
        assert_eq!(names("zip.pt"), expected);
        assert_eq!(names("training.pt"), expected);
        let wrapped: Vec<String> = expected.iter().map(|name| format!("module.{name}")).collect();
        assert_eq!(names("legacy.th"), wrapped);
    }

    #[test]
    fn a_zip_is_read_whatever_its_folder_is_called() {
        assert_eq!(names("name_of_21_characters.pt"), ["fc.weight"]);
    }

    #[test]
    fn two_tensors_under_one_path_are_refused() {
        let result = Pytorch::open(&fixture("collision.pt")).map(|_| ());
        assert!(matches!(result, Err(ReadError::Repeated { tensor, times: 2, .. }) if tensor == "fc.weight"));
    }

    #[test]
    fn two_models_are_refused() {
        let result = Pytorch::open(&fixture("two_models.pt")).map(|_| ());
        let expected = ("state_dict", "model_state_dict");
        assert!(matches!(result, Err(ReadError::Ambiguous { first, second, .. }) if (first, second) == expected));
    }

    #[test]
    fn views_far_larger_than_the_file_are_refused() {
        let result = Pytorch::open(&fixture("expanded.pt")).map(|_| ());
        assert!(matches!(result, Err(ReadError::TooLarge { found: 0x1_0000_0000, .. })));
    }

    #[test]
    fn a_truncated_file_is_malformed_or_its_tensors_unreadable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.th");
        let whole = std::fs::read(fixture("legacy.th")).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
        let read = |file: &Pytorch| (0..file.tensors.len()).try_for_each(|i| file.bytes(i, 0..1).map(|_| ()));
        match Pytorch::open(&path).and_then(|file| read(&file)) {
            Err(ReadError::Malformed { container: "pytorch", .. } | ReadError::Tensor { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}
