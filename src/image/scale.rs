//! Photographs scaled for people to look at.

use super::{Frame, Picture, Preprocess, Preprocessor};
use crate::error::Result;
use crate::kernels::Isa;
use crate::parallel::Pool;
use crate::tensor::ImageTensor;

impl Picture {
    /// `frame` scaled to `width` x `height`, in 8-bit RGB. A reduced pixel is a weighted mean of those that
    /// it covers (triangle filter); an enlargement is bilinear.
    ///
    /// # Errors
    /// The sides are out of a [`Frame`]'s range, or above 16,384.
    pub fn scaled(frame: &Frame<'_>, width: usize, height: usize) -> Result<Self> {
        let plain =
            Preprocess { resize: (height, width), mean: [0.0; 3], std: [1.0; 3], ..Preprocess::default() };
        let mut tensor = ImageTensor::default();
        Preprocessor::new(&plain, Isa::best())?.run(frame, &Pool::new(1)?, &mut tensor);
        let [red, green, blue] = [0, 1, 2].map(|channel| &tensor.data[channel * width * height..]);
        let pixels = red.iter().zip(green).zip(blue).map(|((&red, &green), &blue)| [red, green, blue]);
        let bytes = pixels.take(width * height).flatten().map(|value| (value * 255.0).round() as u8);
        Self::from_rgb(width, height, bytes.collect())
    }
}
