//! The smallest model there is: one layer of the small network on 32x32 pixels.

#![allow(dead_code)] // each test file uses its part

use patchcore::Layer;
use patchcore::SearchKind;
use patchcore::image::{Frame, PixelFormat};
use patchcore::{Backbone, PatchCore, Result, Session, TrainOptions, Trainer};
use std::ops::ControlFlow;
use std::path::Path;

pub const SIDE: usize = 32;

/// A gray pattern; `seed` moves it.
pub fn photograph(seed: usize) -> Vec<u8> {
    (0..SIDE * SIDE).map(|i| ((i % SIDE * 5 + seed * 13) ^ (i / SIDE * 3 + seed)) as u8).collect()
}

pub fn frame(pixels: &[u8]) -> Frame<'_> {
    Frame::new(SIDE, SIDE, SIDE, PixelFormat::Gray8, pixels).unwrap()
}

pub fn options(search: SearchKind) -> TrainOptions {
    let mut options = TrainOptions::default().threads(1).coreset_ratio(0.1).search(search);
    options.layers = vec![Layer::Layer1];
    options.preprocess.resize = (SIDE, SIDE);
    options
}

pub fn train(options: &TrainOptions, photographs: &[Vec<u8>]) -> Result<PatchCore> {
    let mut trainer = Trainer::new(&Backbone::embedded("small")?, options)?;
    for pixels in photographs {
        trainer.add(&frame(pixels))?;
    }
    trainer.finish(&mut |_, _, _| ControlFlow::Continue(()))
}

pub fn model(search: SearchKind) -> PatchCore {
    train(&options(search), &[0, 1, 2].map(photograph)).unwrap()
}

pub fn saved(model: &PatchCore, path: &Path) -> Vec<u8> {
    model.save(path).unwrap();
    std::fs::read(path).unwrap()
}

/// Score and map of a photograph as bits.
pub fn answer(model: &PatchCore, pixels: &[u8]) -> Result<Vec<u32>> {
    let mut session = Session::new(model, 1)?;
    let found = session.predict(&frame(pixels))?;
    let numbers =
        [found.score].into_iter().chain(found.normalized_score).chain(session.map()?.iter().copied());
    Ok(numbers.map(f32::to_bits).collect())
}
