//! Plain Rust: the kernels that all others are tested against.

use super::simd::Simd;
#[cfg(target_arch = "arm")]
use super::tile::{PANEL_VECTORS, WindowLayout};
use crate::half;

/// `N` lanes, a power of two, which the compiler maps to what the target has.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Values<const N: usize>([f32; N]);

/// The lanes of the portable kernels.
pub(crate) type F32x8 = Values<8>;

impl<const N: usize> Values<N> {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

// SAFETY: no instruction beyond the target's baseline is used.
unsafe impl<const N: usize> Simd for Values<N> {
    const LANES: usize = N;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; N])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller grants N readable values.
        Self(unsafe { from.cast::<[f32; N]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_u8(from: *const u8) -> Self {
        // SAFETY: the caller grants N readable bytes.
        Self(unsafe { from.cast::<[u8; N]>().read() }.map(f32::from))
    }
    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self {
        // SAFETY: the caller grants N readable halves.
        Self(unsafe { from.cast::<[u16; N]>().read_unaligned() }.map(half::to_f32))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller grants N writable values.
        unsafe { to.cast::<[f32; N]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * a.0[i] + b.0[i]))
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn ge_mask(self, other: Self) -> u32 {
        (0..N).fold(0, |bits, i| bits | u32::from(self.0[i] >= other.0[i]) << i)
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // Halves onto one another, down to one lane.
        let (mut lanes, mut half) = (self.0, N / 2);
        while half > 0 {
            (0..half).for_each(|i| lanes[i] += lanes[i + half]);
            half /= 2;
        }
        lanes[0]
    }

    /// 32-bit ARM has 32 registers of one value: four columns at a time, so that the sums stay in them.
    #[cfg(target_arch = "arm")]
    #[inline(always)]
    unsafe fn multiply_windows<const ROWS: usize>(
        a: *const f32,
        WindowLayout { rows, row_stride, row_len, pixel_stride }: WindowLayout,
        panel: *const f32,
    ) -> [[Self; PANEL_VECTORS]; ROWS] {
        const COLUMNS: usize = 4;
        let mut all = [[Self([0.0; N]); PANEL_VECTORS]; ROWS];
        for first in (0..PANEL_VECTORS * N).step_by(COLUMNS) {
            let mut sums = [[0.0; COLUMNS]; ROWS];
            for row in 0..rows {
                for k in 0..row_len {
                    // SAFETY: the caller grants ROWS windows, and PANEL_VECTORS registers for each of their
                    // values.
                    unsafe {
                        let at = (row * row_len + k) * PANEL_VECTORS * N + first;
                        let columns = panel.add(at).cast::<[f32; COLUMNS]>().read_unaligned();
                        for r in 0..ROWS {
                            let value = *a.add(r * pixel_stride + row * row_stride + k);
                            for c in 0..COLUMNS {
                                sums[r][c] += value * columns[c];
                            }
                        }
                    }
                }
            }
            for (all, sums) in all.iter_mut().zip(sums) {
                all[first / N].0[first % N..][..COLUMNS].copy_from_slice(&sums);
            }
        }
        all
    }
}
