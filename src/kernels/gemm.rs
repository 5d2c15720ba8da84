//! Matrix product against a packed matrix, with the epilogue of a convolution: bias, residual, ReLU.

use super::isa::{Isa, Kind};
use super::portable::F32x8;
use super::simd::Simd;
#[cfg(target_arch = "x86_64")]
use super::x86_64::{Avx2, Avx512};

/// Vectors side by side in a tile.
const VECTORS: usize = 2;

/// A matrix `[k, n]` in panels of as many columns as a tile of `isa` has, each panel row after row, zero-padded.
#[derive(Clone, Debug)]
pub(crate) struct PackedMatrix {
    panels: Vec<f32>,
    k: usize,
    n: usize,
    isa: Isa,
}

/// What happens to a product before it is stored.
#[derive(Clone, Copy)]
pub(crate) struct Epilogue<'a> {
    /// Added to each row: `[n]`.
    pub bias: &'a [f32],
    /// Added to the product: `[m, n]`.
    pub residual: Option<&'a [f32]>,
    /// Negative values become 0.
    pub relu: bool,
}

fn panel_width(isa: Isa) -> usize {
    VECTORS
        * match isa.kind() {
            Kind::Portable => F32x8::LANES,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => Avx512::LANES,
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => super::aarch64::Neon::LANES,
        }
}

impl PackedMatrix {
    /// Packs the matrix whose value at row `i`, column `j` is `value(i, j)`.
    pub(crate) fn new(k: usize, n: usize, isa: Isa, value: impl Fn(usize, usize) -> f32) -> Self {
        let width = panel_width(isa);
        let mut panels = Vec::with_capacity(n.div_ceil(width) * width * k);
        for first in (0..n).step_by(width) {
            for i in 0..k {
                panels.extend((first..first + width).map(|j| if j < n { value(i, j) } else { 0.0 }));
            }
        }
        Self { panels, k, n, isa }
    }

