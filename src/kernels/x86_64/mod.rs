//! AVX2 with FMA, and AVX-512.

use super::simd::Simd;
use std::arch::x86_64::*;

/// Eight lanes; needs AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256);

/// Sixteen lanes; needs AVX-512 F, DQ and VL.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512);

macro_rules! simd {
    (
        $name:ident, $lanes:literal,
        $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident, $fma:ident, $max:ident,
        |$from:ident| $load_u8:expr,
        |$half:ident| $load_half:expr,
        |$a:ident, $b:ident| $ge_mask:expr,
        |$v:ident| $sum:expr
    ) => {
        // SAFETY: the trait's contract grants the instruction set and the validity of the pointers.
        unsafe impl Simd for $name {
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                // SAFETY: as the trait's contract says.
                Self(unsafe { $splat(value) })
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: as the trait's contract says.
                Self(unsafe { $load(from) })
            }
            #[inline(always)]
            unsafe fn load_u8($from: *const u8) -> Self {
                // SAFETY: as the trait's contract says: as many bytes as lanes are read.
                Self(unsafe { $load_u8 })
            }
            #[inline(always)]
            unsafe fn load_half($half: *const u16) -> Self {
                // SAFETY: as the trait's contract says: as many halves as lanes are read.
                Self(unsafe { $load_half })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: as the trait's contract says.
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: as the trait's contract says.
                Self(unsafe { $add(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: as the trait's contract says.
                Self(unsafe { $sub(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn mul_add(self, a: Self, b: Self) -> Self {
                // SAFETY: as the trait's contract says.
                Self(unsafe { $fma(self.0, a.0, b.0) })
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                // SAFETY: as the trait's contract says.
                Self(unsafe { $mul(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn max(self, other: Self) -> Self {
                // SAFETY: as the trait's contract says.
                Self(unsafe { $max(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn ge_mask(self, other: Self) -> u32 {
                let ($a, $b) = (self.0, other.0);
                // SAFETY: as the trait's contract says.
                unsafe { $ge_mask }
            }
            #[inline(always)]
            unsafe fn sum(self) -> f32 {
                let $v = self.0;
                // SAFETY: as the trait's contract says.
                unsafe { $sum }
            }
        }
    };
}

simd!(
    Avx2,
    8,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_mul_ps,
    _mm256_fmadd_ps,
    _mm256_max_ps,
    |from| _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(from.cast()))),
    |from| _mm256_cvtph_ps(_mm_loadu_si128(from.cast())),
    |a, b| _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(a, b)) as u32,
    |v| sum256(v)
);
simd!(
    Avx512,
    16,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps,
    _mm512_max_ps,
    |from| _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()))),
    |from| _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())),
    |a, b| u32::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(a, b)),
    |v| sum256(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v)))
);

/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn sum256(v: __m256) -> f32 {
    // SAFETY: the caller grants AVX2.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}
