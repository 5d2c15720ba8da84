//! The program from outside: what it prints, what it writes, and its exit status.

mod program;
#[path = "../../tests/support/mod.rs"]
mod support;

use image::{Rgb, RgbImage};
use program::demo::{IMAGE_FIELDS, SMALL, demo, files, keys};
use program::{patchcore, patchcore_fails, patchcore_ok, patchcore_refuses};
use serde_json::Value;
use std::path::Path;
use support::text;

#[test]
fn demo_prints_a_table_and_writes_model_and_heat_maps() {
    let demo = demo();
    assert!(demo.printed.starts_with("8 good and 25 defective images\n        AUROC "), "{}", demo.printed);
    for part in ["\nimage ", "\npixel ", "parts.pcore", "pictures"] {
        assert!(demo.printed.contains(part), "{part}: {}", demo.printed);
    }
    assert_eq!(files(&demo.path("parts")).len(), 24 + 8 + 25 + 25);
    let pictures = files(&demo.path("pictures"));
    assert_eq!(pictures.len(), 3 * (8 + 25));
    for path in pictures {
        let is_overlay = path.to_string_lossy().ends_with("-overlay.png");
        let (width, height) = image::image_dimensions(&path).unwrap();
        assert_eq!(width, if is_overlay { 680 } else { 256 }, "{}", path.display());
        assert_eq!(height > width, is_overlay, "{}: a banner and a legend", path.display());
    }
}

#[test]
fn the_demo_leaves_photographs_that_are_not_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("parts/train/good/mine.png");
    std::fs::create_dir_all(mine.parent().unwrap()).unwrap();
    std::fs::write(&mine, "mine").unwrap();
    patchcore_refuses(["demo", "--out", text(folder.path())], &["--out", "mine.png"]);
    assert_eq!(files(folder.path()), [mine]);
}

#[test]
fn training_again_gives_the_same_file_at_any_thread_count() {
    let again = tempfile::tempdir().unwrap();
    let out = again.path().join("parts.pcore");
    let data = demo().path("parts");
    for threads in ["1", "3"] {
        let train = ["train", "--threads", threads, "--data", text(&data), "--out", text(&out)];
        patchcore_ok([&train[..], &SMALL].concat());
        let (first, second) = (std::fs::read(demo().path("parts.pcore")), std::fs::read(&out));
        assert!(first.unwrap() == second.unwrap(), "{threads} threads");
    }
    let other = ["train", "--seed", "43", "--data", text(&data), "--out", text(&out)];
    patchcore_ok([&other[..], &SMALL].concat());
    assert!(
        std::fs::read(demo().path("parts.pcore")).unwrap() != std::fs::read(&out).unwrap(),
        "another seed"
    );
}

#[test]
fn a_model_holds_its_backbone_or_refers_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("parts.pcore");
    let data = demo().path("parts");
    let train = ["train", "--refer-to-backbone", "--data", text(&data), "--out", text(&out)];
    patchcore_ok([&train[..], &SMALL].concat());
    let embedded = |model: &Path| {
        let said: Value = serde_json::from_str(&patchcore_ok(["info", text(model), "--json"])).unwrap();
        (said["weights"].as_str().unwrap().to_string(), said["weights_embedded"].as_bool().unwrap())
    };
    assert_eq!(embedded(&demo().path("parts.pcore")), ("small".into(), false));
    assert_eq!(embedded(&out), ("small".into(), true));
    let photograph = demo().path("parts/test/chip/000.png");
    let predict = |model: &Path| patchcore_ok(["predict", "--model", text(model), text(&photograph)]);
    assert_eq!(predict(&demo().path("parts.pcore")), predict(&out));
}

#[test]
fn a_threshold_that_is_given_labels_and_the_scores_stay() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("parts.pcore");
    let (data, photograph) = (demo().path("parts"), demo().path("parts/test/good/000.png"));
    let predict = |model: &Path| -> Value {
        let printed = patchcore_ok(["predict", "--json", "--model", text(model), text(&photograph)]);
        serde_json::from_str(&printed).unwrap()
    };
    let calibrated = predict(&demo().path("parts.pcore"));
    assert_eq!(calibrated["is_anomalous"], false);
    let score = calibrated["score"].as_f64().unwrap();
    for (threshold, is_anomalous) in [(score * 0.99, true), (score * 1.01, false)] {
        let given = threshold.to_string();
        let train = ["train", "--threshold", &given, "--data", text(&data), "--out", text(&out)];
        let printed = patchcore_ok([&train[..], &SMALL].concat());
        assert!(
            printed.contains("\nthresholds: image ") && printed.contains("\nthreshold set by hand"),
            "{printed}"
        );
        let found = predict(&out);
        assert_eq!((&found["score"], &found["is_anomalous"]), (&calibrated["score"], &is_anomalous.into()));
        assert_eq!(found["normalized_score"].as_f64().unwrap() >= 0.5, is_anomalous);
    }
}

