//! Bad input gives exit status 1 and one line that names the file, what was found and what was expected.

mod program;
#[path = "../../tests/support/mod.rs"]
mod support;

use image::{GrayImage, RgbImage};
use patchcore::SearchKind;
use program::{patchcore, patchcore_fails, patchcore_ok, patchcore_refuses};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use support::torch::{PyTensor, save, save_pickle, state_dict};

/// A data set of plain 64x64 photographs and a model of them, made once.
struct Set {
    folder: tempfile::TempDir,
}

impl Set {
    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }
}

fn photograph(path: &Path, side: u32, tone: u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_fn(side, side, |x, y| image::Rgb([tone, (x * 3) as u8, (y * 5) as u8]))
        .save(path)
        .unwrap();
}

fn set() -> &'static Set {
    static SET: OnceLock<Set> = OnceLock::new();
    SET.get_or_init(|| {
        let set = Set { folder: tempfile::tempdir().unwrap() };
        for i in 0..3u8 {
            photograph(&set.path(&format!("train/good/{i}.png")), 64, 100 + i);
        }
        photograph(&set.path("test/good/0.png"), 64, 104);
        photograph(&set.path("test/stain/0.png"), 64, 200);
        train(&set.path(""), &set.path("model.pcore"));
        set
    })
}

fn train(data: &Path, out: &Path) -> String {
    let arguments =
        ["train", "--image-size", "64", "--data", data.to_str().unwrap(), "--out", out.to_str().unwrap()];
    patchcore_ok(arguments)
}

fn predict(path: &Path, parts: &[&str]) {
    let model = set().path("model.pcore");
    patchcore_fails(["predict", "--model", model.to_str().unwrap(), path.to_str().unwrap()], parts);
}

#[test]
fn a_text_file_named_png() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.png");
    std::fs::write(&path, "this is no photograph\n").unwrap();
    predict(&path, &["part.png", "expected"]);
}

#[test]
fn an_empty_file_and_a_missing_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.png");
    predict(&path, &["part.png", "No such file"]);
    std::fs::write(&path, "").unwrap();
    predict(&path, &["part.png", "expected"]);
}

#[test]
fn a_truncated_photograph() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.png");
    let whole = std::fs::read(set().path("test/good/0.png")).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    predict(&path, &["part.png"]);
    let path = folder.path().join("part.jpg");
    RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * y) as u8; 3])).save(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 2]).unwrap();
    predict(&path, &["part.jpg", "a JPEG without its end"]);
}

#[test]
fn a_photograph_of_one_pixel() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.png");
    photograph(&path, 1, 0);
    predict(&path, &["part.png", "1x1", "at least"]);
}

#[test]
fn one_bad_photograph_does_not_keep_the_others_from_being_scored() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.png"), "text").unwrap();
    photograph(&folder.path().join("b.png"), 64, 100);
    let model = set().path("model.pcore");
    let output = patchcore(["predict", "--model", model.to_str().unwrap(), folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("b.png"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("a.png"));
}

#[test]
fn an_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    patchcore_fails(["train", "--data", path, "--out", "unused.pcore"], &[path, "train/good"]);
    predict(folder.path(), &[path, "no photograph"]);
    std::fs::create_dir_all(folder.path().join("train/good")).unwrap();
    patchcore_fails(["train", "--data", path, "--out", "unused.pcore"], &["train/good"]);
    assert!(!Path::new("unused.pcore").exists());
}

#[test]
fn a_folder_good_without_photographs() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    std::fs::create_dir(&good).unwrap();
    std::fs::write(good.join("notes.txt"), "no photograph").unwrap();
    let arguments = ["train", "--data", folder.path().to_str().unwrap(), "--out", "unused.pcore"];
    patchcore_fails(arguments, &[good.to_str().unwrap(), "no images", "expected"]);
    assert!(!Path::new("unused.pcore").exists());
}

#[test]
fn a_mask_of_the_wrong_size() {
    let folder = tempfile::tempdir().unwrap();
    let at = |relative: &str| folder.path().join(relative);
    for name in ["train/good/0.png", "train/good/1.png", "test/good/0.png", "test/dent/0.png"] {
        photograph(&at(name), 64, 90);
    }
    std::fs::create_dir_all(at("ground_truth/dent")).unwrap();
    GrayImage::new(32, 48).save(at("ground_truth/dent/0_mask.png")).unwrap();
    let model = set().path("model.pcore");
    let arguments =
        ["evaluate", "--model", model.to_str().unwrap(), "--data", folder.path().to_str().unwrap()];
    patchcore_fails(arguments, &["0_mask.png", "32x48", "64x64"]);
}

