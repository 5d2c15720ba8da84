//! Sums and differences of few of a row's values, over many rows at once: a sparse matrix of signs against a block of
//! rows. Every row's sum is taken in the order of the indices, so all instruction sets give the same bits.

use super::Isa;
use super::simd::{Simd, dispatch};

/// Vectors of rows that are summed side by side, so that an addition need not wait for the one before.
const VECTORS: usize = 4;

/// Rows in a block.
pub(crate) fn block_rows(isa: Isa) -> usize {
    VECTORS * isa.lanes()
}

/// For each row of `block`, `scale` times the difference of the sums of its values `plus` and of its values `minus`.
/// `block` holds value after value of its [`block_rows`] rows.
///
/// # Panics
/// An index is past the block's values, or `out` does not hold one value a row.
pub(crate) fn sparse_projection(
    isa: Isa,
    block: &[f32],
    plus: &[u32],
    minus: &[u32],
    scale: f32,
    out: &mut [f32],
) {
    assert_eq!(out.len(), block_rows(isa));
    // SAFETY: `out` has the length.
    unsafe { run(isa, block, plus, minus, scale, out) }
}

dispatch! {
    /// # Safety
    /// `out` has [`block_rows`] values.
    unsafe fn run(block: &[f32], plus: &[u32], minus: &[u32], scale: f32, out: &mut [f32]) = sums
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
                sparse_projection(isa, &block, plus, minus, 0.3, &mut out);
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
        sparse_projection(Isa::best(), &vec![0.0; 3 * rows], &[3], &[], 1.0, &mut vec![0.0; rows]);
    }
}
