//! `predict` from outside: its lines, its pictures, and where neither can be written.

mod program;
#[path = "../../tests/support/mod.rs"]
mod support;

use program::demo::{IMAGE_FIELDS, SMALL, demo, files, keys};
use program::{patchcore, patchcore_ok, patchcore_refuses};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use support::text;

#[test]
fn predict_writes_pictures_and_one_line_a_photograph() {
    let folder = tempfile::tempdir().unwrap();
    let (model, photographs) = (demo().path("parts.pcore"), demo().path("parts/test/chip"));
    let arguments = ["predict", "--model", text(&model), text(&photographs), "--out", text(folder.path())];
    let printed = patchcore_ok(arguments);
    assert!(printed.lines().last().unwrap().starts_with("5 scored, "), "{printed}");
    assert!(printed.contains(": ANOMALOUS "), "{printed}");
    assert_eq!(printed.lines().count(), 6);
    for (line, name) in printed.lines().zip(["000.png", "001.png", "002.png", "003.png", "004.png"]) {
        assert!(
            line.contains(name)
                && line.contains(" x threshold, score ")
                && line.contains(": ANOMALOUS ") == line.ends_with(" px"),
            "{line}"
        );
    }
    let size_of =
        |kind: &str| image::image_dimensions(folder.path().join(format!("004-{kind}.png"))).unwrap();
    let size = image::image_dimensions(photographs.join("004.png")).unwrap();
    assert_eq!([size_of("heat"), size_of("mask")], [size; 2], "not the network's input");
    let (width, height) = size_of("overlay");
    assert!(width == 680 && (680..=2048).contains(&height), "{width}x{height}");
    assert_eq!(files(folder.path()).len(), 15);

    let printed = patchcore_ok([&arguments[..4], &["--json"]].concat());
    for line in printed.lines() {
        let found: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            keys(&found),
            [&IMAGE_FIELDS[..], &["threshold_ratio", "regions", "seconds"]].concat().into_iter().collect()
        );
        let stages = ["decode", "preprocess", "backbone", "patches", "search", "score", "total"];
        assert_eq!(keys(&found["seconds"]), stages.into());
        let normalized = found["normalized_score"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&normalized));
        assert_eq!(found["is_anomalous"].as_bool().unwrap(), normalized >= 0.5);
        assert_eq!(
            found["is_anomalous"].as_bool().unwrap(),
            found["threshold_ratio"].as_f64().unwrap() >= 1.0
        );
        let regions = found["regions"].as_array().unwrap();
        assert_eq!(
            regions.is_empty(),
            found["is_anomalous"] == false,
            "an anomalous photograph has a region"
        );
        for region in regions {
            let number = |field: &str| region[field].as_u64().unwrap();
            assert!(
                number("x") + number("width") <= 256 && number("y") + number("height") <= 256,
                "{region}"
            );
            assert!((number("x")..number("x") + number("width")).contains(&number("peak_x")), "{region}");
            assert!((number("y")..number("y") + number("height")).contains(&number("peak_y")), "{region}");
            assert!(number("area") > 0 && number("area") <= number("width") * number("height"), "{region}");
        }
    }
    assert_eq!(printed.lines().count(), 5);
}

#[test]
fn pictures_of_photographs_from_anywhere_stay_below_the_folder_and_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (here, out) = (folder.path().join("here"), folder.path().join("pictures"));
    std::fs::create_dir(&here).unwrap();
    let chip = demo().path("parts/test/chip/000.png");
    for to in ["x.png", "x.jpg", "../up.png"] {
        std::fs::copy(&chip, here.join(to)).unwrap();
    }
    let model = demo().path("parts.pcore");
    let flags = ["predict", "--model", text(&model), "--out", text(&out)];
    let paths = ["x.png", "x.jpg", "../up.png", text(&chip), text(&here)];
    let before = files(demo().folder.path()).len();
    let run = Command::new(env!("CARGO_BIN_EXE_patchcore"))
        .args([&flags[..], &paths].concat())
        .current_dir(&here)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(files(&out).len(), 3 * 6);
    assert_eq!(files(folder.path()).len(), 3 * 6 + 3);
    assert_eq!(files(demo().folder.path()).len(), before);
}

