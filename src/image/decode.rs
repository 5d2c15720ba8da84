//! From a file's bytes to a photograph: each kind of file has its decoder.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use super::file_format::{EXPECTED, FileFormat, name_of_other};
use super::orientation::Tag;
use super::picture::Samples;
use super::{DecodeOptions, Frame, Limits, Orientation, Photograph, Picture, jpeg, png, tiff, webp};
use crate::error::{Error, Result};
use image::codecs::{bmp::BmpDecoder, png::PngDecoder, pnm::PnmDecoder, webp::WebPDecoder};
use image::{ColorType, DynamicImage, ImageDecoder, ImageError};
use std::borrow::Cow;
use std::fmt::Display;
use std::io::Cursor;

/// What a decoder makes of a file.
struct Decoded {
    size: (usize, usize),
    /// 1 or 3.
    channels: usize,
    samples: Samples,
    orientation: Tag,
    pages: usize,
    /// Whether the file states how many bits of its samples are used.
    states_depth: bool,
}

/// A file on its way, for errors and limits.
struct Source<'a> {
    name: &'a str,
    bytes: &'a [u8],
    limits: &'a Limits,
}

/// Decodes a photograph.
pub(super) fn decode(name: &str, bytes: &[u8], options: &DecodeOptions) -> Result<Photograph> {
    let source = Source { name, bytes, limits: &options.limits };
    let decoded = match FileFormat::of(bytes) {
        Some(FileFormat::Jpeg) => source.decode_jpeg(),
        Some(FileFormat::Tiff) => source.decode_tiff(),
        Some(FileFormat::Png) => source.decode_png(),
        Some(FileFormat::Bmp) => source.decode_bmp(),
        Some(FileFormat::WebP) => source.decode_webp(),
        Some(FileFormat::Pnm) => source.decode_pnm(),
        None => Err(source.refuse(name_of_other(bytes))),
    }?;
    let Decoded { size: (width, height), channels, mut samples, orientation, pages, states_depth } = decoded;
    let mut largest_sample = None;
    if let Samples::Sixteen(values) = &mut samples
        && !states_depth
    {
        let largest = values.iter().copied().max().unwrap_or(0);
        largest_sample = Some(largest);
        if let Some(bits) = options.bit_depth {
            spread_depth(values, largest, bits).map_err(|e| e.within(name))?;
        }
    }
    let mut picture = Picture::new(width, height, channels, samples).map_err(|e| e.of_file(name))?;
    if options.orientation == Orientation::Exif {
        picture.turn(orientation);
    }
    Ok(Photograph { picture, orientation: orientation.value(), pages, largest_sample })
}

/// Brings samples of `bits` bits to the full scale of 16.
fn spread_depth(values: &mut [u16], largest: u16, bits: u8) -> Result<()> {
    let max = (1u32 << bits) - 1;
    if u32::from(largest) > max {
        let expected = format!("at most {max}, which {bits} bits hold");
        return Err(Error::format("samples", largest, expected));
    }
    for value in values {
        *value = u16::try_from((u32::from(*value) * 0xffff + max / 2) / max).unwrap_or(u16::MAX);
    }
    Ok(())
}

