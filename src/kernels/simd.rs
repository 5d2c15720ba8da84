//! The vector type that kernels are written over.

/// A register of `LANES` f32 values.
///
/// # Safety
/// Every method may only be called where the CPU has the instruction set of the implementing type: inside a
/// function with the matching `#[target_feature]`, reached through an [`Isa`](super::Isa).
pub(crate) unsafe trait Simd: Copy {
    /// Values a register.
    const LANES: usize;

    /// All lanes `value`.
    unsafe fn splat(value: f32) -> Self;
    /// Reads `LANES` values; `from` may be unaligned and must be valid for them.
    unsafe fn load(from: *const f32) -> Self;
    /// Reads `LANES` bytes as whole numbers; `from` must be valid for them.
    unsafe fn load_u8(from: *const u8) -> Self;
    /// Writes `LANES` values; `to` may be unaligned and must be valid for them.
    unsafe fn store(self, to: *mut f32);
    /// `self + other`
    unsafe fn add(self, other: Self) -> Self;
    /// `self - other`
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * a + b`, fused where the instruction set fuses.
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;
    /// Bit `i` is set where lane `i` of `self` is at least lane `i` of `other`; never where one is NaN.
    unsafe fn at_least(self, other: Self) -> u32;
    /// Sum of the lanes, in a fixed order.
    unsafe fn sum(self) -> f32;
}
