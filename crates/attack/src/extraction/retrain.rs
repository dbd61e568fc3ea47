//! Retraining on the stolen model's labels, in the same architecture or another one.

use counterfoil_ticket::{Architecture, ImageShape, Model};
use counterfoil_train::{Hold, Predictor};

use super::{RECIPE, handed_over, lesson, profile, student};
use crate::tuning::relabelled;
use crate::{Attack, AttackError, Attacked, Means, Parameter, Profile, Settings};

const SOURCE: &str = "Model extraction: Lukas et al. 2022 (arXiv 2108.04974), section IV";

/// Trains the same architecture.
pub(crate) struct Retrain;
/// Trains another architecture, or a narrower network.
pub(crate) struct CrossArch;

impl Attack for Retrain {
    fn profile(&self) -> Profile {
        profile("retrain", "train a fresh network of the same architecture on the stolen model's labels", SOURCE)
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        retrained(&stolen, settings, means, |architecture| Ok(architecture.clone()))
    }
}

impl Attack for CrossArch {
    fn profile(&self) -> Profile {
        const ARCHITECTURE: Parameter = Parameter::choice(
            "architecture",
            "same",
            &["same", "mlp", "resnet20", "resnet18", "vgg16"],
            "what is trained: the stolen model's architecture, or another one of its usual width",
        );
        const WIDTH: Parameter =
            Parameter::number("width", "0.5", [0.01, 4.0], "width, as a multiple of the architecture's");
        Profile {
            parameters: const { &[ARCHITECTURE, WIDTH, RECIPE[0], RECIPE[1], RECIPE[2], RECIPE[3]] },
            ..profile(
                "cross-arch",
                "train a network of another architecture or width on the stolen model's labels",
                SOURCE,
            )
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let (family, factor) = (settings.word("architecture"), settings.number("width"));
        retrained(&stolen, settings, means, |stolen| {
            let (input, classes) = (stolen.input(), stolen.classes());
            let base = if family == "same" { stolen.clone() } else { usual(family, input, classes) };
            let narrowed = scaled(base, factor);
            let reason = || format!("there is no {} of this width for its images", narrowed.name());
            if narrowed.is_within_bounds() { Ok(narrowed) } else { Err(AttackError::Unsuitable { reason: reason() }) }
        })
    }
}

fn retrained(
    stolen: &Model,
    settings: &Settings,
    means: &mut Means,
    architecture: impl FnOnce(&Architecture) -> Result<Architecture, AttackError>,
) -> Result<Attacked, AttackError> {
    let (network, mut lesson) = lesson(stolen, settings, means)?;
    lesson.split = relabelled(&lesson.split, &Predictor::new(&network))?;
    let fresh = student(&network, architecture(network.architecture())?, means.seed);
    let trained = lesson.train(fresh, &Hold::default(), means.on_event)?;
    Ok(handed_over(&trained, Default::default()))
}

/// An architecture of its paper's width; the hidden layers of an MLP as in LeNet-300-100.
fn usual(family: &str, input: ImageShape, classes: u32) -> Architecture {
    match family {
        "mlp" => Architecture::Mlp { input, hidden: vec![300, 100], classes },
        "resnet20" => Architecture::Resnet20 { input, width: 16, classes },
        "resnet18" => Architecture::Resnet18 { input, width: 64, classes },
        _ => Architecture::Vgg16 { input, width: 64, classes },
    }
}

/// The architecture with all widths multiplied; even ones stay even.
fn scaled(mut architecture: Architecture, factor: f64) -> Architecture {
    let scale = |width: &mut u32| {
        let scaled = (f64::from(*width) * factor).round().max(1.0) as u32;
        *width = if width.is_multiple_of(2) { scaled.next_multiple_of(2) } else { scaled };
    };
    match &mut architecture {
        Architecture::Mlp { hidden, .. } => hidden.iter_mut().for_each(scale),
        Architecture::Resnet20 { width, .. }
        | Architecture::Resnet18 { width, .. }
        | Architecture::Resnet50 { width, .. }
        | Architecture::Vgg16 { width, .. } => scale(width),
    }
    architecture
}
