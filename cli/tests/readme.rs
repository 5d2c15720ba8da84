//! The console commands of the README, the tutorial and the page for researchers print what these pages show.

#![cfg(all(feature = "embedded-default", unix))]

mod program;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;

/// A command of a console block, and what the page shows that it prints.
struct Step {
    command: String,
    printed: Vec<String>,
}

fn steps(readme: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        match (line.strip_prefix("```"), line.strip_prefix("$ ")) {
            (Some(kind), _) => inside = kind == "console",
            (_, Some(command)) if inside => steps.push(Step { command: command.into(), printed: Vec::new() }),
            _ if inside => steps.last_mut().unwrap().printed.push(line.into()),
            _ => {}
        }
    }
    steps
}

/// Whether the words are the same and the numbers nearly so: their last digits depend on the CPU.
fn is_alike(found: &str, shown: &str) -> bool {
    let is_near = |(found, shown): (&str, &str)| match (found.parse::<f64>(), shown.parse::<f64>()) {
        (Ok(found), Ok(shown)) => (found - shown).abs() <= 2e-3,
        _ => found == shown,
    };
    found.split_whitespace().count() == shown.split_whitespace().count()
        && found.split_whitespace().zip(shown.split_whitespace()).all(is_near)
}

/// Commands that are not run: their output is times, or they need a file that is not part of the repository.
const NOT_RUN: [&str; 2] = ["patchcore profile", "patchcore import"];

/// Runs the console commands of `page` in a folder with the demo, and compares at least `least` lines of
/// their output.
fn check_page(page: &str, least: usize) {
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_patchcore")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    program::patchcore_ok(["demo", "--out", support::text(&folder.path().join("patchcore-demo"))]);
    let mut compared = 0;
    for Step { command, printed } in steps(page) {
        if NOT_RUN.iter().any(|other| command.starts_with(other)) {
            continue;
        }
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", &command]).env("PATH", &path).current_dir(&folder).output().unwrap();
        let found = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let shown: Vec<_> = printed.iter().filter(|line| !line.is_empty()).collect();
        assert_eq!(found.lines().count(), shown.len(), "{command}: {found}");
        for (found, shown) in found.lines().zip(shown) {
            assert!(
                is_alike(found, shown) || found.starts_with("done in "),
                "{command}: printed {found:?}, the page shows {shown:?}"
            );
            compared += 1;
        }
    }
    assert!(compared >= least, "{compared} lines");
}

#[test]
fn commands_print_what_the_readme_shows() {
    check_page(include_str!("../../README.md"), 10);
}

#[test]
fn commands_print_what_the_tutorial_shows() {
    check_page(include_str!("../../docs/tutorial.md"), 20);
}

#[test]
fn commands_print_what_the_page_for_researchers_shows() {
    check_page(include_str!("../../docs/research.md"), 8);
}
