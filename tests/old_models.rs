//! Model files of every format version since tagged metadata open, and score as they did.
//!
//! A new version adds its file: `PATCHCORE_WRITE_MODEL=tests/models/VERSION.pcore cargo test --test
//! old_models`.

#![cfg(feature = "train")]

use patchcore::image::{Frame, Orientation, PixelFormat};
use patchcore::weights::{NamedTensors, Tensor};
use patchcore::{
    Architecture, Backbone, Decision, Layer, PatchCore, SearchKind, Session, TrainOptions, Trainer,
};
use std::ops::ControlFlow;
use std::path::Path;

const SIDE: usize = 32;

/// A grey pattern that `number` moves; with a bright spot where `flawed`.
fn photograph(number: usize, flawed: bool) -> Vec<u8> {
    let value = |i: usize| match flawed && (12..16).contains(&(i / SIDE)) && (8..14).contains(&(i % SIDE)) {
        true => 250,
        false => 90 + ((i % SIDE * 5 + number * 3) ^ (i / SIDE * 3 + number)) as u8 % 64,
    };
    (0..SIDE * SIDE).map(value).collect()
}

fn frame(pixels: &[u8]) -> Frame<'_> {
    Frame::new(SIDE, SIDE, SIDE, PixelFormat::Gray8, pixels).unwrap()
}

/// The first layer of the narrow network, with weights from a formula.
fn backbone() -> Backbone {
    let mut tensors = NamedTensors::new("formula");
    let mut insert = |name: &str, shape: &[usize], scale: f32| {
        let value = |i: usize| ((i * 2_654_435_761 % 1009) as f32 / 504.5 - 1.0) * scale;
        let data = (0..shape.iter().product()).map(value).collect();
        tensors.insert(name.to_string(), Tensor { shape: shape.to_vec(), data });
    };
    insert("conv1.weight", &[32, 3, 5, 5], 0.2);
    insert("conv1.bias", &[32], 0.1);
    for name in ["layer1.0.conv1", "layer1.0.conv2"] {
        insert(&format!("{name}.weight"), &[32, 32, 3, 3], 0.1);
        insert(&format!("{name}.bias"), &[32], 0.1);
    }
    Backbone::from_tensors(&Architecture::named("resnet18_narrow").unwrap(), &tensors).unwrap()
}

fn model() -> PatchCore {
    let mut options = TrainOptions::default().threads(1).coreset_ratio(0.2).search(SearchKind::Pruned);
    options.layers = vec![Layer::Layer1];
    options.preprocess.resize = (SIDE, SIDE);
    let mut trainer = Trainer::new(&backbone(), &options).unwrap();
    for number in 0..8 {
        trainer.add(&frame(&photograph(number, false))).unwrap();
    }
    trainer.finish(&mut |_, _, _| ControlFlow::Continue(())).unwrap()
}

/// Each version's file, with the scores of a good and of a flawed photograph when it was written.
const FILES: [(&str, [f32; 2]); 1] = [("4.pcore", [0.233_160_24, 2.119_704_7])];

#[test]
fn models_of_earlier_versions_open_and_score_as_they_did() {
    if let Some(path) = std::env::var_os("PATCHCORE_WRITE_MODEL") {
        model().save(path).unwrap();
    }
    for (name, expected) in FILES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name);
        let model = PatchCore::open(&path).unwrap();
        let mut session = Session::new(&model, 1).unwrap();
        let verdicts = [photograph(20, false), photograph(20, true)]
            .map(|pixels| session.predict(&frame(&pixels)).unwrap());
        let found = verdicts.map(|verdict| verdict.score);
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-3 * expected, "{name}: {found} is not {expected}");
        }
        assert_eq!(verdicts.map(|v| v.decision), [Decision::Good, Decision::Anomalous], "{name}");
        assert_eq!(model.info().good_scores().len(), 8);
        assert_eq!((model.info().orientation(), model.info().bit_depth()), (Orientation::Exif, None));
    }
}