impl Source<'_> {
    fn refuse(&self, found: impl Display) -> Error {
        Error::format(self.name, found, EXPECTED)
    }

    fn refuse_size(&self, found: impl Display) -> Error {
        let Limits { max_pixels, max_bytes } = self.limits;
        Error::limit(self.name, found, format!("at most {max_pixels} pixels and {max_bytes} bytes"))
    }

    /// Checks the size before memory is taken: `bytes` in all.
    fn check_size(&self, (width, height): (usize, usize), bytes: u64) -> Result<()> {
        Frame::check_size(width, height).map_err(|e| e.of_file(self.name))?;
        if (width * height) as u64 > self.limits.max_pixels || bytes > self.limits.max_bytes {
            return Err(self.refuse_size(format!("{width}x{height}")));
        }
        Ok(())
    }

    fn decode_jpeg(&self) -> Result<Decoded> {
        let refuse = |found: Cow<'static, str>| self.refuse(found);
        let decoder = jpeg::Decoder::new(self.bytes, jpeg::Tables::default()).map_err(refuse)?;
        let size = decoder.size();
        self.check_size(size, decoder.memory())?;
        let pixels = decoder.decode().map_err(refuse)?;
        let orientation = pixels.exif.and_then(Tag::of_exif).or_else(|| pixels.xmp.and_then(Tag::of_xmp));
        Ok(Decoded {
            size,
            channels: pixels.channels,
            samples: Samples::Eight(pixels.data),
            orientation: orientation.unwrap_or(Tag::UPRIGHT),
            pages: 1,
            states_depth: true,
        })
    }

    fn decode_tiff(&self) -> Result<Decoded> {
        let refuse = |found: Cow<'static, str>| self.refuse(found);
        let decoder = tiff::Decoder::new(self.bytes).map_err(refuse)?;
        self.check_size(decoder.size(), decoder.memory())?;
        let (channels, samples) = decoder.decode().map_err(refuse)?;
        Ok(Decoded {
            size: decoder.size(),
            channels,
            samples,
            orientation: decoder.orientation().and_then(Tag::new).unwrap_or(Tag::UPRIGHT),
            pages: decoder.pages(),
            states_depth: !decoder.has_16_bits(),
        })
    }

    fn decode_png(&self) -> Result<Decoded> {
        let mut allowed = image::Limits::no_limits();
        allowed.max_alloc = Some(self.limits.max_bytes);
        let decoder = PngDecoder::with_limits(Cursor::new(self.bytes), allowed);
        let decoded = self.decode_with(decoder.map_err(|e| self.refusal(e))?)?;
        let metadata = png::Metadata::read(self.bytes);
        Ok(Decoded { orientation: metadata.orientation(), pages: metadata.pages, ..decoded })
    }

    fn decode_bmp(&self) -> Result<Decoded> {
        self.decode_with(BmpDecoder::new(Cursor::new(self.bytes)).map_err(|e| self.refusal(e))?)
    }

    fn decode_webp(&self) -> Result<Decoded> {
        let mut decoder = WebPDecoder::new(Cursor::new(self.bytes)).map_err(|e| self.refusal(e))?;
        let exif = decoder.exif_metadata().map_err(|e| self.refusal(e))?;
        let xmp = decoder.xmp_metadata().map_err(|e| self.refusal(e))?;
        let orientation = exif.and_then(|exif| Tag::of_exif(&exif));
        let orientation = orientation.or_else(|| xmp.and_then(|xmp| Tag::of_xmp(&xmp)));
        let decoded = self.decode_with(decoder)?;
        let pages = webp::count_frames(self.bytes);
        Ok(Decoded { orientation: orientation.unwrap_or(Tag::UPRIGHT), pages, ..decoded })
    }

    fn decode_pnm(&self) -> Result<Decoded> {
        let decoder = PnmDecoder::new(Cursor::new(self.bytes)).map_err(|e| self.refusal(e))?;
        let states_depth = decoder.header().maximal_sample() != 0xffff;
        Ok(Decoded { states_depth, ..self.decode_with(decoder)? })
    }

    /// Decodes with one of the `image` crate's decoders.
    fn decode_with(&self, decoder: impl ImageDecoder) -> Result<Decoded> {
        let (width, height) = decoder.dimensions();
        let size = (width as usize, height as usize);
        self.check_size(size, decoder.total_bytes())?;
        let decoded = DynamicImage::from_decoder(decoder).map_err(|e| self.refusal(e))?;
        let (channels, samples) =
            samples_of(decoded).map_err(|color| self.refuse(format!("pixels of the type {color:?}")))?;
        Ok(Decoded { size, channels, samples, orientation: Tag::UPRIGHT, pages: 1, states_depth: false })
    }

    fn refusal(&self, error: ImageError) -> Error {
        match error {
            ImageError::Limits(e) => self.refuse_size(e),
            e => self.refuse(e),
        }
    }
}

/// The channels, 1 or 3, and the samples of an image, without its alpha; the colour type where it has no such
/// samples.
fn samples_of(image: DynamicImage) -> std::result::Result<(usize, Samples), ColorType> {
    Ok(match image {
        DynamicImage::ImageLuma8(i) => (1, Samples::Eight(i.into_raw())),
        DynamicImage::ImageLuma16(i) => (1, Samples::Sixteen(i.into_raw())),
        DynamicImage::ImageLumaA8(_) => (1, Samples::Eight(image.into_luma8().into_raw())),
        DynamicImage::ImageLumaA16(_) => (1, Samples::Sixteen(image.into_luma16().into_raw())),
        DynamicImage::ImageRgb8(i) => (3, Samples::Eight(i.into_raw())),
        DynamicImage::ImageRgba8(_) => (3, Samples::Eight(image.into_rgb8().into_raw())),
        DynamicImage::ImageRgb16(i) => (3, Samples::Sixteen(i.into_raw())),
        DynamicImage::ImageRgba16(_) => (3, Samples::Sixteen(image.into_rgb16().into_raw())),
        other => return Err(other.color()),
    })
}

/// An image of the `image` crate, without its alpha.
///
/// # Errors
/// The sides are out of a [`Frame`]'s range, or the samples are floating-point numbers.
impl TryFrom<DynamicImage> for Picture {
    type Error = Error;

    fn try_from(image: DynamicImage) -> Result<Self> {
        let size = (image.width() as usize, image.height() as usize);
        let refuse =
            |color| Error::argument("image", format!("{color:?}"), "gray or RGB of 8 or 16 bits a sample");
        let (channels, samples) = samples_of(image).map_err(refuse)?;
        Self::new(size.0, size.1, channels, samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::PixelFormat;
    use image::{GrayImage, Rgb32FImage, RgbaImage, imageops};

    #[test]
    fn an_image_of_the_crate_becomes_a_picture_without_its_alpha() {
        let rgba = RgbaImage::from_fn(9, 8, |x, y| image::Rgba([x as u8, y as u8, 7, 99]));
        let picture = Picture::try_from(DynamicImage::from(rgba)).unwrap();
        assert_eq!((picture.width(), picture.height(), picture.format()), (9, 8, PixelFormat::Rgb8));
        assert_eq!(picture.data()[3 * (9 * 2 + 5)..][..3], [5, 2, 7]);
        let gray = GrayImage::from_fn(8, 10, |x, y| image::Luma([(10 * x + y) as u8]));
        let picture = Picture::try_from(DynamicImage::from(imageops::rotate180(&gray))).unwrap();
        assert_eq!((picture.format(), picture.data()[0]), (PixelFormat::Gray8, 79));
    }

    #[test]
    fn an_image_that_is_no_photograph_is_refused() {
        for (image, word) in [
            (DynamicImage::from(Rgb32FImage::new(9, 9)), "Rgb32F"),
            (DynamicImage::from(GrayImage::new(7, 9)), "7x9"),
        ] {
            let message = Picture::try_from(image).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }
}
