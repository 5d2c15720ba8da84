//! Half-precision numbers.

/// The value of an IEEE 754 binary16, subnormals, infinities and NaN included. Without branches, so that loops over it are
/// vectorised.
pub(crate) fn to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let exponent = half & 0x7c00;
    let shifted = u32::from(half & 0x7fff) << 13;
    let subnormal = (f32::from(half & 0x3ff) / (1 << 24) as f32).to_bits();
    // The exponents' zeros are 112 apart.
    let rebased = if exponent == 0x7c00 { shifted | 0x7f80_0000 } else { shifted + (112 << 23) };
    f32::from_bits(sign | if exponent == 0 { subnormal } else { rebased })
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
}
