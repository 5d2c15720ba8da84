//! Pictures as PNG files.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use super::{Picture, PixelFormat};
use crate::error::{Error, Result};
use image::{ImageEncoder, codecs::png::PngEncoder};
use std::path::Path;

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
