//! The library's features, for the script that builds each of them alone.

use crate::{Result, cargo};
use serde_json::Value;

/// Prints all features of the library but `default`, one a line.
pub fn print() -> Result<()> {
    let metadata = cargo::metadata(&["--no-deps"])?;
    names(&metadata)?.iter().for_each(|name| println!("{name}"));
    Ok(())
}

fn names(metadata: &Value) -> Result<Vec<&str>> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let features =
        packages.filter(|package| package["name"] == "patchcore").find_map(|p| p["features"].as_object());
    let features = features.ok_or("cargo metadata: found no package patchcore")?;
    Ok(features.keys().map(String::as_str).filter(|name| *name != "default").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_features_are_the_librarys_without_default() {
        let program = serde_json::json!({"name": "patchcore-cli", "features": {"pictures": []}});
        let library =
            serde_json::json!({"name": "patchcore", "features": {"default": ["train"], "train": []}});
        let metadata = |packages: &[&Value]| serde_json::json!({ "packages": packages });
        assert_eq!(names(&metadata(&[&program, &library])).unwrap(), ["train"]);
        assert!(names(&metadata(&[&program])).is_err());
    }
}
