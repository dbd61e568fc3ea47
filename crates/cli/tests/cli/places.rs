//! Where outputs go: through links, beside each other, and not where files cannot be.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use snapbox::str;

use crate::kit::Folder;

const STAMP: &str = "stamp ticket.safetensors --key owner.key --unencrypted --force";

fn with_links(links: &[(&str, &str)]) -> Folder {
    let folder = Folder::with_ticket();
    fs::create_dir(folder.path("sub")).unwrap();
    links.iter().for_each(|(target, link)| symlink(target, folder.path(link)).unwrap());
    folder
}

#[test]
fn links_are_written_through() {
    let folder = with_links(&[("sub/ticket", "x.safetensors"), ("sub/counterfoil", "x.counterfoil")]);
    folder.write("sub/ticket", b"old");
    for _ in 0..2 {
        folder.run(&format!("{STAMP} -o x.safetensors")).code(0); // the counterfoil's link dangles at first
        assert!(["x.safetensors", "x.counterfoil"].iter().all(|link| folder.path(link).is_symlink()));
        let mut names: Vec<_> = fs::read_dir(folder.path("sub")).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["counterfoil", "ticket"]);
    }
    folder.run("verify sub/ticket --key owner.pub --tests mask").code(0);
    folder.run("disclose sub/counterfoil --panel 1 -o sub/d").code(0);
    symlink("sub/d", folder.path("link")).unwrap();
    folder.write("sub/d", b"old");
    folder.run("disclose x.counterfoil --panel 1 -o link --force").code(0);
    assert!(folder.path("link").is_symlink() && folder.read("sub/d").len() > 100);
}

