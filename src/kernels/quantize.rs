//! Vectors to small whole numbers: mixing their values by a Hadamard matrix, and rounding to multiples of a scale.

use super::Isa;
use super::simd::{Simd, dispatch};

/// Values that are worked on side by side, whatever the instruction set, so that sums come out alike.
const SIDE_BY_SIDE: usize = 16;
/// 1.5 * 2^23. Adding it to a number of either sign below 2^22 rounds that to a whole one, which is then in the lowest bits,
/// as between 2^23 and 2^24 f32 has no others.
const WHOLE: f32 = 12_582_912.0;

/// What rounding made of a vector, beside its codes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rounded {
    /// Sum of the squared codes.
    pub squared: i32,
    /// Sum of the codes.
    pub sum: i32,
    /// Sum of the squared differences between the values and `scale` times their codes.
    pub off: f32,
}

/// Multiplies by the orthonormal Hadamard matrix.
///
/// # Panics
/// The number of values is not a power of two.
pub(crate) fn mix(isa: Isa, values: &mut [f32]) {
    assert!(values.len().is_power_of_two());
    // SAFETY: there is nothing to grant but the instructions.
    unsafe { run_mix(isa, values) }
}

/// The largest magnitude; what is no number does not count.
pub(crate) fn largest(isa: Isa, values: &[f32]) -> f32 {
    // SAFETY: there is nothing to grant but the instructions.
    unsafe { run_largest(isa, values) }
}

/// Writes the codes nearest to `values / scale`, none beyond `most`, which is at most 2047. What is no number gets any code, and
/// `off` is none either.
///
/// # Panics
/// There are not as many codes as values, or more than 256.
pub(crate) fn round(isa: Isa, values: &[f32], most: i16, scale: f32, codes: &mut [i16]) -> Rounded {
    assert!(values.len() == codes.len() && codes.len() <= 256 && most <= 2047);
    // SAFETY: there is nothing to grant but the instructions.
    unsafe { run_round(isa, values, most.into(), scale, codes) }
}

dispatch! {
    /// # Safety
    /// Nothing but the instructions.
    unsafe fn run_mix(values: &mut [f32]) = butterflies
}

dispatch! {
    /// # Safety
    /// Nothing but the instructions.
    unsafe fn run_largest(values: &[f32]) -> f32 = largest_of
}

dispatch! {
    /// # Safety
    /// Nothing but the instructions.
    unsafe fn run_round(values: &[f32], most: f32, scale: f32, codes: &mut [i16]) -> Rounded = to_codes
}