#[test]
fn a_picture_that_cannot_be_written_costs_no_result() {
    let out = tempfile::tempdir().unwrap();
    std::fs::create_dir(out.path().join("000-heat.png")).unwrap();
    let (model, photographs) = (demo().path("parts.pcore"), demo().path("parts/test/chip"));
    let run = patchcore(["predict", "--model", text(&model), text(&photographs), "--out", text(out.path())]);
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.lines().count() == 1 && said.contains("000-heat.png"), "{said}");
    assert_eq!(String::from_utf8_lossy(&run.stdout).lines().count(), 6);
    assert_eq!(files(out.path()).len(), 3 * 4);
}

#[test]
fn a_table_has_a_row_a_photograph_and_the_exit_status_shows_anomalies() {
    let (model, parts) = (demo().path("parts.pcore"), demo().path("parts/test"));
    let (good, chip) = (parts.join("good/000.png"), parts.join("chip/000.png"));
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("a \"quoted\", part.png");
    std::fs::copy(&chip, &odd).unwrap();
    let arguments = ["predict", "--csv", "--fail-on-anomaly", "--model", text(&model)];
    let run = patchcore([&arguments[..], &[text(&good), text(&odd)]].concat());
    assert_eq!(run.status.code(), Some(3));
    let (table, notes) = (String::from_utf8(run.stdout).unwrap(), String::from_utf8(run.stderr).unwrap());
    assert!(notes.ends_with("2 scored, 1 anomalous, 0 unreadable\n"), "{notes}");
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 3);
    assert!(rows[0].starts_with("path,decision,threshold_ratio,score,"), "{table}");
    assert!(rows[1].contains(",good,0.") && rows[1].ends_with(",0,,,,,,,,"), "{table}");
    assert!(
        rows[2].starts_with('"') && rows[2].contains("a \"\"quoted\"\", part.png\",anomalous,"),
        "{table}"
    );
    assert_eq!(rows[2].matches(',').count(), rows[0].matches(',').count() + 1, "{table}");

    assert_eq!(patchcore([&arguments[..], &[text(&good)]].concat()).status.code(), Some(0));
    let unreadable = folder.path().join("none.png");
    let run = patchcore([&arguments[..], &[text(&odd), text(&unreadable)]].concat());
    assert_eq!(run.status.code(), Some(1), "an unreadable photograph comes before an anomaly");
}

#[test]
fn a_photograph_of_another_size_than_the_training_s_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small.png");
    image::open(demo().path("parts/test/good/000.png"))
        .unwrap()
        .thumbnail_exact(100, 80)
        .save(&small)
        .unwrap();
    let run = patchcore(["predict", "--model", text(&demo().path("parts.pcore")), text(&small)]);
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.contains("1 photograph of another size than the 256x256"), "{said}");
}

