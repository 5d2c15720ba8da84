//! Leading principal axes by subspace iteration.
//!
//! ```text
//! A = random [count, dim] matrix, rows orthonormalised
//! repeat: A = orthonormalise(A C)        C is the covariance of a sample of the rows
//! ```
//!
//! The rows of `A` converge to the leading eigenvectors of `C`, the faster the larger the gap between
//! eigenvalues `count` and `count + 1` (Halko, Martinsson and Tropp, "Finding structure with randomness",
//! SIAM Review 53, 2011, algorithm 4.4). The users of the axes need them orthonormal, not converged;
//! [`deviation`] measures how orthonormal they are.

use crate::kernels::Isa;
use crate::kernels::gemm::PackedMatrix;
use crate::parallel::Pool;
use crate::random::Random;
use crate::tensor::Patches;

/// Rows of the sample. A larger sample does not improve the axes measurably.
pub(crate) const SAMPLE_ROWS: usize = 4096;
/// Rows of a matrix product that a task computes.
const TASK_ROWS: usize = 64;

/// The number of rounds, and the stream of random numbers that the iteration starts with.
#[derive(Clone, Copy)]
pub(crate) struct Iteration {
    pub rounds: usize,
    pub purpose: u64,
}

/// [`SAMPLE_ROWS`] evenly spaced rows, or all if there are fewer.
pub(crate) fn sample_rows(rows: Patches<'_>) -> impl ExactSizeIterator<Item = &[f32]> {
    let (all, count) = (rows.rows(), rows.rows().min(SAMPLE_ROWS));
    (0..count).map(move |i| rows.row((i as u64 * all as u64 / count as u64) as usize))
}

