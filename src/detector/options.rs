//! What training can be told.

#[cfg(feature = "train")]
use crate::error::{Error, Result, Setting};
#[cfg(feature = "train")]
use crate::image::check_bit_depth;
use crate::image::{Mask, Orientation, Preprocess};
use crate::memory_bank::Precision;
use crate::network::Layer;
use crate::score::DEFAULT_FALSE_ALARM_RATE;
use crate::search::SearchKind;
use std::fmt;
#[cfg(feature = "train")]
use std::ops::ControlFlow;
use std::path::PathBuf;

/// A re-weighting over more rows than this is no PatchCore; bounds what a damaged file asks for.
pub(crate) const MAX_NEIGHBORS: u32 = 4096;

/// Choices of a training run; `Default` gives those of the reference.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrainOptions {
    /// Layers whose maps make the embedding, in any order, each once. Default: layer2 and layer3.
    pub layers: Vec<Layer>,
    /// From photograph to network input. Default: 256x256 with antialiasing, no crop.
    pub preprocess: Preprocess,
    /// Whether the orientation that photographs' files state was applied; the model keeps it for the
    /// photographs that it judges. Default: [`Orientation::Exif`].
    pub orientation: Orientation,
    /// Bits that are used of photographs' samples of 16 bits, 9 to 16, from which decoding brought them to
    /// full scale; the model keeps it for the photographs that it judges. Default: `None`, all.
    pub bit_depth: Option<u8>,
    /// Marks the part of photographs that counts, in a mask of their size or of their aspect. Outside nothing
    /// is learned, scored or found, whatever is there. Default: `None`, the whole photograph.
    pub roi: Option<Mask>,
    /// Share of the patches kept in the memory bank, in (0, 1]. Default: 0.1.
    pub coreset_ratio: f64,
    /// Rows that the memory bank may have. Where the coreset ratio gives more, a lower ratio is used, which
    /// [`Training::coreset_ratio`](super::Training#structfield.coreset_ratio) says. Default: `None`, no
    /// bound.
    pub max_bank_rows: Option<usize>,
    /// Bank rows that re-weight the image score; 1 turns re-weighting off. Default: 9.
    pub neighbors: u32,
    /// Seed of the coreset's start and projection: the same seed gives the same file, on CPUs of the same
    /// instruction set. Default: 42.
    pub seed: u64,
    /// Threads; 0 means one for each core. Default: 0.
    pub threads: usize,
    /// Which search the model uses. Default: the one that suits its bank.
    pub search: SearchKind,
    /// How precisely the memory bank is kept: half precision halves its size in the file and in memory, and
    /// moves each distance by at most what [`ModelInfo::bank_precision`](super::ModelInfo::bank_precision)
    /// says. Default: single.
    pub bank_precision: Precision,
    /// Sets the thresholds from the good photographs alone, by scoring some against memory banks chosen from
    /// others. Turn it off where defective photographs will calibrate the model. Default: on.
    pub cross_validate: bool,
    /// The false-alarm rate that thresholds from good photographs are set for, above 0 and below 1; see
    /// [`GoodScores`](crate::score::GoodScores). Default: 0.005, one good photograph in two hundred.
    pub false_alarm_rate: f64,
    /// Learns from photographs that do not fit the others, too, which are otherwise left out. They are
    /// reported either way ([`TrainingReport::outliers`](super::TrainingReport#structfield.outliers)), where
    /// [`cross_validate`](Self#structfield.cross_validate) is on. Default: off.
    pub keep_outliers: bool,
    /// Leaves an embedded backbone's weights out of the model file, which then opens only in builds that
    /// bring the same weights. Otherwise the file holds a copy, of 5.6 MB for `default` and 1.4 MB for
    /// `small`. Default: off.
    pub refer_to_backbone: bool,
    /// Bytes that the patches and the choice among them may take, beside the network's own memory. Past it
    /// the patches go to a temporary file, which changes nothing in the model; where the choice alone takes
    /// more, an even sample of the patches is chosen from, and
    /// [`Training::sampled`](super::Training::sampled) says so. Default: `None`, no bound.
    pub max_memory: Option<u64>,
    /// Folder of that temporary file; `None` means the system's. Default: `None`.
    pub spool_folder: Option<PathBuf>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            layers: vec![Layer::Layer2, Layer::Layer3],
            preprocess: Preprocess::default(),
            orientation: Orientation::Exif,
            bit_depth: None,
            roi: None,
            coreset_ratio: 0.1,
            max_bank_rows: None,
            neighbors: 9,
            seed: 42,
            threads: 0,
            search: SearchKind::Auto,
            bank_precision: Precision::Single,
            cross_validate: true,
            false_alarm_rate: DEFAULT_FALSE_ALARM_RATE,
            keep_outliers: false,
            refer_to_backbone: false,
            max_memory: None,
            spool_folder: None,
        }
    }
}

setters!(TrainOptions {
    layers: Vec<Layer>,
    preprocess: Preprocess,
    orientation: Orientation,
    bit_depth: Option<u8>,
    roi: Option<Mask>,
    coreset_ratio: f64,
    max_bank_rows: Option<usize>,
    neighbors: u32,
    seed: u64,
    threads: usize,
    search: SearchKind,
    bank_precision: Precision,
    cross_validate: bool,
    false_alarm_rate: f64,
    keep_outliers: bool,
    refer_to_backbone: bool,
    max_memory: Option<u64>,
    spool_folder: Option<PathBuf>,
});

#[cfg(feature = "train")]
impl TrainOptions {
    pub(super) fn validate(&self) -> Result<()> {
        self.preprocess.validate()?;
        check_bit_depth(self.bit_depth)?;
        if !(self.coreset_ratio > 0.0 && self.coreset_ratio <= 1.0) {
            return Err(Error::wrong_setting(
                Setting::CoresetRatio,
                self.coreset_ratio,
                "a number above 0, at most 1",
            ));
        }
        if !(1..=MAX_NEIGHBORS).contains(&self.neighbors) {
            return Err(Error::wrong_setting(
                Setting::Neighbors,
                self.neighbors,
                format!("1 to {MAX_NEIGHBORS}"),
            ));
        }
        Ok(())
    }
}

/// The parts of a training run that take long, for progress bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Choosing the memory bank; counts its rows.
    Coreset,
    /// Setting thresholds by cross-validation; counts the photographs that are scored.
    Calibration,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Coreset => "coreset",
            Self::Calibration => "calibration",
        })
    }
}

/// Called with the stage, what is done of it and its whole; `Break` stops the training.
#[cfg(feature = "train")]
pub type Observer<'a> = dyn FnMut(Stage, usize, usize) -> ControlFlow<()> + 'a;