#[test]
fn predict_does_not_score_its_own_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("pictures");
    std::fs::copy(demo().path("parts/test/chip/000.png"), folder.path().join("000.png")).unwrap();
    let model = demo().path("parts.pcore");
    let photographs = ["predict", "--model", text(&model), text(folder.path()), "--out"];
    for _ in 0..2 {
        let printed = patchcore_ok([&photographs[..], &[text(&out)]].concat());
        assert!(printed.ends_with("\n1 scored, 1 anomalous, 0 unreadable\n"), "{printed}");
    }
    assert_eq!(files(&out).len(), 3);
    patchcore_refuses([&photographs[..], &[text(folder.path())]].concat(), &["--out"]);
    // Other files in there are photographs.
    std::fs::copy(demo().path("parts/test/chip/000.png"), out.join("000.png")).unwrap();
    patchcore_refuses([&photographs[..], &[text(&out)]].concat(), &["--out", "puts pictures into"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_no_pictures_is_refused_before_the_work() {
    let (model, photographs) = (demo().path("parts.pcore"), demo().path("parts/test/chip"));
    let predict = ["predict", "--model", text(&model), text(&photographs), "--out", "/proc"];
    let run = patchcore(predict);
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!((run.status.code(), run.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.lines().count() == 1 && said.contains("cannot create"), "{said}");
}

/// As at the root of a drive, where `lost+found` is.
#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_told_and_does_not_keep_the_others_from_being_scored() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let allow = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    std::fs::create_dir_all(at("photographs/closed")).unwrap();
    std::fs::create_dir_all(at("photographs/listed")).unwrap();
    for name in ["photographs/000.png", "photographs/listed/001.png"] {
        std::fs::copy(demo().path("parts/test/chip/000.png"), at(name)).unwrap();
    }
    std::os::unix::fs::symlink("missing", at("photographs/link.png")).unwrap();
    std::fs::copy(demo().path("parts.pcore"), at("parts.pcore")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_patchcore"), at("patchcore")).unwrap();
    allow(folder.path(), 0o755);
    allow(&at("photographs/closed"), 0o000);
    allow(&at("photographs/listed"), 0o744);
    let mut program = Command::new(at("patchcore"));
    // Root may read everything.
    if folder.path().metadata().unwrap().uid() == 0 {
        program.uid(65534).gid(65534);
    }
    let run = program
        .args(["predict", "--model", text(&at("parts.pcore")), text(&at("photographs"))])
        .output()
        .unwrap();
    allow(&at("photographs/closed"), 0o755);
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 3, "{said}");
    for part in ["closed: cannot list", "link.png: cannot read", "001.png: cannot read"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(String::from_utf8_lossy(&run.stdout).lines().count(), 2, "a photograph and the summary");
}

#[test]
fn pictures_do_not_come_among_the_photographs() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["good/a.png", "bad/b.png"] {
        let path = folder.path().join(name);
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::copy(demo().path("parts/test/chip/000.png"), path).unwrap();
    }
    let (model, good, bad) =
        (demo().path("parts.pcore"), folder.path().join("good"), folder.path().join("bad"));
    let photograph = good.join("a.png");
    let predict = ["predict", "--model", text(&model), "--out"];
    for rest in [
        &[text(folder.path()), text(&good), text(&bad)][..],
        &[text(&good), text(&photograph)],
        &[text(folder.path()), text(folder.path())],
    ] {
        patchcore_refuses([&predict[..], rest].concat(), &["--out", "puts pictures into"]);
    }
    assert_eq!(files(folder.path()).len(), 2);
}

#[test]
fn a_model_without_thresholds_labels_nothing_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at("set/good")).unwrap();
    std::fs::copy(demo().path("parts/train/good/000.png"), at("set/good/000.png")).unwrap();
    let (model, data, out) = (at("model.pcore"), at("set"), at("out"));
    let train = ["train", "--data", text(&data), "--out", text(&model)];
    let said = patchcore_ok([&train[..], &SMALL].concat());
    assert!(said.contains(": 1 good photograph, "), "{said}");

    let photographs = demo().path("parts/test/chip");
    let predict = ["predict", "--model", text(&model), text(&photographs)];
    let gate = [&predict[..], &["--fail-on-anomaly"]].concat();
    patchcore_refuses(
        gate,
        &["--fail-on-anomaly: found a model without one, expected a model with a threshold"],
    );
    let run = patchcore([&predict[..], &["--out", text(&out)]].concat());
    let (printed, said) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}");
    assert_eq!(printed.lines().last(), Some("5 scored, 0 anomalous, 0 unreadable"));
    for line in printed.lines().take(5) {
        assert!(line.contains(".png: - score ") && !line.contains("normalized"), "{line}");
    }
    assert_eq!(said.matches("has no threshold").count(), 1, "{said}");
    assert_eq!(said.matches("each heat map is scaled by its own").count(), 1, "{said}");
    let heat = image::open(out.join("000-heat.png")).unwrap().to_rgb8();
    assert!(heat.pixels().any(|p| p.0 == [0, 0, 4]) && heat.pixels().any(|p| p.0 == [252, 255, 164]));

    let run = patchcore([&predict[..], &["--json"]].concat());
    assert!(!String::from_utf8_lossy(&run.stderr).contains("heat map"));
    for line in String::from_utf8_lossy(&run.stdout).lines() {
        let found: Value = serde_json::from_str(line).unwrap();
        assert!(found["score"].is_number());
        for field in ["is_anomalous", "normalized_score"] {
            assert_eq!(found.get(field), Some(&Value::Null), "{field}");
        }
    }
}

