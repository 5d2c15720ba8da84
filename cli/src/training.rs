//! What `train`, `benchmark` and `demo` share: the options of a training, and training on a data set.

use super::decoding::for_each_decoded;
use super::embedding::EmbeddingArguments;
use super::file_report::FileReport;
use super::progress::{Bar, TrainingProgress};
use clap::{Args, ValueEnum};
use patchcore::Backbone;
use patchcore::Precision;
use patchcore::Result;
use patchcore::evaluate::{Dataset, Ranked, Sample, check_samples, score_samples};
use patchcore::image::{DecodeOptions, Limits, Mask, Preprocess};
use patchcore::score::DEFAULT_FALSE_ALARM_RATE;
use patchcore::{PatchCore, Session, TrainOptions, Trainer, TrainingReport};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// The reference's coreset ratio.
const DEFAULT_RATIO: f64 = 0.1;
/// Rows of a memory bank that are always allowed, and those for each photograph: at 256x256 a photograph
/// gives 102.
const DEFAULT_ROWS: usize = 16_384;
const DEFAULT_ROWS_EACH: usize = 128;
/// Bytes for the training's patches.
const DEFAULT_MEMORY: u64 = 2 << 30;

/// The options of a training.
#[derive(Args, Clone)]
pub struct TrainingArguments {
    #[command(flatten)]
    pub embedding: EmbeddingArguments,
    /// Share of the patches kept in the memory bank: 0.1 by default, or less where that would be more than
    /// 16384 rows and more than 128 for each photograph
    #[arg(long, value_name = "SHARE", value_parser = super::usage::share, allow_negative_numbers = true)]
    coreset_ratio: Option<f64>,
    /// Memory bank rows that re-weight the image score, at most 4096; 1 turns re-weighting off
    #[arg(long, value_name = "COUNT", default_value_t = 9)]
    neighbors: u32,
    /// Seed of the coreset's random start and projection: the same gives the same model
    #[arg(long, value_name = "NUMBER", default_value_t = 42, allow_negative_numbers = true)]
    seed: u64,
    /// How precisely the memory bank is kept: f16 halves it, and `info` says by how much distances may be off
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = BankPrecision::F32)]
    bank_precision: BankPrecision,
    /// Memory for the training's patches in bytes, 2G by default, or with K, M, G or T (of 1024) as in 500M:
    /// past it they go to a temporary file, and are sampled if need be
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    max_memory: Option<u64>,
    /// Learn also from photographs that do not fit the others; they are named either way
    #[arg(long)]
    keep_outliers: bool,
    /// Set the thresholds so that this share of good photographs is called anomalous: 0.005 is one in 200
    #[arg(long, value_name = "RATE", default_value_t = DEFAULT_FALSE_ALARM_RATE, value_parser = super::usage::rate, allow_negative_numbers = true)]
    false_alarm_rate: f64,
    /// Leave the embedded backbone out of the model, which then opens only in programs that bring the same
    /// one
    #[arg(long)]
    refer_to_backbone: bool,
    /// The part of photographs that counts
    #[arg(skip)]
    pub roi: Option<Mask>,
    /// Whether bank and memory are bounded where the user says nothing: not where the reference's way is
    /// asked for
    #[arg(skip)]
    pub is_bounded: bool,
    /// How the thresholds are set
    #[arg(skip)]
    pub threshold_by: ThresholdBy,
    /// Folder of the temporary file
    #[arg(skip)]
    pub spool_folder: Option<PathBuf>,
}

/// What `--threshold-by` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ThresholdBy {
    /// From the good photographs, for a false-alarm rate
    #[default]
    Good,
    /// The highest F1 on good and defective test photographs, as the reference does
    F1,
}

/// What `--bank-precision` takes.
#[derive(Clone, Copy, ValueEnum)]
pub enum BankPrecision {
    F32,
    F16,
}

impl From<BankPrecision> for Precision {
    fn from(precision: BankPrecision) -> Self {
        match precision {
            BankPrecision::F32 => Self::Single,
            BankPrecision::F16 => Self::Half,
        }
    }
}

/// A number of bytes, or of the 1024-fold units K, M, G and T.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let (digits, exponent) = match text.find(|c: char| !c.is_ascii_digit()) {
        None => (text, 0),
        Some(at) => match &text[at..] {
            "K" => (&text[..at], 1),
            "M" => (&text[..at], 2),
            "G" => (&text[..at], 3),
            "T" => (&text[..at], 4),
            _ => (text, 0),
        },
    };
    let bytes = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(1024u64.pow(exponent)));
    bytes.filter(|&bytes| bytes > 0).ok_or_else(|| format!("{text:?} is not a size such as 500M or 2G"))
}

impl TrainingArguments {
    /// Options of a training on so many photographs.
    fn options(&self, photographs: usize, preprocess: Preprocess, cross_validate: bool) -> TrainOptions {
        let DecodeOptions { orientation, bit_depth, .. } = self.embedding.decode_options();
        TrainOptions::default()
            .orientation(orientation)
            .bit_depth(bit_depth)
            .layers(self.embedding.layers.clone())
            .preprocess(preprocess)
            .roi(self.roi.clone())
            .coreset_ratio(self.coreset_ratio.unwrap_or(DEFAULT_RATIO))
            .max_bank_rows(self.max_bank_rows(photographs))
            .neighbors(self.neighbors)
            .bank_precision(self.bank_precision.into())
            .seed(self.seed)
            .threads(self.embedding.threads)
            .cross_validate(cross_validate)
            .false_alarm_rate(self.false_alarm_rate)
            .keep_outliers(self.keep_outliers)
            .refer_to_backbone(self.refer_to_backbone)
            .max_memory(self.max_memory.or(self.is_bounded.then_some(DEFAULT_MEMORY)))
            .spool_folder(self.spool_folder.clone())
    }

