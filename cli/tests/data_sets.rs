//! Data sets as people have them: layouts, lists, file names, masks, and what is reported about them.

#[path = "../../tests/support/grid.rs"]
mod grid;
mod program;
#[path = "../../tests/support/mod.rs"]
mod support;

use program::demo::{SMALL, demo};
use program::{patchcore, patchcore_fails, patchcore_notes, patchcore_ok, patchcore_refuses};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::text;

fn train(data: &Path, out: &Path) -> Vec<String> {
    patchcore_notes([&["train", "--data", text(data), "--out", text(out)], &SMALL[..]].concat())
}

fn evaluate(model: &Path, data: &Path) -> (Value, Vec<String>) {
    let arguments = ["evaluate", "--json", "--model", text(model), "--data", text(data)];
    (serde_json::from_str(&patchcore_ok(arguments)).unwrap(), patchcore_notes(arguments))
}

/// Copies the demo's photograph `from` to `to`, with its folders.
fn copy(from: &str, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(demo().path("parts").join(from), to).unwrap();
}

/// The command in docs/data-sets.md that writes `list`.
fn recipe(list: &str) -> String {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/data-sets.md")).unwrap();
    let command = page.lines().find(|line| line.ends_with(&format!("> {list}")));
    command.expect("the page has the recipe").to_string()
}

fn run_recipe(list: &str, folder: &Path) -> PathBuf {
    let status = Command::new("sh").args(["-c", &recipe(list)]).current_dir(folder).status().unwrap();
    assert!(status.success());
    folder.join(list)
}

#[test]
fn photographs_are_known_by_their_first_bytes_and_other_files_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    for (i, name) in ["a.png", "b.JPE", "c.jfif", "d"].into_iter().enumerate() {
        copy(&format!("train/good/00{i}.png"), &good.join(name));
    }
    for name in ["e.webp", "f.webp", "g.ppm.part", ".h.webp"] {
        fs::write(good.join(name), "not read").unwrap();
    }
    let out = folder.path().join("model.pcore");
    let reported = train(folder.path(), &out);
    let expected = "passed over 2 files that are not photographs of a known format (2 .webp), such as ";
    assert!(reported.iter().any(|note| note.contains(expected)), "{reported:?}");
    assert!(patchcore_ok(["info", text(&out)]).contains("4 photographs"));
    let predict = ["predict", "--model", text(&out), text(&good)];
    assert!(patchcore_ok(predict).contains("\n4 scored, "));
    let reported = patchcore_notes(predict);
    assert!(reported.len() == 1 && reported[0].contains(expected), "{reported:?}");
}

#[test]
fn a_list_gives_what_the_folders_give() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    let mut rows = String::from("path,label,mask,split\n");
    for (part, label, count) in [("train", "good", 24), ("test", "chip", 5), ("test", "good", 8)] {
        for i in 0..count {
            let photograph = format!("{part}/{label}/{i:03}.png");
            let mut mask = String::new();
            copy(&photograph, &set.join(&photograph));
            if label == "chip" {
                mask = format!("ground_truth/chip/{i:03}_mask.png");
                copy(&mask, &set.join(&mask));
            }
            rows += &format!("{photograph},{label},{mask},{part}\n");
        }
    }
    let list = set.join("list.csv");
    fs::write(&list, rows).unwrap();
    let [from_list, from_folder] = ["list.pcore", "folder.pcore"].map(|name| folder.path().join(name));
    assert_eq!((train(&list, &from_list), train(&set, &from_folder)), (vec![], vec![]));
    assert!(fs::read(&from_list).unwrap() == fs::read(&from_folder).unwrap());
    let [(a, notes), (b, _)] = [&list, &set].map(|data| evaluate(&from_list, data));
    assert!(notes.is_empty() && a["images"].as_array().unwrap().len() == 13, "{notes:?}");
    for metric in ["image_auroc", "pixel_auroc", "aupro"] {
        assert!(a[metric].is_f64() && a[metric] == b[metric], "{metric}");
    }
}

