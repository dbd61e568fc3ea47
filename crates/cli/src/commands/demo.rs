//! `demo`: the whole story on embedded data, by the very commands that it prints.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser;
use counterfoil_ticket::{ModelFile, Overwrite, Secrecy, write_atomically};
use counterfoil_verify::{DEFAULT_THRESHOLD, Report};
use serde::Serialize;
use serde_json::json;

use crate::commands::{self, evaluate, verify};
use crate::demo_pictures::{draw_evidence, draw_moves};
use crate::output::{Align, Table, print};
use crate::{Cli, Error, Exit};

/// See all of it on embedded data, in under a minute
///
/// Finds a winning ticket in a ResNet-20 on the UCI digits, stamps it, trains it, and verifies it and six other suspects.
/// Prints every command, so that you can go on by hand, and leaves the files, pictures and a summary in demo-out/.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil demo")]
pub(crate) struct Args {
    /// Where the files go; those of an earlier demo are replaced
    #[arg(long, short, value_name = "FOLDER", default_value = "demo-out")]
    output: PathBuf,
}

/// A model that is examined, and what should come out.
#[derive(Debug, Serialize)]
struct Suspect {
    name: &'static str,
    accuracy: f64,
    verdict: String,
    log2_p: f64,
    expected: &'static str,
    tests: Vec<(String, f64)>,
    seconds: f64,
}

/// A demo in progress.
struct Demo {
    /// Where its files are.
    folder: String,
    /// Arguments of `verify` that show what only the owner can.
    proof: String,
    suspects: Vec<Suspect>,
}

/// Training that suits a minute: a round of pruning takes two epochs.
const FIND: &str =
    "find --data digits --arch resnet20 --finder imp --sparsity 0.95 --prune-share 0.451 --epochs 3 --rewind 1";
/// Training of a ticket.
const TRAIN: &str = "--data digits --epochs 7";

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let started = Instant::now();
        let folder =
            self.output.to_str().ok_or_else(|| Error::NotText { file: self.output.clone(), expected: "a name" })?;
        if folder.contains(char::is_whitespace) {
            let (file, expected) = (self.output.clone(), "a name without spaces, since it stands in commands");
            return Err(Error::NotText { file, expected });
        }
        fs::create_dir_all(folder).map_err(|source| Error::Unreadable { file: self.output.clone(), source })?;
        for name in ["ticket.safetensors", "model.bin", "other.safetensors", "other.bin", "tuned.bin", "recovered.bin"]
        {
            // Left by an earlier demo that was interrupted; its key is gone, so it cannot go on.
            let _ = fs::remove_file(self.output.join(format!("{name}.progress")));
        }
        let mut demo = Demo { folder: folder.to_owned(), proof: String::new(), suspects: Vec::new() };
        demo.play()?;
        demo.conclude(started)
    }
}

impl Demo {
    fn play(&mut self) -> Result<(), Error> {
        let d = self.folder.clone();
        let passphrase = format!("{d}/passphrase.txt");
        let words = b"a passphrase of your own\n";
        write_atomically(Path::new(&passphrase), Overwrite::Replace, Secrecy::Secret, |out| out.write_all(words))?;
        let unlock = format!("--passphrase-file {passphrase}");

        self.say("The owner makes a key, finds a ticket and stamps it.")?;
        self.command(&format!("keygen {d}/owner --force"))?;
        self.command(&format!("{FIND} --seed 1 -o {d}/ticket.safetensors --force"))?;
        let stamped = format!("{d}/stamped.safetensors");
        self.command(&format!("stamp {d}/ticket.safetensors --key {d}/owner.key {unlock} -o {stamped} --force"))?;
        let counterfoil = format!("--counterfoil {d}/stamped.counterfoil {unlock}");
        self.command(&format!("train {stamped} {TRAIN} {counterfoil} -o {d}/model.bin --force"))?;

        self.say("Anybody can look for the public mark, with the public key alone.")?;
        let key = format!("--key {d}/owner.pub");
        self.suspect("public key alone", "marked", "model.bin", &key)?;

        self.say("To prove it, the owner opens the sealed panels that the signed claim had committed to.")?;
        self.proof = format!("{key} --claim {d}/stamped.claim.json");
        for panel in 1..=self.sealed_panels()? {
            let disclosure = format!("{d}/panel{panel}.disclosure");
            self.command(&format!(
                "disclose {d}/stamped.counterfoil {unlock} --panel {panel} -o {disclosure} --force"
            ))?;
            self.proof.push_str(&format!(" --disclosure {disclosure}"));
        }
        let proof = self.proof.clone();
        self.suspect("claim and disclosures", "proven", "model.bin", &proof)?;
        self.suspect("triggers alone", "proven", "model.bin", &format!("{proof} --tests trigger"))?;

        self.say("Somebody else's ticket, found and trained independently, and somebody else's key.")?;
        self.command(&format!("{FIND} --seed 2 -o {d}/other.safetensors --force"))?;
        self.command(&format!("train {d}/other.safetensors {TRAIN} --seed 2 -o {d}/other.bin --force"))?;
        self.suspect("independent ticket", "no-match", "other.bin", &proof)?;
        self.command(&format!("keygen {d}/somebody --force"))?;
        self.suspect("somebody else's key", "no-match", "model.bin", &format!("--key {d}/somebody.pub"))?;

        self.say("A thief fine-tunes all layers, or prunes half of what is left and fine-tunes.")?;
        self.command(&format!("train {d}/model.bin --data digits --epochs 2 --rate 0.001 -o {d}/tuned.bin --force"))?;
        self.suspect("fine-tuned", "proven", "tuned.bin", &proof)?;
        self.command(&format!("attack prune-mag {d}/model.bin --set share=0.5 -o {d}/pruned.bin --force"))?;
        self.command(&format!(
            "train {d}/pruned.bin --data digits --epochs 2 --rate 0.01 -o {d}/recovered.bin --force"
        ))?;
        self.suspect("pruned by 50 %, fine-tuned", "proven", "recovered.bin", &proof)
    }

