//! The vector type that kernels are written over.

use super::tile::{PANEL_VECTORS, WindowLayout};
use super::winograd::{self, InputJob, OutputTile};
use crate::half;

/// A register of `LANES` f32 values.
///
/// # Safety
/// Every method may only be called where the CPU has the instruction set of the implementing type: inside a
/// function with the matching `#[target_feature]`, reached through an [`Isa`](super::Isa).
pub(crate) unsafe trait Simd: Copy {
    /// Values of a register.
    const LANES: usize;
    /// Whether the register tile is faster where its rows are interleaved register by register: see
    /// [`StripLayout`](super::tile::StripLayout).
    const INTERLEAVES: bool = false;

    /// All lanes `value`.
    unsafe fn splat(value: f32) -> Self;
    /// Reads `LANES` values; `from` may be unaligned and must be valid for them.
    unsafe fn load(from: *const f32) -> Self;
    /// Reads `LANES` bytes and converts them; `from` must be valid for them.
    unsafe fn load_u8(from: *const u8) -> Self;
    /// Reads `LANES` halves (IEEE 754 binary16) and converts them; `from` may be unaligned and must be valid
    /// for them.
    unsafe fn load_half(from: *const u16) -> Self;
    /// Writes `LANES` values; `to` may be unaligned and must be valid for them.
    unsafe fn store(self, to: *mut f32);
    /// `self + other`
    unsafe fn add(self, other: Self) -> Self;
    /// `self - other`
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * other`
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * a + b`, fused where the instruction set fuses.
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;
    /// The larger value of each lane. Where `other` is NaN, the result is NaN; where only `self` is NaN, or
    /// both are zeros of different signs, it is either of the two.
    unsafe fn max(self, other: Self) -> Self;
    /// Bit `i` is set where lane `i` of `self` is at least lane `i` of `other`, and clear where one of them
    /// is NaN.
    #[cfg_attr(not(feature = "train"), allow(dead_code))]
    unsafe fn ge_mask(self, other: Self) -> u32;
    /// Sum of the lanes, in a fixed order.
    unsafe fn sum(self) -> f32;

    /// The sums of the register tile: `sums[r][v]` adds `window[r][k] * panel[k][v]` over ascending `k` from
    /// zero, where `panel` holds `PANEL_VECTORS` registers for each of a window's values, and window `r`
    /// begins at `a + r * pixel_stride`. All of that must be valid to read.
    #[inline(always)]
    unsafe fn multiply_windows<const ROWS: usize>(
        a: *const f32,
        WindowLayout { rows, row_stride, row_len, pixel_stride }: WindowLayout,
        panel: *const f32,
    ) -> [[Self; PANEL_VECTORS]; ROWS] {
        // SAFETY: as the function's contract says.
        unsafe {
            let mut sums = [[Self::splat(0.0); PANEL_VECTORS]; ROWS];
            for row in 0..rows {
                let a = a.add(row * row_stride);
                let panel = panel.add(row * row_len * PANEL_VECTORS * Self::LANES);
                sums = multiply_add_values(sums, a, (pixel_stride, 1), panel, row_len);
            }
            sums
        }
    }

    /// As [`multiply_windows`](Self::multiply_windows), of `ROWS` rows of `k` values that are interleaved
    /// register by register.
    #[inline(always)]
    unsafe fn multiply_interleaved<const ROWS: usize>(
        a: *const f32,
        panel: *const f32,
        k: usize,
    ) -> [[Self; PANEL_VECTORS]; ROWS] {
        let (lanes, rows) = (Self::LANES, k / Self::LANES);
        let windows = WindowLayout { rows, row_stride: ROWS * lanes, row_len: lanes, pixel_stride: lanes };
        // SAFETY: as the function's contract says.
        unsafe { Self::multiply_windows::<ROWS>(a, windows, panel) }
    }

    /// Winograd's transform of an input tile: see [`winograd`](super::winograd).
    ///
    /// # Safety
    /// As `winograd::transform_input`.
    #[inline(always)]
    unsafe fn transform_input(job: &InputJob) {
        // SAFETY: as the function's contract says.
        unsafe { winograd::transform_input::<Self>(job) }
    }

    /// Winograd's transform of a register of an output tile: see [`winograd`](super::winograd).
    ///
    /// # Safety
    /// As `winograd::transform_output`.
    #[inline(always)]
    unsafe fn transform_output(tile: &OutputTile) {
        // SAFETY: as the function's contract says.
        unsafe { winograd::transform_output::<Self>(tile) }
    }
}