/// Names of files may hold what no font has.
#[test]
fn overlays_of_photographs_of_any_size_and_name_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let (photographs, out) = (folder.path().join("photographs"), folder.path().join("out"));
    std::fs::create_dir(&photographs).unwrap();
    let mut negative = image::open(demo().path("parts/test/chip/000.png")).unwrap();
    negative.invert();
    let long = "long".repeat(50);
    let names = ["\u{202e}\u{6f22}\u{fc}", "wide", "tall", "tiny", &long];
    let sizes = [(2800, 2100), (3000, 300), (90, 2600), (8, 8), (700, 700)];
    for (name, (width, height)) in names.iter().zip(sizes) {
        let photograph = negative.resize_exact(width, height, image::imageops::FilterType::Triangle);
        photograph.save(photographs.join(format!("{name}.png"))).unwrap();
    }
    let model = demo().path("parts.pcore");
    let predict = ["predict", "--model", text(&model), text(&photographs), "--out", text(&out)];
    let printed = patchcore_ok([&predict[..], &["--json"]].concat());
    assert_eq!(printed.lines().count(), 5);
    let size_of = |name: &str| image::image_dimensions(out.join(format!("{name}-overlay.png"))).unwrap();
    for name in names {
        let (width, height) = size_of(name);
        assert!((680..=2048).contains(&width) && height <= 2048, "{name}: {width}x{height}");
    }
    // The whole at 1280x960, and beside it regions at full resolution.
    assert!(size_of(names[0]).0 == 1280 + 640 && size_of(names[0]).1 > 960, "{:?}", size_of(names[0]));
}

#[test]
fn a_closed_standard_output_ends_neither_the_pictures_nor_the_status() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("photographs")).unwrap();
    for name in ["a.png", "c.png"] {
        std::fs::copy(demo().path("parts/test/chip/000.png"), at("photographs").join(name)).unwrap();
    }
    let (model, photographs, out) = (demo().path("parts.pcore"), at("photographs"), at("out"));
    let predict = ["predict", "--model", text(&model), text(&photographs)];
    let status = |arguments: &[&str]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_patchcore"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        child.wait().unwrap().code()
    };
    assert_eq!(status(&predict), Some(0));
    std::fs::write(photographs.join("b.png"), "text").unwrap();
    assert_eq!(status(&[&predict[..], &["--out", text(&out)]].concat()), Some(1));
    assert_eq!(files(&out).len(), 6);
}

#[cfg(target_os = "linux")]
#[test]
fn a_standard_output_that_takes_nothing_ends_the_program_once() {
    let (model, photographs) = (demo().path("parts.pcore"), demo().path("parts/test/chip"));
    let run = Command::new(env!("CARGO_BIN_EXE_patchcore"))
        .args(["predict", "--model", text(&model), text(&photographs)])
        .stdout(std::fs::File::create("/dev/full").unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.lines().count() == 1 && said.contains("standard output: cannot write"), "{said}");
}

#[cfg(unix)]
#[test]
fn names_do_not_steer_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(demo().path("parts/test/chip/000.png"), folder.path().join("a\u{1b}[2J\n.png")).unwrap();
    std::fs::write(folder.path().join("b\u{1b}[2J\n.png"), "text").unwrap();
    let model = demo().path("parts.pcore");
    let predict = ["predict", "--model", text(&model), text(folder.path())];
    let run = patchcore(predict);
    let expected = [(run.stdout, r"a\u001b[2J\n.png: ", 2), (run.stderr, r"b\u{1b}[2J\n.png: ", 1)];
    for (said, name, lines) in expected {
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains(name), "{said}");
        assert!(said.lines().count() == lines && !said.contains('\u{1b}'), "{said}");
    }
    let run = patchcore([&predict[..], &["--json"]].concat());
    let found: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert!(found["path"].as_str().unwrap().ends_with("a\u{1b}[2J\n.png"));
}
