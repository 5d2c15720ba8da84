//! `patchcore evaluate`

use super::training;
use patchcore::PatchCore;
use patchcore::Result;
use patchcore::evaluate::Dataset;
use std::path::PathBuf;

/// Measure a model on labelled photographs
#[derive(clap::Args)]
pub struct Arguments {
    /// The model file
    #[arg(long, value_name = "MODEL.pcore")]
    model: PathBuf,
    /// A category in the MVTec AD layout, or their root with --category, or a folder with good/ and bad/, of whose good
    /// photographs every fifth is tested: the others are those that `train` learns from
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Which category of --data
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Print JSON and nothing else
    #[arg(long)]
    json: bool,
    /// Threads; 0 means one for each core
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = super::usage::threads, allow_negative_numbers = true)]
    threads: usize,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let data = Dataset::open_test(&arguments.data, arguments.category.as_deref())?;
    let model = super::open_mapped(&arguments.model, arguments.threads)?;
    if let Some(note) = note(&model, &data) {
        super::tell(format!("note: {}: {note}", arguments.model.display()));
    }
    let evaluation = training::score(&model, &data.test, arguments.threads)?.evaluate(model.calibration());
    match arguments.json {
        true => super::print(evaluation.to_json()),
        false => super::print(evaluation),
    }
}

/// That the model may have learned from photographs that are tested: of a folder with `good` alone `train` takes all.
fn note(model: &PatchCore, data: &Dataset) -> Option<String> {
    let (learned, others) = (model.info().training().images, data.train.len() as u64);
    let is_split = others > 0 && data.test.iter().any(|sample| !sample.anomalous);
    (is_split && learned > others).then(|| {
        format!(
            "it learned from {learned} photographs, and {others} are kept for that here: if it learned from these, it \
             knows some that are tested, and does worse on new ones; trained again it will not know them"
        )
    })
}
