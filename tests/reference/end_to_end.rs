//! Checkpoints of the reference score, normalise and label as the reference does.

use crate::support::checkpoint::{Parts, compose, crop, normalize, resize, size};
use crate::support::golden::{Golden, assert_close, shared};
use crate::support::torch::PyTensor;
use patchcore::anomalib::{Import, ImportOptions};
use patchcore::image::{Frame, Limits, Picture, PixelFormat};
use patchcore::{Architecture, Backbone, Session};

trials!(
    a_checkpoint_of_formula_weights_gives_the_references_results;
    shared:
    every_score_label_and_map_is_the_references, checkpoints_from_the_field_score_as_in_the_reference,
    checkpoints_from_the_field_that_say_too_little_are_refused
);

// The twins of these constants are in tests/golden/end_to_end.py.
const HEIGHT: usize = 150;
const WIDTH: usize = 200;
const SAMPLES: [(usize, usize); 5] = [(6, 0), (7, 0), (6, 6), (7, 20), (8, 60)];

/// A striped plate in colours; a square of the side `defect` is bright.
fn photograph(number: usize, defect: usize) -> Vec<u8> {
    let value = |i: usize| {
        let (channel, x, y) = (i % 3, i / 3 % WIDTH, i / 3 / WIDTH);
        let hit = (70..70 + defect).contains(&x) && (50..50 + defect).contains(&y);
        if hit { 250 } else { (60 + (x + number) / 3 % 8 * 9 + y * (number + 3) / 16 + channel * 10) as u8 }
    };
    (0..HEIGHT * WIDTH * 3).map(value).collect()
}

/// The checkpoint that end_to_end.py describes; image sensitivity 0.5, pixel sensitivity 0.25, five
/// neighbours.
fn checkpoint(golden: &Golden) -> Parts {
    let names = ["_image_threshold", "_pixel_threshold", "image_min", "image_max", "pixel_min", "pixel_max"];
    Parts {
        transform: compose(vec![resize(size(72, 96)), crop(64, 80), normalize()]),
        numbers: names.into_iter().zip(golden.f32("numbers")).collect(),
        bank: PyTensor::f32(golden.shape("bank"), &golden.f32("bank")),
        ..Parts::default()
    }
}

fn a_checkpoint_of_formula_weights_gives_the_references_results() {
    let golden = Golden::here("end_to_end.safetensors");
    let Import { model, notes } = checkpoint(&golden).open().unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    let labels = golden.bool("labels");
    assert!(labels.contains(&true) && labels.contains(&false));
    let mut session = Session::new(&model, 2).unwrap();
    for (i, (number, defect)) in SAMPLES.into_iter().enumerate() {
        let name = format!("photograph {number} with a defect of {defect}");
        let pixels = photograph(number, defect);
        let frame = Frame::new(WIDTH, HEIGHT, WIDTH * 3, PixelFormat::Rgb8, &pixels).unwrap();
        let found = session.predict(&frame).unwrap();
        assert_close(&name, &[found.score], &golden.f64("raw")[i..=i], 0.0, 1e-4);
        assert_close(&name, &[found.normalized_score.unwrap()], &golden.f64("normalized")[i..=i], 1e-4, 0.0);
        assert_eq!(found.decision.is_anomalous(), Some(labels[i]), "{name}");
        let mut map = session.map().unwrap().to_vec();
        let mut mask = vec![false; map.len()];
        model.calibration().mask(&map, &mut mask).unwrap();
        let pixels = mask.iter().filter(|&&m| m).count();
        assert!(pixels.abs_diff(golden.usize("mask_pixels")[i]) <= 2, "{name}: {pixels} mask pixels");
        // The file has two of the maps.
        if let Some(at) = [0, 3].iter().position(|&kept| kept == i) {
            let expected = &golden.f64("maps")[at * map.len()..][..map.len()];
            assert_close(&name, &map, expected, 0.0, 1e-4);
        }
        model.calibration().normalize_map(&mut map);
        let highest = map.into_iter().reduce(f32::max).unwrap();
        assert_close(&name, &[highest], &golden.f64("map_max")[i..=i], 1e-4, 0.0);
    }
}

