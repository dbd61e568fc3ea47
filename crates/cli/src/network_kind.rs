//! Which of the networks that counterfoil knows a model file holds.
//!
//! A description is believed only where the tensors bear it out: sizes that nothing in the file stands for would
//! otherwise be allocated.

use counterfoil_ticket::{Architecture, CarrierShape, Entry, ImageShape, ModelFile};

/// Image side of the networks of the CIFAR family, which their tensors do not tell.
const USUAL_SIDE: u32 = 32;

/// Most values of an input image.
const MAX_INPUT: usize = 1 << 18;

/// What is known of the input image from elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KnownInput {
    /// From a claim.
    pub(crate) shape: Option<ImageShape>,
    /// From the user: height and width.
    pub(crate) side: Option<u32>,
}

/// The network's architecture, or why none is known.
pub(crate) fn architecture_of(file: &ModelFile, known: KnownInput) -> Result<Architecture, String> {
    let entries = file.entries();
    let tensors: Vec<(&str, &[usize])> = entries.iter().map(|e| (e.name.as_str(), e.shape.as_slice())).collect();
    let described = file.description().and_then(|description| description.architecture.clone());
    let found = match &described {
        Some(described) => Some(described).filter(|described| is_one(described, &tensors)).cloned(),
        None => inputs(entries, known).into_iter().find_map(|input| Architecture::recognise_changed(&tensors, input)),
    };
    match (found, described) {
        (Some(found), _) if found.input().size() > MAX_INPUT => {
            Err(format!("its images have {} values, expected at most {MAX_INPUT}", found.input().size()))
        }
        (Some(found), _) => Ok(found),
        (None, Some(described)) => {
            Err(format!("it calls itself a {}, but its tensors are not one's", described.name()))
        }
        (None, None) => {
            Err("it is no network that counterfoil knows (mlp, resnet20, resnet18, resnet50, vgg16)".to_owned())
        }
    }
}

/// Whether the tensors are this architecture's, also with other hidden channels or kernels.
fn is_one(described: &Architecture, tensors: &[(&str, &[usize])]) -> bool {
    let shape_of = |name: &str| tensors.iter().find(|tensor| tensor.0 == name).map(|tensor| tensor.1);
    let carriers = tensors.iter().filter(|(_, shape)| CarrierShape::of_tensor(shape).is_some()).count();
    described.fit(shape_of).is_ok_and(|layers| layers.len() == carriers)
}

/// Input images to try: what is known, else the usual ones.
fn inputs(entries: &[Entry], known: KnownInput) -> Vec<ImageShape> {
    let square = |channels, side| ImageShape { channels, height: side, width: side };
    if let Some(shape) = known.shape {
        return vec![shape];
    }
    // A fully connected network tells the number of its inputs, of one channel or three.
    let first = entries.iter().find(|entry| entry.name == "fc1.weight").and_then(|entry| entry.shape.get(1).copied());
    let side_of = |channels: usize| {
        let side = first.map(|inputs| (inputs / channels).isqrt())?;
        u32::try_from(side).ok().filter(|_| Some(side * side * channels) == first)
    };
    let sides = |channels| known.side.or_else(|| side_of(channels as usize)).unwrap_or(USUAL_SIDE);
    [1, 3].map(|channels| square(channels, sides(channels))).into()
}

/// An architecture in words.
pub(crate) fn in_words(architecture: &Architecture) -> String {
    let ImageShape { channels, height, width } = architecture.input();
    let layers = match architecture {
        Architecture::Mlp { hidden, .. } => {
            let widths: Vec<String> = hidden.iter().map(u32::to_string).collect();
            if widths.is_empty() { "no hidden layer".to_owned() } else { format!("hidden {}", widths.join(", ")) }
        }
        Architecture::Resnet20 { width, .. }
        | Architecture::Resnet18 { width, .. }
        | Architecture::Resnet50 { width, .. }
        | Architecture::Vgg16 { width, .. } => format!("width {width}"),
    };
    format!("{}, images {channels}x{height}x{width}, {layers}, {} classes", architecture.name(), architecture.classes())
}