    /// Rows.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    /// Columns.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// `out = a * self`, then the epilogue. `a` is `[m, k]` and `out` `[m, n]`, both dense.
    ///
    /// # Panics
    /// The lengths do not fit one another.
    pub(crate) fn multiply(&self, a: &[f32], epilogue: Epilogue<'_>, out: &mut [f32]) {
        let m = out.len() / self.n;
        assert_eq!((a.len(), out.len(), epilogue.bias.len()), (m * self.k, m * self.n, self.n));
        assert!(epilogue.residual.is_none_or(|residual| residual.len() == out.len()));
        // SAFETY: the isa proves that the CPU has the instructions; the lengths are those that `multiply` needs.
        unsafe {
            match self.isa.kind() {
                Kind::Portable => multiply::<F32x8, 4>(self, a, epilogue, out),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => avx2(self, a, epilogue, out),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => avx512(self, a, epilogue, out),
                #[cfg(target_arch = "aarch64")]
                Kind::Neon => multiply::<super::aarch64::Neon, 8>(self, a, epilogue, out),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(b: &PackedMatrix, a: &[f32], epilogue: Epilogue<'_>, out: &mut [f32]) {
    // SAFETY: the caller grants the lengths.
    unsafe { multiply::<Avx2, 6>(b, a, epilogue, out) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
unsafe fn avx512(b: &PackedMatrix, a: &[f32], epilogue: Epilogue<'_>, out: &mut [f32]) {
    // SAFETY: the caller grants the lengths.
    unsafe { multiply::<Avx512, 12>(b, a, epilogue, out) }
}

/// # Safety
/// The CPU has the instructions of `V`, for which `b` was packed; `a` is `[m, k]`, `out` and the residual are `[m, n]`, the
/// bias is `[n]`.
#[inline(always)]
unsafe fn multiply<V: Simd, const ROWS: usize>(
    b: &PackedMatrix,
    a: &[f32],
    epilogue: Epilogue<'_>,
    out: &mut [f32],
) {
    let width = VECTORS * V::LANES;
    let m = out.len() / b.n;
    for (panel, first) in b.panels.chunks_exact(width * b.k).zip((0..b.n).step_by(width)) {
        let columns = width.min(b.n - first);
        let mut row = 0;
        while row + ROWS <= m {
            // SAFETY: ROWS rows of `a` from `row` on, one whole panel.
            let tile = unsafe { tile::<V, ROWS>(&a[row * b.k..], b.k, panel) };
            finish(&tile, row, first, columns, epilogue, b.n, out);
            row += ROWS;
        }
        while row < m {
            // SAFETY: one row of `a`, one whole panel.
            let tile = unsafe { tile::<V, 1>(&a[row * b.k..], b.k, panel) };
            finish(&tile, row, first, columns, epilogue, b.n, out);
            row += 1;
        }
    }
}

/// The product of `ROWS` rows of `a` (`k` apart) and a panel, a row a time.
///
/// # Safety
/// The CPU has the instructions of `V`; `a` holds `ROWS * k` values and `panel` `VECTORS * V::LANES * k`.
#[inline(always)]
unsafe fn tile<V: Simd, const ROWS: usize>(a: &[f32], k: usize, panel: &[f32]) -> [[f32; 32]; ROWS] {
    debug_assert!(a.len() >= ROWS * k && panel.len() == VECTORS * V::LANES * k && VECTORS * V::LANES <= 32);
    let mut out = [[0.0; 32]; ROWS];
    // SAFETY: row r of `a` at step i is a[r * k + i], and the panel's step i starts at i * VECTORS * LANES; both are in
    // bounds by the caller's contract. A row of `out` holds 32 values, at least VECTORS * LANES.
    unsafe {
        let mut sums = [[V::splat(0.0); VECTORS]; ROWS];
        let (a, panel) = (a.as_ptr(), panel.as_ptr());
        for i in 0..k {
            let b: [V; VECTORS] = std::array::from_fn(|v| V::load(panel.add((i * VECTORS + v) * V::LANES)));
            for (r, sums) in sums.iter_mut().enumerate() {
                let value = V::splat(*a.add(r * k + i));
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = value.mul_add(b, *sum);
                }
            }
        }
        for (row, sums) in out.iter_mut().zip(sums) {
            for (v, sum) in sums.into_iter().enumerate() {
                sum.store(row.as_mut_ptr().add(v * V::LANES));
            }
        }
    }
    out
}

/// Adds bias and residual, applies ReLU, stores.
#[inline(always)]
fn finish(
    tile: &[[f32; 32]],
    row: usize,
    first: usize,
    columns: usize,
    epilogue: Epilogue<'_>,
    n: usize,
    out: &mut [f32],
) {
    let bias = &epilogue.bias[first..first + columns];
    for (r, sums) in tile.iter().enumerate() {
        let at = (row + r) * n + first;
        let out = &mut out[at..at + columns];
        match epilogue.residual {
            Some(residual) => {
                let residual = &residual[at..at + columns];
                out.iter_mut()
                    .zip(sums)
                    .zip(bias)
                    .zip(residual)
                    .for_each(|(((out, sum), bias), residual)| *out = sum + bias + residual);
            }
            None => out.iter_mut().zip(sums).zip(bias).for_each(|((out, sum), bias)| *out = sum + bias),
        }
        if epilogue.relu {
            out.iter_mut().for_each(|v| *v = v.max(0.0));
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
        for (m, k, n) in [(1, 1, 1), (12, 9, 32), (13, 27, 33), (5, 64, 16), (24, 147, 64), (7, 3, 70)] {
            let (a, b, bias, residual) = (values(m * k, 1), values(k * n, 2), values(n, 3), values(m * n, 4));
            let exact = |i: usize, j: usize| {
                let sum: f64 = (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum();
                (sum + f64::from(bias[j]) + f64::from(residual[i * n + j])).max(0.0)
            };
            for isa in Isa::available() {
                let packed = PackedMatrix::new(k, n, isa, |i, j| b[i * n + j]);
                let mut out = vec![f32::NAN; m * n];
                packed.multiply(
                    &a,
                    Epilogue { bias: &bias, residual: Some(&residual), relu: true },
                    &mut out,
                );
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
