//! Conversions from and to ndarray's views.

#![cfg(all(feature = "ndarray", feature = "train", feature = "embedded-small"))]

use ndarray::{Array3, s};
use patchcore::image::{Frame, PixelFormat};
use patchcore::internals::tensor::Patches;
use patchcore::{Backbone, Session, TrainOptions, Trainer};
use std::ops::ControlFlow;

fn photograph(seed: usize) -> Array3<u8> {
    Array3::from_shape_fn((48, 64, 3), |(y, x, c)| ((x * (3 + c) + y * 5 + seed * x * y) % 256) as u8)
}

#[test]
fn views_hold_what_slices_hold() {
    let mut options = TrainOptions::default().threads(1);
    options.preprocess.resize = (32, 64);
    let mut trainer = Trainer::new(&Backbone::embedded("small").unwrap(), &options).unwrap();
    for seed in 0..3 {
        trainer.add(&Frame::from_view(photograph(seed).view()).unwrap()).unwrap();
    }
    let model = trainer.finish(&mut |_, _, _| ControlFlow::Continue(())).unwrap();

    let bank = model.memory_bank();
    let bank = Patches { dim: model.info().dim(), grid_width: 1, data: &bank };
    let view = bank.view();
    assert_eq!(view.dim(), (model.info().bank_rows(), model.info().dim()));
    assert_eq!(view.row(1).to_slice().unwrap(), bank.row(1));

    let mut session = Session::new(&model, 1).unwrap();
    let pixels = photograph(3);
    let found = session.predict(&Frame::from_view(pixels.view()).unwrap()).unwrap();
    let map = session.map_view().unwrap();
    assert_eq!(map.dim(), (32, 64));
    assert_eq!(map[[5, 7]], session.map().unwrap()[5 * 64 + 7]);
    let (score, expected) = (found.score, pixels.as_slice().unwrap());
    let frame = Frame::new(64, 48, 64 * 3, PixelFormat::Rgb8, expected).unwrap();
    assert_eq!(session.predict(&frame).unwrap().score, score);
}

#[test]
fn arrays_that_are_no_photograph_are_refused() {
    let pixels = photograph(0);
    assert_eq!(
        Frame::from_view(pixels.slice(s![.., .., ..1]))
            .unwrap_err()
            .to_string()
            .matches("standard order")
            .count(),
        1
    );
    let two = Array3::<u8>::zeros((48, 64, 2));
    assert!(Frame::from_view(two.view()).unwrap_err().to_string().contains("2 channels"));
    assert!(Frame::from_view(Array3::<u8>::zeros((4, 64, 1)).view()).is_err());
    let gray = Array3::<u8>::zeros((48, 64, 1));
    assert_eq!(Frame::from_view(gray.view()).unwrap().format(), PixelFormat::Gray8);
}
