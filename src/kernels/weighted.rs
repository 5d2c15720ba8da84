//! Weighted sums of rows: the vertical pass of resizing (bytes) and of the blur (f32).

use super::Isa;
use super::simd::{Simd, Value, dispatch};

/// Writes `sum over k of weights[k] * rows[k * stride + x]` to `out[x]`. The sum runs over ascending `k` from
/// zero.
///
/// # Panics
/// `rows` ends before the last row that has a weight.
pub(crate) fn sum_of_values(isa: Isa, weights: &[f32], rows: &[f32], stride: usize, out: &mut [f32]) {
    check(weights, rows, stride, out);
    // SAFETY: the rows are long enough.
    unsafe { values_on(isa, weights, rows, stride, out) }
}

/// As [`sum_of_values`], for rows of bytes.
///
/// # Panics
/// As `sum_of_values`.
pub(crate) fn sum_of_bytes(isa: Isa, weights: &[f32], rows: &[u8], stride: usize, out: &mut [f32]) {
    check(weights, rows, stride, out);
    // SAFETY: the rows are long enough.
    unsafe { bytes_on(isa, weights, rows, stride, out) }
}

fn check<T>(weights: &[f32], rows: &[T], stride: usize, out: &[f32]) {
    let Some(last) = weights.len().checked_sub(1) else { return };
    let needed = last.checked_mul(stride).and_then(|start| start.checked_add(out.len()));
    assert!(needed.is_some_and(|needed| rows.len() >= needed), "fewer rows than weights");
}

dispatch! {
    /// # Safety
    /// As [`sum`].
    unsafe fn values_on(weights: &[f32], rows: &[f32], stride: usize, out: &mut [f32]) = values
}

dispatch! {
    /// # Safety
    /// As [`sum`].
    unsafe fn bytes_on(weights: &[f32], rows: &[u8], stride: usize, out: &mut [f32]) = bytes
}

/// # Safety
/// As [`sum`].
#[inline(always)]
unsafe fn values<V: Simd>(weights: &[f32], rows: &[f32], stride: usize, out: &mut [f32]) {
    // SAFETY: as the function's contract says.
    unsafe { sum::<V, f32>(weights, rows, stride, out) }
}

/// # Safety
/// As [`sum`].
#[inline(always)]
unsafe fn bytes<V: Simd>(weights: &[f32], rows: &[u8], stride: usize, out: &mut [f32]) {
    // SAFETY: as the function's contract says.
    unsafe { sum::<V, u8>(weights, rows, stride, out) }
}

/// Registers of sums side by side, so that their latencies overlap.
const SUM_VECTORS: usize = 4;

/// # Safety
/// The CPU has the instructions of `V`; `rows` holds `out.len()` values from `k * stride` on for every weight
/// `k`.
#[inline(always)]
unsafe fn sum<V: Simd, T: Value>(weights: &[f32], rows: &[T], stride: usize, out: &mut [f32]) {
    let mut x = 0;
    // SAFETY: as many columns from `x` on as are summed lie inside every row and inside `out`.
    unsafe {
        while x + SUM_VECTORS * V::LANES <= out.len() {
            columns::<V, T, SUM_VECTORS>(weights, rows.as_ptr().add(x), stride, out.as_mut_ptr().add(x));
            x += SUM_VECTORS * V::LANES;
        }
        while x + V::LANES <= out.len() {
            columns::<V, T, 1>(weights, rows.as_ptr().add(x), stride, out.as_mut_ptr().add(x));
            x += V::LANES;
        }
    }
    for (x, out) in out.iter_mut().enumerate().skip(x) {
        let terms = weights.iter().enumerate().map(|(k, weight)| weight * rows[k * stride + x].to_f32());
        *out = terms.fold(0.0, |sum, term| sum + term);
    }
}

/// # Safety
/// The CPU has the instructions of `V`; `rows` is valid for `N` registers of values from `k * stride` on for
/// every weight `k`, and `out` for as many.
#[inline(always)]
unsafe fn columns<V: Simd, T: Value, const N: usize>(
    weights: &[f32],
    rows: *const T,
    stride: usize,
    out: *mut f32,
) {
    // SAFETY: as the function's contract says.
    unsafe {
        let mut sums = [V::splat(0.0); N];
        for (k, &weight) in weights.iter().enumerate() {
            let weight = V::splat(weight);
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = T::load::<V>(rows.add(k * stride + i * V::LANES)).mul_add(weight, *sum);
            }
        }
        for (i, sum) in sums.into_iter().enumerate() {
            sum.store(out.add(i * V::LANES));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTHS: [usize; 15] = [0, 1, 4, 7, 15, 16, 17, 31, 32, 33, 64, 65, 100, 130, 256];

    #[test]
    fn every_instruction_set_sums_values_as_the_naive_loop() {
        every(|i| (i * 31 % 97) as f32 / 7.0 - 5.0, sum_of_values);
    }

    #[test]
    fn every_instruction_set_sums_bytes_as_the_naive_loop() {
        every(|i| (i * 37 % 256) as u8, sum_of_bytes);
    }

    fn every<T: Value>(value: impl Fn(usize) -> T, sum: impl Fn(Isa, &[f32], &[T], usize, &mut [f32])) {
        for isa in Isa::available() {
            for width in WIDTHS {
                for (taps, spare) in [(0, 0), (1, 0), (2, 3), (5, 0), (5, 3), (33, 1)] {
                    check(isa, width, taps, width + spare, &value, &sum);
                }
            }
        }
    }

    /// The rows are exactly long enough, so that a memory checker sees a read past the end. Values after the
    /// sums must stay.
    fn check<T: Value>(
        isa: Isa,
        width: usize,
        taps: usize,
        stride: usize,
        value: &impl Fn(usize) -> T,
        sum: &impl Fn(Isa, &[f32], &[T], usize, &mut [f32]),
    ) {
        let needed = taps.checked_sub(1).map_or(0, |last| last * stride + width);
        let rows: Vec<T> = (0..needed).map(value).collect();
        let weights: Vec<f32> = (0..taps).map(|k| 1.0 / (k + 2) as f32).collect();
        let mut out = vec![77.0; width + 64];
        sum(isa, &weights, &rows, stride, &mut out[..width]);
        assert!(out[width..].iter().all(|&v| v == 77.0), "{isa:?}, {taps} rows of {width}: wrote too far");
        for (x, &got) in out[..width].iter().enumerate() {
            let term = |k: usize| f64::from(weights[k]) * f64::from(rows[k * stride + x].to_f32());
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
    fn too_few_values_are_refused() {
        sum_of_values(Isa::PORTABLE, &[1.0, 2.0], &[0.0; 5], 3, &mut [0.0; 3]);
    }

    #[test]
    #[should_panic(expected = "fewer rows than weights")]
    fn too_few_bytes_are_refused() {
        sum_of_bytes(Isa::PORTABLE, &[1.0, 1.0], &[0; 10], 6, &mut [0.0; 5]);
    }
}
