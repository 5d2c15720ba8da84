//! Weight files into named tensors.

mod tensors;

pub use tensors::{NamedTensors, Tensor};
