//! `docs/licences.md`: the crates that are linked, their licences, and who holds the rights.

use crate::{Result, cargo};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const FILE: &str = "docs/licences.md";
const TARGETS: [&str; 3] =
    ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "armv7-unknown-linux-gnueabihf"];
const LIBRARY: [&str; 5] =
    ["--package", "patchcore", "--no-default-features", "--features", "capi,embedded-default,ndarray,train"];
const PROGRAM: [&str; 2] = ["--package", "patchcore-cli"];

/// Name and version.
type Crate = (String, String);

/// Fails where the file is not that of the crates.
pub fn check() -> Result<()> {
    let path = cargo::root().join(FILE);
    let written = std::fs::read_to_string(&path).map_err(|e| format!("{FILE}: {e}"))?;
    let expected = document()?;
    if written == expected {
        return Ok(());
    }
    let differences = differences(&written, &expected).join("\n");
    Err(format!("{differences}\n{FILE} does not match Cargo.lock: run cargo xtask licences --write"))
}

pub fn write() -> Result<()> {
    std::fs::write(cargo::root().join(FILE), document()?).map_err(|e| format!("{FILE}: {e}"))
}

/// The lines that only one of the texts has, with `-` before those of `written` and `+` before those of
/// `expected`.
fn differences(written: &str, expected: &str) -> Vec<String> {
    let only = |sign: char, a: &str, b: &str| {
        let other: BTreeSet<&str> = b.lines().collect();
        a.lines().filter(|line| !other.contains(line)).map(|line| format!("{sign}{line}")).collect::<Vec<_>>()
    };
    [only('-', written, expected), only('+', expected, written)].concat()
}

fn document() -> Result<String> {
    let metadata = cargo::metadata(&["--all-features"])?;
    let packages: BTreeMap<Crate, &Value> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|package| ((text(&package["name"]), text(&package["version"])), package))
        .collect();
    let (library, program) = (linked(&LIBRARY)?, linked(&PROGRAM)?);
    let library_table = table(&library, &packages)?;
    let program_table = table(&program.difference(&library).cloned().collect(), &packages)?;
    Ok(format!(
        "\
# Licences

The crates that are linked into the library and the program on Linux, with their licences and the copyright lines of their
licence files. `patchcore` itself is MIT OR Apache-2.0; all of these may be had under permissive terms, and [`deny.toml`](../deny.toml) lets no other in.
Written by `cargo xtask licences --write`; do not edit.

## The library

With `train`, `capi`, `ndarray` and `embedded-default`; a library that only predicts links fewer of them (docs/embedding.md), one with
`decode` or `kdtree` also some of the program's below.

{library_table}

## The program, beside those

{program_table}
"
    ))
}

/// The crates that are linked; those that only run at compile time are not.
fn linked(features: &[&str]) -> Result<BTreeSet<Crate>> {
    let mut found = BTreeSet::new();
    for target in TARGETS {
        let tree = ["tree", "--edges", "normal,no-proc-macro", "--prefix", "none", "--target", target];
        found.extend(crates_of(&cargo::cargo(&[&tree[..], features].concat())?));
    }
    Ok(found)
}

/// The crates in the output of `cargo tree --prefix none`, beside the workspace's own.
fn crates_of(tree: &str) -> BTreeSet<Crate> {
    let name_and_version = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.trim_start_matches('v').to_owned()))
    };
    tree.lines().filter_map(name_and_version).filter(|(name, _)| !name.starts_with("patchcore")).collect()
}

fn table(crates: &BTreeSet<Crate>, packages: &BTreeMap<Crate, &Value>) -> Result<String> {
    let mut rows = vec!["| crate | version | licence | notice |".to_owned(), "|---|---|---|---|".to_owned()];
    for key in crates {
        let (name, version) = key;
        let package = packages.get(key).ok_or_else(|| format!("cargo metadata lacks {name} {version}"))?;
        let licence = text(&package["license"]).replace('/', " OR ");
        let manifest = text(&package["manifest_path"]);
        let folder = Path::new(&manifest).parent().ok_or_else(|| format!("{manifest}: no folder"))?;
        let notices = notices(folder)?.into_iter().collect::<Vec<_>>().join("; ").replace('|', "\\|");
        rows.push(format!("| {name} | {version} | {licence} | {notices} |"));
    }
    Ok(rows.join("\n"))
}

