//! Hostile files: whatever the bytes, reading gives a model or an error.

use std::path::Path;

use counterfoil_ticket::{Array, Mask, Model, ModelFile, Overwrite, ReadError};
use proptest::prelude::*;

/// Everything that can be asked of a file.
fn read_all(path: &Path) -> Result<Model, ReadError> {
    let file = ModelFile::open(path)?;
    for carrier in file.carriers() {
        // Asked one by one too: an error in one tensor must not hide what the others do.
        let _ = (file.values(&carrier.name), file.mask(&carrier.name), file.scores(&carrier.name));
    }
    file.read()
}

fn read_bytes(bytes: &[u8]) -> Result<Model, ReadError> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("model");
    std::fs::write(&path, bytes).expect("a temporary file can be written");
    read_all(&path)
}

fn ticket() -> Vec<u8> {
    let mut model = Model::default();
    model.arrays.insert("fc1.weight".to_owned(), Array::new(vec![2, 4], vec![0.5; 8]).expect("8 values"));
    model.arrays.insert("fc1.bias".to_owned(), Array::new(vec![2], vec![0.25; 2]).expect("2 values"));
    model.masks.insert("fc1.weight".to_owned(), Mask::from_fn(8, |p| p % 3 == 0));
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("ticket");
    model.write_safetensors(&path, Overwrite::Refuse).expect("the model is sound");
    std::fs::read(&path).expect("it was just written")
}

fn valid_files() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models");
    let fixture = |name| std::fs::read(folder.join(name)).expect("fixtures are part of the repository");
    [ticket()].into_iter().chain(["zip.pt", "legacy.th", "pruned.pt", "dtypes.pt"].map(fixture)).collect()
}

/// `0`: safetensors; `1`: legacy pickle; `2`: zip.
fn opening(of: u8) -> Vec<u8> {
    match of {
        0 => b"\x40\0\0\0\0\0\0\0{\"w\":{\"dtype\":\"F32\",\"shape\":[".to_vec(),
        1 => b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02".to_vec(),
        _ => b"PK\x03\x04".to_vec(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300), of in 0u8..4) {
        let start = if of == 3 { Vec::new() } else { opening(of) };
        prop_assert!(read_bytes(&[start, bytes].concat()).is_err());
    }

    #[test]
    fn changed_bytes_never_panic(
        which in 0usize..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = valid_files().swap_remove(which);
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        // Some changes are harmless, such as those of values; then the model must be one that can be written.
        if let Ok(model) = read_bytes(&bytes) {
            prop_assert!(model.arrays.values().all(|a| a.values().iter().all(|v| v.is_finite())));
        }
    }

    #[test]
    fn a_cut_file_is_an_error(which in 0usize..5, index in any::<prop::sample::Index>()) {
        let whole = valid_files().swap_remove(which);
        let model = read_bytes(&whole).expect("the file is valid");
        match read_bytes(&whole[..index.index(whole.len())]) {
            // What follows a zip file's directory may be missing, never a value.
            Ok(cut) => prop_assert_eq!(cut, model),
            Err(error) => prop_assert!(error.to_string().contains("model"), "{}", error),
        }
    }
}
