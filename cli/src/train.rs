//! `patchcore train`

use super::backbone::BackboneArguments;
use super::output;
use super::roi::{self, RoiArguments};
use super::thresholds;
use super::training::{self, ThresholdBy, TrainingArguments};
use patchcore::evaluate::Dataset;
use patchcore::internals::evaluate::insert_path;
use patchcore::{ModelInfo, Outlier, PatchCore, Result, TrainingReport};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Photographs of one kind that are named before the rest is counted.
const NAMED: usize = 10;

/// Fewer good photographs say too little of one another: one that does not fit widens what seems normal.
const ENOUGH_TO_COMPARE: u64 = 15;

/// Learn what good parts look like
#[derive(clap::Args)]
#[command(mut_arg("image_size", |flag| flag.default_value("auto")))]
pub struct Arguments {
    /// A folder of good photographs, or one with good/ and, if there are any, bad/, or a category in the
    /// MVTec AD layout, or their root with --category, or a list LIST.csv with the header path,label,mask
    /// and, if wanted, split. All good photographs are learned from and set the threshold; defective ones, in
    /// bad/ or test/DEFECT, check it
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Which category of --data
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    #[command(flatten)]
    backbone: BackboneArguments,
    #[command(flatten)]
    training: TrainingArguments,
    #[command(flatten)]
    roi: RoiArguments,
    /// Set the image threshold by hand: photographs scoring at least this are anomalous
    #[arg(long, value_name = "SCORE", value_parser = super::usage::score, allow_negative_numbers = true)]
    threshold: Option<f32>,
    /// What sets the thresholds
    #[arg(long, value_name = "RULE", value_enum, default_value_t = ThresholdBy::Good, conflicts_with_all = ["threshold", "false_alarm_rate"])]
    threshold_by: ThresholdBy,
    /// Print JSON and nothing else
    #[arg(long)]
    json: bool,
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
    output::check("--out", &arguments.out, arguments.roi.files())?;
    arguments.training.roi = arguments.roi.read(&arguments.training.embedding.decode_options())?;
    training::check_test(&dataset, &arguments.training.embedding.decode_options())?;
    let backbone = arguments.backbone.load()?;
    // Beside the model: the system's temporary folder may lie in memory.
    let folder = arguments.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    arguments.training.spool_folder = Some(folder.unwrap_or(Path::new(".")).into());
    arguments.training.is_bounded = true;
    arguments.training.threshold_by = arguments.threshold_by;
    let trained = training::train(&dataset, &backbone, &arguments.training)?;
    let mut model = trained.model;
    if let Some(threshold) = arguments.threshold {
        let calibration = model.calibration().with_image_threshold(threshold)?;
        model = model.with_calibration(calibration)?;
    }
    let replaced = output::Replaced::at(&arguments.out);
    model.save(&arguments.out)?;
    replaced.report_change(&arguments.out);
    let check = trained.scored.as_ref().and_then(|scored| thresholds::Check::new(&model, scored));
    if arguments.json {
        return super::print(to_json(&model, &trained.report, &dataset.train, check.as_ref()));
    }
    notes(&trained.report, &dataset.train).iter().for_each(|note| super::tell(format!("note: {note}")));
    let bounded = arguments.training.describe_bound(&model);
    super::print(to_text(&arguments.out, &model, bounded, check.as_ref(), start.elapsed()))
}

/// What the training noticed, a sentence each.
fn notes(report: &TrainingReport, photographs: &[PathBuf]) -> Vec<String> {
    let name =
        |number: usize| photographs.get(number).map_or_else(String::new, |path| path.display().to_string());
    let mut notes = Vec::new();
    let outlier = |outlier: &Outlier| {
        let Outlier { image, score, limit, at, is_left_out, .. } = outlier;
        let end = match is_left_out {
            true => "left out; --keep-outliers keeps it",
            false => "kept, as --keep-outliers says",
        };
        format!(
            "{} does not fit the other good photographs: score {score:.4}, limit {limit:.4}, at {},{}; {end}",
            name(*image),
            at.0,
            at.1
        )
    };
    notes.extend(report.outliers.iter().map(outlier));
    let copy = |&(copy, original): &(usize, usize)| format!("{} is a copy of {}", name(copy), name(original));
    list(&mut notes, &report.copies, copy, "copies");
    let (width, height) = report.size;
    let size = |&(image, (w, h)): &(usize, (usize, usize))| {
        let turned = if (w, h) == (height, width) { ", turned" } else { "" };
        format!("{} is {w}x{h}{turned}, most are {width}x{height}", name(image))
    };
    list(&mut notes, &report.other_sizes, size, "photographs of another size");
    let color = |&image: &usize| format!("{} differs from most in being in colour or grey", name(image));
    list(&mut notes, &report.other_colors, color, "photographs that differ in colour");
    notes
}

