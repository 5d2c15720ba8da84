//! The register tile: four rows times eight columns.
//!
//! ```text
//!                        q4, q5 (even k) or q6, q7 (odd k): eight columns of row k of the panel
//!     q0 = a[0][k..k+4]        q8   q9         vmla.f32 q8, q4, d0[0]   sums of row 0 += columns * a[0][k]
//!     q1 = a[1][k..k+4]        q10  q11
//!     q2 = a[2][k..k+4]        q12  q13
//!     q3 = a[3][k..k+4]        q14  q15
//! ```

use super::Neon;
use crate::kernels::simd::Simd;
use crate::kernels::tile::{PANEL_VECTORS, WindowLayout};

/// Rows of a tile.
pub(crate) const TILE_ROWS: usize = 4;

/// What the assembly reads once.
#[repr(C)]
struct Layout {
    rows: usize,
    row_len: usize,
    /// Bytes from the end of a window's row to the start of the next.
    skip: usize,
}

type Sums = [[Neon; PANEL_VECTORS]; TILE_ROWS];

unsafe extern "C" {
    /// The sums of four windows, which begin at `starts`.
    fn patchcore_neon_multiply_windows(
        sums: *mut Sums,
        starts: *const [*const f32; TILE_ROWS],
        panel: *const f32,
        layout: *const Layout,
    );
    /// The sums of four rows of `4 * fours` values, which alternate register by register from `a` on; `fours`
    /// is not 0.
    fn patchcore_neon_multiply_interleaved(sums: *mut Sums, a: *const f32, panel: *const f32, fours: usize);
}

/// As [`Simd::multiply_windows`].
///
/// # Safety
/// As `Simd::multiply_windows`, and `ROWS` is at most `TILE_ROWS`.
#[inline(always)]
pub(super) unsafe fn multiply_windows<const ROWS: usize>(
    a: *const f32,
    WindowLayout { rows, row_stride, row_len, pixel_stride }: WindowLayout,
    panel: *const f32,
) -> [[Neon; PANEL_VECTORS]; ROWS] {
    // SAFETY: the caller grants ROWS windows; in place of the others the first is read once more. `all` holds
    // the sums of TILE_ROWS windows.
    unsafe {
        let mut all = [[Neon::splat(0.0); PANEL_VECTORS]; TILE_ROWS];
        if rows * row_len > 0 {
            let mut starts = [a; TILE_ROWS];
            for (r, start) in starts.iter_mut().enumerate().take(ROWS) {
                *start = a.add(r * pixel_stride);
            }
            let skip = row_stride.wrapping_sub(row_len).wrapping_mul(size_of::<f32>());
            let layout = Layout { rows, row_len, skip };
            patchcore_neon_multiply_windows(&mut all, &starts, panel, &layout);
        }
        first_rows(all)
    }
}

/// As [`Simd::multiply_interleaved`].
///
/// # Safety
/// As `Simd::multiply_interleaved`.
#[inline(always)]
pub(super) unsafe fn multiply_interleaved(a: *const f32, panel: *const f32, k: usize) -> Sums {
    // SAFETY: as the function's contract says.
    unsafe {
        let mut sums = [[Neon::splat(0.0); PANEL_VECTORS]; TILE_ROWS];
        if k > 0 {
            patchcore_neon_multiply_interleaved(&mut sums, a, panel, k / Neon::LANES);
        }
        sums
    }
}

#[inline(always)]
pub(super) fn first_rows<const ROWS: usize>(all: Sums) -> [[Neon; PANEL_VECTORS]; ROWS] {
    std::array::from_fn(|row| all[row])
}

