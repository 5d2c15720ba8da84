//! Photographs in the caller's memory.

use super::pointer::bytes;
use crate::error::{Error, Result};
use crate::image::{Frame, PixelFormat};

/// The bytes of a pixel.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub enum PatchcorePixelFormat {
    /// One byte.
    Gray8 = 0,
    /// Red, green, blue.
    Rgb8 = 1,
    /// Blue, green, red.
    Bgr8 = 2,
    /// Red, green, blue, ignored.
    Rgba8 = 3,
    /// Blue, green, red, ignored.
    Bgra8 = 4,
    /// Two bytes in the machine's byte order. Full scale is 65,535: shift samples of 10 or 12 bits up.
    Gray16 = 5,
    /// Red, green, blue, each like `Gray16`.
    Rgb16 = 6,
}

/// A photograph in the caller's memory: at most 100,000,000 pixels.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PatchcoreFrame {
    /// The first byte of the first row, at any address: 16-bit samples need not be aligned.
    pub data: *const u8,
    /// Bytes at `data`: at least `(height - 1) * stride` and one row.
    pub len: usize,
    /// Pixels a row, 8 to 65,535.
    pub width: usize,
    /// Rows, 8 to 65,535.
    pub height: usize,
    /// Bytes from one row to the next; 0 if there are no gaps between rows.
    pub stride: usize,
    /// One of `PatchcorePixelFormat`.
    pub format: u32,
}

/// The library's view of `frame`.
///
/// # Safety
/// The frame's `data` is null or valid for reads of its `len` bytes, which nobody changes during `'a`.
pub(super) unsafe fn view<'a>(frame: &PatchcoreFrame) -> Result<Frame<'a>> {
    let format = pixel_format(frame.format)?;
    let stride = match frame.stride {
        0 => frame.width.saturating_mul(format.bytes()),
        stride => stride,
    };
    // SAFETY: the caller's contract is that of `bytes`.
    let data = unsafe { bytes(frame.data, frame.len, "frame data") }?;
    Frame::new(frame.width, frame.height, stride, format, data)
}

pub(super) fn pixel_format(number: u32) -> Result<PixelFormat> {
    const FORMATS: [(PatchcorePixelFormat, PixelFormat); 7] = [
        (PatchcorePixelFormat::Gray8, PixelFormat::Gray8),
        (PatchcorePixelFormat::Rgb8, PixelFormat::Rgb8),
        (PatchcorePixelFormat::Bgr8, PixelFormat::Bgr8),
        (PatchcorePixelFormat::Rgba8, PixelFormat::Rgba8),
        (PatchcorePixelFormat::Bgra8, PixelFormat::Bgra8),
        (PatchcorePixelFormat::Gray16, PixelFormat::Gray16),
        (PatchcorePixelFormat::Rgb16, PixelFormat::Rgb16),
    ];
    let found = FORMATS.iter().find(|(name, _)| *name as u32 == number);
    found
        .map(|&(_, format)| format)
        .ok_or_else(|| Error::argument("pixel format", number, "one of PatchcorePixelFormat"))
}
