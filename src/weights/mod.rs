//! Weight files into named tensors.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

#[cfg(feature = "safetensors")]
mod dtype;
#[cfg(feature = "train")]
mod legacy;
#[cfg(feature = "safetensors")]
mod limits;
#[cfg(feature = "train")]
mod load;
#[cfg(feature = "safetensors")]
mod names;
#[cfg(feature = "train")]
mod pickle;
#[cfg(feature = "safetensors")]
mod safetensors;
mod tensors;
#[cfg(feature = "train")]
mod torch;
#[cfg(all(test, feature = "train"))]
#[path = "../../tests/support/torch.rs"]
mod torch_writer;
#[cfg(feature = "train")]
mod zip;

#[cfg(feature = "safetensors")]
pub use limits::WeightLimits;
#[cfg(feature = "train")]
pub(crate) use load::first_bytes;
#[cfg(feature = "train")]
pub use load::{load, parse};
#[cfg(feature = "train")]
pub(crate) use pickle::Field;
#[cfg(feature = "safetensors")]
pub use safetensors::parse as parse_safetensors;
#[cfg(any(feature = "embedded-default", feature = "embedded-small"))]
pub(crate) use safetensors::views as safetensors_views;
pub use tensors::{NamedTensors, Tensor};
#[cfg(feature = "train")]
pub(crate) use torch::Checkpoint;
