//! A model whose channels can be followed: what writes and what reads each of them.
//!
//! Channels of one *node group* are written by the rows of one or several weights, with a bias and a batch norm of each,
//! and read by the columns of others. Whoever changes both sides alike changes nothing that the network computes.

use std::collections::BTreeMap;

use counterfoil_ticket::{Architecture, Array, ImageShape, Layer, Mask, Model, Shortcut};

use crate::sparse::unsuitable;
use crate::{AttackError, Means};

/// PyTorch's addition to variances in batch norms.
pub(crate) const EPSILON: f32 = 1e-5;

/// A model and its layers, with the shapes that they have now.
pub(crate) struct Wired {
    pub(crate) model: Model,
    layers: Vec<Layer>,
    architecture: Architecture,
}

impl Wired {
    /// The model's wiring.
    ///
    /// # Errors
    ///
    /// Its architecture is not known, or a tensor is missing or does not fit it.
    pub(crate) fn of(model: Model, means: &Means) -> Result<Self, AttackError> {
        let described = model.description.architecture.clone();
        let architecture = described.or_else(|| recognised(&model, means));
        let architecture = architecture.ok_or_else(|| unsuitable("it is of no architecture that is known"))?;
        let layers = architecture.fit(|name| model.arrays.get(name).map(Array::shape));
        let layers = layers.map_err(|error| AttackError::Unsuitable { reason: error.to_string() })?;
        for layer in &layers {
            for tensor in channel_tensors(layer) {
                let found = model.arrays.get(&tensor).map(Array::size);
                if found != Some(layer.shape.out as usize) {
                    let reason = format!("'{tensor}' does not have one value for each channel");
                    return Err(AttackError::Unsuitable { reason });
                }
            }
        }
        Ok(Self { model, layers, architecture })
    }

    /// The model again; what was masked has the mask of its zeros.
    pub(crate) fn into_model(self) -> Model {
        remasked(self.model)
    }

    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Colour channels of an image.
    pub(crate) fn colours(&self) -> usize {
        self.architecture.input().channels as usize
    }

    /// Groups that are neither the input nor the classes.
    pub(crate) fn hidden(&self) -> Vec<usize> {
        let classes = self.layers.iter().map(|layer| layer.to).max().unwrap_or(0);
        (1..classes).collect()
    }

    /// Groups whose channels can come and go.
    pub(crate) fn inner(&self) -> Vec<usize> {
        self.hidden().into_iter().filter(|&group| self.architecture.is_inner(group)).collect()
    }

    /// The shortcut that ends in a group.
    pub(crate) fn shortcut_into(&self, group: usize) -> Option<Shortcut> {
        self.architecture.shortcuts().into_iter().find(|shortcut| shortcut.to == group)
    }

    /// Layers that write a group.
    pub(crate) fn writers(&self, group: usize) -> Vec<Layer> {
        self.layers.iter().filter(|layer| layer.to == group).cloned().collect()
    }

    /// Layers that read a group.
    pub(crate) fn readers(&self, group: usize) -> Vec<Layer> {
        self.layers.iter().filter(|layer| layer.from == group).cloned().collect()
    }

    /// Channels of a hidden group.
    pub(crate) fn width(&self, group: usize) -> usize {
        self.layers.iter().find(|layer| layer.to == group).map_or(0, |layer| layer.shape.out as usize)
    }

    /// Gives a group other channels: channel i of the result is channel `sources[i]` of what was there.
    pub(crate) fn take_channels(&mut self, group: usize, sources: &[usize]) {
        for layer in self.writers(group) {
            take_rows(self.array(&layer.weight()), sources);
            channel_tensors(&layer).into_iter().for_each(|tensor| take_rows(self.array(&tensor), sources));
        }
        for layer in self.readers(group) {
            take_columns(self.array(&layer.weight()), sources);
        }
        for layer in &mut self.layers {
            if layer.to == group {
                layer.shape.out = sources.len() as u32;
            }
            if layer.from == group {
                layer.shape.inp = sources.len() as u32;
            }
        }
    }

    /// A channel's weights where it is written.
    pub(crate) fn row(&mut self, layer: &Layer, channel: usize) -> &mut [f32] {
        let row = layer.shape.row();
        &mut self.array(&layer.weight()).values_mut()[channel * row..][..row]
    }

    /// A channel's weights where it is read, kernel by kernel.
    pub(crate) fn column(&mut self, layer: &Layer, channel: usize) -> impl Iterator<Item = &mut f32> {
        let (row, taps) = (layer.shape.row(), layer.shape.taps());
        let rows = self.array(&layer.weight()).values_mut().chunks_exact_mut(row);
        rows.flat_map(move |row| &mut row[channel * taps..][..taps])
    }

    /// A channel's value in a tensor that has one for each.
    pub(crate) fn at(&mut self, tensor: &str, channel: usize) -> &mut f32 {
        &mut self.array(tensor).values_mut()[channel]
    }

