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

#[test]
fn progress_of_other_settings_is_replaced_by_force() {
    let (folder, whole) = (Folder::new(), Folder::new());
    assert!(killed_after(&folder, FIND, 1), "it was done before it could be killed");
    let other = format!("{FIND} --rate 0.05");
    whole.succeeds(&other);
    let (code, _, stderr) = folder.run(&format!("{other} --force"));
    let said = format!("warning: {PROGRESS}: belonged to a run with other settings, and is replaced\n");
    assert!(code == 0 && stderr.contains(&said), "{stderr}");
    assert!(folder.read("out.safetensors") == whole.read("out.safetensors"));
    assert_eq!(folder.listing(), ["out.safetensors"]);
}

#[test]
fn a_flipped_bit_of_the_progress_is_noticed() {
    let folder = Folder::new();
    assert!(killed_after(&folder, FIND, 1), "it was done before it could be killed");
    let mut progress = folder.read(PROGRESS);
    let last = progress.len() - 4; // the lowest byte of a weight's
    progress[last] ^= 1;
    folder.write(PROGRESS, progress);
    folder.refuses(FIND, PROGRESS, "does not fit its checksum");
    let (_, _, stderr) = folder.run(FIND);
    assert!(stderr.ends_with(&format!("hint: to start anew instead, delete {PROGRESS}\n")), "{stderr}");
}

/// Runs a command whose last output cannot be put in place, since another file has appeared there. What it leaves is what
/// a run leaves that is killed while it puts its outputs in place, but for these.
fn stopped_at_the_end(folder: &Folder, arguments: &str, output: &str) {
    let child = folder.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !folder.path(PROGRESS).exists() {
        sleep(Duration::from_micros(200)); // between looks: what is waited for is the file
    }
    folder.write(output, "somebody else's");
    let ended = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(2) && stderr.contains("already exists"), "{stderr}");
    assert!(folder.path(PROGRESS).exists());
}

#[test]
fn a_run_killed_behind_its_outputs_is_complete() {
    for (arguments, prepared) in [(FIND, Folder::new()), (TRAIN, stamped())] {
        let (folder, whole) = (Folder::new(), Folder::new());
        for name in prepared.listing() {
            folder.write(&name, prepared.read(&name));
            whole.write(&name, prepared.read(&name));
        }
        whole.succeeds(arguments);
        stopped_at_the_end(&folder, arguments, "out.safetensors");
        folder.refuses(arguments, "out.safetensors", "already exists");
        folder.write("out.safetensors", whole.read("out.safetensors"));
        folder.refuses(&format!("{arguments} --seed 9"), PROGRESS, "other settings");
        let stdout = folder.succeeds(arguments);
        assert!(stdout.ends_with("out.safetensors, complete since an earlier run\n"), "{stdout}");
        assert_eq!(folder.listing(), whole.listing());
        assert!(folder.read("out.safetensors") == whole.read("out.safetensors"));
    }
}

#[test]
fn a_run_killed_between_its_outputs_writes_the_others_too() {
    let (folder, whole) = (Folder::new(), Folder::new());
    let find = format!("{FIND} --key owner.key --unencrypted --mark-decay 0.02 --sealed-panels 1");
    for folder in [&folder, &whole] {
        folder.write_keys("owner", 7);
    }
    whole.succeeds(&find);
    stopped_at_the_end(&folder, &find, "out.safetensors");
    fs::remove_file(folder.path("out.safetensors")).unwrap();
    folder.write("out.counterfoil", whole.read("out.counterfoil"));
    folder.succeeds(&find);
    assert_eq!(folder.listing(), whole.listing());
    for output in ["out.safetensors", "out.claim.json", "out.counterfoil"] {
        assert!(folder.read(output) == whole.read(output), "{output}");
    }
}

#[test]
fn keyed_finding_falls_back_to_fewer_sealed_panels() {
    let folder = Folder::new();
    folder.write_keys("owner", 7);
    let (code, _, stderr) = folder.run(&format!("{FIND} --key owner.key --unencrypted --mark-decay 0"));
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("warning: not all of 4 sealed panels would reach -160.0 bits: the ticket gets "),
        "{stderr}"
    );
    folder.succeeds("disclose out.counterfoil --panel 1 -o d");
    let (code, report) =
        folder.verify("out.safetensors --key owner.pub --claim out.claim.json --disclosure d --tests mask");
    assert_eq!((code, report.verdict.as_str()), (0, "proven"), "{report:#?}");
}