/// The mean of rows of `dim` values.
pub(crate) fn mean<'a>(rows: impl ExactSizeIterator<Item = &'a [f32]>, dim: usize) -> Vec<f32> {
    let count = rows.len() as f64;
    let mut sums = vec![0.0f64; dim];
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

/// Approximately the first `count` principal axes of finite rows around `mean`, in descending order of
/// variance: `[count, dim]`, orthonormal up to rounding.
pub(crate) fn principal_axes(
    rows: Patches<'_>,
    mean: &[f32],
    count: usize,
    iteration: Iteration,
    isa: Isa,
    pool: &Pool,
) -> Vec<f32> {
    let dim = rows.dim;
    let covariance = covariance(rows, mean, isa, pool);
    let mut random = Random::new(0, iteration.purpose);
    let mut axes: Vec<f64> = (0..count * dim).map(|_| random.unit() - 0.5).collect();
    orthonormalise(&mut axes, dim);
    let mut product = vec![0.0; dim * count];
    for _ in 0..iteration.rounds {
        // The covariance is symmetric, so `C A^T` is the transpose of `A C`.
        let packed = PackedMatrix::new(dim, count, isa, pool, |i, j| axes[j * dim + i] as f32);
        multiply_rows(&covariance, &packed, &mut product, pool);
        for (j, axis) in axes.chunks_exact_mut(dim).enumerate() {
            axis.iter_mut().enumerate().for_each(|(i, value)| *value = f64::from(product[i * count + j]));
        }
        orthonormalise(&mut axes, dim);
    }
    axes.into_iter().map(|value| value as f32).collect()
}

/// How far axes are from orthonormal: `|A A^T - I|_F`, the Frobenius norm.
pub(crate) fn deviation(axes: &[f32], dim: usize) -> f64 {
    let mut sum = 0.0;
    for (i, a) in axes.chunks_exact(dim).enumerate() {
        for (j, b) in axes.chunks_exact(dim).enumerate().skip(i) {
            let product: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            sum += if i == j { (product - 1.0).powi(2) } else { 2.0 * product * product };
        }
    }
    sum.sqrt()
}

/// `out = a b`. The threads share the rows.
fn multiply_rows(a: &[f32], b: &PackedMatrix, out: &mut [f32], pool: &Pool) {
    let (k, n) = (b.k(), b.n());
    pool.for_each_chunk(out, TASK_ROWS * n, |task, out| {
        let a = &a[task * TASK_ROWS * k..][..out.len() / n * k];
        b.multiply(a, out);
    });
}

/// The covariance of a sample of the rows, scaled to a trace of 1: `[dim, dim]`. The scale does not change
/// the axes, and prevents overflow and underflow.
fn covariance(rows: Patches<'_>, mean: &[f32], isa: Isa, pool: &Pool) -> Vec<f32> {
    let rows: Vec<_> = sample_rows(rows).collect();
    let (count, dim) = (rows.len(), mean.len());
    let largest = rows
        .iter()
        .flat_map(|row| row.iter().zip(mean))
        .fold(0.0, |largest: f64, (&value, &mean)| largest.max((f64::from(value) - f64::from(mean)).abs()));
    let scale = if largest > 0.0 { 1.0 / largest } else { 0.0 };
    let centred = |i: usize, j: usize| ((f64::from(rows[i][j]) - f64::from(mean[j])) * scale) as f32;
    let packed = PackedMatrix::new(count, dim, isa, pool, centred);
    let mut covariance = vec![0.0; dim * dim];
    pool.for_each_chunk(&mut covariance, TASK_ROWS * dim, |task, out| {
        let mut columns = vec![0.0; out.len() / dim * count];
        for (j, column) in (task * TASK_ROWS..).zip(columns.chunks_exact_mut(count)) {
            (0..count).zip(column).for_each(|(i, value)| *value = centred(i, j));
        }
        packed.multiply(&columns, out);
    });
    let trace: f64 = (0..dim).map(|j| f64::from(covariance[j * dim + j])).sum();
    if trace > 0.0 {
        covariance.iter_mut().for_each(|value| *value = (f64::from(*value) / trace) as f32);
    }
    covariance
}

/// Gram-Schmidt, with each axis orthogonalised twice for accuracy. An axis that depends linearly on those
/// before it is replaced by the first unit vector that does not.
fn orthonormalise(axes: &mut [f64], dim: usize) {
    let mut unit = 0;
    for at in 0..axes.len() / dim {
        let (before, rest) = axes.split_at_mut(at * dim);
        let axis = &mut rest[..dim];
        while !orthogonalise(axis, before, dim) {
            axis.fill(0.0);
            axis[unit % dim] = 1.0;
            unit += 1;
        }
    }
}

/// Orthogonalises `axis` against those `before`, and normalises it; false if it depends on them.
fn orthogonalise(axis: &mut [f64], before: &[f64], dim: usize) -> bool {
    for _ in 0..2 {
        let length = dot(axis, axis).sqrt();
        if length < 1e-150 {
            return false;
        }
        axis.iter_mut().for_each(|value| *value /= length);
        for other in before.chunks_exact(dim) {
            let along = dot(axis, other);
            axis.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
        }
        if dot(axis, axis) < 1e-20 {
            return false;
        }
    }
    let length = dot(axis, axis).sqrt();
    axis.iter_mut().for_each(|value| *value /= length);
    true
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Eight independent sums let the compiler use vector instructions.
    let mut sums = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        (0..8).for_each(|i| sums[i] += a[i] * b[i]);
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank(rows: usize, dim: usize, value: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        (0..rows * dim).map(|i| value(i / dim, i % dim)).collect()
    }

    fn axes_of(data: &[f32], dim: usize, count: usize) -> Vec<f32> {
        let rows = Patches { dim, grid_width: 1, data };
        let mean = mean(sample_rows(rows), dim);
        let iteration = Iteration { rounds: 10, purpose: 1 };
        principal_axes(rows, &mean, count, iteration, Isa::best(), &Pool::new(2).unwrap())
    }

    #[test]
    fn axes_are_in_descending_order_of_variance() {
        let data = bank(300, 5, |i, j| (i as f32 * (0.7 + j as f32)).sin() * [1.0, 8.0, 0.1, 3.0, 0.0][j]);
        let axes = axes_of(&data, 5, 3);
        for (axis, expected) in axes.chunks(5).zip([1, 3, 0]) {
            assert!(axis[expected].abs() > 0.95, "{axes:?}");
        }
    }

    #[test]
    fn axes_are_orthonormal_for_every_bank() {
        for (rows, dim, count) in [(1, 4, 4), (3, 7, 7), (50, 40, 31), (200, 16, 16)] {
            for scale in [0.0, 1e-30, 1.0, 1e30] {
                let data = bank(rows, dim, |i, j| ((i * 7 + j * 3) as f32).sin() * scale);
                let found = deviation(&axes_of(&data, dim, count), dim);
                assert!(found < 1e-5, "{rows} x {dim}, scale {scale}: {found}");
            }
        }
    }
}
