//! What the integration tests share.

#![allow(dead_code)] // each test file uses its part

pub mod checkpoint;
#[path = "../golden/mod.rs"]
pub mod golden;
pub mod preprocessing;
pub mod sections;
pub mod small;
pub mod state_dict;
pub mod torch;

use std::path::Path;

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
