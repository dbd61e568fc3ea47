//! Lines: what one run gave, with everything that it rests on. One JSON object a run; docs/suite.md goes through it.

use std::collections::{BTreeMap, BTreeSet};

use counterfoil_verify::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What one run gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Digest of all that the run depends on.
    pub id: String,
    /// The suite's name.
    pub suite: String,
    /// The subject's name.
    pub subject: String,
    /// The subject's seed; 0 for files.
    pub subject_seed: u64,
    /// SHA-256 of the subject's model file.
    pub input: String,
    /// SHA-256 of the attacked model's file; of the subject's, if it is only served otherwise.
    pub output: String,
    /// What the attack is called.
    pub label: String,
    /// Its steps, in order.
    pub attack: Vec<Step>,
    /// What the settings are that differ from the defaults; tells strengths apart.
    pub strength: String,
    /// Seed of the attack.
    pub seed: u64,
    /// Sealed panels that the attacker was shown.
    pub knows: Vec<u64>,
    /// Version of the tool.
    pub version: String,
    /// Where it was computed.
    pub device: String,
    /// Seconds that the attack took.
    pub seconds: f64,
    /// The same as a share of the victim's training, if the suite has trained it.
    pub cost: Option<f64>,
    /// Accuracy.
    pub accuracy: Accuracy,
    /// Kept weights of the carriers before and after.
    pub kept: [u64; 2],
    /// Share of the kept positions that were not kept before; `None` if the carriers' shapes have changed.
    pub turnover: Option<f64>,
    /// log2 p after charges: the mask's best reading at each level, and the triggers'.
    pub log2_p: Evidence,
    /// All tests of the verifier.
    pub tests: Vec<Value>,
    /// What other marks in the same model say.
    pub others: Vec<OtherMark>,
    /// The verdict.
    pub verdict: String,
    /// Reading that the verdict rests on, if one.
    pub decided_by: Option<String>,
    /// Threshold.
    pub threshold: f64,
    /// Warnings.
    pub flags: BTreeSet<Flag>,
    /// Who made the attacked model, if somebody else.
    pub card: Option<Card>,
}

/// What somebody says of a model that he has attacked himself. He is believed in nothing that decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Who.
    pub by: String,
    /// What was done, in words.
    pub what: String,
    /// Where more is said.
    pub link: Option<String>,
    /// Accuracy that he reports, 0 to 1.
    pub reported_accuracy: Option<f64>,
}

/// One attack of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// All of its settings.
    pub settings: BTreeMap<String, Value>,
}

/// Right answers on the test images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Number of test images.
    pub images: usize,
    /// Right before.
    pub before: usize,
    /// Right after; `None` if the model could not be asked.
    pub after: Option<usize>,
    /// Right before and wrong after.
    pub lost: Option<usize>,
    /// Wrong before and right after.
    pub gained: Option<usize>,
}

impl Accuracy {
    /// Points lost, and their standard error from the pairs (McNemar 1947).
    pub fn points_lost(&self) -> Option<(f64, f64)> {
        let (lost, gained, n) = (self.lost? as f64, self.gained? as f64, self.images as f64);
        let difference = (lost - gained) / n;
        let variance = ((lost + gained) / n - difference * difference) / n;
        Some((100.0 * difference, 100.0 * variance.max(0.0).sqrt()))
    }
}

/// log2 p after charges, 0 at most; `None` where there was no test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The public panel's mask.
    pub mask_public: Option<f64>,
    /// The sealed panels' mask, pooled.
    pub mask_sealed: Option<f64>,
    /// The public triggers.
    pub triggers_public: Option<f64>,
    /// The sealed triggers, pooled.
    pub triggers_sealed: Option<f64>,
}

/// What another mark says of the attacked model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OtherMark {
    /// Which mark.
    pub name: String,
    /// log2 p under its own null; `None` if it has none.
    pub log2_p: Option<f64>,
    /// Whether its owner would say that it is there.
    pub holds: bool,
    /// In words.
    pub reading: String,
}

/// What makes a result doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    /// Neither the weights nor the answers have changed.
    AttackDidNothing,
    /// Channels could not be aligned.
    AlignmentFailed,
    /// Training diverged; there is no model.
    TrainingDiverged,
    /// The victim is hardly better than chance: accuracy lost says little.
    BaselineLow,
    /// The suspect keeps too few positions for the threshold.
    TooFewPositions,
    /// The model could not be asked, so that its accuracy is unknown.
    NotEvaluated,
    /// Results of somebody else's, which this tool has not made.
    MadeElsewhere,
}

impl Line {
    /// Whether its verdict is one.
    pub(crate) fn check(&self) -> Result<(), String> {
        let all = [Verdict::Proven, Verdict::Marked, Verdict::Inconclusive, Verdict::NoMatch].map(Verdict::name);
        if all.contains(&self.verdict.as_str()) {
            return Ok(());
        }
        Err(format!("the verdict is '{}', expected one of {}", self.verdict.escape_debug(), all.join(", ")))
    }

    /// What lines are sorted by.
    pub(crate) fn order(&self) -> (&str, &str, &str, u64, u64, &str) {
        (&self.subject, &self.label, &self.strength, self.subject_seed, self.seed, &self.id)
    }

    /// Whether the verdict is no longer one for the owner.
    pub fn has_fallen(&self) -> bool {
        !matches!(self.verdict.as_str(), "proven" | "marked")
    }
}
