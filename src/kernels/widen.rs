//! Halves to single precision, by the CPU's instruction where it has one.

use super::Isa;
use super::simd::{Simd, dispatch};
use crate::half;

/// Writes the values of little-endian halves to `out`.
///
/// # Panics
/// `halves` has not two bytes for each value of `out`.
pub(crate) fn widen(isa: Isa, halves: &[u8], out: &mut [f32]) {
    assert_eq!(halves.len(), 2 * out.len());
    // SAFETY: there are as many halves as values.
    unsafe { widen_all_on(isa, halves, out) }
}

dispatch! {
    /// # Safety
    /// There are two bytes for each value.
    unsafe fn widen_all_on(halves: &[u8], out: &mut [f32]) = widen_all
}

/// # Safety
/// The CPU has the instructions of `V`; there are two bytes for each value.
#[inline(always)]
unsafe fn widen_all<V: Simd>(halves: &[u8], out: &mut [f32]) {
    let whole = out.len() / V::LANES * V::LANES;
    for at in (0..whole).step_by(V::LANES) {
        // SAFETY: `at + LANES` is at most `whole`, which is at most the number of values, and of halves.
        unsafe { V::load_half(halves.as_ptr().add(2 * at).cast()).store(out.as_mut_ptr().add(at)) };
    }
    for (out, value) in out[whole..].iter_mut().zip(half::all_to_f32(&halves[2 * whole..])) {
        *out = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_widened_alike_at_every_length_and_place() {
        let all: Vec<u8> =
            (0..=u16::MAX).filter(|&half| half::is_finite(half)).flat_map(u16::to_le_bytes).collect();
        for isa in Isa::available() {
            for (from, count) in (0..40).map(|i| (i, i)).chain([(0, all.len() / 2), (7, 1000)]) {
                // An odd address.
                let bytes = [&[0], &all[2 * from..2 * (from + count)]].concat();
                let mut out = vec![f32::NAN; count];
                widen(isa, &bytes[1..], &mut out);
                let expected: Vec<f32> = half::all_to_f32(&bytes[1..]).collect();
                assert!(
                    out.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()),
                    "{isa:?} {count}"
                );
            }
        }
    }

    #[test]
    #[should_panic]
    fn too_few_halves_are_refused() {
        widen(Isa::best(), &[0; 62], &mut [0.0; 32]);
    }
}
