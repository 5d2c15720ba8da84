//! `patchcore import`

use super::{output, progress};
use patchcore::Result;
use patchcore::anomalib::Import;
use std::path::PathBuf;

/// Turn a checkpoint of anomalib's PatchCore into a model file
#[derive(clap::Args)]
pub struct Arguments {
    /// The checkpoint; nothing in it is executed
    #[arg(value_name = "FILE.ckpt")]
    checkpoint: PathBuf,
    /// The model file to write
    #[arg(long, value_name = "MODEL.pcore")]
    out: PathBuf,
}

pub fn run(arguments: Arguments) -> Result<()> {
    output::check("--out", &arguments.out, [&arguments.checkpoint])?;
    let Import { model, notes } = Import::open(&arguments.checkpoint)?;
    for note in notes {
        super::tell(format!("note: {note}"));
    }
    progress::check("import")?;
    model.save(&arguments.out)?;
    let information = model.info();
    super::print(format!(
        "{}: {}, memory bank {} x {}\ncalibration: {}",
        arguments.out.display(),
        information.architecture(),
        information.bank_rows(),
        information.dim(),
        model.calibration().source,
    ))
}
