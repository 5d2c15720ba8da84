//! What `train`, `benchmark` and `demo` share: the options of a training, and training on a data set.

use super::embedding::EmbeddingArguments;
use super::progress::{Bar, TrainingProgress};
use crate::detector::{FitOptions, PatchCore, Session, Trainer};
use crate::error::{Error, Result};
use crate::evaluate::{Dataset, Evaluator, Ranked, fit_mask};
use crate::image::{Limits, Picture, Preprocess, decode_mask};
use crate::network::Backbone;
use clap::Args;
use std::path::Path;

/// The options of a training.
#[derive(Args, Clone)]
pub struct FitArguments {
    #[command(flatten)]
    pub embedding: EmbeddingArguments,
    /// Share of the patches kept in the memory bank
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    coreset_ratio: f64,
    /// Memory bank rows that re-weight the image score; 1 turns re-weighting off
    #[arg(long, value_name = "COUNT", default_value_t = 9)]
    neighbors: u32,
    /// Of the coreset's start and projection
    #[arg(long, value_name = "NUMBER", default_value_t = 42)]
    seed: u64,
}

impl FitArguments {
    fn options(&self, leave_one_out: bool) -> FitOptions {
        FitOptions {
            layers: self.embedding.layers.clone(),
            preprocess: self.embedding.preprocess(),
            coreset_ratio: self.coreset_ratio,
            neighbors: self.neighbors,
            seed: self.seed,
            threads: self.embedding.threads,
            leave_one_out,
            ..FitOptions::default()
        }
    }
}

/// A trained and calibrated model, and, where the data set has defective photographs, all scores on its test part.
pub struct Trained {
    /// The model.
    pub model: PatchCore,
    /// Scores, maps and masks of the test part.
    pub scored: Option<Ranked>,
}

/// Trains on `dataset`. Defective and good test photographs calibrate the model, as in the reference; where there are
/// none, the good photographs of the training part do.
pub fn train(dataset: &Dataset, backbone: &Backbone, arguments: &FitArguments) -> Result<Trained> {
    let mut trainer = Trainer::new(backbone, &arguments.options(!dataset.has_both_classes()))?;
    let bar = Bar::new("embedding", dataset.train.len());
    for path in &dataset.train {
        trainer
            .add(&Picture::decode(path, &Limits::default())?.frame())
            .map_err(|e| e.within(path.display()))?;
        bar.step()?;
    }
    drop(bar);
    let mut progress = TrainingProgress::default();
    let model = trainer.finish(&mut |stage, done, total| progress.observe(stage, done, total))?;
    drop(progress);
    if !dataset.has_both_classes() {
        return Ok(Trained { model, scored: None });
    }
    let scored = score_test_part(&model, dataset, arguments.embedding.threads)?;
    let model = match scored.calibration() {
        Some(calibration) => model.with_calibration(calibration),
        None => model,
    };
    Ok(Trained { model, scored: Some(scored) })
}

/// Scores every photograph of the test part.
pub fn score_test_part(model: &PatchCore, dataset: &Dataset, threads: usize) -> Result<Ranked> {
    let preprocess = *model.information().preprocess();
    let mut session = Session::new(model, threads)?;
    let mut evaluator = Evaluator::new(preprocess.output_size());
    let bar = Bar::new("scoring", dataset.test.len());
    for sample in &dataset.test {
        let picture = Picture::decode(&sample.path, &Limits::default())?;
        let mask = sample.mask.as_deref().map(|path| mask(path, &picture, &preprocess)).transpose()?;
        let found = session.predict(&picture.frame()).map_err(|e| e.within(sample.path.display()))?;
        evaluator.add(&sample.path, sample.anomalous, found.score, found.map, mask.as_deref())?;
        bar.step()?;
    }
    Ok(evaluator.rank())
}

/// The mask in `path`, which must be of the photograph's size, brought to the size of the anomaly map.
fn mask(path: &Path, picture: &Picture, preprocess: &Preprocess) -> Result<Vec<bool>> {
    let mask = decode_mask(path, &Limits::default())?;
    let (found, expected) = ((mask.width, mask.height), (picture.width(), picture.height()));
    if found != expected {
        let size = |(width, height): (usize, usize)| format!("{width}x{height}");
        return Err(Error::format(
            path.display(),
            size(found),
            format!("{}, the photograph's size", size(expected)),
        ));
    }
    fit_mask(&mask.data, (mask.height, mask.width), preprocess.resize, preprocess.crop)
}
