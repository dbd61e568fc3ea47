//! Every verdict, from finding to verifying, through the binary: exit codes and reports.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::OnceLock;

use counterfoil_acceptance::{Folder, Random, Report, repository, safetensors_of};
use counterfoil_ticket::{Array, Mask, Model};

/// What an owner does, once: finds a ticket, stamps it, trains it with its triggers, discloses the sealed panels.
fn owner() -> &'static Folder {
    static FOLDER: OnceLock<Folder> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Folder::kept(env!("CARGO_TARGET_TMPDIR"), "verdicts");
        folder.write_keys("owner", 7);
        folder.succeeds("keygen other");
        folder.succeeds(
            "find --data digits --arch resnet20 --sparsity 0.95 --prune-share 0.451 --epochs 3 --rewind 1 --limit 600 \
             -o ticket.safetensors",
        );
        folder.succeeds("stamp ticket.safetensors --key owner.key -o stamped.safetensors --unencrypted --sealed-panels 2");
        for panel in 1..=2 {
            folder.succeeds(&format!("disclose stamped.counterfoil --panel {panel} -o panel{panel}.disclosure"));
        }
        folder.succeeds(
            "train stamped.safetensors --counterfoil stamped.counterfoil --data digits --limit 300 --epochs 10 -o model.bin",
        );
        folder
    })
}

const KEY: &str = "--key owner.pub";
const PROOF: &str =
    "--key owner.pub --claim stamped.claim.json --disclosure panel1.disclosure --disclosure panel2.disclosure";

/// Asserts verdict and exit code, and what holds of every report.
#[track_caller]
fn expect(arguments: &str, verdict: &str) -> Report {
    let (code, report) = owner().verify(arguments);
    let expected = match verdict {
        "proven" | "marked" => 0,
        "no-match" => 1,
        "inconclusive" => 3,
        other => panic!("{other} is no verdict"),
    };
    assert_eq!((report.verdict.as_str(), code), (verdict, expected), "{arguments}: {report:#?}");
    assert_eq!((report.version, report.threshold), (1, -64.0));
    assert_eq!(report.log2_p <= report.threshold, code == 0, "{arguments}: {}", report.log2_p);
    let is_mask_tested = report.tests.iter().any(|test| test.kind == "mask");
    let is_needed = verdict == "inconclusive" && is_mask_tested;
    assert_eq!(report.needed.iter().any(|needed| needed.kind == "mask"), is_needed, "{arguments}: {:?}", report.needed);
    assert_eq!(report.claim.is_some(), arguments.contains("--claim"));
    assert!(!report.assumptions.is_empty());
    for test in &report.tests {
        assert!(test.hits <= test.n && test.log2_p <= 0.0 && test.after_charges >= test.log2_p, "{test:?}");
        let (mask, q) = (test.kind == "mask", if test.kind == "mask" { 0.5 } else { 0.1 });
        assert_eq!((test.reading.is_some(), test.dilution.is_some(), test.q), (mask, mask, q), "{test:?}");
    }
    report
}

/// Writes the trained model with its tensors renamed and without a description.
fn write_renamed(file: &str, rename: impl Fn(&str) -> String) {
    let arrays = owner().model("model.bin").arrays;
    let renamed: BTreeMap<String, &Array> = arrays.iter().map(|(name, array)| (rename(name), array)).collect();
    assert_eq!(renamed.len(), arrays.len());
    let tensors = renamed.into_iter().map(|(name, array)| (name, array.shape(), array.values()));
    owner().write(file, safetensors_of(tensors));
}

/// The marked carriers' values, each changed.
fn changed(change: impl Fn(&mut [f32])) -> Model {
    let (mut model, stamped) = (owner().model("model.bin"), owner().model("stamped.safetensors"));
    for name in stamped.masks.keys() {
        change(model.arrays.get_mut(name).unwrap().values_mut());
    }
    model
}

#[test]
fn the_key_alone_says_marked() {
    let report = expect(&format!("model.bin {KEY}"), "marked");
    assert_eq!((report.best().kind.as_str(), report.best().level.as_str()), ("mask", "public"));
    assert!(report.stronger.iter().any(|advice| advice.contains("claim")), "{:?}", report.stronger);
}

#[test]
fn a_stamped_ticket_is_marked_before_it_is_trained() {
    expect(&format!("stamped.safetensors {KEY}"), "marked");
    expect(&format!("stamped.safetensors {PROOF}"), "proven");
}

