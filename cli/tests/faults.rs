//! What a model file goes through: a program that is killed, a folder or disk that takes nothing, two that
//! write at once, a file that changes while it is open.

#![cfg(unix)]

mod program;
#[path = "../../tests/support/mod.rs"]
mod support;

use patchcore::PatchCore;
use patchcore::SearchKind;
use program::{patchcore, patchcore_fails, patchcore_ok};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::small::{answer, photograph};
use support::text;

/// A data set of `count` photographs of `side` pixels.
fn data(folder: &Path, count: u32, side: u32) -> PathBuf {
    let good = folder.join("data/good");
    std::fs::create_dir_all(&good).unwrap();
    for i in 0..count {
        image::RgbImage::from_fn(side, side, |x, y| {
            image::Rgb([(100 + i) as u8, (x * 3) as u8, (y * 5 + i) as u8])
        })
        .save(good.join(format!("{i}.png")))
        .unwrap();
    }
    folder.join("data")
}

/// The arguments of a small training.
fn training<'a>(data: &'a Path, out: &'a Path, seed: &'a str) -> Vec<&'a str> {
    let flags = ["train", "--backbone", "small", "--image-size", "48", "--threads", "1"];
    [&flags[..], &["--seed", seed, "--data", text(data), "--out", text(out)]].concat()
}

/// Lets the program write over an old model and kills it `rounds` times, half of them while it writes: the
/// file is the old one or the new one, whole, and whatever else is left does not look like a model.
fn kill_at_random(arguments: &[&str], out: &Path, rounds: u32) {
    let start = Instant::now();
    patchcore_ok(arguments);
    let took = start.elapsed();
    let new = std::fs::read(out).unwrap();
    let old = b"the old model".to_vec();
    let (mut kept, mut replaced, mut torn) = (0, 0, 0);
    let mut random = 1u32;
    for round in 0..rounds {
        std::fs::write(out, &old).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_patchcore"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let share = f64::from(random >> 8) / f64::from(1 << 24);
        if round % 2 == 0 {
            // Up to a bit longer than it takes, so that the end is met as well.
            std::thread::sleep(took.mul_f64(share * 1.2));
        } else {
            while child.try_wait().unwrap().is_none() && !is_written(out) {
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(Duration::from_millis(5).mul_f64(share));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        match std::fs::read(out).unwrap() {
            found if found == old => kept += 1,
            found => {
                assert!(found == new, "neither the old file nor the new one");
                replaced += 1;
            }
        }
        torn += u32::from(is_written(out));
        remove_temporary(out);
    }
    println!(
        "killed {rounds} times in {took:?}: {kept} times the old file, {replaced} the new one, {torn} in writing"
    );
    assert!(kept > 0 && replaced > 0 && torn > 0, "{kept} {replaced} {torn}");
}

/// Files beside `out`, which are all temporary ones.
fn temporary(out: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(out.parent().unwrap()).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path != out);
    for path in &paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with('.') && name.ends_with(".tmp"), "{name}");
    }
    paths
}

/// Whether a temporary file has some content.
fn is_written(out: &Path) -> bool {
    temporary(out).iter().any(|path| path.metadata().is_ok_and(|file| file.len() > 0))
}

fn remove_temporary(out: &Path) {
    temporary(out).iter().for_each(|path| std::fs::remove_file(path).unwrap());
}

#[test]
fn a_training_that_is_killed_leaves_the_old_model_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path(), 6, 48);
    let out = folder.path().join("out/model.pcore");
    std::fs::create_dir(out.parent().unwrap()).unwrap();
    kill_at_random(&training(&data, &out, "1"), &out, 100);
}

#[test]
fn an_import_that_is_killed_leaves_the_old_model_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = support::checkpoint::write(folder.path(), &support::checkpoint::Parts::default().save());
    let out = folder.path().join("out/model.pcore");
    std::fs::create_dir(out.parent().unwrap()).unwrap();
    kill_at_random(&["import", text(&file), "--out", text(&out)], &out, 100);
}

