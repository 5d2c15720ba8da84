//! `patchcore profile`

use super::backbone::BackboneArguments;
use super::training::BankPrecision;
use super::{output, progress};
use patchcore::image::{Limits, Photograph, Picture, Preprocess};
use patchcore::internals::parts;
use patchcore::{Error, Result};
use patchcore::{PatchCore, Session, Timings, TrainOptions, Trainer};
use serde_json::{Value, json};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

/// Time each stage of a prediction on this machine
#[derive(clap::Args)]
pub struct Arguments {
    /// The model file; without it a memory bank of drawn parts is made for --backbone
    #[arg(long, value_name = "MODEL.pcore", conflicts_with_all = ["backbone", "weights", "bank", "bank_precision", "image_size"])]
    model: Option<PathBuf>,
    #[command(flatten)]
    backbone: BackboneArguments,
    /// Rows of the memory bank
    #[arg(long, value_name = "ROWS", default_value = "4096")]
    bank: NonZeroUsize,
    /// How precisely the memory bank is kept
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = BankPrecision::F32)]
    bank_precision: BankPrecision,
    /// Keep the model that is made for --backbone as this file
    #[arg(long, value_name = "MODEL.pcore", conflicts_with = "model")]
    keep: Option<PathBuf>,
    /// Side length of the network's input, or HEIGHTxWIDTH: sides of 32 to 8192, 4194304 pixels at most
    #[arg(long, value_name = "PIXELS", default_value = "256", value_parser = super::embedding::parse_size)]
    image_size: (usize, usize),
    /// The photograph to predict on; a drawn part of the network's input size by default
    #[arg(long, value_name = "FILE")]
    photograph: Option<PathBuf>,
    /// Threads; 0 means one for each core
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = super::usage::threads, allow_negative_numbers = true)]
    threads: usize,
    /// Predictions to time
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Print JSON and nothing else
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Whether a model is made.
    pub fn writes(&self) -> bool {
        self.model.is_none()
    }
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let photograph = arguments.photograph.as_deref().map(encoded).transpose()?;
    match &arguments.model {
        Some(model) => {
            let profile = measure(model, photograph, &arguments)?;
            super::print(if arguments.json { profile.to_string() } else { to_text(&profile) })?;
            Ok(ExitCode::SUCCESS)
        }
        None => in_new_process(&arguments),
    }
}

/// The bytes of the photograph `path`, which can be decoded.
fn encoded(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", &e))?;
    Picture::decode_bytes(&path.display().to_string(), &bytes, &Limits::default())?;
    Ok(bytes)
}

