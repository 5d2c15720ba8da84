//! The size of a photograph, from the head of its file.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use super::file_format::{EXPECTED, FileFormat, name_of_other};
use super::orientation::Tag;
use super::{Orientation, jpeg, png, tiff};
use crate::error::{Error, Result};
use image::codecs::{bmp::BmpDecoder, png::PngDecoder, pnm::PnmDecoder, webp::WebPDecoder};
use image::{ImageDecoder, ImageResult};
use std::io::Cursor;

/// What is known of a photograph before its pixels are.
struct Head {
    /// Width and height as stored.
    size: (usize, usize),
    /// How the photograph is to be turned.
    turned: Tag,
}

impl Head {
    fn new((width, height): (u32, u32), turned: Tag) -> Self {
        Self { size: (width as usize, height as usize), turned }
    }
}

/// Width and height of a photograph as decoding returns it. The pixels may still turn out to be damaged.
pub(super) fn read_size(name: &str, bytes: &[u8], orientation: Orientation) -> Result<(usize, usize)> {
    let head = match FileFormat::of(bytes) {
        Some(FileFormat::Jpeg) => read_jpeg(bytes).map_err(String::from),
        Some(FileFormat::Tiff) => read_tiff(bytes).map_err(String::from),
        Some(FileFormat::Png) => read_png(bytes).map_err(|e| e.to_string()),
        Some(FileFormat::Bmp) => read_bmp(bytes).map_err(|e| e.to_string()),
        Some(FileFormat::WebP) => read_webp(bytes).map_err(|e| e.to_string()),
        Some(FileFormat::Pnm) => read_pnm(bytes).map_err(|e| e.to_string()),
        None => Err(name_of_other(bytes).into()),
    };
    let Head { size: (width, height), turned } =
        head.map_err(|found| Error::format(name, found, EXPECTED))?;
    match orientation == Orientation::Exif && turned.swaps_sides() {
        true => Ok((height, width)),
        false => Ok((width, height)),
    }
}

fn read_jpeg(bytes: &[u8]) -> std::result::Result<Head, jpeg::Refusal> {
    let decoder = jpeg::Decoder::new(bytes, jpeg::Tables::default())?;
    let (exif, xmp) = decoder.metadata();
    let turned = exif.and_then(Tag::of_exif).or_else(|| xmp.and_then(Tag::of_xmp));
    Ok(Head { size: decoder.size(), turned: turned.unwrap_or(Tag::UPRIGHT) })
}

fn read_tiff(bytes: &[u8]) -> std::result::Result<Head, tiff::Refusal> {
    let decoder = tiff::Decoder::new(bytes)?;
    let turned = decoder.orientation().and_then(Tag::new);
    Ok(Head { size: decoder.size(), turned: turned.unwrap_or(Tag::UPRIGHT) })
}

fn read_png(bytes: &[u8]) -> ImageResult<Head> {
    Ok(Head::new(PngDecoder::new(Cursor::new(bytes))?.dimensions(), png::Metadata::read(bytes).orientation()))
}

fn read_bmp(bytes: &[u8]) -> ImageResult<Head> {
    Ok(Head::new(BmpDecoder::new(Cursor::new(bytes))?.dimensions(), Tag::UPRIGHT))
}

fn read_pnm(bytes: &[u8]) -> ImageResult<Head> {
    Ok(Head::new(PnmDecoder::new(Cursor::new(bytes))?.dimensions(), Tag::UPRIGHT))
}

fn read_webp(bytes: &[u8]) -> ImageResult<Head> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes))?;
    let exif = decoder.exif_metadata()?.and_then(|exif| Tag::of_exif(&exif));
    let xmp = decoder.xmp_metadata()?.and_then(|xmp| Tag::of_xmp(&xmp));
    Ok(Head::new(decoder.dimensions(), exif.or(xmp).unwrap_or(Tag::UPRIGHT)))
}
