//! `patchcore import`

use super::{embedding, output, progress};
use patchcore::Result;
use patchcore::anomalib::{Import, ImportOptions};
use std::path::PathBuf;

/// Turn a checkpoint of anomalib's PatchCore into a model file
#[derive(clap::Args)]
pub struct Arguments {
    /// The checkpoint; nothing in it is executed
    #[arg(value_name = "FILE.ckpt")]
    checkpoint: PathBuf,
    /// Side length that photographs are resized to, or HEIGHTxWIDTH, where the checkpoint does not say
    #[arg(long, value_name = "PIXELS", value_parser = embedding::parse_size)]
    image_size: Option<(usize, usize)>,
    /// Side length of the centre crop behind it, or HEIGHTxWIDTH, where the checkpoint does not say
    #[arg(long, value_name = "PIXELS", value_parser = embedding::parse_size)]
    center_crop: Option<(usize, usize)>,
    /// The model file to write
    #[arg(long, value_name = "MODEL.pcore")]
    out: PathBuf,
}

pub fn run(arguments: Arguments) -> Result<()> {
    output::check("--out", &arguments.out, [&arguments.checkpoint])?;
    let Arguments { image_size, center_crop, .. } = arguments;
    let options = ImportOptions::default().image_size(image_size).center_crop(center_crop);
    let Import { model, notes } = Import::open_with(&arguments.checkpoint, &options)?;
    for note in notes {
        super::tell(format!("note: {note}"));
    }
    progress::check("import")?;
    let replaced = output::Replaced::at(&arguments.out);
    model.save(&arguments.out)?;
    replaced.report_change(&arguments.out);
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