fn every_score_label_and_map_is_the_references() {
    let checkpoint = shared("golden/anomalib_patchcore_resnet18.ckpt");
    let maps = Golden::shared("anomalib_e2e_maps.safetensors");
    let data = shared("data/mini");
    let Import { model, notes } = Import::open(&checkpoint).unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    let tensors = patchcore::weights::load(&checkpoint, &Default::default()).unwrap();
    let backbone = Backbone::from_tensors(&Architecture::named("resnet18").unwrap(), &tensors).unwrap();
    assert_eq!(backbone.checksum(), model.info().weights_checksum(), "as --weights it gives that network");
    let expected = std::fs::read(shared("golden/anomalib_e2e.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
    let numbers = &expected["post_processor"];
    let image = model.calibration().image;
    for (key, found) in
        [("image_min", image.min), ("image_max", image.max), ("_image_threshold", image.threshold)]
    {
        assert_eq!(numbers[format!("post_processor.{key}")].as_f64().unwrap() as f32, found);
    }
    let mut session = Session::new(&model, 2).unwrap();
    let images = expected["images"].as_array().unwrap();
    assert_eq!(images.len(), 25);
    for entry in images {
        let name = entry["image"].as_str().unwrap();
        let picture = Picture::decode(&data.join(name), &Limits::default()).unwrap();
        let found = session.predict(&picture.frame()).unwrap();
        let score = entry["score"].as_f64().unwrap();
        let normalized = found.normalized_score.unwrap();
        assert!((f64::from(normalized) - score).abs() < 1e-3, "{name}: {normalized}");
        assert_eq!(found.decision.is_anomalous(), entry["label"].as_bool(), "{name}: {normalized}");
        let mut map = session.map().unwrap().to_vec();
        let mut mask = vec![false; map.len()];
        model.calibration().mask(&map, &mut mask).unwrap();
        let pixels = mask.iter().filter(|&&m| m).count() as f64;
        assert!(
            (pixels - entry["mask_pixels"].as_f64().unwrap()).abs() <= 2.0,
            "{name}: {pixels} mask pixels"
        );
        model.calibration().normalize_map(&mut map);
        let highest = map.iter().copied().reduce(f32::max).unwrap();
        assert!((f64::from(highest) - entry["map_max"].as_f64().unwrap()).abs() < 1e-3, "{name}: {highest}");
        if maps.has(name) {
            assert_close(name, &map, maps.f64(name), 1e-3, 0.0);
        }
    }
}

/// Sides as `import --image-size` and `--center-crop` give them.
fn prepared(image_size: Option<usize>, center_crop: Option<usize>) -> ImportOptions {
    let square = |side| (side, side);
    ImportOptions::default().image_size(image_size.map(square)).center_crop(center_crop.map(square))
}

/// Checkpoints that failed once, with the reference's scores of photographs that the program's demo draws.
fn checkpoints_from_the_field_score_as_in_the_reference() {
    for (case, options) in [
        ("anomalib_layers_shallow/l2", prepared(None, None)),
        ("anomalib_resize_int/resizeint", prepared(Some(128), None)),
        ("anomalib_unserialised_transform/todtype", prepared(Some(128), None)),
    ] {
        let checkpoint = shared(&format!("cases/{case}.ckpt"));
        let photographs = shared("cases/dataset_layouts/nested_test");
        let expected = std::fs::read(shared(&format!("cases/{case}.json"))).unwrap();
        let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
        let model = Import::open_with(&checkpoint, &options).unwrap().model;
        let mut session = Session::new(&model, 2).unwrap();
        for entry in expected["out"].as_array().unwrap() {
            let name = entry["path"].as_str().unwrap().rsplit_once("test/").unwrap().1;
            let place = if name.starts_with("good") { name.into() } else { format!("defects/{name}") };
            let picture = Picture::decode(&photographs.join(place), &Limits::default()).unwrap();
            let found = session.predict(&picture.frame()).unwrap();
            let expected = entry["score"].as_f64().unwrap();
            let score = f64::from(found.normalized_score.unwrap());
            assert!((score - expected).abs() < 1e-3, "{case}: {name}: {score} is not {expected}");
            let mut map = session.map().unwrap().to_vec();
            let label = found.decision.is_anomalous();
            model.calibration().normalize_map(&mut map);
            let highest = f64::from(map.into_iter().reduce(f32::max).unwrap());
            let expected = entry["map_max"].as_f64().unwrap();
            assert!((highest - expected).abs() < 1e-3, "{case}: {name}: map to {highest}, not {expected}");
            assert_eq!(label, entry["label"].as_bool(), "{case}: {name}");
        }
    }
}

fn checkpoints_from_the_field_that_say_too_little_are_refused() {
    for (case, part) in [
        ("anomalib_20_default_crop/2.0.0_default", "--center-crop"),
        ("anomalib_unserialised_transform/todtype", "--image-size"),
        ("anomalib_resize_int/resizeint", "--image-size 128 if they are square"),
        ("anomalib_bank_of_one/bank1", "found one row"),
        ("anomalib_old_versions/1.2.0_128", "a checkpoint of anomalib 1"),
    ] {
        let error = Import::open(shared(&format!("cases/{case}.ckpt"))).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let default = shared("cases/anomalib_20_default_crop/2.0.0_default.ckpt");
    let model = Import::open_with(&default, &prepared(Some(256), Some(224))).unwrap().model;
    assert_eq!(model.info().preprocess().output_size(), (224, 224));
}
