//! Checkpoints of the reference become models that score, normalise and label as it does.

mod program;
#[path = "../../tests/support/mod.rs"]
mod support;

use patchcore::Isa;
use patchcore::PatchExtractor;
use patchcore::Pool;
use patchcore::anomalib::{Import, ImportOptions};
use patchcore::image::{Frame, PixelFormat};
use patchcore::internals::network::{Architecture, Layer, Mode, Network};
use patchcore::score::{CalibrationSource, LabelRule};
use patchcore::{Backbone, ErrorKind, PatchCore, Session};
use program::{patchcore_fails, patchcore_ok, patchcore_refuses};
use std::path::Path;
use std::sync::Arc;
use support::checkpoint::*;
use support::golden::formula;
use support::state_dict::StateDict;
use support::torch::{Py, PyTensor, dict, save, text};

fn photograph(seed: &str) -> Vec<u8> {
    formula(seed, 90 * 70 * 3).map(|u| (256.0 * u) as u8).collect()
}

fn frame(pixels: &[u8]) -> Frame<'_> {
    Frame::new(90, 70, 270, PixelFormat::Rgb8, pixels).unwrap()
}

/// The image score, by comparing every patch with every row.
fn naive_score(model: &PatchCore, frame: &Frame<'_>, neighbors: usize) -> f64 {
    let backbone =
        Backbone::from_tensors(&Architecture::named("resnet18").unwrap(), &StateDict::new("resnet18").0)
            .unwrap();
    let preprocess = model.info().preprocess();
    let (isa, layers) = (Isa::detect().unwrap(), [Layer::Layer2, Layer::Layer3]);
    let (size, pool) = (preprocess.output_size(), Pool::new(1).unwrap());
    let network = Arc::new(Network::new(&backbone, &layers, size, Mode::Fast, isa, &pool).unwrap());
    let mut extractor = PatchExtractor::new(&network, preprocess, isa).unwrap();
    let (patches, _) = extractor.extract(frame, &pool).unwrap();
    let bank = bank();
    let rows: Vec<&[f32]> = bank.chunks_exact(DIM).collect();
    let distance = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>().sqrt()
    };
    let nearest = |query: &[f32]| {
        let mut all: Vec<_> = rows.iter().map(|row| distance(query, row)).zip(0..ROWS).collect();
        all.sort_by(|a, b| a.partial_cmp(b).unwrap());
        all
    };
    let found: Vec<_> = (0..patches.rows()).map(|i| (nearest(patches.row(i))[0], i)).collect();
    let &((score, row), patch) = found.iter().max_by(|a, b| a.0.0.total_cmp(&b.0.0)).unwrap();
    let weights: Vec<f64> = nearest(rows[row])[..neighbors]
        .iter()
        .map(|&(_, i)| (distance(patches.row(patch), rows[i]) - score).exp())
        .collect();
    (1.0 - weights[0] / weights.iter().sum::<f64>()) * score
}

#[test]
fn a_checkpoint_becomes_the_model_that_it_describes() {
    let Import { model, notes } = Parts::default().open().unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    let information = model.info();
    assert_eq!(information.architecture(), "resnet18");
    assert_eq!(information.weights(), "model.ckpt");
    assert_eq!(information.layers(), [Layer::Layer2, Layer::Layer3], "depth order always wins");
    assert_eq!(information.neighbors(), 5);
    let preprocess = information.preprocess();
    assert_eq!((preprocess.resize, preprocess.crop, preprocess.antialias), ((72, 96), Some((64, 80)), true));
    assert_eq!(preprocess.mean, [0.485, 0.456, 0.406]);
    assert_eq!((information.training().seed, information.training().coreset_ratio), (None, 0.1));
    assert!(*model.memory_bank() == bank());
    let calibration = model.calibration();
    assert_eq!(
        (calibration.rule, calibration.source),
        (LabelRule::StrictlyAbove, CalibrationSource::Imported)
    );
    let image = calibration.image;
    assert_eq!((image.threshold, image.min, image.max), (7.0, 5.0, 9.0));
    let pixel = calibration.pixel;
    assert_eq!((pixel.threshold, pixel.min, pixel.max), (6.0, 4.0, 8.0));
    // At the threshold and a few roundings beside it a sample is good; pixels have a sensitivity of 0.25.
    assert_eq!([7.0, 7.000_1, 7.01].map(|x| calibration.is_anomalous(x)), [false, false, true].map(Some));
    assert!(!calibration.is_anomalous_pixel(6.99) && calibration.is_anomalous_pixel(7.01));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pcore");
    model.save(&path).unwrap();
    let reopened = PatchCore::open(&path).unwrap();
    for seed in ["first", "second"] {
        let pixels = photograph(seed);
        let expected = naive_score(&model, &frame(&pixels), 5);
        for model in [&model, &reopened] {
            let mut session = Session::new(model, 1).unwrap();
            let score = f64::from(session.predict(&frame(&pixels)).unwrap().score);
            assert!((score - expected).abs() < 1e-4 * expected, "{score} is not {expected}");
        }
    }
}

