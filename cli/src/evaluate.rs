//! `patchcore evaluate`

use super::training;
use patchcore::Result;
use patchcore::evaluate::Dataset;
use std::path::PathBuf;

/// Measure a model on labelled photographs
#[derive(clap::Args)]
pub struct Arguments {
    /// The model file
    #[arg(long, value_name = "MODEL.pcore")]
    model: PathBuf,
    /// A category in the MVTec AD layout, or their root with --category, or a folder with good/ and bad/, or
    /// a list LIST.csv. Of good photographs that the model has learned from, the scores that training kept
    /// are used
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
    training::report_notes(&data.notes);
    let model = super::open_mapped(&arguments.model, arguments.threads)?;
    let scored = training::score(&model, &data.test, arguments.threads)?;
    if scored.kept_scores() > 0 {
        super::tell(format!(
            "note: the model has learned from {} of the good photographs: their scores are those by memory banks that had \
             not seen them",
            scored.kept_scores()
        ));
    }
    let evaluation = scored.evaluate(model.calibration());
    match arguments.json {
        true => super::print(evaluation.to_json()),
        false => super::print(evaluation),
    }
}
