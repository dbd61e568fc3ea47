//! Runs that are killed, and runs with the same seed: the bytes are the same.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use counterfoil_acceptance::Folder;
use counterfoil_ticket::ModelFile;

const FIND: &str = "find --data digits --arch mlp --hidden 200,80 --limit 1000 --epochs 6 --rewind 1 --sparsity 0.8 \
                    --prune-share 0.3 -o out.safetensors";
const TRAIN: &str = "train stamped.safetensors --counterfoil stamped.counterfoil --data digits --limit 1000 --epochs 24 \
                     -o out.safetensors";
const PROGRESS: &str = "out.safetensors.progress";

/// What a checkpoint file is told by: it is replaced as a whole, never written in place.
fn version(path: &Path) -> Option<(SystemTime, u64)> {
    let data = fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len()))
}

/// Starts a command and kills it (SIGKILL on Unix) as soon as its checkpoint has been seen to change `changes` times;
/// at once if 0. Gives whether it was killed, rather than done before.
fn killed_after(folder: &Folder, arguments: &str, changes: u32) -> bool {
    let progress = folder.path(PROGRESS);
    let mut seen = version(&progress);
    let mut child = folder.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut left = changes;
    while left > 0 && child.try_wait().unwrap().is_none() {
        let now = version(&progress);
        if now != seen {
            (seen, left) = (now, left - 1);
        }
        sleep(Duration::from_micros(200)); // between looks: what is waited for is the change
    }
    let _ = child.kill();
    child.wait().unwrap();
    !folder.path("out.safetensors").exists()
}

/// Kills the command again and again, then lets it end; the outputs have to be those of `whole`, byte for byte.
fn assert_goes_on(folder: &Folder, whole: &Folder, arguments: &str, outputs: &[&str]) {
    let before = folder.listing();
    let kills = [0, 1, 3, 1, 4].map(|changes| {
        let killed = killed_after(folder, arguments, changes);
        if killed {
            let new: Vec<String> = folder.listing().into_iter().filter(|name| !before.contains(name)).collect();
            assert!(new.is_empty() || new == [PROGRESS], "killed after {changes} checkpoints: {new:?}");
            if !new.is_empty() {
                ModelFile::open(&folder.path(PROGRESS)).unwrap().read().unwrap();
            }
        }
        killed
    });
    assert!(kills.iter().filter(|killed| **killed).count() >= 3, "done before it could be killed: {kills:?}");
    assert!(folder.path(PROGRESS).exists());
    let (code, stdout, stderr) = folder.run(arguments);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stderr.contains("goes on after epoch"), "{stderr}");
    for output in outputs {
        assert!(folder.read(output) == whole.read(output), "{output} is not that of the run that was not killed");
    }
    assert!(!folder.path(PROGRESS).exists());
}

/// Keys, a ticket and its stamp.
fn stamped() -> Folder {
    let folder = Folder::new();
    folder.write_keys("owner", 7);
    folder.succeeds(&FIND.replace("out.", "ticket."));
    folder.succeeds("stamp ticket.safetensors --key owner.key -o stamped.safetensors --unencrypted");
    folder
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let folder = Folder::new();
    let find = |arguments: &str, output: &str| {
        folder.succeeds(&format!("{} {arguments}", FIND.replace("out.safetensors", output)));
        folder.read(output)
    };
    let first = find("--seed 5", "first");
    assert!(first == find("--seed 5", "second"));
    assert!(first != find("--seed 6", "third"));
}

#[test]
fn find_goes_on_after_being_killed() {
    let (folder, whole) = (Folder::new(), Folder::new());
    whole.succeeds(FIND);
    assert_goes_on(&folder, &whole, FIND, &["out.safetensors"]);
}

#[test]
fn keyed_finding_goes_on_after_being_killed() {
    let (folder, whole) = (Folder::new(), Folder::new());
    let find = format!("{FIND} --key owner.key --unencrypted --mark-decay 0.02 --sealed-panels 1");
    for folder in [&folder, &whole] {
        folder.write_keys("owner", 7);
    }
    whole.succeeds(&find);
    assert_goes_on(&folder, &whole, &find, &["out.safetensors", "out.claim.json", "out.counterfoil"]);
}

#[test]
fn train_goes_on_after_being_killed() {
    let (folder, whole) = (stamped(), Folder::new());
    for name in ["stamped.safetensors", "stamped.counterfoil"] {
        whole.write(name, folder.read(name));
    }
    whole.succeeds(TRAIN);
    assert_goes_on(&folder, &whole, TRAIN, &["out.safetensors"]);
}

#[test]
fn progress_of_other_settings_is_refused() {
    let folder = Folder::new();
    assert!(killed_after(&folder, FIND, 1), "it was done before it could be killed");
    let progress = folder.read(PROGRESS);
    for other in ["--seed 1", "--decay 0.01", "--limit-test 10 --data-seed 3", "--no-augmentation --batch 32"] {
        folder.refuses(&format!("{FIND} {other}"), PROGRESS, "other settings");
        assert!(folder.read(PROGRESS) == progress, "{other}");
    }
}

#[test]
fn damaged_progress_is_refused() {
    let folder = Folder::new();
    assert!(killed_after(&folder, FIND, 1), "it was done before it could be killed");
    let progress = folder.read(PROGRESS);
    folder.write(PROGRESS, &progress[..progress.len() / 2]);
    folder.refuses(FIND, PROGRESS, "but the file holds");
    folder.write(PROGRESS, b"");
    folder.refuses(FIND, PROGRESS, "starts with the bytes");
}

#[test]
fn progress_of_another_command_or_ticket_is_refused() {
    let folder = stamped();
    assert!(killed_after(&folder, TRAIN, 1), "it was done before it could be killed");
    folder.refuses(
        &TRAIN.replace("stamped.safetensors --counterfoil stamped.counterfoil", "ticket.safetensors"),
        PROGRESS,
        "",
    );
    folder.refuses(FIND, PROGRESS, "");
}