#[test]
fn half_precision_converts_and_is_said() {
    // 1.0, and all other halves of the bank's first bytes.
    let halves: Vec<u8> = (0..ROWS * DIM).flat_map(|i| (0x3c00 + i as u16 % 512).to_le_bytes()).collect();
    let bank = PyTensor::new("HalfStorage", 2, &[ROWS, DIM], halves);
    let Import { model, notes } = Parts { bank, precision: "float16", ..Parts::default() }.open().unwrap();
    assert_eq!(model.memory_bank()[..2], [1.0, 1.0 + 1.0 / 1024.0]);
    assert!(notes.len() == 1 && notes[0].contains("float16"), "{notes:?}");
}

#[test]
fn numbers_that_are_unset_are_borrowed_or_leave_scores_raw() {
    let numbers = |pairs: &[(&'static str, f32)]| {
        let mut parts = Parts::default();
        for (name, value) in pairs {
            parts.numbers.retain(|(n, _)| n != name);
            parts.numbers.push((name, *value));
        }
        parts
    };
    let no_masks = numbers(&[("_pixel_threshold", f32::NAN)]);
    assert_eq!(no_masks.open().unwrap().model.calibration().pixel.threshold, 7.0);
    let apart = Parts { post_processor: post_processor(true, true, false), ..no_masks };
    assert!(apart.open().unwrap().model.calibration().pixel.threshold.is_nan());

    let nan = f32::NAN;
    let all = ["_image_threshold", "_pixel_threshold", "image_min", "image_max", "pixel_min", "pixel_max"];
    let unset = numbers(&all.map(|name| (name, nan)));
    let without_range = Parts { post_processor: post_processor(false, true, true), ..Parts::default() };
    for parts in [unset, without_range, Parts { numbers: Vec::new(), ..Parts::default() }] {
        let Import { model, notes } = parts.open().unwrap();
        assert_eq!(model.calibration().normalize_score(3.0), None);
        assert_eq!([0.6, 0.5].map(|x| model.calibration().is_anomalous(x)), [Some(true), Some(false)]);
        assert!(notes.len() == 1 && notes[0].contains("above 0.5"), "{notes:?}");
    }
    assert!(numbers(&[("image_max", f32::INFINITY)]).error().contains("post_processor.image_max"));
}

#[test]
fn without_thresholding_nothing_is_labelled() {
    let off = Parts { post_processor: post_processor(true, false, true), ..Parts::default() };
    let none = dict([("post_processor", Py::Bool(false))]);
    let absent = Parts { components: none, post_processor: Py::None, ..Parts::default() };
    for (parts, normalized) in [(off, Some(1.0)), (absent, None)] {
        let Import { model, notes } = parts.open().unwrap();
        assert_eq!(model.calibration().is_anomalous(100.0), None);
        assert!(!model.calibration().is_anomalous_pixel(100.0));
        assert_eq!(model.calibration().normalize_score(100.0), normalized);
        assert!(notes.len() == 1 && notes[0].contains("nothing is labelled"), "{notes:?}");
    }
}

/// Sides as `import --image-size` and `--center-crop` give them.
fn prepared(image_size: Option<usize>, center_crop: Option<usize>) -> ImportOptions {
    let square = |side| (side, side);
    ImportOptions::default().image_size(image_size.map(square)).center_crop(center_crop.map(square))
}

#[test]
fn how_photographs_are_prepared_is_asked_for_where_the_checkpoint_does_not_say() {
    let silent = Parts { transform: Py::None, ..Parts::default() };
    for options in [prepared(None, None), prepared(None, Some(64))] {
        let error = silent.open_with(&options).unwrap_err().to_string();
        assert!(error.contains("found nothing about how photographs are resized and cropped"), "{error}");
        assert!(error.contains("--image-size") && error.contains("256 and 224"), "{error}");
    }
    for crop in [None, Some(64)] {
        let Import { model, notes } = silent.open_with(&prepared(Some(96), crop)).unwrap();
        let preprocess = model.info().preprocess();
        assert_eq!((preprocess.resize, preprocess.crop), ((96, 96), crop.map(|side| (side, side))));
        assert_eq!(preprocess.mean, [0.485, 0.456, 0.406]);
        assert!(notes.len() == 1 && notes[0].contains("cropped as given"), "{notes:?}");
    }
    let error = silent.open_with(&prepared(Some(64), Some(65))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Argument, "{error}");
}

#[test]
fn what_the_checkpoint_says_of_its_photographs_is_not_contradicted() {
    let resized = compose(vec![resize(size(72, 72)), crop(64, 64)]);
    let parts = Parts { transform: resized, ..Parts::default() };
    assert!(parts.open_with(&prepared(Some(72), Some(64))).unwrap().notes.is_empty());
    let error = |options: &ImportOptions| parts.open_with(options).unwrap_err().to_string();
    let expected = "image size: found 64x64, expected 72x72, as the checkpoint says";
    assert_eq!(error(&prepared(Some(64), None)), expected);
    let expected = "centre crop: found 72x72, expected 64x64, as the checkpoint says";
    assert_eq!(error(&prepared(None, Some(72))), expected);
}

#[test]
fn a_resize_that_keeps_the_shape_of_photographs_needs_their_shape() {
    let shorter = resize(Py::List(vec![Py::Int(64)]));
    let parts = Parts { transform: compose(vec![shorter, normalize()]), ..Parts::default() };
    for options in [prepared(None, None), prepared(Some(96), None)] {
        let error = parts.open_with(&options).unwrap_err().to_string();
        assert!(
            error.contains("found 64 for the shorter side") && error.contains("--image-size 64"),
            "{error}"
        );
    }
    for given in [(64, 64), (64, 96), (96, 64)] {
        let options = ImportOptions::default().image_size(Some(given));
        let Import { model, notes } = parts.open_with(&options).unwrap();
        assert_eq!((model.info().preprocess().resize, notes.len()), (given, 0));
    }
}

#[test]
fn a_transform_may_be_a_resize_alone() {
    let alone = Parts { transform: resize(size(64, 64)), ..Parts::default() }.open().unwrap().model;
    let preprocess = *alone.info().preprocess();
    assert_eq!((preprocess.resize, preprocess.crop, preprocess.std), ((64, 64), None, [1.0; 3]));
}

#[test]
fn layers_that_a_model_does_not_use_may_be_missing() {
    let dim = 128;
    let whole = Parts {
        layers: Py::Tuple(vec![text("layer2")]),
        bank: PyTensor::f32(&[ROWS, dim], &formula("bank", ROWS * dim).collect::<Vec<_>>()),
        ..Parts::default()
    };
    let shallow = Parts { without: Some(Layer::Layer3), ..whole.clone() };
    let [whole, shallow] = [whole, shallow].map(|parts| parts.open().unwrap().model);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pcore");
    shallow.save(&path).unwrap();
    let reopened = PatchCore::open(&path).unwrap();
    let pixels = photograph("shallow");
    let score = |model: &PatchCore| Session::new(model, 1).unwrap().predict(&frame(&pixels)).unwrap().score;
    assert_eq!(score(&shallow).to_bits(), score(&whole).to_bits());
    assert_eq!(score(&reopened).to_bits(), score(&whole).to_bits());

    let error = Parts { without: Some(Layer::Layer3), ..Parts::default() }.error();
    assert!(error.contains("layers: found layer3, expected layers as far as layer2"), "{error}");
    let error = Parts { without: Some(Layer::Layer2), ..Parts::default() }.error();
    assert!(error.contains("tensor layer2.0.conv1.weight: found no such tensor"), "{error}");
}

#[test]
fn a_bank_of_one_row_is_refused_where_the_reference_scores_everything_0() {
    let one = Parts { bank: PyTensor::f32(&[1, DIM], &[0.5; DIM]), ..Parts::default() };
    let error = one.error();
    assert!(error.contains("tensor model.memory_bank: found one row, expected two at least"), "{error}");
    assert!(Parts { neighbors: Py::Int(1), ..one }.open().is_ok(), "no weight, no 0");
}

#[test]
fn a_checkpoint_of_anomalib_1_is_called_that() {
    let transform = Py::Call(Box::new(Py::Global("torchvision.transforms.v2._container", "Compose")), vec![]);
    let state = [("image_threshold.value", Py::Tensor(PyTensor::f32(&[], &[1.0])))];
    let old = dict([("state_dict", dict(state)), ("transform", transform)]);
    let error = Import::open_bytes("old.ckpt", save(&old), &ImportOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "old.ckpt: found a checkpoint of anomalib 1 or older, expected one of anomalib 2 (fit the model anew \
         with anomalib 2, or on the same photographs with patchcore train)"
    );
}

#[test]
fn the_program_takes_what_a_checkpoint_does_not_say() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = write(folder.path(), &Parts { transform: Py::None, ..Parts::default() }.save());
    let out = folder.path().join("model.pcore");
    let arguments = [Path::new("import"), &checkpoint, Path::new("--out"), &out].map(Path::as_os_str);
    patchcore_fails(arguments, &["model.ckpt", "--image-size"]);
    let given = ["--image-size", "72", "--center-crop", "64"].map(std::ffi::OsStr::new);
    patchcore_ok([&arguments[..], &given].concat());
    assert_eq!(PatchCore::open(&out).unwrap().info().preprocess().output_size(), (64, 64));
    let said = write(folder.path(), &Parts::default().save());
    let arguments = [Path::new("import"), &said, Path::new("--out"), &out].map(Path::as_os_str);
    patchcore_refuses([&arguments[..], &given].concat(), &["--image-size: found 72x72, expected 72x96"]);
}

