//! The detector: train it on photographs of good parts, save it, open it, and let sessions score new ones.

#[cfg(feature = "train")]
mod bank_builder;
mod calibrator;
#[cfg(feature = "train")]
mod cross_validation;
mod extractor;
mod file;
mod map_summary;
mod memory;
mod metadata;
mod options;
#[cfg(feature = "train")]
mod outliers;
#[cfg(feature = "train")]
mod patch_store;
#[cfg(feature = "train")]
mod report;
mod resize_map;
mod roi;
mod session;
#[cfg(feature = "train")]
mod train;

pub use calibrator::Calibrator;
pub use extractor::PatchExtractor;
pub use file::OpenOptions;
pub use memory::MemoryEstimate;
pub use metadata::{ModelInfo, Training};
#[cfg(feature = "train")]
pub use options::Observer;
pub use options::{Stage, TrainOptions};
#[cfg(feature = "train")]
pub use outliers::Outlier;
#[cfg(feature = "train")]
pub use report::TrainingReport;
pub use session::{Decision, Session, Timings, Verdict};
#[cfg(feature = "train")]
pub use train::Trainer;

#[cfg(feature = "train")]
pub(crate) use file::check_input;
pub(crate) use metadata::Metadata;
#[cfg(feature = "train")]
pub(crate) use options::MAX_NEIGHBORS;
pub(crate) use roi::Roi;

use crate::error::Result;
use crate::kernels::Isa;
use crate::network::Network;
use crate::score::{Calibration, GoodScores};
use crate::search::Index;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A trained PatchCore: backbone, memory bank and calibration.
///
/// Cloning is cheap and shares everything; a clone may be used on any thread. Predictions are made by a
/// [`Session`], of which each thread has its own.
#[derive(Clone)]
pub struct PatchCore(pub(crate) Arc<Model>);

#[derive(Clone)]
pub(crate) struct Model {
    pub metadata: Metadata,
    pub backbone: crate::network::Backbone,
    pub network: Arc<Network>,
    pub index: Index,
    pub roi: Option<Arc<Roi>>,
    pub isa: Isa,
    pub file_bytes: Option<usize>,
}

impl fmt::Debug for PatchCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Metadata { architecture, rows, dim, .. } = &self.0.metadata;
        let mut model = f.debug_struct("PatchCore");
        model
            .field("architecture", architecture)
            .field("rows", rows)
            .field("dim", dim)
            .finish_non_exhaustive()
    }
}

impl PatchCore {
    /// What the model is: network, shapes, training, search, calibration.
    pub fn info(&self) -> ModelInfo<'_> {
        ModelInfo { model: &self.0 }
    }

    /// Thresholds and ranges.
    pub fn calibration(&self) -> &Calibration {
        &self.0.metadata.calibration
    }

    /// The same model with other thresholds and ranges, such as those found on defective photographs.
    ///
    /// # Errors
    /// A number is infinite, or a range has its lowest score above its highest.
    pub fn with_calibration(self, calibration: Calibration) -> Result<Self> {
        calibration.validate()?;
        let mut model = Arc::unwrap_or_clone(self.0);
        model.metadata.calibration = calibration;
        Ok(Self(Arc::new(model)))
    }

    /// The same model with other scores of good photographs, from which its thresholds can be set anew. The
    /// thresholds stay.
    #[must_use]
    pub fn with_good_scores(self, scores: GoodScores) -> Self {
        let mut model = Arc::unwrap_or_clone(self.0);
        model.metadata.good_scores = scores;
        Self(Arc::new(model))
    }

    /// The memory bank: `[rows, dim]` embeddings of good patches, in the order the coreset chose them. A copy
    /// where it is of half precision.
    pub fn memory_bank(&self) -> Cow<'_, [f32]> {
        self.0.index.bank().all()
    }

    /// The instruction set that predictions use.
    pub fn isa(&self) -> Isa {
        self.0.isa
    }
}
