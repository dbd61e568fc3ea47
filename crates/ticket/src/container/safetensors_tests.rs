use super::*;
use crate::Mask;

/// A file of this header and this many data bytes, opened.
fn open(header: &str, data: usize) -> Result<Safetensors, ReadError> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend((0..data).map(|i| i as u8));
    open_bytes(&bytes)
}

fn open_bytes(bytes: &[u8]) -> Result<Safetensors, ReadError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, bytes).unwrap();
    Safetensors::open(&path)
}

/// Asserts that the file is refused with an error of this shape.
macro_rules! refused {
    ($header:expr, $data:expr, $pattern:pat $(if $guard:expr)?) => {
        match open($header, $data).map(|f| f.tensors) {
            Err($pattern) $(if $guard)? => {}
            other => panic!("{other:?}"),
        }
    };
}

#[test]
fn tensors_are_listed_and_read_one_at_a_time() {
    let header = concat!(
        r#"{"b":{"dtype":"U8","shape":[2,1],"data_offsets":[0,2]},"a":{"dtype":"I16","shape":[1],"data_offsets":[2,4]},"#,
        r#""empty":{"dtype":"F32","shape":[0],"data_offsets":[4,4]},"f8":{"dtype":"F8_E4M3","shape":[],"data_offsets":[4,5]},"#,
        r#""__metadata__":{"format":"pt","counterfoil":"text"}}"#
    );
    let file = open(header, 5).unwrap();
    let listed = |name: &str, shape: &[usize], dtype| Listed { name: name.to_owned(), shape: shape.to_vec(), dtype };
    let expected = [
        listed("b", &[2, 1], Dtype::U8),
        listed("a", &[1], Dtype::I16),
        listed("empty", &[0], Dtype::F32),
        listed("f8", &[], Dtype::Other("F8_E4M3")),
    ];
    assert_eq!(file.tensors(), expected);
    assert_eq!(file.description(), Some("text"));
    let bytes: Vec<Vec<u8>> = [2, 2, 0, 1].iter().enumerate().map(|(i, &n)| file.bytes(i, 0..n).unwrap()).collect();
    assert_eq!(bytes, [&[0, 1][..], &[2, 3], &[], &[4]]);
    assert_eq!(file.bytes(1, 1..2).unwrap(), [3]);
}

#[test]
fn a_header_longer_than_the_file_or_the_limit_is_refused_before_it_is_read() {
    let mut bytes = 100u64.to_le_bytes().to_vec();
    bytes.extend(b"{}");
    let result = open_bytes(&bytes).map(|_| ());
    assert!(matches!(result, Err(ReadError::Truncated { what, declared: 108, held: 10, .. }) if what == "the header"));
    bytes[..8].copy_from_slice(&(MAX_HEADER + 1).to_le_bytes());
    let result = open_bytes(&bytes).map(|_| ());
    assert!(matches!(result, Err(ReadError::TooLarge { what: "header", found, .. }) if found == MAX_HEADER + 1));
}

#[test]
fn repeated_tensors_and_metadata_are_refused() {
    let w = r#""w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    refused!(&format!("{{{w},{w}}}"), 1, ReadError::Repeated { tensor, times: 2, .. } if tensor == "w");
    refused!(
        r#"{"__metadata__":{"counterfoil":"a","counterfoil":"b"}}"#,
        0,
        ReadError::Repeated { tensor, times: 2, .. } if tensor == "counterfoil"
    );
    refused!(
        r#"{"__metadata__":{},"__metadata__":{}}"#,
        0,
        ReadError::Repeated { tensor, times: 2, .. } if tensor == "__metadata__"
    );
}

#[test]
fn broken_headers_are_malformed() {
    for header in [
        "{",
        "[]",
        "{}{}",
        "{\"w\":\"\u{0}\"}",
        r#"{"w":{"dtype":"F31","shape":[1],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}"#,
        r#"{"__metadata__":{"counterfoil":7}}"#,
    ] {
        refused!(header, 1, ReadError::Malformed { container: "safetensors", .. });
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let w = |shape: &str, from: u64, to: u64| {
        format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}}}"#)
    };
    refused!(&w("[2]", 0, 4), 4, ReadError::Size { tensor, found: 4, dtype: "F32", .. } if tensor == "w");
    refused!(&w("[4294967296,4294967296]", 0, 0), 0, ReadError::Size { .. });
    refused!(&w("[2]", 0, 8), 7, ReadError::Truncated { what, .. } if what == "tensor 'w'");
    refused!(&w("[1]", 18446744073709551611, 18446744073709551615), 4, ReadError::Truncated { .. });
    refused!(&w("[1]", 1, 5), 5, ReadError::Hole { from, to, .. } if to == from + 1);
    refused!(&w("[1]", 0, 4), 5, ReadError::Hole { from, to, .. } if to == from + 1);
    refused!("{}", 1, ReadError::Hole { from: 10, to: 11, .. });
}

#[test]
fn overlapping_tensors_are_refused() {
    let header = concat!(
        r#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"#,
        r#""b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#
    );
    refused!(header, 4, ReadError::Overlap { tensor, .. } if tensor == "b");
}

#[test]
fn recognised_by_length_and_brace() {
    assert_eq!(recognise(b"\x02\0\0\0\0\0\0\0{}"), Recognition::Yes);
    assert_eq!(recognise(b"\x02\0\0\0\0\0\0\0"), Recognition::NeedMore);
    assert_eq!(recognise(b"\x02\0\0\0\0\0\0\0 {"), Recognition::No);
    assert_eq!(recognise(b"sentence{"), Recognition::No);
}

#[test]
fn writing_gives_the_bytes_of_the_safetensors_crate() {
    let mask = Mask::from_fn(3, |p| p != 1);
    let record = |name: &str, data| Record { name: name.to_owned(), shape: &[1, 3], data };
    let records = vec![
        record("w_mask", Data::Mask(&mask)),
        record("v", Data::F32(&[0.5, -0.0, 2.0])),
        record("n", Data::Integers(&[1.0, -2.0, 3.0])),
        record("\"u\"", Data::F32(&[1.0, 2.0, 3.0])),
    ];
    let mut ours = Vec::new();
    write(&mut ours, "the {\"text\"}", records).unwrap();

    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let integers: Vec<u8> = [1i64, -2, 3].iter().flat_map(|v| v.to_le_bytes()).collect();
    let (v, u) = (bytes(&[0.5, -0.0, 2.0]), bytes(&[1.0, 2.0, 3.0]));
    let view = |dtype, data| safetensors::tensor::TensorView::new(dtype, vec![1, 3], data).unwrap();
    let theirs = safetensors::serialize(
        [
            ("v", view(safetensors::Dtype::F32, &v)),
            ("\"u\"", view(safetensors::Dtype::F32, &u)),
            ("w_mask", view(safetensors::Dtype::U8, &[1, 0, 1])),
            ("n", view(safetensors::Dtype::I64, &integers)),
        ],
        Some(HashMap::from([(METADATA_KEY.to_owned(), "the {\"text\"}".to_owned())])),
    );
    assert_eq!(ours, theirs.unwrap());
    assert_eq!(open_bytes(&ours).unwrap().description(), Some("the {\"text\"}"));
}
