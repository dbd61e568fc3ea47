//! `verify`: whose mark a suspect carries.

use std::path::{Path, PathBuf};

use counterfoil_claim::{Counterfoil, VerifiedClaim};
use counterfoil_mark::Log2P;
use counterfoil_ticket::{ModelFile, Normalisation};
use counterfoil_verify::{BlackBox, Evidence, Options, Report, TestKind, Tests, Verdict, verify};

use crate::burn_model::{BurnModel, normalisation_of, plain_normalisation};
use crate::network_kind::{KnownInput, architecture_of};
use crate::open::UnlockArgs;
use crate::output::{print, print_json};
use crate::progress::Waiting;
use crate::verdict_text::in_words;
use crate::{Error, Exit, open, value};

/// Check whether a model carries the mark of a key
///
/// With the key alone the answer is at best 'marked': the public mark is there, but whoever knows the key could have put
/// it there. With a claim and a disclosure of a sealed panel it is at best 'proven'. Tensors are matched by shape and
/// order, so names, prefixes and container do not matter. Exit codes: 0 proven or marked, 1 no match, 3 inconclusive,
/// 2 bad input.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil verify model.bin --key owner.pub
  counterfoil verify model.bin --key owner.pub \\
      --claim stamped.claim.json --disclosure panel1.disclosure")]
