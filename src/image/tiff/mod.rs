//! TIFF 6.0 and BigTIFF: unsigned samples of 1 to 16 bits in grey, RGB, CMYK or of a palette; in strips or
//! tiles, side by side or in planes; uncompressed or with PackBits, LZW, Deflate, CCITT Group 4 or JPEG. All
//! else is refused by name.
//!
//! ```text
//! directory: the tags ─▶ page: what they say ─▶ chunk: bytes of a strip or tile ─▶ color: grey or RGB
//! ```

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

mod chunk;
mod color;
mod directory;
mod page;

pub(super) use directory::Tiff;

use super::picture::Samples;
use directory::Directory;
use page::Page;
use std::borrow::Cow;

/// Why a file is refused, as a noun phrase: "a TIFF in CIELab colours".
pub(super) type Refusal = Cow<'static, str>;
type Result<T, E = Refusal> = std::result::Result<T, E>;

/// A file whose tags have been read.
pub(super) struct Decoder<'a> {
    tiff: Tiff<'a>,
    page: Page,
    pages: usize,
}

impl<'a> Decoder<'a> {
    /// Reads the tags of the first page that is no thumbnail.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self> {
        let tiff = Tiff::new(bytes)?;
        let mut first = None;
        let mut pages = 0;
        for directory in list_directories(&tiff)? {
            if !page::is_thumbnail_or_mask(&directory)? {
                pages += 1;
                first.get_or_insert(directory);
            }
        }
        let directory = first.ok_or("a TIFF of thumbnails alone, perhaps a camera's raw file")?;
        Ok(Self { tiff, page: Page::new(&directory)?, pages })
    }

    /// Width and height.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.page.width, self.page.height)
    }

    /// Pages that are no thumbnails.
    pub(super) fn pages(&self) -> usize {
        self.pages
    }

    /// What the orientation's tag says, if anything.
    pub(super) fn orientation(&self) -> Option<u64> {
        self.page.orientation
    }

    /// Bytes that decoding takes, with the pixels that it returns.
    pub(super) fn memory(&self) -> u64 {
        self.page.memory()
    }

    /// Whether the samples have 16 bits, of which the file does not state how many are used.
    pub(super) fn has_16_bits(&self) -> bool {
        self.page.bits == 16
    }

    /// Channels (1 or 3) and samples.
    pub(super) fn decode(&self) -> Result<(usize, Samples)> {
        let page = &self.page;
        let channels = page.color.channels();
        let row = page.width * channels;
        let mut samples = match page.sample_bytes() {
            1 => Samples::Eight(vec![0; row * page.height]),
            _ => Samples::Sixteen(vec![0; row * page.height]),
        };
        for (chunk_y, y) in (0..page.height).step_by(page.chunk_height).enumerate() {
            for (chunk_x, x) in (0..page.width).step_by(page.chunk_width).enumerate() {
                let chunk = chunk::read(&self.tiff, page, chunk_x, chunk_y)?;
                let width = page.chunk_width.min(page.width - x);
                for line in 0..page.chunk_height.min(page.height - y) {
                    let pixels = page.color.convert(page, &chunk.row(line, width));
                    let start = (y + line) * row + x * channels;
                    put_row(&mut samples, start, &pixels);
                }
            }
        }
        Ok((channels, samples))
    }
}

/// Writes samples, which are at full scale, from `start` on.
fn put_row(samples: &mut Samples, start: usize, row: &[u16]) {
    match samples {
        Samples::Eight(all) => {
            let place = all.get_mut(start..).unwrap_or_default();
            place.iter_mut().zip(row).for_each(|(out, &value)| *out = u8::try_from(value).unwrap_or(u8::MAX));
        }
        Samples::Sixteen(all) => {
            let place = all.get_mut(start..).unwrap_or_default();
            place.iter_mut().zip(row).for_each(|(out, &value)| *out = value);
        }
    }
}

fn list_directories<'a>(tiff: &Tiff<'a>) -> Result<Vec<Directory<'a>>> {
    let mut directories = vec![tiff.first_directory()?];
    // Directories that overlap or come round again would take more memory than the file has bytes.
    let mut bytes = 0;
    while let Some(next) = directories.last().map(|directory| directory.next).filter(|&next| next != 0) {
        let directory = tiff.directory(next)?;
        bytes += directory.bytes_in_file();
        if bytes > tiff.bytes.len() {
            return Err("a damaged TIFF (its pages overlap)".into());
        }
        directories.push(directory);
    }
    Ok(directories)
}
