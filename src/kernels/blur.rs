//! Weighted sum of rows: what a separable blur is made of.

use super::Isa;
use super::simd::{Simd, dispatch};

/// `out[x] = sum over k of weights[k] * rows[k * width + x]`, where `width` is the length of `out`. The sum runs over
/// ascending `k` from zero.
///
/// # Panics
/// `rows` is shorter than `weights.len() * out.len()`.
pub(crate) fn weighted_rows(isa: Isa, weights: &[f32], rows: &[f32], out: &mut [f32]) {
    let needed = weights.len().checked_mul(out.len());
    assert!(needed.is_some_and(|needed| rows.len() >= needed), "fewer rows than weights");
    // SAFETY: `rows` is long enough.
    unsafe { run(isa, weights, rows, out) }
}

dispatch! {
    /// # Safety
    /// As [`kernel`].
    unsafe fn run(weights: &[f32], rows: &[f32], out: &mut [f32]) = kernel
}

/// Four registers of sums at a time, so that their latencies overlap.
const BLOCK: usize = 4;

/// # Safety
/// The CPU has the instruction set of `S`, and `rows` holds at least `weights.len() * out.len()` values.
#[inline(always)]
unsafe fn kernel<S: Simd>(weights: &[f32], rows: &[f32], out: &mut [f32]) {
    let width = out.len();
    let mut x = 0;
    while x + BLOCK * S::LANES <= width {
        // SAFETY: the columns `x..x + BLOCK * LANES` are inside every row and inside `out`.
        unsafe {
            let mut sums = [S::splat(0.0); BLOCK];
            for (k, &weight) in weights.iter().enumerate() {
                let weight = S::splat(weight);
                let row = rows.as_ptr().add(k * width + x);
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = S::load(row.add(i * S::LANES)).mul_add(weight, *sum);
                }
            }
            for (i, sum) in sums.into_iter().enumerate() {
                sum.store(out.as_mut_ptr().add(x + i * S::LANES));
            }
        }
        x += BLOCK * S::LANES;
    }
    for (x, out) in out.iter_mut().enumerate().skip(x) {
        *out = weights.iter().enumerate().fold(0.0, |sum, (k, weight)| sum + weight * rows[k * width + x]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_sums_as_the_naive_loop() {
        for isa in Isa::available() {
            for width in [0, 1, 7, 16, 31, 32, 33, 64, 65, 130, 256] {
                for taps in [0, 1, 2, 5, 33] {
                    check(isa, width, taps);
                }
            }
        }
    }

    /// What lies behind the rows is NaN and what lies behind the sums must stay, so that a step too far shows.
    fn check(isa: Isa, width: usize, taps: usize) {
        let mut rows: Vec<f32> = (0..taps * width).map(|i| (i * 31 % 97) as f32 / 7.0 - 5.0).collect();
        rows.resize(rows.len() + 64, f32::NAN);
        let rows = &rows[..taps * width];
        let weights: Vec<f32> = (0..taps).map(|k| 1.0 / (k + 2) as f32).collect();
        let mut out = vec![77.0; width + 64];
        weighted_rows(isa, &weights, rows, &mut out[..width]);
        assert!(out[width..].iter().all(|&v| v == 77.0), "{isa:?}, {taps} rows of {width}: wrote too far");
        for (x, &got) in out[..width].iter().enumerate() {
            let term = |k: usize| f64::from(weights[k]) * f64::from(rows[k * width + x]);
            let expected: f64 = (0..taps).map(term).sum();
            let size: f64 = (0..taps).map(|k| term(k).abs()).sum();
            assert!(
                (f64::from(got) - expected).abs() <= 1e-6 * size,
                "{isa:?}, {taps} rows of {width}, at {x}: {got} against {expected}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "fewer rows than weights")]
    fn too_few_rows_are_refused() {
        weighted_rows(Isa::PORTABLE, &[1.0, 2.0], &[0.0; 5], &mut [0.0; 3]);
    }
}
