//! How photographs are read from files.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use crate::error::{Error, Result};
use std::ops::RangeInclusive;

/// The bits of a 16-bit sample that a camera may use.
const BIT_DEPTHS: RangeInclusive<u8> = 9..=16;

/// What to do with the orientation that a file states in EXIF, XMP or a tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orientation {
    /// Turn the photograph as its file states.
    #[default]
    Exif,
    /// Leave the pixels as they are stored. For a camera that looks down, whose gravity sensor guesses.
    Ignore,
}

/// Checks a number of bits that are used of samples of 16 bits; `None` means all.
///
/// # Errors
/// It is not from 9 to 16.
pub(crate) fn check_bit_depth(bits: Option<u8>) -> Result<()> {
    match bits {
        Some(bits) if !BIT_DEPTHS.contains(&bits) => Err(Error::argument("bit depth", bits, "9 to 16")),
        _ => Ok(()),
    }
}

/// What a file may ask for.
#[cfg(feature = "decode")]
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Pixels, checked before anything is decoded. Default: 100 million, which is the most that a frame may
    /// have.
    pub max_pixels: u64,
    /// Bytes of the file, and of its pixels with the memory that decoding takes. Turning the pixels takes as
    /// much again. Default: 1 GiB.
    pub max_bytes: u64,
}

#[cfg(feature = "decode")]
impl Default for Limits {
    fn default() -> Self {
        Self { max_pixels: 100_000_000, max_bytes: 1 << 30 }
    }
}

#[cfg(feature = "decode")]
setters!(Limits { max_pixels: u64, max_bytes: u64 });

/// How to read photographs.
#[cfg(feature = "decode")]
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct DecodeOptions {
    /// What a file may ask for.
    pub limits: Limits,
    /// Whether the stated orientation is applied.
    pub orientation: Orientation,
    /// Bits that are used of samples of 16 bits, 9 to 16: 12 for a camera that writes 0 to 4095. None: all.
    /// Files that state their depth (of 8 or 12 bits, or PNM's largest value) are read by what they state.
    pub bit_depth: Option<u8>,
}

#[cfg(feature = "decode")]
setters!(DecodeOptions { limits: Limits, orientation: Orientation, bit_depth: Option<u8> });

#[cfg(feature = "decode")]
impl DecodeOptions {
    /// Checks every field.
    ///
    /// # Errors
    /// The bit depth is not from 9 to 16.
    pub fn validate(&self) -> Result<()> {
        check_bit_depth(self.bit_depth)
    }
}
