//! Weight files into named tensors.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

#[cfg(feature = "train")]
mod dtype;
#[cfg(feature = "train")]
mod legacy;
#[cfg(feature = "train")]
mod limits;
#[cfg(feature = "train")]
mod load;
#[cfg(feature = "train")]
mod names;
#[cfg(feature = "train")]
mod pickle;
#[cfg(feature = "train")]
mod safetensors;
mod tensors;
#[cfg(feature = "train")]
mod torch;
#[cfg(all(test, feature = "train"))]
#[path = "../../tests/common/torch.rs"]
mod torch_writer;
#[cfg(feature = "train")]
mod zip;

#[cfg(feature = "train")]
pub use limits::WeightLimits;
#[cfg(feature = "train")]
pub(crate) use load::read;
#[cfg(feature = "train")]
pub use load::{load, parse};
#[cfg(feature = "train")]
pub(crate) use pickle::Field;
pub use tensors::{NamedTensors, Tensor};
#[cfg(feature = "train")]
pub(crate) use torch::Checkpoint;
