//! `patchcore predict`

use super::decoding::{Decoded, for_each_decoded};
use super::file_report::FileReport;
use super::pictures;
use super::progress;
use patchcore::image::{Limits, Photograph};
use patchcore::internals::evaluate::{find_images_where_readable, insert_path};
use patchcore::score::Region;
use patchcore::{Decision, PatchCore, Session, Timings, Verdict};
use patchcore::{Error, Result};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Score photographs, and show where the defects are
#[derive(clap::Args)]
pub struct Arguments {
    /// The model file
    #[arg(long, value_name = "MODEL.pcore")]
    model: PathBuf,
    /// Photographs, or folders of them, with the folders inside; links to folders and pictures of --out are
    /// passed over
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write three pictures of each photograph to this folder: an overlay to look at, with the verdict and
    /// each region, and heat map and mask of the photograph's size, but of 2048 pixels a side at most
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one line of JSON a photograph and nothing else
    #[arg(long)]
    json: bool,
    /// Print a table of comma-separated values, a row a photograph, and nothing else
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Exit with status 3 if a photograph is anomalous and all could be read
    #[arg(long)]
    fail_on_anomaly: bool,
    /// Threads; 0 means one for each core
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = super::usage::threads, allow_negative_numbers = true)]
    threads: usize,
}

impl Arguments {
    /// Whether pictures are written.
    pub fn writes(&self) -> bool {
        self.out.is_some()
    }

    fn format(&self) -> Format {
        match (self.json, self.csv) {
            (true, _) => Format::Json,
            (_, true) => Format::Csv,
            _ => Format::Text,
        }
    }
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    Csv,
}

/// Regions of a photograph that a line of text names; it counts the others.
const NAMED_REGIONS: usize = 3;
const CSV_HEADER: &str = "path,decision,threshold_ratio,score,normalized_score,regions,\
                          x,y,width,height,area,peak_x,peak_y,region_score";

/// What was found on one photograph.
struct Scored {
    photograph: Photograph,
    decode: Duration,
    verdict: Verdict,
    regions: Vec<Region>,
}

/// How many photographs had which result.
#[derive(Default)]
struct Summary {
    scored: u64,
    anomalous: u64,
    unreadable: u64,
    /// Photographs of another size than those of the training.
    other_sizes: u64,
    files: FileReport,
}

