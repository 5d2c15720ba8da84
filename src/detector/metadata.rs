//! What a model says about itself: the metadata of its file, and the view that users get.

use super::Model;
use crate::error::{Error, Result};
#[cfg(feature = "decode")]
use crate::image::{DecodeOptions, Limits};
use crate::image::{Orientation, Preprocess};
use crate::memory_bank::Precision;
use crate::model_file::codec::{FieldWriter, Fields, Tag};
use crate::model_file::sections::Sections;
use crate::network::Layer;
use crate::score::{Calibration, CalibrationSource, FalseAlarmRate, GoodScores, LabelRule, Normalization};

/// The section of the file that holds the metadata.
const SECTION: &str = "metadata";

const PRODUCER: Tag = Tag { number: 1, name: "producer", required: false };
const BACKBONE: Tag = Tag { number: 2, name: "backbone", required: true };
const LAYERS: Tag = Tag { number: 3, name: "layers", required: true };
const PREPROCESS: Tag = Tag { number: 4, name: "preprocessing", required: true };
const BANK: Tag = Tag { number: 5, name: "memory bank", required: true };
const TRAINING: Tag = Tag { number: 6, name: "training", required: false };
const THRESHOLDS: Tag = Tag { number: 7, name: "thresholds", required: true };
const CALIBRATION: Tag = Tag { number: 8, name: "calibration source", required: false };
const GOOD_SCORES: Tag = Tag { number: 9, name: "scores of good photographs", required: false };
const PHOTOGRAPHS: Tag = Tag { number: 10, name: "photographs", required: false };
const READING: Tag = Tag { number: 11, name: "reading of photographs", required: true };
const ROI: Tag = Tag { number: 12, name: "region of interest", required: true };
const TAGS: [Tag; 12] = [
    PRODUCER,
    BACKBONE,
    LAYERS,
    PREPROCESS,
    BANK,
    TRAINING,
    THRESHOLDS,
    CALIBRATION,
    GOOD_SCORES,
    PHOTOGRAPHS,
    READING,
    ROI,
];

/// The metadata of a model file. Shapes are checked against the sections when the file is opened.
#[derive(Clone, Debug)]
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
    pub orientation: Orientation,
    /// Bits that are used of samples of 16 bits; `None` means all.
    pub bit_depth: Option<u8>,
    pub rows: u64,
    pub dim: u64,
    pub neighbors: u32,
    pub training: Training,
    pub calibration: Calibration,
    pub good_scores: GoodScores,
    /// Which pixels of the network's input count, eight a byte; `None` means all. See [`Roi`](super::Roi).
    pub roi: Option<Vec<u8>>,
}

