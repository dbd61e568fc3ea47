//! The graph vectors of fixtures/protocol, which make_graph_vectors.py computes without this crate.

use std::collections::BTreeMap;

use counterfoil_graph::{MaskGraph, Sparsity, fingerprint, summarise};
use counterfoil_ticket::{Architecture, Mask};
use serde_json::Value;

fn vectors() -> Vec<Value> {
    let file: Value =
        serde_json::from_str(include_str!("../../../fixtures/protocol/graph-vectors.json")).expect("the file is JSON");
    file["vectors"].as_array().expect("vectors is a list").clone()
}

fn graph_of(vector: &Value) -> MaskGraph {
    let architecture: Architecture =
        serde_json::from_value(vector["architecture"].clone()).expect("a described architecture");
    let sizes: BTreeMap<String, usize> =
        architecture.layers().iter().map(|layer| (layer.weight(), layer.shape.size())).collect();
    let masks = vector["masks"].as_object().expect("masks by name").iter().map(|(name, bits)| {
        let bytes = hex::decode(bits.as_str().expect("a string")).expect("hexadecimal");
        (name.clone(), Mask::from_bytes(sizes[name], &bytes).expect("mask bits"))
    });
    MaskGraph::build(&architecture, &masks.collect()).expect("built")
}

#[test]
fn fingerprints_are_those_of_the_vectors() {
    for vector in vectors() {
        let found = hex::encode(fingerprint(&graph_of(&vector)));
        assert_eq!(found, vector["fingerprint"], "{}", vector["name"]);
    }
}

#[test]
fn statistics_are_those_of_the_vectors() {
    for vector in vectors() {
        let summary = summarise(&graph_of(&vector));
        let all: Sparsity = summary.sparsity.iter().map(|layer| layer.weights).sum();
        let dead: Vec<usize> = summary.groups.iter().map(|group| group.dead).collect();
        let found = serde_json::json!({
            "channels": summary.channels,
            "kernels": summary.kernels,
            "components": summary.components,
            "paths": summary.paths.to_string(),
            "dead": dead,
            "kept": all.kept,
            "live": all.live,
        });
        for (key, value) in found.as_object().expect("an object") {
            assert_eq!(value, &vector[key], "{} of {}", key, vector["name"]);
        }
    }
}
