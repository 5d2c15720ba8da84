//! From components to grey or RGB.

use super::Coding;
use super::frame::Frame;
use super::upsample::Upsampler;

/// Pixels that are converted together.
const LANES: usize = 16;

pub(super) fn convert(frame: &Frame, coding: Coding) -> Vec<u8> {
    let channels = if coding == Coding::Gray { 1 } else { 3 };
    let mut data = Vec::with_capacity(channels * frame.width * frame.height);
    let mut row = vec![0; channels * frame.width.next_multiple_of(LANES)];
    let mut parts: Vec<_> = frame.components.iter().map(|c| Upsampler::new(frame, c)).collect();
    for y in 0..frame.height {
        let mut parts = parts.iter_mut().map(|part| part.row(y));
        let mut next = || parts.next().unwrap_or_default();
        match coding {
            Coding::Gray => row[..frame.width].copy_from_slice(&next()[..frame.width]),
            Coding::Rgb => put(&mut row, [next(), next(), next()], |rgb| rgb),
            Coding::Ycc => put(&mut row, [next(), next(), next()], from_ycc),
            // As Adobe stores it: 255 is no ink.
            Coding::Cmyk => put(&mut row, [next(), next(), next(), next()], from_cmyk),
            Coding::Ycck => put(&mut row, [next(), next(), next(), next()], |[y, cb, cr, k]| {
                let [c, m, yellow] = from_ycc([y, cb, cr]);
                from_cmyk([invert(c), invert(m), invert(yellow), k])
            }),
        }
        data.extend_from_slice(&row[..channels * frame.width]);
    }
    data
}

/// Converts a row of pixels into `out`, which has room for a few more.
#[inline]
fn put<const N: usize>(
    out: &mut [u8],
    parts: [&[u8]; N],
    convert: impl Fn([[u8; LANES]; N]) -> [[u8; LANES]; 3],
) {
    for (i, out) in out.chunks_exact_mut(3 * LANES).enumerate() {
        let mut chunk = [[0; LANES]; N];
        for (chunk, part) in chunk.iter_mut().zip(parts) {
            let part = &part[LANES * i..];
            match part.first_chunk() {
                Some(whole) => *chunk = *whole,
                None => chunk[..part.len()].copy_from_slice(part),
            }
        }
        let [r, g, b] = convert(chunk);
        interleave(&r, &g, &b, out);
    }
}

/// Pixel after pixel.
#[inline(never)]
fn interleave(r: &[u8; LANES], g: &[u8; LANES], b: &[u8; LANES], out: &mut [u8]) {
    let Some(out) = out.first_chunk_mut::<{ 3 * LANES }>() else { return };
    for i in 0..LANES {
        out[3 * i] = r[i];
        out[3 * i + 1] = g[i];
        out[3 * i + 2] = b[i];
    }
}

fn invert(values: [u8; LANES]) -> [u8; LANES] {
    values.map(|value| 255 - value)
}

/// ITU-R BT.601 as JFIF has it, in fixed point of 16 bits, rounded as libjpeg does. With `cr` less 128:
/// `r = y + cr + (26345 cr + 2^15 >> 16)`, where 26345 is 0.402 of 2^16, and so on.
#[inline]
fn from_ycc([y, cb, cr]: [[u8; LANES]; 3]) -> [[u8; LANES]; 3] {
    /// `value * factor / 2^16`, rounded.
    fn scaled(value: i16, factor: i16) -> i16 {
        let twice = (i32::from(2 * value) * i32::from(factor)) >> 16;
        (twice as i16 + 1) >> 1
    }
    let clamped = |value: i16| value.clamp(0, 255) as u8;
    let mut out = [[0; LANES]; 3];
    for i in 0..LANES {
        let (y, cb, cr) = (i16::from(y[i]), i16::from(cb[i]) - 128, i16::from(cr[i]) - 128);
        let green = (i32::from(cb) * -22554 + i32::from(cr) * 18734 + (1 << 15)) >> 16;
        out[0][i] = clamped(y + cr + scaled(cr, 26345));
        out[1][i] = clamped(y - cr + green as i16);
        out[2][i] = clamped(y + 2 * cb + scaled(cb, -14942));
    }
    out
}

fn from_cmyk([c, m, y, k]: [[u8; LANES]; 4]) -> [[u8; LANES]; 3] {
    [c, m, y].map(|ink| std::array::from_fn(|i| ((u32::from(ink[i]) * u32::from(k[i]) + 127) / 255) as u8))
}