/// It is interrupted while it waits for the checkpoint, so surely before it writes.
#[test]
fn an_import_that_is_interrupted_leaves_the_old_model() {
    let folder = tempfile::tempdir().unwrap();
    let (pipe, out) = (folder.path().join("pipe.ckpt"), folder.path().join("model.pcore"));
    std::fs::write(&out, "the old model").unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let child = Command::new(env!("CARGO_BIN_EXE_patchcore"))
        .args(["import", text(&pipe), "--out", text(&out)])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Opened once the program reads from it, by when it catches interrupts.
    let mut end = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let kill = Command::new("sh").args(["-c", &format!("kill -TERM {}", child.id())]).status().unwrap();
    assert!(kill.success());
    std::io::Write::write_all(&mut end, &support::checkpoint::Parts::default().save()).unwrap();
    drop(end);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("import: interrupted"), "{errors}");
    assert_eq!(std::fs::read(&out).unwrap(), b"the old model");
}

#[test]
fn a_folder_that_cannot_be_written_is_named_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path(), 2, 48);
    // The work would end at this one.
    std::fs::write(data.join("good/a.png"), "no photograph").unwrap();
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o555);
    std::fs::set_permissions(&closed, permissions).unwrap();
    let out = closed.join("model.pcore");
    match std::fs::write(closed.join("probe"), "") {
        Ok(()) => println!("skipped: this user may write to read-only folders"),
        Err(_) => patchcore_fails(training(&data, &out, "1"), &["model.pcore: cannot create"]),
    }
    // A folder that takes files from nobody.
    #[cfg(target_os = "linux")]
    patchcore_fails(training(&data, Path::new("/proc/model.pcore"), "1"), &["model.pcore: cannot create"]);
}

/// Runs the program by a shell that first runs `setup`.
fn within(setup: &str, arguments: &[&str]) -> std::process::Output {
    Command::new("sh")
        .args(["-c", &format!("{setup}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_patchcore")])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn a_disk_that_is_full_leaves_the_old_model_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path(), 6, 48);
    let out = folder.path().join("out/model.pcore");
    std::fs::create_dir(out.parent().unwrap()).unwrap();
    std::fs::write(&out, "the old model").unwrap();
    // No file may grow beyond 4 KiB, which is told like a full disk.
    let output = within("trap '' XFSZ; ulimit -f 8", &training(&data, &out, "1"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("model.pcore: cannot write"), "{errors}");
    assert_eq!(std::fs::read(&out).unwrap(), b"the old model");
    assert_eq!(std::fs::read_dir(out.parent().unwrap()).unwrap().count(), 1);
    // The features as well go to a file there.
    let bounded = [&training(&data, &out, "1")[..], &["--max-memory", "150K"]].concat();
    let output = within("trap '' XFSZ; ulimit -f 8", &bounded);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("cannot write training features"), "{errors}");
    assert_eq!(std::fs::read_dir(out.parent().unwrap()).unwrap().count(), 1);
    assert_eq!(patchcore(training(&data, Path::new("/dev/full"), "1")).status.code(), Some(1));
}

#[test]
fn a_file_system_without_room_leaves_the_old_model() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path(), 6, 48);
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let out = small.join("model.pcore");
    let mounted = format!(
        "mount -t tmpfs -o size=16k none {0} && echo mounted && printf old >{1} && \"$0\" \"$@\"; status=$?; cat {1}; ls -A {0} | wc -l; exit $status",
        text(&small),
        text(&out)
    );
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &mounted, env!("CARGO_BIN_EXE_patchcore")])
        .args(training(&data, &out, "1"))
        .output();
    let Ok(output) = output else { return println!("skipped: there is no unshare") };
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let Some(said) = said.strip_prefix("mounted\n") else {
        return println!("skipped: a file system cannot be mounted: {errors}");
    };
    assert_eq!(output.status.code(), Some(1), "{errors}");
    // The message names the file that is meant, not the one that it would have become.
    assert!(
        errors.ends_with("model.pcore: cannot write: No space left on device (os error 28)\n"),
        "{errors}"
    );
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["old1"], "{said}");
}

