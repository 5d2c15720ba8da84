//! What a model says about itself: the metadata metadata of its file, and the view that users get.

use super::Model;
use crate::image::Preprocess;
use crate::memory_bank::Precision;
use crate::network::Layer;
use crate::score::Calibration;
use bincode::{Decode, Encode};

/// The metadata metadata. Shapes are checked against the sections when the file is opened.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct Metadata {
    pub producer: String,
    pub architecture: String,
    /// Where the weights came from: the name of an embedded backbone, or a file's name.
    pub weights: String,
    pub weights_checksum: u32,
    /// The weights are those that the library embeds, and are not repeated in the file.
    pub embedded: bool,
    pub layers: Vec<Layer>,
    pub preprocess: Preprocess,
    pub rows: u64,
    pub dim: u64,
    pub neighbors: u32,
    pub training: Training,
    pub calibration: Calibration,
}

/// How a memory bank came to be.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[non_exhaustive]
pub struct Training {
    /// Photographs of good parts; 0 where an imported model does not say.
    pub images: u64,
    /// Their patches, before the coreset was chosen; 0 where an imported model does not say.
    pub patches: u64,
    /// How many of them the coreset was chosen from, where memory was bounded and did not allow all.
    pub sampled: Option<u64>,
    /// Share of the patches that was to be kept.
    pub coreset_ratio: f64,
    /// Seed of the start and the projection; `None` for imported models.
    pub seed: Option<u64>,
}

/// A read-only view of what a model is.
#[derive(Clone, Copy)]
pub struct ModelInfo<'a> {
    pub(super) model: &'a Model,
}

impl<'a> ModelInfo<'a> {
    /// Program and version that made the model.
    pub fn producer(&self) -> &'a str {
        &self.model.metadata.producer
    }

    /// The backbone's architecture, such as `resnet18`.
    pub fn architecture(&self) -> &'a str {
        &self.model.metadata.architecture
    }

    /// Where the backbone's weights came from: the name of an embedded backbone, or a file's name.
    pub fn weights(&self) -> &'a str {
        &self.model.metadata.weights
    }

    /// CRC-32 of the backbone's folded weights.
    pub fn weights_checksum(&self) -> u32 {
        self.model.metadata.weights_checksum
    }

    /// Whether the weights are those that the library embeds, and the file does not repeat them.
    pub fn weights_are_embedded(&self) -> bool {
        self.model.metadata.embedded
    }

    /// The layers whose maps make the embedding, in depth order.
    pub fn layers(&self) -> &'a [Layer] {
        &self.model.metadata.layers
    }

    /// From photograph to network input.
    pub fn preprocess(&self) -> &'a Preprocess {
        &self.model.metadata.preprocess
    }

    /// Rows of the memory bank.
    pub fn bank_rows(&self) -> usize {
        self.model.index.bank().count()
    }

    /// Values a row.
    pub fn dim(&self) -> usize {
        self.model.index.bank().dim()
    }

    /// How precisely the memory bank is kept, and how far rounding moved a row at most: no distance is off by more.
    pub fn bank_precision(&self) -> (Precision, f32) {
        let rows = self.model.index.bank();
        (rows.precision(), rows.rounding())
    }

    /// Bank rows that re-weight the image score; 1 turns re-weighting off.
    pub fn neighbors(&self) -> u32 {
        self.model.metadata.neighbors
    }

    /// How the memory bank came to be.
    pub fn training(&self) -> &'a Training {
        &self.model.metadata.training
    }

    /// Which search answers, and why it was chosen.
    pub fn search(&self) -> String {
        self.model.index.describe()
    }

    /// Size of the model file in bytes; `None` for a model that was not opened from one.
    pub fn file_bytes(&self) -> Option<usize> {
        self.model.file_bytes
    }
}
