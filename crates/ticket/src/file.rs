//! Model files: any container, opened lazily.
//!
//! Opening reads and checks what the file declares: names, shapes, the description. Values are read on demand, one
//! tensor at a time, and checked then. A byte that is missing is an error and never a zero, since a zero would pass for
//! a pruned weight.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::container::{self, Container, Listed};
use crate::names::{NameError, Resolved, resolve};
use crate::values::{Stored, Values};
use crate::{Array, Carrier, Description, Dtype, Mask, Model, ReadError, natural_order};

/// One tensor of a file; its mask and scores are attached, not entries of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name, shared prefix and `_orig` removed.
    pub name: String,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Element type in the file.
    pub dtype: Dtype,
    /// Whether the file has a mask for it.
    pub has_mask: bool,
}

/// A model file, opened: entries listed, values read on demand. Can be shared between threads.
pub struct ModelFile {
    pub(crate) path: PathBuf,
    pub(crate) container: Box<dyn Container>,
    description: Option<Description>,
    entries: Vec<Entry>,
    /// Where each of `entries` is in the container.
    resolved: Vec<Resolved>,
}

impl ModelFile {
    /// Opens a file of any container; which one is told by its content.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let container = container::open(path)?;
        let listed = container.tensors();
        if listed.is_empty() {
            return Err(ReadError::NoTensors { file: path.to_owned() });
        }
        let names: Vec<&str> = listed.iter().map(|t| t.name.as_str()).collect();
        let resolved = resolve(&names).map_err(|e| name_error(path, e))?;
        check_attached_shapes(path, listed, &resolved)?;
        let entry = |r: &Resolved| {
            let Listed { shape, dtype, .. } = &listed[r.tensor];
            Entry { name: r.name.clone(), shape: shape.clone(), dtype: *dtype, has_mask: r.mask.is_some() }
        };
        let entries = resolved.iter().map(entry).collect();
        let description = container
            .description()
            .map(Description::from_json)
            .transpose()
            .map_err(|source| ReadError::Description { file: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), container, description, entries, resolved })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The container's name: "safetensors" or "pytorch".
    pub fn container(&self) -> &'static str {
        self.container.name()
    }

    /// What the file says about itself, if it does.
    pub fn description(&self) -> Option<&Description> {
        self.description.as_ref()
    }

    /// All tensors in natural order of their names.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All carriers (tensors of rank 2, 3 and 4), numbered.
    pub fn carriers(&self) -> Vec<Carrier> {
        Carrier::number(self.entries.iter().map(|e| (e.name.as_str(), e.shape.as_slice())))
    }

    /// The values of a tensor; those of a tensor stored as `X_orig` are 0 outside its mask, as in use.
    pub fn values(&self, name: &str) -> Result<Array, ReadError> {
        let entry = self.find(name)?;
        let mut array = self.array(entry.tensor)?;
        if entry.is_orig
            && let Some(mask) = self.attached_mask(entry)?
        {
            mask.apply(array.values_mut());
        }
        Ok(array)
    }

    /// The values of a tensor as by [`ModelFile::values`], to be read part by part: never more than
    /// [`MAX_HELD`](crate::MAX_HELD) of them are held, if the container lets parts be read.
    pub fn values_by_parts(&self, name: &str) -> Result<Values<'_>, ReadError> {
        let entry = self.find(name)?;
        let mask = if entry.is_orig { self.attached_mask(entry)? } else { None };
        Values::open(Stored::new(self, entry.tensor)?, mask)
    }

    /// The positions that the mask of a tensor keeps or, if the file has none for it, whose value is not zero.
    pub fn kept(&self, name: &str) -> Result<Mask, ReadError> {
        let entry = self.find(name)?;
        if let Some(mask) = self.attached_mask(entry)? {
            return Ok(mask);
        }
        let stored = Stored::new(self, entry.tensor)?;
        let mut nonzero = Mask::empty(stored.size());
        stored.each_part(|first, values| {
            nonzero.keep_nonzero(first, values);
            Ok(())
        })?;
        Ok(nonzero)
    }

    /// The mask of a tensor, if the file has one for it.
    pub fn mask(&self, name: &str) -> Result<Option<Mask>, ReadError> {
        self.attached_mask(self.find(name)?)
    }

    /// The scores of a tensor, one for each position, if the file has them.
    pub fn scores(&self, name: &str) -> Result<Option<Vec<f32>>, ReadError> {
        self.find(name)?.score.map(|i| Ok(self.array(i)?.into_values())).transpose()
    }

    /// The values of a tensor as they are stored; those of an `X_orig` outside its mask too.
    pub fn stored_values(&self, name: &str) -> Result<Array, ReadError> {
        self.array(self.find(name)?.tensor)
    }

    /// Everything at once, as it is in use: see [`ModelFile::values`].
    pub fn read(&self) -> Result<Model, ReadError> {
        self.read_with(Self::values)
    }

    /// Everything at once, with values as they are stored, so that positions outside the masks can be taken in: see
    /// [`ModelFile::stored_values`].
    pub fn read_stored(&self) -> Result<Model, ReadError> {
        self.read_with(Self::stored_values)
    }

    fn read_with(&self, values: impl Fn(&Self, &str) -> Result<Array, ReadError>) -> Result<Model, ReadError> {
        let mut model = Model { description: self.description.clone().unwrap_or_default(), ..Model::default() };
        for Entry { name, .. } in &self.entries {
            model.arrays.insert(name.clone(), values(self, name)?);
            if let Some(mask) = self.mask(name)? {
                model.masks.insert(name.clone(), mask);
            }
            if let Some(scores) = self.scores(name)? {
                model.scores.insert(name.clone(), scores);
            }
        }
        Ok(model)
    }

    fn find(&self, name: &str) -> Result<&Resolved, ReadError> {
        match self.resolved.binary_search_by(|r| natural_order(&r.name, name)) {
            Ok(i) => Ok(&self.resolved[i]),
            Err(_) => Err(ReadError::NoSuchTensor { file: self.path.clone(), tensor: name.to_owned() }),
        }
    }

    /// One tensor of the container, by index.
    fn array(&self, index: usize) -> Result<Array, ReadError> {
        let Listed { name, shape, dtype } = &self.container.tensors()[index];
        let values = Stored::new(self, index)?.read_all()?;
        Array::with_element(shape.clone(), values, dtype.element()).map_err(|source| ReadError::Tensor {
            file: self.path.clone(),
            tensor: name.clone(),
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, source),
        })
    }

    fn attached_mask(&self, entry: &Resolved) -> Result<Option<Mask>, ReadError> {
        let Some(index) = entry.mask else { return Ok(None) };
        let stored = Stored::new(self, index)?;
        let mut mask = Mask::empty(stored.size());
        stored.each_part(|first, values| {
            if let Some(i) = values.iter().position(|&v| v != 0.0 && v != 1.0) {
                let (file, tensor) = (self.path.clone(), self.container.tensors()[index].name.clone());
                return Err(ReadError::MaskValue { file, tensor, position: first + i, found: values[i] });
            }
            mask.keep_nonzero(first, values);
            Ok(())
        })?;
        Ok(Some(mask))
    }
}

impl fmt::Debug for ModelFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelFile")
            .field("path", &self.path)
            .field("container", &self.container())
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

fn name_error(path: &Path, error: NameError) -> ReadError {
    let file = path.to_owned();
    match error {
        NameError::Repeated { name: tensor, times } => ReadError::Repeated { file, tensor, times },
        NameError::Orphan { name: tensor, owner } => ReadError::Orphan { file, tensor, owner },
    }
}

fn check_attached_shapes(path: &Path, listed: &[Listed], resolved: &[Resolved]) -> Result<(), ReadError> {
    for entry in resolved {
        let expected = &listed[entry.tensor].shape;
        for attached in [entry.mask, entry.score].into_iter().flatten().map(|i| &listed[i]) {
            if attached.shape != *expected {
                return Err(ReadError::AttachedShape {
                    file: path.to_owned(),
                    tensor: attached.name.clone(),
                    found: attached.shape.clone(),
                    expected: expected.clone(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
