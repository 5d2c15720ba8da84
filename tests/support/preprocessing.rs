//! Formula images and their preprocessing.

#![allow(dead_code)] // each test file uses its part

use super::golden::formula;
use patchcore::image::{Frame, PixelFormat, Preprocess, Preprocessor};
use patchcore::internals::tensor::ImageTensor;
use patchcore::{Isa, Pool};

/// The network input for RGB `pixels` of that height and width.
pub fn preprocess(plan: &Preprocess, pixels: &[u8], (height, width): (usize, usize), isa: Isa) -> Vec<f32> {
    let frame = Frame::new(width, height, width * 3, PixelFormat::Rgb8, pixels).unwrap();
    let mut out = ImageTensor::default();
    Preprocessor::new(plan, isa).unwrap().run(&frame, &Pool::new(2).unwrap(), &mut out);
    assert_eq!((out.height, out.width), plan.output_size());
    out.data
}

/// Resizing alone, in [0, 1].
pub fn resize(size: (usize, usize), antialias: bool) -> Preprocess {
    Preprocess::default().resize(size).crop(None).antialias(antialias).mean([0.0; 3]).std([1.0; 3])
}

/// RGB pixels of a formula image of that height and width.
pub fn pixels((height, width): (usize, usize)) -> Vec<u8> {
    formula("image", height * width * 3).map(|u| (256.0 * u) as u8).collect()
}