/// Returns `sums[r][v] + a[r][k] * panel[k][v]` over ascending `k < depth`, where `a[r][k]` lies at
/// `a + r * row_stride + k * k_stride`, and `panel` holds the registers of one `k` after the other.
///
/// # Safety
/// The CPU has the instructions of `V`; `a` is valid for `ROWS` rows of `depth` values, and `panel` for
/// `depth` times `PANEL_VECTORS` registers.
// Indices, because an iterator that is not inlined loses the vector instructions.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
pub(crate) unsafe fn multiply_add_values<V: Simd, const ROWS: usize>(
    mut sums: [[V; PANEL_VECTORS]; ROWS],
    a: *const f32,
    (row_stride, k_stride): (usize, usize),
    panel: *const f32,
    depth: usize,
) -> [[V; PANEL_VECTORS]; ROWS] {
    // SAFETY: as the function's contract says.
    unsafe {
        for k in 0..depth {
            let columns: [V; PANEL_VECTORS] = load_strided(panel.add(k * PANEL_VECTORS * V::LANES), V::LANES);
            for r in 0..ROWS {
                let value = V::splat(*a.add(r * row_stride + k * k_stride));
                for v in 0..PANEL_VECTORS {
                    sums[r][v] = value.mul_add(columns[v], sums[r][v]);
                }
            }
        }
    }
    sums
}

/// A number as it is stored in memory: f32, a half (u16), or a byte.
pub(crate) trait Value: Copy {
    /// Loads a register of values, converted to f32.
    ///
    /// # Safety
    /// As `Simd::load`.
    unsafe fn load<V: Simd>(from: *const Self) -> V;
    /// The value as f32.
    fn to_f32(self) -> f32;
}

impl Value for f32 {
    #[inline(always)]
    unsafe fn load<V: Simd>(from: *const f32) -> V {
        // SAFETY: as the function's contract says.
        unsafe { V::load(from) }
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
}

impl Value for u16 {
    #[inline(always)]
    unsafe fn load<V: Simd>(from: *const u16) -> V {
        // SAFETY: as the function's contract says.
        unsafe { V::load_half(from) }
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        half::to_f32(self)
    }
}

impl Value for u8 {
    #[inline(always)]
    unsafe fn load<V: Simd>(from: *const u8) -> V {
        // SAFETY: as the function's contract says.
        unsafe { V::load_u8(from) }
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self.into()
    }
}

/// `N` registers, `stride` values from one to the next.
///
/// Kernels avoid closures: a closure that is not inlined loses the vector instructions.
///
/// # Safety
/// The CPU has the instructions of `V`; `from` is valid for all of them.
#[inline(always)]
pub(crate) unsafe fn load_strided<V: Simd, const N: usize>(from: *const f32, stride: usize) -> [V; N] {
    // SAFETY: as the function's contract says.
    unsafe {
        let mut all = [V::splat(0.0); N];
        for (i, register) in all.iter_mut().enumerate() {
            *register = V::load(from.add(i * stride));
        }
        all
    }
}

/// `dispatch!(unsafe fn NAME(ARGUMENTS) -> RESULT = GENERIC)` defines a function `NAME(isa, ARGUMENTS)` that
/// calls `GENERIC::<V>(ARGUMENTS)` with the vector type of `isa`, compiled for its instructions. The isa
/// proves that the CPU has them; the caller must grant the rest of `GENERIC`'s contract. Such names end in
/// `_on`.
macro_rules! dispatch {
    (
        $(#[$doc:meta])*
        unsafe fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? = $generic:ident
    ) => {
        $(#[$doc])*
        unsafe fn $name(isa: $crate::kernels::Isa, $($argument: $type),*) $(-> $result)? {
            use $crate::kernels::isa::Kind;

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn avx2($($argument: $type),*) $(-> $result)? {
                // SAFETY: the caller grants the contract of the generic function.
                unsafe { $generic::<$crate::kernels::x86_64::Avx2>($($argument),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512vl")]
            unsafe fn avx512($($argument: $type),*) $(-> $result)? {
                // SAFETY: the caller grants the contract of the generic function.
                unsafe { $generic::<$crate::kernels::x86_64::Avx512>($($argument),*) }
            }
            // SAFETY: the isa proves that the CPU has the instructions; the caller grants the rest.
            unsafe {
                match isa.kind() {
                    Kind::Portable => $generic::<$crate::kernels::portable::F32x8>($($argument),*),
                    #[cfg(target_arch = "x86_64")]
                    Kind::Avx2 => avx2($($argument),*),
                    #[cfg(target_arch = "x86_64")]
                    Kind::Avx512 => avx512($($argument),*),
                    #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
                    Kind::Neon => $generic::<$crate::kernels::neon::Neon>($($argument),*),
                }
            }
        }
    };
}
pub(crate) use dispatch;