#[test]
fn transforms_that_there_are_none_of_are_named() {
    let bicubic = transform("Resize", vec![("size", size(64, 64)), ("interpolation", text("bicubic"))]);
    let resized = || resize(size(64, 64));
    for (steps, parts) in [
        (vec![resized(), transform("Grayscale", vec![])], ["transforms[1].class_path", "Grayscale"]),
        (vec![bicubic], ["interpolation", "bicubic"]),
        (vec![resize(Py::List(vec![Py::Int(256)]))], ["size", "[height, width]"]),
        (vec![resize(size(-1, 64))], ["size[0]", "-1"]),
        (vec![normalize(), resized()], ["transforms[1].class_path", "in this order"]),
        (vec![resized(), resized()], ["transforms[1].class_path", "once"]),
        (vec![normalize()], ["transform", "a Resize"]),
        (vec![resized(), crop(65, 64)], ["centre crop", "65x64"]),
        (vec![compose(vec![resized()])], ["transforms[0].class_path", "Compose"]),
    ] {
        let error = Parts { transform: compose(steps), weights: false, ..Parts::default() }.error();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let components = dict([("pre_processor", Py::Bool(false))]);
    let error = Parts { components, ..Parts::default() }.error();
    assert!(error.contains("pre_processor"), "{error}");
}

#[test]
fn an_input_that_would_not_be_opened_is_not_imported() {
    let error = |height, width| {
        let transform = compose(vec![resize(size(height, width))]);
        Parts { transform, weights: false, ..Parts::default() }.open().unwrap_err()
    };
    let large = error(2048, 2049);
    assert_eq!(large.kind(), ErrorKind::Limit);
    let expected = "model.ckpt: network input: found 2048x2049, expected at most 4194304 pixels";
    assert!(large.to_string().ends_with(expected), "{large}");
    assert!(error(2048, 2048).to_string().contains("tensor conv1.weight"));
}

#[test]
fn what_a_checkpoint_asks_for_wrongly_is_its_fault() {
    let twice = Py::List(vec![text("layer2"), text("layer2")]);
    for parts in [
        Parts { layers: twice, ..Parts::default() },
        Parts { transform: resize(size(31, 64)), ..Parts::default() },
    ] {
        let error = parts.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format, "{error}");
    }
}

