//! The suite as its users run it: verdicts that are recorded, runs that go on, mistakes by line, outsiders' models and
//! programs.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use std::process::Stdio;
use std::time::{Duration, Instant};

use counterfoil_acceptance::{Folder, repository};
use serde_json::Value;

/// Two small subjects and attacks that take a moment.
const SMALL: &str = r#"
data = "digits"
limit = 300

[[subject]]
name = "swaps"
width = 8
sparsity = 0.9
prune-share = 0.7
find-epochs = 1
train-epochs = 2

[[attack]]
name = "prune-mag"
share = [0.2, 0.4]

[[attack]]
name = "prune-rand"
share = [0.1]
seeds = [0, 1, 2, 3]
"#;

fn lines(folder: &Folder, runs: &str) -> Vec<Value> {
    let text = String::from_utf8(folder.read(&format!("{runs}/results.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Lines without what depends on the clock.
fn facts(folder: &Folder, runs: &str) -> Vec<Value> {
    let mut lines = lines(folder, runs);
    for line in &mut lines {
        line["seconds"] = Value::Null;
        line["cost"] = Value::Null;
    }
    lines
}

/// `fixtures/suite/smoke-verdicts.txt` is what this test writes into the folder of its results when a verdict has changed.
#[test]
fn the_smoke_suite_gives_the_verdicts_that_are_recorded() {
    let folder = Folder::kept(env!("CARGO_TARGET_TMPDIR"), "smoke");
    let suite = repository().join("suites/smoke.toml");
    let (code, stdout, stderr) = folder.run(&format!("suite run {} -o runs --jobs 2", suite.display()));
    assert_eq!(code, 0, "{stdout}{stderr}");
    let row = |line: &Value| {
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        format!("{} | {} | {} | {}\n", text("subject"), text("label"), text("strength"), text("verdict"))
    };
    let found: String = lines(&folder, "runs").iter().map(row).collect();
    let expected = std::fs::read_to_string(repository().join("fixtures/suite/smoke-verdicts.txt")).unwrap_or_default();
    if found != expected {
        folder.write("smoke-verdicts.txt", &found);
        let changed = found.lines().filter(|line| !expected.lines().any(|other| other == *line)).collect::<Vec<_>>();
        let gone = expected.lines().filter(|line| !found.lines().any(|other| other == *line)).collect::<Vec<_>>();
        panic!("verdicts have changed; found now:\n{}\nrecorded:\n{}", changed.join("\n"), gone.join("\n"));
    }
}

#[test]
fn nothing_is_done_twice_and_a_killed_run_goes_on() {
    let folder = Folder::new();
    folder.write("small.toml", SMALL);
    let mut child =
        folder.command("suite run small.toml -o runs").stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let done = || std::fs::read_dir(folder.path("runs/lines")).map_or(0, |lines| lines.count());
    while done() == 0 && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(300), "no run was done");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (code, stdout, stderr) = folder.run("suite run small.toml -o runs");
    assert_eq!((code, stdout.contains("6 of 6 runs done")), (0, true), "{stdout}{stderr}");
    let first = facts(&folder, "runs");
    assert_eq!(folder.run("suite run small.toml -o other").0, 0);
    assert_eq!(first, facts(&folder, "other"));

    let (_, _, stderr) = folder.run("suite run small.toml -o runs");
    assert!(stderr.starts_with("0 runs to do, 6 done before"), "{stderr}");
    folder.write("small.toml", SMALL.replace("share = [0.2, 0.4]", "share = [0.2, 0.5]"));
    let (_, _, stderr) = folder.run("suite run small.toml -o runs");
    assert!(stderr.starts_with("1 runs to do, 5 done before") && !stderr.contains("making"), "{stderr}");

    // A report does not replace what it is made of.
    for own in ["results.jsonl", "suite-folder.json", "lines/x.json"] {
        let (code, _, stderr) = folder.run(&format!("report runs -o runs/{own} --force"));
        assert!(code == 2 && stderr.contains("is both a file of the suite's folder and the report"), "{stderr}");
    }

    // Judged anew, an attack that was made before costs what it cost.
    let seconds =
        |runs: &str| lines(&folder, runs).iter().map(|line| line["seconds"].as_f64().unwrap()).collect::<Vec<_>>();
    let (before, threshold) = (seconds("other"), SMALL.replace("limit = 300", "limit = 300\nthreshold = -50"));
    folder.write("small.toml", threshold);
    let (_, _, stderr) = folder.run("suite run small.toml -o other");
    assert!(stderr.starts_with("6 runs to do, 0 done before") && !stderr.contains("making"), "{stderr}");
    let after = seconds("other");
    assert_eq!((after.len(), before.iter().all(|took| after.iter().filter(|t| *t == took).count() == 2)), (12, true));
}

#[test]
fn licensees_copies_have_one_owner_and_a_mark_each() {
    let subject = |name: &str| {
        let recipe =
            "width = 16\nsparsity = 0.9\nprune-share = 0.9\nfind-epochs = 1\ntrain-epochs = 1\nreinforce = \"no\"";
        format!("[[subject]]\nname = \"{name}\"\nlicensee = \"{name}\"\ntriggers = \"no\"\n{recipe}\n")
    };
    let subjects = ["one", "two", "three"].map(subject).concat();
    let attack = "[[attack]]\nname = \"collude\"\nby = [\"and\", \"majority\"]\nothers = [\"two\", \"three\"]\nsubjects = [\"one\"]\n";
    let folder = Folder::new();
    folder.write("licensees.toml", format!("data = \"digits\"\nlimit = 300\n{subjects}{attack}"));
    let (code, stdout, stderr) = folder.run("suite run licensees.toml -o runs --jobs 2");
    assert_eq!(code, 0, "{stdout}{stderr}");
    let lines = lines(&folder, "runs");
    assert_eq!(lines.len(), 2);
    for line in lines {
        let licensee = line["others"].as_array().unwrap().iter().find(|mark| mark["name"] == "licensee").unwrap();
        assert_eq!((&licensee["holds"], &line["verdict"]), (&true.into(), &"proven".into()), "{line}");
    }
    let unstamped = subject("one").replace("triggers", "stamp = \"none\"\ntriggers");
    folder.write(
        "wrong.toml",
        format!("data = \"digits\"\n{unstamped}{}", attack.replace("others = [\"two\", \"three\"]\n", "")),
    );
    let (code, _, stderr) = folder.run("suite run wrong.toml -o wrong");
    let expected =
        "error: wrong.toml: line 2: subject: is a licensee's copy of a ticket that is not stamped, expected ";
    assert!(code == 2 && stderr.starts_with(expected), "{stderr}");
}

#[test]
fn mistakes_are_told_with_their_line() {
    let folder = Folder::new();
    for (from, to, expected) in [
        ("data = \"digits\"", "data = 3", "line 2: 'data' is '3', expected a text"),
        ("limit = 300", "limits = 300", "line 3: the suite has no field 'limits', expected one of name, data, limit"),
        ("width = 8", "width = 7", "line 5: subject: has an odd width"),
        ("sparsity = 0.9", "sparsity = 1.9", "line 8: 'sparsity' is '1.9', expected a number from 0.001 to 0.9999"),
        ("name = \"prune-mag\"", "name = \"prune\"", "line 13: attack: there is no attack 'prune'"),
        (
            "share = [0.2, 0.4]",
            "share = [0.2, 1.4]",
            "line 15: share of prune-mag is '1.4', expected a number from 0 to 1",
        ),
        ("share = [0.2, 0.4]", "part = 0.2", "line 15: prune-mag has no parameter 'part', expected one of share"),
        (
            "name = \"prune-mag\"\nshare = [0.2, 0.4]",
            "stack = [{ name = \"in-blur\" }, { name = \"prune-mag\" }]",
            "line 14: stack: 'in-blur' serves a model, expected as the last of its stack",
        ),
        ("width = 8", "licensee = \"\"", "line 5: subject: names a licensee of 0 bytes, expected 1 to 1024"),
        ("seeds = [0, 1, 2, 3]", "seeds = []", "line 20: 'seeds' is an empty list, expected a list of whole numbers"),
        ("seeds = [0, 1, 2, 3]", "subjects = [\"keyed\"]", "line 17: attack: names the subject 'keyed'"),
        ("[[attack]]", "[[attack", "line 13: "),
    ] {
        assert!(SMALL.contains(from), "{from}");
        folder.write("wrong.toml", SMALL.replacen(from, to, 1));
        let (code, _, stderr) = folder.run("suite run wrong.toml -o runs");
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.starts_with(&format!("error: wrong.toml: {expected}")), "{stderr}");
    }
    assert!(!folder.path("runs").exists());
    folder.write("small.toml", SMALL);
    folder.write("full/file", "");
    let (code, _, stderr) = folder.run("suite run small.toml -o full");
    assert!(code == 2 && stderr.contains("holds other things"), "{stderr}");
    let (code, _, stderr) = folder.run("report full -o report.html");
    assert!(code == 2 && stderr.contains("is no folder of a suite"), "{stderr}");
}

#[test]
fn outsiders_join_with_a_model_and_with_a_program() {
    let folder = Folder::new();
    let script = repository().join("docs/examples/sign_bits.py");
    let own = format!(
        "marks = [\"sign bits\"]\n\n[[mark]]\nname = \"sign bits\"\ncommand = [\"python3\", \"{0}\"]\n\n[[attack]]\nname = \"flip \
         signs\"\ncommand = [\"python3\", \"{0}\"]\nshare = [0.5]\n",
        script.display()
    );
    let text = SMALL.replace("train-epochs = 2\n", &format!("train-epochs = 2\n{own}"));
    folder.write("own.toml", &text);
    let (code, stdout, stderr) = folder.run("suite run own.toml -o runs --fail-if-broken");
    let all = lines(&folder, "runs");
    let has_fallen = all.iter().any(|line| line["verdict"] != "proven" && line["verdict"] != "marked");
    assert_eq!(code, i32::from(has_fallen), "{stdout}{stderr}");
    let sign_bits = |label: &str| {
        let line = all.iter().find(|line| line["label"] == label).unwrap();
        let others = line["others"].as_array().unwrap();
        others.iter().find(|other| other["name"] == "sign bits").unwrap().clone()
    };
    assert!(sign_bits("prune-rand")["reading"].as_str().unwrap().ends_with("signs"), "{all:#?}");
    let flipped = sign_bits("flip signs");
    assert!(flipped["log2_p"].as_f64().unwrap() > -40.0, "{flipped}");

    let mut models = std::fs::read_dir(folder.path("runs/models")).unwrap().map(|entry| entry.unwrap().path());
    let suspect = models.find(|path| path.extension().is_some_and(|extension| extension == "safetensors")).unwrap();
    folder.write(
        "card.toml",
        "subject = \"swaps\"\nattack = \"by hand\"\nby = \"Jane\"\nwhat = \"pruned\"\naccuracy = 0.9\n",
    );
    let add = format!("suite add own.toml -o runs --suspect {} --card card.toml --json", suspect.display());
    let (code, stdout, stderr) = folder.run(&add);
    assert_eq!(code, 0, "{stderr}");
    let added: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((added["flags"][0].as_str(), added["card"]["by"].as_str()), (Some("made-elsewhere"), Some("Jane")));
    assert!(all.iter().any(|line| line["output"] == added["output"]), "{added}");
    assert_eq!(lines(&folder, "runs").len(), all.len() + 1);
    folder.write("card.toml", "subject = \"swaps\"\nattack = \"by hand\"\nby = \"Jane\"\n");
    let (code, _, stderr) = folder.run(&add);
    assert!(code == 2 && stderr.starts_with("error: card.toml: line 1: the card: names no 'what'"), "{stderr}");

    let (code, stdout, stderr) = folder.run("report runs -o report.html");
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let page = String::from_utf8(folder.read("report.html")).unwrap();
    let parts = ["<!DOCTYPE html>", "What a thief must pay", "<svg", "by hand", "sign bits", "made-elsewhere"];
    parts.iter().for_each(|part| assert!(page.contains(part), "{part}"));
    // It needs nothing else.
    assert!(
        !page.contains("http://") && !page.contains("https://")
            || page.matches("http").count() == page.matches("www.w3.org").count()
    );
    let (_, stdout, _) = folder.run("report runs --markdown");
    assert!(
        stdout.contains("| prune-mag | share=0.2 |") || stdout.contains("| swaps | prune-mag | share=0.2 |"),
        "{stdout}"
    );
    let (_, stdout, _) = folder.run("report runs --json");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["totals"]["runs"], lines(&folder, "runs").len());
}