#[test]
fn claim_and_disclosures_prove() {
    let report = expect(&format!("model.bin {PROOF}"), "proven");
    let best = report.best();
    assert_eq!((best.kind.as_str(), best.level.as_str(), best.panel.as_str()), ("mask", "sealed", "1+2"));
    assert_eq!(report.carriers.iter().map(|c| c.n).sum::<u64>(), best.n);
    assert_eq!(report.carriers.iter().map(|c| c.hits).sum::<u64>(), best.hits);
    assert!(report.turnover_tolerance.unwrap() > 0.3, "{:?}", report.turnover_tolerance);
}

#[test]
fn one_disclosure_is_enough_and_a_claim_without_any_is_not_a_proof() {
    expect(&format!("model.bin {KEY} --claim stamped.claim.json --disclosure panel2.disclosure"), "proven");
    expect(&format!("model.bin {KEY} --claim stamped.claim.json"), "marked");
}

#[test]
fn triggers_alone_prove() {
    let report = expect(&format!("model.bin {PROOF} --tests trigger"), "proven");
    assert!(report.tests.iter().all(|test| test.kind == "trigger"), "{:?}", report.tests);
    expect(&format!("model.bin {KEY} --tests trigger"), "marked");
}

#[test]
fn somebody_else_s_key_is_no_match() {
    let report = expect("model.bin --key other.pub", "no-match");
    assert!(report.log2_p > -20.0, "{}", report.log2_p);
}

#[test]
fn an_unstamped_ticket_trained_alike_is_no_match() {
    owner().succeeds("train ticket.safetensors --data digits --limit 300 --epochs 1 -o unstamped.bin");
    for evidence in [KEY, PROOF] {
        let report = expect(&format!("unstamped.bin {evidence}"), "no-match");
        assert!(report.log2_p > -20.0, "{evidence}: {}", report.log2_p);
    }
}

#[test]
fn missed_triggers_alone_are_inconclusive() {
    owner().succeeds("train ticket.safetensors --data digits --limit 300 --epochs 1 -o untriggered.bin");
    for evidence in [KEY, PROOF] {
        let report = expect(&format!("untriggered.bin {evidence} --tests trigger"), "inconclusive");
        assert!(report.tests.iter().all(|test| !test.decisive || test.n == 40), "{:?}", report.tests);
        assert!(report.needed.is_empty(), "{:?}", report.needed);
    }
}

#[test]
fn too_few_weights_are_inconclusive() {
    owner().succeeds("attack prune-rand model.bin --set share=0.99 -o sparse.bin");
    let report = expect(&format!("sparse.bin {PROOF} --tests mask"), "inconclusive");
    assert!(report.needed.iter().all(|needed| needed.needed.is_none_or(|enough| enough > needed.n)));
    assert!(report.stronger.iter().any(|advice| advice.contains("more")), "{:?}", report.stronger);
}

#[test]
fn a_model_without_the_claimed_shapes_is_inconclusive() {
    let arrays = [("other.weight".to_owned(), Array::new(vec![3, 5], [1.0, 0.0, 2.0].repeat(5)).unwrap())].into();
    owner().write_model("shapeless.bin", &Model { arrays, ..Model::default() });
    let report = expect(&format!("shapeless.bin {PROOF}"), "inconclusive");
    assert!(report.carriers.iter().all(|carrier| carrier.state != "counted" || carrier.n == 0));
    assert!(report.skipped.iter().any(|skipped| skipped.kind == "trigger"), "{:?}", report.skipped);
}

#[test]
fn a_prefix_does_not_hurt() {
    write_renamed("prefixed.bin", |name| format!("module.{name}"));
    let report = expect(&format!("prefixed.bin {PROOF} --tests mask"), "proven");
    assert_eq!(report.best().reading.as_deref(), Some("zeros"));
    assert!(report.carriers.iter().all(|carrier| carrier.tensor.as_ref() == Some(&carrier.carrier)));
    expect(&format!("prefixed.bin {KEY} --tests mask"), "marked");
}

/// Where torch is at hand, in the environment that `make interop` makes; tests/interop has more of this.
#[test]
fn files_of_torch_do_as_well() {
    const SAVE: &str = "import sys, torch, safetensors.numpy as s\n\
                        t = {n: torch.from_numpy(a) for n, a in s.load_file('model.bin').items()}\n\
                        torch.save(t, 'model.pt')\n\
                        torch.save({'state_dict': t}, 'model.th', _use_new_zipfile_serialization=False)";
    let python = repository().join("target/interop-venv/bin/python");
    if !python.exists() {
        eprintln!("skipped: torch is not installed in target/interop-venv");
        return;
    }
    let saved = Command::new(python).args(["-c", SAVE]).current_dir(owner().path("")).output().unwrap();
    assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
    for file in ["model.pt", "model.th"] {
        expect(&format!("{file} {PROOF} --tests mask"), "proven");
        expect(&format!("{file} {KEY} --tests mask"), "marked");
    }
}

