//! Tensors by their state-dict names.

use crate::error::{Error, Result};
use crate::tensor::not_finite;
use std::collections::BTreeMap;

/// A row-major f32 tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Length of each axis; empty for a scalar.
    pub shape: Vec<usize>,
    /// As many values as the product of `shape`.
    pub data: Vec<f32>,
}

/// The tensors of one weight file, by name.
#[derive(Clone, Debug, Default)]
pub struct NamedTensors {
    source: String,
    tensors: BTreeMap<String, Tensor>,
}

impl NamedTensors {
    /// No tensors yet; `source` names the file in errors.
    pub fn new(source: impl Into<String>) -> Self {
        Self { source: source.into(), tensors: BTreeMap::new() }
    }

    /// Adds or replaces the tensor `name`.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.tensors.insert(name.into(), tensor);
    }

    /// The values of tensor `name`, which must have `shape` and be finite.
    ///
    /// # Errors
    /// The tensor is missing, has another shape, or holds a NaN or an infinity.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        let subject = || format!("{}: tensor {name}", self.source);
        let Some(tensor) = self.tensors.get(name) else {
            return Err(Error::format(subject(), "no such tensor", format!("shape {shape:?}")));
        };
        if tensor.shape != shape {
            return Err(Error::format(
                subject(),
                format!("shape {:?}", tensor.shape),
                format!("shape {shape:?}"),
            ));
        }
        if let Some((at, value)) = not_finite(&tensor.data) {
            return Err(Error::format(subject(), format!("{value} at index {at}"), "finite numbers"));
        }
        Ok(&tensor.data)
    }

    /// Takes the tensor `name` out.
    #[cfg(feature = "train")]
    pub(crate) fn remove(&mut self, name: &str) -> Option<Tensor> {
        self.tensors.remove(name)
    }

    /// The tensor `name`, of any shape.
    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Name and tensor of each, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// What the tensors came from, for errors.
    pub fn source(&self) -> &str {
        &self.source
    }
}