/// The lines of the licence files in `folder` that name who holds the rights.
fn notices(folder: &Path) -> Result<BTreeSet<String>> {
    let fail = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if is_licence_file(&entry.file_name().to_string_lossy()) && entry.path().is_file() {
            let bytes = std::fs::read(entry.path()).map_err(fail)?;
            let content = String::from_utf8_lossy(&bytes).into_owned();
            found.extend(content.lines().filter(|line| is_notice(line)).map(|line| line.trim().to_owned()));
        }
    }
    Ok(found)
}

fn is_licence_file(name: &str) -> bool {
    let name = name.to_lowercase();
    ["licence", "license", "copying", "copyright", "notice"].iter().any(|start| name.starts_with(start))
}

/// "Copyright", then "(c)", "©", a year or a name. The appendix of the Apache licence is a template and names
/// nobody.
fn is_notice(line: &str) -> bool {
    let Some(holder) = line.trim_start().strip_prefix("Copyright ") else { return false };
    let year = holder.len() >= 4 && holder.bytes().take(4).all(|b| b.is_ascii_digit());
    let names = holder.starts_with("(c)") || holder.starts_with('©') || year;
    (names || holder.starts_with(|c: char| c.is_ascii_uppercase()))
        && !["[yyyy]", "{yyyy}"].iter().any(|template| line.contains(template))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_name_a_holder_are_notices() {
        for line in
            ["Copyright (c) 2020 A", "  Copyright 2014 The B Developers", "Copyright © C", "Copyright D"]
        {
            assert!(is_notice(line), "{line}");
        }
        for line in [
            "Copyright [yyyy] [name of copyright owner]",
            "Copyright {yyyy} {name of copyright owner}",
            "copyright notice and this permission notice",
            "Copyright holders",
            "",
        ] {
            assert!(!is_notice(line), "{line}");
        }
    }

    #[test]
    fn licence_files_are_found_by_their_names() {
        for name in ["LICENSE", "License-MIT.txt", "licence.md", "COPYING", "COPYRIGHT", "NOTICE"] {
            assert!(is_licence_file(name), "{name}");
        }
        assert!(!is_licence_file("README.md") && !is_licence_file("UNLICENSE"));
    }

    #[test]
    fn the_workspace_itself_is_not_listed() {
        let tree =
            "patchcore-cli v0.1.0 (/src/cli)\nclap v4.6.0\npatchcore v0.1.0 (/src)\nclap v4.6.0 (*)\n\n";
        assert_eq!(crates_of(tree), BTreeSet::from([("clap".to_owned(), "4.6.0".to_owned())]));
    }

    #[test]
    fn differences_are_the_lines_of_one_side_alone() {
        assert_eq!(differences("a\nb\n", "b\nc\n"), ["-a", "+c"]);
    }

    #[test]
    fn a_table_has_a_row_a_crate_and_escapes_bars() {
        let folder = std::env::temp_dir().join(format!("patchcore-xtask-licences-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("LICENSE-MIT"), "MIT\nCopyright (c) 2020 A | B\n").unwrap();
        let manifest = folder.join("Cargo.toml");
        let package = serde_json::json!({"license": "MIT/Apache-2.0", "manifest_path": manifest.to_str()});
        let key = ("demo".to_owned(), "1.0.0".to_owned());
        let table = table(&BTreeSet::from([key.clone()]), &BTreeMap::from([(key, &package)]));
        std::fs::remove_dir_all(&folder).unwrap();
        let rows = table.unwrap();
        assert_eq!(
            rows.lines().last(),
            Some("| demo | 1.0.0 | MIT OR Apache-2.0 | Copyright (c) 2020 A \\| B |")
        );
    }
}
