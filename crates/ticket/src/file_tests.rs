use super::*;
use crate::{Architecture, Element, ImageShape};

fn fixture(name: &str) -> ModelFile {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models");
    ModelFile::open(&folder.join(name)).unwrap()
}

/// A safetensors file of F32 tensors, opened.
fn open(tensors: &[(&str, &[usize], &[f32])]) -> Result<ModelFile, ReadError> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), bytes);
        (*name, view.unwrap())
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    // The file stays readable after the folder is gone, as long as it is open.
    ModelFile::open(&path)
}

/// 0, 0.25, 0.5, … as in fixtures/models/make.py.
fn counted(count: usize) -> Vec<f32> {
    (0..count).map(|i| i as f32 / 4.0).collect()
}

#[test]
fn both_pytorch_layouts_give_the_same_model() {
    let zip = fixture("zip.pt");
    assert_eq!((zip.container(), zip.description()), ("pytorch", None));
    let model = zip.read().unwrap();
    assert_eq!(model.arrays["fc1.weight"], Array::new(vec![3, 4], counted(12)).unwrap());
    assert_eq!(model.arrays["conv1.weight"], Array::new(vec![2, 1, 3, 3], counted(18)).unwrap());
    assert_eq!(model.arrays["bn1.num_batches_tracked"].element(), Element::Integer);
    assert_eq!(model.arrays.len(), 10);
    for other in ["legacy.th", "training.pt"] {
        assert_eq!(fixture(other).read().unwrap(), model, "{other}");
    }
}

#[test]
fn carriers_are_numbered_by_shape_in_natural_order() {
    let summary: Vec<_> = fixture("legacy.th").carriers().into_iter().map(|c| (c.name, c.shape.to_string())).collect();
    let expected = [("conv1.weight", "2x1x3x3"), ("fc1.weight", "3x4x1x1"), ("fc2.weight", "2x3x1x1")];
    assert_eq!(summary, expected.map(|(name, shape)| (name.to_owned(), shape.to_owned())));
}

#[test]
fn a_pruned_pytorch_tensor_stands_under_its_own_name() {
    let file = fixture("pruned.pt");
    let marked: Vec<_> = file.entries().iter().filter(|e| e.has_mask).map(|e| e.name.as_str()).collect();
    assert_eq!(marked, ["fc1.weight"]);
    let mask = file.mask("fc1.weight").unwrap().unwrap();
    assert_eq!(mask.positions().collect::<Vec<_>>(), [0, 3, 5, 6, 8, 9, 10, 11]);
    let values = file.values("fc1.weight").unwrap();
    assert_eq!(values.values(), [0.0, 0.0, 0.0, 0.75, 0.0, 1.25, 1.5, 0.0, 2.0, 2.25, 2.5, 2.75]);
    let model = file.read().unwrap();
    assert_eq!((model.carriers().len(), model.marked_carriers().len()), (3, 1));
    let stored = file.read_stored().unwrap();
    assert_eq!(stored.arrays["fc1.weight"].values(), counted(12));
    assert_eq!((&stored.masks, stored.digest().unwrap()), (&model.masks, model.digest().unwrap()));
}

#[test]
fn every_dtype_is_read_and_views_are_gathered() {
    let model = fixture("dtypes.pt").read().unwrap();
    for name in ["f16", "bf16", "f64"] {
        assert_eq!(model.arrays[name], Array::new(vec![2, 2], counted(4)).unwrap(), "{name}");
    }
    assert_eq!(model.arrays["i64"].values(), [-2.0, 3.0]);
    assert_eq!(model.arrays["u8"].values(), [0.0, 255.0]);
    assert_eq!(model.arrays["bool"].values(), [1.0, 0.0]);
    let transposed = Array::new(vec![3, 2], vec![0.0, 0.75, 0.25, 1.0, 0.5, 1.25]).unwrap();
    assert_eq!(model.arrays["transposed"], transposed);
}

#[test]
fn a_file_without_tensors_is_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models");
    assert!(matches!(ModelFile::open(&folder.join("nothing.pt")), Err(ReadError::NoTensors { .. })));
    assert!(matches!(open(&[]), Err(ReadError::NoTensors { .. })));
}

#[test]
fn a_ticket_keeps_its_values_outside_the_mask() {
    let file = open(&[
        ("model.w", &[1, 3], &[1.0, 2.0, 3.0]),
        ("model.w_mask", &[1, 3], &[1.0, 0.0, 1.0]),
        ("model.w_score", &[1, 3], &[0.5, 0.25, 0.125]),
    ])
    .unwrap();
    assert_eq!(file.values("w").unwrap().values(), [1.0, 2.0, 3.0]);
    assert_eq!(file.mask("w").unwrap(), Some(Mask::from_fn(3, |p| p != 1)));
    assert_eq!(file.scores("w").unwrap(), Some(vec![0.5, 0.25, 0.125]));
    assert_eq!(file.entries().len(), 1);
}