/// Copies of the demo's photographs and masks in the layout of another data set: pairs of their names there
/// and here.
fn laid_out(folder: &Path, files: &[(&str, &str)]) {
    files.iter().for_each(|(name, from)| copy(from, &folder.join(name)));
}

#[test]
fn other_data_sets_are_trained_on_and_evaluated_as_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.pcore");
    let (good, chip) = ("test/good/000.png", "test/chip/000.png");
    let (mask, other_mask) = ("ground_truth/chip/000_mask.png", "ground_truth/chip/001_mask.png");
    let trained = ["train/good/000.png", "train/good/001.png"];
    let evaluated = |name: &str, files: &[(&str, &str)]| {
        let data = folder.path().join(name);
        laid_out(&data, files);
        assert!(train(&data, &model).is_empty(), "{name}");
        let (found, notes) = evaluate(&model, &data);
        assert!(notes.is_empty() && found["images"].as_array().unwrap().len() == 2, "{name}: {notes:?}");
        found["pixel_auroc"].as_f64().expect("there are masks")
    };
    let expected = evaluated(
        "MVTec AD",
        &[
            ("train/good/0.png", trained[0]),
            ("train/good/1.png", trained[1]),
            ("test/good/0.png", good),
            ("test/chip/0.png", chip),
            ("ground_truth/chip/0_mask.png", mask),
        ],
    );
    let btad = evaluated(
        "BTAD",
        &[
            ("train/ok/0.bmp", trained[0]),
            ("train/ok/1.bmp", trained[1]),
            ("test/ok/0.bmp", good),
            ("test/ko/0.bmp", chip),
            ("ground_truth/ko/0.png", mask),
        ],
    );
    let ad2 = evaluated(
        "MVTec AD 2",
        &[
            ("train/good/0.png", trained[0]),
            ("train/good/1.png", trained[1]),
            ("test_public/good/0.png", good),
            ("test_public/bad/0.png", chip),
            ("test_public/ground_truth/bad/0_mask.png", mask),
        ],
    );
    assert_eq!((btad, ad2), (expected, expected));
    let loco = |name: &str, masks: &[(&str, &str)]| {
        let photographs = [
            ("train/good/0.png", trained[0]),
            ("train/good/1.png", trained[1]),
            ("test/good/0.png", good),
            ("test/logical_anomalies/0.png", chip),
        ];
        evaluated(name, &[&photographs[..], masks].concat())
    };
    let one = loco("MVTec LOCO", &[("ground_truth/logical_anomalies/0/000.png", mask)]);
    let both = [
        ("ground_truth/logical_anomalies/0/000.png", mask),
        ("ground_truth/logical_anomalies/0/001.png", other_mask),
    ];
    assert_eq!(one, expected);
    assert!(loco("MVTec LOCO with two masks", &both) != one, "they mark together");
}

#[test]
fn the_list_of_visa_is_read_by_the_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = String::from("object,split,label,image,mask\r\n");
    let mut add = |object: &str, split: &str, label: &str, from: &str, name: &str, mask: &str| {
        copy(from, &folder.path().join(name));
        if !mask.is_empty() {
            copy("ground_truth/chip/000_mask.png", &folder.path().join(mask));
        }
        rows += &format!("{object},{split},{label},{name},{mask}\r\n");
    };
    for i in 0..5 {
        let split = if i < 3 { "train" } else { "test" };
        let name = format!("candle/Data/Images/Normal/{i:04}.JPG");
        add("candle", split, "normal", &format!("train/good/{i:03}.png"), &name, "");
    }
    let (image, mask) = ("candle/Data/Images/Anomaly/000.JPG", "candle/Data/Masks/Anomaly/000.png");
    add("candle", "test", "anomaly", "test/chip/000.png", image, mask);
    add("pcb1", "train", "normal", "train/good/009.png", "pcb1/Data/Images/Normal/0000.JPG", "");
    fs::create_dir(folder.path().join("split_csv")).unwrap();
    fs::write(folder.path().join("split_csv/1cls.csv"), rows).unwrap();
    let list = run_recipe("candle.csv", folder.path());
    let model = folder.path().join("model.pcore");
    assert!(train(&list, &model).is_empty());
    assert!(patchcore_ok(["info", text(&model)]).contains("3 photographs"));
    let (found, _) = evaluate(&model, &list);
    let labels: Vec<_> = found["images"].as_array().unwrap().iter().map(|i| i["label"].as_bool()).collect();
    assert_eq!(labels, [false, false, true].map(Some));
    assert!(found["pixel_auroc"].is_f64(), "there is a mask");
}

