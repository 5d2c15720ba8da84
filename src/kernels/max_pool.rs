//! 3x3 maximum, stride 2, as after the stem of a residual network.

use super::Isa;
use super::map::{Map, Shape};
use super::simd::{Simd, dispatch};
use crate::parallel::Pool;

/// Writes the maximum of each 3x3 neighbourhood of every second pixel of `map` to `out`. The values of `map`
/// must come from a ReLU, so that the zeros of its border change nothing.
pub(crate) fn max_pool_3x3(isa: Isa, map: &Map, out: &mut Map, pool: &Pool) {
    let Shape { width, channels, .. } = out.shape();
    let (row_stride, border, offset) = (out.row_stride(), out.border(), map.border() - 1);
    pool.for_each_chunk(out.rows_mut(), row_stride, |y, row| {
        let row = &mut row[border * channels..][..width * channels];
        let rows = &map.data()[map.index_of(2 * y + offset, offset)..];
        assert!(rows.len() >= 2 * map.row_stride() + (2 * width + 1) * channels);
        // SAFETY: the three rows hold the neighbourhoods of all pixels of `row`.
        unsafe { row_of_maxima(isa, rows, map.row_stride(), channels, row) };
    });
}

dispatch! {
    /// # Safety
    /// As [`maxima`].
    unsafe fn row_of_maxima(rows: &[f32], row_stride: usize, channels: usize, out: &mut [f32]) = maxima
}

/// # Safety
/// The CPU has the instructions of `V`; `out` is `n` whole pixels of `channels` values, and `rows` holds `2 n
/// + 1` pixels from each of 0, `row_stride` and `2 * row_stride` on.
#[inline(always)]
unsafe fn maxima<V: Simd>(rows: &[f32], row_stride: usize, channels: usize, out: &mut [f32]) {
    let whole = channels / V::LANES * V::LANES;
    for (x, out) in out.chunks_exact_mut(channels).enumerate() {
        let at = |i: usize| i / 3 * row_stride + (2 * x + i % 3) * channels;
        for c in (0..whole).step_by(V::LANES) {
            // SAFETY: the caller grants the nine pixels; channels `c..c + LANES` are some of theirs and of
            // `out`'s.
            unsafe {
                let mut largest = V::load(rows.as_ptr().add(at(0) + c));
                for i in 1..9 {
                    largest = largest.max(V::load(rows.as_ptr().add(at(i) + c)));
                }
                largest.store(out.as_mut_ptr().add(c));
            }
        }
        for (c, out) in out.iter_mut().enumerate().skip(whole) {
            *out = (0..9).map(|i| rows[at(i) + c]).fold(f32::NEG_INFINITY, f32::max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_takes_the_largest_of_nine_at_every_second_position() {
        for (height, width, channels) in [(4, 5, 1), (1, 1, 7), (6, 3, 16), (5, 9, 35), (8, 8, 64)] {
            let values: Vec<f32> = (0..height * width * channels).map(|i| (i * 7919 % 1009) as f32).collect();
            let mut map = Map::new(Shape { height, width, channels }, 1);
            map.fill_planar(&values, &Pool::new(1).unwrap());
            for isa in Isa::available() {
                let shape = Shape { height: height.div_ceil(2), width: width.div_ceil(2), channels };
                let mut out = Map::new(shape, 1);
                max_pool_3x3(isa, &map, &mut out, &Pool::new(2).unwrap());
                for (y, x, c) in positions(shape) {
                    let near = |at: usize, side: usize| (2 * at).saturating_sub(1)..(2 * at + 2).min(side);
                    let all = near(y, height).flat_map(|y| near(x, width).map(move |x| (y, x)));
                    let expected = all.map(|(y, x)| map.view().values_at(y, x)[c]).fold(0.0, f32::max);
                    assert_eq!(
                        out.view().values_at(y, x)[c],
                        expected,
                        "{isa:?} {height}x{width} at {y},{x},{c}"
                    );
                }
            }
        }
    }

    fn positions(shape: Shape) -> impl Iterator<Item = (usize, usize, usize)> {
        let Shape { height, width, channels } = shape;
        (0..height * width * channels)
            .map(move |i| (i / channels / width, i / channels % width, i % channels))
    }
}
