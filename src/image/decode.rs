//! Photographs from files.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

#[cfg(feature = "train")]
use super::PixelFormat;
use super::{Frame, Picture, jpeg, picture::Samples};
use crate::bytes::read_file;
use crate::error::{Error, Result};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};
#[cfg(feature = "train")]
use image::{ImageEncoder, codecs::png::PngEncoder};
use std::io::Cursor;
use std::panic::catch_unwind;
use std::path::Path;

/// What a file may ask for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Pixels, checked before anything is decoded. Default: 100 million, which is the most that a frame may have.
    pub max_pixels: u64,
    /// Bytes of the file, and of its pixels as they are decoded; turning them takes as much again. Default: 1 GiB.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_pixels: 100_000_000, max_bytes: 1 << 30 }
    }
}

setters!(Limits { max_pixels: u64, max_bytes: u64 });

impl Picture {
    /// Reads a PNG, JPEG, BMP or TIFF file, by its content. EXIF orientation is applied; alpha is dropped.
    ///
    /// # Errors
    /// The file cannot be read, is no such photograph, is damaged, or is larger than `limits`.
    pub fn decode(path: &Path, limits: &Limits) -> Result<Self> {
        let bytes = read_file(path, limits.max_bytes)?;
        Self::decode_bytes(&path.display().to_string(), &bytes, limits)
    }

    /// As [`decode`](Self::decode), from memory; `source` names the photograph in errors.
    ///
    /// # Errors
    /// As `decode`.
    pub fn decode_bytes(source: &str, bytes: &[u8], limits: &Limits) -> Result<Self> {
        // Decoders come from elsewhere, and damaged files were seen to make one panic. Nothing that a panic could leave half
        // done outlives the call.
        catch_unwind(|| decode(source, bytes, limits)).unwrap_or_else(|_| {
            let found = "damage that its decoder does not get over";
            Err(Error::format(source, found, "a PNG, JPEG, BMP or TIFF photograph"))
        })
    }
}

fn decode(source: &str, bytes: &[u8], limits: &Limits) -> Result<Picture> {
    let bad = |e: &dyn std::fmt::Display| Error::format(source, e, "a PNG, JPEG, BMP or TIFF photograph");
    let too_much = |found: &dyn std::fmt::Display| {
        let expected = format!("at most {} pixels and {} bytes", limits.max_pixels, limits.max_bytes);
        Error::limit(source, found, expected)
    };
    let refused = |e: ImageError| match e {
        ImageError::Limits(e) => too_much(&e),
        e => bad(&e),
    };
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| bad(&e))?;
    if reader.format().is_none() {
        let found = if bytes.is_empty() { "an empty file" } else { "another kind of file" };
        return Err(bad(&found));
    }
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg::is_whole(bytes) {
        return Err(bad(&"a JPEG file without its end"));
    }
    let mut allowed = image::Limits::no_limits();
    allowed.max_alloc = Some(limits.max_bytes);
    reader.limits(allowed.clone());
    let mut decoder = reader.into_decoder().map_err(refused)?;
    let (width, height) = decoder.dimensions();
    Frame::check_size(width as usize, height as usize).map_err(|e| e.of_file(source))?;
    if u64::from(width) * u64::from(height) > limits.max_pixels || decoder.total_bytes() > limits.max_bytes {
        return Err(too_much(&format!("{width}x{height}")));
    }
    decoder.set_limits(allowed).map_err(refused)?;
    let orientation = decoder.orientation().map_err(refused)?;
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(refused)?;
    decoded.apply_orientation(orientation);
    from_decoded(decoded).map_err(|e| e.of_file(source))
}

#[cfg(feature = "train")]
impl Picture {
    /// The bytes of a PNG file.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let color = match self.format() {
            PixelFormat::Gray8 => image::ExtendedColorType::L8,
            PixelFormat::Gray16 => image::ExtendedColorType::L16,
            PixelFormat::Rgb16 => image::ExtendedColorType::Rgb16,
            _ => image::ExtendedColorType::Rgb8,
        };
        let mut bytes = Vec::new();
        let bad = |e: &dyn std::fmt::Display| Error::argument("picture", e, "one that PNG can hold");
        let side = |length: usize| u32::try_from(length).map_err(|e| bad(&e));
        PngEncoder::new(&mut bytes)
            .write_image(self.data(), side(self.width())?, side(self.height())?, color)
            .map_err(|e| bad(&e))?;
        Ok(bytes)
    }

    /// Writes a PNG file; see [`PatchCore::save`](crate::PatchCore::save) for how.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_png(&self, path: &Path) -> Result<()> {
        let bytes = self.to_png()?;
        crate::atomic::write(path, |out| out.write_all(&bytes))
    }
}

fn from_decoded(decoded: DynamicImage) -> Result<Picture> {
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    let (channels, samples) = match decoded {
        DynamicImage::ImageLuma8(i) => (1, Samples::Eight(i.into_raw())),
        DynamicImage::ImageLuma16(i) => (1, Samples::Sixteen(i.into_raw())),
        DynamicImage::ImageLumaA8(_) => (1, Samples::Eight(decoded.into_luma8().into_raw())),
        DynamicImage::ImageLumaA16(_) => (1, Samples::Sixteen(decoded.into_luma16().into_raw())),
        DynamicImage::ImageRgb8(i) => (3, Samples::Eight(i.into_raw())),
        DynamicImage::ImageRgba8(_) => (3, Samples::Eight(decoded.into_rgb8().into_raw())),
        DynamicImage::ImageRgb16(i) => (3, Samples::Sixteen(i.into_raw())),
        DynamicImage::ImageRgba16(_) => (3, Samples::Sixteen(decoded.into_rgb16().into_raw())),
        other => {
            return Err(Error::argument("pixels", format!("{:?}", other.color()), "8 or 16 bits a channel"));
        }
    };
    Picture::new(width, height, channels, samples)
}

/// Marks of defective pixels, as drawn: every value but 0 marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Whether each pixel is defective, row by row.
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

/// Reads a mask from a PNG, JPEG, BMP or TIFF file.
///
/// # Errors
/// As [`Picture::decode`].
pub fn decode_mask(path: &Path, limits: &Limits) -> Result<Mask> {
    let picture = Picture::decode(path, limits)?;
    let data = picture.marked();
    Ok(Mask { width: picture.width(), height: picture.height(), data })
}