#[test]
fn the_masks_of_kolektorsdd_label_by_the_recipe() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..6 {
        let from = if i == 4 { "test/chip/000.png".into() } else { format!("train/good/{i:03}.png") };
        copy(&from, &folder.path().join(format!("kos0{i}/Part{i}.jpg")));
        let mut mask = image::open(demo().path("parts/ground_truth/chip/000_mask.png")).unwrap().into_luma8();
        if i != 4 {
            mask.fill(0);
        }
        mask.save(folder.path().join(format!("kos0{i}/Part{i}_label.bmp"))).unwrap();
    }
    let list = run_recipe("kolektor.csv", folder.path());
    let model = folder.path().join("model.pcore");
    assert!(train(&list, &model).is_empty());
    let (found, _) = evaluate(&model, &list);
    let images = found["images"].as_array().unwrap();
    let labels: Vec<_> = images.iter().map(|image| image["label"].as_bool().unwrap()).collect();
    assert_eq!(labels.iter().filter(|&&defective| defective).count(), 1);
    let defective = images.iter().find(|image| image["label"] == true).unwrap();
    assert!(defective["path"].as_str().unwrap().ends_with("kos04/Part4.jpg"));
}

#[test]
fn unusual_masks_are_used_by_the_rule_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let model = demo().path("parts.pcore");
    for (case, change, expected) in [
        (
            "empty",
            (|_| 0) as fn(u8) -> u8,
            Some("masks of defective photographs that mark nothing: 1, such as"),
        ),
        ("inverted", |value| 255 - value, Some("masks that mark more than half of the photograph")),
        ("one", |value| value.min(1), None),
    ] {
        let data = folder.path().join(case);
        copy("test/good/000.png", &data.join("test/good/000.png"));
        copy("test/chip/000.png", &data.join("test/chip/000.png"));
        let mut mask = image::open(demo().path("parts/ground_truth/chip/000_mask.png")).unwrap().into_luma8();
        mask.pixels_mut().for_each(|pixel| pixel.0[0] = change(pixel.0[0]));
        fs::create_dir_all(data.join("ground_truth/chip")).unwrap();
        mask.save(data.join("ground_truth/chip/000.png")).unwrap();
        let (_, notes) = evaluate(&model, &data);
        assert_eq!(notes.len(), usize::from(expected.is_some()), "{case}: {notes:?}");
        if let Some(expected) = expected {
            assert!(notes[0].starts_with(expected), "{case}: {notes:?}");
            assert!(notes[0].ends_with("every value but 0 marks a defect"), "{case}: {notes:?}");
        }
    }
    let data = folder.path().join("blurred");
    copy("test/good/000.png", &data.join("test/good/000.png"));
    copy("test/chip/000.png", &data.join("test/chip/000.png"));
    fs::create_dir_all(data.join("ground_truth/chip")).unwrap();
    let mask = image::open(demo().path("parts/ground_truth/chip/000_mask.png")).unwrap();
    mask.blur(2.0).save(data.join("ground_truth/chip/000.png")).unwrap();
    let (_, notes) = evaluate(&model, &data);
    assert!(notes.len() == 1 && notes[0].starts_with("masks of many grey levels or colours: 1"), "{notes:?}");
}

