//! What bounds a distance from below at a fraction of its cost: the leading principal components of every row.

use super::zeros;
use crate::error::Result;
use crate::kernels::product::{Matrix, product};
use crate::kernels::{Isa, distance};
use crate::parallel::Pool;
use crate::principal::{self, Iteration};
use crate::tensor::Patches;

/// Components kept. More of them bound better and cost more.
pub(super) const DEPTH: usize = 64;
/// How the components are found: they need not be exact, any orthonormal directions give true bounds.
const ITERATION: Iteration = Iteration { rounds: 6, purpose: 0x004C_6561_6469_6E67 };
/// Rows a task projects.
const BLOCK: usize = 256;

/// The leading components of rows, about their mean.
///
/// With `x` those of one row and `y` those of another, `|x - y|^2 - slack(x) - slack(y)` is at most the true squared
/// distance of the rows: an orthogonal projection shortens, and `slack` covers all rounding in `x` and in a product
/// `x . y` in whatever order it is summed.
pub(super) struct Leading {
    pub depth: usize,
    values: Vec<f32>,
    /// Half of the squared length less the slack; minus infinity where a length overflows.
    halves: Vec<f32>,
    slacks: Vec<f32>,
}

impl Leading {
    /// # Errors
    /// Memory runs out.
    pub fn new(rows: Patches<'_>, isa: Isa, pool: &Pool) -> Result<Self> {
        let depth = DEPTH.min(rows.dim);
        let mut values = zeros("leading components", rows.rows() * depth)?;
        let mut halves = zeros("leading components", rows.rows())?;
        let mut slacks = zeros("leading components", rows.rows())?;
        let mean = principal::mean(principal::sample(rows), rows.dim);
        let basis = directions(rows, &mean, depth, isa, pool);
        let share = rounding(rows.dim, depth);
        pool.for_each_chunk_pair(
            (&mut values, BLOCK * depth),
            (&mut slacks, BLOCK),
            |block, values, slacks| {
                let first = block * BLOCK * rows.dim;
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
        for ((x, half), slack) in values.chunks_exact_mut(depth).zip(&mut halves).zip(&mut slacks) {
            *half = (distance::squared(isa, x, &origin) - *slack) / 2.0;
            if !half.is_finite() {
                x.fill(0.0);
                (*half, *slack) = (f32::NEG_INFINITY, f32::INFINITY);
            }
        }
        Ok(Self { depth, values, halves, slacks })
    }

    /// The components of a row.
    pub fn row(&self, row: u32) -> &[f32] {
        &self.values[row as usize * self.depth..][..self.depth]
    }

    /// Half of `|x|^2 - slack(x)`.
    pub fn half(&self, row: u32) -> f32 {
        self.halves[row as usize]
    }

    pub fn slack(&self, row: u32) -> f32 {
        self.slacks[row as usize]
    }
}

/// The slack of a row as a share of its squared length. An inner product of `n` values is off by at most `n` roundings
/// of the product of the absolute values (Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1). So
/// each component is off by `dim` roundings times the row's length, all of them together by `sqrt(depth)` as much,
/// which a difference's square takes four times; the products of two rows' components come on top.
fn rounding(dim: usize, depth: usize) -> f32 {
    let roundings = 4.1 * (dim + 4) as f64 * (depth as f64).sqrt() + 4.0 * (depth + 8) as f64;
    (roundings * f64::from(f32::EPSILON) / 2.0) as f32
}

/// `depth` directions close to the leading principal components: `[depth, dim]`, a matrix that lengthens no vector.
fn directions(rows: Patches<'_>, mean: &[f32], depth: usize, isa: Isa, pool: &Pool) -> Vec<f32> {
    let mut axes = principal::axes(rows, mean, depth, ITERATION, isa, pool);
    // The largest eigenvalue of their Gram matrix is no farther from 1 than that matrix from the identity.
    let stretch = (1.0 + principal::deviation(&axes, rows.dim)).sqrt();
    axes.iter_mut().for_each(|value| *value = (f64::from(*value) / stretch) as f32);
    axes
}
