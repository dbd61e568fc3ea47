//! Models in memory: named arrays, their masks and scores, and a description; written as safetensors.
//!
//! A *ticket file* holds `X.weight` (rewound weights: dense in an unstamped ticket, zero outside the mask in a stamped
//! one), `X.weight_mask` and, unstamped only, `X.weight_score`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::container::{Data, Record, write};
use crate::names::{NameError, attached_names, resolve};
use crate::{Array, Carrier, Description, Element, Mask, Overwrite, Secrecy, WriteError, write_atomically};

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
        let resolved: BTreeSet<&str> = resolved.iter().map(|r| r.name.as_str()).collect();
        match self.arrays.keys().find(|name| !resolved.contains(name.as_str())) {
            Some(name) => Err(ModelError::Name { tensor: name.clone() }),
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
        Some(position) => Err(ModelError::NotFinite { tensor: name.to_owned(), position, found: values[position] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, ModelFile};

    fn ticket() -> Model {
        let mut model =
            Model { description: Description { kind: Kind::Ticket, ..Description::default() }, ..Model::default() };
        for (name, shape) in [("l9.weight", vec![2, 3]), ("l10.weight", vec![2, 3]), ("l9.bias", vec![2])] {
            let values = (0..shape.iter().product()).map(|i: usize| i as f32 - 2.5).collect();
            model.arrays.insert(name.to_owned(), Array::new(shape, values).unwrap());
        }
        let steps = Array::with_element(vec![], vec![40.0], Element::Integer).unwrap();
        model.arrays.insert("bn.num_batches_tracked".to_owned(), steps);
        model.masks.insert("l10.weight".to_owned(), Mask::from_fn(6, |p| p % 2 == 0));
        model.scores.insert("l10.weight".to_owned(), vec![0.5; 6]);
        model
    }

    fn write(model: &Model) -> Result<Vec<u8>, WriteError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ticket.safetensors");
        model.write_safetensors(&path, Overwrite::Refuse)?;
        assert_eq!(ModelFile::open(&path).unwrap().read().unwrap(), *model);
        Ok(std::fs::read(&path).unwrap())
    }

    fn refused(change: impl FnOnce(&mut Model)) -> ModelError {
        let mut model = ticket();
        change(&mut model);
        match write(&model) {
            Err(WriteError::Model { source, .. }) => source,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_written_reads_back_and_is_the_same_every_time() {
        assert_eq!(write(&ticket()).unwrap(), write(&ticket()).unwrap());
    }

    #[test]
    fn marked_carriers_keep_their_ordinals() {
        let marked = ticket().marked_carriers();
        assert_eq!(marked.len(), 1);
        assert_eq!((marked[0].name.as_str(), marked[0].ordinal), ("l10.weight", 1));
    }

    #[test]
    fn masks_and_scores_must_fit_their_array() {
        let orphan = refused(|m| drop(m.masks.insert("l11.weight".to_owned(), Mask::full(6))));
        assert_eq!(orphan, ModelError::Orphan { owner: "l11.weight".to_owned() });
        let attached =
            |what, found| ModelError::AttachedSize { tensor: "l9.weight".to_owned(), what, found, expected: 6 };
        let wrong = refused(|m| drop(m.masks.insert("l9.weight".to_owned(), Mask::full(5))));
        assert_eq!(wrong, attached("mask", 5));
        let wrong = refused(|m| drop(m.scores.insert("l9.weight".to_owned(), vec![0.0; 7])));
        assert_eq!(wrong, attached("score", 7));
    }

    #[test]
    fn values_must_be_numbers_of_their_kind() {
        let infinite = refused(|m| m.scores.get_mut("l10.weight").unwrap()[3] = f32::INFINITY);
        let tensor = "l10.weight_score".to_owned();
        assert_eq!(infinite, ModelError::NotFinite { tensor, position: 3, found: f32::INFINITY });
        let half = refused(|m| m.arrays.get_mut("bn.num_batches_tracked").unwrap().values_mut()[0] = 0.5);
        let tensor = "bn.num_batches_tracked".to_owned();
        assert_eq!(half, ModelError::NotInteger { tensor, position: 0, found: 0.5 });
    }

    #[test]
    fn names_that_would_be_read_as_others_are_refused() {
        let array = || Array::new(vec![1], vec![1.0]).unwrap();
        for name in ["x_mask", "l9.weight_mask", "l10.weight_score"] {
            let error = refused(|m| drop(m.arrays.insert(name.to_owned(), array())));
            assert!(matches!(error, ModelError::Name { .. }), "{name}: {error:?}");
        }
        let prefixed = refused(|m| {
            *m = Model::default();
            m.arrays.insert("model.w".to_owned(), array());
        });
        assert_eq!(prefixed, ModelError::Name { tensor: "model.w".to_owned() });
    }
}