/// A JPEG file of `picture` whose EXIF states `orientation`.
fn oriented(picture: &image::DynamicImage, orientation: u8) -> Vec<u8> {
    let mut jpeg = Vec::new();
    picture.write_to(&mut std::io::Cursor::new(&mut jpeg), image::ImageFormat::Jpeg).unwrap();
    let exif =
        [b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[orientation, 0, 0, 0][..], &[0; 4]]
            .concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

#[test]
fn a_turned_photograph_beside_an_unturned_mask_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let model = demo().path("parts.pcore");
    for orientation in [1, 3] {
        let data = folder.path().join(orientation.to_string());
        copy("test/good/000.png", &data.join("test/good/000.png"));
        copy("ground_truth/chip/000_mask.png", &data.join("ground_truth/chip/000.png"));
        let photograph = image::open(demo().path("parts/test/chip/000.png")).unwrap();
        fs::create_dir_all(data.join("test/chip")).unwrap();
        fs::write(data.join("test/chip/000.jpg"), oriented(&photograph, orientation)).unwrap();
        let (_, notes) = evaluate(&model, &data);
        assert_eq!(notes.len(), usize::from(orientation != 1), "{notes:?}");
        let expected = "masks whose files state another orientation than the photograph: 1, such as that of ";
        assert!(notes.iter().all(|note| note.starts_with(expected)), "{notes:?}");
    }
}

#[test]
fn a_camera_that_guesses_its_orientation_is_ignored_from_training_to_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let (data, upright) = (folder.path().join("set"), folder.path().join("upright"));
    let open = |name: &str| image::open(demo().path("parts").join(name)).unwrap();
    // The same pixels twice: with the orientation, and without.
    let write = |name: &str, from: &str, orientation| {
        for (folder, orientation) in [(&data, orientation), (&upright, 1)] {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, oriented(&open(from), orientation)).unwrap();
        }
    };
    for i in 0..6 {
        write(&format!("train/good/{i}.jpg"), &format!("train/good/00{i}.png"), [1, 3][i % 2]);
    }
    write("test/good/0.jpg", "test/good/000.png", 1);
    for orientation in [1, 3, 6] {
        write(&format!("test/chip/{orientation}.jpg"), "test/chip/000.png", orientation);
        for folder in [&data, &upright] {
            let mask = folder.join(format!("ground_truth/chip/{orientation}_mask.png"));
            copy("ground_truth/chip/000_mask.png", &mask);
        }
    }
    let model = folder.path().join("model.pcore");
    let mixed = |note: &String| note.contains("state different orientations (3 x 1, 3 x 3)");
    assert!(train(&data, &model).iter().any(mixed));
    let ignoring = ["train", "--orientation", "ignore", "--data", text(&data), "--out", text(&model)];
    assert_eq!(patchcore_notes([&ignoring[..], &SMALL].concat()), Vec::<String>::new());
    assert!(patchcore_ok(["info", text(&model)]).contains("photographs  256x256, not turned"));

    let chips = data.join("test/chip");
    let predict = ["predict", "--json", "--model", text(&model), text(&chips)];
    let lines = patchcore_ok(predict);
    let scores: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(scores.len() == 3 && scores.iter().all(|line| line["score"] == scores[0]["score"]), "{scores:?}");
    let (found, notes) = evaluate(&model, &data);
    let (expected, _) = evaluate(&model, &upright);
    assert!(notes.is_empty() && found["pixel_auroc"] == expected["pixel_auroc"], "{notes:?} {found}");
}