pub(crate) struct Args {
    /// The suspect: a safetensors or PyTorch file
    model: PathBuf,
    /// The owner's public key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The claim that was made with the stamp
    #[arg(long, value_name = "FILE")]
    claim: Option<PathBuf>,
    /// A sealed panel, opened by the owner; may be repeated
    #[arg(long, value_name = "FILE")]
    disclosure: Vec<PathBuf>,
    /// The owner's counterfoil, to show the overlap with the reference mask too (corroboration, never part of the verdict), and
    /// for --align
    #[arg(long, value_name = "FILE", requires = "claim")]
    counterfoil: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockArgs,
    /// Where the mark is not found in place, look for it under permuted channels: align the model with the reference mask at
    /// the positions of some panels, and test the others
    #[arg(long, requires = "counterfoil")]
    align: bool,
    /// Do not charge for what a claim could have chosen to fit the model: layout, densities, with --align the alignment. You
    /// have established, by a witnessed digest of the claim for instance, that it was fixed before the model existed
    #[arg(long, requires = "claim")]
    claim_is_older: bool,
    /// What log2 p has to reach, in bits, after paying for every way of looking
    #[arg(long, value_name = "BITS", default_value = "-64", value_parser = value::bits, allow_negative_numbers = true)]
    threshold: Log2P,
    /// Make these tests only [default: all that the model allows]
    #[arg(long, value_name = "TESTS", value_delimiter = ',', value_enum)]
    tests: Vec<TestName>,
    /// Height and width of the images that the model takes, where its file does not say [default: 32 for a convolutional network]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=65536))]
    image_size: Option<u32>,
    /// Means and deviations that the model's images are normalised with, where its file does not say: MEAN:STD on the
    /// scale 0 to 1, one number or one for each channel [default: 0:1]
    #[arg(long, value_name = "MEAN:STD", value_parser = value::normalisation)]
    normalisation: Option<Normalisation>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// A kind of test, as users name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum TestName {
    /// Which positions are kept
    Mask,
    /// Answers to trigger images
    Trigger,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let report = self.report()?;
        self.print(&report)?;
        Ok(match report.verdict {
            Verdict::Proven | Verdict::Marked => Exit::Success,
            Verdict::NoMatch => Exit::NoMatch,
            Verdict::Inconclusive => Exit::Inconclusive,
        })
    }

    /// Examines the suspect.
    pub(crate) fn report(&self) -> Result<Report, Error> {
        let key = open::public_key(&self.key)?;
        let (claim, disclosures) = open::evidence(&key, self.claim.as_deref(), &self.disclosure)?;
        let suspect = ModelFile::open(&self.model)?;
        let tests = self.tests();
        let claimed = claim.as_ref().and_then(|claim| claim.body().triggers);
        let mut asked = match tests {
            Tests::Mask => Err(String::new()),
            _ => self.black_box(&suspect, KnownInput { shape: claimed.map(|t| t.image), side: self.image_size })?,
        };
        if let (Tests::Triggers, Err(reason)) = (tests, &asked) {
            return Err(Error::NotAskable { model: self.model.clone(), reason: reason.clone() });
        }

        let black_box = asked.as_mut().ok().map(|asked| &mut asked.model as &mut dyn BlackBox);
        let counterfoil = match (&self.counterfoil, &claim) {
            (Some(path), Some(claim)) => Some(self.reference(path, claim)?),
            _ => None,
        };
        let evidence = match &claim {
            Some(claim) => {
                let reference = counterfoil.as_ref().map(Counterfoil::reference);
                Evidence { reference, ..Evidence::claimed(claim, &disclosures) }
            }
            None => Evidence::key_alone(&key),
        };
        let options =
            Options { threshold: self.threshold, tests, align: self.align, claim_is_older: self.claim_is_older };
        let aligning = self.align.then(|| Waiting::aligning([&suspect]));
        let mut report = verify(Some(&suspect), black_box, &evidence, &options)?;
        drop(aligning);
        complete(&mut report, tests, &asked);
        Ok(report)
    }

    /// Prints what was found.
    pub(crate) fn print(&self, report: &Report) -> Result<(), Error> {
        if self.json {
            return print_json(report);
        }
        let claim = match &self.claim {
            Some(path) => Some(open::claim(path, &open::public_key(&self.key)?)?),
            None => None,
        };
        print(&in_words(&self.model, report, claim.as_ref()))
    }

    /// The counterfoil, whose reference mask is the one that the claim commits to.
    fn reference(&self, path: &Path, claim: &VerifiedClaim) -> Result<Counterfoil, Error> {
        let counterfoil = open::counterfoil(path, &self.unlock)?;
        counterfoil.check(claim).map_err(|source| Error::Counterfoil { file: path.to_owned(), source })?;
        Ok(counterfoil)
    }

    fn tests(&self) -> Tests {
        match (self.tests.contains(&TestName::Mask), self.tests.contains(&TestName::Trigger)) {
            (true, false) => Tests::Mask,
            (false, true) => Tests::Triggers,
            _ => Tests::Both,
        }
    }

    /// The suspect as something that can be asked; or, in words, why it cannot.
    fn black_box(&self, suspect: &ModelFile, known: KnownInput) -> Result<Result<Asked, String>, Error> {
        let described = suspect.description().is_some_and(|description| description.architecture.is_some());
        let architecture = match architecture_of(suspect, known) {
            Ok(architecture) => architecture,
            Err(reason) => return Ok(Err(reason)),
        };
        let channels = architecture.input().channels;
        let normalisation = normalisation_of(suspect, self.normalisation.as_ref(), channels)?;
        let mut assumptions = Vec::new();
        if !described {
            assumptions.push(format!("the model is a {}", crate::network_kind::in_words(&architecture)));
        }
        if normalisation.is_none() {
            assumptions.push("the model takes pixels as v / 255, since its file states no normalisation".to_owned());
        }
        let normalisation = normalisation.unwrap_or_else(|| plain_normalisation(channels));
        let model = BurnModel::new(suspect, &architecture, normalisation)?;
        Ok(model.map(|model| Asked { model, assumptions }))
    }
}

/// A suspect that can be asked, and what had to be assumed for that.
struct Asked {
    model: BurnModel,
    assumptions: Vec<String>,
}

/// Adds to the report what the library cannot know: how the model was made to answer, or why it was not.
fn complete(report: &mut Report, tests: Tests, asked: &Result<Asked, String>) {
    match asked {
        Ok(asked) => report.assumptions.extend(asked.assumptions.iter().cloned()),
        Err(reason) if tests != Tests::Mask => {
            let skipped = report.skipped.iter_mut().filter(|skipped| skipped.kind == TestKind::Trigger);
            skipped.for_each(|skipped| skipped.reason = format!("the model cannot be asked: {reason}"));
        }
        Err(_) => {}
    }
}

/// A kind of test as machines read it.
pub(crate) fn kind_name(kind: TestKind) -> &'static str {
    match kind {
        TestKind::Mask => "mask",
        TestKind::Trigger => "trigger",
    }
}
