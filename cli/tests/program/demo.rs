//! What the program's `demo` makes, for the tests of its other commands.

#![allow(dead_code)] // each test file uses its part

use super::patchcore_ok;
use crate::support::text;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Small options: the network's input is 64x64.
pub const SMALL: [&str; 8] = [
    "--backbone",
    "small",
    "--image-size",
    "64",
    "--coreset-ratio",
    "0.02",
    // So few and so small photographs find no defect at a rarer one.
    "--false-alarm-rate",
    "0.2",
];
pub const IMAGE_FIELDS: [&str; 5] = ["path", "label", "score", "normalized_score", "is_anomalous"];

/// What `demo` printed, and the folder it wrote, made once.
pub struct Demo {
    pub printed: String,
    pub folder: tempfile::TempDir,
}

impl Demo {
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }
}

pub fn demo() -> &'static Demo {
    static DEMO: OnceLock<Demo> = OnceLock::new();
    DEMO.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let printed = patchcore_ok([&["demo", "--out", text(folder.path())], &SMALL[..]].concat());
        Demo { printed, folder }
    })
}

pub fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Files below `folder`.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