#[test]
fn twelve_bits_in_the_low_bits_of_sixteen_are_named_and_read_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // A grey photograph of 8 bits, and one with samples of 0 to 4095.
    let write = |name: &str, from: &str| {
        let gray = image::open(demo().path("parts").join(from)).unwrap().into_luma8();
        let flat = at("flat").join(name);
        fs::create_dir_all(flat.parent().unwrap()).unwrap();
        gray.save(flat).unwrap();
        let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_fn(gray.width(), gray.height(), |x, y| {
            image::Luma([(u32::from(gray[(x, y)].0[0]) * 4095 / 255) as u16])
        });
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        deep.save(at(name)).unwrap();
    };
    (0..4).for_each(|i| write(&format!("good/{i}.png"), &format!("train/good/00{i}.png")));
    write("chip.png", "test/chip/000.png");
    let (good, model) = (at("good"), at("model.pcore"));
    let notes = train(&good, &model);
    assert!(notes.len() == 1 && notes[0].ends_with("train with --bit-depth 12"), "{notes:?}");
    let score = |photograph: &Path| {
        let line = patchcore_ok(["predict", "--json", "--model", text(&model), text(photograph)]);
        serde_json::from_str::<Value>(&line).unwrap()["score"].as_f64().unwrap()
    };
    let dark = score(&at("chip.png"));
    assert!(train(&at("flat/good"), &model).is_empty());
    let expected = score(&at("flat/chip.png"));
    let twelve = ["train", "--bit-depth", "12", "--data", text(&good), "--out", text(&model)];
    assert!(patchcore_notes([&twelve[..], &SMALL].concat()).is_empty());
    assert!(patchcore_ok(["info", text(&model)]).contains("12 bits used of 16"));
    let found = score(&at("chip.png"));
    assert!((found / expected - 1.0).abs() < 0.1, "{found} is not {expected}");
    assert!((dark / expected - 1.0).abs() > 0.2, "{dark} is as {expected}");
    image::ImageBuffer::from_pixel(64, 64, image::Luma([4096u16])).save(at("bright.png")).unwrap();
    let bright = ["predict", "--model", text(&model), text(&at("bright.png"))].map(String::from);
    patchcore_fails(
        bright,
        &["bright.png", "samples: found 4096, expected at most 4095, which 12 bits hold"],
    );
}

#[test]
fn pages_that_were_not_read_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let records = grid::read();
    let two_pages = records.into_iter().find(|record| record.name == "tiff thumbnail first").unwrap().file;
    for name in ["a.tif", "b.tif"] {
        fs::write(folder.path().join(name), &two_pages).unwrap();
    }
    let model = folder.path().join("model.pcore");
    let expected = "2 files with more than one page or picture, such as ";
    assert!(train(folder.path(), &model).iter().any(|note| note.starts_with(expected)));
    let predicted = patchcore_notes(["predict", "--model", text(&model), text(folder.path())]);
    assert!(predicted.iter().any(|note| note.starts_with(expected)), "{predicted:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8_survive_in_json() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let odd = Path::new(std::ffi::OsStr::from_bytes(b"st\xf6rung.png"));
    copy("test/chip/000.png", &folder.path().join("bad").join(odd));
    copy("test/good/000.png", &folder.path().join("good/0.png"));
    let model = demo().path("parts.pcore");
    let predict = ["predict", "--json", "--model", text(&model), text(folder.path())];
    let lines = patchcore_ok(predict);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let encoded = lines[0]["path_percent_encoded"].as_str().unwrap();
    assert!(encoded.ends_with("bad/st%F6rung.png"), "{encoded}");
    assert!(lines[0]["path"].as_str().unwrap().ends_with("bad/st\u{fffd}rung.png"));
    assert!(lines[1].get("path_percent_encoded").is_none());
    copy("test/good/000.png", &folder.path().join("good").join(odd));
    let out = folder.path().join("model.pcore");
    let train = ["train", "--json", "--data", text(folder.path()), "--out", text(&out)];
    let trained: Value = serde_json::from_str(&patchcore_ok([&train[..], &SMALL].concat())).unwrap();
    let copies = trained["copies"][0]["path_percent_encoded"].as_str().unwrap();
    assert!(copies.ends_with("good/st%F6rung.png"), "{copies}");
    let (found, _) = evaluate(&model, folder.path());
    let encoded = found["images"][0]["path_percent_encoded"].as_str().unwrap();
    assert!(encoded.ends_with("bad/st%F6rung.png"), "{encoded}");
}

