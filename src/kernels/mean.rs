//! 3x3 mean over zero padding (the divisor is always nine): the pooling of PatchCore's patches.

use super::Isa;
use super::simd::{Simd, dispatch};
use crate::parallel::Pool;
use crate::tensor::FeatureMap;

/// Writes the mean of each pixel's 3x3 neighbourhood to `out`, whose pixels are `pixel_stride` values apart,
/// from channel `offset` on. Pixels outside the map count as zeros.
///
/// # Panics
/// `out` is not `height * width` pixels, or its pixels have too few channels.
pub(crate) fn mean_3x3(
    isa: Isa,
    map: &FeatureMap<'_>,
    pool: &Pool,
    out: &mut [f32],
    (offset, pixel_stride): (usize, usize),
) {
    assert!(offset + map.channels <= pixel_stride && out.len() == map.height * map.width * pixel_stride);
    pool.for_each_chunk(out, map.width * pixel_stride, |y, out| {
        let row = |y: usize| &map.data[y * map.row_stride..][..map.width * map.channels];
        // A row outside the map adds nothing, like zeros.
        let above = y.checked_sub(1).map(row);
        let below = (y + 1 < map.height).then(|| row(y + 1));
        let rows = [above, Some(row(y)), below];
        // SAFETY: each row holds `width` pixels of `channels` values, and `out` as many of `pixel_stride`.
        unsafe { row_of_means(isa, rows, map.channels, out, offset, pixel_stride) };
    });
}

dispatch! {
    /// # Safety
    /// As [`means`].
    unsafe fn row_of_means(
        rows: [Option<&[f32]>; 3],
        channels: usize,
        out: &mut [f32],
        offset: usize,
        pixel_stride: usize,
    ) = means
}

/// # Safety
/// The CPU has the instructions of `V`; the rows that are there hold as many pixels of `channels` values as
/// `out` holds pixels of `pixel_stride` values, which is at least `offset + channels`.
#[inline(always)]
unsafe fn means<V: Simd>(
    rows: [Option<&[f32]>; 3],
    channels: usize,
    out: &mut [f32],
    offset: usize,
    pixel_stride: usize,
) {
    let width = out.len() / pixel_stride;
    let whole = channels / V::LANES * V::LANES;
    for c in (0..whole).step_by(V::LANES) {
        // SAFETY: channels `c..c + LANES` of pixel x are inside each row and inside `out`.
        unsafe {
            let ninth = V::splat(1.0 / 9.0);
            let (mut left, mut here) = (V::splat(0.0), column::<V>(rows, c));
            for x in 0..width {
                let right = match x + 1 < width {
                    true => column(rows, (x + 1) * channels + c),
                    false => V::splat(0.0),
                };
                left.add(here)
                    .add(right)
                    .mul(ninth)
                    .store(out.as_mut_ptr().add(x * pixel_stride + offset + c));
                (left, here) = (here, right);
            }
        }
    }
    for c in whole..channels {
        let column = |x: usize| rows.iter().flatten().map(|row| row[x * channels + c]).sum::<f32>();
        for x in 0..width {
            let near = x.saturating_sub(1)..(x + 2).min(width);
            out[x * pixel_stride + offset + c] = near.map(column).sum::<f32>() * (1.0 / 9.0);
        }
    }
}

/// The sum over the rows that are there of the values from `at` on.
///
/// # Safety
/// The CPU has the instructions of `V`; the rows hold a register's values from `at` on.
#[inline(always)]
unsafe fn column<V: Simd>(rows: [Option<&[f32]>; 3], at: usize) -> V {
    // SAFETY: as the function's contract says.
    unsafe {
        let mut sum = V::splat(0.0);
        for row in rows.into_iter().flatten() {
            sum = sum.add(V::load(row.as_ptr().add(at)));
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_averages_like_the_plain_loop() {
        for (height, width, channels) in
            [(1, 1, 1), (3, 3, 1), (2, 5, 17), (4, 1, 16), (5, 6, 40), (7, 9, 64)]
        {
            let data: Vec<f32> = (0..height * width * channels).map(|i| (i as f32 * 0.7).sin()).collect();
            let map = FeatureMap::dense(height, width, channels, &data);
            let pixel_stride = channels + 5;
            for isa in Isa::available() {
                let mut out = vec![7.0; height * width * pixel_stride];
                mean_3x3(isa, &map, &Pool::new(2).unwrap(), &mut out, (3, pixel_stride));
                for (at, values) in out.chunks(pixel_stride).enumerate() {
                    let (y, x) = (at / width, at % width);
                    for (c, &found) in values[3..3 + channels].iter().enumerate() {
                        let rows = y.saturating_sub(1)..(y + 2).min(height);
                        let near =
                            rows.flat_map(|y| (x.saturating_sub(1)..(x + 2).min(width)).map(move |x| (y, x)));
                        let expected =
                            near.map(|(y, x)| f64::from(map.values_at(y, x)[c])).sum::<f64>() / 9.0;
                        assert!((f64::from(found) - expected).abs() < 1e-6, "{isa:?} {y},{x},{c}: {found}");
                    }
                    assert!(
                        values[..3].iter().chain(&values[3 + channels..]).all(|&v| v == 7.0),
                        "{isa:?} wrote beside its channels"
                    );
                }
            }
        }
    }
}