/// Appends a sentence for each of `items`, or, past ten, the number of the others, which are `what`.
fn list<T>(notes: &mut Vec<String>, items: &[T], sentence: impl Fn(&T) -> String, what: &str) {
    notes.extend(items.iter().take(NAMED).map(sentence));
    if items.len() > NAMED {
        notes.push(format!("and {} more {what}", items.len() - NAMED));
    }
}

fn to_text(
    out: &Path,
    model: &PatchCore,
    bounded: Option<String>,
    check: Option<&thresholds::Check>,
    time: Duration,
) -> String {
    let info = model.info();
    let mut lines = vec![format!(
        "{}: {}, {}{}; memory bank {}",
        out.display(),
        super::counted(info.training().images, "good photograph"),
        super::counted(info.training().patches, "patch"),
        super::info::sampled(info.training()),
        super::info::bank(info),
    )];
    lines.extend(bounded);
    lines.extend(describe_input(info));
    lines.extend(roi::describe(info));
    lines.extend(thresholds::describe(model));
    if (2..ENOUGH_TO_COMPARE).contains(&info.training().images) {
        lines.push(format!(
            "fewer than {ENOUGH_TO_COMPARE} photographs cannot show that one does not fit the others: look through them"
        ));
    }
    lines.extend(check.into_iter().flat_map(thresholds::Check::lines));
    lines.push(format!("done in {:.1} s", time.as_secs_f64()));
    lines.join("\n")
}

/// How large the network sees the photographs, and how large a defect has to be to show, where they are
/// shrunk.
fn describe_input(info: ModelInfo<'_>) -> Option<String> {
    let (width, height) = info.training().photograph_size?;
    let (rows, columns) = info.preprocess().resize;
    let smallest = info.smallest_defect()?;
    if rows >= height && columns >= width {
        return None;
    }
    let seen = format!(
        "photographs of {width}x{height} are seen at {columns}x{rows}: defects from about {smallest:.0} pixels across show"
    );
    Some(match 2 * rows <= height && 2 * columns <= width {
        true => format!(
            "{seen}\n--image-size {}x{} shows those from {:.0} pixels on, and takes four times as long",
            2 * rows,
            2 * columns,
            smallest / 2.0
        ),
        false => seen,
    })
}

fn to_json(
    model: &PatchCore,
    report: &TrainingReport,
    photographs: &[PathBuf],
    check: Option<&thresholds::Check>,
) -> Value {
    let with_path = |mut json: Value, name: &str, number: usize| {
        if let Some(path) = photographs.get(number) {
            insert_path(&mut json, name, path);
        }
        json
    };
    let outlier = |o: &Outlier| {
        let json =
            json!({"score": o.score, "limit": o.limit, "x": o.at.0, "y": o.at.1, "left_out": o.is_left_out});
        with_path(json, "path", o.image)
    };
    let copy =
        |&(copy, original): &(usize, usize)| with_path(with_path(json!({}), "path", copy), "of", original);
    let other_size = |&(image, (width, height)): &(usize, (usize, usize))| {
        with_path(json!({"width": width, "height": height}), "path", image)
    };
    let other_color = |&image: &usize| with_path(json!({}), "path", image);
    let info = model.info();
    json!({
        "photographs": info.training().images,
        "patches": info.training().patches,
        "bank": [info.bank_rows(), info.dim()],
        "calibration": thresholds::to_json(model),
        "check": check.map(thresholds::Check::to_json),
        "outliers": report.outliers.iter().map(outlier).collect::<Vec<_>>(),
        "copies": report.copies.iter().map(copy).collect::<Vec<_>>(),
        "size": [report.size.0, report.size.1],
        "image_size": info.preprocess().resize,
        "smallest_defect": info.smallest_defect(),
        "roi_share": info.roi_share(),
        "other_sizes": report.other_sizes.iter().map(other_size).collect::<Vec<_>>(),
        "other_colors": report.other_colors.iter().map(other_color).collect::<Vec<_>>(),
    })
}