#[test]
fn a_memory_bank_of_half_precision_is_half_as_large_and_says_what_it_costs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("parts.pcore");
    let data = demo().path("parts");
    let train = ["train", "--bank-precision", "f16", "--data", text(&data), "--out", text(&out)];
    let printed = patchcore_ok([&train[..], &SMALL].concat());
    assert!(printed.contains(" in half precision, distances off by at most "), "{printed}");

    let about = |model: &Path| -> Value {
        serde_json::from_str(&patchcore_ok(["info", text(model), "--verify", "--json"])).unwrap()
    };
    let (single, half) = (about(&demo().path("parts.pcore")), about(&out));
    assert_eq!((&single["bank_precision"], &half["bank_precision"]), (&"f32".into(), &"f16".into()));
    assert_eq!(single["bank_rounding"].as_f64(), Some(0.0));
    let bytes = |model: &Value| model["file_bytes"].as_u64().unwrap();
    let values = half["bank_rows"].as_u64().unwrap() * half["dim"].as_u64().unwrap();
    assert!(bytes(&single) - bytes(&half) >= 2 * values - 128);

    let photograph = demo().path("parts/test/chip/000.png");
    let score = |model: &Path| {
        let printed = patchcore_ok(["predict", "--json", "--model", text(model), text(&photograph)]);
        serde_json::from_str::<Value>(&printed).unwrap()["score"].as_f64().unwrap()
    };
    let moved = (score(&out) - score(&demo().path("parts.pcore"))).abs();
    // The score is a distance times a weight near 1, which moves as well.
    assert!(moved > 0.0 && moved <= 2.0 * half["bank_rounding"].as_f64().unwrap(), "{moved}");
}

/// `count` photographs of the demo's folder `kind`, as the folder `to`.
fn add(kind: &str, to: &Path, count: usize) {
    std::fs::create_dir_all(to).unwrap();
    for name in (0..count).map(|i| format!("{i:03}.png")) {
        std::fs::copy(demo().path(kind).join(&name), to.join(name)).unwrap();
    }
}

/// What the program, which must succeed, writes to standard error.
fn notes_of(arguments: &[&str]) -> String {
    let run = patchcore(arguments);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stderr).into_owned()
}

#[test]
fn good_photographs_beside_bad_ones_are_all_learned_and_judged_by_kept_scores() {
    let folder = tempfile::tempdir().unwrap();
    let (data, model) = (folder.path(), folder.path().join("model.pcore"));
    add("parts/train/good", &data.join("good"), 12);
    add("parts/test/chip", &data.join("bad"), 2);
    let printed =
        patchcore_ok([&["train", "--data", text(data), "--out", text(&model)][..], &SMALL].concat());
    assert!(printed.contains("12 good photographs") && printed.contains("\ncheck: "), "{printed}");
    assert!(printed.contains("of 2 defective photographs found"), "{printed}");
    let evaluate = ["evaluate", "--data", text(data), "--model", text(&model)];
    let note = notes_of(&evaluate);
    assert!(note.contains("learned from 12 of the good photographs"), "{note}");
    assert!(patchcore_ok(evaluate).starts_with("12 good and 2 defective images"));
}

#[test]
fn a_folder_of_photographs_alone_is_one_of_good_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (data, model) = (folder.path().join("parts"), folder.path().join("model.pcore"));
    add("parts/train/good", &data, 6);
    let printed =
        patchcore_ok([&["train", "--data", text(&data), "--out", text(&model)][..], &SMALL].concat());
    assert!(printed.contains("6 good photographs"), "{printed}");
}

