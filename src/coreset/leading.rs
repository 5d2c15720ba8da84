//! The leading principal components of every row, which bound distances from below at a fraction of the cost.
//!
//! Let `x` and `y` be the computed components of two rows. An orthogonal projection shortens distances, so
//! without rounding `|x - y|^2` is at most the squared distance of the rows. Rounding adds at most `slack(x)
//! + slack(y)`:
//!
//! An inner product of `n` values is off by at most `n u` times the product of the magnitudes, where `u` is
//! the unit roundoff (Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1). So each
//! component of a row `v` is off by at most `dim u |v|`, and all of them together by `dim u |v| sqrt(depth)`.
//! With `a`, `b` the errors of both rows and `|v - w| <= |v| + |w|`,
//!
//! ```text
//! |x - y|^2 <= (|v - w| + a + b)^2 <= |v - w|^2 + 2 (|v| + |w|) (a + b) + ...
//!           <= |v - w|^2 + 4 dim u sqrt(depth) (|v|^2 + |w|^2) + ...
//! ```
//!
//! The factor 4.1 and a few more roundings cover terms of second order, the centring, the computed `|v|^2`,
//! and the sum `x . y` in whatever order it is evaluated.

use super::zeros;
use crate::error::Result;
use crate::kernels::product::{Matrix, product};
use crate::kernels::{Isa, distance};
use crate::parallel::Pool;
use crate::principal::{self, Iteration};
use crate::tensor::Patches;

/// Components kept. More of them give tighter bounds at a higher cost.
pub(super) const DEPTH: usize = 64;
/// The axes need not have converged: any orthonormal axes give valid bounds.
const ITERATION: Iteration = Iteration { rounds: 6, purpose: 0x004C_6561_6469_6E67 };
/// Rows that a task projects.
const TASK_ROWS: usize = 256;

/// The leading components of rows, centred.
///
/// For the components `x` and `y` of two rows, `|x - y|^2 - slack(x) - slack(y)` is at most their squared
/// distance.
pub(super) struct Leading {
    pub depth: usize,
    values: Vec<f32>,
    /// `(|x|^2 - slack) / 2`; minus infinity if the length overflows.
    half_sq_norms: Vec<f32>,
    slacks: Vec<f32>,
}

impl Leading {
    /// Computes the components of `rows`. The matrix product is `matrixmultiply`'s: it needs no reproducible
    /// bits, as `slack` covers any order of summation, and no packing that is worth keeping.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn new(rows: Patches<'_>, isa: Isa, pool: &Pool) -> Result<Self> {
        let depth = DEPTH.min(rows.dim);
        let mut values = zeros("leading components", rows.rows() * depth)?;
        let mut half_sq_norms = zeros("leading components", rows.rows())?;
        let mut slacks = zeros("leading components", rows.rows())?;
        let mean = principal::mean(principal::sample_rows(rows), rows.dim);
        let basis = contracting_axes(rows, &mean, depth, isa, pool);
        let share = slack_share(rows.dim, depth);
        pool.for_each_chunk_pair(
            (&mut values, TASK_ROWS * depth),
            (&mut slacks, TASK_ROWS),
            |task, values, slacks| {
                let first = task * TASK_ROWS * rows.dim;
                let centered: Vec<f32> = rows.data[first..][..slacks.len() * rows.dim]
                    .chunks_exact(rows.dim)
                    .flat_map(|row| row.iter().zip(&mean).map(|(v, mean)| v - mean))
                    .collect();
                product(Matrix::new(&centered, rows.dim), Matrix::new(&basis, rows.dim).t(), values);
                for (row, slack) in centered.chunks_exact(rows.dim).zip(slacks) {
                    *slack = row.iter().map(|v| v * v).sum::<f32>() * share;
                }
            },
        );
        let origin = vec![0.0; depth];
        for ((x, half_sq_norm), slack) in
            values.chunks_exact_mut(depth).zip(&mut half_sq_norms).zip(&mut slacks)
        {
            *half_sq_norm = (distance::squared(isa, x, &origin) - *slack) / 2.0;
            if !half_sq_norm.is_finite() {
                x.fill(0.0);
                (*half_sq_norm, *slack) = (f32::NEG_INFINITY, f32::INFINITY);
            }
        }
        Ok(Self { depth, values, half_sq_norms, slacks })
    }

    /// The components of a row.
    pub fn row(&self, row: u32) -> &[f32] {
        &self.values[row as usize * self.depth..][..self.depth]
    }

    /// `(|x|^2 - slack(x)) / 2`.
    pub fn half_sq_norm(&self, row: u32) -> f32 {
        self.half_sq_norms[row as usize]
    }

    /// The error bound of a row, see the module's page.
    pub fn slack(&self, row: u32) -> f32 {
        self.slacks[row as usize]
    }
}

/// The slack of a row as a share of its squared length, see the module's page.
fn slack_share(dim: usize, depth: usize) -> f32 {
    let roundings = 4.1 * (dim + 4) as f64 * (depth as f64).sqrt() + 4.0 * (depth + 8) as f64;
    (roundings * f64::from(f32::EPSILON) / 2.0) as f32
}

/// Approximately the first `depth` principal axes: `[depth, dim]`, scaled so that the matrix lengthens no
/// vector.
fn contracting_axes(rows: Patches<'_>, mean: &[f32], depth: usize, isa: Isa, pool: &Pool) -> Vec<f32> {
    let mut axes = principal::principal_axes(rows, mean, depth, ITERATION, isa, pool);
    // The largest eigenvalue of the Gram matrix differs from 1 by at most the matrix's distance from the
    // identity.
    let stretch = (1.0 + principal::deviation(&axes, rows.dim)).sqrt();
    axes.iter_mut().for_each(|value| *value = (f64::from(*value) / stretch) as f32);
    axes
}
