//! The folder of a suite: subjects, attacked models and lines, each under the digest of all that it depends on.
//!
//! Everything is put in place whole, by renaming, so that a run that is killed leaves nothing half done and several
//! processes may work in one folder. What is there is never made again.

use std::io::Write;
use std::path::{Path, PathBuf};

use counterfoil_ticket::{Digest, Model, ModelFile, Overwrite, Secrecy, write_atomically};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Line, SuiteError};

/// What tells a suite's folder from others.
const STAMP_FILE: &str = "suite-folder.json";

/// What a suite's folder is made of.
const FOLDERS: [&str; 4] = ["subjects", "models", "lines", "work"];

/// All lines.
const RESULTS: &str = "results.jsonl";

/// A digest of all that something depends on, hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(String);

impl Id {
    /// Of what a JSON value says; its objects' keys are sorted.
    pub fn of(content: &Value) -> Self {
        Self(Digest::of([content.to_string()]).to_string())
    }

    /// As in file names.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A suite's folder.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens a folder, and makes it if it is not there.
    ///
    /// # Errors
    ///
    /// It cannot be made, or holds other things.
    pub fn open(folder: &Path) -> Result<Self, SuiteError> {
        let stamp = folder.join(STAMP_FILE);
        if !stamp.is_file() {
            let entries = std::fs::read_dir(folder);
            if folder.exists() && entries.map_err(io(folder, "read"))?.next().is_some() {
                let what = "holds other things, expected an empty folder or one of a suite".to_owned();
                return Err(SuiteError::Folder { folder: folder.to_owned(), what });
            }
            for part in FOLDERS {
                let part = folder.join(part);
                std::fs::create_dir_all(&part).map_err(io(&part, "made"))?;
            }
            let text = format!("{{\"counterfoil-suite\": {FORM}}}\n");
            write(&stamp, text.as_bytes())?;
        }
        // Whole: the nodes of a cluster work in other places.
        Ok(Self { folder: folder.canonicalize().map_err(io(folder, "read"))? })
    }

    /// Opens a folder that a suite has made.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn existing(folder: &Path) -> Result<Self, SuiteError> {
        if folder.join(STAMP_FILE).is_file() {
            return Ok(Self { folder: folder.to_owned() });
        }
        let what = "is no folder of a suite, expected what 'suite run' or 'suite add' has written".to_owned();
        Err(SuiteError::Folder { folder: folder.to_owned(), what })
    }

    /// Whether a file of this path would be one of the folder's own, or lie among them.
    pub fn keeps(&self, path: &Path) -> bool {
        let whole = |path: &Path| path.canonicalize().ok();
        let parent = path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
        let Some((parent, folder)) = parent.and_then(whole).zip(whole(&self.folder)) else { return false };
        let is_own = path.file_name().is_some_and(|name| name == STAMP_FILE || name == RESULTS);
        FOLDERS.iter().any(|own| parent.starts_with(folder.join(own))) || (parent == folder && is_own)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Folder of a subject.
    pub(crate) fn subject(&self, id: &Id) -> PathBuf {
        self.folder.join("subjects").join(id.as_str())
    }

    /// Place for what is kept while a subject is being made.
    pub(crate) fn work(&self, id: &Id, what: &str) -> PathBuf {
        self.folder.join("work").join(format!("{}.{what}", id.as_str()))
    }

    /// A folder of its own in which something is put together before it is put in place.
    pub(crate) fn staging(&self) -> Result<TempDir, SuiteError> {
        let work = self.folder.join("work");
        TempDir::new_in(&work).map_err(io(&work, "written"))
    }

    /// File of an attacked model.
    pub(crate) fn model(&self, id: &Id) -> PathBuf {
        self.folder.join("models").join(format!("{}.safetensors", id.as_str()))
    }

    /// Puts an attacked model in place, with the seconds that its last step took, and opens its file.
    pub(crate) fn put_model(&self, id: &Id, model: &Model, seconds: f64) -> Result<ModelFile, SuiteError> {
        // First, so that no model is there without them.
        write(&self.seconds_file(id), serde_json::json!(seconds).to_string().as_bytes())?;
        let path = self.model(id);
        model.write_safetensors(&path, Overwrite::Replace)?;
        Ok(ModelFile::open(&path)?)
    }

    /// Seconds that the step took whose model is in place.
    pub(crate) fn seconds(&self, id: &Id) -> Result<f64, SuiteError> {
        read_json(&self.seconds_file(id), "the seconds of an attack")
    }

    fn seconds_file(&self, id: &Id) -> PathBuf {
        self.folder.join("models").join(format!("{}.seconds", id.as_str()))
    }

    fn line_file(&self, id: &Id) -> PathBuf {
        self.folder.join("lines").join(format!("{}.json", id.as_str()))
    }

    /// Whether a run is done.
    pub fn has_line(&self, id: &Id) -> bool {
        self.line_file(id).is_file()
    }

    /// Puts a run's line in place.
    pub fn put_line(&self, id: &Id, line: &Line) -> Result<(), SuiteError> {
        let text = serde_json::to_string(line).expect("a line is numbers and texts");
        write(&self.line_file(id), format!("{text}\n").as_bytes())
    }

    /// All lines, in the order of their subjects, attacks and seeds.
    ///
    /// # Errors
    ///
    /// A file that is no line.
    pub fn lines(&self) -> Result<Vec<Line>, SuiteError> {
        let folder = self.folder.join("lines");
        let mut lines = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(io(&folder, "read"))? {
            let path = entry.map_err(io(&folder, "read"))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let line = read_json::<Line>(&path, "a line of a suite")?;
                line.check().map_err(|reason| SuiteError::Form {
                    file: path.clone(),
                    expected: "a line of a suite",
                    reason,
                })?;
                lines.push(line);
            }
        }
        lines.sort_by(|a, b| a.order().cmp(&b.order()));
        Ok(lines)
    }

    /// Writes all lines to `results.jsonl`, and gives them with its place.
    pub fn write_results(&self) -> Result<(PathBuf, Vec<Line>), SuiteError> {
        let lines = self.lines()?;
        let text: String = lines.iter().map(|line| format!("{}\n", serde_json::json!(line))).collect();
        let path = self.folder.join(RESULTS);
        write(&path, text.as_bytes())?;
        Ok((path, lines))
    }
}

/// Version of the folder's form.
const FORM: u32 = 1;

pub(crate) fn io<'a>(file: &'a Path, what: &'static str) -> impl Fn(std::io::Error) -> SuiteError + 'a {
    move |source| SuiteError::Io { file: file.to_owned(), what, source }
}

/// SHA-256 of a file, hexadecimal.
pub(crate) fn file_digest(path: &Path) -> Result<String, SuiteError> {
    Ok(Digest::of([std::fs::read(path).map_err(io(path, "read"))?]).to_string())
}

/// Puts a file in place, whole.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), SuiteError> {
    Ok(write_atomically(path, Overwrite::Replace, Secrecy::Public, |out: &mut dyn Write| out.write_all(bytes))?)
}

/// Puts a private file in place, whole.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), SuiteError> {
    Ok(write_atomically(path, Overwrite::Replace, Secrecy::Secret, |out: &mut dyn Write| out.write_all(bytes))?)
}

/// Reads a file of JSON.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path, expected: &'static str) -> Result<T, SuiteError> {
    let text = std::fs::read_to_string(path).map_err(io(path, "read"))?;
    serde_json::from_str(&text).map_err(|error| SuiteError::Form {
        file: path.to_owned(),
        expected,
        reason: error.to_string(),
    })
}
