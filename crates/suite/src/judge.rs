//! Judging an attacked model: what the verifier says of it, and what it is still worth.

use std::collections::BTreeSet;

use counterfoil_attack::Endpoint;
use counterfoil_mark::{Log2P, masks_of};
use counterfoil_ticket::{ImageShape, Mask, Model, ModelFile};
use counterfoil_train::data::Dataset;
use counterfoil_train::{DeviceChoice, Network, Predictor};
use counterfoil_verify::{
    BlackBox, BlackBoxError, Evidence as Shown, Level, Options, Report, Skipped, TestKind, Verdict, verify,
};

use crate::line::{Accuracy, Evidence, Flag, OtherMark};
use crate::marks::Mark;
use crate::subject::Papers;
use crate::{Subject, SuiteError};

/// Images that are asked at once.
const IMAGES_AT_ONCE: usize = 500;

/// Accuracy from which on a victim is worth stealing, as a multiple of chance.
const BASELINE: f64 = 2.0;

/// Names of the two readings of ours that stand beside other people's marks in a line.
pub(crate) const OVERLAP: &str = "mask overlap";
pub(crate) const LICENSEE: &str = "licensee";

/// What was found out about an attacked model.
pub(crate) struct Judged {
    pub(crate) accuracy: Accuracy,
    pub(crate) kept: [u64; 2],
    pub(crate) turnover: Option<f64>,
    pub(crate) report: Report,
    pub(crate) others: Vec<OtherMark>,
    pub(crate) flags: BTreeSet<Flag>,
}

/// A subject, its model, and that one's answers on the test images.
pub(crate) struct Victim {
    pub(crate) subject: Subject,
    pub(crate) model: Model,
    answers: Vec<Option<u32>>,
}

impl Victim {
    /// Reads the subject's model and asks it.
    pub(crate) fn new(subject: Subject, data: &Dataset) -> Result<Self, SuiteError> {
        let model = crate::subject::model_of(&subject)?;
        let network = network_of(&model, data).map_err(|reason| SuiteError::Subject {
            subject: subject.name.clone(),
            reason: format!("the model cannot be asked: {reason}"),
        })?;
        let answers = Served::new(&network, None).answers(data);
        Ok(Self { subject, model, answers })
    }
}

/// Judges what an attack has left: a file, asked directly or through an endpoint.
pub(crate) fn judge(
    victim: &Victim,
    file: &ModelFile,
    endpoint: Option<Box<dyn Endpoint>>,
    data: &Dataset,
    threshold: f64,
) -> Result<Judged, SuiteError> {
    let Victim { subject, model: before, answers: answered } = victim;
    let after = file.read()?;
    let network = network_of(&after, data);
    // Who serves a model behind something does not hand out its file.
    let shown = endpoint.is_none().then_some(file);
    let mut served = network.as_ref().ok().map(|network| Served::new(network, endpoint));
    let answers = served.as_mut().map(|served| served.answers(data));
    let accuracy = accuracy(answered, answers.as_deref(), data.test.labels());
    let (kept, turnover) = turnover(before, &after);

    let report = verified(&owners(subject), shown, served.as_mut(), threshold)?;
    let read = |mark: &dyn Mark| mark.read(&after, network.as_ref().ok(), before, subject.seed, data);
    let mut others: Vec<OtherMark> = subject.marks.iter().map(|mark| read(mark.as_ref())).collect();
    others.extend(report.reference.map(|overlap| OtherMark {
        name: OVERLAP.to_owned(),
        log2_p: Some(overlap.log2_p.bits()),
        holds: overlap.log2_p.bits() <= threshold,
        reading: format!("{} of {} positions, {:.0} expected", overlap.overlap, overlap.kept, overlap.expected),
    }));
    if let (Some(papers), Some(file)) = (&subject.licensee, shown) {
        others.push(licensees(papers, file, threshold)?);
    }
    let same_values = before
        .arrays
        .iter()
        .all(|(name, array)| after.arrays.get(name).is_some_and(|other| other.values() == array.values()));
    let is_hardly_better_than_chance =
        (accuracy.before as f64) * f64::from(data.classes) < BASELINE * accuracy.images as f64;
    let is_not_aligned = report.skipped.iter().any(Skipped::is_of_alignment);
    let has_too_few = report.verdict == Verdict::Inconclusive && !report.needed.is_empty();
    let flags = [
        (Flag::NotEvaluated, answers.is_none()),
        (Flag::AttackDidNothing, same_values && answers.as_ref() == Some(answered)),
        (Flag::BaselineLow, is_hardly_better_than_chance),
        (Flag::AlignmentFailed, is_not_aligned),
        (Flag::TooFewPositions, has_too_few),
    ];
    let flags = flags.into_iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).collect();
    Ok(Judged { accuracy, kept, turnover, report, others, flags })
}

/// Accuracy before and after; `after` is `None` if nobody could be asked.
fn accuracy(before: &[Option<u32>], after: Option<&[Option<u32>]>, labels: &[u32]) -> Accuracy {
    let right = |answers: &[Option<u32>]| -> Vec<bool> {
        answers.iter().zip(labels).map(|(answer, label)| *answer == Some(*label)).collect()
    };
    let (before, after) = (right(before), after.map(right));
    let count = |of: &dyn Fn(bool, bool) -> bool| {
        after.as_ref().map(|after| before.iter().zip(after).filter(|(a, b)| of(**a, **b)).count())
    };
    Accuracy {
        images: labels.len(),
        before: before.iter().filter(|right| **right).count(),
        after: count(&|_, after| after),
        lost: count(&|before, after| before && !after),
        gained: count(&|before, after| !before && after),
    }
}

