//! Scalar quantisation: vectors become integer codes `c = round(v / scale)`, so that `v` is about `scale *
//! c`.
//!
//! [`hadamard`] comes first where values differ much in size. It multiplies by the orthonormal Hadamard
//! matrix, which keeps all lengths and spreads each value over all others, so that one scale suits them all.

use super::Isa;
use super::simd::{Simd, dispatch};

/// Sums that run side by side, whatever the instruction set, so that all sets give the same bits.
const ACCUMULATORS: usize = 16;
/// 1.5 * 2^23. Adding it to a number below 2^22 in magnitude rounds that number to an integer, ties to even,
/// because f32 has only integers between 2^23 and 2^24. The integer is then in the lowest bits of the sum.
const ROUNDING_SHIFT: f32 = 12_582_912.0;

/// Sums over a quantised vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quantized {
    /// Sum of the squared codes.
    pub code_sq_sum: i32,
    /// Sum of the codes.
    pub code_sum: i32,
    /// Squared length of `values - scale * codes`.
    pub residual_sq: f32,
}

/// Multiplies by the orthonormal Hadamard matrix.
///
/// # Panics
/// The number of values is not a power of two.
pub(crate) fn hadamard(isa: Isa, values: &mut [f32]) {
    assert!(values.len().is_power_of_two());
    // SAFETY: nothing but the instructions is needed.
    unsafe { hadamard_on(isa, values) }
}

/// The largest magnitude. NaN counts as 0.
pub(crate) fn max_abs(isa: Isa, values: &[f32]) -> f32 {
    // SAFETY: nothing but the instructions is needed.
    unsafe { max_abs_on(isa, values) }
}

/// Writes the codes nearest to `values / scale`, clamped to `-max_code..=max_code`. NaN inputs yield an
/// unspecified code in that range and a NaN `residual_sq`.
///
/// # Panics
/// There are not as many codes as values, or more than 256; or `max_code` is above 2047.
pub(crate) fn quantise(isa: Isa, values: &[f32], max_code: i16, scale: f32, codes: &mut [i16]) -> Quantized {
    assert!(values.len() == codes.len() && codes.len() <= 256 && max_code <= 2047);
    // SAFETY: nothing but the instructions is needed.
    unsafe { quantise_on(isa, values, max_code.into(), scale, codes) }
}

dispatch! {
    /// # Safety
    /// Nothing but the instructions.
    unsafe fn hadamard_on(values: &mut [f32]) = butterflies
}

dispatch! {
    /// # Safety
    /// Nothing but the instructions.
    unsafe fn max_abs_on(values: &[f32]) -> f32 = max_abs_of
}

dispatch! {
    /// # Safety
    /// Nothing but the instructions.
    unsafe fn quantise_on(
        values: &[f32],
        max_code: f32,
        scale: f32,
        codes: &mut [i16],
    ) -> Quantized = quantise_values
}

/// The fast Hadamard transform: log2(n) stages, each of which replaces pairs `half` apart by their sum and
/// difference.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn butterflies<V: Simd>(values: &mut [f32]) {
    let (runs, rest) = values.as_chunks_mut::<ACCUMULATORS>();
    for run in runs {
        short_butterfly::<1>(run);
        short_butterfly::<2>(run);
        short_butterfly::<4>(run);
        short_butterfly::<8>(run);
    }
    // Only a vector shorter than one run leaves a rest.
    let mut half = if rest.is_empty() { ACCUMULATORS } else { 1 };
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (a, b) = pair.split_at_mut(half);
            for (a, b) in a.iter_mut().zip(b) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let scale = 1.0 / (values.len() as f32).sqrt();
    values.iter_mut().for_each(|value| *value *= scale);
}

/// One stage inside a run.
#[inline(always)]
fn short_butterfly<const HALF: usize>(run: &mut [f32; ACCUMULATORS]) {
    let old = *run;
    for i in 0..ACCUMULATORS {
        let sign = if i & HALF == 0 { 1.0 } else { -1.0 };
        run[i] = old[i ^ HALF] + sign * old[i];
    }
}

