//! The README's commands print what it says they print.

#![cfg(all(feature = "embedded-default", unix))]

mod program;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;

/// What the commands of a console block are, each with what it prints.
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

/// Whether the words are the same, numbers nearly: their last digits are the CPU's.
fn is_alike(found: &str, said: &str) -> bool {
    let is_near = |(found, said): (&str, &str)| match (found.parse::<f64>(), said.parse::<f64>()) {
        (Ok(found), Ok(said)) => (found - said).abs() <= 2e-3,
        _ => found == said,
    };
    found.split_whitespace().count() == said.split_whitespace().count()
        && found.split_whitespace().zip(said.split_whitespace()).all(is_near)
}

#[test]
fn commands_print_what_the_readme_says() {
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_patchcore")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    program::patchcore_ok(["demo", "--out", support::text(&folder.path().join("patchcore-demo"))]);
    let mut compared = 0;
    for Step { command, printed } in steps(include_str!("../../README.md")) {
        // Times, and a checkpoint that is not here.
        if ["patchcore profile", "patchcore import"].iter().any(|other| command.starts_with(other)) {
            continue;
        }
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", &command]).env("PATH", &path).current_dir(&folder).output().unwrap();
        let found = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let said: Vec<_> = printed.iter().filter(|line| !line.is_empty()).collect();
        assert_eq!(found.lines().count(), said.len(), "{command}: {found}");
        for (found, said) in found.lines().zip(said) {
            assert!(
                is_alike(found, said) || found.starts_with("done in "),
                "{command}: {found:?}, README: {said:?}"
            );
            compared += 1;
        }
    }
    assert!(compared >= 15, "{compared} lines");
}
