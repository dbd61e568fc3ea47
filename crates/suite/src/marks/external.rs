//! A third party's mark or attack, as a program: JSON on its standard input, files in a folder, JSON on its standard output.
//! docs/suite.md, "Programs of your own", has the protocol.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use counterfoil_ticket::{Model, ModelFile, Overwrite};
use counterfoil_train::Network;
use counterfoil_train::data::Dataset;
use serde_json::{Value, json};

use super::{Mark, Teaching, lost};
use crate::OtherMark;

/// Version of the protocol.
const PROTOCOL: u32 = 1;

/// A program that is a mark.
#[derive(Debug, Clone, PartialEq)]
pub struct External {
    /// Its name.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
}

impl Mark for External {
    fn name(&self) -> &str {
        &self.name
    }

    fn on_model(&self, model: Model, seed: u64, _: &Teaching) -> Result<Model, String> {
        let (_, marked) = with_files(&self.command, "embed", seed, &json!({}), &[("model", &model)])?;
        let marked = marked.ok_or("the program has written no output")?;
        let is_same = |(name, array): (&String, &counterfoil_ticket::Array)| {
            marked.arrays.get(name).is_some_and(|other| other.shape() == array.shape())
        };
        if !model.arrays.iter().all(is_same) {
            return Err("the program has changed names or shapes of tensors".to_owned());
        }
        Ok(Model { description: model.description, masks: model.masks, ..marked })
    }

    fn read(&self, suspect: &Model, _: Option<&Network>, before: &Model, seed: u64, _: &Dataset) -> OtherMark {
        let read = || {
            let (answer, _) =
                with_files(&self.command, "read", seed, &json!({}), &[("suspect", suspect), ("original", before)])?;
            let holds = answer["holds"].as_bool().ok_or("the program's answer has no true or false 'holds'")?;
            let log2_p = answer["log2_p"].as_f64().map(|bits| bits.min(0.0));
            let reading = answer["reading"].as_str().unwrap_or_default().chars().take(200).collect();
            Ok::<_, String>(OtherMark { name: self.name.clone(), log2_p, holds, reading })
        };
        read().unwrap_or_else(|why| OtherMark { log2_p: None, ..lost(&self.name, &why) })
    }
}

/// Runs a program on models, which it finds as files: its answer, and the model that it has written.
pub(crate) fn with_files(
    command: &[String],
    task: &str,
    seed: u64,
    settings: &Value,
    models: &[(&str, &Model)],
) -> Result<(Value, Option<Model>), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut request = json!({ "protocol": PROTOCOL, "task": task, "seed": seed, "settings": settings });
    for (name, model) in models {
        let path = folder.path().join(format!("{name}.safetensors"));
        model.write_safetensors(&path, Overwrite::Refuse).map_err(|error| error.to_string())?;
        request[*name] = json!(path);
    }
    let output = folder.path().join("output.safetensors");
    request["output"] = json!(output);
    let answer = call(command, folder.path(), &request)?;
    let model = output.is_file().then(|| ModelFile::open(&output).and_then(|file| file.read()));
    Ok((answer, model.transpose().map_err(|error| error.to_string())?))
}

fn call(command: &[String], folder: &Path, request: &Value) -> Result<Value, String> {
    let (program, arguments) = command.split_first().ok_or("the command is empty")?;
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let mut child = Command::new(program)
        .args(arguments)
        .env("COUNTERFOIL_FOLDER", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // A program that does not read its request to the end may answer all the same.
        let _ = input.write_all(request.to_string().as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.trim().lines().last().unwrap_or("nothing").to_owned();
        return Err(format!("{program}: {}, and said: {last}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim() {
        "" => Ok(json!({})),
        text => serde_json::from_str(text).map_err(|error| format!("{program}: its answer is no JSON: {error}")),
    }
}