#[test]
fn a_model_file_cut_short_or_of_another_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pcore");
    let whole = std::fs::read(set().path("model.pcore")).unwrap();
    for length in [0, 3, 31, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        patchcore_fails(["info", path.to_str().unwrap()], &["model.pcore", "expected"]);
    }
    std::fs::write(&path, "PNG or something else that is long enough to hold a header").unwrap();
    patchcore_fails(["info", path.to_str().unwrap()], &["model.pcore", "a .pcore file"]);
}

fn with_weights(weights: &Path, parts: &[&str]) {
    let data = set().path("");
    let flags = ["train", "--backbone", "resnet18", "--out", "unused.pcore", "--weights"].map(Path::new);
    patchcore_fails(flags.into_iter().chain([weights, Path::new("--data"), &data]), parts);
}

#[test]
fn a_truncated_weight_file_and_one_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resnet18.pth");
    // The first bytes of a zip archive, whose directory is missing.
    std::fs::write(&path, b"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00").unwrap();
    let data = set().path("");
    with_weights(&path, &["resnet18.pth", "expected"]);
    with_weights(Path::new("nowhere.pth"), &["nowhere.pth"]);
    let tensor = PyTensor::f32(&[64, 3, 7, 7], &[0.5; 64 * 3 * 7 * 7]);
    let whole = save(&state_dict([("conv1.weight", tensor)]));
    for length in [0, 3, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        with_weights(&path, &["resnet18.pth", "expected"]);
    }
    let no_weights =
        ["train", "--backbone", "resnet18", "--data", data.to_str().unwrap(), "--out", "unused.pcore"];
    patchcore_refuses(no_weights, &["--weights", "resnet18"]);
}

#[test]
fn weights_that_are_missing_misshaped_or_not_finite_are_named_with_both_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resnet18.pth");
    let conv1 = |value| PyTensor::f32(&[64, 3, 7, 7], &vec![value; 64 * 3 * 7 * 7]);
    let small = PyTensor::f32(&[64, 3, 1, 1], &[0.5; 64 * 3]);
    for (name, tensor, parts) in [
        ("conv2.weight", conv1(0.5), ["tensor conv1.weight: found no such tensor", "[64, 3, 7, 7]"]),
        ("conv1.weight", small, ["tensor conv1.weight: found shape [64, 3, 1, 1]", "[64, 3, 7, 7]"]),
        ("conv1.weight", conv1(f32::NAN), ["tensor conv1.weight: found NaN at index 0", "finite"]),
        ("conv1.weight", conv1(0.5), ["tensor bn1.weight: found no such tensor", "[64]"]),
    ] {
        std::fs::write(&path, save(&state_dict([(name, tensor)]))).unwrap();
        with_weights(&path, &parts);
    }
    std::fs::write(&path, save_pickle(b"\x80\x02cposix\nsystem\n.")).unwrap();
    with_weights(&path, &["resnet18.pth", "posix.system"]);
}

#[test]
fn a_failed_training_leaves_the_old_model_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = |relative: &str| folder.path().join(relative);
    photograph(&at("train/good/0.png"), 64, 90);
    std::fs::write(at("train/good/1.png"), "text").unwrap();
    std::fs::write(at("model.pcore"), "the old model").unwrap();
    let out = at("model.pcore");
    patchcore_fails(
        ["train", "--data", folder.path().to_str().unwrap(), "--out", out.to_str().unwrap()],
        &["1.png"],
    );
    assert_eq!(std::fs::read(&out).unwrap(), b"the old model");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_model_that_cannot_be_written_is_refused_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    photograph(&folder.path().join("train/good/0.png"), 64, 90);
    std::fs::write(folder.path().join("train/good/1.png"), "text").unwrap();
    let out = folder.path().join("missing/model.pcore");
    patchcore_fails(
        ["train", "--data", folder.path().to_str().unwrap(), "--out", out.to_str().unwrap()],
        &["model.pcore", "cannot create", "there is no folder"],
    );
}

