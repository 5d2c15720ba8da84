//! The smallest model there is: one layer of the small network on 32x32 pixels.

#![allow(dead_code)] // each test file uses its part

use super::photographs::{gray_frame, gray_pattern};
use patchcore::Layer;
use patchcore::SearchKind;
use patchcore::image::Frame;
use patchcore::{Backbone, PatchCore, Result, Session, TrainOptions, Trainer};
use std::ops::ControlFlow;

pub const SIDE: usize = 32;

pub fn photograph(seed: usize) -> Vec<u8> {
    gray_pattern(SIDE, SIDE, seed)
}

pub fn frame(pixels: &[u8]) -> Frame<'_> {
    gray_frame(SIDE, pixels)
}

pub fn options(search: SearchKind) -> TrainOptions {
    let mut options =
        TrainOptions::default().refer_to_backbone(true).threads(1).coreset_ratio(0.1).search(search);
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

/// Score and map of a photograph as bits.
pub fn answer(model: &PatchCore, pixels: &[u8]) -> Result<Vec<u32>> {
    let mut session = Session::new(model, 1)?;
    let found = session.predict(&frame(pixels))?;
    let numbers =
        [found.score].into_iter().chain(found.normalized_score).chain(session.map()?.iter().copied());
    Ok(numbers.map(f32::to_bits).collect())
}
