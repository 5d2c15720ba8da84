//! The squared Euclidean distance `sum (a[i] - b[i])^2` by which every search and the coreset decide.
//! Differences are squared directly (not `|a|^2 + |b|^2 - 2 a . b`) and summed in a fixed order, so that all
//! of them see the same bits.

use super::Isa;
use super::simd::{Simd, Value, dispatch};

/// Squared distance of `a` and `b`.
///
/// # Panics
/// The lengths differ.
pub(crate) fn squared(isa: Isa, a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // SAFETY: the lengths are equal.
    unsafe { sum_f32_on(isa, a, b) }
}

dispatch! {
    /// # Safety
    /// `a` and `b` are of equal length.
    unsafe fn sum_f32_on(a: &[f32], b: &[f32]) -> f32 = sum_f32
}

/// As [`squared`], for a row `b` in half precision. The bits are those of `b` converted to f32.
///
/// # Panics
/// The lengths differ.
pub(crate) fn squared_to_half(isa: Isa, a: &[f32], b: &[u16]) -> f32 {
    assert_eq!(a.len(), b.len());
    // SAFETY: the lengths are equal.
    unsafe { sum_half_on(isa, a, b) }
}

dispatch! {
    /// # Safety
    /// `a` and `b` are of equal length.
    unsafe fn sum_half_on(a: &[f32], b: &[u16]) -> f32 = sum_half
}

/// Prefetches `values` into the cache, for rows that are compared a little later. Does nothing where stable
/// Rust has no instruction for it.
pub(crate) fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in values.chunks(64 / size_of::<T>()) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 CPU has the instruction, and it has no visible effect.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

/// # Safety
/// As [`sum`].
#[inline(always)]
unsafe fn sum_f32<V: Simd>(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: as the function's contract says.
    unsafe { sum::<V, f32>(a, b) }
}

/// # Safety
/// As [`sum`].
#[inline(always)]
unsafe fn sum_half<V: Simd>(a: &[f32], b: &[u16]) -> f32 {
    // SAFETY: as the function's contract says.
    unsafe { sum::<V, u16>(a, b) }
}

/// # Safety
/// The CPU has the instructions of `V`; `a` and `b` are of equal length.
#[inline(always)]
unsafe fn sum<V: Simd, T: Value>(a: &[f32], b: &[T]) -> f32 {
    let whole = a.len() / V::LANES * V::LANES;
    // SAFETY: `at + LANES` is at most `whole`, which is at most both lengths.
    let vectors = unsafe {
        let mut sums = [V::splat(0.0); 4];
        // Four sums by constant index: a variable index would keep them in memory.
        let mut at = 0;
        while at + 4 * V::LANES <= whole {
            sums[0] = add(a, b, at, sums[0]);
            sums[1] = add(a, b, at + V::LANES, sums[1]);
            sums[2] = add(a, b, at + 2 * V::LANES, sums[2]);
            sums[3] = add(a, b, at + 3 * V::LANES, sums[3]);
            at += 4 * V::LANES;
        }
        for sum in &mut sums[..3] {
            if at < whole {
                *sum = add(a, b, at, *sum);
                at += V::LANES;
            }
        }
        sums[0].add(sums[1]).add(sums[2].add(sums[3])).sum()
    };
    let rest = a[whole..].iter().zip(&b[whole..]).map(|(a, b)| (a - b.to_f32()) * (a - b.to_f32()));
    vectors + rest.sum::<f32>()
}

/// `sum` plus the squared differences of a register of values from `at` on.
///
/// # Safety
/// The CPU has the instructions of `V`; `a` and `b` hold a register's values from `at` on.
#[inline(always)]
unsafe fn add<V: Simd, T: Value>(a: &[f32], b: &[T], at: usize, sum: V) -> V {
    // SAFETY: as the function's contract says.
    unsafe {
        let difference = V::load(a.as_ptr().add(at)).sub(T::load(b.as_ptr().add(at)));
        difference.mul_add(difference, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::half;

    #[test]
    fn every_instruction_set_agrees_with_the_sum_in_double_precision() {
        for len in [1, 3, 4, 7, 8, 15, 16, 17, 31, 63, 64, 65, 384, 1000] {
            let a: Vec<f32> = (0..len).map(|i| (i as f32 * 0.7).sin()).collect();
            let b: Vec<f32> = (0..len).map(|i| (i as f32 * 1.3).cos()).collect();
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            for isa in Isa::available() {
                let found = f64::from(squared(isa, &a, &b));
                assert!((found - exact).abs() <= exact * 1e-6, "{isa:?} {len}: {found} {exact}");
                assert_eq!(squared(isa, &a, &a), 0.0);
            }
        }
    }

    #[test]
    fn halves_give_the_bits_of_the_converted_row() {
        for len in (1..=65).chain([127, 384, 1000]) {
            let a: Vec<f32> = (0..len).map(|i| (i as f32 * 0.7).sin()).collect();
            let halves: Vec<u16> = (0..len as u16).map(|i| i.wrapping_mul(1733) & 0xbbff).collect();
            let wide: Vec<f32> = halves.iter().map(|&half| half::to_f32(half)).collect();
            for isa in Isa::available() {
                let (found, expected) = (squared_to_half(isa, &a, &halves), squared(isa, &a, &wide));
                assert_eq!(found.to_bits(), expected.to_bits(), "{isa:?} {len}");
            }
        }
    }
}