#[test]
fn a_keyed_finding_that_cannot_be_stamped_is_kept() {
    let folder = Folder::new();
    folder.write_keys("owner", 7);
    let find = format!("{FIND} --key owner.key --unencrypted").replace("200,80", "30,20");
    let (code, _, stderr) = folder.run(&find);
    let said = "error: out.safetensors: is not written, and the ticket is left unstamped in \
                out.unstamped.safetensors: the ticket keeps 504 weights";
    assert!(code == 2 && stderr.contains(said), "{stderr}");
    assert_eq!(folder.listing(), ["out.unstamped.safetensors", "owner.key", "owner.pub"]);
    let ticket = folder.model("out.unstamped.safetensors");
    assert_eq!(ticket.description.kind, counterfoil_ticket::Kind::Ticket);
    assert_eq!(ticket.masks.values().map(|mask| mask.kept()).sum::<usize>(), 504);
    folder.refuses(&find, "out.unstamped.safetensors", "already exists");
}

#[test]
fn a_run_killed_behind_its_unstamped_ticket_ends_as_one_that_was_not() {
    let (folder, whole) = (Folder::new(), Folder::new());
    for folder in [&folder, &whole] {
        folder.write_keys("owner", 7);
    }
    let find = format!("{FIND} --key owner.key --unencrypted").replace("200,80", "30,20");
    let last = |stderr: &str| stderr[stderr.find("error: ").unwrap()..].to_owned();
    let (_, _, expected) = whole.run(&find);
    stopped_at_the_end(&folder, &find, "out.unstamped.safetensors");
    folder.refuses(&find, "out.unstamped.safetensors", "already exists");
    folder.write("out.unstamped.safetensors", whole.read("out.unstamped.safetensors"));
    let (code, _, stderr) = folder.run(&find);
    assert_eq!((code, last(&stderr)), (2, last(&expected)), "{stderr}");
    assert_eq!(folder.listing(), whole.listing());
    assert!(folder.read("out.unstamped.safetensors") == whole.read("out.unstamped.safetensors"));
}

#[test]
fn a_run_killed_behind_its_outputs_protects_the_counterfoil_as_it_is_asked_now() {
    let (folder, whole) = (Folder::new(), Folder::new());
    for folder in [&folder, &whole] {
        folder.write_keys("owner", 7);
        folder.write("passphrase", "secret");
    }
    let find = format!("{FIND} --key owner.key --mark-decay 0.02 --sealed-panels 1");
    let outputs = ["out.counterfoil", "out.claim.json", "out.safetensors"];
    whole.succeeds(&format!("{find} --unencrypted"));
    stopped_at_the_end(&folder, &format!("{find} --unencrypted"), "out.safetensors");
    let progress = folder.read(PROGRESS);
    let put_back = || {
        outputs.iter().for_each(|output| folder.write(output, whole.read(output)));
        folder.write(PROGRESS, &progress);
    };
    put_back();
    let stdout = folder.succeeds(&format!("{find} --unencrypted"));
    assert!(stdout.ends_with("complete since an earlier run\n"), "{stdout}");
    put_back();
    let (code, stdout, stderr) = folder.run(&format!("{find} --passphrase-file passphrase"));
    let said = "warning: out.counterfoil: is there from an earlier run, and is written again with the protection that \
                this one asks for\n";
    assert!(code == 0 && stderr.contains(said) && !stdout.contains("complete since"), "{stdout}{stderr}");
    folder.refuses("disclose out.counterfoil --panel 1 -o d", "out.counterfoil", "needs a passphrase");
    folder.succeeds("disclose out.counterfoil --panel 1 -o d --passphrase-file passphrase");
    assert!(folder.read("out.safetensors") == whole.read("out.safetensors"));
    assert!(!folder.path(PROGRESS).exists());
}
