//! Runs the program, and what its `demo` makes.

#![allow(dead_code)] // each test file uses its part

pub mod demo;

use std::process::{Command, Output};

/// Runs the program.
pub fn patchcore<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(arguments: I) -> Output {
    Command::new(env!("CARGO_BIN_EXE_patchcore")).args(arguments).output().expect("the program starts")
}

/// Runs the program, which must succeed, and gives its standard output.
pub fn patchcore_ok<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(arguments: I) -> String {
    let output = patchcore(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout).expect("standard output is UTF-8")
}

/// Runs the program, which must succeed, and gives the notes on its standard error.
pub fn patchcore_notes<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let Output { status, stderr, .. } = patchcore(arguments);
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{stderr}");
    stderr.lines().filter_map(|line| line.strip_prefix("note: ").map(String::from)).collect()
}

/// Runs the program, which must call it wrong usage (exit status 2) and name all `parts` on standard error.
#[track_caller]
pub fn patchcore_refuses<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(arguments: I, parts: &[&str]) {
    let output = patchcore(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    for part in parts {
        assert!(errors.contains(part), "{part:?} is not in {errors:?}");
    }
}

/// Runs the program, which must fail with exit status 1 and one line on standard error that contains all
/// `parts`.
#[track_caller]
pub fn patchcore_fails<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(arguments: I, parts: &[&str]) {
    let output = patchcore(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let lines: Vec<_> = errors.lines().filter(|line| !line.starts_with("note: ")).collect();
    assert_eq!(lines.len(), 1, "{errors}");
    for part in parts {
        assert!(lines[0].contains(part), "{part:?} is not in {:?}", lines[0]);
    }
}