#[test]
fn a_defective_photograph_among_the_good_ones_is_named_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (data, model) = (folder.path().join("parts"), folder.path().join("model.pcore"));
    add("parts/train/good", &data, 24);
    // A hand before the lens.
    image::RgbImage::from_fn(256, 256, |x, y| image::Rgb([(x ^ y) as u8, 180, 90]))
        .save(data.join("stray.png"))
        .unwrap();
    std::fs::copy(data.join("000.png"), data.join("copy.png")).unwrap();
    let train = [&["train", "--data", text(&data), "--out", text(&model)][..], &SMALL].concat();
    let notes = notes_of(&train);
    assert!(notes.contains("stray.png does not fit the other good photographs: score "), "{notes}");
    assert!(
        notes.contains("left out") && notes.contains("copy.png is a copy of")
            || notes.contains("000.png is a copy of")
    );
    let found: Value = serde_json::from_str(&patchcore_ok([&train[..], &["--json"]].concat())).unwrap();
    assert_eq!(found["photographs"], 25);
    assert_eq!(
        (found["outliers"].as_array().unwrap().len(), &found["outliers"][0]["left_out"]),
        (1, &true.into())
    );
    let kept: Value =
        serde_json::from_str(&patchcore_ok([&train[..], &["--json", "--keep-outliers"]].concat())).unwrap();
    assert_eq!((&kept["photographs"], &kept["outliers"][0]["left_out"]), (&26.into(), &false.into()));
}

#[test]
fn calibrate_changes_thresholds_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.pcore");
    std::fs::copy(demo().path("parts.pcore"), &model).unwrap();
    let thresholds = |arguments: &[&str]| -> (f64, f64) {
        let all = [&["calibrate", text(&model), "--json"][..], arguments].concat();
        let found: Value = serde_json::from_str(&patchcore_ok(all)).unwrap();
        let number = |field: &str| found[field].as_f64().unwrap();
        (number("image_threshold"), number("pixel_threshold"))
    };
    let [rare, frequent] = ["0.001", "0.1"].map(|rate| thresholds(&["--false-alarm-rate", rate]));
    assert!(rare.0 > frequent.0 && rare.1 > frequent.1, "{rare:?} {frequent:?}");
    assert_eq!(thresholds(&["--threshold", "1.5", "--pixel-threshold", "1.25"]), (1.5, 1.25));
    let new = demo().path("parts/test/good");
    assert!(thresholds(&["--data", text(&new)]).0 > 0.0);
    // The same rate gives the same file again, the demo's.
    std::fs::copy(demo().path("parts.pcore"), &model).unwrap();
    thresholds(&["--threshold", "1.5"]);
    thresholds(&["--false-alarm-rate", "0.2"]);
    assert!(std::fs::read(&model).unwrap() == std::fs::read(demo().path("parts.pcore")).unwrap());
    patchcore_fails(["calibrate", text(&folder.path().join("none.pcore"))], &["none.pcore"]);
}

#[test]
fn evaluate_json_is_json_and_nothing_else_with_the_documented_fields() {
    let (model, data) = (demo().path("parts.pcore"), demo().path("parts"));
    let arguments = ["evaluate", "--model", text(&model), "--data", text(&data), "--json"];
    let found: Value = serde_json::from_str(&patchcore_ok(arguments)).unwrap();
    let table = patchcore_ok(&arguments[..5]);
    assert!(table.ends_with('\n') && !table.ends_with("\n\n"), "{table:?}");
    let fields = [
        "image_auroc",
        "image_f1",
        "image_f1_max",
        "image_f1_max_threshold",
        "image_threshold",
        "pixel_auroc",
        "pixel_f1",
        "pixel_f1_max",
        "pixel_f1_max_threshold",
        "pixel_threshold",
        "aupro",
        "compat",
        "calibration",
        "images",
    ];
    assert_eq!(keys(&found), fields.into());
    let images = found["images"].as_array().unwrap();
    assert_eq!(images.len(), 33);
    for image in images {
        assert_eq!(keys(image), IMAGE_FIELDS.into());
    }
    assert_eq!(images.iter().filter(|image| image["label"] == true).count(), 25);
}

