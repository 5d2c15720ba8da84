//! What bounds a distance from below at a fraction of its cost: the leading principal components of every row.

use super::zeros;
use crate::error::Result;
use crate::kernels::product::{Matrix, product};
use crate::kernels::{Isa, Pool, distance};
use crate::random::Random;
use crate::tensor::Patches;

/// Components kept. More of them bound better and cost more.
pub(super) const DEPTH: usize = 64;
/// Rows that the principal components are estimated from.
pub(super) const SAMPLE: usize = 4096;
/// Steps of the subspace iteration. The components need not be exact: any orthonormal directions give true bounds.
const STEPS: usize = 6;
/// Rows a task projects.
const BLOCK: usize = 256;
const PURPOSE: u64 = 0x004C_6561_6469_6E67;

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
        let (mean, sample) = centered_sample(rows);
        let basis = principal(&sample, rows.dim, depth);
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

/// The mean of evenly many rows, and those rows less the mean.
fn centered_sample(rows: Patches<'_>) -> (Vec<f32>, Vec<f32>) {
    let count = SAMPLE.min(rows.rows());
    let picked = || (0..count).map(|i| rows.row(i * rows.rows() / count));
    let mut sums = vec![0.0f64; rows.dim];
    for row in picked() {
        sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v));
    }
    let mean: Vec<f32> = sums.iter().map(|sum| (sum / count as f64) as f32).collect();
    let sample = picked().flat_map(|row| row.iter().zip(&mean).map(|(v, mean)| v - mean)).collect();
    (mean, sample)
}

/// `depth` directions close to the leading principal components of `sample`, rows of `dim` values: `[depth, dim]`,
/// a matrix that lengthens no vector. Directions in which nothing varies are 0.
fn principal(sample: &[f32], dim: usize, depth: usize) -> Vec<f32> {
    let sample = Matrix::new(sample, dim);
    let mut covariance = vec![0.0; dim * dim];
    product(sample.t(), sample, &mut covariance);
    let mut random = Random::new(0, PURPOSE);
    let mut basis: Vec<f32> = (0..depth * dim).map(|_| random.unit() as f32 - 0.5).collect();
    orthonormalize(&mut basis, dim);
    let mut next = vec![0.0; depth * dim];
    for _ in 0..STEPS {
        product(Matrix::new(&basis, dim), Matrix::new(&covariance, dim), &mut next);
        std::mem::swap(&mut basis, &mut next);
        orthonormalize(&mut basis, dim);
    }
    // Gershgorin: no eigenvalue of B B' is larger than its largest absolute row sum.
    let row_sum = |a: &[f32]| basis.chunks_exact(dim).map(|b| dot(a, b).abs()).sum::<f64>();
    let stretch = basis.chunks_exact(dim).map(row_sum).fold(1.0, f64::max).sqrt();
    basis.iter().map(|&v| (f64::from(v) / stretch) as f32).collect()
}

/// Gram-Schmidt, twice over, which is enough. A row that depends on those before becomes 0.
fn orthonormalize(basis: &mut [f32], dim: usize) {
    let mut done: Vec<Vec<f64>> = Vec::new();
    for row in basis.chunks_exact_mut(dim) {
        let mut rest: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
        let before = length(&rest);
        for _ in 0..2 {
            for other in &done {
                let shared: f64 = rest.iter().zip(other).map(|(a, b)| a * b).sum();
                rest.iter_mut().zip(other).for_each(|(v, o)| *v -= shared * o);
            }
        }
        let length = length(&rest);
        // Also where the length overflowed or is NaN.
        if !(length > before * 1e-6 && length.is_finite()) {
            row.fill(0.0);
            continue;
        }
        rest.iter_mut().for_each(|v| *v /= length);
        row.iter_mut().zip(&rest).for_each(|(to, &v)| *to = v as f32);
        done.push(rest);
    }
}

fn length(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
