//! What acceptance tests share: a folder, the built binary run in it, and the report that it prints.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

mod owner;
mod real_mask;
mod report;
mod safetensors_bytes;
mod statistics;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use counterfoil_claim::OwnerKey;
use counterfoil_ticket::{Model, ModelFile, Overwrite};
use tempfile::TempDir;

pub use owner::{Owner, model_on, ticket};
pub use real_mask::{prune_checkpoint, real_mask};
pub use report::{Carrier, Dispute, Missing, Needed, Overlap, Party, Report, Skipped, Test};
pub use safetensors_bytes::{safetensors, safetensors_of};
pub use statistics::assert_calibrated;

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The binary of the profile that the running test was built in.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let binary = profile.join(format!("counterfoil{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.exists(), "{} is not built: run `cargo build -p counterfoil-cli` first", binary.display());
    binary
}

/// A folder that commands run in.
pub struct Folder {
    path: PathBuf,
    _removed_with_it: Option<TempDir>,
}

impl Folder {
    /// An empty one, removed in the end.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().to_owned(), _removed_with_it: Some(folder) }
    }

    /// One of this name in a test's `CARGO_TARGET_TMPDIR`, emptied, and kept: for what tests of one file share.
    pub fn kept(parent: &str, name: &str) -> Self {
        let path = Path::new(parent).join(name);
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir_all(&path).unwrap();
        Self { path, _removed_with_it: None }
    }

    /// Where a file of it is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file, and its folder.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Reads a file.
    #[track_caller]
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Reads a model.
    pub fn model(&self, name: &str) -> Model {
        ModelFile::open(&self.path(name)).unwrap().read().unwrap()
    }

    /// Writes a model.
    pub fn write_model(&self, name: &str, model: &Model) {
        model.write_safetensors(&self.path(name), Overwrite::Replace).unwrap();
    }

    /// Writes `NAME.key` and `NAME.pub` of the owner with this number.
    pub fn write_keys(&self, name: &str, number: u8) -> OwnerKey {
        let key = OwnerKey::from_seed(&[number; 32]);
        self.write(&format!("{name}.key"), key.to_pem(None).as_bytes());
        self.write(&format!("{name}.pub"), key.public().to_pem());
        key
    }

    /// Names of its files in order, without those that start with a dot.
    pub fn listing(&self) -> Vec<String> {
        let names = fs::read_dir(&self.path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    /// The binary in this folder, without a terminal, with its arguments separated by blanks.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments.split_whitespace())
            .current_dir(&self.path)
            .env_remove("COUNTERFOIL_PASSPHRASE_FILE")
            .env_remove("COUNTERFOIL_KEY_PASSPHRASE_FILE")
            .env("SOURCE_DATE_EPOCH", "1767225600") // 2026-01-01
            .env("COLUMNS", "120")
            .stdin(Stdio::null());
        command
    }

    /// Exit code, standard output and standard error of a command.
    pub fn run(&self, arguments: &str) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).expect("the binary prints UTF-8");
        (status.code().expect("it exits by itself"), text(stdout), text(stderr))
    }

    /// Runs a command that has to succeed.
    #[track_caller]
    pub fn succeeds(&self, arguments: &str) -> String {
        let (code, stdout, stderr) = self.run(arguments);
        assert_eq!(code, 0, "{arguments}\n{stdout}{stderr}");
        stdout
    }

    /// Runs `verify … --json`: the exit code and the report, every field of which is documented.
    #[track_caller]
    pub fn verify(&self, arguments: &str) -> (i32, Report) {
        let (code, stdout, stderr) = self.run(&format!("verify {arguments} --json"));
        let report =
            serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{arguments}: {error}\n{stdout}{stderr}"));
        (code, report)
    }

    /// Asserts that a command is refused on account of this file: exit code 2, one sentence that names the file and
    /// contains `reason`, nothing printed, nothing written.
    #[track_caller]
    pub fn refuses(&self, arguments: &str, file: &str, reason: &str) {
        let before = self.listing();
        let (code, stdout, stderr) = self.run(arguments);
        let sentence = stderr.lines().next().unwrap_or_default();
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments}\n{stderr}");
        assert!(sentence.starts_with(&format!("error: {file}")), "{arguments}\n{stderr}expected {file}: … {reason}");
        assert!(sentence.contains(reason), "{arguments}\n{stderr}expected {file}: … {reason}");
        assert_eq!(self.listing(), before, "{arguments}");
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

/// SplitMix64 (Steele et al. 2014): the same numbers on every run.
pub struct Random(pub u64);

impl Random {
    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 32 uniform bytes.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.bits().to_le_bytes()));
        bytes
    }

    /// Uniform in [−1, 1).
    pub fn sign(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}