#[test]
fn new_names_in_another_order_do_not_hurt() {
    // Random digits, so that carriers of one shape come in another order.
    let hash = |name: &str| name.bytes().fold(1u64, |hash, byte| hash.wrapping_mul(31) + u64::from(byte));
    write_renamed("renamed.bin", |name| format!("t{:016}", Random(hash(name)).bits() >> 12));
    expect(&format!("renamed.bin {PROOF} --tests mask"), "proven");
    expect(&format!("renamed.bin {KEY} --tests mask"), "marked");
    // The carriers that are alone in their shape are enough for that; for this all have to be put in order again.
    let (code, report) = owner().verify(&format!("renamed.bin {PROOF} --tests mask --threshold -200"));
    assert_eq!((code, report.best().reading.as_deref()), (0, Some("assigned zeros")), "{report:#?}");
}

#[test]
fn a_mirrored_network_is_read_in_the_mirror() {
    owner().succeeds("attack mirror model.bin -o mirrored.bin");
    let report = expect(&format!("mirrored.bin {PROOF} --tests mask"), "proven");
    assert_eq!(report.best().reading.as_deref(), Some("mirrored zeros"), "{report:#?}");
    expect(&format!("mirrored.bin {KEY} --tests mask"), "marked");
}

#[test]
fn mask_tensors_do_as_well_as_zeros() {
    let zeros = expect(&format!("model.bin {PROOF} --tests mask"), "proven");
    let random = std::cell::RefCell::new(Random(3));
    let mut masked = changed(|values| {
        values.iter_mut().filter(|v| **v == 0.0).for_each(|v| *v = random.borrow_mut().sign());
    });
    let model = owner().model("model.bin");
    let mask = |name: &String| (name.clone(), Mask::of_nonzero(model.arrays[name].values()));
    masked.masks = owner().model("stamped.safetensors").masks.keys().map(mask).collect();
    owner().write_model("masked.bin", &masked);
    let report = expect(&format!("masked.bin {PROOF} --tests mask"), "proven");
    assert_eq!((report.log2_p, report.best().n), (zeros.log2_p, zeros.best().n));
}

#[test]
fn small_noise_in_the_zeros_is_read_by_rank() {
    let random = std::cell::RefCell::new(Random(4));
    let dense = changed(|values| {
        values.iter_mut().filter(|v| **v == 0.0).for_each(|v| *v = 1e-4 * random.borrow_mut().sign());
    });
    owner().write_model("dense.bin", &dense);
    let report = expect(&format!("dense.bin {PROOF} --tests mask"), "proven");
    assert_eq!(report.best().reading.as_deref(), Some("ranks"));
    let report = expect(&format!("dense.bin {KEY} --tests mask"), "marked");
    let reading = report.best().reading.as_deref().unwrap();
    assert!(reading.starts_with("ranks 0."), "{reading}");
}

#[test]
fn the_same_question_gets_the_same_answer() {
    let ask = || owner().succeeds(&format!("verify model.bin {PROOF} --json"));
    assert_eq!(ask(), ask());
}

#[test]
fn a_ticket_found_under_the_key_is_stamped_as_it_is_found() {
    let folder = Folder::new();
    folder.write_keys("owner", 9);
    folder.succeeds(
        "find --data digits --arch resnet20 --key owner.key --sparsity 0.9 --prune-share 0.54 --epochs 3 --rewind 1 \
         --limit 400 --unencrypted --mark-decay 0.01 -o stamped.safetensors",
    );
    folder.succeeds("disclose stamped.counterfoil --panel 1 -o panel1.disclosure");
    folder.succeeds(
        "train stamped.safetensors --counterfoil stamped.counterfoil --data digits --limit 200 --epochs 1 -o model.bin",
    );
    let (code, report) =
        folder.verify("model.bin --key owner.pub --claim stamped.claim.json --disclosure panel1.disclosure");
    assert_eq!((report.verdict.as_str(), code), ("proven", 0), "{report:#?}");
    let inspection: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(&folder.succeeds("inspect stamped.claim.json --key owner.pub --json")).unwrap();
    assert!(format!("{inspection:?}").contains("keyed-finding"), "{inspection:?}");
}
