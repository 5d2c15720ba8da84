//! `patchcore demo`: the whole way on drawn parts, with nothing to download.

pub mod parts;

use super::backbone::BackboneArguments;
use super::fit::{self, FitArguments};
use super::output;
use super::pictures::{self, create_folder};
use super::progress::Bar;
use crate::detector::{PatchCore, Session};
use crate::error::Result;
use crate::evaluate::Dataset;
use crate::image::{Limits, Picture};
use parts::{Defect, draw};
use std::path::{Path, PathBuf};

/// Side length of the drawn photographs.
const SIZE: usize = 256;
const TRAINING: u64 = 24;
const GOOD: u64 = 8;
const DEFECTIVE: u64 = 5;

/// Draw a small set of parts, train on the good ones, find the defects in the others
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    backbone: BackboneArguments,
    #[command(flatten)]
    fit: FitArguments,
    /// The folder to write: photographs, model, heat maps
    #[arg(long, value_name = "DIR", default_value = "patchcore-demo")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    let folder = &arguments.out;
    let (parts, model) = (folder.join("parts"), folder.join("parts.pcore"));
    let backbone = arguments.backbone.load()?;
    fit::check(&backbone, &arguments.fit)?;
    create_folder(folder)?;
    output::check("--out", &model, &arguments.backbone.weights)?;
    draw_parts(&parts)?;
    let dataset = Dataset::open(&parts, None)?;
    let trained = fit::train(&dataset, &backbone, &arguments.fit)?;
    trained.model.save(&model)?;
    if let Some(scored) = trained.scored {
        super::print(scored.evaluate(trained.model.calibration()))?;
    }
    let pictures = folder.join("pictures");
    draw_heat_maps(&trained.model, &dataset, &pictures, arguments.fit.embedding.threads)?;
    super::print(format!(
        "photographs  {}\nmodel        {}\nheat maps    {}",
        parts.display(),
        model.display(),
        pictures.display()
    ))
}

/// Draws the set in the MVTec AD layout.
fn draw_parts(folder: &Path) -> Result<()> {
    let total = TRAINING + GOOD + Defect::ALL.len() as u64 * DEFECTIVE;
    let bar = Bar::new("drawing", total as usize);
    let good = folder.join("train/good");
    let good_test = folder.join("test/good");
    for index in 0..TRAINING + GOOD {
        let path = match index.checked_sub(TRAINING) {
            None => numbered(&good, index),
            Some(index) => numbered(&good_test, index),
        };
        save(&draw(None, index, SIZE).0, &path)?;
        bar.step()?;
    }
    for (kind, &defect) in Defect::ALL.iter().enumerate() {
        for index in 0..DEFECTIVE {
            let seed = TRAINING + GOOD + kind as u64 * DEFECTIVE + index;
            let (picture, mask) = draw(Some(defect), seed, SIZE);
            save(&picture, &numbered(&folder.join("test").join(defect.name()), index))?;
            let mask_path =
                folder.join("ground_truth").join(defect.name()).join(format!("{index:03}_mask.png"));
            save(&mask.picture()?, &mask_path)?;
            bar.step()?;
        }
    }
    Ok(())
}

fn draw_heat_maps(model: &PatchCore, dataset: &Dataset, folder: &Path, threads: usize) -> Result<()> {
    let paths: Vec<_> = dataset.test.iter().map(|sample| sample.path.clone()).collect();
    let mut session = Session::new(model, threads)?;
    let bar = Bar::new("heat maps", paths.len());
    for (path, stem) in paths.iter().zip(pictures::stems(folder, &paths)?) {
        let picture = Picture::decode(path, &Limits::default())?;
        pictures::write(&stem, &picture, model, &session.predict(&picture.frame())?)?;
        bar.step()?;
    }
    Ok(())
}

fn numbered(folder: &Path, index: u64) -> PathBuf {
    folder.join(format!("{index:03}.png"))
}

fn save(picture: &Picture, path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    picture.save_png(path)
}
