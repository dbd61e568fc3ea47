//! What an attack is: what it says about itself, what it takes, what it gives.

use std::collections::BTreeMap;

use counterfoil_claim::{Dilution, OpenedPanel, PanelCount, PanelId, PublicKey, Seed, Split, VerifiedClaim};
use counterfoil_mark::masks_of;
use counterfoil_ticket::{Description, Mask, Model};
use counterfoil_train::data::{Augmentation, Dataset};
use counterfoil_train::{DeviceChoice, Event, Predictor};
use serde::Serialize;

use crate::{AttackError, Parameter, Settings};

/// One way to lose, hide or copy a mark. One file each; [`crate::attacks`] lists them.
pub trait Attack: Sync {
    /// What it says about itself; docs/attacks.md is made of these.
    fn profile(&self) -> Profile;

    /// Whether it guesses what a key mask holds, which is pointless unless one is held back.
    fn undoes_a_lock(&self) -> bool {
        false
    }

    /// Attacks a stolen model.
    ///
    /// - `stolen`: what the thief has, [`stolen`] of it: masks are those of its zeros, if it has any.
    /// - `settings`: a value for each of the profile's parameters.
    /// - `means`: what else he has. The same seed gives the same model.
    ///
    /// # Errors
    ///
    /// He lacks something that the attack needs, the model is not one that it works on, or training fails.
    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError>;
}

/// An attack in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// Its name: that of the catalogue, lower case, with hyphens.
    pub name: &'static str,
    /// What it does, one phrase.
    pub does: &'static str,
    /// What kind of attack it is.
    pub class: Class,
    /// What it costs.
    pub cost: Cost,
    /// What the attacker must have beside the model.
    pub needs: &'static [Need],
    /// Where it is described.
    pub source: &'static str,
    /// What can be set, with the catalogue's values as defaults.
    pub parameters: &'static [Parameter],
}

/// What an attack changes, and what its attacker knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Changes the weights, without knowing of the mark.
    Model,
    /// Changes the structure and keeps what it computes.
    Structure,
    /// Trains another model on the stolen one's answers.
    Extraction,
    /// Changes what goes into or comes out of a served model.
    Endpoint,
    /// Knows how the mark works, or some of its panels.
    Informed,
}

impl Class {
    /// As lists and lines have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Structure => "structure",
            Self::Extraction => "extraction",
            Self::Endpoint => "endpoint",
            Self::Informed => "informed",
        }
    }
}

/// What an attack costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cost {
    /// Seconds.
    None,
    /// A few passes over data, without training.
    Passes,
    /// A short training.
    Tuning,
    /// About as much as the victim's training.
    Training,
}

impl Cost {
    /// As lists and lines have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Passes => "passes",
            Self::Tuning => "tuning",
            Self::Training => "training",
        }
    }
}

/// What an attacker must have beside the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// Training images.
    Data,
    /// The owner's public key, hence panel 0.
    Key,
    /// Another model: what of, its profile says.
    Other,
    /// Initial weights that the ticket was found from, of which the pruned ones are known too.
    Rewound,
}

/// What the attacker knows of the mark.
#[derive(Clone)]
pub struct Insight {
    /// The owner's public key.
    pub key: PublicKey,
    /// Which positions belong to which panel.
    pub split: Split,
    /// Dilution that the claim states.
    pub dilution: Dilution,
    /// Seeds of sealed panels that were disclosed to him.
    pub disclosed: Vec<(PanelId, Seed)>,
}

/// Without a claim nobody says how many sealed panels there are, and panel 0 does not depend on it.
const UNCLAIMED: PanelCount = PanelCount::new(1).expect("one is allowed");

impl Insight {
    /// What somebody knows who has the key, the claim if there is one, and these panels that were opened under it.
    pub fn new<'a>(
        key: PublicKey,
        claim: Option<&VerifiedClaim>,
        opened: impl IntoIterator<Item = &'a OpenedPanel>,
    ) -> Self {
        let opened: Vec<&OpenedPanel> = opened.into_iter().collect();
        let (sealed, dilution) = match claim.map(VerifiedClaim::body) {
            Some(body) => (body.sealed_panels, body.dilution),
            None => (UNCLAIMED, Dilution::ALL[0]),
        };
        let split = opened.first().map_or(Split::Owner(sealed), |panel| panel.split().clone());
        let disclosed = opened.iter().map(|panel| (panel.panel(), panel.seed().clone())).collect();
        Self { key, split, dilution, disclosed }
    }

    /// The panels that he knows: panel 0 and those that were disclosed.
    pub fn panels(&self) -> Vec<(PanelId, Seed)> {
        let public = (PanelId::PUBLIC, self.key.public_seed());
        std::iter::once(public).chain(self.disclosed.iter().cloned()).collect()
    }
}

/// What an attacker has beside the model.
pub struct Means<'a> {
    /// Seed of all that is random.
    pub seed: u64,
    /// His images: the training half is what he learns from, the test half is not looked at.
    pub data: Option<&'a Dataset>,
    /// How his images are varied.
    pub augmentation: Augmentation,
    /// What he knows of the mark.
    pub insight: Option<Insight>,
    /// Another model, or several.
    pub others: Vec<Model>,
    /// The ticket's rewound weights.
    pub rewound: Option<Model>,
    /// Where he computes.
    pub device: DeviceChoice,
    /// Told of the progress of training.
    pub on_event: &'a mut dyn FnMut(Event),
}

impl<'a> Means<'a> {
    /// His training images.
    ///
    /// # Errors
    ///
    /// He has none.
    pub fn data(&self) -> Result<&'a Dataset, AttackError> {
        self.data.ok_or(AttackError::Lacks { what: Need::Data })
    }

    /// What he knows of the mark.
    ///
    /// # Errors
    ///
    /// Nothing.
    pub fn insight(&self) -> Result<&Insight, AttackError> {
        self.insight.as_ref().ok_or(AttackError::Lacks { what: Need::Key })
    }

    /// The first of his other models.
    ///
    /// # Errors
    ///
    /// He has none.
    pub fn other(&self) -> Result<&Model, AttackError> {
        self.others.first().ok_or(AttackError::Lacks { what: Need::Other })
    }
}

/// What an attack leaves.
#[allow(clippy::large_enum_variant)] // A run makes one.
pub enum Attacked {
    /// A model file.
    Model(Model),
    /// The model as it was, served behind something.
    Served(Box<dyn Endpoint>),
}

/// What stands between a served model and those who ask it.
pub trait Endpoint {
    /// Answers images ([n, channels, height, width] bytes), one class each; `None` is a refusal.
    fn answer(&mut self, images: &[u8], model: &Predictor) -> Vec<Option<u32>>;
}

/// A model as a thief finds it: its weights, and masks where they are zero; nothing of its history.
pub fn stolen(model: Model) -> Model {
    let masks: BTreeMap<String, Mask> = masks_of(&model);
    let mut arrays = model.arrays;
    for (name, mask) in &masks {
        if let Some(array) = arrays.get_mut(name) {
            mask.apply(array.values_mut());
        }
    }
    let Description { architecture, normalisation, .. } = model.description;
    let description = Description { architecture, normalisation, ..Description::default() };
    Model { description, arrays, masks, ..Model::default() }
}

/// A model as a thief hands it on: plain weights.
pub fn handed_on(attacked: Model) -> Model {
    Model { masks: BTreeMap::new(), scores: BTreeMap::new(), ..attacked }
}
