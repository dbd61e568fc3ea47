//! A stolen model as a network that can be trained, and back.

use std::collections::BTreeMap;

use counterfoil_ticket::{Architecture, Array, Element, ImageShape, Mask, Model, Normalisation};
use counterfoil_train::{Hold, Network};

use crate::{AttackError, Means};

/// A network and the masks of its carriers.
#[derive(Debug, Clone)]
pub struct Sparse {
    /// The network; its weights are 0 outside the masks.
    pub network: Network,
    /// Kept positions by weight tensor.
    pub masks: BTreeMap<String, Mask>,
}

impl Sparse {
    /// The network of a stolen model, for the attacker's images if he has some.
    ///
    /// # Errors
    ///
    /// It is no architecture that can be trained, or a tensor is missing.
    pub fn of(model: &Model, means: &Means) -> Result<Self, AttackError> {
        let shape = means.data.map(|data| data.train.shape());
        let architecture = model.description.architecture.clone().or_else(|| recognised(model, shape));
        let architecture = architecture.ok_or_else(|| unsuitable("it is of no architecture that is known"))?;
        if let Some(found) = shape.filter(|&shape| shape != architecture.input()) {
            let [channels, height, width]: [u32; 3] = architecture.input().into();
            let [k, h, w]: [u32; 3] = found.into();
            let reason = format!("it takes images of {channels}x{height}x{width}, and the data are {k}x{h}x{w}");
            return Err(AttackError::Unsuitable { reason });
        }
        let of_data = || means.data.map(|data| data.normalisation.clone());
        let normalisation = model.description.normalisation.clone().or_else(of_data).unwrap_or_else(|| {
            let channels = architecture.input().channels as usize;
            Normalisation { mean: vec![0.0; channels], std: vec![1.0; channels] }
        });
        let network = Network::from_model(model, architecture, normalisation, &means.device.open()?)?;
        Ok(Self { network, masks: model.masks.clone() })
    }

    /// The model again: the same description, the network's tensors, the masks.
    pub fn into_model(self, model: Model) -> Model {
        Model { arrays: self.network.arrays(), masks: self.masks, ..model }
    }

    /// Kept positions of all carriers.
    pub fn kept(&self) -> usize {
        self.masks.values().map(Mask::kept).sum()
    }

    /// Share of the kept positions that `before` did not keep.
    pub fn turnover(&self, before: &Self) -> f64 {
        let stayed: usize = self.masks.iter().map(|(name, mask)| mask.overlap(&before.masks[name])).sum();
        1.0 - stayed as f64 / self.kept().max(1) as f64
    }

    /// Sets the weights outside the masks to 0.
    pub(crate) fn hold(&mut self) {
        self.held().apply(&mut self.network);
    }

    /// Holds the masks in a training.
    pub(crate) fn held(&self) -> Hold {
        Hold::new(&self.network, &self.masks, BTreeMap::new())
    }

    /// With the network that a training makes of it.
    pub(crate) fn trained<E>(self, train: impl FnOnce(Network) -> Result<Network, E>) -> Result<Self, E> {
        Ok(Self { network: train(self.network)?, masks: self.masks })
    }

    /// Refuses a model that prunes nothing.
    pub(crate) fn check_prunes(&self) -> Result<(), AttackError> {
        let prunes = self.masks.values().any(|mask| mask.kept() < mask.size());
        prunes.then_some(()).ok_or_else(|| unsuitable("none of its weights are pruned"))
    }
}

fn recognised(model: &Model, input: Option<ImageShape>) -> Option<Architecture> {
    let tensors: Vec<(&str, &[usize])> = model.arrays.iter().map(|(name, a)| (name.as_str(), a.shape())).collect();
    Architecture::recognise_changed(&tensors, input?)
}

pub(crate) fn unsuitable(reason: &str) -> AttackError {
    AttackError::Unsuitable { reason: reason.to_owned() }
}

/// The model's masks; all positions of all carriers if it has none.
pub(crate) fn masks_or_full(model: &Model) -> BTreeMap<String, Mask> {
    if model.masks.is_empty() {
        model.carriers().into_iter().map(|carrier| (carrier.name, Mask::full(carrier.shape.size()))).collect()
    } else {
        model.masks.clone()
    }
}

/// A model of which nothing is pruned any more, but for weights that are 0.
pub(crate) fn no_longer_masked(model: Model) -> Model {
    Model { masks: BTreeMap::new(), ..model }
}

/// Keeps the largest weights of these carriers, so many of each. Ties go to the earlier position.
pub(crate) fn cut_to(model: Model, kept: &BTreeMap<String, usize>) -> Model {
    let cut = |(name, &count): (&String, &usize)| {
        let values = model.arrays.get(name)?.values();
        let mut order: Vec<usize> = (0..values.len()).filter(|&position| values[position] != 0.0).collect();
        order.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()).then(a.cmp(&b)));
        let mut mask = Mask::empty(values.len());
        order.iter().take(count).for_each(|&position| mask.set(position, true));
        Some((name.clone(), mask))
    };
    let masks = kept.iter().filter_map(cut).collect();
    with_masks(model, masks)
}

/// Whether another model has all tensors of floats, in the same shapes.
pub(crate) fn same_tensors(model: &Model, other: &Model) -> Result<(), AttackError> {
    let mut floats = model.arrays.iter().filter(|(_, array)| array.element() == Element::Float);
    floats.try_for_each(|(name, array)| theirs(other, name, array.shape()).map(|_| ()))
}

/// Another model's tensor of this name and shape.
pub(crate) fn theirs<'a>(other: &'a Model, name: &str, shape: &[usize]) -> Result<&'a [f32], AttackError> {
    let array = other.arrays.get(name).filter(|array| array.shape() == shape);
    array.map(Array::values).ok_or_else(|| AttackError::Unsuitable {
        reason: format!("the other model has no tensor '{name}' of its shape"),
    })
}

/// Gives the model other masks, and sets its weights outside them to 0.
pub(crate) fn with_masks(mut model: Model, masks: BTreeMap<String, Mask>) -> Model {
    for (name, mask) in &masks {
        if let Some(array) = model.arrays.get_mut(name) {
            mask.apply(array.values_mut());
        }
    }
    Model { masks, ..model }
}