    /// Multiplies a channel of a layer before its batch norm, or its end if it has none, and its bias with it.
    pub(crate) fn scale_row(&mut self, layer: &Layer, channel: usize, factor: f32) {
        self.row(layer, channel).iter_mut().for_each(|w| *w *= factor);
        if let Some(bias) = layer.bias() {
            *self.at(&bias, channel) *= factor;
        }
    }

    /// Makes a channel silent: whatever it reads, it is 0.
    pub(crate) fn silence(&mut self, layer: &Layer, channel: usize) {
        match &layer.norm {
            Some(norm) => ["weight", "bias"].iter().for_each(|kind| *self.at(&format!("{norm}.{kind}"), channel) = 0.0),
            None => self.scale_row(layer, channel, 0.0),
        }
    }

    /// Whether nothing would change without a channel of an inner group: nobody reads it, or it is 0 whatever it reads.
    pub(crate) fn is_dead(&mut self, group: usize, channel: usize) -> bool {
        let unread = self.readers(group).iter().all(|layer| self.column(layer, channel).all(|w| *w == 0.0));
        unread || self.writers(group).iter().all(|layer| self.is_silent(layer, channel))
    }

    fn is_silent(&mut self, layer: &Layer, channel: usize) -> bool {
        let is_empty = self.row(layer, channel).iter().all(|w| *w == 0.0);
        let bias = layer.bias().map_or(0.0, |bias| *self.at(&bias, channel));
        let Some(norm) = &layer.norm else { return is_empty && bias <= 0.0 };
        let [gamma, beta, mean, variance] =
            ["weight", "bias", "running_mean", "running_var"].map(|kind| *self.at(&format!("{norm}.{kind}"), channel));
        (is_empty || gamma == 0.0) && beta + (bias - mean) * gamma / (variance + EPSILON).sqrt() <= 0.0
    }

    /// Copies what writes a channel of a group to another channel of it.
    pub(crate) fn copy_row(&mut self, group: usize, from: usize, to: usize) {
        for layer in self.writers(group) {
            let row = self.row(&layer, from).to_vec();
            self.row(&layer, to).copy_from_slice(&row);
            for tensor in channel_tensors(&layer) {
                *self.at(&tensor, to) = *self.at(&tensor, from);
            }
        }
    }

    /// A tensor of the layers, which are all there.
    pub(crate) fn array(&mut self, tensor: &str) -> &mut Array {
        self.model.arrays.get_mut(tensor).expect("the tensors of all layers were looked up")
    }
}

/// Tensors with one value for each channel that a layer writes.
fn channel_tensors(layer: &Layer) -> Vec<String> {
    let norm = |norm: &String| ["weight", "bias", "running_mean", "running_var"].map(|kind| format!("{norm}.{kind}"));
    layer.bias().into_iter().chain(layer.norm.iter().flat_map(norm)).collect()
}

/// What was masked gets the mask of its zeros.
pub(crate) fn remasked(mut model: Model) -> Model {
    let arrays = &model.arrays;
    let masks =
        model.masks.keys().filter_map(|name| Some((name.clone(), Mask::of_nonzero(arrays.get(name)?.values()))));
    model.masks = masks.collect::<BTreeMap<_, _>>();
    model
}

fn take_rows(array: &mut Array, sources: &[usize]) {
    let mut shape = array.shape().to_vec();
    let row = array.size() / shape[0].max(1);
    let values = sources.iter().flat_map(|&source| array.values()[source * row..][..row].to_vec()).collect();
    shape[0] = sources.len();
    *array = Array::with_element(shape, values, array.element()).expect("as many rows as the shape says");
}

fn take_columns(array: &mut Array, sources: &[usize]) {
    let mut shape = array.shape().to_vec();
    let taps = shape[2..].iter().product::<usize>();
    let rows = array.values().chunks_exact(shape[1] * taps);
    let values =
        rows.flat_map(|row| sources.iter().flat_map(|&source| row[source * taps..][..taps].to_vec())).collect();
    shape[1] = sources.len();
    *array = Array::with_element(shape, values, array.element()).expect("as many columns as the shape says");
}

/// The architecture of a model that does not say it: with the attacker's images, else whatever their size.
fn recognised(model: &Model, means: &Means) -> Option<Architecture> {
    let tensors: Vec<(&str, &[usize])> = model.arrays.iter().map(|(name, a)| (name.as_str(), a.shape())).collect();
    let inputs = model.arrays.get("fc1.weight").and_then(|array| u32::try_from(*array.shape().get(1)?).ok());
    let usual = match inputs {
        Some(width) => ImageShape { channels: 1, height: 1, width },
        None => ImageShape { channels: 3, height: 32, width: 32 },
    };
    let input = means.data.map_or(usual, |data| data.train.shape());
    Architecture::recognise_changed(&tensors, input)
}