#[cfg(unix)]
#[test]
fn a_model_is_written_through_a_link_and_keeps_its_rights() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let (link, file) = (folder.path().join("current.pcore"), folder.path().join("7.pcore"));
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("7.pcore", &link).unwrap();
    let photographs = folder.path().join("set");
    (0..2).for_each(|i| copy(&format!("train/good/00{i}.png"), &photographs.join(format!("good/{i}.png"))));
    assert!(train(&photographs, &link).is_empty());
    assert!(link.is_symlink());
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    assert!(patchcore_ok(["info", text(&file)]).contains("2 photographs"));
}

#[test]
fn the_region_of_interest_is_what_both_masks_leave() {
    let folder = tempfile::tempdir().unwrap();
    let mask = |name: &str, marks: fn(u32, u32) -> bool| {
        let path = folder.path().join(name);
        let draw = |x, y| image::Luma([if marks(x, y) { 1u8 } else { 0 }]);
        image::GrayImage::from_fn(256, 256, draw).save(&path).unwrap();
        path
    };
    let left = mask("left.png", |x, _| x < 128);
    let bottom = mask("bottom.png", |_, y| y >= 64);
    let out = folder.path().join("parts.pcore");
    let data = demo().path("parts/train/good");
    let share = |flags: &[&str]| {
        let train = ["train", "--json", "--data", text(&data), "--out", text(&out)];
        let printed = patchcore_ok([&train[..], &SMALL, flags].concat());
        serde_json::from_str::<Value>(&printed).unwrap()["roi_share"].as_f64().unwrap()
    };
    // A column and a row of the resized photograph mix both sides.
    assert_eq!(share(&["--roi", text(&left)]), 31.0 / 64.0);
    assert_eq!(share(&["--ignore", text(&bottom)]), 15.0 / 64.0);
    assert_eq!(share(&["--roi", text(&left), "--ignore", text(&bottom)]), 31.0 * 15.0 / 64.0 / 64.0);
    assert!(patchcore_ok(["info", text(&out)]).contains("11 % of a photograph counts"));
    let photograph = demo().path("parts/test/missing_hole/000.png");
    patchcore_ok([
        "predict",
        "--model",
        text(&out),
        text(&photograph),
        "--out",
        text(&folder.path().join("p")),
    ]);
    let flags =
        ["train", "--data", text(&data), "--out", text(&out), "--roi", text(&left), "--ignore", text(&left)];
    patchcore_refuses(flags, &["--roi and --ignore: found nothing inside"]);
}

#[test]
fn the_network_sees_photographs_in_their_aspect_and_the_output_says_how_large() {
    let folder = tempfile::tempdir().unwrap();
    for (number, width) in [(0, 1000), (1, 1000), (2, 600)] {
        let photograph = image::GrayImage::from_fn(width, 400, |x, y| image::Luma([(x * y + number) as u8]));
        photograph.save(folder.path().join(format!("{number}.png"))).unwrap();
    }
    let out = folder.path().join("parts.pcore");
    let flags = ["train", "--backbone", "small", "--coreset-ratio", "0.02", "--json"];
    let train = |more: &[&str]| {
        let paths = ["--data", text(folder.path()), "--out", text(&out)];
        let run = patchcore([&flags[..], &paths, more].concat());
        assert!(run.status.success());
        let printed: Value = serde_json::from_slice(&run.stdout).unwrap();
        (printed, String::from_utf8(run.stderr).unwrap())
    };
    let (printed, notes) = train(&[]);
    assert_eq!((&printed["image_size"], &printed["smallest_defect"]), (&json!([160, 400]), &json!(3.75)));
    assert!(notes.contains("1.50 to 2.50 times as wide as high"), "{notes}");
    let info = patchcore_ok(["info", text(&out)]);
    assert!(info.contains("160x400") && info.contains("1000x400"), "{info}");
    for (more, size) in [(["--image-size", "64"], 64), (["--center-crop", "224"], 256)] {
        assert_eq!(train(&more).0["image_size"], json!([size, size]), "{more:?}");
    }
}
