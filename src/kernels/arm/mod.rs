//! NEON of 32-bit ARM. Its intrinsics are not stable, and the compiler's target does not have the
//! instructions, so the kernels are assembly: functions that reach all their data through pointers, called
//! where the CPU has NEON.
//!
//! The float kernels multiply and add without fusing, as the portable kernels do, and flush subnormal numbers
//! to zero.

pub(super) mod bounds;
pub(super) mod int8;
mod tile;
mod winograd;

use super::portable::Values;
use super::simd::Simd;
use super::tile::{PANEL_VECTORS, WindowLayout};
use super::winograd::{InputJob, OutputTile};
pub(super) use tile::TILE_ROWS;

/// Defines a function of NEON instructions.
macro_rules! define_function {
    ($name:literal, $($line:expr),+ $(,)?) => {
        std::arch::global_asm!(
            concat!(".pushsection .text.", $name, ", \"ax\", %progbits"),
            ".arch armv7-a",
            ".fpu neon",
            ".arm",
            ".p2align 4",
            concat!(".global ", $name),
            concat!(".hidden ", $name),
            concat!(".type ", $name, ", %function"),
            concat!($name, ":"),
            $($line,)+
            concat!(".size ", $name, ", . - ", $name),
            ".popsection",
            options(raw)
        );
    };
}
use define_function;

/// Whether the CPU has NEON. All else is unknown: where the operating system is not Linux, it is not used.
pub(super) fn has_neon() -> bool {
    #[cfg(target_os = "linux")]
    {
        use std::ffi::c_ulong;
        const AT_HWCAP: c_ulong = 16;
        const HWCAP_NEON: c_ulong = 1 << 12;
        unsafe extern "C" {
            fn getauxval(kind: c_ulong) -> c_ulong;
        }
        // SAFETY: the function is part of every Linux libc, and takes any number.
        unsafe { getauxval(AT_HWCAP) & HWCAP_NEON != 0 }
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Four lanes; needs NEON. Single operations are those of plain Rust: only the tile and Winograd's transforms
/// are assembly.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Neon(Values<4>);

// SAFETY: the trait's contract grants NEON and the validity of the pointers.
unsafe impl Simd for Neon {
    const LANES: usize = 4;
    const INTERLEAVES: bool = true;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { Values::<4>::splat(value) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { Values::<4>::load(from) })
    }
    #[inline(always)]
    unsafe fn load_u8(from: *const u8) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { Values::<4>::load_u8(from) })
    }
    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { Values::<4>::load_half(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the trait's contract says.
        unsafe { self.0.store(to) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { self.0.add(other.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { self.0.sub(other.0) })
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { self.0.mul(other.0) })
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { self.0.mul_add(a.0, b.0) })
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: as the trait's contract says.
        Self(unsafe { self.0.max(other.0) })
    }
    #[inline(always)]
    unsafe fn ge_mask(self, other: Self) -> u32 {
        // SAFETY: as the trait's contract says.
        unsafe { self.0.ge_mask(other.0) }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: as the trait's contract says.
        unsafe { self.0.sum() }
    }

    #[inline(always)]
    unsafe fn multiply_windows<const ROWS: usize>(
        a: *const f32,
        windows: WindowLayout,
        panel: *const f32,
    ) -> [[Self; PANEL_VECTORS]; ROWS] {
        const { assert!(ROWS <= TILE_ROWS) };
        // SAFETY: as the trait's contract says.
        unsafe { tile::multiply_windows(a, windows, panel) }
    }
    #[inline(always)]
    unsafe fn multiply_interleaved<const ROWS: usize>(
        a: *const f32,
        panel: *const f32,
        k: usize,
    ) -> [[Self; PANEL_VECTORS]; ROWS] {
        let (rows, row_stride) = (k / Self::LANES, ROWS * Self::LANES);
        let windows = WindowLayout { rows, row_stride, row_len: Self::LANES, pixel_stride: Self::LANES };
        // SAFETY: as the trait's contract says.
        unsafe {
            match ROWS {
                TILE_ROWS => tile::first_rows(tile::multiply_interleaved(a, panel, k)),
                _ => tile::multiply_windows(a, windows, panel),
            }
        }
    }
    #[inline(always)]
    unsafe fn transform_input(job: &InputJob) {
        // SAFETY: as the trait's contract says.
        unsafe { winograd::transform_input(job) }
    }
    #[inline(always)]
    unsafe fn transform_output(tile: &OutputTile) {
        // SAFETY: as the trait's contract says.
        unsafe { winograd::transform_output(tile) }
    }
}