#[test]
fn links_that_lead_to_no_file_are_refused() {
    let folder = with_links(&[("/dev/null", "device"), ("sub", "folder"), ("missing/a", "astray"), ("pipe", "link")]);
    assert!(Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap().success());
    folder.refuses(
        &format!("{STAMP} -o device"),
        str![[r#"
error: device: leads to /dev/null, which is not a regular file
hint: results go to regular files; name one, or remove the link

"#]],
    );
    folder.refuses(
        &format!("{STAMP} -o x --claim folder"),
        "error: folder: leads to [..]/sub, which is not a regular file\n...\n",
    );
    folder.refuses(&format!("{STAMP} -o link"), "error: link: leads to [..]/pipe, which is not a regular file\n...\n");
    folder.refuses(
        &format!("{STAMP} -o astray"),
        str![[r#"
error: astray: the folder missing does not exist
hint: make it: mkdir -p missing

"#]],
    );
    // To standard output, which is a pipe here.
    folder.refuses(
        &format!("{STAMP} -o /dev/stdout"),
        "error: /dev/stdout: leads to [..], which is not a regular file\n...\n",
    );
    assert!(["device", "folder", "astray", "link"].iter().all(|link| folder.path(link).is_symlink()));
}

#[test]
fn a_link_and_what_it_leads_to_are_one_output() {
    let folder = with_links(&[("sub/a", "link")]);
    folder.refuses(
        &format!("{STAMP} -o link --claim sub/a"),
        str![[r#"
error: link: is both the claim and the stamped ticket, expected different files
hint: give each a name of its own; inputs are never overwritten

"#]],
    );
}

#[test]
fn a_run_s_files_are_told_apart_before_its_work() {
    let folder = Folder::stamped();
    let keyed = "find --data digits --key owner.key --unencrypted --force";
    let train = "train stamped.safetensors --data digits --force";
    folder.write("p.toml", b"epochs = 1\n");
    folder.refuses(
        &format!("{keyed} --claim x.progress -o x"),
        str![[r#"
error: x.progress: is both the claim and the progress file, expected different files
hint: give each a name of its own; inputs are never overwritten

"#]],
    );
    for (arguments, file, one, other) in [
        (format!("{keyed} -o x --counterfoil x.progress"), "x.progress", "the counterfoil", "the progress file"),
        (
            format!("{keyed} -o x --claim x.unstamped.safetensors"),
            "x.unstamped.safetensors",
            "the claim",
            "the unstamped ticket",
        ),
        (format!("{keyed} -o x --log x.progress"), "x.progress", "the progress file", "the log"),
        (
            format!("{keyed} -o x --log x.unstamped.safetensors"),
            "x.unstamped.safetensors",
            "the unstamped ticket",
            "the log",
        ),
        ("find --data digits --log x.progress -o x".to_owned(), "x.progress", "the progress file", "the log"),
        ("find --data digits --log x -o x".to_owned(), "x", "the ticket", "the log"),
        ("find --data digits --preset p.toml --force -o p.toml".to_owned(), "p.toml", "the preset", "the ticket"),
        (format!("{train} --log x.progress -o x"), "x.progress", "the progress file", "the log"),
        (format!("{train} --counterfoil x.progress -o x"), "x.progress", "the counterfoil", "the progress file"),
    ] {
        let text = format!("error: {file}: is both {one} and {other}, expected different files\n...\n");
        folder.refuses(&arguments, text);
    }
}

#[test]
fn inputs_are_never_overwritten() {
    let folder = Folder::stamped();
    folder.write("passphrase.txt", b"correct horse");
    let same = |file: &str, one: &str, other: &str| {
        format!(
            "error: {file}: is both {one} and {other}, expected different files\nhint: give each a name of its own; inputs are never overwritten\n"
        )
    };
    let stamp = "stamp ticket.safetensors --key owner.key -o x.safetensors --claim passphrase.txt --force";
    let named = folder.command(stamp).env("COUNTERFOIL_PASSPHRASE_FILE", "passphrase.txt");
    named.assert().code(2).stdout_eq("").stderr_eq(same("passphrase.txt", "a passphrase file", "the claim"));
    assert_eq!(folder.read("passphrase.txt"), b"correct horse");
    let attack = "attack panel-undo stamped.safetensors --key owner.pub --claim stamped.claim.json \
                  --disclosure panel1.disclosure --force -o";
    for (file, what) in
        [("owner.pub", "the public key"), ("stamped.claim.json", "the claim"), ("panel1.disclosure", "a disclosure")]
    {
        folder.refuses(&format!("{attack} {file}"), same(file, what, "the attacked model"));
    }
}

#[test]
fn pipes_that_would_wait_are_refused() {
    let folder = Folder::stamped();
    assert!(Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap().success());
    folder.refuses(
        "train stamped.safetensors --data digits -o x --log pipe",
        str![[r#"
error: pipe: is not a regular file, expected a file that the log is appended to
hint: to see progress, look at standard error

"#]],
    );
    folder.refuses("find --data digits -o x --log pipe", "error: pipe: is not a regular file, expected[..]\n...\n");
    for arguments in [
        "stamp ticket.safetensors --key owner.key -o x --passphrase-file pipe",
        "keygen new --passphrase-file pipe",
        "find --data digits --key owner.key -o x --passphrase-file pipe",
    ] {
        folder.refuses(
            arguments,
            str![[r#"
error: pipe: is not a regular file, expected a file with a passphrase
hint: save it as a file first

"#]],
        );
    }
}

#[test]
fn a_passphrase_comes_from_an_open_pipe_too() {
    let folder = Folder::with_ticket();
    let bash = |script: &str| {
        let mut command = Command::new("bash");
        command
            .args(["-c", script, env!("CARGO_BIN_EXE_counterfoil")])
            .current_dir(folder.path(""))
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let stamp = "stamp ticket.safetensors --key owner.key --passphrase-file";
    bash(&format!("echo secret | \"$0\" {stamp} /dev/stdin -o a.safetensors"));
    bash(&format!("\"$0\" {stamp} <(echo secret) -o b.safetensors"));
    bash(&format!("echo secret > c; \"$0\" {stamp} /dev/stdin -o c.safetensors < c"));
    for name in ["a", "b", "c"] {
        folder.run(&format!("disclose {name}.counterfoil --panel 1 -o {name}.d --passphrase-file c")).code(0);
    }
}

#[test]
fn what_cannot_be_written_is_named_as_it_was_asked_for() {
    let folder = Folder::with_ticket();
    for (arguments, file) in [
        ("stamp ticket.safetensors --key owner.key --unencrypted -o x.safetensors", "x.counterfoil"),
        ("attack prune-mag ticket.safetensors -o x", "x"),
    ] {
        // A limit on the size of files stands for a disk that is full.
        let script = format!("trap '' XFSZ; ulimit -f 1; exec \"$0\" {arguments}");
        let mut command = Command::new("bash");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_counterfoil")]).current_dir(folder.path(""));
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), stderr),
            (Some(2), format!("error: {file}: cannot be written: File too large (os error 27)\n"))
        );
    }
    assert!(!folder.listing().iter().any(|name| name.starts_with('x') || name.starts_with('.')));
}
