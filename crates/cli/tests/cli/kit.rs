//! A folder with an owner's files in it, and the binary run there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use counterfoil_claim::{Counterfoil, Identity, OwnerKey, PanelId, Protection};
use counterfoil_mark::{StampRequest, Stamped, SwapSettings, prepare};
use counterfoil_ticket::{Architecture, Array, ImageShape, Kind, Mask, Model, Normalisation, Overwrite, Provenance};
use snapbox::cmd::{Command, OutputAssert};
use tempfile::TempDir;

/// A folder of its own for a test.
pub(crate) struct Folder(TempDir);

impl Folder {
    /// With two owners' keys: `owner` and `other`.
    pub(crate) fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, number) in [("owner", 7), ("other", 8)] {
            let key = OwnerKey::from_seed(&[number; 32]);
            folder.write(&format!("{name}.key"), key.to_pem(None).as_bytes());
            folder.write(&format!("{name}.pub"), key.public().to_pem().as_bytes());
        }
        folder
    }

    /// With a ticket too.
    pub(crate) fn with_ticket() -> Self {
        let folder = Self::new();
        folder.write_model("ticket.safetensors", &ticket(Size::Usual));
        folder
    }

    /// With what `stamp --unencrypted` makes of the ticket, and its panel 1 disclosed.
    pub(crate) fn stamped() -> Self {
        let folder = Self::with_ticket();
        let stamped = stamped();
        folder.write_model("stamped.safetensors", &stamped.model);
        folder.write("stamped.claim.json", stamped.claim.as_bytes());
        folder.write("stamped.counterfoil", &stamped.counterfoil.seal(&Protection::None).unwrap());
        let panel = PanelId::sealed(1).unwrap();
        folder.write("panel1.disclosure", stamped.counterfoil.disclose(panel).unwrap().as_bytes());
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn write_model(&self, name: &str, model: &Model) {
        model.write_safetensors(&self.path(name), Overwrite::Replace).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn json(&self, command: &str) -> serde_json::Value {
        let output = self.command(command).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Writes a copy of a safetensors file in which one tensor has another name.
    pub(crate) fn write_renamed(&self, from: &str, to: &str, tensor: &str, name: &str) {
        let bytes = self.read(from);
        let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&bytes[8..start]).unwrap();
        let entry = header.remove(tensor).unwrap();
        header.insert(name.to_owned(), entry);
        let header = serde_json::to_vec(&header).unwrap();
        self.write(to, &[&(header.len() as u64).to_le_bytes(), &header[..], &bytes[start..]].concat());
    }

    /// Names of all files, in order.
    pub(crate) fn listing(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// The binary in this folder, without a terminal, with its arguments separated by blanks.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        Command::new(env!("CARGO_BIN_EXE_counterfoil"))
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .env_remove("COUNTERFOIL_PASSPHRASE_FILE")
            .env_remove("COUNTERFOIL_KEY_PASSPHRASE_FILE")
            .env("SOURCE_DATE_EPOCH", "1767225600") // 2026-01-01
            .env("COLUMNS", "100")
            .stdin("")
    }

    pub(crate) fn run(&self, arguments: &str) -> OutputAssert {
        self.command(arguments).assert()
    }

    /// Asserts that the command fails with this message and exit code 2, and neither prints nor writes anything.
    #[track_caller]
    pub(crate) fn refuses(&self, arguments: &str, stderr: impl snapbox::IntoData) {
        let before = self.listing();
        self.run(arguments).code(2).stdout_eq("").stderr_eq(stderr);
        assert_eq!(self.listing(), before);
    }
}

/// How many weights a ticket keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// About 6,000: enough for one sealed panel or more.
    Usual,
    /// About 300.
    Small,
}

/// A ticket of random weights and masks: 8x8 images, two hidden layers.
pub(crate) fn ticket(size: Size) -> Model {
    let input = ImageShape { channels: 1, height: 8, width: 8 };
    let architecture = Architecture::Mlp { input, hidden: vec![300, 100], classes: 10 };
    let density = if size == Size::Usual { 0.12 } else { 0.006 };
    let mut random = Random(2026);
    let mut model = Model::default();
    for layer in architecture.layers() {
        let weights: Vec<f32> = (0..layer.shape.size()).map(|_| random.weight()).collect();
        if layer.prunable {
            model.masks.insert(layer.weight(), Mask::from_fn(weights.len(), |_| random.share() < density));
        }
        let (out, inp) = (layer.shape.out as usize, layer.shape.inp as usize);
        model.arrays.insert(layer.weight(), Array::new(vec![out, inp], weights).unwrap());
        model.arrays.insert(format!("{}.bias", layer.name), Array::new(vec![out], vec![0.0; out]).unwrap());
    }
    model.description.kind = Kind::Ticket;
    model.description.architecture = Some(architecture);
    model.description.normalisation = Some(Normalisation { mean: vec![0.5], std: vec![0.25] });
    model.description.provenance = Provenance::Random;
    model
}

/// The ticket as `owner` stamps it.
pub(crate) fn stamped() -> &'static Stamped {
    static STAMPED: OnceLock<Stamped> = OnceLock::new();
    STAMPED.get_or_init(|| {
        let request = StampRequest { swaps: SwapSettings::default(), keyed: None, provenance: None };
        let (ticket, key) = (ticket(Size::Usual), OwnerKey::from_seed(&[7; 32]));
        let prepared = prepare(&ticket, &key, request).unwrap();
        prepared.finish("2026-01-01T00:00:00Z", "stamped.safetensors").unwrap()
    })
}

/// The counterfoil encrypted to an SSH key, whose private half is at the path returned.
pub(crate) fn sealed_to_ssh(counterfoil: &Counterfoil) -> (Vec<u8>, PathBuf) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../claim/tests/ssh");
    let public = fs::read_to_string(folder.join("id_ed25519.pub")).unwrap();
    let recipient = counterfoil_claim::Recipient::parse(&public).unwrap();
    let private = folder.join("id_ed25519");
    assert!(Identity::parse(&fs::read_to_string(&private).unwrap(), None).is_ok(), "{}", private.display());
    (counterfoil.seal(&Protection::Recipients(vec![recipient])).unwrap(), private)
}

/// SplitMix64 (Steele et al. 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub(crate) fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Of either sign, never 0.
    pub(crate) fn weight(&mut self) -> f32 {
        let size = 0.05 + self.share() as f32 / 10.0;
        if self.share() < 0.5 { size } else { -size }
    }
}
