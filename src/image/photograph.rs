//! Photographs from files, with what the files say of them.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use super::decode::decode;
use super::file_format::EXPECTED;
use super::size::read_size;
use super::{DecodeOptions, Limits, Picture};
use crate::bytes::read_file;
use crate::error::{Error, Result};
use std::panic::catch_unwind;
use std::path::Path;

/// A photograph, and what its file says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Photograph {
    /// The pixels.
    pub picture: Picture,
    /// The orientation that the file states in EXIF, XMP or a tag, whether it was applied or not: 1 (as
    /// stored, also if nothing is stated) to 8, as EXIF counts.
    pub orientation: u8,
    /// Pages or pictures of the file, of which the first was read. Thumbnails do not count.
    pub pages: usize,
    /// The largest sample of a file with 16 bits a sample that does not state how many are used. If it is
    /// below 4096 in all photographs of a camera, the camera writes 12 bits, and [`DecodeOptions::bit_depth`]
    /// should say so.
    pub largest_sample: Option<u16>,
}

impl Photograph {
    /// Reads a PNG, JPEG, BMP, TIFF, WebP or PNM file; its first bytes say which. Alpha is dropped; colours
    /// that were multiplied by it are divided.
    ///
    /// # Errors
    /// The options are invalid, or the file cannot be read, is no such photograph, is damaged, is of a kind
    /// that is not supported, has samples above those of the bit depth, or is larger than the limits.
    pub fn decode(path: &Path, options: &DecodeOptions) -> Result<Self> {
        let bytes = read_file(path, options.limits.max_bytes)?;
        Self::decode_bytes(&path.display().to_string(), &bytes, options)
    }

    /// As [`decode`](Self::decode), from memory; `source` names the photograph in errors.
    ///
    /// # Errors
    /// As `decode`.
    pub fn decode_bytes(source: &str, bytes: &[u8], options: &DecodeOptions) -> Result<Self> {
        options.validate()?;
        // Some decoders come from elsewhere. Nothing that a panic could leave half done outlives the call.
        catch_unwind(|| decode(source, bytes, options)).unwrap_or_else(|_| {
            Err(Error::format(source, "damage that its decoder does not get over", EXPECTED))
        })
    }

    /// Width and height of the photograph that [`decode`](Self::decode) would return, from the head of its
    /// file. The rest may still turn out to be damaged, or larger than the limits.
    ///
    /// # Errors
    /// The file cannot be read, or its head is of no photograph that is supported.
    pub fn read_size(path: &Path, options: &DecodeOptions) -> Result<(usize, usize)> {
        let bytes = read_file(path, options.limits.max_bytes)?;
        Self::size_of_bytes(&path.display().to_string(), &bytes, options)
    }

    /// As [`read_size`](Self::read_size), from memory; `source` names the photograph in errors.
    ///
    /// # Errors
    /// As `read_size`.
    pub fn size_of_bytes(source: &str, bytes: &[u8], options: &DecodeOptions) -> Result<(usize, usize)> {
        catch_unwind(|| read_size(source, bytes, options.orientation)).unwrap_or_else(|_| {
            Err(Error::format(source, "damage that its decoder does not get over", EXPECTED))
        })
    }
}

impl Picture {
    /// Reads a photograph as [`Photograph::decode`] does with the default options, and returns its pixels.
    ///
    /// # Errors
    /// As `Photograph::decode`.
    pub fn decode(path: &Path, limits: &Limits) -> Result<Self> {
        let options = DecodeOptions { limits: *limits, ..DecodeOptions::default() };
        Ok(Photograph::decode(path, &options)?.picture)
    }

    /// As [`decode`](Self::decode), from memory; `source` names the photograph in errors.
    ///
    /// # Errors
    /// As `decode`.
    pub fn decode_bytes(source: &str, bytes: &[u8], limits: &Limits) -> Result<Self> {
        let options = DecodeOptions { limits: *limits, ..DecodeOptions::default() };
        Ok(Photograph::decode_bytes(source, bytes, &options)?.picture)
    }
}
