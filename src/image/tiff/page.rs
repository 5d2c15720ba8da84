//! What the tags of a page say.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use super::color::{Alpha, Color};
use super::directory::Directory;
use super::{Refusal, Result};
use crate::image::jpeg;

mod tag {
    pub(super) const NEW_SUBFILE_TYPE: u16 = 254;
    pub(super) const SUBFILE_TYPE: u16 = 255;
    pub(super) const WIDTH: u16 = 256;
    pub(super) const HEIGHT: u16 = 257;
    pub(super) const BITS_PER_SAMPLE: u16 = 258;
    pub(super) const COMPRESSION: u16 = 259;
    pub(super) const PHOTOMETRIC: u16 = 262;
    pub(super) const FILL_ORDER: u16 = 266;
    pub(super) const STRIP_OFFSETS: u16 = 273;
    pub(super) const ORIENTATION: u16 = 274;
    pub(super) const SAMPLES_PER_PIXEL: u16 = 277;
    pub(super) const ROWS_PER_STRIP: u16 = 278;
    pub(super) const STRIP_BYTE_COUNTS: u16 = 279;
    pub(super) const PLANAR: u16 = 284;
    pub(super) const T6_OPTIONS: u16 = 293;
    pub(super) const PREDICTOR: u16 = 317;
    pub(super) const COLOR_MAP: u16 = 320;
    pub(super) const TILE_WIDTH: u16 = 322;
    pub(super) const TILE_HEIGHT: u16 = 323;
    pub(super) const TILE_OFFSETS: u16 = 324;
    pub(super) const TILE_BYTE_COUNTS: u16 = 325;
    pub(super) const INK_SET: u16 = 332;
    pub(super) const EXTRA_SAMPLES: u16 = 338;
    pub(super) const SAMPLE_FORMAT: u16 = 339;
    pub(super) const JPEG_TABLES: u16 = 347;
}

/// How the bytes of a chunk are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    PackBits,
    Lzw,
    Deflate,
    Group4,
    Jpeg,
}

/// One page.
pub(super) struct Page {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Bits of each sample as stored.
    pub(super) bits: u32,
    /// Samples of a pixel as stored.
    pub(super) samples: usize,
    pub(super) color: Color,
    pub(super) compression: Compression,
    /// Whether each sample is stored as the difference from the one before.
    pub(super) differences: bool,
    /// Whether the first pixel lies in the lowest bit.
    pub(super) reversed_bits: bool,
    /// Whether each sample of a pixel lies in a chunk of its own.
    pub(super) planar: bool,
    pub(super) jpeg_tables: jpeg::Tables,
    pub(super) orientation: Option<u64>,
    pub(super) tiled: bool,
    /// Pixels of a chunk, a strip or a tile; of the last strip at most.
    pub(super) chunk_width: usize,
    pub(super) chunk_height: usize,
    offsets: Vec<u64>,
    byte_counts: Option<Vec<u64>>,
}

/// Whether the page is a smaller version of another page, or says which of its pixels show.
pub(super) fn is_thumbnail_or_mask(directory: &Directory<'_>) -> Result<bool> {
    const REDUCED: u64 = 1;
    const MASK: u64 = 4;
    let kind = directory.number(tag::NEW_SUBFILE_TYPE)?.unwrap_or(0);
    Ok(kind & (REDUCED | MASK) != 0 || directory.number(tag::SUBFILE_TYPE)? == Some(2))
}

fn damaged(what: &str) -> Refusal {
    format!("a damaged TIFF ({what})").into()
}

