//! Sparse random projection (Achlioptas 2003; Li, Hastie, Church 2006), one output value for a block of rows:
//!
//! ```text
//!     out[row] = scale * (sum over i in plus of x[row][i] - sum over i in minus of x[row][i])
//! ```
//!
//! Each sum runs in the order of its indices, so all instruction sets give the same bits.

use super::Isa;
use super::simd::{Simd, dispatch};

/// Registers of rows that are summed side by side, so that additions do not wait for one another.
const BLOCK_VECTORS: usize = 4;

/// Rows of a block.
pub(crate) fn block_rows(isa: Isa) -> usize {
    BLOCK_VECTORS * isa.lanes()
}

/// Writes the projection of each row of `block`, which holds value 0 of each of its [`block_rows`] rows, then
/// value 1 of each, and so on.
///
/// # Panics
/// An index is past the block's values, or `out` does not hold one value a row.
pub(crate) fn project_block(
    isa: Isa,
    block: &[f32],
    plus: &[u32],
    minus: &[u32],
    scale: f32,
    out: &mut [f32],
) {
    assert_eq!(out.len(), block_rows(isa));
    // SAFETY: `out` has the length.
    unsafe { project_on(isa, block, plus, minus, scale, out) }
}

dispatch! {
    /// # Safety
    /// `out` has [`block_rows`] values.
    unsafe fn project_on(block: &[f32], plus: &[u32], minus: &[u32], scale: f32, out: &mut [f32]) = project
}

/// # Safety
/// The CPU has the instructions of `V`; `out` has `BLOCK_VECTORS * V::LANES` values.
#[inline(always)]
unsafe fn project<V: Simd>(block: &[f32], plus: &[u32], minus: &[u32], scale: f32, out: &mut [f32]) {
    // SAFETY: the caller grants the instructions, and `BLOCK_VECTORS * LANES` values of `out`.
    unsafe {
        let (plus, minus) = (sum_columns::<V>(block, plus), sum_columns::<V>(block, minus));
        for (v, (plus, minus)) in plus.into_iter().zip(minus).enumerate() {
            let scaled = plus.sub(minus).mul_add(V::splat(scale), V::splat(0.0));
            scaled.store(out.as_mut_ptr().add(v * V::LANES));
        }
    }
}

/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn sum_columns<V: Simd>(block: &[f32], indices: &[u32]) -> [V; BLOCK_VECTORS] {
    let width = BLOCK_VECTORS * V::LANES;
    // SAFETY: the caller grants the instructions; `values` holds `width` values.
    unsafe {
        let mut sums = [V::splat(0.0); BLOCK_VECTORS];
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
                project_block(isa, &block, plus, minus, 0.3, &mut out);
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
        project_block(Isa::best(), &vec![0.0; 3 * rows], &[3], &[], 1.0, &mut vec![0.0; rows]);
    }
}
