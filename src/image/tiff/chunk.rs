//! The samples of a strip or tile.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use super::directory::Tiff;
use super::page::{Compression, Page};
use super::{Refusal, Result};
use crate::image::jpeg;
use fax::Color as Ink;
use fax::decoder::{DecodeStatus, Group4Decoder};
use std::borrow::Cow;
use std::convert::Infallible;
use std::io::Read;

const SHORT: Refusal = Refusal::Borrowed("a damaged TIFF (a strip or tile holds less than its size needs)");

/// Bytes of a JPEG's tables and metadata.
const MAX_HEAD: u64 = 1 << 16;

/// The planes of a chunk: one if the samples of a pixel lie side by side, else as many.
pub(super) struct Chunk<'a> {
    planes: Vec<Cow<'a, [u8]>>,
    row_bytes: usize,
    bits: u32,
    samples_in_plane: usize,
    big_endian: bool,
}

/// Reads the chunk in column `x` and row `y` of chunks.
pub(super) fn read<'a>(tiff: &Tiff<'a>, page: &Page, x: usize, y: usize) -> Result<Chunk<'a>> {
    let across = page.chunks_across();
    let in_plane = across * page.height.div_ceil(page.chunk_height);
    let planes = (0..page.planes()).map(|plane| {
        let (offset, count) = page.place(plane * in_plane + y * across + x)?;
        read_plane(tiff, page, (offset, count), y)
    });
    let planes = planes.collect::<Result<_>>()?;
    let row_bytes = usize::try_from(page.row_bytes()).map_err(|_| SHORT)?;
    Ok(Chunk {
        planes,
        row_bytes,
        bits: page.bits,
        samples_in_plane: page.samples_in_chunk(),
        big_endian: tiff.big_endian,
    })
}

fn read_plane<'a>(
    tiff: &Tiff<'a>,
    page: &Page,
    (offset, count): (u64, Option<u64>),
    y: usize,
) -> Result<Cow<'a, [u8]>> {
    // The last strip ends with the picture; tiles are whole.
    let left = page.height - y * page.chunk_height;
    let rows = if page.tiled { page.chunk_height } else { page.chunk_height.min(left) };
    let needed = page.row_bytes().checked_mul(rows as u64).ok_or(SHORT)?;
    let count = match (count, page.compression) {
        (Some(count), _) => count,
        (None, Compression::None) => needed,
        (None, _) => return Err("a damaged TIFF (no lengths of its strips or tiles)".into()),
    };
    // No compression makes eight bytes of one. Strips that overlap do not take more time than those that do
    // not.
    let most = usize::try_from(needed.saturating_mul(8).saturating_add(MAX_HEAD)).unwrap_or(usize::MAX);
    let needed = usize::try_from(needed).map_err(|_| SHORT)?;
    let stored = tiff.slice(offset, count)?;
    let mut stored = Cow::Borrowed(stored.get(..most).unwrap_or(stored));
    if page.reversed_bits && page.compression != Compression::Jpeg {
        stored.to_mut().iter_mut().for_each(|byte| *byte = byte.reverse_bits());
    }
    let mut bytes = match page.compression {
        Compression::None => match stored {
            Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(..needed).ok_or(SHORT)?),
            Cow::Owned(bytes) => Cow::Owned(bytes),
        },
        Compression::PackBits => unpack_bits(&stored, needed)?.into(),
        Compression::Lzw => decode_lzw(&stored, needed)?.into(),
        Compression::Deflate => inflate(&stored, needed)?.into(),
        Compression::Group4 => decode_group_4(&stored, page.chunk_width, rows)?.into(),
        Compression::Jpeg => decode_jpeg(&stored, page, rows)?.into(),
    };
    if bytes.len() < needed {
        return Err(SHORT);
    }
    if page.differences {
        let row_bytes = usize::try_from(page.row_bytes()).map_err(|_| SHORT)?;
        for row in bytes.to_mut().chunks_exact_mut(row_bytes) {
            sum_differences(row, page, tiff.big_endian);
        }
    }
    Ok(bytes)
}

impl Chunk<'_> {
    /// The first `width` pixels of a row as stored, sample by sample.
    pub(super) fn row(&self, y: usize, width: usize) -> Vec<u16> {
        let count = width * self.samples_in_plane;
        let rows = self.planes.iter().map(|plane| {
            let row = plane.get(y * self.row_bytes..).unwrap_or_default();
            self.unpack(row, count)
        });
        let mut rows: Vec<Vec<u16>> = rows.collect();
        if let [row] = &mut rows[..] {
            return std::mem::take(row);
        }
        let mut pixels = vec![0; width * rows.len()];
        for (at, row) in rows.iter().enumerate() {
            let places = pixels.iter_mut().skip(at).step_by(rows.len());
            places.zip(row).for_each(|(pixel, &sample)| *pixel = sample);
        }
        pixels
    }

    /// The first `count` samples of a row. Those of 8 and 16 bits are bytes and words, others follow bit by
    /// bit, the highest first.
    fn unpack(&self, row: &[u8], count: usize) -> Vec<u16> {
        match self.bits {
            8 => row.iter().take(count).map(|&byte| byte.into()).collect(),
            16 => row.as_chunks().0.iter().take(count).map(|&pair| word(pair, self.big_endian)).collect(),
            bits => {
                let mut bytes = row.iter();
                let (mut buffer, mut left) = (0u32, 0);
                let mut next = || {
                    while left < bits {
                        buffer = buffer << 8 | u32::from(bytes.next().copied().unwrap_or_default());
                        left += 8;
                    }
                    left -= bits;
                    let sample = (buffer >> left) & ((1 << bits) - 1);
                    u16::try_from(sample).unwrap_or_default()
                };
                (0..count).map(|_| next()).collect()
            }
        }
    }
}

