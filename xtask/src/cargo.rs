//! Cargo, and other programs, called for what they print.

use crate::Result;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// The workspace's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ lies in the workspace")
}

/// Runs `command` in the workspace's folder and returns its standard output.
pub fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("{command:?}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|e| format!("{command:?}: {e}"))
}

/// The standard output of `cargo` with `arguments`, the lock file as it is.
pub fn cargo(arguments: &[&str]) -> Result<String> {
    cargo_in(&[], arguments)
}

/// As [`cargo`], with these variables in the environment.
pub fn cargo_in(environment: &[(&str, &str)], arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(env!("CARGO"));
    capture(command.args(arguments).arg("--locked").envs(environment.iter().copied()))
}

/// `cargo metadata` with `options`.
pub fn metadata(options: &[&str]) -> Result<Value> {
    let json = cargo(&[&["metadata", "--format-version", "1"], options].concat())?;
    serde_json::from_str(&json).map_err(|e| format!("cargo metadata: {e}"))
}
