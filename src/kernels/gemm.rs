//! `out = a * b` for a packed matrix `b`, every sum over ascending `k` in a fixed order. Results are the same
//! at every thread count and for every number of rows; where that is not needed, [`product`](super::product)
//! calls sgemm.

use super::Isa;
use super::tile::{Epilogue, PackedPanels, WindowLayout};
use crate::parallel::Pool;

/// A matrix `[k, n]` packed for products from the left.
#[derive(Clone, Debug)]
pub(crate) struct PackedMatrix(PackedPanels);

impl PackedMatrix {
    /// Packs the matrix whose value at row `i`, column `j` is `value(i, j)`.
    pub(crate) fn new(
        k: usize,
        n: usize,
        isa: Isa,
        pool: &Pool,
        value: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        Self(PackedPanels::new(k, n, isa, pool, value))
    }

    /// Rows.
    pub(crate) fn k(&self) -> usize {
        self.0.k()
    }

    /// Columns.
    pub(crate) fn n(&self) -> usize {
        self.0.n()
    }

    /// Memory of the matrix, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// `out = a * self`. `a` is `[m, k]` and `out` `[m, n]`, both dense.
    ///
    /// # Panics
    /// The lengths do not fit one another.
    pub(crate) fn multiply(&self, a: &[f32], out: &mut [f32]) {
        let (k, n) = (self.0.k(), self.0.n());
        let m = out.len() / n;
        assert_eq!((a.len(), out.len()), (m * k, m * n));
        for panel in 0..self.0.count() {
            self.0.multiply(panel, a, WindowLayout::matrix(k), m, Epilogue::default(), out, n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn every_instruction_set_multiplies_like_the_plain_loop() {
        let rows = (1..=17).chain([24, 28, 29, 43]);
        let shapes = rows.map(|m| (m, 9, 32)).chain([(13, 27, 33), (5, 64, 16), (24, 147, 64), (7, 3, 70)]);
        for (m, k, n) in shapes {
            let (a, b) = (values(m * k, 1), values(k * n, 2));
            let exact = |i: usize, j: usize| {
                (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum::<f64>()
            };
            for isa in Isa::available() {
                let packed = PackedMatrix::new(k, n, isa, &Pool::SERIAL, |i, j| b[i * n + j]);
                let mut out = vec![f32::NAN; m * n];
                packed.multiply(&a, &mut out);
                for i in 0..m {
                    for j in 0..n {
                        let difference = f64::from(out[i * n + j]) - exact(i, j);
                        assert!(difference.abs() < 1e-5, "{isa:?} {m}x{k}x{n} at {i},{j}: {difference}");
                    }
                }
            }
        }
    }
}
