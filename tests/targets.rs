//! Scores that are the same on every machine: what a network of weights from a formula gives for photographs
//! from a formula.

#![cfg(feature = "train")]

#[path = "support/photographs.rs"]
mod photographs;

use patchcore::Isa;
use patchcore::{Architecture, Mode};
use patchcore::{Backbone, OpenOptions, PatchCore, Session, TrainOptions, Trainer};
use photographs::gray_frame;
use std::ops::ControlFlow;

const WIDTH: usize = 72;
const HEIGHT: usize = 60;

/// A striped plate; with a defect a square of it is bright.
fn photograph(number: usize, defect: usize) -> Vec<u8> {
    let value = |x: usize, y: usize| {
        let hit = (20..20 + defect).contains(&x) && (30..30 + defect).contains(&y);
        if hit { 250 } else { (90 + (x + number) % 8 * 9 + y * (number + 3) / 8) as u8 }
    };
    (0..WIDTH * HEIGHT).map(|i| value(i % WIDTH, i / WIDTH)).collect()
}

/// A model that keeps every patch, so that its rows do not hang on the last bits of distances.
fn train() -> PatchCore {
    let backbone = Backbone::pseudo_random(&Architecture::named("resnet18").unwrap());
    let mut options = TrainOptions::default().coreset_ratio(1.0).threads(1).false_alarm_rate(0.2);
    options.preprocess.resize = (64, 64);
    let mut trainer = Trainer::new(&backbone, &options).unwrap();
    for number in 0..6 {
        trainer.add(&gray_frame(WIDTH, &photograph(number, 0))).unwrap();
    }
    trainer.finish(&mut |_, _, _| ControlFlow::Continue(())).unwrap()
}

/// Photograph, side of its defect, score, label.
const EXPECTED: [(usize, usize, f32, bool); 5] = [
    (6, 0, 15.797_424, false),
    (7, 0, 17.091_507, false),
    (6, 3, 19.212_553, true),
    (7, 8, 37.695_335, true),
    (8, 20, 70.032_61, true),
];

/// Its maps take more than 2 GiB.
#[cfg(target_pointer_width = "32")]
#[test]
fn a_network_input_that_the_address_space_does_not_hold_is_refused() {
    use patchcore::internals::network::{Layer, Network};
    let backbone = Backbone::pseudo_random(&Architecture::named("resnet18_narrow").unwrap());
    let pool = patchcore::Pool::new(1).unwrap();
    let network = Network::new(&backbone, &[Layer::Layer1], (8184, 8192), Mode::Fast, Isa::PORTABLE, &pool);
    assert_eq!(network.err().unwrap().kind(), patchcore::ErrorKind::Limit);
}

#[test]
fn scores_and_labels_are_those_of_every_other_machine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plates.pcore");
    train().save(&path).unwrap();
    for (isa, mode) in
        Isa::available().into_iter().flat_map(|isa| [(isa, Mode::Fast), (isa, Mode::Reference)])
    {
        let model = OpenOptions::default().isa(Some(isa)).mode(mode).open(&path).unwrap();
        let mut session = Session::new(&model, 1).unwrap();
        let found = EXPECTED.map(|(number, defect, ..)| {
            let pixels = photograph(number, defect);
            let found = session.predict(&gray_frame(WIDTH, &pixels)).unwrap();
            (number, defect, found.score, found.decision == patchcore::Decision::Anomalous)
        });
        let is_near =
            |(a, b): (&(_, _, f32, bool), &(_, _, f32, bool))| (a.2 - b.2).abs() < 1e-4 * b.2 && a.3 == b.3;
        println!("{isa:?}, {mode:?}: {found:?}");
        assert!(found.iter().zip(&EXPECTED).all(is_near), "{isa:?}, {mode:?}: {found:?}");
    }
}