#[test]
fn wrong_usage_is_status_two() {
    for arguments in
        [&["train"][..], &["predict", "--model", "m.pcore"], &["nothing"], &["train", "--coreset-ratio", "x"]]
    {
        assert_eq!(patchcore(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn arguments_out_of_range_are_wrong_usage_and_the_flag_is_named() {
    let data = set().path("");
    for (flag, value, part) in [
        ("--coreset-ratio", "0", "above 0, at most 1"),
        ("--coreset-ratio", "1.5", "above 0, at most 1"),
        ("--coreset-ratio", "NaN", "above 0, at most 1"),
        ("--coreset-ratio", "0.0000001", "keeps none"),
        ("--neighbors", "0", "1 to 4096"),
        ("--neighbors", "5000", "1 to 4096"),
        ("--threads", "1025", "at most 1024"),
        ("--image-size", "8", "32 to 8192"),
        ("--image-size", "4096", "4194304 pixels"),
        ("--center-crop", "8", "32 to 8192"),
        ("--center-crop", "300", "1x1 to 256x256"),
        ("--layers", "layer2,layer2", "different layers"),
        ("--max-memory", "0", "500M"),
        ("--threshold", "0", "not a score above 0"),
        ("--threshold", "NaN", "not a score above 0"),
        ("--threshold", "inf", "not a score above 0"),
        ("--max-memory", "1K", "found 1024 bytes"),
        ("--backbone", "resnet101", "default, small, resnet18, resnet34, resnet50, wide_resnet50_2]"),
        ("--backbone", "resnet18", "--weights: found nothing"),
        ("--weights", "x.pth", "--backbone default brings its own"),
    ] {
        let arguments = ["train", flag, value, "--data", data.to_str().unwrap(), "--out", "unused.pcore"];
        patchcore_refuses(arguments, &[flag, part]);
    }
    patchcore_refuses(["profile", "--bank", "0"], &["--bank"]);
    let model = set().path("model.pcore");
    let predict = ["predict", "--threads", "2000", "--model", model.to_str().unwrap(), "unused.png"];
    patchcore_refuses(predict, &["--threads"]);
    assert!(!Path::new("unused.pcore").exists());
}

#[test]
fn a_bad_folder_does_not_keep_the_others_from_being_scored() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, good) = (folder.path().join("empty"), folder.path().join("good"));
    std::fs::create_dir(&empty).unwrap();
    photograph(&good.join("b.png"), 64, 100);
    let model = set().path("model.pcore");
    let paths = [&empty, &good].map(|path| path.to_str().unwrap());
    let output = patchcore([&["predict", "--model", model.to_str().unwrap()], &paths[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("b.png: "));
    assert!(String::from_utf8_lossy(&output.stderr).contains("empty: found no photograph"));
}

#[test]
fn a_demo_with_wrong_options_draws_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let demo = ["demo", "--out", out.to_str().unwrap()];
    patchcore_refuses([&demo[..], &["--neighbors", "0"]].concat(), &["--neighbors"]);
    patchcore_refuses([&demo[..], &["--backbone", "resnet18"]].concat(), &["--weights"]);
    assert!(!out.exists());
}

#[test]
fn a_photograph_to_profile_on_is_checked_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.png");
    std::fs::write(&path, "text").unwrap();
    let bad = ["profile", "--photograph", path.to_str().unwrap()];
    // Otherwise making the model would take minutes.
    patchcore_fails([&bad[..], &["--bank", "10000000"]].concat(), &["part.png", "expected"]);
    let model = set().path("model.pcore");
    patchcore_fails([&bad[..], &["--model", model.to_str().unwrap()]].concat(), &["part.png", "expected"]);
    let keep = folder.path().join("missing/kept.pcore");
    let kept = ["profile", "--bank", "10000000", "--keep", keep.to_str().unwrap()];
    patchcore_fails(kept, &["kept.pcore", "there is no folder"]);
}

#[test]
fn what_is_read_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.ckpt", "a.npy", "a.png"] {
        let path = folder.path().join(name);
        std::fs::write(&path, "old").unwrap();
        let path = path.to_str().unwrap();
        for arguments in [
            &["import", path, "--out", path][..],
            &["coreset", path, "--out", path],
            &["embed", path, "--out", path],
            &["train", "--data", ".", "--backbone", "resnet18", "--weights", path, "--out", path],
            &["profile", "--backbone", "resnet18", "--weights", path, "--keep", path],
        ] {
            patchcore_refuses(arguments, &[name, "another file than the one that is read"]);
        }
        assert_eq!(std::fs::read(path).unwrap(), b"old");
    }
    let good = folder.path().join("good");
    std::fs::create_dir(&good).unwrap();
    let photograph = good.join("0.png");
    std::fs::write(&photograph, "old").unwrap();
    let train = ["train", "--data", folder.path().to_str().unwrap(), "--out", photograph.to_str().unwrap()];
    patchcore_refuses(train, &["0.png", "another file than the one that is read"]);
    let category = folder.path().join("category");
    for path in ["train/good/0.png", "test/bent/0.png", "ground_truth/bent/0_mask.png"] {
        let path = category.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "old").unwrap();
        let train = ["train", "--data", category.to_str().unwrap(), "--out", path.to_str().unwrap()];
        patchcore_refuses(train, &["another file than the one that is read"]);
    }
    assert_eq!(std::fs::read(photograph).unwrap(), b"old");
}

