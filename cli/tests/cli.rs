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
        let picture = image::open(&path).unwrap();
        assert_eq!((picture.width(), picture.height()), (256, 256), "{}", path.display());
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
fn a_model_says_whether_it_brings_its_backbone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("parts.pcore");
    let data = demo().path("parts");
    let train = ["train", "--copy-backbone", "--data", text(&data), "--out", text(&out)];
    patchcore_ok([&train[..], &SMALL].concat());
    let embedded = |model: &Path| {
        let said: Value = serde_json::from_str(&patchcore_ok(["info", text(model), "--json"])).unwrap();
        (said["weights"].as_str().unwrap().to_string(), said["weights_embedded"].as_bool().unwrap())
    };
    assert_eq!(embedded(&demo().path("parts.pcore")), ("small".into(), true));
    assert_eq!(embedded(&out), ("small".into(), false));
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
        assert!(printed.contains("\ncalibration: threshold given\nthresholds: image "), "{printed}");
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

#[test]
fn what_a_plain_folder_cannot_tell_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let add = |kind: &str, to: &str, count: usize| {
        std::fs::create_dir(at(to)).unwrap();
        for i in 0..count {
            let name = format!("{i:03}.png");
            std::fs::copy(demo().path(kind).join(&name), at(to).join(name)).unwrap();
        }
    };
    add("parts/train/good", "good", 5);
    let (data, model) = (folder.path(), at("model.pcore"));
    let train = [&["train", "--data", text(data), "--out", text(&model)][..], &SMALL].concat();
    let evaluate = ["evaluate", "--data", text(data), "--model", text(&model)];
    let said = |arguments: &[&str]| {
        let run = patchcore(arguments);
        assert!(run.status.success());
        String::from_utf8_lossy(&run.stderr).into_owned()
    };
    said(&train);
    add("parts/test/chip", "bad", 1);
    let note = said(&evaluate);
    assert!(note.contains("learned from 5 photographs") && note.contains("4 are kept"), "{note}");
    assert!(!said(&train).contains("note:"));
    assert!(!said(&evaluate).contains("note:"));
    std::fs::remove_file(at("good/004.png")).unwrap();
    let note = said(&train);
    assert!(note.contains("the defective photographs are not used"), "{note}");
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
        "image_threshold",
        "pixel_auroc",
        "pixel_f1",
        "pixel_f1_max",
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