#[test]
fn info_and_profile_json_are_json_and_nothing_else() {
    let model = demo().path("parts.pcore");
    let info: Value =
        serde_json::from_str(&patchcore_ok(["info", text(&model), "--verify", "--json"])).unwrap();
    assert_eq!(info["layers"], serde_json::json!(["layer2", "layer3"]));

    let timed = ["profile", "--model", text(&model), "--runs", "3", "--threads", "1", "--json"];
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.pcore");
    let drawn =
        ["profile", "--backbone", "small", "--image-size", "64", "--bank", "100", "--runs", "3", "--json"];
    let drawn = [&drawn[..], &["--keep", text(&kept)]].concat();
    for arguments in [&timed[..], &drawn] {
        let profile: Value = serde_json::from_str(&patchcore_ok(arguments)).unwrap();
        for field in ["net", "image_size", "threads", "isa", "bank", "dim", "peak_rss_bytes", "model_bytes"] {
            assert!(profile.get(field).is_some(), "{field}");
        }
        for field in ["open_s", "first_prediction_s"] {
            assert!(profile[field].as_f64().unwrap() > 0.0, "{field}");
        }
        assert_eq!(profile["runs"], 3);
        assert_eq!((&profile["net"], &profile["weights"]), (&"resnet18_narrow".into(), &"small".into()));
        for stage in ["decode", "preprocess", "backbone", "patches", "search", "score", "total"] {
            assert_eq!(keys(&profile[stage]), ["median_s", "min_s", "p99_s"].into(), "{stage}");
        }
    }
    let said = patchcore_ok(["profile", "--model", text(&model), "--runs", "1", "--threads", "1"]);
    assert!(said.starts_with("resnet18_narrow (small) 64x64, bank "), "{said}");
    assert!(said.contains(", 1 thread, "), "{said}");
    let info: Value = serde_json::from_str(&patchcore_ok(["info", text(&kept), "--json"])).unwrap();
    assert_eq!(info["bank_rows"], 100);
    for field in ["memory_bytes", "session_bytes"] {
        // A session holds its map at least.
        assert!(info[field].as_u64().unwrap() > 4 * 64 * 64, "{field}");
    }
}

#[test]
fn benchmark_prints_the_tables_and_writes_them_in_three_forms() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("tables");
    let arguments = ["benchmark", "--data", text(demo().folder.path()), "--out", text(&out)];
    let printed = patchcore_ok([&arguments[..], &SMALL].concat());
    for title in ["### Image-level AUROC", "### Pixel-level AUROC", "| | Avg | Parts |", "| small | "] {
        assert!(printed.contains(title), "{title}: {printed}");
    }
    assert_eq!(std::fs::read_to_string(out.join("benchmark.md")).unwrap().trim_end(), printed.trim_end());
    let json: Value = serde_json::from_slice(&std::fs::read(out.join("benchmark.json")).unwrap()).unwrap();
    assert!(!printed.ends_with("\n\n"));
    assert!(json["image_auroc"]["small"]["measured"]["categories"]["parts"].is_number());
    assert!(std::fs::read_to_string(out.join("benchmark.csv")).unwrap().starts_with("metric,net,source,"));
}

#[test]
fn exit_statuses() {
    for arguments in [&["--help"][..], &["--version"], &["train", "--help"]] {
        assert_eq!(patchcore(arguments).status.code(), Some(0), "{arguments:?}");
    }
    patchcore_fails(["info", "nowhere.pcore"], &["nowhere.pcore", "No such file"]);
    for arguments in
        [&[][..], &["nothing"], &["info"], &["train", "--data", "x", "--out", "y", "--seed", "z"]]
    {
        assert_eq!(patchcore(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

const METRICS: [&str; 6] = ["image_auroc", "image_f1", "image_threshold", "pixel_auroc", "pixel_f1", "aupro"];

#[test]
fn metrics_of_one_class_alone_are_null() {
    let folder = tempfile::tempdir().unwrap();
    let at = |relative: &str| folder.path().join(relative);
    let picture = |relative: &str, tone: u8| {
        std::fs::create_dir_all(at(relative).parent().unwrap()).unwrap();
        RgbImage::from_fn(40, 40, |x, y| Rgb([tone, (x * 3) as u8, (y * 5) as u8]))
            .save(at(relative))
            .unwrap();
    };
    let program = |arguments: &[&str]| {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_patchcore")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let (data, model) = (folder.path().to_str().unwrap(), at("model.pcore"));
    let model = model.to_str().unwrap();
    for kind in ["good", "stain"] {
        picture("train/good/0.png", 90);
        picture(&format!("test/{kind}/0.png"), 200);
        program(&["train", "--backbone", "small", "--image-size", "32", "--data", data, "--out", model]);
        let part = at(&format!("test/{kind}/0.png"));
        for (arguments, fields) in [
            (&["evaluate", "--data", data][..], &METRICS[..]),
            (&["predict", part.to_str().unwrap()], &["normalized_score", "is_anomalous"]),
        ] {
            let line = program(&[arguments, &["--model", model, "--json"]].concat());
            let found: serde_json::Value = serde_json::from_str(&line).unwrap();
            for field in fields {
                assert_eq!(found.get(field), Some(&serde_json::Value::Null), "{kind} {field}: {line}");
            }
        }
        std::fs::remove_dir_all(at("test")).unwrap();
    }
}