/// Makes a model and measures it in a process of its own, so that training's memory is not counted.
fn in_new_process(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(keep) = &arguments.keep {
        output::check("--keep", keep, arguments.backbone.weights.iter().chain(&arguments.photograph))?;
    }
    let folder =
        tempfile::tempdir().map_err(|e| Error::io(&std::env::temp_dir(), "create a folder in", &e))?;
    let file = arguments.keep.clone().unwrap_or_else(|| folder.path().join("profile.pcore"));
    drawn_model(arguments)?.save(&file)?;
    let program = std::env::current_exe().map_err(|e| Error::io(Path::new("patchcore"), "find", &e))?;
    let mut command = std::process::Command::new(&program);
    command.arg("profile").arg("--model").arg(&file);
    command.args(["--runs", &arguments.runs.to_string(), "--threads", &arguments.threads.to_string()]);
    command.args(arguments.json.then_some("--json"));
    if let Some(photograph) = &arguments.photograph {
        command.arg("--photograph").arg(photograph);
    }
    let mut child = command.spawn().map_err(|e| Error::io(&program, "run", &e))?;
    let status = wait(&mut child);
    if status.is_err() {
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
    let status = status?;
    match status.code().map(u8::try_from) {
        // What went wrong it has said.
        Some(code) => Ok(code.unwrap_or(1).into()),
        None => Err(Error::format("measuring process", status, "its end")),
    }
}

/// Waits for `child` to end.
///
/// # Errors
/// A signal asked to stop, or the operating system does not tell.
fn wait(child: &mut Child) -> Result<ExitStatus> {
    loop {
        let ended =
            child.try_wait().map_err(|e| Error::io(Path::new("measuring process"), "wait for", &e))?;
        progress::check("profile")?;
        match ended {
            Some(status) => return Ok(status),
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// A model whose memory bank holds `--bank` patches of drawn parts.
fn drawn_model(arguments: &Arguments) -> Result<PatchCore> {
    let preprocess = Preprocess::default().resize(arguments.image_size);
    let options = TrainOptions::default()
        .preprocess(preprocess)
        .threads(arguments.threads)
        .bank_precision(arguments.bank_precision.into())
        .cross_validate(false);
    let mut trainer = Trainer::new(&arguments.backbone.load()?, &options)?;
    let mut index = 0;
    while trainer.rows() < arguments.bank.get() {
        progress::check("profile")?;
        trainer.add(&parts::draw(None, index, side(arguments.image_size)).0.frame())?;
        index += 1;
    }
    trainer.keep_first(arguments.bank.get())
}

fn side(size: (usize, usize)) -> usize {
    size.0.max(size.1)
}

fn measure(path: &Path, photograph: Option<Vec<u8>>, arguments: &Arguments) -> Result<Value> {
    let start = Instant::now();
    let model = super::open_mapped(path, arguments.threads)?;
    let open = start.elapsed();
    let encoded = photograph.map_or_else(|| drawn_photograph(&model), Ok)?;
    let options = model.info().decode_options(Limits::default());
    let decode = || Photograph::decode_bytes("the photograph", &encoded, &options).map(|found| found.picture);
    let mut session = Session::new(&model, arguments.threads)?;
    let picture = decode()?;
    let start = Instant::now();
    session.predict(&picture.frame())?;
    let first = start.elapsed();
    let mut samples = Vec::new();
    for _ in 0..arguments.runs {
        let start = Instant::now();
        let picture = decode()?;
        let decode = start.elapsed();
        samples.push((decode, session.predict(&picture.frame())?.timings));
    }
    let information = model.info();
    let stage = |of: &dyn Fn(&(Duration, Timings)) -> Duration| summary(samples.iter().map(of).collect());
    Ok(json!({
        "net": information.architecture(),
        "weights": information.weights(),
        "image_size": information.preprocess().output_size(),
        "threads": session.threads(),
        "isa": model.isa().name(),
        "bank": information.bank_rows(),
        "dim": information.dim(),
        "runs": arguments.runs,
        "search_kind": information.search(),
        "decode": stage(&|s| s.0),
        "preprocess": stage(&|s| s.1.preprocess),
        "backbone": stage(&|s| s.1.backbone),
        "patches": stage(&|s| s.1.patches),
        "search": stage(&|s| s.1.search),
        "score": stage(&|s| s.1.score),
        "total": stage(&|s| s.0 + s.1.total()),
        "peak_rss_bytes": peak_rss(),
        "model_bytes": information.file_bytes(),
        "open_s": open.as_secs_f64(),
        "first_prediction_s": first.as_secs_f64(),
    }))
}

/// A part as large as the network's input, as a PNG file.
fn drawn_photograph(model: &PatchCore) -> Result<Vec<u8>> {
    let side = side(model.info().preprocess().output_size());
    parts::draw(None, u64::from(u32::MAX), side).0.to_png()
}

fn summary(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let seconds = |at: usize| times.get(at).map(Duration::as_secs_f64);
    // The slowest of fewer than a hundred.
    let late = (times.len() * 99).div_ceil(100).saturating_sub(1);
    json!({"median_s": seconds(times.len() / 2), "min_s": seconds(0), "p99_s": seconds(late)})
}

/// The most memory this process ever held, where the operating system tells.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn to_text(profile: &Value) -> String {
    let text = |field: &str| profile[field].as_str().unwrap_or_default();
    let size = &profile["image_size"];
    let mut lines = vec![
        format!(
            "{} ({}) {}x{}, bank {} x {}, {}, {}",
            text("net"),
            text("weights"),
            size[0],
            size[1],
            profile["bank"],
            profile["dim"],
            super::counted(profile["threads"].as_u64().unwrap_or(0), "thread"),
            text("isa")
        ),
        format!("{:<12} {:>9} {:>9} {:>9}", "ms", "median", "min", "p99"),
    ];
    for stage in ["decode", "preprocess", "backbone", "patches", "search", "score", "total"] {
        let seconds = |figure: &str| profile[stage].get(figure).and_then(Value::as_f64);
        let ms = |figure: &str| seconds(figure).unwrap_or(f64::NAN) * 1e3;
        lines.push(format!("{stage:<12} {:>9.3} {:>9.3} {:>9.3}", ms("median_s"), ms("min_s"), ms("p99_s")));
    }
    let mb = |figure: &str| profile[figure].as_f64().unwrap_or(f64::NAN) / 1e6;
    let ms = |figure: &str| profile[figure].as_f64().unwrap_or(f64::NAN) * 1e3;
    lines.push(format!(
        "peak memory {:.1} MB, model {:.1} MB, opened in {:.1} ms, first prediction {:.1} ms",
        mb("peak_rss_bytes"),
        mb("model_bytes"),
        ms("open_s"),
        ms("first_prediction_s")
    ));
    lines.join("\n")
}
