//! safetensors files byte by byte, sound or not.

use serde_json::{Map, json};

/// A file with this header and these data, whether they fit or not.
pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// A sound file of F32 tensors: name, shape, values.
pub fn safetensors_of<'a>(tensors: impl IntoIterator<Item = (String, &'a [usize], &'a [f32])>) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        header.insert(name, json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] }));
    }
    safetensors(&serde_json::Value::Object(header).to_string(), &data)
}