/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn max_abs_of<V: Simd>(values: &[f32]) -> f32 {
    let mut maxima = [0.0f32; ACCUMULATORS];
    let (runs, rest) = values.as_chunks::<ACCUMULATORS>();
    for run in runs {
        for (max, value) in maxima.iter_mut().zip(run) {
            *max = larger(*max, value.abs());
        }
    }
    maxima.iter().chain(rest).fold(0.0, |max, value| larger(max, value.abs()))
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn quantise_values<V: Simd>(
    values: &[f32],
    max_code: f32,
    scale: f32,
    codes: &mut [i16],
) -> Quantized {
    let inverse = 1.0 / scale;
    let (mut squares, mut sums) = ([0; ACCUMULATORS], [0; ACCUMULATORS]);
    let mut residuals = [0.0f32; ACCUMULATORS];
    let (runs, rest) = values.as_chunks::<ACCUMULATORS>();
    let (code_runs, code_rest) = codes.as_chunks_mut::<ACCUMULATORS>();
    for (run, codes) in runs.iter().zip(code_runs) {
        for i in 0..ACCUMULATORS {
            let code = quantise_value(run[i], inverse, max_code, scale, &mut residuals[i]);
            squares[i] += code * code;
            sums[i] += code;
            codes[i] = code as i16;
        }
    }
    for (i, (&value, out)) in rest.iter().zip(code_rest).enumerate() {
        let code = quantise_value(value, inverse, max_code, scale, &mut residuals[i]);
        squares[i] += code * code;
        sums[i] += code;
        *out = code as i16;
    }
    Quantized {
        code_sq_sum: squares.iter().sum(),
        code_sum: sums.iter().sum(),
        residual_sq: residuals.iter().sum(),
    }
}

/// The code of `value`; adds the squared error to `residual_sq`.
#[inline(always)]
fn quantise_value(value: f32, inverse: f32, max_code: f32, scale: f32, residual_sq: &mut f32) -> i32 {
    // `max` and `min` turn NaN into a number.
    let shifted = (value * inverse).max(-max_code).min(max_code) + ROUNDING_SHIFT;
    let difference = value - (shifted - ROUNDING_SHIFT) * scale;
    *residual_sq += difference * difference;
    shifted.to_bits().wrapping_sub(ROUNDING_SHIFT.to_bits()) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 1.7).sin() * 40.0 + (i % 5) as f32).collect()
    }

    #[test]
    fn the_fast_transform_is_a_product_with_the_hadamard_matrix() {
        for count in (0..9).map(|power| 1 << power) {
            let values = values(count);
            let exact = |i: usize| {
                let term = |(j, &value): (usize, &f32)| match (i & j).count_ones() % 2 {
                    0 => f64::from(value),
                    _ => -f64::from(value),
                };
                values.iter().enumerate().map(term).sum::<f64>() / (count as f64).sqrt()
            };
            for isa in Isa::available() {
                let mut transformed = values.clone();
                hadamard(isa, &mut transformed);
                for (i, &found) in transformed.iter().enumerate() {
                    assert!((f64::from(found) - exact(i)).abs() < 1e-4, "{isa:?} {count} at {i}");
                }
            }
        }
    }

    #[test]
    fn max_abs_ignores_nan() {
        for count in [0, 1, 15, 16, 17, 100] {
            let mut values: Vec<f32> = values(count).iter().map(|v| v - 20.0).collect();
            for isa in Isa::available() {
                let expected = values.iter().fold(0.0f32, |max, v| max.max(v.abs()));
                assert_eq!(max_abs(isa, &values), expected, "{isa:?} {count}");
            }
            values.push(f32::NAN);
            values.push(f32::NEG_INFINITY);
            for isa in Isa::available() {
                assert_eq!(max_abs(isa, &values), f32::INFINITY, "{isa:?} {count}");
                assert!(max_abs(isa, &values[..=count]).is_finite(), "{isa:?} {count}");
            }
        }
    }

    #[test]
    fn codes_are_the_nearest_integers_and_their_sums_are_right() {
        for count in [1, 3, 4, 8, 15, 16, 17, 64, 128, 256] {
            for (max_code, scale) in [(127, 0.3), (127, 0.5), (2047, 0.02)] {
                let values = values(count);
                let expected: Vec<i16> = values
                    .iter()
                    .map(|v| (v * (1.0 / scale)).round_ties_even() as i16)
                    .map(|c| c.clamp(-max_code, max_code))
                    .collect();
                for isa in Isa::available() {
                    let mut codes = vec![0; count];
                    let quantized = quantise(isa, &values, max_code, scale, &mut codes);
                    assert_eq!(codes, expected, "{isa:?} {count}");
                    let all = || expected.iter().map(|&code| i32::from(code));
                    assert_eq!(quantized.code_sum, all().sum::<i32>());
                    assert_eq!(quantized.code_sq_sum, all().map(|code| code * code).sum::<i32>());
                    let off =
                        |(&value, &code): (&f32, &i16)| f64::from(value) - f64::from(scale) * f64::from(code);
                    let off: Vec<f64> = values.iter().zip(&codes).map(off).collect();
                    // scale * code rounds by at most half a unit in the last place.
                    let wrong =
                        |(&off, &value): (&f64, &f32)| off.abs() * f64::from(value.abs() * f32::EPSILON);
                    let allowed = off.iter().zip(&values).map(wrong).sum::<f64>() + 1e-9;
                    let exact = off.iter().map(|off| off * off).sum::<f64>();
                    let difference = (f64::from(quantized.residual_sq) - exact).abs();
                    assert!(difference <= allowed + 1e-5 * exact, "{isa:?} {count}: {difference}");
                }
            }
        }
    }

    #[test]
    fn nan_and_infinity_get_a_code_in_range_and_a_residual_that_is_not_finite() {
        for isa in Isa::available() {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for at in [0, 17, 31] {
                    let mut values = values(32);
                    values[at] = bad;
                    let mut codes = vec![0; 32];
                    let quantized = quantise(isa, &values, 127, 0.5, &mut codes);
                    assert!(codes.iter().all(|code| (-127..=127).contains(code)), "{isa:?} {codes:?}");
                    assert!(!quantized.residual_sq.is_finite(), "{isa:?} {quantized:?}");
                }
            }
        }
    }
}