#[test]
fn names_are_resolved_or_refused() {
    assert!(matches!(
        open(&[("a", &[1], &[1.0]), ("b_mask", &[1], &[1.0])]),
        Err(ReadError::Orphan { tensor, owner, .. }) if (tensor.as_str(), owner.as_str()) == ("b_mask", "b")
    ));
    assert!(matches!(
        open(&[("a", &[1], &[1.0]), ("a_orig", &[1], &[1.0]), ("a_mask", &[1], &[1.0])]),
        Err(ReadError::Repeated { tensor, times: 2, .. }) if tensor == "a"
    ));
    let file = open(&[("a", &[1], &[1.0])]).unwrap();
    assert!(matches!(file.values("a_mask"), Err(ReadError::NoSuchTensor { tensor, .. }) if tensor == "a_mask"));
    assert_eq!((file.mask("a").unwrap(), file.scores("a").unwrap()), (None, None));
}

#[test]
fn masks_and_scores_have_the_shape_of_their_tensor() {
    for name in ["w_mask", "w_score"] {
        match open(&[("w", &[2, 1], &[1.0, 2.0]), (name, &[1, 2], &[1.0, 0.0])]) {
            Err(ReadError::AttachedShape { tensor, found, expected, .. }) => {
                assert_eq!((tensor.as_str(), found, expected), (name, vec![1, 2], vec![2, 1]));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_mask_says_zero_or_one() {
    let file = open(&[("w", &[2], &[1.0, 2.0]), ("w_mask", &[2], &[1.0, 0.5])]).unwrap();
    match file.mask("w") {
        Err(ReadError::MaskValue { tensor, position: 1, found: 0.5, .. }) => assert_eq!(tensor, "w_mask"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_that_are_not_finite_are_refused_where_they_are() {
    let file = open(&[("v", &[1], &[1.0]), ("w", &[2], &[1.0, f32::NAN]), ("w_score", &[2], &[f32::INFINITY, 0.0])]);
    let file = file.unwrap();
    assert_eq!(file.values("v").unwrap().values(), [1.0]);
    assert!(matches!(file.values("w"), Err(ReadError::NotFinite { tensor, position: 1, .. }) if tensor == "w"));
    assert!(matches!(file.scores("w"), Err(ReadError::NotFinite { tensor, position: 0, .. }) if tensor == "w_score"));
    let message = file.values("w").unwrap_err().to_string();
    assert!(message.ends_with("tensor 'w' is NaN at position 1, expected a finite number"), "{message}");
}

#[test]
fn types_that_are_not_read_are_listed_but_have_no_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let header = br#"{"w":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 8]].concat();
    std::fs::write(&path, bytes).unwrap();
    let file = ModelFile::open(&path).unwrap();
    assert_eq!(file.entries()[0].dtype, Dtype::Other("C64"));
    assert!(matches!(file.values("w"), Err(ReadError::UnsupportedDtype { dtype: "C64", .. })));
}

#[test]
fn a_file_that_shrinks_is_an_error_and_not_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let mut model = Model::default();
    model.arrays.insert("w".to_owned(), Array::new(vec![2], vec![1.0, 2.0]).unwrap());
    model.write_safetensors(&path, crate::Overwrite::Refuse).unwrap();
    let file = ModelFile::open(&path).unwrap();
    let length = path.metadata().unwrap().len();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
    assert!(matches!(file.values("w"), Err(ReadError::Tensor { tensor, .. }) if tensor == "w"));
}

/// akamaster's ResNet-20, which is not part of the repository: the test says nothing where it is absent.
#[test]
fn a_real_checkpoint_is_recognised() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/resnet20-12fca82f.th");
    if !path.exists() {
        return;
    }
    let file = ModelFile::open(&path).unwrap();
    let tensors: Vec<(&str, &[usize])> = file.entries().iter().map(|e| (e.name.as_str(), &e.shape[..])).collect();
    let input = ImageShape { channels: 3, height: 32, width: 32 };
    let expected = Architecture::Resnet20 { input, width: 16, classes: 10 };
    assert_eq!(Architecture::recognise(&tensors, input), Some(expected));
    assert_eq!(file.carriers().len(), 20);
    let weights: usize = file.carriers().iter().map(|c| file.values(&c.name).unwrap().size()).sum();
    assert_eq!(weights, 268_336);
}
