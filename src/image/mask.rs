//! Masks: marked pixels.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

#[cfg(feature = "train")]
use super::Picture;
#[cfg(feature = "train")]
use super::picture::Samples;
#[cfg(feature = "decode")]
use super::{DecodeOptions, Photograph};
#[cfg(any(feature = "decode", feature = "train"))]
use crate::error::Result;
#[cfg(feature = "decode")]
use std::path::Path;

/// Marked pixels: those of a defect, or of the part that counts. In a file every value but 0 marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Whether each pixel is marked, row by row.
    pub data: Vec<bool>,
}

#[cfg(feature = "train")]
impl Mask {
    /// White where it marks, else black.
    ///
    /// # Errors
    /// It is smaller than a picture can be.
    pub fn picture(&self) -> Result<Picture> {
        let gray = self.data.iter().map(|&marked| if marked { 255 } else { 0 }).collect();
        Picture::new(self.width, self.height, 1, Samples::Eight(gray))
    }
}

/// Reads a mask from a file of any kind that photographs can be in, by the options of its photograph. Its
/// samples have all their bits whatever the camera uses.
///
/// # Errors
/// As [`Photograph::decode`].
#[cfg(feature = "decode")]
pub fn decode_mask(path: &Path, options: &DecodeOptions) -> Result<Mask> {
    let picture = Photograph::decode(path, &DecodeOptions { bit_depth: None, ..*options })?.picture;
    Ok(Mask { width: picture.width(), height: picture.height(), data: picture.marked() })
}