/// Runs the command. One bad photograph does not keep the others from being scored, but the exit status shows
/// it.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let out = arguments.out.as_deref();
    let mut status = None;
    let mut paths = Vec::new();
    for path in &arguments.paths {
        let mut unreadable = |error| {
            status = Some(super::report(error));
            Ok(())
        };
        match photographs(path, &mut unreadable) {
            Ok(found) => paths.extend(found),
            Err(error) => status = Some(super::report(error)),
        }
    }
    if paths.is_empty() {
        return Ok(status.unwrap_or(ExitCode::SUCCESS));
    }
    let stems = match out {
        Some(folder) => pictures::stems(folder, &paths)?.into_iter().map(Some).collect(),
        None => vec![None; paths.len()],
    };
    let model = super::open_mapped(&arguments.model, arguments.threads)?;
    let mut session = Session::new(&model, arguments.threads)?;
    if let Some(folder) = out {
        pictures::check_folder(folder)?;
    }
    if arguments.fail_on_anomaly && model.calibration().image_threshold().is_none() {
        let expected = "a model with a threshold: patchcore calibrate MODEL --threshold SCORE sets one";
        return Err(Error::argument("--fail-on-anomaly", "a model without one", expected));
    }
    for note in notes(&model, out.is_some()) {
        super::tell(format!("note: {}: {note}", arguments.model.display()));
    }
    let options = model.info().decode_options(Limits::default());
    let format = arguments.format();
    let mut summary = Summary::default();
    let mut is_read = format != Format::Csv || super::print_if_read(CSV_HEADER)?;
    let mut stems = stems.into_iter();
    for_each_decoded(&paths, &options, arguments.threads, |path, decoded| {
        progress::check("predict")?;
        let stem = stems.next().flatten();
        let scored = match decoded.and_then(|decoded| score(&mut session, path, decoded)) {
            Ok(scored) => scored,
            Err(error) => {
                summary.unreadable += 1;
                status = Some(super::report(error));
                return Ok(ControlFlow::Continue(()));
            }
        };
        summary.count(path, &scored, &model);
        is_read = is_read && super::print_if_read(line(path, &scored, format))?;
        if let Some(stem) = stem {
            if let Err(error) =
                pictures::write(&stem, path, &scored.photograph.picture, &scored.verdict, &session)
            {
                status = Some(super::report(error));
            }
        } else if !is_read {
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if is_read {
        summary.print(&model, format)?;
    }
    let anomaly = (arguments.fail_on_anomaly && summary.anomalous > 0).then(|| ExitCode::from(3));
    Ok(status.or(anomaly).unwrap_or(ExitCode::SUCCESS))
}

impl Summary {
    fn count(&mut self, path: &Path, scored: &Scored, model: &PatchCore) {
        self.scored += 1;
        self.anomalous += u64::from(scored.verdict.decision == Decision::Anomalous);
        let Photograph { picture, .. } = &scored.photograph;
        let size = (picture.width(), picture.height());
        let trained = model.info().training().photograph_size;
        self.other_sizes += u64::from(trained.is_some_and(|trained| trained != size));
        self.files.add(path, &scored.photograph);
    }

    /// `20 scored, 3 anomalous, 1 unreadable`; beside output that programs read, on standard error.
    fn print(&self, model: &PatchCore, format: Format) -> Result<()> {
        let Self { scored, anomalous, unreadable, other_sizes, files } = self;
        if let (1.., Some((width, height))) = (other_sizes, model.info().training().photograph_size) {
            super::tell(format!(
                "note: {} of another size than the {width}x{height} that the model was trained on: train anew for another \
                 camera or crop",
                super::counted(*other_sizes, "photograph")
            ));
        }
        let notes = [files.orientation_note(model.info().orientation()), files.page_note()];
        notes.into_iter().flatten().for_each(|note| super::tell(format!("note: {note}")));
        let line = format!("{scored} scored, {anomalous} anomalous, {unreadable} unreadable");
        match format {
            Format::Text => super::print(line),
            Format::Json | Format::Csv => {
                super::tell(line);
                Ok(())
            }
        }
    }
}

/// What the model's user should know.
fn notes(model: &PatchCore, draws: bool) -> Vec<&'static str> {
    let calibration = model.calibration();
    let mut notes = Vec::new();
    if calibration.image_threshold().is_none() {
        notes.push("the model has no threshold: photographs are scored, not judged");
    }
    if draws && calibration.pixel_threshold().is_none() {
        notes.push("the model has no pixel threshold: each heat map is scaled by its own range");
    }
    notes
}

fn score(session: &mut Session, path: &Path, decoded: Decoded) -> Result<Scored> {
    let Decoded { photograph, time: decode } = decoded;
    let verdict = session.predict(&photograph.picture.frame()).map_err(|e| e.within(path.display()))?;
    let regions = session.regions()?.collect();
    Ok(Scored { photograph, decode, verdict, regions })
}

/// What is printed about one photograph.
fn line(path: &Path, scored: &Scored, format: Format) -> String {
    match format {
        Format::Text => to_text(path, scored),
        Format::Json => to_json(path, scored).to_string(),
        Format::Csv => to_csv(path, scored),
    }
}

/// `PATH: ANOMALOUS 2.16 x threshold, score 1.9837, normalized 1.0000, at 120,88, 46x31 px`
fn to_text(path: &Path, scored: &Scored) -> String {
    let Verdict { decision, score, threshold_ratio, normalized_score, .. } = scored.verdict;
    let decision = match decision {
        Decision::Anomalous => "ANOMALOUS",
        Decision::Good => "good",
        Decision::NoThreshold => "-",
    };
    let mut line = format!("{}: {decision}", super::in_one_line(path.display()));
    if let Some(ratio) = threshold_ratio {
        line.push_str(&format!(" {ratio:.2} x threshold,"));
    }
    line.push_str(&format!(" score {score:.4}"));
    if let Some(normalized) = normalized_score {
        line.push_str(&format!(", normalized {normalized:.4}"));
    }
    for Region { x, y, width, height, .. } in scored.regions.iter().take(NAMED_REGIONS) {
        line.push_str(&format!(", at {x},{y}, {width}x{height} px"));
    }
    if scored.regions.len() > NAMED_REGIONS {
        let others = (scored.regions.len() - NAMED_REGIONS) as u64;
        line.push_str(&format!(", and {}", super::counted(others, "more region")));
    }
    line
}

fn to_json(path: &Path, scored: &Scored) -> serde_json::Value {
    let Verdict { score: image_score, threshold_ratio, normalized_score, decision, timings, .. } =
        scored.verdict;
    let Timings { preprocess, backbone, patches, search, score, .. } = timings;
    let mut json = json!({
        "label": null,
        "score": image_score,
        "threshold_ratio": threshold_ratio,
        "normalized_score": normalized_score,
        "is_anomalous": decision.is_anomalous(),
        "regions": scored.regions.iter().map(region_to_json).collect::<Vec<_>>(),
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
    insert_path(&mut json, "path", path);
    json
}

fn region_to_json(region: &Region) -> serde_json::Value {
    let Region { x, y, width, height, area, peak_x, peak_y, score, .. } = *region;
    json!({
        "x": x, "y": y, "width": width, "height": height, "area": area, "peak_x": peak_x, "peak_y": peak_y, "score": score,
    })
}

/// A row of the table: the photograph, and the highest of its regions.
fn to_csv(path: &Path, scored: &Scored) -> String {
    let Verdict { score, threshold_ratio, normalized_score, decision, .. } = scored.verdict;
    let number = |value: Option<f32>| value.map_or(String::new(), |value| value.to_string());
    let mut row = vec![
        csv_field(&path.display().to_string()),
        decision.to_string(),
        number(threshold_ratio),
        score.to_string(),
        number(normalized_score),
        scored.regions.len().to_string(),
    ];
    match scored.regions.first() {
        Some(region) => {
            let Region { x, y, width, height, area, peak_x, peak_y, .. } = *region;
            row.extend([x, y, width, height, area, peak_x, peak_y].map(|value| value.to_string()));
            row.push(region.score.to_string());
        }
        None => row.extend(std::iter::repeat_n(String::new(), 8)),
    }
    row.join(",")
}

/// `text` as a field of comma-separated values (RFC 4180).
fn csv_field(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.into(),
    }
}

/// The file `path`, or the photographs in the folder `path` in name order, but for pictures of an earlier
/// run. What becomes of a folder inside that cannot be read is up to `unreadable`.
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
            "a folder with PNG, JPEG, BMP, TIFF, WebP or PNM files",
        )
        .hint("links to folders are not followed"));
    }
    Ok(found)
}
