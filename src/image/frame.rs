//! Pixels that somebody else owns: a camera's buffer or a decoded file.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use crate::error::{Error, Result};

/// More pixels than a camera has; bounds the time and memory that one photograph takes.
const MAX_PIXELS: usize = 100_000_000;
/// Below this there is nothing to see.
const MIN_SIDE: usize = 8;
/// Resizing takes memory for as many rows as the network's input has, each as wide as the photograph.
const MAX_SIDE: usize = 65_535;

/// How a pixel lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PixelFormat {
    /// One byte.
    Gray8,
    /// Red, green, blue.
    Rgb8,
    /// Blue, green, red.
    Bgr8,
    /// Red, green, blue, ignored.
    Rgba8,
    /// Blue, green, red, ignored.
    Bgra8,
    /// One native-endian pair of bytes, full scale 65,535.
    Gray16,
    /// Red, green, blue, each a native-endian pair of bytes.
    Rgb16,
}

impl PixelFormat {
    /// Bytes a pixel.
    pub fn bytes(self) -> usize {
        match self {
            Self::Gray8 => 1,
            Self::Gray16 => 2,
            Self::Rgb8 | Self::Bgr8 => 3,
            Self::Rgba8 | Self::Bgra8 => 4,
            Self::Rgb16 => 6,
        }
    }

    /// Samples a pixel.
    pub(super) fn samples(self) -> usize {
        self.bytes() / if self.is_16_bit() { 2 } else { 1 }
    }

    /// Where red, green and blue lie in a pixel, in samples.
    pub(super) fn order(self) -> [usize; 3] {
        match self {
            Self::Gray8 | Self::Gray16 => [0, 0, 0],
            Self::Rgb8 | Self::Rgba8 | Self::Rgb16 => [0, 1, 2],
            Self::Bgr8 | Self::Bgra8 => [2, 1, 0],
        }
    }

    pub(super) fn is_16_bit(self) -> bool {
        matches!(self, Self::Gray16 | Self::Rgb16)
    }
}

