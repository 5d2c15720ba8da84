//! Pixels that the library owns.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use super::{Frame, PixelFormat};
use crate::error::{Error, Result};

/// An owned photograph: gray or RGB, 8 or 16 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    format: PixelFormat,
    data: Vec<u8>,
}

/// The samples of a photograph, row by row, the channels of a pixel side by side.
pub(super) enum Samples {
    Eight(Vec<u8>),
    #[cfg(feature = "decode")]
    Sixteen(Vec<u16>),
}

impl Picture {
    pub(super) fn new(width: usize, height: usize, channels: usize, samples: Samples) -> Result<Self> {
        let (format, data) = match samples {
            Samples::Eight(values) => {
                (if channels == 1 { PixelFormat::Gray8 } else { PixelFormat::Rgb8 }, values)
            }
            #[cfg(feature = "decode")]
            Samples::Sixteen(values) => {
                let bytes = values.into_iter().flat_map(u16::to_ne_bytes).collect();
                (if channels == 1 { PixelFormat::Gray16 } else { PixelFormat::Rgb16 }, bytes)
            }
        };
        Frame::new(width, height, width * format.bytes(), format, &data)?;
        Ok(Self { width, height, format, data })
    }

    /// An RGB picture of `width * height` pixels, three bytes each.
    ///
    /// # Errors
    /// The sides are out of a [`Frame`]'s range, or `data` has another length.
    pub fn from_rgb(width: usize, height: usize, data: Vec<u8>) -> Result<Self> {
        if width.checked_mul(height).and_then(|n| n.checked_mul(3)) != Some(data.len()) {
            return Err(Error::argument(
                "pixels",
                format!("{} bytes", data.len()),
                format!("3 x {width} x {height}"),
            ));
        }
        Self::new(width, height, 3, Samples::Eight(data))
    }

    /// Pixels a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    #[cfg(all(feature = "decode", feature = "train"))]
    pub(super) fn format(&self) -> PixelFormat {
        self.format
    }

    #[cfg(all(feature = "decode", feature = "train"))]
    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    /// The pixels, borrowed.
    pub fn frame(&self) -> Frame<'_> {
        Frame::checked(self.width, self.height, self.width * self.format.bytes(), self.format, &self.data)
    }

    /// Whether each pixel has a sample that is not 0.
    #[cfg(feature = "decode")]
    pub(crate) fn marked(&self) -> Vec<bool> {
        self.data.chunks_exact(self.format.bytes()).map(|pixel| pixel.iter().any(|&b| b != 0)).collect()
    }

    /// Whether the pixels have more than `most` colours.
    #[cfg(all(feature = "decode", feature = "train"))]
    pub(crate) fn has_more_colors(&self, most: usize) -> bool {
        let mut colors = std::collections::HashSet::new();
        self.data.chunks_exact(self.format.bytes()).any(|pixel| colors.insert(pixel) && colors.len() > most)
    }
}
