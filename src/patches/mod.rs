//! Feature maps into patch embeddings, and arrays of them as files.

mod embed;
#[cfg(feature = "train")]
pub mod npy;

pub use embed::Embedder;
