//! Sums and differences of few of a row's values, over many rows at once: a sparse matrix of signs against a block of
//! rows. Every row's sum is taken in the order of the indices, so all instruction sets give the same bits.

use super::isa::{Isa, Kind};
use super::portable::F32x8;
use super::simd::Simd;

/// Vectors of rows that are summed side by side, so that an addition need not wait for the one before.
const VECTORS: usize = 4;

/// Rows in a block.
pub(crate) fn block_rows(isa: Isa) -> usize {
    VECTORS
        * match isa.kind() {
            Kind::Portable => F32x8::LANES,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => super::x86_64::Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => super::x86_64::Avx512::LANES,
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => super::aarch64::Neon::LANES,
        }
}

/// For each row of `block`, `scale` times the difference of the sums of its values `plus` and of its values `minus`.
/// `block` holds value after value of its [`block_rows`] rows.
///
/// # Panics
/// An index is past the block's values, or `out` does not hold one value a row.
pub(crate) fn signed_sum(isa: Isa, block: &[f32], plus: &[u32], minus: &[u32], scale: f32, out: &mut [f32]) {
    assert_eq!(out.len(), block_rows(isa));
    // SAFETY: the isa proves that the CPU has the instructions; `out` has the length.
    unsafe {
        match isa.kind() {
            Kind::Portable => sums::<F32x8>(block, plus, minus, scale, out),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => avx2(block, plus, minus, scale, out),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => avx512(block, plus, minus, scale, out),
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => sums::<super::aarch64::Neon>(block, plus, minus, scale, out),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(block: &[f32], plus: &[u32], minus: &[u32], scale: f32, out: &mut [f32]) {
    // SAFETY: the caller grants the length of `out`.
    unsafe { sums::<super::x86_64::Avx2>(block, plus, minus, scale, out) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
unsafe fn avx512(block: &[f32], plus: &[u32], minus: &[u32], scale: f32, out: &mut [f32]) {
    // SAFETY: the caller grants the length of `out`.
    unsafe { sums::<super::x86_64::Avx512>(block, plus, minus, scale, out) }
}

/// # Safety
/// The CPU has the instructions of `V`; `out` has `VECTORS * V::LANES` values.
#[inline(always)]
unsafe fn sums<V: Simd>(block: &[f32], plus: &[u32], minus: &[u32], scale: f32, out: &mut [f32]) {
    // SAFETY: the caller grants the instructions, and `VECTORS * LANES` values of `out`.
    unsafe {
        let (plus, minus) = (sum::<V>(block, plus), sum::<V>(block, minus));
        for (v, (plus, minus)) in plus.into_iter().zip(minus).enumerate() {
            let scaled = plus.sub(minus).mul_add(V::splat(scale), V::splat(0.0));
            scaled.store(out.as_mut_ptr().add(v * V::LANES));
        }
    }
}

/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn sum<V: Simd>(block: &[f32], indices: &[u32]) -> [V; VECTORS] {
    let width = VECTORS * V::LANES;
    // SAFETY: the caller grants the instructions; `values` holds `width` values.
    unsafe {
        let mut sums = [V::splat(0.0); VECTORS];
        for &i in indices {
            let values = &block[i as usize * width..][..width];
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add(V::load(values.as_ptr().add(v * V::LANES)));
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_has_the_bits_of_the_plain_loop() {
        let (plus, minus) = ([0, 3, 4, 11], [1, 2, 10]);
        for isa in Isa::available() {
            let rows = block_rows(isa);
            let block: Vec<f32> = (0..12 * rows).map(|i| (i as f32 * 0.37).sin()).collect();
            for (plus, minus) in [(&plus[..], &minus[..]), (&plus, &[]), (&[], &minus), (&[], &[])] {
                let mut out = vec![f32::NAN; rows];
                signed_sum(isa, &block, plus, minus, 0.3, &mut out);
                for (row, &found) in out.iter().enumerate() {
                    let sum = |indices: &[u32]| {
                        indices.iter().fold(0.0, |sum, &i| sum + block[i as usize * rows + row])
                    };
                    assert_eq!(found, (sum(plus) - sum(minus)) * 0.3, "{isa:?} {row}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "range")]
    fn an_index_past_the_block_is_refused() {
        let rows = block_rows(Isa::best());
        signed_sum(Isa::best(), &vec![0.0; 3 * rows], &[3], &[], 1.0, &mut vec![0.0; rows]);
    }
}