    /// Where no ratio is given, the most rows: no fewer than photographs of 256x256 give, and as many as a
    /// search among takes little longer than the network.
    fn max_bank_rows(&self, photographs: usize) -> Option<usize> {
        let rows = DEFAULT_ROWS.max(DEFAULT_ROWS_EACH * photographs);
        (self.is_bounded && self.coreset_ratio.is_none()).then_some(rows)
    }

    /// That the default ratio gave more rows than the memory bank may have, if it did.
    pub fn describe_bound(&self, model: &PatchCore) -> Option<String> {
        let info = model.info();
        let ratio = info.training().coreset_ratio;
        let patches = info.training().sampled.unwrap_or(info.training().patches);
        (self.coreset_ratio.is_none() && ratio < DEFAULT_RATIO).then(|| {
            format!(
                "coreset ratio {ratio:.4}, which bounds the memory bank; --coreset-ratio {DEFAULT_RATIO} keeps {:.0} rows",
                DEFAULT_RATIO * patches as f64
            )
        })
    }

    /// Whether the test part of `dataset` sets the thresholds.
    fn is_set_by_test(&self, dataset: &Dataset) -> bool {
        self.threshold_by == ThresholdBy::F1 && dataset.has_both_classes()
    }
}

/// A trained and calibrated model, and what was noticed on the way.
pub struct Trained {
    /// The model.
    pub model: PatchCore,
    /// What the training noticed about its photographs, which are those of the data set's training part.
    pub report: TrainingReport,
    /// Scores, maps and masks of the test part, where it has defective photographs.
    pub scored: Option<Ranked>,
}

/// Fails where a training would because of its options, before any work.
pub fn check(backbone: &Backbone, arguments: &TrainingArguments) -> Result<()> {
    Trainer::new(backbone, &arguments.options(0, arguments.embedding.preprocess(&[])?, false)).map(drop)
}

/// Reports what was noticed about a data set.
pub fn report_notes(notes: &[String]) {
    notes.iter().for_each(|note| super::tell(format!("note: {note}")));
}

/// Trains on `dataset`. The good photographs of the training part set the thresholds, or, by the reference's
/// rule, good and defective test photographs. Then scores the test part, if it has defective photographs.
pub fn train(dataset: &Dataset, backbone: &Backbone, arguments: &TrainingArguments) -> Result<Trained> {
    let is_set_by_test = arguments.is_set_by_test(dataset);
    if arguments.threshold_by == ThresholdBy::F1 && !is_set_by_test {
        super::tell(
            "note: --threshold-by f1 needs good and defective test photographs: the good ones set the threshold",
        );
    }
    let preprocess = arguments.embedding.preprocess(&dataset.train)?;
    let mut trainer =
        Trainer::new(backbone, &arguments.options(dataset.train.len(), preprocess, !is_set_by_test))?;
    let bar = Bar::new("embedding", dataset.train.len());
    let decode_options = arguments.embedding.decode_options();
    let mut files = FileReport::default();
    for_each_decoded(&dataset.train, &decode_options, arguments.embedding.threads, |path, decoded| {
        let photograph = decoded?.photograph;
        trainer.add(&photograph.picture.frame()).map_err(|e| e.within(path.display()))?;
        files.add(path, &photograph);
        bar.step()?;
        Ok(ControlFlow::Continue(()))
    })?;
    drop(bar);
    report_notes(&files.notes(&decode_options));
    let mut progress = TrainingProgress::default();
    let (model, report) =
        trainer.finish_with_report(&mut |stage, done, total| progress.observe(stage, done, total))?;
    drop(progress);
    if !dataset.test.iter().any(|sample| sample.anomalous) {
        return Ok(Trained { model, report, scored: None });
    }
    let scored = score(&model, &dataset.test, arguments.embedding.threads)?;
    let model = match scored.calibration() {
        Some(calibration) if is_set_by_test => model.with_calibration(calibration)?,
        _ => model,
    };
    Ok(Trained { model, report, scored: Some(scored) })
}

/// Fails where scoring the test part would after the training.
pub fn check_test(dataset: &Dataset, options: &DecodeOptions) -> Result<()> {
    if !dataset.test.iter().any(|sample| sample.anomalous) {
        return Ok(());
    }
    let bar = Bar::new("checking", dataset.test.len());
    check_samples(&dataset.test, options, &mut || bar.step())
}

/// Scores every photograph of a test part, and reports what is unusual about its masks.
pub fn score(model: &PatchCore, samples: &[Sample], threads: usize) -> Result<Ranked> {
    let bar = Bar::new("scoring", samples.len());
    let mut session = Session::new(model, threads)?;
    let (ranked, notes) = score_samples(&mut session, samples, &Limits::default(), &mut || bar.step())?;
    drop(bar);
    report_notes(&notes);
    Ok(ranked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_units() {
        let expected =
            [("1", 1), ("123", 123), ("4K", 4096), ("500M", 500 << 20), ("2G", 2 << 30), ("1T", 1 << 40)];
        for (text, bytes) in expected {
            assert_eq!(parse_bytes(text), Ok(bytes));
        }
        for text in ["", "0", "0G", "M", "2GB", "-1", "1.5G", "99999999T", "2 G"] {
            assert!(parse_bytes(text).unwrap_err().contains(text), "{text}");
        }
    }
}
