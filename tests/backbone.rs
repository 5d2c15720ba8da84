//! The embedded backbones: what the library brings is what the files and their card say, and models refer to
//! it or copy it.

#![cfg(all(feature = "train", feature = "embedded-default", feature = "embedded-small"))]

mod support;

use patchcore::Architecture;
use patchcore::{Backbone, PatchCore, Session, TrainOptions, Trainer, weights};
use std::ops::ControlFlow;
use std::path::Path;
use support::photographs::{gray_frame, gray_pattern};

const SIDE: usize = 64;

fn models() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/models"))
}

#[test]
fn embedded_weights_are_those_of_their_files_and_their_card() {
    let card = std::fs::read_to_string(models().join("README.md")).unwrap();
    for (name, architecture) in [("default", "resnet18"), ("small", "resnet18_narrow")] {
        let backbone = Backbone::embedded(name).unwrap();
        assert_eq!((backbone.origin(), backbone.architecture().name()), (name, architecture));
        let file = models().join(format!("{name}.safetensors"));
        let tensors = weights::load(&file, &Default::default()).unwrap();
        let loaded = Backbone::from_tensors(&Architecture::named(architecture).unwrap(), &tensors).unwrap();
        assert!(backbone.flat() == loaded.flat(), "{name}");
        assert_eq!(backbone.checksum(), loaded.checksum(), "{name}");
        let checksum = format!("{:08x}", backbone.checksum());
        assert!(
            card.contains(&checksum),
            "models/README.md does not say that {name} has checksum {checksum}"
        );
    }
}

#[test]
fn the_files_fit_into_a_package_of_the_registry() {
    let size = |name: &str| std::fs::metadata(models().join(name)).unwrap().len();
    assert!(size("default.safetensors") + size("small.safetensors") <= 8_000_000);
}

fn train(refer_to_backbone: bool) -> PatchCore {
    let mut options = TrainOptions::default().refer_to_backbone(refer_to_backbone);
    options.preprocess.resize = (SIDE, SIDE);
    let mut trainer = Trainer::new(&Backbone::embedded("small").unwrap(), &options).unwrap();
    for seed in 0..3 {
        trainer.add(&gray_frame(SIDE, &gray_pattern(SIDE, SIDE, seed))).unwrap();
    }
    trainer.finish(&mut |_, _, _| ControlFlow::Continue(())).unwrap()
}

#[test]
fn a_model_refers_to_an_embedded_backbone_or_copies_it_and_scores_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let open = |refers: bool| {
        let path = folder.path().join(format!("{refers}.pcore"));
        train(refers).save(&path).unwrap();
        PatchCore::open(&path).unwrap()
    };
    let [refers, copies] = [true, false].map(open);
    let (a, b) = (refers.info(), copies.info());
    assert!(a.weights_are_embedded() && !b.weights_are_embedded());
    assert_eq!((a.weights(), a.weights_checksum()), (b.weights(), b.weights_checksum()));
    let weights = 2 * Backbone::embedded("small").unwrap().flat().len();
    assert!(b.file_bytes().unwrap() - a.file_bytes().unwrap() >= weights);

    let pixels = gray_pattern(SIDE, SIDE, 7);
    let frame = gray_frame(SIDE, &pixels);
    let score = |model: &PatchCore| Session::new(model, 1).unwrap().predict(&frame).unwrap().score;
    assert_eq!(score(&refers).to_bits(), score(&copies).to_bits());
}
