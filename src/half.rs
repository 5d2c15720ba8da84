//! Half-precision numbers (IEEE 754 binary16).

/// The value of a binary16, including subnormals, infinities and NaN. It has no branches, so that the
/// compiler vectorises loops over it.
pub(crate) fn to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let exponent = half & 0x7c00;
    let shifted = u32::from(half & 0x7fff) << 13;
    let subnormal = (f32::from(half & 0x3ff) / (1 << 24) as f32).to_bits();
    // The exponent biases of the two formats differ by 112.
    let rebased = if exponent == 0x7c00 { shifted | 0x7f80_0000 } else { shifted + (112 << 23) };
    f32::from_bits(sign | if exponent == 0 { subnormal } else { rebased })
}

/// The nearest binary16, ties to even. Values that are too large, and NaN, become infinite.
#[cfg(feature = "train")]
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn from_f32(value: f32) -> u16 {
    let sign = (value.to_bits() >> 16 & 0x8000) as u16;
    let magnitude = value.abs();
    if magnitude < f32::from_bits(113 << 23) {
        // A subnormal half is a multiple of 2^-24.
        return sign | (magnitude * (1 << 24) as f32).round_ties_even() as u16;
    }
    let bits = magnitude.to_bits();
    let rounded = (bits + 0xfff + (bits >> 13 & 1)) >> 13;
    sign | (rounded - (112 << 10)).min(0x7c00) as u16
}

/// True if `half` is neither infinite nor NaN.
pub(crate) fn is_finite(half: u16) -> bool {
    half & 0x7c00 != 0x7c00
}

/// The index of the first value that is infinite or NaN.
pub(crate) fn not_finite(halves: &[u16]) -> Option<usize> {
    // Whole chunks first: without an early exit, the loop is vectorised.
    const CHUNK: usize = 1024;
    let all_finite = |chunk: &[u16]| chunk.iter().fold(true, |all, &half| all & is_finite(half));
    let chunk = halves.chunks(CHUNK).position(|chunk| !all_finite(chunk))? * CHUNK;
    (chunk..).zip(&halves[chunk..]).find(|&(_, &half)| !is_finite(half)).map(|(at, _)| at)
}

/// The values of little-endian halves.
pub(crate) fn all_to_f32(bytes: &[u8]) -> impl ExactSizeIterator<Item = f32> {
    bytes.as_chunks().0.iter().map(|&b| to_f32(u16::from_le_bytes(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_convert_exactly() {
        for (half, expected) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
        ] {
            assert_eq!(to_f32(half), expected, "{half:04x}");
        }
        assert!(to_f32(0x8000).is_sign_negative());
        assert_eq!(to_f32(0x7c00), f32::INFINITY);
        assert_eq!(to_f32(0xfc00), f32::NEG_INFINITY);
        assert!(to_f32(0x7c01).is_nan());
    }

    #[test]
    fn the_first_half_that_is_not_finite_is_found_in_every_place() {
        assert_eq!(not_finite(&[0x7bff; 3000]), None);
        for at in [0, 1, 1023, 1024, 2047, 2999] {
            let mut halves = [0xfbff; 3000];
            (halves[at], halves[2999]) = (0x7c00, 0xfe00);
            assert_eq!(not_finite(&halves), Some(at));
        }
    }

    #[cfg(feature = "train")]
    #[test]
    fn numbers_become_the_nearest_half_and_halfway_the_even_one() {
        for half in (0..=u16::MAX).filter(|&half| is_finite(half)) {
            let value = to_f32(half);
            assert_eq!(from_f32(value), half, "{half:04x}");
            // The next half away from zero.
            let next = if half & 0x7fff == 0x7bff { 65536f32.copysign(value) } else { to_f32(half + 1) };
            let middle = (value + next) / 2.0;
            assert_eq!(from_f32(middle), half + (half & 1), "in the middle after {half:04x}");
            let (near, far) = match value.is_sign_negative() {
                true => (middle.next_up(), middle.next_down()),
                false => (middle.next_down(), middle.next_up()),
            };
            assert_eq!(
                (from_f32(near), from_f32(far)),
                (half, half + 1),
                "about the middle after {half:04x}"
            );
        }
        assert!([f32::INFINITY, f32::NAN, 1e9, f32::MAX].iter().all(|&v| !is_finite(from_f32(v))));
        assert_eq!(from_f32(f32::from_bits(1)), 0);
    }
}