impl Page {
    pub(super) fn new(directory: &Directory<'_>) -> Result<Self> {
        let number = |tag: u16, default: u64| Ok::<_, Refusal>(directory.number(tag)?.unwrap_or(default));
        let side = |tag: u16| match directory.number(tag)?.map(usize::try_from) {
            Some(Ok(side @ 1..=0xffff_ffff)) => Ok(side),
            _ => Err(damaged("no size")),
        };
        let (width, height) = (side(tag::WIDTH)?, side(tag::HEIGHT)?);
        let samples = number(tag::SAMPLES_PER_PIXEL, 1)?;
        let samples = usize::try_from(samples).ok().filter(|samples| (1..=16).contains(samples));
        let samples = samples.ok_or("a TIFF of more than 16 samples a pixel")?;
        let bits = read_bits(directory)?;
        let compression = read_compression(directory)?;
        let color = read_color(directory, bits, samples, compression)?;
        let differences = match number(tag::PREDICTOR, 1)? {
            1 => false,
            2 if bits % 8 == 0 && matches!(compression, Compression::Lzw | Compression::Deflate) => true,
            2 => return Err("a TIFF with a predictor that its compression or depth does not have".into()),
            _ => return Err("a TIFF with the predictor of floating-point samples".into()),
        };
        let reversed_bits = match number(tag::FILL_ORDER, 1)? {
            1 => false,
            2 => true,
            order => return Err(format!("a TIFF of the unknown fill order {order}").into()),
        };
        let planar = match number(tag::PLANAR, 1)? {
            1 => false,
            2 => samples > 1,
            _ => return Err(damaged("planar configuration")),
        };
        if planar && compression == Compression::Jpeg {
            return Err("a TIFF of JPEG planes".into());
        }
        let tiled = directory.number(tag::TILE_WIDTH)?.is_some();
        let (chunk_width, chunk_height) = if tiled {
            (side(tag::TILE_WIDTH)?, side(tag::TILE_HEIGHT)?)
        } else {
            let rows = number(tag::ROWS_PER_STRIP, u64::MAX)?;
            (width, usize::try_from(rows).unwrap_or(usize::MAX).min(height))
        };
        if chunk_height == 0 {
            return Err(damaged("strips without rows"));
        }
        let (offsets, byte_counts) = if tiled {
            (tag::TILE_OFFSETS, tag::TILE_BYTE_COUNTS)
        } else {
            (tag::STRIP_OFFSETS, tag::STRIP_BYTE_COUNTS)
        };
        let page = Self {
            width,
            height,
            bits,
            samples,
            color,
            compression,
            differences,
            reversed_bits,
            planar,
            jpeg_tables: match directory.bytes(tag::JPEG_TABLES)? {
                Some(tables) if compression == Compression::Jpeg => jpeg::Tables::read(tables)?,
                _ => jpeg::Tables::default(),
            },
            orientation: directory.number(tag::ORIENTATION)?,
            tiled,
            chunk_width,
            chunk_height,
            offsets: directory.numbers(offsets)?.unwrap_or_default(),
            byte_counts: directory.numbers(byte_counts)?,
        };
        let chunks = page.chunks_across().checked_mul(height.div_ceil(chunk_height));
        let chunks = chunks.and_then(|chunks| chunks.checked_mul(page.planes()));
        if chunks.is_none_or(|chunks| page.offsets.len() < chunks) {
            return Err(damaged("fewer strips or tiles than its size needs"));
        }
        Ok(page)
    }

    pub(super) fn chunks_across(&self) -> usize {
        self.width.div_ceil(self.chunk_width)
    }

    pub(super) fn planes(&self) -> usize {
        if self.planar { self.samples } else { 1 }
    }

    /// Samples of a pixel that lie in one chunk.
    pub(super) fn samples_in_chunk(&self) -> usize {
        if self.planar { 1 } else { self.samples }
    }

    /// Bytes of a row of a chunk.
    pub(super) fn row_bytes(&self) -> u64 {
        let samples = (self.chunk_width as u64).saturating_mul(self.samples_in_chunk() as u64);
        samples.saturating_mul(self.bits.into()).div_ceil(8)
    }

    /// Bytes of a sample as it is returned.
    pub(super) fn sample_bytes(&self) -> usize {
        if self.bits > 8 { 2 } else { 1 }
    }

    /// Bytes of the pixels and of the chunks that are decoded at one time, with room for JPEG's samples.
    pub(super) fn memory(&self) -> u64 {
        let pixels = (self.width as u64).saturating_mul(self.height as u64);
        let pixels = pixels.saturating_mul((self.color.channels() * self.sample_bytes()) as u64);
        let chunks = self.row_bytes().saturating_mul(self.chunk_height as u64);
        let copies = if self.compression == Compression::Jpeg { 5 } else { 2 };
        pixels.saturating_add(chunks.saturating_mul(copies * self.planes() as u64))
    }

    /// Where a chunk lies in the file, and its length if the file says.
    pub(super) fn place(&self, chunk: usize) -> Result<(u64, Option<u64>)> {
        let missing = || damaged("a strip or tile is missing");
        let offset = *self.offsets.get(chunk).ok_or_else(missing)?;
        let count = match &self.byte_counts {
            Some(counts) => Some(*counts.get(chunk).ok_or_else(missing)?),
            None => None,
        };
        Ok((offset, count))
    }
}

fn read_bits(directory: &Directory<'_>) -> Result<u32> {
    let all_bits = directory.numbers(tag::BITS_PER_SAMPLE)?.unwrap_or_else(|| vec![1]);
    let &bits = all_bits.first().ok_or_else(|| damaged("bits of a sample"))?;
    if all_bits.iter().any(|&other| other != bits) {
        return Err("a TIFF whose channels have different bits a sample".into());
    }
    for format in directory.numbers(tag::SAMPLE_FORMAT)?.unwrap_or_default() {
        match format {
            1 | 4 => {}
            2 => return Err(format!("a TIFF of signed samples of {bits} bits").into()),
            3 => return Err(format!("a TIFF of floating-point samples of {bits} bits").into()),
            5 | 6 => return Err("a TIFF of complex numbers".into()),
            _ => return Err(damaged("sample format")),
        }
    }
    match u32::try_from(bits) {
        Ok(bits @ 1..=16) => Ok(bits),
        _ => Err(format!("a TIFF of {bits} bits a sample").into()),
    }
}

