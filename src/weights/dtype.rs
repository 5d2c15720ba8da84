//! The number types of weight files.

use crate::half;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dtype {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    Bool,
}

impl Dtype {
    /// Those that [`from_safetensors`](Self::from_safetensors) takes.
    pub(super) const NAMES: &str = "F16, BF16, F32, F64, I8, I16, I32, I64, U8 or BOOL";

    pub(super) fn from_safetensors(name: &str) -> Option<Self> {
        Some(match name {
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            "F32" => Self::F32,
            "F64" => Self::F64,
            "I8" => Self::I8,
            "I16" => Self::I16,
            "I32" => Self::I32,
            "I64" => Self::I64,
            "U8" => Self::U8,
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
            "CharStorage" => Self::I8,
            "ShortStorage" => Self::I16,
            "IntStorage" => Self::I32,
            "LongStorage" => Self::I64,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    /// Bytes a value.
    pub(super) fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// Little-endian values as f32, rounded; those too large become infinite.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn to_f32(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::U8 | Self::Bool => bytes.iter().map(|&b| f32::from(b)).collect(),
            Self::I8 => numbers(bytes).map(|b| f32::from(i8::from_le_bytes(b))).collect(),
            Self::I16 => numbers(bytes).map(|b| f32::from(i16::from_le_bytes(b))).collect(),
            Self::I32 => numbers(bytes).map(|b| i32::from_le_bytes(b) as f32).collect(),
            Self::F16 => half::all_to_f32(bytes).collect(),
            Self::Bf16 => {
                numbers(bytes).map(|b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)).collect()
            }
            Self::F32 => numbers(bytes).map(f32::from_le_bytes).collect(),
            Self::F64 => numbers(bytes).map(|b| f64::from_le_bytes(b) as f32).collect(),
            Self::I64 => numbers(bytes).map(|b| i64::from_le_bytes(b) as f32).collect(),
        }
    }
}

fn numbers<const N: usize>(bytes: &[u8]) -> impl ExactSizeIterator<Item = [u8; N]> {
    bytes.as_chunks().0.iter().copied()
}
