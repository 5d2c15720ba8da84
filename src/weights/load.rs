//! Weight files of every kind.

use super::torch::Checkpoint;
use super::{NamedTensors, WeightLimits, safetensors};
use crate::bytes::read_file;
use crate::error::{Error, Result};
use std::path::Path;

/// Reads a weight file: torch's `.pth`, an anomalib `.ckpt`, or `.safetensors`, told apart by their content.
/// A state dict may lie under `state_dict`, `model`, `model_state_dict`, `net` or `params`. What stands
/// before the names of a residual network, such as `module.` or `backbone.`, is removed.
///
/// # Errors
/// The file cannot be read, is damaged, passes a limit, is of another kind, holds two networks or one name
/// twice, or contains a Python object that is no plain data.
pub fn load(path: &Path, limits: &WeightLimits) -> Result<NamedTensors> {
    let bytes = read_file(path, limits.max_bytes)?;
    parse(&path.display().to_string(), &bytes, limits)
}

/// As [`load`], from the file's bytes; `source` names it in errors.
///
/// # Errors
/// As `load`.
pub fn parse(source: &str, bytes: &[u8], limits: &WeightLimits) -> Result<NamedTensors> {
    if Checkpoint::recognises(bytes) {
        return Checkpoint::parse(source, bytes)?.tensors(limits);
    }
    // The header's length, then JSON.
    if bytes.get(8) == Some(&b'{') {
        return safetensors::parse(source, bytes, limits);
    }
    let expected = "the start of torch's .pth or .ckpt, or of a .safetensors file";
    Err(Error::format(source, first_bytes(bytes), expected))
}

/// How the file `bytes` begins, for an error about a file of another kind.
pub(crate) fn first_bytes(bytes: &[u8]) -> String {
    match bytes.get(..8).unwrap_or(bytes) {
        [] => "an empty file".into(),
        start => format!("\"{}\"", start.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_named_with_their_first_bytes() {
        let message = |bytes: &[u8]| parse("w.pth", bytes, &WeightLimits::default()).unwrap_err().to_string();
        assert!(message(b"").starts_with("w.pth: found an empty file, expected the start of torch's"));
        assert!(message(b"hello, world").starts_with("w.pth: found \"hello, w\", expected"));
        assert!(message(b"\x89PNG\r\n\x1a\n").starts_with(r#"w.pth: found "\x89PNG\r\n\x1a\n", expected"#));
    }
}