#[test]
fn a_note_is_one_short_line_whatever_a_checkpoint_says() {
    let precision: &str = "\u{1b}[2J\n".repeat(1 << 20).leak();
    let notes = Parts { precision, ..Parts::default() }.open().unwrap().notes;
    let [note] = &notes[..] else { panic!("{notes:?}") };
    assert!(note.starts_with(r"the reference computes this checkpoint in \u{1b}[2J\n"), "{note}");
    assert!(note.len() < 1000 && !note.contains(char::is_control), "{note}");
}

#[test]
fn checkpoints_that_are_no_model_are_refused() {
    let unfitted = PyTensor::f32(&[0], &[]);
    let error = Parts { bank: unfitted, ..Parts::default() }.error();
    assert!(error.contains("model.memory_bank") && error.contains("before it was fitted"), "{error}");
    let narrow = PyTensor::f32(&[2, 3], &[0.0; 6]);
    let error = Parts { bank: narrow, ..Parts::default() }.error();
    assert!(error.contains("found shape [2, 3], expected shape [rows, 384]"), "{error}");
    let scalar = PyTensor::f32(&[], &[1.0]);
    assert!(Parts { bank: scalar, ..Parts::default() }.error().contains("found shape []"));
    let nan = PyTensor::f32(&[2, DIM], &[f32::NAN; 2 * DIM]);
    assert!(Parts { bank: nan, ..Parts::default() }.error().contains("NaN in row 0"));
    let error = Parts { weights: false, ..Parts::default() }.error();
    assert!(error.contains("tensor conv1.weight: found no such tensor"), "{error}");
    let error = Parts { backbone: text("vit_base"), ..Parts::default() }.error();
    let expected = "hyper_parameters.backbone: found \"vit_base\", expected resnet18, resnet34, resnet50 or ";
    assert!(error.contains(expected) && !error.contains("narrow"), "{error}");
    let error = Parts { layers: Py::List(vec![text("layer4")]), ..Parts::default() }.error();
    assert!(error.contains("hyper_parameters.layers[0]") && error.contains("layer4"), "{error}");
    let error = Parts { layers: Py::List(vec![Py::None; 101]), ..Parts::default() }.error();
    assert!(error.contains("hyper_parameters.layers: found 101 items"), "{error}");
    for neighbors in [Py::Int(0), Py::Int(-1), Py::Int(5000), text("9")] {
        let error = Parts { neighbors, ..Parts::default() }.error();
        assert!(error.contains("hyper_parameters.num_neighbors"), "{error}");
    }
}

#[test]
fn other_files_fail_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model.pcore");
    let whole = Parts { weights: false, ..Parts::default() }.save();
    let system = support::torch::save_pickle(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.");
    let state_dict = save(&dict([("t", Py::Tensor(PyTensor::f32(&[1], &[1.0])))]));
    for (bytes, part) in [
        (&b"this is no checkpoint\n"[..], "this is "),
        (b"", "a checkpoint"),
        (&whole[..whole.len() / 2], "cut short"),
        (&system, "os.system"),
        (&state_dict, "hyper_parameters"),
    ] {
        let path = write(folder.path(), bytes);
        let arguments = [Path::new("import"), &path, Path::new("--out"), &out];
        patchcore_fails(arguments, &["model.ckpt", part]);
        assert!(!out.exists());
    }
    patchcore_fails(["import", "nowhere.ckpt", "--out", "unused.pcore"], &["nowhere.ckpt", "No such file"]);
}