impl Metadata {
    /// Writes every field.
    ///
    /// # Errors
    /// The fields are larger than a file may have.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let Self { preprocess, training, calibration, good_scores, .. } = self;
        let mut fields = FieldWriter::default();
        fields.add(PRODUCER, &self.producer)?;
        fields.add(BACKBONE, &(&self.architecture, &self.weights, self.weights_checksum, self.embedded))?;
        fields.add(LAYERS, &self.layers.iter().map(|&layer| layer as u8).collect::<Vec<_>>())?;
        let Preprocess { resize, crop, antialias, mean, std } = *preprocess;
        fields.add(PREPROCESS, &(resize, crop, antialias, mean, std))?;
        fields.add(BANK, &(self.rows, self.dim, self.neighbors))?;
        let Training { images, patches, sampled, coreset_ratio, seed, photograph_size } = *training;
        fields.add(TRAINING, &(images, patches, sampled, coreset_ratio, seed))?;
        let rule = calibration.rule == LabelRule::StrictlyAbove;
        let Calibration { image, pixel, typical_map_value, .. } = calibration;
        fields.add(THRESHOLDS, &(image.numbers(), pixel.numbers(), rule, *typical_map_value))?;
        fields.add(CALIBRATION, &source_to_record(calibration.source))?;
        if !good_scores.is_empty() {
            let scores = (good_scores.scores(), good_scores.peaks(), good_scores.map_range());
            fields.add(GOOD_SCORES, &(good_scores.checksums(), scores))?;
        }
        if let Some(size) = photograph_size {
            fields.add(PHOTOGRAPHS, &size)?;
        }
        // A program that does not know the field reads photographs by the defaults.
        if (self.orientation, self.bit_depth) != (Orientation::Exif, None) {
            fields.add(READING, &(self.orientation == Orientation::Ignore, self.bit_depth))?;
        }
        if let Some(roi) = &self.roi {
            fields.add(ROI, roi)?;
        }
        Ok(fields.finish())
    }

    /// The metadata of an opened file.
    ///
    /// # Errors
    /// A field is missing, damaged, or holds something that no model has.
    pub(super) fn decode(sections: &Sections) -> Result<Self> {
        let fields = Fields::open(sections, SECTION, &TAGS)?;
        let (architecture, weights, weights_checksum, embedded) = fields.get(BACKBONE)?;
        let layers = fields.get::<Vec<u8>>(LAYERS)?.into_iter().map(layer).collect::<Result<_>>()?;
        let (resize, crop, antialias, mean, std) = fields.get(PREPROCESS)?;
        let (rows, dim, neighbors) = fields.get(BANK)?;
        let (images, patches, sampled, coreset_ratio, seed) =
            fields.find(TRAINING)?.unwrap_or((0, 0, None, f64::NAN, None));
        let (image, pixel, strictly_above, typical_map_value) =
            fields.get::<([f32; 4], [f32; 4], bool, f32)>(THRESHOLDS)?;
        let source = fields.find(CALIBRATION)?.map_or(CalibrationSource::None, record_to_source);
        let good_scores = match fields.find::<(Vec<u32>, (Vec<f32>, Vec<f32>, (f32, f32)))>(GOOD_SCORES)? {
            Some((checksums, (scores, peaks, map_range))) => {
                GoodScores::new(checksums, scores, peaks, map_range)?
            }
            None => GoodScores::default(),
        };
        let (ignores_orientation, bit_depth) = fields.find(READING)?.unwrap_or((false, None));
        Ok(Self {
            producer: fields.find(PRODUCER)?.unwrap_or_default(),
            architecture,
            weights,
            weights_checksum,
            embedded,
            layers,
            preprocess: Preprocess { resize, crop, antialias, mean, std },
            orientation: if ignores_orientation { Orientation::Ignore } else { Orientation::Exif },
            bit_depth,
            rows,
            dim,
            neighbors,
            training: Training {
                images,
                patches,
                sampled,
                coreset_ratio,
                seed,
                photograph_size: fields.find(PHOTOGRAPHS)?,
            },
            calibration: Calibration {
                image: Normalization::from_numbers(image),
                pixel: Normalization::from_numbers(pixel),
                rule: if strictly_above { LabelRule::StrictlyAbove } else { LabelRule::AtOrAbove },
                typical_map_value,
                source,
            },
            good_scores,
            roi: fields.find(ROI)?,
        })
    }

    /// Name of the section that [`encode`](Self::encode)'s bytes belong in.
    pub(super) const SECTION: &'static str = SECTION;
}

fn layer(number: u8) -> Result<Layer> {
    let known = Layer::ALL.into_iter().find(|&layer| layer as u8 == number);
    known.ok_or_else(|| Error::format("layers", format!("number {number}"), "0, 1 or 2"))
}

/// A kind, two counts, and four numbers, of which each kind uses its own.
type SourceRecord = (u8, [u32; 2], [f64; 4]);

