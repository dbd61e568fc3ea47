//! Completions, manual pages, and readers that go away.

use std::process::{Command, Stdio};

use crate::kit::Folder;

#[test]
fn completions_know_the_commands() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = folder.command(&format!("completions {shell}")).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("disclose") && script.contains("threshold"), "{shell}");
    }
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let folder = Folder::new();
    folder.run("man --dir pages/man1").success();
    for page in ["counterfoil", "counterfoil-keygen", "counterfoil-stamp", "counterfoil-verify"] {
        let text = String::from_utf8(folder.read(&format!("pages/man1/{page}.1"))).unwrap();
        assert!(text.contains(".SH NAME") && text.contains("Example"), "{page}");
    }
    // Every page that a page names is there.
    for command in ["counterfoil", "counterfoil-suite"] {
        let text = String::from_utf8(folder.read(&format!("pages/man1/{command}.1"))).unwrap().replace("\\-", "-");
        let named: Vec<&str> = text.lines().filter_map(|line| line.strip_suffix("(1)")).collect();
        assert!(named.len() >= 2, "{text}");
        for page in named {
            assert!(folder.path(&format!("pages/man1/{page}.1")).exists(), "{page}");
        }
    }
    let page = folder.command("man").output().unwrap().stdout;
    assert_eq!(page, folder.read("pages/man1/counterfoil.1"));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = Folder::stamped();
    let mut child = Command::new(env!("CARGO_BIN_EXE_counterfoil"))
        .args(["inspect", "ticket.safetensors"])
        .current_dir(folder.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
