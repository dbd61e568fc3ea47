//! The same few steps on a graphics adapter and on the CPU. `make test-gpu` builds what it takes, and runs them.
//!
//! On an adapter Burn's operations compute, on the CPU our kernels: the same sums in float32, in another order. A sum of n
//! terms then differs by some √n · 2⁻²⁴ of its size. The longest here, a weight's gradient over 64 images of 8×8 pixels,
//! has 4096 terms: 4e-6. Through twenty layers and back, and over four steps that each go on from the last one's result,
//! that may grow a hundredfold, to 4e-4. Whatever is computed wrongly (a border, a stride, a variance, the momentum) changes
//! an update by its own size. [`TOLERANCE`] is between the two.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use std::collections::BTreeMap;

use counterfoil_acceptance::Folder;
use counterfoil_ticket::{Array, Model};
use counterfoil_train::{DeviceChoice, Network};

/// Length of the difference of two updates of all weights, of the length of an update.
const TOLERANCE: f64 = 1e-2;
/// Share of the positions that pruning may decide otherwise: of magnitudes spread evenly, those within the tolerance of
/// the threshold. Four steps move weights by a twentieth of their range.
const OTHER_POSITIONS: f64 = TOLERANCE / 20.0 * 2.0;

const RECIPE: &str = "--data digits --limit 128 --batch 64 --epochs 2 --rate 0.1";

type Arrays = BTreeMap<String, Array>;

/// How far apart two results are, in lengths of the step from `start` to the second.
fn apart(start: &Arrays, found: &Arrays, expected: &Arrays) -> f64 {
    assert!(start.keys().eq(found.keys()) && start.keys().eq(expected.keys()));
    let (mut difference, mut step) = (0.0, 0.0);
    for (name, expected) in expected {
        let values = expected.values().iter().zip(found[name].values()).zip(start[name].values());
        for ((&expected, &found), &start) in values {
            difference += f64::from(found - expected).powi(2);
            step += f64::from(expected - start).powi(2);
        }
    }
    assert!(step > 0.0);
    (difference / step).sqrt()
}

/// The weights that a search for this ticket starts from.
fn initial(ticket: &Model) -> Arrays {
    let (architecture, normalisation) = (&ticket.description.architecture, &ticket.description.normalisation);
    let device = DeviceChoice::Cpu.open().unwrap();
    Network::initialise(architecture.clone().unwrap(), normalisation.clone().unwrap(), 0, &device).arrays()
}

fn correct(folder: &Folder, arguments: &str) -> u64 {
    let stdout = folder.succeeds(&format!("evaluate {arguments} --data digits --json"));
    serde_json::from_str::<serde_json::Value>(&stdout).unwrap()["correct"].as_u64().unwrap()
}

#[test]
#[ignore = "needs a binary built with --features wgpu, and an adapter: make test-gpu"]
fn an_adapter_computes_what_the_cpu_does() {
    let folder = Folder::new();
    folder.write_keys("owner", 7);
    for device in ["cpu", "wgpu"] {
        folder.succeeds(&format!(
            "find {RECIPE} --arch resnet20 --rewind 1 --sparsity 0.3 --prune-share 0.3 --device {device} -o {device}.ticket"
        ));
    }
    let [cpu, wgpu] = ["cpu.ticket", "wgpu.ticket"].map(|name| folder.model(name));
    let found = apart(&initial(&cpu), &wgpu.arrays, &cpu.arrays);
    println!("finding: the weights at the rewinding epoch, two steps on, are {found:.1e} apart");
    assert!(found < TOLERANCE);
    let of: usize = cpu.masks.values().map(|mask| mask.size()).sum();
    let masks = cpu.masks.values().zip(wgpu.masks.values());
    let other: usize = masks.map(|(a, b)| (0..a.size()).filter(|&p| a.keeps(p) != b.keeps(p)).count()).sum();
    println!("pruning: {other} of {of} positions are decided otherwise");
    assert!((other as f64) < OTHER_POSITIONS * of as f64);

    folder.succeeds("stamp cpu.ticket --key owner.key --unencrypted -o stamped.safetensors");
    for device in ["cpu", "wgpu"] {
        folder.succeeds(&format!(
            "train stamped.safetensors {RECIPE} --counterfoil stamped.counterfoil --no-triggers --device {device} \
             -o {device}.model"
        ));
    }
    let stamped = folder.model("stamped.safetensors");
    let mut start = stamped.arrays;
    stamped.masks.iter().for_each(|(name, mask)| mask.apply(start.get_mut(name).unwrap().values_mut()));
    let [cpu, wgpu] = ["cpu.model", "wgpu.model"].map(|name| folder.model(name).arrays);
    let found = apart(&start, &wgpu, &cpu);
    println!("training: four steps on, the weights are {found:.1e} apart");
    assert!(found < TOLERANCE);

    let verdicts = ["cpu", "wgpu"].map(|device| {
        let (code, report) = folder.verify(&format!("{device}.model --key owner.pub --tests mask"));
        let bits: Vec<_> = report.tests.iter().map(|test| test.log2_p).collect();
        (code, report.verdict, bits)
    });
    // Masks are held exactly, so this is exact too.
    assert!(verdicts[0].0 == 0 && verdicts[0] == verdicts[1], "{verdicts:?}");
    println!("verifying: both are {}", verdicts[0].1);

    let [cpu, wgpu] = ["cpu", "wgpu"].map(|device| correct(&folder, &format!("cpu.model --device {device}")));
    println!("evaluating: {cpu} and {wgpu} images are classified correctly");
    assert!(cpu.abs_diff(wgpu) <= 1); // whose two largest logits are as good as equal
}

#[test]
#[ignore = "needs a binary built with --features wgpu: make test-gpu"]
fn an_adapter_that_is_missing_is_an_error() {
    let folder = Folder::new();
    let mut command = folder.command(&format!("find {RECIPE} --arch mlp --device wgpu -o x"));
    // Without drivers: Vulkan's loader is told of none, and OpenGL's too.
    command.envs([("VK_DRIVER_FILES", "/dev/null"), ("VK_ICD_FILENAMES", "/dev/null")]);
    command.env("__EGL_VENDOR_LIBRARY_FILENAMES", "/dev/null");
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let said = "error: device 'wgpu' is not there: found 0 of its kind\nhint: install a Vulkan driver";
    assert!(output.status.code() == Some(2) && stderr.starts_with(said), "{stderr}");
    assert!(folder.listing().is_empty());
}
