//! Gray photographs of any size. The fuzzers use them as well.

#![allow(dead_code)] // each test file uses its part

use patchcore::image::{Frame, PixelFormat};

/// A smooth pattern of `width` x `height` pixels; `seed` moves it.
pub fn gray_pattern(width: usize, height: usize, seed: usize) -> Vec<u8> {
    (0..width * height).map(|i| ((i % width * 5 + seed * 13) ^ (i / width * 3 + seed)) as u8).collect()
}

/// A frame of gray pixels, as many rows of `width` as there are.
pub fn gray_frame(width: usize, pixels: &[u8]) -> Frame<'_> {
    Frame::new(width, pixels.len() / width, width, PixelFormat::Gray8, pixels).unwrap()
}