/// Kept weights before and after, and the share of the latter that was not kept before, if the carriers are the same.
fn turnover(before: &Model, after: &Model) -> ([u64; 2], Option<f64>) {
    let (old, new) = (masks_of(before), masks_of(after));
    let kept = [&old, &new].map(|masks| masks.values().map(|mask| mask.kept() as u64).sum());
    let same_shapes =
        !new.is_empty() && old.iter().all(|(name, mask)| new.get(name).is_some_and(|n| n.size() == mask.size()));
    let stayed: usize = old.iter().filter_map(|(name, mask)| Some(mask_overlap(mask, new.get(name)?))).sum();
    (kept, same_shapes.then(|| 1.0 - stayed as f64 / (kept[1] as f64).max(1.0)))
}

fn mask_overlap(old: &Mask, new: &Mask) -> usize {
    if old.size() == new.size() { new.overlap(old) } else { 0 }
}

/// What a subject's owner shows.
fn owners(subject: &Subject) -> Shown<'_> {
    let reference = subject.counterfoil.as_ref().map(counterfoil_claim::Counterfoil::reference);
    match &subject.claim {
        Some(claim) => Shown { reference, ..Shown::claimed(claim, &subject.disclosures) },
        None => Shown::key_alone(&subject.key),
    }
}

/// What the file says of the licensee whose copy the subject was.
fn licensees(papers: &Papers, file: &ModelFile, threshold: f64) -> Result<OtherMark, SuiteError> {
    let Papers { claim, disclosures, counterfoil } = papers;
    let shown = Shown { reference: Some(counterfoil.reference()), ..Shown::claimed(claim, disclosures) };
    let report = verified(&shown, Some(file), None, threshold)?;
    let sealed = report.tests.iter().filter(|test| test.decisive && test.level == Level::Sealed);
    let best = sealed.min_by(|a, b| a.after_charges.bits().total_cmp(&b.after_charges.bits()));
    Ok(OtherMark {
        name: LICENSEE.to_owned(),
        log2_p: best.map(|test| test.after_charges.bits()),
        holds: report.verdict == Verdict::Proven,
        reading: best.map_or_else(String::new, |test| format!("{} of {} positions", test.hits, test.n)),
    })
}

fn verified(
    evidence: &Shown,
    file: Option<&ModelFile>,
    served: Option<&mut Served>,
    threshold: f64,
) -> Result<Report, SuiteError> {
    let threshold = Log2P::new(threshold).expect("suites have a threshold below 0");
    // The suite has made the claim before it attacks: no reference mask was written for what comes out.
    let claim_is_older = evidence.reference.is_some();
    let options = Options { threshold, align: claim_is_older && file.is_some(), claim_is_older, ..Options::default() };
    Ok(verify(file, served.map(|served| served as &mut dyn BlackBox), evidence, &options)?)
}

/// log2 p after charges of the best test of each kind and level.
pub(crate) fn evidence(report: &Report) -> Evidence {
    let best = |kind, level| {
        let tests = report.tests.iter().filter(|test| test.decisive && test.kind == kind && test.level == level);
        tests.map(|test| test.after_charges.bits()).reduce(f64::min)
    };
    Evidence {
        mask_public: best(TestKind::Mask, Level::Public),
        mask_sealed: best(TestKind::Mask, Level::Sealed),
        triggers_public: best(TestKind::Trigger, Level::Public),
        triggers_sealed: best(TestKind::Trigger, Level::Sealed),
    }
}

/// The network of a model for these data; or, in words, why it cannot be asked.
pub(crate) fn network_of(model: &Model, data: &Dataset) -> Result<Network, String> {
    let description = &model.description;
    let tensors: Vec<(&str, &[usize])> = model.arrays.iter().map(|(name, a)| (name.as_str(), a.shape())).collect();
    let recognised = || counterfoil_ticket::Architecture::recognise(&tensors, data.test.shape());
    let architecture = description.architecture.clone().or_else(recognised).ok_or("it is of no known architecture")?;
    if architecture.input() != data.test.shape() {
        return Err("it takes images of another shape".to_owned());
    }
    let normalisation = description.normalisation.clone().unwrap_or_else(|| data.normalisation.clone());
    let device = DeviceChoice::Cpu.open().map_err(|error| error.to_string())?;
    Network::from_model(model, architecture, normalisation, &device).map_err(|error| error.to_string())
}

/// A network behind whatever its thief has put before it.
struct Served<'a> {
    network: &'a Network,
    predictor: Predictor<'a>,
    endpoint: Option<Box<dyn Endpoint>>,
}

impl<'a> Served<'a> {
    fn new(network: &'a Network, endpoint: Option<Box<dyn Endpoint>>) -> Self {
        Self { network, predictor: Predictor::new(network), endpoint }
    }

    fn answer(&mut self, images: &[u8]) -> Vec<Option<u32>> {
        match &mut self.endpoint {
            Some(endpoint) => endpoint.answer(images, &self.predictor),
            None => self.predictor.classify(images),
        }
    }

    /// Answers on the test images.
    fn answers(&mut self, data: &Dataset) -> Vec<Option<u32>> {
        let images = data.test.images().chunks(IMAGES_AT_ONCE * data.test.shape().size());
        images.flat_map(|images| self.answer(images)).collect()
    }
}

impl BlackBox for Served<'_> {
    fn input(&self) -> ImageShape {
        self.network.architecture().input()
    }

    fn classes(&self) -> u32 {
        self.network.architecture().classes()
    }

    fn classify(&mut self, images: &[u8]) -> Result<Vec<Option<u32>>, BlackBoxError> {
        Ok(self.answer(images))
    }
}
