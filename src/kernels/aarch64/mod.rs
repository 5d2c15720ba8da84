//! NEON.

use super::simd::{Simd, load_strided, multiply_add_values};
use super::tile::PANEL_VECTORS;
use std::arch::aarch64::*;
use std::arch::asm;

/// Four lanes; needs NEON.
#[derive(Clone, Copy)]
pub(crate) struct Neon(float32x4_t);

// SAFETY: the trait's contract grants NEON and the validity of the pointers.
unsafe impl Simd for Neon {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { vdupq_n_f32(value) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { vld1q_f32(from) })
    }
    #[inline(always)]
    unsafe fn load_u8(from: *const u8) -> Self {
        // SAFETY: as the trait's contract says: four bytes are read.
        unsafe {
            let bytes = vcreate_u8(u64::from(from.cast::<u32>().read_unaligned()));
            Self(vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes)))))
        }
    }
    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self {
        // SAFETY: as the trait's contract says: four halves are read. The instruction is part of NEON; its
        // intrinsic is newer than the oldest supported compiler.
        unsafe {
            let halves = vld1_u16(from);
            let wide: float32x4_t;
            asm!(
                "fcvtl {0:v}.4s, {1:v}.4h",
                out(vreg) wide,
                in(vreg) halves,
                options(pure, nomem, nostack, preserves_flags),
            );
            Self(wide)
        }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the trait's contract says.
        unsafe { vst1q_f32(to, self.0) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { vaddq_f32(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { vsubq_f32(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { vfmaq_f32(b.0, self.0, a.0) })
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { vmulq_f32(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { vmaxq_f32(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn ge_mask(self, other: Self) -> u32 {
        // SAFETY: as the trait's contract says; the array holds four values.
        unsafe {
            let weights = vld1q_u32([1, 2, 4, 8].as_ptr());
            vaddvq_u32(vandq_u32(vcgeq_f32(self.0, other.0), weights))
        }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: as the trait's contract says.
        unsafe { vaddvq_f32(self.0) }
    }

    /// Where the values of a row are contiguous, four of them are loaded at once and multiplied by element.
    #[inline(always)]
    unsafe fn multiply_add<const ROWS: usize>(
        mut sums: [[Self; PANEL_VECTORS]; ROWS],
        a: *const f32,
        (row_stride, k_stride): (usize, usize),
        panel: *const f32,
        depth: usize,
    ) -> [[Self; PANEL_VECTORS]; ROWS] {
        let fours = if k_stride == 1 { depth / 4 } else { 0 };
        // SAFETY: as the trait's contract says; `fours` quadruples of values and rows of the panel are there.
        unsafe {
            for four in 0..fours {
                let rows: [Self; ROWS] = load_strided(a.add(4 * four), row_stride);
                let panel = panel.add(4 * four * PANEL_VECTORS * Self::LANES);
                sums = multiply_add_lane::<0, ROWS>(sums, rows, panel);
                sums = multiply_add_lane::<1, ROWS>(sums, rows, panel);
                sums = multiply_add_lane::<2, ROWS>(sums, rows, panel);
                sums = multiply_add_lane::<3, ROWS>(sums, rows, panel);
            }
            let done = 4 * fours;
            let panel = panel.add(done * PANEL_VECTORS * Self::LANES);
            multiply_add_values(sums, a.add(done * k_stride), (row_stride, k_stride), panel, depth - done)
        }
    }
}

/// Row `LANE` of the panel times value `LANE` of each row.
///
/// # Safety
/// The CPU has NEON, and `panel` has that row.
#[inline(always)]
unsafe fn multiply_add_lane<const LANE: i32, const ROWS: usize>(
    mut sums: [[Neon; PANEL_VECTORS]; ROWS],
    rows: [Neon; ROWS],
    panel: *const f32,
) -> [[Neon; PANEL_VECTORS]; ROWS] {
    // SAFETY: as the function's contract says.
    unsafe {
        let panel = panel.add(LANE as usize * PANEL_VECTORS * Neon::LANES);
        let columns: [Neon; PANEL_VECTORS] = load_strided(panel, Neon::LANES);
        for (sums, row) in sums.iter_mut().zip(rows) {
            for (sum, column) in sums.iter_mut().zip(columns) {
                sum.0 = vfmaq_laneq_f32::<LANE>(sum.0, column.0, row.0);
            }
        }
    }
    sums
}
