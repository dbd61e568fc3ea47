//! Models in memory: named arrays, their masks and scores, and a description; written as safetensors.
//!
//! A *ticket file* holds `X.weight` (rewound weights: dense in an unstamped ticket, zero outside the mask in a stamped
//! one), `X.weight_mask` and, unstamped only, `X.weight_score`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::container::{Data, Record, write};
use crate::names::{NameError, attached_names, resolve};
use crate::{
    Array, Carrier, Description, Element, Mask, Overwrite, Secrecy, WriteError, write_atomically,
};

/// Everything of a file in memory. Masks and scores are keyed by the name of the array they belong to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Model {
    /// What it says about itself.
    pub description: Description,
    /// The tensors.
    pub arrays: BTreeMap<String, Array>,
    /// Kept positions, for some of the arrays.
    pub masks: BTreeMap<String, Mask>,
    /// One number for each position of some of the arrays: how much the finder would miss it.
    pub scores: BTreeMap<String, Vec<f32>>,
}

/// How a model contradicts itself.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A mask or scores without the array that they belong to.
    #[error("'{owner}' has a mask or scores, but is not there")]
    Orphan {
        /// The name that is missing.
        owner: String,
    },
    /// A mask or scores of another size than their array.
    #[error("the {what} of '{tensor}' has {found} positions, expected {expected}")]
    AttachedSize {
        /// The array.
        tensor: String,
        /// "mask" or "score".
        what: &'static str,
        /// Positions it has.
        found: usize,
        /// Positions of the array.
        expected: usize,
    },
    /// NaN or infinite.
    #[error("'{tensor}' is {found} at position {position}, expected a finite number")]
    NotFinite {
        /// The array.
        tensor: String,
        /// Flat index.
        position: usize,
        /// What is there.
        found: f32,
    },
    /// An integer tensor holds a value that is none, or one beyond 2^24.
    #[error("'{tensor}' is {found} at position {position}, expected an integer up to 2^24")]
    NotInteger {
        /// The array.
        tensor: String,
        /// Flat index.
        position: usize,
        /// What is there.
        found: f32,
    },
    /// A file that holds this name would be read as something else.
    #[error("'{tensor}' cannot be the name of a tensor, since it would be read back as another")]
    Name {
        /// The name.
        tensor: String,
    },
    /// Rank or a dimension beyond the encoding of the canonical digest.
    #[error("'{tensor}' has the shape {shape:?}, expected a rank up to 255 and dimensions below 2^32")]
    Shape {
        /// The array.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
    },
}

impl Model {
    /// All carriers: its arrays of rank 2, 3 and 4.
    pub fn carriers(&self) -> Vec<Carrier> {
        Carrier::number(self.arrays.iter().map(|(name, array)| (name.as_str(), array.shape())))
    }

    /// The carriers that have a mask. Their ordinals still count over all carriers.
    pub fn marked_carriers(&self) -> Vec<Carrier> {
        self.carriers().into_iter().filter(|c| self.masks.contains_key(&c.name)).collect()
    }

    /// Writes a safetensors file, public and whole or not at all; the same model gives the same bytes.
    ///
    /// Floats are written as F32, integers as I64, masks as U8 (0 or 1), scores as F32.
    pub fn write_safetensors(&self, path: &Path, overwrite: Overwrite) -> Result<(), WriteError> {
        let file = || path.to_owned();
        self.check().map_err(|source| WriteError::Model { file: file(), source })?;
        let text = self.description.to_json().map_err(|source| WriteError::Description { file: file(), source })?;
        write_atomically(path, overwrite, Secrecy::Public, |out| write(out, &text, self.records()))
    }

    /// Whether a file can hold the model such that reading gives it back.
    pub(crate) fn check(&self) -> Result<(), ModelError> {
        let attached = self.masks.iter().map(|(name, mask)| (name, "mask", mask.size()));
        let attached = attached.chain(self.scores.iter().map(|(name, scores)| (name, "score", scores.len())));
        for (name, what, found) in attached {
            let array = self.arrays.get(name).ok_or_else(|| ModelError::Orphan { owner: name.clone() })?;
            if found != array.size() {
                return Err(ModelError::AttachedSize { tensor: name.clone(), what, found, expected: array.size() });
            }
        }
        for (name, array) in &self.arrays {
            check_finite(name, array.values())?;
            let largest = (1u32 << f32::MANTISSA_DIGITS) as f32;
            let wrong = |v: &f32| v.fract() != 0.0 || v.abs() > largest;
            if array.element() == Element::Integer
                && let Some(position) = array.values().iter().position(wrong)
            {
                let found = array.values()[position];
                return Err(ModelError::NotInteger { tensor: name.clone(), position, found });
            }
        }
        self.scores.iter().try_for_each(|(name, scores)| check_finite(&attached_names(name)[1], scores))?;
        self.check_names()
    }

    /// Names must resolve to themselves, masks and scores to where they are.
    fn check_names(&self) -> Result<(), ModelError> {
        let records = self.records();
        let names: Vec<&str> = records.iter().map(|r| r.name.as_str()).collect();
        let resolved = resolve(&names).map_err(|e| match e {
            NameError::Repeated { name, .. } | NameError::Orphan { name, .. } => ModelError::Name { tensor: name },
        })?;
        match resolved.iter().find(|r| names[r.tensor] != r.name) {
            Some(r) => Err(ModelError::Name { tensor: names[r.tensor].to_owned() }),
            None => Ok(()),
        }
    }

    fn records(&self) -> Vec<Record<'_>> {
        let mut records = Vec::with_capacity(self.arrays.len() + self.masks.len() + self.scores.len());
        for (name, array) in &self.arrays {
            let (shape, values) = (array.shape(), array.values());
            let [mask_name, score_name] = attached_names(name);
            let data = match array.element() {
                Element::Float => Data::F32(values),
                Element::Integer => Data::Integers(values),
            };
            records.push(Record { name: name.clone(), shape, data });
            let mask = self.masks.get(name).map(|mask| Record { name: mask_name, shape, data: Data::Mask(mask) });
            let scores = self.scores.get(name).map(|s| Record { name: score_name, shape, data: Data::F32(s) });
            records.extend(mask.into_iter().chain(scores));
        }
        records
    }
}

fn check_finite(name: &str, values: &[f32]) -> Result<(), ModelError> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(position) => {
            Err(ModelError::NotFinite { tensor: name.to_owned(), position, found: values[position] })
        }
        None => Ok(()),
    }
}