#[test]
fn an_import_that_could_not_be_written_is_refused_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("missing/model.pcore");
    let arguments = ["import", "nowhere.ckpt", "--out", out.to_str().unwrap()];
    patchcore_fails(arguments, &["model.pcore: cannot create: there is no folder", "missing"]);
}

/// A root with the categories `a`, whose photographs are good, and `b`, of whose one is no photograph.
fn categories() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for category in ["a", "b"] {
        for name in ["train/good/0.png", "train/good/1.png", "test/good/0.png", "test/stain/0.png"] {
            photograph(
                &root.path().join(category).join(name),
                64,
                90 + 50 * u8::from(name.contains("stain")),
            );
        }
    }
    std::fs::write(root.path().join("b/train/good/1.png"), "text").unwrap();
    root
}

#[test]
fn a_benchmark_keeps_what_it_has_when_a_category_fails() {
    let root = categories();
    let out = root.path().join("tables");
    let flags = ["--backbone", "small", "--image-size", "64"];
    let on = ["benchmark", "--data", root.path().to_str().unwrap(), "--out", out.to_str().unwrap()];
    let output = patchcore([&on[..], &flags].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("1.png"), "{errors}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("| | Avg | A |"), "{printed}");
    assert!(printed.ends_with("MVTec AD.\n"), "{printed}");
    assert_eq!(std::fs::read_to_string(out.join("benchmark.md")).unwrap(), printed);
    // Where nothing was finished nothing is written over.
    let alone = patchcore([&on[..], &flags, &["--category", "b"]].concat());
    assert_eq!((alone.status.code(), alone.stdout.len()), (Some(1), 0));
    assert_eq!(std::fs::read_to_string(out.join("benchmark.md")).unwrap(), printed);
}

/// Training may take long: what comes after it is looked at before.
#[test]
fn a_test_part_is_read_before_the_training() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    photograph(&at("train/good/0.png"), 64, 100);
    std::fs::write(at("train/good/1.png"), "found by the training").unwrap();
    for name in ["test/good/0.png", "test/stain/0.png"] {
        photograph(&at(name), 64, 104);
    }
    photograph(&at("ground_truth/stain/0_mask.png"), 48, 255);
    let out = at("model.pcore");
    let train = ["train", "--data", root.path().to_str().unwrap(), "--out", out.to_str().unwrap()];
    patchcore_fails(train, &["0_mask.png: found 48x48, expected 64x64, the photograph's size"]);
    photograph(&at("ground_truth/stain/0_mask.png"), 64, 255);
    std::fs::write(at("test/stain/0.png"), "no photograph").unwrap();
    patchcore_fails(train, &["test/stain/0.png"]);
    photograph(&at("test/stain/0.png"), 64, 104);
    patchcore_fails(train, &["train/good/1.png"]);
}

#[test]
fn a_benchmark_is_checked_before_its_first_training() {
    let root = categories();
    let data = root.path().to_str().unwrap();
    let on = |more: &[&'static str]| [&["benchmark", "--data", data, "--image-size", "64"], more].concat();
    patchcore_fails(on(&["--category", "a", "missing"]), &["missing: found no such folder"]);
    patchcore_fails(on(&["--backbone", "small", "resnet18", "--weights", "no.pth"]), &["no.pth"]);
    patchcore_refuses(on(&["--backbone", "small", "resnet18"]), &["--weights: found nothing"]);
    patchcore_refuses(on(&["--weights", "no.pth"]), &["--weights: found no.pth for no network"]);
    patchcore_refuses(on(&["--category", "a", "a"]), &["--category: found a twice"]);
    patchcore_refuses(on(&["--backbone", "small", "small"]), &["--backbone: found small twice"]);
    patchcore_refuses(on(&["--neighbors", "0"]), &["--neighbors"]);
    let file = root.path().join("a/test/good/0.png");
    let out = ["benchmark", "--data", data, "--category", "a", "--out", file.to_str().unwrap()];
    patchcore_fails(out, &["0.png: found a file, expected a folder"]);
    let category = root.path().join("a");
    let one = ["benchmark", "--data", category.to_str().unwrap()];
    patchcore_fails(one, &["a: found no category", "CATEGORY/train/good"]);
}

#[test]
fn what_a_model_says_of_itself_is_printed_harmlessly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pcore");
    let file = support::model_bytes(&support::small::model(SearchKind::Flat));
    let hostile = support::sections::with_metadata(&file, b"patchcore", b"\x1b[2J\r\nok ");
    std::fs::write(&path, hostile).unwrap();
    let said = patchcore_ok(["info".as_ref(), path.as_os_str()]);
    assert!(said.starts_with("made by      \\u{1b}[2J\\r\\nok "), "{said}");
}
