//! What the integration tests share.

#![allow(dead_code)] // each test file uses its part

pub mod checkpoint;
#[path = "../golden/mod.rs"]
pub mod golden;
pub mod photographs;
pub mod preprocessing;
pub mod sections;
pub mod small;
pub mod state_dict;
pub mod torch;

use patchcore::PatchCore;
use std::path::Path;

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The bytes of `model`'s file.
pub fn model_bytes(model: &PatchCore) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pcore");
    model.save(&path).unwrap();
    std::fs::read(path).unwrap()
}