fn word(pair: [u8; 2], big_endian: bool) -> u16 {
    if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
}

/// Makes samples of their differences from those of the pixel before.
fn sum_differences(row: &mut [u8], page: &Page, big_endian: bool) {
    let mut before = vec![0u16; page.samples_in_chunk()];
    if page.bits == 8 {
        for pixel in row.chunks_exact_mut(page.samples_in_chunk()) {
            for (sample, before) in pixel.iter_mut().zip(&mut before) {
                let [low, _] = before.to_le_bytes();
                *sample = sample.wrapping_add(low);
                *before = (*sample).into();
            }
        }
        return;
    }
    for pixel in row.as_chunks_mut::<2>().0.chunks_exact_mut(page.samples_in_chunk()) {
        for (sample, before) in pixel.iter_mut().zip(&mut before) {
            *before = before.wrapping_add(word(*sample, big_endian));
            *sample = if big_endian { before.to_be_bytes() } else { before.to_le_bytes() };
        }
    }
}

fn unpack_bits(stored: &[u8], needed: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = stored;
    while out.len() < needed {
        rest = match rest {
            [128, rest @ ..] => rest,
            [head @ 0..128, rest @ ..] => {
                let (bytes, rest) = rest.split_at_checked(usize::from(*head) + 1).ok_or(SHORT)?;
                out.extend_from_slice(bytes);
                rest
            }
            [head, byte, rest @ ..] => {
                out.resize(out.len() + 257 - usize::from(*head), *byte);
                rest
            }
            _ => return Err(SHORT),
        };
    }
    out.truncate(needed);
    Ok(out)
}

fn decode_lzw(stored: &[u8], needed: usize) -> Result<Vec<u8>> {
    // A clear code that begins with its lowest bits: the order before TIFF 5.
    if matches!(stored, [0, second, ..] if second & 1 == 1) {
        return Err("a TIFF with old-style LZW compression".into());
    }
    let mut decoder = weezl::decode::Decoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8);
    let mut out = vec![0; needed];
    let (mut rest, mut filled) = (stored, 0);
    // What follows the last byte, an end code or nothing, does not matter.
    while let Some(place) = out.get_mut(filled..).filter(|place| !place.is_empty()) {
        let result = decoder.decode_bytes(rest, place);
        if result.status.is_err() || result.consumed_in + result.consumed_out == 0 {
            return Err("a damaged TIFF (LZW data)".into());
        }
        rest = rest.get(result.consumed_in..).unwrap_or_default();
        filled += result.consumed_out;
    }
    Ok(out)
}

fn inflate(stored: &[u8], needed: usize) -> Result<Vec<u8>> {
    let damaged = |_| Refusal::Borrowed("a damaged TIFF (Deflate data)");
    let mut decoder = flate2::bufread::ZlibDecoder::new(stored);
    let mut out = vec![0; needed];
    decoder.read_exact(&mut out).map_err(damaged)?;
    // The checksum follows the last byte.
    decoder.read(&mut [0]).map_err(damaged)?;
    Ok(out)
}

/// Rows of bits, 1 for black.
fn decode_group_4(stored: &[u8], width: usize, rows: usize) -> Result<Vec<u8>> {
    const DAMAGED: Refusal = Refusal::Borrowed("a damaged TIFF (CCITT Group 4 data)");
    let columns = u16::try_from(width).map_err(|_| DAMAGED)?;
    let mut unread = stored.iter();
    let bytes = unread.by_ref().map(|&byte| Ok::<u8, Infallible>(byte));
    let mut decoder = Group4Decoder::new(bytes, columns).map_err(|_| DAMAGED)?;
    let mut out = Vec::new();
    for _ in 0..rows {
        match decoder.advance() {
            Ok(DecodeStatus::Incomplete) => {}
            _ => return Err(DAMAGED),
        }
        let changes = decoder.transition();
        if !changes.is_sorted_by(|a, b| a < b) || changes.last().is_some_and(|&last| last > columns) {
            return Err(DAMAGED);
        }
        let black: Vec<bool> = fax::decoder::pels(changes, columns).map(|ink| ink == Ink::Black).collect();
        let pack = |byte: u8, (at, &black): (usize, &bool)| byte | u8::from(black) << (7 - at);
        out.extend(black.chunks(8).map(|bits| bits.iter().enumerate().fold(0, pack)));
    }
    // Where codes were lost or added, the last row does not lie before the mark of the end. Some writers
    // leave that out.
    match decoder.advance() {
        Ok(DecodeStatus::End) => Ok(out),
        Err(_) if unread.all(|&byte| byte == 0) => Ok(out),
        _ => Err(DAMAGED),
    }
}

/// Pixels of a JPEG that has the size of the chunk.
fn decode_jpeg(stored: &[u8], page: &Page, rows: usize) -> Result<Vec<u8>> {
    let inside = |refusal| -> Refusal { format!("{refusal} inside TIFF").into() };
    let mut decoder = jpeg::Decoder::new(stored, page.jpeg_tables.clone()).map_err(inside)?;
    let (width, height) = decoder.size();
    // Some writers give the last strip the height of the others.
    if width != page.chunk_width || !(rows..=page.chunk_height).contains(&height) {
        return Err("a damaged TIFF (a JPEG of another size than its strip or tile)".into());
    }
    if decoder.components() != page.samples {
        return Err("a damaged TIFF (a JPEG of other samples than the tags say)".into());
    }
    decoder.set_coding(match page.color {
        super::color::Color::Ycc => jpeg::Coding::Ycc,
        super::color::Color::Rgb { .. } => jpeg::Coding::Rgb,
        _ => jpeg::Coding::Gray,
    });
    Ok(decoder.decode().map_err(inside)?.data)
}
