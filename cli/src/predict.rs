//! `patchcore predict`

use super::pictures;
use super::progress;
use patchcore::image::{Limits, Picture};
use patchcore::internals::evaluate::{find_images_where_readable, insert_path};
use patchcore::{Error, Result};
use patchcore::{OpenOptions, PatchCore, Prediction, Session, Timings};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Score photographs, and draw where the defects are
#[derive(clap::Args)]
pub struct Arguments {
    /// The model file
    #[arg(long, value_name = "MODEL.pcore")]
    model: PathBuf,
    /// Photographs, or folders of them, with the folders inside; links to folders and pictures of --out are passed over
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write a heat map, an overlay with the mask's contour, and the mask of each photograph to this folder, all of the
    /// photograph's size, but of 2048 pixels a side at most
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one line of JSON a photograph and nothing else
    #[arg(long)]
    json: bool,
    /// Threads; 0 means one for each core
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = super::usage::threads, allow_negative_numbers = true)]
    threads: usize,
}

impl Arguments {
    /// Whether pictures are written.
    pub fn writes(&self) -> bool {
        self.out.is_some()
    }
}

/// What was found on one photograph.
struct Scored<'a> {
    picture: Picture,
    decode: Duration,
    prediction: Prediction<'a>,
}

/// Runs the command. One bad photograph does not keep the others from being scored, but the exit status tells.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let out = arguments.out.as_deref();
    let mut status = ExitCode::SUCCESS;
    let mut paths = Vec::new();
    for path in &arguments.paths {
        let mut unreadable = |error| {
            status = super::report(error);
            Ok(())
        };
        match photographs(path, &mut unreadable) {
            Ok(found) => paths.extend(found),
            Err(error) => status = super::report(error),
        }
    }
    if paths.is_empty() {
        return Ok(status);
    }
    let stems = match out {
        Some(folder) => pictures::stems(folder, &paths)?.into_iter().map(Some).collect(),
        None => vec![None; paths.len()],
    };
    let model =
        OpenOptions { threads: arguments.threads, ..OpenOptions::default() }.open(&arguments.model)?;
    let mut session = Session::new(&model, arguments.threads)?;
    if let Some(folder) = out {
        pictures::check_folder(folder)?;
    }
    for note in notes(&model, out.is_some()) {
        super::tell(format!("note: {}: {note}", arguments.model.display()));
    }
    let mut is_read = true;
    for (path, stem) in paths.iter().zip(&stems) {
        progress::check("predict")?;
        let scored = match score(&mut session, path) {
            Ok(scored) => scored,
            Err(error) => {
                status = super::report(error);
                continue;
            }
        };
        is_read = is_read && super::print_if_read(line(path, &scored, arguments.json))?;
        if let Some(stem) = stem {
            let Scored { picture, .. } = scored;
            if let Err(error) = pictures::write(stem, &picture, &session) {
                status = super::report(error);
            }
        } else if !is_read {
            break;
        }
    }
    Ok(status)
}

/// What the model's user should know.
fn notes(model: &PatchCore, draws: bool) -> Vec<&'static str> {
    let calibration = model.calibration();
    let mut notes = Vec::new();
    if calibration.image_threshold().is_none() {
        notes.push("the model has no threshold: photographs are scored, and not labelled");
    } else if draws && calibration.pixel_threshold().is_none() {
        notes.push("the model has no threshold for pixels: masks are empty");
    }
    if draws && calibration.pixel.is_raw() {
        notes.push("the model knows no range of map values: each heat map is scaled by its own");
    }
    notes
}

fn score<'a>(session: &'a mut Session, path: &Path) -> Result<Scored<'a>> {
    let start = Instant::now();
    let picture = Picture::decode(path, &Limits::default())?;
    let decode = start.elapsed();
    let prediction = session.predict(&picture.frame()).map_err(|e| e.within(path.display()))?;
    Ok(Scored { picture, decode, prediction })
}

/// What is printed about one photograph. There is no label without a threshold, and no normalised score without a range.
fn line(path: &Path, scored: &Scored<'_>, json: bool) -> String {
    if json {
        return to_json(path, scored).to_string();
    }
    let prediction = &scored.prediction;
    let label = match prediction.is_anomalous {
        Some(true) => "ANOMALOUS",
        Some(false) => "good",
        None => "-",
    };
    let normalized = prediction.normalized_score.map_or("-".into(), |score| format!("{score:.4}"));
    let path = super::in_one_line(path.display());
    format!("{path}: {label} score {:.4} normalized {normalized}", prediction.score)
}

fn to_json(path: &Path, scored: &Scored<'_>) -> serde_json::Value {
    let Prediction { score: image_score, normalized_score, is_anomalous, timings, .. } = scored.prediction;
    let Timings { preprocess, backbone, patches, search, score, .. } = timings;
    let mut json = json!({
        "label": null,
        "score": image_score,
        "normalized_score": normalized_score,
        "is_anomalous": is_anomalous,
        "seconds": {
            "decode": scored.decode.as_secs_f64(),
            "preprocess": preprocess.as_secs_f64(),
            "backbone": backbone.as_secs_f64(),
            "patches": patches.as_secs_f64(),
            "search": search.as_secs_f64(),
            "score": score.as_secs_f64(),
            "total": (scored.decode + timings.total()).as_secs_f64(),
        },
    });
    insert_path(&mut json, path);
    json
}

/// The file `path`, or the photographs in the folder `path` in name order, but for pictures of an earlier run. What becomes of
/// a folder inside that cannot be read is up to `unreadable`.
///
/// # Errors
/// The folder cannot be read or has no photograph.
pub fn photographs(path: &Path, unreadable: &mut dyn FnMut(Error) -> Result<()>) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.into()]);
    }
    let found = find_images_where_readable(path, unreadable)?;
    if let Some(note) = found.note(path) {
        super::tell(format!("note: {note}"));
    }
    let found = pictures::left_out(found.images);
    if found.is_empty() {
        return Err(Error::argument(
            path.display(),
            "no photograph",
            "a folder with PNG, JPEG, BMP or TIFF files",
        )
        .hint("links to folders are not followed"));
    }
    Ok(found)
}