    fn say(&self, text: &str) -> Result<(), Error> {
        print(&format!("\n# {text}\n"))
    }

    /// Runs a command as if it had been typed.
    fn command(&self, line: &str) -> Result<(), Error> {
        commands::run(Self::typed(line)?).map(drop)
    }

    fn typed(line: &str) -> Result<commands::Command, Error> {
        print(&format!("\n$ counterfoil {line}\n"))?;
        let words = std::iter::once("counterfoil").chain(line.split_whitespace());
        let cli = Cli::try_parse_from(words).expect("the demo's commands are those of this program");
        Ok(cli.command)
    }

    /// Examines a model and remembers what came out.
    fn suspect(
        &mut self,
        name: &'static str,
        expected: &'static str,
        model: &str,
        evidence: &str,
    ) -> Result<(), Error> {
        let started = Instant::now();
        let line = format!("verify {}/{model} {evidence}", self.folder);
        let commands::Command::Verify(args) = Self::typed(&line)? else { unreachable!("verify is verify") };
        let report = args.report()?;
        args.print(&report)?;
        let seconds = started.elapsed().as_secs_f64();
        let accuracy = evaluate::accuracy(Path::new(&format!("{}/{model}", self.folder)))?;
        let verdict = report.verdict.name().to_owned();
        let (log2_p, tests) = (report.log2_p.bits(), tests_of(&report));
        self.suspects.push(Suspect { name, accuracy, verdict, log2_p, expected, tests, seconds });
        Ok(())
    }

    fn sealed_panels(&self) -> Result<u8, Error> {
        let key = crate::open::public_key(Path::new(&format!("{}/owner.pub", self.folder)))?;
        let claim = crate::open::claim(Path::new(&format!("{}/stamped.claim.json", self.folder)), &key)?;
        Ok(claim.body().sealed_panels.get())
    }

    /// The table, the pictures and the summary; an error if a verdict is not the expected one.
    fn conclude(self, started: Instant) -> Result<Exit, Error> {
        let columns = [
            ("suspect", Align::Left),
            ("accuracy", Align::Right),
            ("log2 p", Align::Right),
            ("verdict", Align::Left),
            ("expected", Align::Left),
            ("seconds", Align::Right),
            ("tests (log2 p before charges)", Align::Left),
        ];
        let mut table = Table::new(columns);
        for s in &self.suspects {
            let tests: Vec<String> = s.tests.iter().map(|(test, bits)| format!("{test} {bits:.0}")).collect();
            table.row([
                s.name.to_owned(),
                format!("{:.1} %", 100.0 * s.accuracy),
                format!("{:.0}", s.log2_p),
                s.verdict.clone(),
                s.expected.to_owned(),
                format!("{:.1}", s.seconds),
                tests.join(", "),
            ]);
        }
        print(&format!("\n{table}\n"))?;

        let at = |name: &str| PathBuf::from(format!("{}/{name}", self.folder));
        let before = ModelFile::open(&at("ticket.safetensors"))?.read()?;
        let after = ModelFile::open(&at("stamped.safetensors"))?.read()?;
        let bars: Vec<(&str, f64, &str)> =
            self.suspects.iter().map(|s| (s.name, s.log2_p, s.verdict.as_str())).collect();
        let seconds = started.elapsed().as_secs_f64();
        let summary = json!({ "suspects": self.suspects, "seconds": seconds, "version": env!("CARGO_PKG_VERSION") });
        let summary = serde_json::to_string_pretty(&summary).expect("a summary is numbers and texts") + "\n";
        let mut files = vec![("evidence.svg", draw_evidence(&bars, DEFAULT_THRESHOLD)), ("summary.json", summary)];
        files.extend(draw_moves(&before, &after).map(|picture| ("mask.svg", picture)));
        for (name, text) in &files {
            let write = |out: &mut dyn std::io::Write| out.write_all(text.as_bytes());
            write_atomically(&at(name), Overwrite::Replace, Secrecy::Public, write)?;
        }
        let written: Vec<String> = files.iter().map(|(name, _)| format!("{}/{name}", self.folder)).collect();
        print(&format!("{seconds:.0} seconds. Pictures and a summary: {}\n", written.join(", ")))?;
        match self.suspects.iter().find(|s| s.verdict != s.expected) {
            None => Ok(Exit::Success),
            Some(s) => Err(Error::Surprise { suspect: s.name, found: s.verdict.clone(), expected: s.expected }),
        }
    }
}

/// The best decisive test of each kind and panel.
fn tests_of(report: &Report) -> Vec<(String, f64)> {
    let mut best: Vec<(String, f64)> = Vec::new();
    for test in report.tests.iter().filter(|test| test.decisive) {
        let (name, bits) = (format!("{} {}", verify::kind_name(test.kind), test.panel), test.log2_p.bits());
        match best.iter_mut().find(|(known, _)| *known == name) {
            Some((_, least)) => *least = least.min(bits),
            None => best.push((name, bits)),
        }
    }
    best
}
