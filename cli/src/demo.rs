//! `patchcore demo`: the whole pipeline on drawn parts, with nothing to download.

use super::backbone::BackboneArguments;
use super::output;
use super::pictures::{self, create_folder};
use super::progress::Bar;
use super::training::{self, TrainingArguments};
use patchcore::evaluate::{Dataset, find_images};
use patchcore::image::{Limits, Picture};
use patchcore::internals::parts::{Defect, draw};
use patchcore::{Error, Result};
use patchcore::{PatchCore, Session};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Side length of the drawn photographs.
const SIZE: usize = 256;
const TRAINING: u64 = 24;
const GOOD: u64 = 8;
const DEFECTIVE: u64 = 5;

/// Draw a small set of parts, train on the good ones, find the defects in the others
#[derive(clap::Args)]
#[command(mut_arg("image_size", |flag| flag.default_value("auto")))]
pub struct Arguments {
    #[command(flatten)]
    backbone: BackboneArguments,
    #[command(flatten)]
    training: TrainingArguments,
    /// The folder to write: photographs, model, heat maps
    #[arg(long, value_name = "DIR", default_value = "patchcore-demo")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    let folder = &arguments.out;
    let (parts, model) = (folder.join("parts"), folder.join("parts.pcore"));
    let backbone = arguments.backbone.load()?;
    training::check(&backbone, &arguments.training)?;
    let drawings = drawings(&parts);
    check_parts(&parts, &drawings)?;
    create_folder(folder)?;
    output::check("--out", &model, &arguments.backbone.weights)?;
    draw_parts(&drawings)?;
    let dataset = Dataset::open(&parts, None)?;
    let trained = training::train(&dataset, &backbone, &arguments.training)?;
    trained.model.save(&model)?;
    if let Some(scored) = trained.scored {
        super::print(scored.evaluate(trained.model.calibration()))?;
    }
    let pictures = folder.join("pictures");
    draw_heat_maps(&trained.model, &dataset, &pictures, arguments.training.embedding.threads)?;
    super::print(format!(
        "photographs  {}\nmodel        {}\nheat maps    {}",
        parts.display(),
        model.display(),
        pictures.display()
    ))
}

/// A photograph of the set, and where it goes in the MVTec AD layout.
struct Drawing {
    defect: Option<Defect>,
    seed: u64,
    path: PathBuf,
    mask: Option<PathBuf>,
}

fn drawings(folder: &Path) -> Vec<Drawing> {
    let good = |seed, path| Drawing { defect: None, seed, path, mask: None };
    let training = (0..TRAINING).map(|index| good(index, numbered(&folder.join("train/good"), index)));
    let tested = (0..GOOD).map(|index| good(TRAINING + index, numbered(&folder.join("test/good"), index)));
    let defective = Defect::ALL.iter().flat_map(|&defect| (0..DEFECTIVE).map(move |index| (defect, index)));
    let defective = defective.zip(TRAINING + GOOD..).map(|((defect, index), seed)| Drawing {
        defect: Some(defect),
        seed,
        path: numbered(&folder.join("test").join(defect.name()), index),
        mask: Some(folder.join("ground_truth").join(defect.name()).join(format!("{index:03}_mask.png"))),
    });
    training.chain(tested).chain(defective).collect()
}

/// Fails where `folder` holds images that are not those of the demo: they would be overwritten, or learned
/// from.
fn check_parts(folder: &Path, drawings: &[Drawing]) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let own: HashSet<&PathBuf> = drawings.iter().flat_map(|d| [&d.path].into_iter().chain(&d.mask)).collect();
    match find_images(folder)?.iter().find(|path| !own.contains(path)) {
        None => Ok(()),
        Some(other) => {
            Err(Error::argument("--out", other.display(), "a folder without photographs of yours"))
        }
    }
}

fn draw_parts(drawings: &[Drawing]) -> Result<()> {
    let bar = Bar::new("drawing", drawings.len());
    for Drawing { defect, seed, path, mask } in drawings {
        let (picture, marked) = draw(*defect, *seed, SIZE);
        save(&picture, path)?;
        if let Some(mask) = mask {
            save(&marked.picture()?, mask)?;
        }
        bar.step()?;
    }
    Ok(())
}

fn draw_heat_maps(model: &PatchCore, dataset: &Dataset, folder: &Path, threads: usize) -> Result<()> {
    let paths: Vec<_> = dataset.test.iter().map(|sample| sample.path.clone()).collect();
    let mut session = Session::new(model, threads)?;
    let bar = Bar::new("heat maps", paths.len());
    for (path, stem) in paths.iter().zip(pictures::stems(folder, &paths)?) {
        let picture = Picture::decode(path, &Limits::default())?;
        let verdict = session.predict(&picture.frame())?;
        pictures::write(&stem, path, &picture, &verdict, &session)?;
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