#[test]
fn two_that_write_the_same_path_leave_one_of_both() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path(), 6, 48);
    let out = folder.path().join("out/model.pcore");
    std::fs::create_dir(out.parent().unwrap()).unwrap();
    let whole = ["1", "2"].map(|seed| {
        patchcore_ok(training(&data, &out, seed));
        std::fs::read(&out).unwrap()
    });
    assert!(whole[0] != whole[1]);
    for _ in 0..5 {
        let children = ["1", "2"].map(|seed| {
            Command::new(env!("CARGO_BIN_EXE_patchcore"))
                .args(training(&data, &out, seed))
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        });
        children.into_iter().for_each(|mut child| assert!(child.wait().unwrap().success()));
        assert!(whole.contains(&std::fs::read(&out).unwrap()));
        assert_eq!(std::fs::read_dir(out.parent().unwrap()).unwrap().count(), 1);
    }
}

#[test]
fn a_model_that_was_read_does_not_mind_what_becomes_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pcore");
    support::small::model(SearchKind::Pruned).save(&path).unwrap();
    let expected = answer(&PatchCore::open(&path).unwrap(), &photograph(9)).unwrap();

    // SAFETY: the file is replaced by renaming, and no longer mapped when it is written into.
    let mapped = PatchCore::open_mapped(unsafe { patchcore::MappedFile::open(&path) }.unwrap()).unwrap();
    let read = PatchCore::open(&path).unwrap();
    // `save` puts another file in its place: who has mapped the old one keeps it.
    let others = [photograph(50), photograph(60)];
    let other = support::small::train(&support::small::options(SearchKind::Flat), &others).unwrap();
    other.save(&path).unwrap();
    assert_eq!(answer(&mapped, &photograph(9)).unwrap(), expected);
    assert_ne!(answer(&PatchCore::open(&path).unwrap(), &photograph(9)).unwrap(), expected);
    drop(mapped);

    support::small::model(SearchKind::Pruned).save(&path).unwrap();
    let read_again = PatchCore::open(&path).unwrap();
    // In place: what `map` does not allow.
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::write(&path, vec![0xff; length as usize]).unwrap();
    assert_eq!(answer(&read_again, &photograph(9)).unwrap(), expected);
    std::fs::write(&path, "").unwrap();
    assert_eq!(answer(&read, &photograph(9)).unwrap(), expected);
    assert_eq!(answer(&read_again, &photograph(9)).unwrap(), expected);
}

/// In a process with little memory a bounded training succeeds where an unbounded one does not; neither harms
/// a file.
#[cfg(target_os = "linux")]
#[test]
fn memory_that_runs_out_harms_no_file_and_a_bound_keeps_within() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path(), 30, 64);
    let out = folder.path().join("out/model.pcore");
    std::fs::create_dir(out.parent().unwrap()).unwrap();
    std::fs::write(&out, "the old model").unwrap();
    let flags = ["--layers", "layer1,layer2,layer3", "--coreset-ratio", "0.0005", "--image-size", "256"];
    let arguments =
        ["train", "--backbone", "small", "--threads", "1", "--data", text(&data), "--out", text(&out)];
    let arguments = [&arguments[..], &flags].concat();
    // The features alone take 110 MB.
    let limit = "ulimit -v 140000";
    let output = within(limit, &arguments);
    assert!(!output.status.success(), "the limit is no limit");
    assert_eq!(std::fs::read(&out).unwrap(), b"the old model");
    assert_eq!(std::fs::read_dir(out.parent().unwrap()).unwrap().count(), 1, "something is left");
    let output = within(limit, &[&arguments[..], &["--max-memory", "30M"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(PatchCore::open(&out).unwrap().info().training().sampled.is_some());
}