fn read_compression(directory: &Directory<'_>) -> Result<Compression> {
    Ok(match directory.number(tag::COMPRESSION)?.unwrap_or(1) {
        1 => Compression::None,
        2 => return Err("a TIFF with CCITT run-length compression".into()),
        3 => return Err("a TIFF with CCITT Group 3 compression".into()),
        4 if directory.number(tag::T6_OPTIONS)?.unwrap_or(0) != 0 => {
            return Err("a TIFF with CCITT Group 4 compression and uncompressed parts".into());
        }
        4 => Compression::Group4,
        5 => Compression::Lzw,
        6 => return Err("a TIFF with old-style JPEG compression".into()),
        7 => Compression::Jpeg,
        8 | 32946 => Compression::Deflate,
        32773 => Compression::PackBits,
        34712 => return Err("a TIFF with JPEG 2000 compression".into()),
        34887 => return Err("a TIFF with LERC compression".into()),
        34892 => return Err("a TIFF with lossy JPEG compression of raw samples".into()),
        34925 => return Err("a TIFF with LZMA compression".into()),
        50000 => return Err("a TIFF with Zstandard compression".into()),
        50001 => return Err("a TIFF with WebP compression".into()),
        50002 | 52546 => return Err("a TIFF with JPEG XL compression".into()),
        other => return Err(format!("a TIFF with the unknown compression {other}").into()),
    })
}

fn read_color(
    directory: &Directory<'_>,
    bits: u32,
    samples: usize,
    compression: Compression,
) -> Result<Color> {
    let jpeg = compression == Compression::Jpeg;
    let photometric = directory.number(tag::PHOTOMETRIC)?;
    let color = match photometric {
        Some(0) => Color::Gray { inverted: true, alpha: Alpha::Dropped },
        Some(1) => Color::Gray { inverted: false, alpha: Alpha::Dropped },
        Some(2) => Color::Rgb { alpha: Alpha::Dropped },
        Some(3) if bits <= 8 && !jpeg => Color::Palette(read_palette(directory, bits)?),
        Some(3) => return Err(format!("a TIFF with a palette and {bits} bits a sample").into()),
        Some(4) => return Err("a TIFF that is a transparency mask".into()),
        Some(5) if jpeg => return Err("a CMYK JPEG inside TIFF".into()),
        Some(5) if directory.number(tag::INK_SET)?.unwrap_or(1) != 1 => {
            return Err("a TIFF of other inks than CMYK".into());
        }
        Some(5) => Color::Cmyk,
        Some(6) if jpeg => Color::Ycc,
        Some(6) => return Err("a TIFF of YCbCr samples without JPEG compression".into()),
        Some(8..=10) => return Err("a TIFF in CIELab colours".into()),
        Some(32803) => return Err("a TIFF of raw samples behind a colour filter".into()),
        Some(32844 | 32845) => return Err("a TIFF of logarithmic samples".into()),
        Some(34892) => return Err("a TIFF of a camera's raw samples".into()),
        Some(other) => return Err(format!("a TIFF of the unknown photometric interpretation {other}").into()),
        None => return Err(damaged("no photometric interpretation")),
    };
    let needed = color.stored_samples();
    if samples < needed {
        return Err(damaged("fewer samples a pixel than its colours need"));
    }
    if jpeg && (samples != needed || bits != 8) {
        return Err(format!("a JPEG of {samples} samples of {bits} bits inside TIFF").into());
    }
    if compression == Compression::Group4 && (bits, samples) != (1, 1) {
        return Err(damaged("CCITT compression of more than one bit a pixel"));
    }
    let extra = directory.numbers(tag::EXTRA_SAMPLES)?.unwrap_or_default();
    Ok(match extra.iter().take(samples - needed).position(|&kind| kind == 1) {
        Some(at) => color.with_alpha(needed + at),
        None => color,
    })
}

/// Red, green and blue of each value, of 8 bits.
fn read_palette(directory: &Directory<'_>, bits: u32) -> Result<Vec<[u16; 3]>> {
    let map = directory.numbers(tag::COLOR_MAP)?.ok_or_else(|| damaged("no palette"))?;
    let count = 1 << bits;
    let [reds, greens, blues]: [&[u64]; 3] = map
        .chunks_exact(count)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| damaged("a palette of the wrong size"))?;
    // The values have 16 bits; some writers leave the upper ones out.
    let shift = if map.iter().all(|&value| value < 256) { 0 } else { 8 };
    let color = |value: u64| u16::try_from(value >> shift).unwrap_or(255).min(255);
    Ok(reds.iter().zip(greens).zip(blues).map(|((&r, &g), &b)| [color(r), color(g), color(b)]).collect())
}
