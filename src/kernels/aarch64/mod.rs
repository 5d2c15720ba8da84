//! NEON.

use super::simd::{Simd, load_strided};
use super::tile::{PANEL_VECTORS, WindowLayout};
use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

/// Whether the CPU has NEON.
pub(super) fn has_neon() -> bool {
    is_aarch64_feature_detected!("neon")
}

/// Columns of a tile.
const WIDTH: usize = PANEL_VECTORS * Neon::LANES;
/// Rows of a tile.
pub(super) const TILE_ROWS: usize = 8;

/// Four lanes; needs NEON.
#[derive(Clone, Copy)]
pub(crate) struct Neon(float32x4_t);

// SAFETY: the trait's contract grants NEON and the validity of the pointers.
unsafe impl Simd for Neon {
    const LANES: usize = 4;
    const INTERLEAVES: bool = true;

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

    /// Four values of each row are loaded at once and multiplied by element.
    #[inline(always)]
    unsafe fn multiply_windows<const ROWS: usize>(
        a: *const f32,
        WindowLayout { rows, row_stride, row_len, pixel_stride }: WindowLayout,
        mut panel: *const f32,
    ) -> [[Self; PANEL_VECTORS]; ROWS] {
        // SAFETY: as the trait's contract says.
        unsafe {
            let mut sums = [[Self::splat(0.0); PANEL_VECTORS]; ROWS];
            let mut starts = [a; ROWS];
            for (r, start) in starts.iter_mut().enumerate() {
                *start = hide_origin(a.add(r * pixel_stride));
            }
            const FOUR: usize = 4 * size_of::<f32>();
            for row in 0..rows {
                let mut at = row * row_stride * size_of::<f32>();
                for _ in 0..row_len / 8 {
                    sums = multiply_add_fours(sums, load_rows(starts, at), panel);
                    let next = hide_steps(at + FOUR);
                    sums = multiply_add_fours(sums, load_rows(starts, next), panel.add(4 * WIDTH));
                    panel = panel.add(8 * WIDTH);
                    at = hide_steps(at + 2 * FOUR);
                }
                if row_len % 8 >= 4 {
                    sums = multiply_add_fours(sums, load_rows(starts, at), panel);
                    panel = panel.add(4 * WIDTH);
                    at = hide_steps(at + FOUR);
                }
                for _ in 0..row_len % 4 {
                    let mut values = [Self::splat(0.0); ROWS];
                    for (value, start) in values.iter_mut().zip(starts) {
                        *value = Self::splat(*start.byte_add(at));
                    }
                    let columns = load_strided(panel, Self::LANES);
                    sums = multiply_add_lane::<0, ROWS>(sums, values, columns);
                    panel = panel.add(WIDTH);
                    at = hide_steps(at + size_of::<f32>());
                }
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn multiply_interleaved<const ROWS: usize>(
        mut a: *const f32,
        mut panel: *const f32,
        k: usize,
    ) -> [[Self; PANEL_VECTORS]; ROWS] {
        // SAFETY: as the trait's contract says.
        unsafe {
            let mut sums = [[Self::splat(0.0); PANEL_VECTORS]; ROWS];
            for _ in 0..k / 8 {
                sums = multiply_add_fours(sums, load_strided(a, 4), panel);
                sums = multiply_add_fours(sums, load_strided(a.add(4 * ROWS), 4), panel.add(4 * WIDTH));
                (a, panel) = (a.add(8 * ROWS), panel.add(8 * WIDTH));
            }
            if !k.is_multiple_of(8) {
                sums = multiply_add_fours(sums, load_strided(a, 4), panel);
            }
            sums
        }
    }
}

/// The same pointer, from an origin that the compiler does not know: of evenly spaced pointers it would keep
/// one, and compute the others anew in each turn of a loop.
#[inline(always)]
fn hide_origin(mut pointer: *const f32) -> *const f32 {
    // SAFETY: there is no instruction.
    unsafe { asm!("/* {} */", inout(reg) pointer, options(pure, readonly, nostack, preserves_flags)) };
    pointer
}

/// The same offset, from an origin that the compiler does not know: it would advance a pointer for each row
/// of the tile, rather than add one offset to pointers that stay.
#[inline(always)]
fn hide_steps(mut offset: usize) -> usize {
    // SAFETY: there is no instruction.
    unsafe { asm!("/* {} */", inout(reg) offset, options(pure, nomem, nostack, preserves_flags)) };
    offset
}

/// A register of each row, `at` bytes from its start.
///
/// # Safety
/// The CPU has NEON, and the rows have those values.
#[inline(always)]
unsafe fn load_rows<const ROWS: usize>(starts: [*const f32; ROWS], at: usize) -> [Neon; ROWS] {
    // SAFETY: as the function's contract says.
    unsafe {
        let mut rows = [Neon::splat(0.0); ROWS];
        for (row, start) in rows.iter_mut().zip(starts) {
            *row = Neon::load(start.byte_add(at));
        }
        rows
    }
}

/// Four rows of the panel times four values of each row of the tile.
///
/// # Safety
/// The CPU has NEON, and `panel` has those rows.
#[inline(always)]
unsafe fn multiply_add_fours<const ROWS: usize>(
    mut sums: [[Neon; PANEL_VECTORS]; ROWS],
    fours: [Neon; ROWS],
    panel: *const f32,
) -> [[Neon; PANEL_VECTORS]; ROWS] {
    // SAFETY: as the function's contract says.
    unsafe {
        let columns = load_columns(panel);
        sums = multiply_add_lane::<0, ROWS>(sums, fours, [columns[0], columns[1]]);
        sums = multiply_add_lane::<1, ROWS>(sums, fours, [columns[2], columns[3]]);
        sums = multiply_add_lane::<2, ROWS>(sums, fours, [columns[4], columns[5]]);
        multiply_add_lane::<3, ROWS>(sums, fours, [columns[6], columns[7]])
    }
}

/// Four rows of the panel, all loaded before the first is used: cores that execute in order wait at a load
/// that comes after a multiplication, and with 16 sums and 8 values of rows there are just enough registers.
///
/// # Safety
/// The CPU has NEON, and `panel` has those rows.
#[inline(always)]
unsafe fn load_columns(panel: *const f32) -> [Neon; 4 * PANEL_VECTORS] {
    // SAFETY: as the function's contract says; there is no instruction.
    unsafe {
        let mut columns: [Neon; 4 * PANEL_VECTORS] = load_strided(panel, Neon::LANES);
        let [a, b, c, d, e, f, g, h] = &mut columns;
        asm!(
            "/* {:v} {:v} {:v} {:v} {:v} {:v} {:v} {:v} */",
            inout(vreg) a.0,
            inout(vreg) b.0,
            inout(vreg) c.0,
            inout(vreg) d.0,
            inout(vreg) e.0,
            inout(vreg) f.0,
            inout(vreg) g.0,
            inout(vreg) h.0,
            options(pure, nomem, nostack, preserves_flags),
        );
        columns
    }
}

/// A row of the panel times value `LANE` of each row of the tile.
///
/// # Safety
/// The CPU has NEON.
#[inline(always)]
unsafe fn multiply_add_lane<const LANE: i32, const ROWS: usize>(
    mut sums: [[Neon; PANEL_VECTORS]; ROWS],
    rows: [Neon; ROWS],
    columns: [Neon; PANEL_VECTORS],
) -> [[Neon; PANEL_VECTORS]; ROWS] {
    for (sums, row) in sums.iter_mut().zip(rows) {
        for (sum, column) in sums.iter_mut().zip(columns) {
            // SAFETY: as the function's contract says.
            sum.0 = unsafe { vfmaq_laneq_f32::<LANE>(sum.0, column.0, row.0) };
        }
    }
    sums
}
