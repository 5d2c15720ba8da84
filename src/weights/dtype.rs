//! The number types of weight files.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dtype {
    F16,
    Bf16,
    F32,
    F64,
    I64,
    Bool,
}

impl Dtype {
    pub(super) fn from_safetensors(name: &str) -> Option<Self> {
        Some(match name {
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            "F32" => Self::F32,
            "F64" => Self::F64,
            "I64" => Self::I64,
            "BOOL" => Self::Bool,
            _ => return None,
        })
    }

    /// The type of the values in a storage of torch's class `name`.
    #[cfg(feature = "train")]
    pub(super) fn from_torch_storage(name: &str) -> Option<Self> {
        Some(match name {
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "FloatStorage" => Self::F32,
            "DoubleStorage" => Self::F64,
            "LongStorage" => Self::I64,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    /// Bytes a value.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// Little-endian values as f32, rounded; those too large become infinite.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn to_f32(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::Bool => bytes.iter().map(|&b| f32::from(b)).collect(),
            Self::F16 => bytes.as_chunks().0.iter().map(|&b| half_to_f32(u16::from_le_bytes(b))).collect(),
            Self::Bf16 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|&b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))
                .collect(),
            Self::F32 => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            Self::F64 => bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
            Self::I64 => bytes.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as f32).collect(),
        }
    }
}

/// IEEE 754 binary16, subnormals, infinities and NaN included. Without branches, so that loops over it are vectorised.
fn half_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let exponent = half & 0x7c00;
    let shifted = u32::from(half & 0x7fff) << 13;
    let subnormal = (f32::from(half & 0x3ff) / (1 << 24) as f32).to_bits();
    // The exponents' zeros are 112 apart.
    let rebased = if exponent == 0x7c00 { shifted | 0x7f80_0000 } else { shifted + (112 << 23) };
    f32::from_bits(sign | if exponent == 0 { subnormal } else { rebased })
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
            assert_eq!(half_to_f32(half), expected, "{half:04x}");
        }
        assert!(half_to_f32(0x8000).is_sign_negative());
        assert_eq!(half_to_f32(0x7c00), f32::INFINITY);
        assert!(half_to_f32(0x7c01).is_nan());
    }
}
