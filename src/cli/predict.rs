//! `patchcore predict`

use super::pictures::PictureFolder;
use super::progress;
use crate::detector::{OpenOptions, Prediction, Session, Timings};
use crate::error::{Error, Result};
use crate::evaluate::find_images;
use crate::image::{Limits, Picture};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Score photographs, and draw where the defects are
#[derive(clap::Args)]
pub struct Arguments {
    /// The model file
    #[arg(long, value_name = "MODEL.pcore")]
    model: PathBuf,
    /// Photographs, or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write a heat map, an overlay with the mask's contour, and the mask of each photograph to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one line of JSON a photograph and nothing else
    #[arg(long)]
    json: bool,
    /// Threads; 0 means one for each core
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    threads: usize,
}

impl Arguments {
    /// Whether pictures are written.
    pub fn writes(&self) -> bool {
        self.out.is_some()
    }
}

pub fn run(arguments: Arguments) -> Result<()> {
    let paths = photographs(&arguments.paths)?;
    let model =
        OpenOptions { threads: arguments.threads, ..OpenOptions::default() }.open(&arguments.model)?;
    let mut session = Session::new(&model, arguments.threads)?;
    let mut output = arguments.out.as_deref().map(|folder| PictureFolder::new(folder, &paths)).transpose()?;
    let mut failure: Option<Error> = None;
    for path in &paths {
        progress::check("predict")?;
        // One bad photograph does not keep the others from being scored, but the exit status tells.
        if let Err(error) = predict(&mut session, path, arguments.json, output.as_mut())
            && let Some(earlier) = failure.replace(error)
        {
            eprintln!("patchcore: {earlier}");
        }
    }
    failure.map_or(Ok(()), Err)
}

fn predict(session: &mut Session, path: &Path, json: bool, output: Option<&mut PictureFolder>) -> Result<()> {
    let start = Instant::now();
    let picture = Picture::decode(path, &Limits::default())?;
    let decode = start.elapsed();
    let model = session.model().clone();
    let prediction = session.predict(&picture.frame()).map_err(|e| e.within(path.display()))?;
    if let Some(output) = output {
        output.write(path, &picture, &model, &prediction)?;
    }
    match json {
        true => super::print(to_json(path, &prediction, decode)),
        false => super::print(format!(
            "{}: {} score {:.4} normalized {:.4}",
            path.display(),
            if prediction.is_anomalous { "ANOMALOUS" } else { "good" },
            prediction.score,
            prediction.normalized_score
        )),
    }
}

fn to_json(path: &Path, prediction: &Prediction<'_>, decode: Duration) -> serde_json::Value {
    let Timings { preprocess, backbone, patches, search, score } = prediction.timings;
    json!({
        "path": path.display().to_string(),
        "label": null,
        "score": prediction.score,
        "normalized_score": prediction.normalized_score,
        "is_anomalous": prediction.is_anomalous,
        "seconds": {
            "decode": decode.as_secs_f64(),
            "preprocess": preprocess.as_secs_f64(),
            "backbone": backbone.as_secs_f64(),
            "patches": patches.as_secs_f64(),
            "search": search.as_secs_f64(),
            "score": score.as_secs_f64(),
            "total": (decode + prediction.timings.total()).as_secs_f64(),
        },
    })
}

/// The files among `paths`, and the photographs in the folders among them, each folder's in name order.
pub fn photographs(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() {
            let inside = find_images(path)?;
            if inside.is_empty() {
                return Err(Error::argument(
                    path.display(),
                    "no photograph",
                    "a folder with .png, .jpg, .bmp or .tif files",
                ));
            }
            all.extend(inside);
        } else {
            all.push(path.clone());
        }
    }
    Ok(all)
}
