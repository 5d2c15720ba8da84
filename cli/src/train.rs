//! `patchcore train`

use super::backbone::BackboneArguments;
use super::output;
use super::training::{self, TrainingArguments};
use patchcore::Result;
use patchcore::evaluate::Dataset;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Learn what good parts look like
#[derive(clap::Args)]
pub struct Arguments {
    /// A category in the MVTec AD layout, or their root with --category, or a folder with train/good or good/, or a list
    /// LIST.csv with the header path,label,mask[,split]. Defective photographs in test/DEFECT or bad/ set the threshold
    /// together with those in test/good or every fifth in good/
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Which category of --data
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    #[command(flatten)]
    backbone: BackboneArguments,
    #[command(flatten)]
    training: TrainingArguments,
    /// The score from which on a photograph is anomalous, found by calibration if not given: as `predict --json` has it, in
    /// text it is rounded. Masks keep the threshold of pixels that calibration found
    #[arg(long, value_name = "SCORE", value_parser = super::usage::score, allow_negative_numbers = true)]
    threshold: Option<f32>,
    /// Put the embedded backbone into the model, which then opens in programs that were built without it or with another
    #[arg(long)]
    copy_backbone: bool,
    /// The model file to write
    #[arg(long, value_name = "MODEL.pcore")]
    out: PathBuf,
}

pub fn run(mut arguments: Arguments) -> Result<()> {
    let start = Instant::now();
    output::check("--out", &arguments.out, &arguments.backbone.weights)?;
    let dataset = Dataset::open(&arguments.data, arguments.category.as_deref())?;
    training::report_notes(&dataset.notes);
    output::check("--out", &arguments.out, dataset.files())?;
    training::check_test(&dataset)?;
    let backbone = arguments.backbone.load()?;
    // Beside the model: the system's temporary folder may lie in memory.
    let folder = arguments.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    arguments.training.spool_folder = Some(folder.unwrap_or(Path::new(".")).into());
    arguments.training.copy_backbone = arguments.copy_backbone;
    let mut model = training::train(&dataset, &backbone, &arguments.training)?.model;
    if let Some(threshold) = arguments.threshold {
        let calibration = model.calibration().with_image_threshold(threshold);
        model = model.with_calibration(calibration);
    }
    let replaced = output::Replaced::at(&arguments.out);
    model.save(&arguments.out)?;
    replaced.report_change(&arguments.out);
    let (information, calibration) = (model.info(), model.calibration());
    if calibration.image_threshold().is_none() {
        super::tell("note: for labels two different photographs of good parts are needed, or --threshold");
    }
    let threshold = |value: Option<f32>| value.map_or("none".into(), |value| format!("{value:.4}"));
    super::print(format!(
        "{}: {}, {}{}; memory bank {}\ncalibration: {}\nthresholds: image {} pixel {}\ndone in {:.1} s",
        arguments.out.display(),
        super::counted(information.training().images, "good photograph"),
        super::counted(information.training().patches, "patch"),
        super::info::sampled(information.training()),
        super::info::bank(information),
        calibration.source,
        threshold(calibration.image_threshold()),
        threshold(calibration.pixel_threshold()),
        start.elapsed().as_secs_f64(),
    ))
}
