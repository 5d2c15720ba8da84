//! Photograph in, patch embeddings out: the first half of the way, which training and prediction share.

use super::Roi;
use super::session::Timings;
use crate::error::Result;
use crate::image::{Frame, PixelFormat, Preprocess, Preprocessor};
use crate::kernels::Isa;
use crate::network::{Arena, Network};
use crate::parallel::Pool;
use crate::patches::Embedder;
use crate::tensor::{ImageTensor, Patches};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Turns photographs into patch embeddings. Owns all memory that this takes, and reuses it.
pub struct PatchExtractor {
    network: Arc<Network>,
    preprocessor: Preprocessor,
    roi: Option<Arc<Roi>>,
    image: ImageTensor,
    arena: Arena,
    embedder: Embedder,
    embedding: Vec<f32>,
}

impl fmt::Debug for PatchExtractor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PatchExtractor").finish_non_exhaustive()
    }
}

impl PatchExtractor {
    /// An extractor that runs `network`, whose input size must be `preprocess`'s output size.
    ///
    /// # Errors
    /// The preprocessing is invalid.
    pub fn new(network: &Arc<Network>, preprocess: &Preprocess, isa: Isa) -> Result<Self> {
        Ok(Self {
            network: Arc::clone(network),
            preprocessor: Preprocessor::new(preprocess, isa)?,
            roi: None,
            image: ImageTensor::default(),
            arena: network.arena(),
            embedder: Embedder::new(network.map_shapes(), isa)?,
            embedding: Vec::new(),
        })
    }

    /// The same extractor, for the patches inside `roi` alone, which was made for its network.
    pub(super) fn with_roi(self, roi: Option<Arc<Roi>>) -> Self {
        Self { roi, ..self }
    }

    /// Gives back the memory that photographs took. No other photograph may follow.
    #[cfg(feature = "train")]
    pub(super) fn release_memory(&mut self) {
        self.image = ImageTensor::default();
        self.arena = Arena::default();
        self.embedding = Vec::new();
    }

    /// Bytes that an extractor takes, once it was used on `threads` threads with frames of (height, width).
    pub(super) fn bytes(
        network: &Network,
        preprocess: &Preprocess,
        frame: (usize, usize),
        format: PixelFormat,
        threads: usize,
    ) -> Result<usize> {
        let (height, width) = preprocess.output_size();
        let image = 3 * height * width * size_of::<f32>();
        let embedder = Embedder::new(network.map_shapes(), Isa::PORTABLE)?;
        let preprocessor = Preprocessor::bytes(preprocess, frame, format);
        Ok(preprocessor + image + network.arena_bytes(threads) + embedder.bytes())
    }

    /// The embeddings of `frame`'s patches, one row a position of the finest layer's grid, and what the
    /// stages so far took.
    ///
    /// # Errors
    /// The network takes photographs of another size than the preprocessing gives.
    pub fn extract(&mut self, frame: &Frame<'_>, pool: &Pool) -> Result<(Patches<'_>, Timings)> {
        let Self { network, preprocessor, roi, image, arena, embedder, embedding } = self;
        let start = Instant::now();
        preprocessor.run(frame, pool, image);
        if let Some(roi) = roi {
            roi.blank_outside(image);
        }
        let preprocessed = Instant::now();
        let maps = network.compute_maps(image, arena, pool)?;
        let mapped = Instant::now();
        let Patches { dim, grid_width, .. } = embedder.embed(&maps, pool, embedding);
        let grid_width = match roi {
            Some(roi) => {
                roi.keep_patches(embedding, dim);
                roi.grid().1
            }
            None => grid_width,
        };
        let patches = Patches { dim, grid_width, data: embedding };
        let timings = Timings {
            preprocess: preprocessed - start,
            backbone: mapped - preprocessed,
            patches: mapped.elapsed(),
            ..Timings::default()
        };
        Ok((patches, timings))
    }
}
