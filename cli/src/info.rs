//! `patchcore info`

use super::roi;
use patchcore::Precision;
use patchcore::Result;
use patchcore::image::{Orientation, PixelFormat};
use patchcore::{MemoryEstimate, ModelInfo, OpenOptions, PatchCore, Training};
use serde_json::json;
use std::path::PathBuf;

/// Show what a model file holds
#[derive(clap::Args)]
pub struct Arguments {
    /// The model file
    model: PathBuf,
    /// Compare every checksum
    #[arg(long)]
    verify: bool,
    /// Print JSON and nothing else
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let model = OpenOptions::default().verify(arguments.verify).threads(0).open(&arguments.model)?;
    let memory = memory(&model)?;
    match arguments.json {
        true => super::print(to_json(&model, memory, arguments.verify)),
        false => super::print(to_text(&model, memory, arguments.verify)),
    }
}

/// That not all patches could be chosen from.
pub(super) fn sampled(training: &Training) -> String {
    training
        .sampled
        .map_or(String::new(), |rows| format!(" ({rows} of them sampled, to stay within --max-memory)"))
}

/// Rows, values a row, and what half precision costs.
pub(super) fn bank(information: ModelInfo<'_>) -> String {
    let shape = format!("{} x {}", information.bank_rows(), information.dim());
    match information.bank_precision() {
        (Precision::Half, rounding) => {
            format!("{shape} in half precision, distances off by at most {rounding:.2e}")
        }
        _ => shape,
    }
}

fn photographs(training: &Training) -> String {
    match training.images {
        0 => "photographs unknown".into(),
        images => format!(
            "{}, {}{}",
            super::counted(images, "photograph"),
            super::counted(training.patches, "patch"),
            sampled(training)
        ),
    }
}

/// For colour photographs as large as the network's input; larger ones take a little more.
fn memory(model: &PatchCore) -> Result<MemoryEstimate> {
    let (height, width) = model.info().preprocess().output_size();
    model.memory(1, width, height, PixelFormat::Rgb8)
}

fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// How photographs are read from their files.
fn reading(information: ModelInfo<'_>) -> String {
    let orientation = match information.orientation() {
        Orientation::Exif => "turned as their files state",
        Orientation::Ignore => "not turned",
    };
    let bits = information.bit_depth().map_or(String::new(), |bits| format!(", {bits} bits used of 16"));
    format!("{orientation}{bits}")
}

fn layers(information: ModelInfo<'_>) -> Vec<&'static str> {
    information.layers().iter().map(|layer| layer.name()).collect()
}

fn to_json(model: &PatchCore, memory: MemoryEstimate, verified: bool) -> serde_json::Value {
    let information = model.info();
    let (preprocess, training, calibration) =
        (information.preprocess(), information.training(), model.calibration());
    let (precision, rounding) = information.bank_precision();
    json!({
        "producer": information.producer(),
        "backbone": information.architecture(),
        "weights": information.weights(),
        "weights_checksum": format!("{:08x}", information.weights_checksum()),
        "weights_embedded": information.weights_are_embedded(),
        "layers": layers(information),
        "resize": preprocess.resize,
        "crop": preprocess.crop,
        "antialias": preprocess.antialias,
        "orientation": if information.orientation() == Orientation::Exif { "exif" } else { "ignore" },
        "bit_depth": information.bit_depth(),
        "bank_precision": if precision == Precision::Half { "f16" } else { "f32" },
        "bank_rounding": rounding,
        "bank_rows": information.bank_rows(),
        "dim": information.dim(),
        "neighbors": information.neighbors(),
        "photograph_size": training.photograph_size,
        "smallest_defect": information.smallest_defect(),
        "roi_share": information.roi_share(),
        "training_images": training.images,
        "training_patches": training.patches,
        "training_patches_sampled": training.sampled,
        "coreset_ratio": training.coreset_ratio,
        "seed": training.seed,
        "search": information.search(),
        "calibration": calibration.source.to_string(),
        "image_threshold": calibration.image_threshold(),
        "pixel_threshold": calibration.pixel_threshold(),
        "file_bytes": information.file_bytes(),
        "isa": model.isa().name(),
        "memory_bytes": memory.model,
        "session_bytes": memory.session,
        "verified": verified,
    })
}

fn to_text(model: &PatchCore, memory: MemoryEstimate, verified: bool) -> String {
    let information = model.info();
    let (preprocess, training, calibration) =
        (information.preprocess(), information.training(), model.calibration());
    let region = roi::describe(information).map_or(String::new(), |share| format!("; {share}"));
    let size = training.photograph_size.map_or(String::new(), |(w, h)| format!("{w}x{h}, "));
    let embedded = if information.weights_are_embedded() { ", in the library" } else { "" };
    let crop = preprocess.crop.map_or(String::new(), |(h, w)| format!(", centre crop {h}x{w}"));
    let antialias = if preprocess.antialias { "" } else { ", no antialias" };
    let seed = training.seed.map_or("none (imported)".into(), |seed| seed.to_string());
    [
        format!("made by      {}", information.producer().escape_debug()),
        format!(
            "backbone     {} ({}{embedded}, checksum {:08x})",
            information.architecture(),
            information.weights().escape_debug(),
            information.weights_checksum()
        ),
        format!("layers       {}", layers(information).join(", ")),
        format!("input        {}x{}{antialias}{crop}", preprocess.resize.0, preprocess.resize.1),
        format!("photographs  {size}{}{region}", reading(information)),
        format!("memory bank  {}", bank(information)),
        format!(
            "training     {}, coreset ratio {}, seed {seed}",
            photographs(training),
            training.coreset_ratio
        ),
        format!("neighbors    {}", information.neighbors()),
        format!("search       {}", information.search()),
        format!("calibration  {}", calibration.source),
        format!(
            "thresholds   image {}, pixel {}",
            threshold(calibration.image_threshold()),
            threshold(calibration.pixel_threshold())
        ),
        format!(
            "file         {} bytes{}",
            information.file_bytes().unwrap_or(0),
            if verified { ", checksums verified" } else { "" }
        ),
        format!("isa          {}", model.isa().name()),
        format!(
            "memory       model {:.1} MB, session of one thread {:.1} MB",
            mb(memory.model),
            mb(memory.session)
        ),
    ]
    .join("\n")
}

fn threshold(value: Option<f32>) -> String {
    value.map_or_else(|| "none".into(), |value| value.to_string())
}