fn source_to_record(source: CalibrationSource) -> SourceRecord {
    match source {
        CalibrationSource::None => (0, [0; 2], [0.0; 4]),
        CalibrationSource::BestF1 { good, defective } => (1, [good, defective], [0.0; 4]),
        CalibrationSource::GoodPhotographs { photographs, rate } => (
            2,
            [photographs, u32::from(rate.is_fitted)],
            [rate.requested, rate.expected, rate.low, rate.high],
        ),
        CalibrationSource::Imported => (3, [0; 2], [0.0; 4]),
        CalibrationSource::Manual => (4, [0; 2], [0.0; 4]),
    }
}

/// A kind that a later release adds is not known here, which changes no score.
fn record_to_source((kind, counts, numbers): SourceRecord) -> CalibrationSource {
    match kind {
        1 => CalibrationSource::BestF1 { good: counts[0], defective: counts[1] },
        2 => {
            let [requested, expected, low, high] = numbers;
            let rate = FalseAlarmRate { requested, expected, low, high, is_fitted: counts[1] != 0 };
            CalibrationSource::GoodPhotographs { photographs: counts[0], rate }
        }
        3 => CalibrationSource::Imported,
        4 => CalibrationSource::Manual,
        _ => CalibrationSource::None,
    }
}

/// How a memory bank came to be.
#[derive(Clone, Debug, PartialEq)]
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
    /// Width and height of the photographs, in pixels: the commonest size among them; `None` where it is
    /// unknown.
    pub photograph_size: Option<(usize, usize)>,
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

    /// About how many pixels of a photograph across a defect has to be so that the network can see it: it
    /// then covers 1.5 pixels of the network's input, along the axis that is shrunk more. At least 1.5, and
    /// `None` where the size of the photographs is unknown. Faint defects have to be larger.
    ///
    /// Measured on drawn pits (docs/choosing.md, "Image size"): those that covered less were found now and
    /// then.
    pub fn smallest_defect(&self) -> Option<f64> {
        let (width, height) = self.training().photograph_size?;
        let resize = self.preprocess().resize;
        let shrunk = (width as f64 / resize.1 as f64).max(height as f64 / resize.0 as f64);
        Some(1.5 * shrunk.max(1.0))
    }

    /// The share of the network's input that counts, in (0, 1]: less than 1 with a region of interest.
    pub fn roi_share(&self) -> f64 {
        self.model.roi.as_ref().map_or(1.0, |roi| roi.share())
    }

    /// Whether the orientation that a photograph's file states is applied.
    pub fn orientation(&self) -> Orientation {
        self.model.metadata.orientation
    }

    /// Bits that are used of a photograph's samples of 16 bits, 9 to 16; `None` means all. A
    /// [`Frame`](crate::image::Frame) has samples at full scale: those of 12 bits are to be multiplied by
    /// 65,535 / 4095 before.
    pub fn bit_depth(&self) -> Option<u8> {
        self.model.metadata.bit_depth
    }

    /// How to read the photographs that the model is to judge, within `limits`.
    #[cfg(feature = "decode")]
    pub fn decode_options(&self, limits: Limits) -> DecodeOptions {
        DecodeOptions { limits, orientation: self.orientation(), bit_depth: self.bit_depth() }
    }

    /// Rows of the memory bank.
    pub fn bank_rows(&self) -> usize {
        self.model.index.bank().count()
    }

    /// Values a row.
    pub fn dim(&self) -> usize {
        self.model.index.bank().dim()
    }

    /// How precisely the memory bank is kept, and how far rounding moved a row at most: no distance is off by
    /// more.
    pub fn bank_precision(&self) -> (Precision, f32) {
        let rows = self.model.index.bank();
        (rows.precision(), rows.rounding())
    }

    /// Bank rows that re-weight the image score; 1 turns re-weighting off.
    pub fn neighbors(&self) -> u32 {
        self.model.metadata.neighbors
    }

    /// Scores of the good photographs of the training, each by a memory bank that has not seen it; empty
    /// where the model was trained without them or imported.
    pub fn good_scores(&self) -> &'a GoodScores {
        &self.model.metadata.good_scores
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
