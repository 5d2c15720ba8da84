//! Conversions from and to ndarray's views (feature `ndarray`). Nothing inside works on them.

use crate::detector::Session;
use crate::error::{Error, Result};
use crate::image::{Frame, PixelFormat};
use crate::tensor::Patches;
use ::ndarray::{ArrayView2, ArrayView3};

impl<'a> Frame<'a> {
    /// The photograph in `pixels`, `[height, width, channels]` with the channels gray, RGB or RGBA.
    ///
    /// # Errors
    /// There are not 1, 3 or 4 channels, the values do not lie in standard order, or a side is out of range.
    pub fn from_view(pixels: ArrayView3<'a, u8>) -> Result<Self> {
        let (height, width, channels) = pixels.dim();
        let format = match channels {
            1 => PixelFormat::Gray8,
            3 => PixelFormat::Rgb8,
            4 => PixelFormat::Rgba8,
            _ => return Err(Error::argument("pixel array", format!("{channels} channels"), "1, 3 or 4")),
        };
        let data = pixels.to_slice().ok_or_else(|| {
            let found = format!("strides {:?}", pixels.strides());
            Error::argument("pixel array", found, "standard order: rows, then pixels, then channels")
                .hint("as_standard_layout() makes one")
        })?;
        Self::new(width, height, width * channels, format, data)
    }
}

impl Session {
    /// The anomaly map of the last prediction: `[height, width]`.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    pub fn map_view(&self) -> Result<ArrayView2<'_, f32>> {
        let (height, width) = self.map_size();
        Ok(view(height, width, self.map()?))
    }
}

impl<'a> Patches<'a> {
    /// The embeddings: `[rows, dim]`.
    pub fn view(&self) -> ArrayView2<'a, f32> {
        view(self.rows(), self.dim, self.data)
    }
}

fn view(rows: usize, columns: usize, data: &[f32]) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, columns), &data[..rows * columns]).expect("the slice has this length")
}