/// The products of four rows of the panel with four values of each row of the tile, which are in q0 to q3.
macro_rules! multiply_four {
    () => {
        "
        vld1.32 {d8-d11}, [r2]!
        vmla.f32 q8, q4, d0[0]
        vmla.f32 q9, q5, d0[0]
        vmla.f32 q10, q4, d2[0]
        vmla.f32 q11, q5, d2[0]
        vmla.f32 q12, q4, d4[0]
        vmla.f32 q13, q5, d4[0]
        vmla.f32 q14, q4, d6[0]
        vmla.f32 q15, q5, d6[0]
        vld1.32 {d12-d15}, [r2]!
        vmla.f32 q8, q6, d0[1]
        vmla.f32 q9, q7, d0[1]
        vmla.f32 q10, q6, d2[1]
        vmla.f32 q11, q7, d2[1]
        vmla.f32 q12, q6, d4[1]
        vmla.f32 q13, q7, d4[1]
        vmla.f32 q14, q6, d6[1]
        vmla.f32 q15, q7, d6[1]
        vld1.32 {d8-d11}, [r2]!
        vmla.f32 q8, q4, d1[0]
        vmla.f32 q9, q5, d1[0]
        vmla.f32 q10, q4, d3[0]
        vmla.f32 q11, q5, d3[0]
        vmla.f32 q12, q4, d5[0]
        vmla.f32 q13, q5, d5[0]
        vmla.f32 q14, q4, d7[0]
        vmla.f32 q15, q5, d7[0]
        vld1.32 {d12-d15}, [r2]!
        vmla.f32 q8, q6, d1[1]
        vmla.f32 q9, q7, d1[1]
        vmla.f32 q10, q6, d3[1]
        vmla.f32 q11, q7, d3[1]
        vmla.f32 q12, q6, d5[1]
        vmla.f32 q13, q7, d5[1]
        vmla.f32 q14, q6, d7[1]
        vmla.f32 q15, q7, d7[1]
        "
    };
}

macro_rules! zero_sums {
    () => {
        "
        vmov.i32 q8, #0
        vmov.i32 q9, #0
        vmov.i32 q10, #0
        vmov.i32 q11, #0
        vmov.i32 q12, #0
        vmov.i32 q13, #0
        vmov.i32 q14, #0
        vmov.i32 q15, #0
        "
    };
}

macro_rules! store_sums {
    () => {
        "
        vst1.32 {d16-d19}, [r0]!
        vst1.32 {d20-d23}, [r0]!
        vst1.32 {d24-d27}, [r0]!
        vst1.32 {d28-d31}, [r0]!
        "
    };
}

// r0 sums, r1 starts, r2 panel, r3 layout. r4, r5, r6, r8: the windows; r9 rows, r10 values of a row, r11
// skip.
super::define_function!(
    "patchcore_neon_multiply_windows",
    "push {r4-r11, lr}",
    "vpush {d8-d15}",
    "ldm r1, {r4, r5, r6, r8}",
    "ldm r3, {r9, r10, r11}",
    zero_sums!(),
    "1:",
    "subs r12, r10, #4",
    "blo 3f",
    "2:",
    "vld1.32 {d0-d1}, [r4]!",
    "vld1.32 {d2-d3}, [r5]!",
    "vld1.32 {d4-d5}, [r6]!",
    "vld1.32 {d6-d7}, [r8]!",
    multiply_four!(),
    "subs r12, r12, #4",
    "bhs 2b",
    "3:",
    "adds r12, r12, #4",
    "beq 5f",
    "4:",
    "vld1.32 {d0[0]}, [r4]!",
    "vld1.32 {d2[0]}, [r5]!",
    "vld1.32 {d4[0]}, [r6]!",
    "vld1.32 {d6[0]}, [r8]!",
    "vld1.32 {d8-d11}, [r2]!",
    "vmla.f32 q8, q4, d0[0]",
    "vmla.f32 q9, q5, d0[0]",
    "vmla.f32 q10, q4, d2[0]",
    "vmla.f32 q11, q5, d2[0]",
    "vmla.f32 q12, q4, d4[0]",
    "vmla.f32 q13, q5, d4[0]",
    "vmla.f32 q14, q4, d6[0]",
    "vmla.f32 q15, q5, d6[0]",
    "subs r12, r12, #1",
    "bne 4b",
    "5:",
    "add r4, r4, r11",
    "add r5, r5, r11",
    "add r6, r6, r11",
    "add r8, r8, r11",
    "subs r9, r9, #1",
    "bne 1b",
    store_sums!(),
    "vpop {d8-d15}",
    "pop {r4-r11, pc}",
);

// r0 sums, r1 rows, r2 panel, r3 number of fours.
super::define_function!(
    "patchcore_neon_multiply_interleaved",
    "vpush {d8-d15}",
    zero_sums!(),
    "1:",
    "vld1.32 {d0-d3}, [r1]!",
    "vld1.32 {d4-d7}, [r1]!",
    multiply_four!(),
    "subs r3, r3, #1",
    "bne 1b",
    store_sums!(),
    "vpop {d8-d15}",
    "bx lr",
);
