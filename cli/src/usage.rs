//! Wrong usage: values that no flag takes, and those that only the library finds wrong.

use patchcore::Pool;
use patchcore::{Error, ErrorKind, Result, Setting};

/// The error, about the flag that is to be changed.
pub fn name_flag(error: Error) -> Error {
    let flag = match error.setting() {
        Some(Setting::CenterCrop) => "--center-crop",
        Some(Setting::Category) => "--category",
        Some(Setting::ImageSize) => "--image-size",
        Some(Setting::CoresetRatio) => "--coreset-ratio",
        Some(Setting::Layers) => "--layers",
        Some(Setting::MaxMemory) => "--max-memory",
        Some(Setting::Neighbors) => "--neighbors",
        Some(Setting::Roi) => "--roi and --ignore",
        _ => return error,
    };
    error.about(flag)
}

/// 2 where a flag's value is wrong, else 1.
pub fn status(error: &Error) -> u8 {
    if error.kind() == ErrorKind::Argument && error.subject().starts_with("--") { 2 } else { 1 }
}

/// The value of `--threads`.
pub fn threads(text: &str) -> Result<usize, String> {
    let threads = text.parse().map_err(|_| "not a number".to_string())?;
    Pool::resolve_threads(threads).map_err(|e| e.to_string())?;
    Ok(threads)
}

/// The value of `--false-alarm-rate`.
pub fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate < 1.0 => Ok(rate),
        _ => Err("not a number above 0, below 1".into()),
    }
}

/// The value of `--threshold` and `--pixel-threshold`.
pub fn score(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(score) if score > 0.0 && score < f32::INFINITY => Ok(score),
        _ => Err("not a score above 0".into()),
    }
}

/// The value of `--coreset-ratio` and `--ratio`.
pub fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("not a number above 0, at most 1".into()),
    }
}
