//! `patchcore calibrate`

use super::predict::photographs;
use super::progress::Bar;
use super::thresholds;
use patchcore::evaluate::Dataset;
use patchcore::image::{Limits, Photograph};
use patchcore::internals::atomic;
use patchcore::score::DEFAULT_FALSE_ALARM_RATE;
use patchcore::{Calibrator, Error, OpenOptions, PatchCore, Result, Session};
use std::path::{Path, PathBuf};

/// Set a model's thresholds anew, without training
///
/// Without --data the scores that the model keeps of its own good photographs are used. The file is replaced
/// as a whole or not at all; its memory bank stays as it is.
#[derive(clap::Args)]
pub struct Arguments {
    /// The model file, which is changed
    #[arg(value_name = "MODEL.pcore")]
    model: PathBuf,
    /// Photographs of good parts that the model has not learned from: a folder of them, or one with good/
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Share of good photographs that may be called anomalous: 0.005 is one in 200, the default
    #[arg(long, value_name = "RATE", value_parser = super::usage::rate, allow_negative_numbers = true)]
    false_alarm_rate: Option<f64>,
    /// The image threshold: photographs scoring at least this are anomalous
    #[arg(long, value_name = "SCORE", value_parser = super::usage::score, allow_negative_numbers = true, conflicts_with_all = ["false_alarm_rate", "data"])]
    threshold: Option<f32>,
    /// The pixel threshold: in anomalous photographs, places where the anomaly map reaches it are regions
    #[arg(long, value_name = "SCORE", value_parser = super::usage::score, allow_negative_numbers = true)]
    pixel_threshold: Option<f32>,
    /// Print JSON and nothing else
    #[arg(long)]
    json: bool,
    /// Threads; 0 means one for each core
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = super::usage::threads, allow_negative_numbers = true)]
    threads: usize,
}

pub fn run(arguments: Arguments) -> Result<()> {
    atomic::check(&arguments.model)?;
    let model = OpenOptions::default().threads(arguments.threads).open(&arguments.model)?;
    let model = calibrate(model, &arguments)?;
    model.save(&arguments.model)?;
    match arguments.json {
        true => super::print(thresholds::to_json(&model)),
        false => super::print(thresholds::describe(&model).join("\n")),
    }
}

fn calibrate(mut model: PatchCore, arguments: &Arguments) -> Result<PatchCore> {
    let sets_by_hand = arguments.threshold.is_some() || arguments.pixel_threshold.is_some();
    if let Some(folder) = &arguments.data {
        let scores = score_good(&model, folder, arguments.threads)?;
        model = model.with_good_scores(scores);
    }
    if arguments.data.is_some() || arguments.false_alarm_rate.is_some() || !sets_by_hand {
        let scores = model.info().good_scores();
        if scores.len() < 2 {
            let found = super::counted(scores.len() as u64, "good photograph");
            return Err(Error::argument(arguments.model.display(), found, "two or more")
                .hint("give photographs of good parts with --data, or a number with --threshold"));
        }
        let calibration = scores.calibrate(arguments.false_alarm_rate.unwrap_or(DEFAULT_FALSE_ALARM_RATE))?;
        model = model.with_calibration(calibration)?;
    }
    let mut calibration = *model.calibration();
    if let Some(threshold) = arguments.threshold {
        calibration = calibration.with_image_threshold(threshold)?;
    }
    if let Some(threshold) = arguments.pixel_threshold {
        calibration = calibration.with_pixel_threshold(threshold)?;
    }
    model.with_calibration(calibration)
}

/// Scores the good photographs in `folder`.
fn score_good(model: &PatchCore, folder: &Path, threads: usize) -> Result<patchcore::score::GoodScores> {
    let paths = good_photographs(folder)?;
    let mut calibrator = Calibrator::new(Session::new(model, threads)?);
    let known = model.info().good_scores();
    let options = model.info().decode_options(Limits::default());
    let bar = Bar::new("scoring", paths.len());
    let mut learned = 0;
    for path in &paths {
        let picture = Photograph::decode(path, &options)?.picture;
        match known.find(&picture.frame()) {
            Some(_) => learned += 1,
            None => {
                calibrator.add(&picture.frame()).map_err(|e| e.within(path.display()))?;
            }
        }
        bar.step()?;
    }
    if learned > 0 {
        super::tell(format!(
            "note: {} passed over, which the model has learned from",
            super::counted(learned as u64, "photograph")
        ));
    }
    calibrator.finish()
}

/// The photographs of good parts in `folder`: those of a data set's training part, or all of a folder of
/// photographs.
fn good_photographs(folder: &Path) -> Result<Vec<PathBuf>> {
    match Dataset::open(folder, None) {
        Ok(dataset) => Ok(dataset.train),
        Err(_) => photographs(folder, &mut Err),
    }
}
