//! Networks whose numbers are too large to compute with.

use counterfoil_ticket::{Kind, Model};
use snapbox::str;

use crate::kit::{Folder, Size, ticket};

/// A network for the digits whose outputs are NaN.
fn huge() -> Model {
    let mut model = ticket(Size::Usual);
    model.description.kind = Kind::Model;
    for array in model.arrays.values_mut() {
        array.values_mut().iter_mut().for_each(|value| *value *= 1e37);
    }
    model
}

#[test]
fn a_network_that_answers_nan_has_no_accuracy() {
    let folder = Folder::new();
    folder.write_model("huge.safetensors", &huge());
    folder.write_model("ticket.safetensors", &ticket(Size::Usual));
    folder.refuses(
        "evaluate huge.safetensors --data digits",
        str![[r#"
error: huge.safetensors: the network's outputs are not finite numbers for 400 of 400 images, expected finite ones
hint: its weights, or the normalisation of its images, are too large to compute with

"#]],
    );
    folder.refuses(
        "evaluate ticket.safetensors --data digits --normalisation 0.5:1e-40",
        str![[r#"
error: ticket.safetensors: the network's outputs are not finite numbers for 400 of 400 images, expected finite ones
hint: its weights, or the normalisation of its images, are too large to compute with

"#]],
    );
}

#[test]
fn an_answer_that_is_nan_is_a_missed_trigger() {
    let folder = Folder::new();
    folder.write_model("huge.safetensors", &huge());
    let report = folder.json("verify huge.safetensors --key owner.pub --tests trigger --json");
    let hits: Vec<_> = report["tests"].as_array().unwrap().iter().map(|test| test["hits"].as_u64()).collect();
    assert_eq!(hits, [Some(0)], "{report:#}");
}

#[test]
fn training_that_diverges_says_when_and_keeps_what_is_there() {
    let folder = Folder::with_ticket();
    folder.write("model.bin", b"an earlier one");
    let train = "train ticket.safetensors --data digits --limit 200 --batch 200 --epochs 3";
    let output = folder.command(&format!("{train} --rate 1e30 -o model.bin --force")).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let said = "error: the network's output is no longer finite after epoch 1, expected finite numbers\n\
                hint: try a lower --rate, with --force if this run has left a progress file\n";
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{stderr}");
    assert!(stderr.ends_with(said), "{stderr}");
    assert_eq!(folder.read("model.bin"), b"an earlier one");

    let find = "find --data digits --limit 200 --batch 200 --arch mlp --hidden 20 --epochs 3 --rate 1e30 -o found";
    let output = folder.command(find).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && stderr.contains("epoch 1, expected"), "{stderr}");
}
