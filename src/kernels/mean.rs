//! 3x3 mean with zero padding that counts, as the patches of the method are pooled.

use super::Isa;
use super::simd::{Simd, dispatch};
use crate::parallel::Pool;
use crate::tensor::FeatureMap;

/// Writes the mean of each position's 3x3 neighbourhood to the channels from `offset` on of `out`'s positions, which
/// hold `step` values each; positions outside the map count as zeros.
///
/// # Panics
/// `out` is too short, or its positions too small.
pub(crate) fn run(
    isa: Isa,
    map: &FeatureMap<'_>,
    pool: &Pool,
    out: &mut [f32],
    (offset, step): (usize, usize),
) {
    assert!(offset + map.channels <= step && out.len() == map.height * map.width * step);
    pool.for_each_chunk(out, map.width * step, |y, out| {
        let row = |y: usize| &map.data[y * map.line..][..map.width * map.channels];
        // A row outside is left out of the sum, as zeros would be.
        let above = y.checked_sub(1).map(row);
        let below = (y + 1 < map.height).then(|| row(y + 1));
        let rows = [above, Some(row(y)), below];
        // SAFETY: each row holds `width` positions of `channels` values, and `out` as many of `step`.
        unsafe { row_of_means(isa, rows, map.channels, out, offset, step) };
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
        step: usize,
    ) = means
}

/// # Safety
/// The CPU has the instructions of `V`; the rows that are there hold as many positions of `channels` values as `out` holds
/// positions of `step`, which is at least `offset + channels`.
#[inline(always)]
unsafe fn means<V: Simd>(
    rows: [Option<&[f32]>; 3],
    channels: usize,
    out: &mut [f32],
    offset: usize,
    step: usize,
) {
    let width = out.len() / step;
    let whole = channels / V::LANES * V::LANES;
    for c in (0..whole).step_by(V::LANES) {
        // SAFETY: channels `c..c + LANES` of position x are inside each row and inside `out`.
        unsafe {
            let ninth = V::splat(1.0 / 9.0);
            let (mut left, mut here) = (V::splat(0.0), column::<V>(rows, c));
            for x in 0..width {
                let right = match x + 1 < width {
                    true => column(rows, (x + 1) * channels + c),
                    false => V::splat(0.0),
                };
                left.add(here).add(right).mul(ninth).store(out.as_mut_ptr().add(x * step + offset + c));
                (left, here) = (here, right);
            }
        }
    }
    for c in whole..channels {
        let column = |x: usize| rows.iter().flatten().map(|row| row[x * channels + c]).sum::<f32>();
        for x in 0..width {
            let near = x.saturating_sub(1)..(x + 2).min(width);
            out[x * step + offset + c] = near.map(column).sum::<f32>() * (1.0 / 9.0);
        }
    }
}

/// The sum of what the rows that are there hold at `at`.
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
            let step = channels + 5;
            for isa in Isa::available() {
                let mut out = vec![7.0; height * width * step];
                run(isa, &map, &Pool::new(2).unwrap(), &mut out, (3, step));
                for (at, values) in out.chunks(step).enumerate() {
                    let (y, x) = (at / width, at % width);
                    for (c, &found) in values[3..3 + channels].iter().enumerate() {
                        let rows = y.saturating_sub(1)..(y + 2).min(height);
                        let near =
                            rows.flat_map(|y| (x.saturating_sub(1)..(x + 2).min(width)).map(move |x| (y, x)));
                        let expected = near.map(|(y, x)| f64::from(map.at(y, x)[c])).sum::<f64>() / 9.0;
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
