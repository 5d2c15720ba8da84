//! Feature maps into patch embeddings.

mod embed;

pub use embed::Embedder;