/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn butterflies<V: Simd>(values: &mut [f32]) {
    let (runs, rest) = values.as_chunks_mut::<SIDE_BY_SIDE>();
    for run in runs {
        within::<1>(run);
        within::<2>(run);
        within::<4>(run);
        within::<8>(run);
    }
    // Only a vector shorter than one run leaves a rest.
    let mut half = if rest.is_empty() { SIDE_BY_SIDE } else { 1 };
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
fn within<const HALF: usize>(run: &mut [f32; SIDE_BY_SIDE]) {
    let old = *run;
    for i in 0..SIDE_BY_SIDE {
        let sign = if i & HALF == 0 { 1.0 } else { -1.0 };
        run[i] = old[i ^ HALF] + sign * old[i];
    }
}

/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn largest_of<V: Simd>(values: &[f32]) -> f32 {
    let mut largest = [0.0f32; SIDE_BY_SIDE];
    let (runs, rest) = values.as_chunks::<SIDE_BY_SIDE>();
    for run in runs {
        for (largest, value) in largest.iter_mut().zip(run) {
            *largest = larger(*largest, value.abs());
        }
    }
    let all = largest.iter().chain(rest);
    all.fold(0.0, |largest, value| larger(largest, value.abs()))
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn to_codes<V: Simd>(values: &[f32], most: f32, scale: f32, codes: &mut [i16]) -> Rounded {
    let inverse = 1.0 / scale;
    let (mut squared, mut sum) = ([0; SIDE_BY_SIDE], [0; SIDE_BY_SIDE]);
    let mut off = [0.0f32; SIDE_BY_SIDE];
    let (runs, rest) = values.as_chunks::<SIDE_BY_SIDE>();
    let (code_runs, code_rest) = codes.as_chunks_mut::<SIDE_BY_SIDE>();
    for (run, codes) in runs.iter().zip(code_runs) {
        for i in 0..SIDE_BY_SIDE {
            codes[i] = to_code(run[i], inverse, most, scale, &mut squared[i], &mut sum[i], &mut off[i]);
        }
    }
    for (i, (&value, code)) in rest.iter().zip(code_rest).enumerate() {
        *code = to_code(value, inverse, most, scale, &mut squared[i], &mut sum[i], &mut off[i]);
    }
    Rounded { squared: squared.iter().sum(), sum: sum.iter().sum(), off: off.iter().sum() }
}

#[inline(always)]
fn to_code(
    value: f32,
    inverse: f32,
    most: f32,
    scale: f32,
    squared: &mut i32,
    sum: &mut i32,
    off: &mut f32,
) -> i16 {
    // `max` and `min` make a number of what is none.
    let shifted = (value * inverse).max(-most).min(most) + WHOLE;
    let code = shifted.to_bits().wrapping_sub(WHOLE.to_bits()) as i32;
    let difference = value - (shifted - WHOLE) * scale;
    *off += difference * difference;
    *squared += code * code;
    *sum += code;
    code as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 1.7).sin() * 40.0 + (i % 5) as f32).collect()
    }

    #[test]
    fn mixing_is_a_product_with_the_hadamard_matrix() {
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
                let mut mixed = values.clone();
                mix(isa, &mut mixed);
                for (i, &found) in mixed.iter().enumerate() {
                    assert!((f64::from(found) - exact(i)).abs() < 1e-4, "{isa:?} {count} at {i}");
                }
            }
        }
    }

    #[test]
    fn the_largest_magnitude_is_that_of_a_number() {
        for count in [0, 1, 15, 16, 17, 100] {
            let mut values: Vec<f32> = values(count).iter().map(|v| v - 20.0).collect();
            for isa in Isa::available() {
                let expected = values.iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
                assert_eq!(largest(isa, &values), expected, "{isa:?} {count}");
            }
            values.push(f32::NAN);
            values.push(f32::NEG_INFINITY);
            for isa in Isa::available() {
                assert_eq!(largest(isa, &values), f32::INFINITY, "{isa:?} {count}");
                assert!(largest(isa, &values[..=count]).is_finite(), "{isa:?} {count}");
            }
        }
    }

    #[test]
    fn codes_are_the_nearest_whole_numbers_and_their_sums_are_right() {
        for count in [1, 3, 4, 8, 15, 16, 17, 64, 128, 256] {
            for (most, scale) in [(127, 0.3), (127, 0.5), (2047, 0.02)] {
                let values = values(count);
                let expected: Vec<i16> = values
                    .iter()
                    .map(|v| (v * (1.0 / scale)).round_ties_even() as i16)
                    .map(|c| c.clamp(-most, most))
                    .collect();
                for isa in Isa::available() {
                    let mut codes = vec![0; count];
                    let rounded = round(isa, &values, most, scale, &mut codes);
                    assert_eq!(codes, expected, "{isa:?} {count}");
                    let all = || expected.iter().map(|&code| i32::from(code));
                    assert_eq!(rounded.sum, all().sum::<i32>());
                    assert_eq!(rounded.squared, all().map(|code| code * code).sum::<i32>());
                    let off =
                        |(&value, &code): (&f32, &i16)| f64::from(value) - f64::from(scale) * f64::from(code);
                    let off: Vec<f64> = values.iter().zip(&codes).map(off).collect();
                    // A multiple of the scale is off by half a unit in the last place.
                    let wrong =
                        |(&off, &value): (&f64, &f32)| off.abs() * f64::from(value.abs() * f32::EPSILON);
                    let allowed = off.iter().zip(&values).map(wrong).sum::<f64>() + 1e-9;
                    let exact = off.iter().map(|off| off * off).sum::<f64>();
                    let difference = (f64::from(rounded.off) - exact).abs();
                    assert!(difference <= allowed + 1e-5 * exact, "{isa:?} {count}: {difference}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_or_infinite_has_a_code_within_bounds_and_an_error_that_says_so() {
        for isa in Isa::available() {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for at in [0, 17, 31] {
                    let mut values = values(32);
                    values[at] = bad;
                    let mut codes = vec![0; 32];
                    let rounded = round(isa, &values, 127, 0.5, &mut codes);
                    assert!(codes.iter().all(|code| (-127..=127).contains(code)), "{isa:?} {codes:?}");
                    assert!(!rounded.off.is_finite(), "{isa:?} {rounded:?}");
                }
            }
        }
    }
}
