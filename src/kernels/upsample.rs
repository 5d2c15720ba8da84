//! Bilinear upsampling with half-pixel centres (torch's `interpolate`, align_corners false).

use super::Isa;
use super::simd::{Simd, dispatch};
use crate::parallel::Pool;
use crate::tensor::FeatureMap;

/// Upsamples `map` to `rows` x `columns` pixels and writes them to `out`, whose pixels are `pixel_stride`
/// values apart, from channel `offset` on.
///
/// # Panics
/// `out` is not `rows * columns` pixels, or its pixels have too few channels.
pub(crate) fn upsample_bilinear(
    isa: Isa,
    map: &FeatureMap<'_>,
    (rows, columns): (usize, usize),
    pool: &Pool,
    out: &mut [f32],
    (offset, pixel_stride): (usize, usize),
) {
    assert!(offset + map.channels <= pixel_stride && out.len() == rows * columns * pixel_stride);
    pool.for_each_chunk(out, columns * pixel_stride, |y, row| {
        let (top, bottom, down) = source(y, rows, map.height);
        for (x, out) in row.chunks_exact_mut(pixel_stride).enumerate() {
            let (left, right, across) = source(x, columns, map.width);
            let corners = [
                map.values_at(top, left),
                map.values_at(top, right),
                map.values_at(bottom, left),
                map.values_at(bottom, right),
            ];
            let weights =
                [(1.0 - down) * (1.0 - across), (1.0 - down) * across, down * (1.0 - across), down * across];
            // SAFETY: corners and output hold the map's channels.
            unsafe { interpolate_on(isa, corners, weights, &mut out[offset..offset + map.channels]) };
        }
    });
}

/// The two of `input` pixels around pixel `at` of `output` pixels, and the weight of the second.
fn source(at: usize, output: usize, input: usize) -> (usize, usize, f32) {
    let position = ((at as f32 + 0.5) * (input as f32 / output as f32) - 0.5).max(0.0);
    let first = (position as usize).min(input - 1);
    (first, (first + 1).min(input - 1), position - first as f32)
}

dispatch! {
    /// # Safety
    /// As [`interpolate`].
    unsafe fn interpolate_on(corners: [&[f32]; 4], weights: [f32; 4], out: &mut [f32]) = interpolate
}

/// # Safety
/// The CPU has the instructions of `V`; each corner is as long as `out`.
#[inline(always)]
unsafe fn interpolate<V: Simd>(corners: [&[f32]; 4], weights: [f32; 4], out: &mut [f32]) {
    let whole = out.len() / V::LANES * V::LANES;
    for c in (0..whole).step_by(V::LANES) {
        // SAFETY: `c + LANES` is at most the length of each.
        unsafe {
            let mut sum = V::splat(0.0);
            for (corner, &weight) in corners.iter().zip(&weights) {
                sum = V::load(corner.as_ptr().add(c)).mul_add(V::splat(weight), sum);
            }
            sum.store(out.as_mut_ptr().add(c));
        }
    }
    for (c, out) in out.iter_mut().enumerate().skip(whole) {
        *out = (0..4).map(|i| corners[i][c] * weights[i]).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_interpolates_like_the_formula() {
        for (height, width, channels) in [(1, 1, 1), (2, 3, 5), (4, 4, 16), (5, 3, 33), (8, 8, 64)] {
            let data: Vec<f32> = (0..height * width * channels).map(|i| (i as f32 * 0.3).cos()).collect();
            let map = FeatureMap::dense(height, width, channels, &data);
            let (rows, columns, pixel_stride) = (2 * height - 1, 2 * width, channels + 4);
            for isa in Isa::available() {
                let mut out = vec![7.0; rows * columns * pixel_stride];
                upsample_bilinear(
                    isa,
                    &map,
                    (rows, columns),
                    &Pool::new(2).unwrap(),
                    &mut out,
                    (3, pixel_stride),
                );
                for (at, values) in out.chunks(pixel_stride).enumerate() {
                    let (y, x) = (at / columns, at % columns);
                    let place = |at: usize, output: usize, input: usize| {
                        ((at as f64 + 0.5) * input as f64 / output as f64 - 0.5)
                            .clamp(0.0, (input - 1) as f64)
                    };
                    let (py, px) = (place(y, rows, height), place(x, columns, width));
                    for c in 0..channels {
                        let weigh = |a: f64, b: usize| (1.0 - (a - b as f64).abs()).max(0.0);
                        let all = (0..height * width).map(|i| (i / width, i % width));
                        let expected: f64 = all
                            .map(|(y, x)| weigh(py, y) * weigh(px, x) * f64::from(map.values_at(y, x)[c]))
                            .sum();
                        let found = f64::from(values[3 + c]);
                        assert!((found - expected).abs() < 1e-5, "{isa:?} {y},{x},{c}: {found} {expected}");
                    }
                    assert!(values[..3].iter().chain(&values[3 + channels..]).all(|&v| v == 7.0), "{isa:?}");
                }
            }
        }
    }
}