/// A photograph in borrowed memory.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    width: usize,
    height: usize,
    stride: usize,
    format: PixelFormat,
    data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// `height` rows of `width` pixels, `stride` bytes from one row to the next.
    ///
    /// # Errors
    /// A side is below 8 or above 65,535, there are more than 100 million pixels, the stride is shorter than
    /// a row, or `data` is shorter than the rows.
    pub fn new(
        width: usize,
        height: usize,
        stride: usize,
        format: PixelFormat,
        data: &'a [u8],
    ) -> Result<Self> {
        Self::check_size(width, height)?;
        let row = width * format.bytes();
        if stride < row {
            return Err(Error::argument(
                "stride",
                format!("{stride} bytes"),
                format!("at least the {row} of a row"),
            ));
        }
        let needed = stride.checked_mul(height - 1).and_then(|n| n.checked_add(row));
        if needed.is_none_or(|needed| data.len() < needed) {
            let expected = needed.map_or("less".to_string(), |n| format!("at least {n}"));
            return Err(Error::argument("pixel buffer", format!("{} bytes", data.len()), expected));
        }
        Ok(Self { width, height, stride, format, data })
    }

    /// The part of `width` x `height` pixels whose upper left pixel lies in column `x` and row `y`; nothing
    /// is copied.
    ///
    /// # Errors
    /// It does not lie inside the frame, or a side is below 8.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Result<Frame<'a>> {
        let is_inside =
            |first: usize, count: usize, all: usize| first.checked_add(count).is_some_and(|end| end <= all);
        if !is_inside(x, width, self.width) || !is_inside(y, height, self.height) {
            let found = format!("{width}x{height} pixels at {x},{y}");
            return Err(Error::argument("crop", found, format!("a part of {}x{}", self.width, self.height)));
        }
        let start = y * self.stride + x * self.format.bytes();
        Frame::new(width, height, self.stride, self.format, self.data.get(start..).unwrap_or_default())
    }

    /// Checks that a frame may be of this size.
    pub(crate) fn check_size(width: usize, height: usize) -> Result<()> {
        if width.min(height) < MIN_SIDE {
            return Err(Error::argument(
                "image size",
                format!("{width}x{height}"),
                format!("sides of at least {MIN_SIDE} pixels"),
            ));
        }
        if width.max(height) > MAX_SIDE || width * height > MAX_PIXELS {
            return Err(Error::limit(
                "image size",
                format!("{width}x{height}"),
                format!("sides of at most {MAX_SIDE} and {MAX_PIXELS} pixels"),
            ));
        }
        Ok(())
    }

    /// As [`new`](Self::new), of what it has checked before.
    pub(super) fn checked(
        width: usize,
        height: usize,
        stride: usize,
        format: PixelFormat,
        data: &'a [u8],
    ) -> Self {
        Self { width, height, stride, format, data }
    }

    /// Pixels a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A number that is the same for the same pixels in the same format, so that a photograph is known again.
    pub(crate) fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&[self.format as u8]);
        hasher.update(&(self.width as u64).to_le_bytes());
        let row_bytes = self.width * self.format.bytes();
        for y in 0..self.height {
            let row = self.data.get(y * self.stride..).and_then(|row| row.get(..row_bytes));
            hasher.update(row.unwrap_or_default());
        }
        hasher.finalize()
    }

    /// Whether more than one pixel in a hundred is clearly not grey, by a sample of about 4,096 pixels.
    #[cfg(feature = "train")]
    pub(crate) fn is_colored(&self) -> bool {
        /// Difference between the channels of a pixel, of 255, that a grey camera's noise and compression do
        /// not reach.
        const CHROMA: u8 = 24;
        let (bytes, order) = (self.format.bytes(), self.format.order());
        let most_significant = |sample: usize| match (self.format.is_16_bit(), cfg!(target_endian = "little"))
        {
            (false, _) => sample,
            (true, true) => 2 * sample + 1,
            (true, false) => 2 * sample,
        };
        let (row_step, column_step) = (self.height.div_ceil(64), self.width.div_ceil(64));
        let rows =
            (0..self.height).step_by(row_step).map(|y| self.data.get(y * self.stride..).unwrap_or_default());
        let pixels = rows.flat_map(|row| {
            let width = row.get(..self.width * bytes).unwrap_or_default();
            width.chunks_exact(bytes).step_by(column_step)
        });
        let is_vivid = |pixel: &[u8]| {
            let channels = order.map(|sample| pixel.get(most_significant(sample)).copied().unwrap_or(0));
            let [low, high] = [channels.iter().min(), channels.iter().max()].map(|c| c.copied().unwrap_or(0));
            high - low > CHROMA
        };
        let (vivid, all) = pixels
            .fold((0usize, 0usize), |(vivid, all), pixel| (vivid + usize::from(is_vivid(pixel)), all + 1));
        vivid * 100 > all
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// How a pixel lies in memory.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Bytes from one row to the next.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// The bytes from row `y` to the end.
    pub(super) fn rows_from(&self, y: usize) -> &'a [u8] {
        self.data.get(y * self.stride..).unwrap_or_default()
    }

    /// The bytes of row `y`.
    pub(super) fn row(&self, y: usize) -> &'a [u8] {
        self.rows_from(y).get(..self.width * self.format.bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_has_the_pixels_of_its_place() {
        let bytes: Vec<u8> = (0..20 * 64).map(|i| (i % 253) as u8).collect();
        let frame = Frame::new(20, 20, 64, PixelFormat::Rgb8, &bytes).unwrap();
        let crop = frame.crop(11, 12, 9, 8).unwrap();
        for y in 0..8 {
            assert_eq!(crop.row(y), &frame.row(12 + y)[3 * 11..], "{y}");
        }
    }

    #[test]
    fn crops_that_are_not_inside_are_refused() {
        let frame = Frame::new(20, 16, 20, PixelFormat::Gray8, &[0; 320]).unwrap();
        assert!(frame.crop(0, 0, 20, 16).is_ok() && frame.crop(12, 8, 8, 8).is_ok());
        for (x, y, width, height) in [(13, 8, 8, 8), (12, 9, 8, 8), (0, 0, 7, 8), (usize::MAX, 0, 8, 8)] {
            assert!(frame.crop(x, y, width, height).is_err(), "{width}x{height} at {x},{y}");
        }
    }
}
