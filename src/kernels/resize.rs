//! The vertical half of resizing: weighted sums of rows of bytes.

use super::Isa;
use super::simd::{Simd, dispatch};

/// Writes `sum over t of weights[t] * rows[t * stride + x]` to `out[x]`.
///
/// # Panics
/// `rows` ends before the last row that `weights` asks for.
pub(crate) fn weighted_rows(isa: Isa, rows: &[u8], stride: usize, weights: &[f32], out: &mut [f32]) {
    assert!(weights.is_empty() || rows.len() >= (weights.len() - 1) * stride + out.len());
    // SAFETY: the rows are long enough.
    unsafe { run(isa, rows, stride, weights, out) }
}

dispatch! {
    /// # Safety
    /// As [`sum`].
    unsafe fn run(rows: &[u8], stride: usize, weights: &[f32], out: &mut [f32]) = sum
}

/// # Safety
/// The CPU has the instructions of `V`; `rows` holds `out.len()` bytes from `t * stride` on for every weight `t`.
#[inline(always)]
unsafe fn sum<V: Simd>(rows: &[u8], stride: usize, weights: &[f32], out: &mut [f32]) {
    let whole = out.len() / V::LANES * V::LANES;
    for x in (0..whole).step_by(V::LANES) {
        // SAFETY: x + LANES is at most `whole`, which is at most the length of `out` and of each row.
        unsafe {
            let mut total = V::splat(0.0);
            for (t, &weight) in weights.iter().enumerate() {
                total = V::load_u8(rows.as_ptr().add(t * stride + x)).mul_add(V::splat(weight), total);
            }
            total.store(out.as_mut_ptr().add(x));
        }
    }
    for (x, out) in out.iter_mut().enumerate().skip(whole) {
        *out = weights.iter().enumerate().map(|(t, weight)| weight * f32::from(rows[t * stride + x])).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_sums_like_the_plain_loop() {
        for width in [1, 4, 7, 8, 15, 16, 17, 33, 100] {
            for taps in [1, 2, 5] {
                let stride = width + 3;
                // Exactly as long as is needed, so that a read past the end is seen by a memory checker.
                let rows: Vec<u8> = (0..(taps - 1) * stride + width).map(|i| (i * 37 % 256) as u8).collect();
                let weights: Vec<f32> = (0..taps).map(|t| 0.3 + t as f32 * 0.1).collect();
                let exact = |x: usize| {
                    (0..taps).map(|t| f64::from(weights[t]) * f64::from(rows[t * stride + x])).sum::<f64>()
                };
                for isa in Isa::available() {
                    let mut out = vec![f32::NAN; width];
                    weighted_rows(isa, &rows, stride, &weights, &mut out);
                    for (x, &found) in out.iter().enumerate() {
                        assert!((f64::from(found) - exact(x)).abs() < 1e-3, "{isa:?} {width} {taps} at {x}");
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic]
    fn rows_that_end_early_are_refused() {
        weighted_rows(Isa::PORTABLE, &[0; 10], 6, &[1.0, 1.0], &mut [0.0; 5]);
    }
}
