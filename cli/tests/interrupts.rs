//! The program interrupted: what it keeps, and that it leaves nothing half done behind.

#![cfg(target_os = "linux")]

mod program;
#[path = "../../tests/support/mod.rs"]
mod support;

use program::demo::{SMALL, demo, files};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::text;

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the process has a handler for SIGTERM (number 15), the second of those that it catches, and so for
/// SIGINT.
fn catches_interrupts(child: &Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
    u64::from_str_radix(caught.trim(), 16).unwrap() >> 14 & 1 == 1
}

/// `signal`, of that number, or SIGTERM where it is ignored, as by `nohup` and behind a shell's `&`, and
/// stays so in the program.
fn unless_ignored(signal: &'static str, number: u32) -> &'static str {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    if u64::from_str_radix(ignored.trim(), 16).unwrap() >> (number - 1) & 1 == 1 { "TERM" } else { signal }
}

fn send(signal: &str, child: &Child) {
    let kill = Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status().unwrap();
    assert!(kill.success());
}

/// Starts work that takes minutes, sends it `signal` when `ready`, and returns what it left in `folder`,
/// which is its temporary folder as well.
fn interrupt(
    signal: &str,
    arguments: &[&str],
    folder: &Path,
    ready: impl Fn(&Child) -> bool,
) -> Vec<PathBuf> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_patchcore"))
        .args(arguments)
        .env("TMPDIR", folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the work to begin", || ready(&child));
    send(signal, &child);
    wait_for("the program to end", || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.ends_with(": interrupted\n"), "{errors}");
    files(folder)
}

/// Whether a process works with something in `folder`.
fn is_used(folder: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("cmdline"));
    processes.filter_map(|path| std::fs::read(path).ok()).any(|line| {
        // Its model's path is an argument; the parent's environment alone names the folder.
        String::from_utf8_lossy(&line).contains(text(folder))
    })
}

#[test]
fn profile_leaves_neither_its_model_nor_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let profile = ["profile", "--backbone", "small", "--image-size", "64", "--runs", "100000000"];
    let measuring = |_: &Child| is_used(folder.path());
    assert!(
        interrupt("TERM", &[&profile[..], &["--bank", "64"]].concat(), folder.path(), measuring).is_empty()
    );
    wait_for("the measuring process to end", || !is_used(folder.path()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let training = [&profile[..], &["--bank", "1000000000"]].concat();
    assert!(interrupt(unless_ignored("HUP", 1), &training, folder.path(), catches_interrupts).is_empty());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_benchmark_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    // The first category is small, the second takes minutes.
    for (category, copies) in [("a", 2), ("b", 3000)] {
        for part in ["train/good", "test/good", "test/chip"] {
            let to = root.join(category).join(part);
            std::fs::create_dir_all(&to).unwrap();
            for i in 0..if part == "train/good" { copies } else { 1 } {
                let from = demo().path("parts").join(part).join("000.png");
                std::os::unix::fs::symlink(from, to.join(format!("{i}.png"))).unwrap();
            }
        }
    }
    let out = folder.path().join("out");
    let benchmark = ["benchmark", "--data", text(&root), "--out", text(&out)];
    let mut child = Command::new(env!("CARGO_BIN_EXE_patchcore"))
        .args([&benchmark[..], &SMALL].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut errors = std::io::BufReader::new(child.stderr.take().unwrap());
    while !said.contains("small: b") {
        assert!(std::io::BufRead::read_line(&mut errors, &mut said).unwrap() > 0, "{said}");
    }
    send(unless_ignored("INT", 2), &child);
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("| | Avg | A |"), "{printed}");
    assert_eq!(std::fs::read_to_string(out.join("benchmark.md")).unwrap(), printed);
}

#[test]
fn nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let photographs = folder.path().join("photographs/good");
    std::fs::create_dir_all(&photographs).unwrap();
    for i in 0..200 {
        std::fs::copy(demo().path("parts/train/good/000.png"), photographs.join(format!("{i}.png"))).unwrap();
    }
    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let data = folder.path().join("photographs");
    let (model, features) = (out.join("model.pcore"), out.join("features.npy"));
    let train = ["train", "--image-size", "1024", "--data", text(&data), "--out", text(&model)];
    std::fs::write(&model, "the old model").unwrap();
    assert_eq!(
        interrupt(unless_ignored("INT", 2), &train, &out, catches_interrupts),
        std::slice::from_ref(&model)
    );
    assert_eq!(std::fs::read(&model).unwrap(), b"the old model");
    std::fs::remove_file(&model).unwrap();

    // `embed` writes while it works: wait until it has begun to.
    let embed = ["embed", "--image-size", "1024", text(&photographs), "--out", text(&features)];
    let writing = |_: &Child| !files(&out).is_empty();
    assert!(interrupt("TERM", &embed, &out, writing).is_empty());
}

/// As `nohup` starts it, it outlives the terminal.
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_patchcore");
    let profile =
        format!("trap '' HUP; exec {program} profile --backbone small --image-size 64 --bank 1000000000");
    let mut child = Command::new("sh")
        .args(["-c", &profile])
        .env("TMPDIR", folder.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the work to begin", || catches_interrupts(&child));
    send("HUP", &child);
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it was ended");
    send("TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
