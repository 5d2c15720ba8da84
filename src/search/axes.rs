//! The directions in which the memory bank varies most, and vectors along them.

use super::sketch::Coordinates;
use crate::bank::map::Slice;
use crate::bank::sections::{SectionWriter, Sections};
use crate::error::Result;
use crate::kernels::gemm::PackedMatrix;
use crate::kernels::{Isa, Pool, distance};
use crate::random::Random;
use crate::tensor::Patches;

const MEAN: &str = "search.mean";
const AXES: &str = "search.axes";
const DEVIATION: &str = "search.axes.off";

/// Rows that the directions are taken from: more make them no better.
const SAMPLE: usize = 4096;
/// Rounds of subspace iteration: directions need not have converged, only be orthonormal.
const ROUNDS: usize = 10;
/// Rows of a matrix product a task.
const TASK_ROWS: usize = 64;
/// Rows of the bank that are projected at once.
const BATCH: usize = 256;
const PURPOSE: u64 = 0x4178_6573;

/// Orthonormal axes through the mean of a memory bank.
#[derive(Clone, Debug)]
pub(super) struct Axes {
    mean: Slice<f32>,
    axes: Slice<f32>,
    /// How far the axes are from orthonormal: the Frobenius norm of their Gram matrix less the identity.
    deviation: Slice<f64>,
    packed: PackedMatrix,
    isa: Isa,
}

/// Vectors along axes; the memory is kept.
#[derive(Debug, Default)]
pub(super) struct Projected {
    centred: Vec<f32>,
    along: Vec<f32>,
    squared: Vec<f32>,
}

impl Axes {
    /// About the first `count` principal axes of the rows, the strongest first.
    pub(super) fn fit(bank: Patches<'_>, count: usize, isa: Isa, pool: &Pool) -> Self {
        let mean = mean(bank);
        let axes = principal(bank, &mean, count, isa, pool);
        let deviation = vec![deviation(&axes, bank.dim)];
        Self::assemble(mean.into(), axes.into(), deviation.into(), isa)
    }

    /// The axes of a model file.
    ///
    /// # Errors
    /// A section is missing or is not `count` axes of `dim` values.
    pub(super) fn open(sections: &Sections, dim: usize, count: usize, isa: Isa) -> Result<Self> {
        let (mean, axes, deviation) =
            (sections.get::<f32>(MEAN)?, sections.get::<f32>(AXES)?, sections.get(DEVIATION)?);
        // Not even the number of values need fit where addresses are short.
        let values = count.saturating_mul(dim);
        for (name, found, expected) in
            [(MEAN, mean.len(), dim), (AXES, axes.len(), values), (DEVIATION, deviation.len(), 1)]
        {
            if found != expected {
                return Err(sections.error(name, format!("{found} values"), expected));
            }
        }
        Ok(Self::assemble(mean, axes, deviation, isa))
    }

    fn assemble(mean: Slice<f32>, axes: Slice<f32>, deviation: Slice<f64>, isa: Isa) -> Self {
        let (dim, count) = (mean.len(), axes.len() / mean.len());
        let packed = PackedMatrix::new(dim, count, isa, &Pool::CALLER, |i, j| axes[j * dim + i]);
        Self { mean, axes, deviation, packed, isa }
    }

    /// Adds the sections of the axes to a model file.
    pub(super) fn write<'a>(&'a self, writer: &mut SectionWriter<'a>) {
        writer.add(MEAN, &self.mean);
        writer.add(AXES, &self.axes);
        writer.add(DEVIATION, &self.deviation);
    }

    /// Memory that this takes, beside what lies in a model file.
    pub(super) fn bytes(&self) -> usize {
        let parts = self.mean.owned_bytes() + self.axes.owned_bytes() + self.deviation.owned_bytes();
        parts + self.packed.bytes()
    }

    /// Memory that projecting `count` vectors takes.
    pub(super) fn projected_bytes(&self, count: usize) -> usize {
        count * (self.mean.len() + self.count() + 1) * size_of::<f32>()
    }

    /// Number of axes.
    pub(super) fn count(&self) -> usize {
        self.packed.n()
    }

    /// Centres `vectors` and takes their coordinates along the axes.
    pub(super) fn project<'a>(&self, vectors: impl ExactSizeIterator<Item = &'a [f32]>, out: &mut Projected) {
        let (count, dim) = (vectors.len(), self.mean.len());
        out.centred.resize(count * dim, 0.0);
        out.along.resize(count * self.count(), 0.0);
        out.squared.clear();
        for (vector, centred) in vectors.zip(out.centred.chunks_exact_mut(dim)) {
            out.squared.push(self.centre(vector, centred));
        }
        self.packed.multiply(&out.centred, &mut out.along);
    }

    /// Writes `vector` less the mean to `out`; returns the squared length of that, as computed.
    pub(super) fn centre(&self, vector: &[f32], out: &mut [f32]) -> f32 {
        let both = vector.iter().zip(&*self.mean);
        out.iter_mut().zip(both).for_each(|(out, (value, mean))| *out = value - mean);
        distance::squared(self.isa, vector, &self.mean)
    }

    /// All rows of `bank` along the axes.
    pub(super) fn project_all(&self, bank: Patches<'_>, pool: &Pool) -> Projected {
        let count = self.count();
        let mut all = Projected::default();
        all.along.resize(bank.rows() * count, 0.0);
        all.squared.resize(bank.rows(), 0.0);
        let outputs = ((&mut all.along[..], BATCH * count), (&mut all.squared[..], BATCH));
        pool.for_each_chunk_pair(outputs.0, outputs.1, |batch, along, squared| {
            let mut part = Projected::default();
            self.project((0..squared.len()).map(|i| bank.row(batch * BATCH + i)), &mut part);
            along.copy_from_slice(&part.along);
            squared.copy_from_slice(&part.squared);
        });
        all
    }

    /// Vector `i` of `projected`.
    pub(super) fn coordinates<'a>(&self, projected: &'a Projected, i: usize) -> Coordinates<'a> {
        Coordinates {
            dim: self.mean.len(),
            squared: projected.squared[i],
            along: &projected.along[i * self.count()..][..self.count()],
            deviation: self.deviation[0],
        }
    }
}

impl Projected {
    /// Vector `i` less the mean, and its squared length as computed. Only of what was projected last.
    pub(super) fn centred(&self, i: usize) -> (&[f32], f32) {
        let dim = self.centred.len() / self.squared.len();
        (&self.centred[i * dim..][..dim], self.squared[i])
    }

    /// Empties it and makes room for `count` vectors.
    pub(super) fn reserve(&mut self, count: usize) {
        self.squared.clear();
        self.squared.reserve(count);
    }

    /// The coordinates of all vectors, as many a vector as there are axes.
    pub(super) fn along(&self) -> &[f32] {
        &self.along
    }
}

/// The mean of the rows: `[dim]`.
fn mean(bank: Patches<'_>) -> Vec<f32> {
    let mut sums = vec![0.0f64; bank.dim];
    for row in bank.data.chunks_exact(bank.dim) {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    sums.into_iter().map(|sum| (sum / bank.rows() as f64) as f32).collect()
}

/// About the first `count` principal axes of the rows around `mean`, the strongest first: `[count, dim]`, orthonormal
/// up to rounding. Subspace iteration on the covariance of a sample (Halko, Martinsson, Tropp 2011).
fn principal(bank: Patches<'_>, mean: &[f32], count: usize, isa: Isa, pool: &Pool) -> Vec<f32> {
    let dim = bank.dim;
    let covariance = covariance(bank, mean, isa, pool);
    let mut random = Random::new(0, PURPOSE);
    let mut axes: Vec<f64> = (0..count * dim).map(|_| random.unit() - 0.5).collect();
    orthonormalise(&mut axes, dim);
    let mut product = vec![0.0; dim * count];
    for _ in 0..ROUNDS {
        // The covariance is symmetric, so that its product with the axes as columns is theirs as rows, transposed.
        let packed = PackedMatrix::new(dim, count, isa, pool, |i, j| axes[j * dim + i] as f32);
        multiply(&covariance, &packed, &mut product, pool);
        for (j, axis) in axes.chunks_exact_mut(dim).enumerate() {
            axis.iter_mut().enumerate().for_each(|(i, value)| *value = f64::from(product[i * count + j]));
        }
        orthonormalise(&mut axes, dim);
    }
    axes.into_iter().map(|value| value as f32).collect()
}

fn deviation(axes: &[f32], dim: usize) -> f64 {
    let mut sum = 0.0;
    for (i, a) in axes.chunks_exact(dim).enumerate() {
        for (j, b) in axes.chunks_exact(dim).enumerate().skip(i) {
            let product: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            sum += if i == j { (product - 1.0).powi(2) } else { 2.0 * product * product };
        }
    }
    sum.sqrt()
}

/// `a * b`, rows split over the threads.
fn multiply(a: &[f32], b: &PackedMatrix, out: &mut [f32], pool: &Pool) {
    let (k, n) = (b.k(), b.n());
    pool.for_each_chunk(out, TASK_ROWS * n, |task, out| {
        let a = &a[task * TASK_ROWS * k..][..out.len() / n * k];
        b.multiply(a, out);
    });
}

/// The covariance of a sample of the rows, scaled so that its trace is 1: `[dim, dim]`. Any scale gives the same axes, and
/// this one keeps banks of very large or small values from overflowing.
fn covariance(bank: Patches<'_>, mean: &[f32], isa: Isa, pool: &Pool) -> Vec<f32> {
    let (rows, dim) = (bank.rows(), bank.dim);
    let sample = rows.min(SAMPLE);
    let row = |i: usize| bank.row(i * rows / sample);
    let largest = (0..sample)
        .flat_map(|i| row(i).iter().zip(mean))
        .fold(0.0, |largest: f64, (&value, &mean)| largest.max((f64::from(value) - f64::from(mean)).abs()));
    let scale = if largest > 0.0 { 1.0 / largest } else { 0.0 };
    let centred = |i: usize, j: usize| ((f64::from(row(i)[j]) - f64::from(mean[j])) * scale) as f32;
    let packed = PackedMatrix::new(sample, dim, isa, pool, centred);
    let mut transposed = vec![0.0; dim * sample];
    for i in 0..sample {
        for j in 0..dim {
            transposed[j * sample + i] = centred(i, j);
        }
    }
    let mut covariance = vec![0.0; dim * dim];
    multiply(&transposed, &packed, &mut covariance, pool);
    let trace: f64 = (0..dim).map(|j| f64::from(covariance[j * dim + j])).sum();
    if trace > 0.0 {
        covariance.iter_mut().for_each(|value| *value = (f64::from(*value) / trace) as f32);
    }
    covariance
}

/// Gram-Schmidt, twice for accuracy. An axis that depends on those before it is replaced by the first unit vector that
/// does not.
fn orthonormalise(axes: &mut [f64], dim: usize) {
    let mut unit = 0;
    for at in 0..axes.len() / dim {
        let (before, rest) = axes.split_at_mut(at * dim);
        let axis = &mut rest[..dim];
        while !straighten(axis, before, dim) {
            axis.fill(0.0);
            axis[unit % dim] = 1.0;
            unit += 1;
        }
    }
}

/// Makes `axis` orthogonal to those `before` and of length 1; false where nothing of it is left.
fn straighten(axis: &mut [f64], before: &[f64], dim: usize) -> bool {
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
    // Eight sums side by side, so that the compiler may use vectors.
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
        let bank = Patches { dim, grid_width: 1, data };
        principal(bank, &mean(bank), count, Isa::best(), &Pool::new(2).unwrap())
    }

    #[test]
    fn the_strongest_directions_come_first() {
        let data = bank(300, 5, |i, j| (i as f32 * (0.7 + j as f32)).sin() * [1.0, 8.0, 0.1, 3.0, 0.0][j]);
        let axes = axes_of(&data, 5, 3);
        for (axis, expected) in axes.chunks(5).zip([1, 3, 0]) {
            assert!(axis[expected].abs() > 0.95, "{axes:?}");
        }
    }

    #[test]
    fn axes_are_orthonormal_whatever_the_bank() {
        for (rows, dim, count) in [(1, 4, 4), (3, 7, 7), (50, 40, 31), (200, 16, 16)] {
            for scale in [0.0, 1e-30, 1.0, 1e30] {
                let data = bank(rows, dim, |i, j| ((i * 7 + j * 3) as f32).sin() * scale);
                let found = deviation(&axes_of(&data, dim, count), dim);
                assert!(found < 1e-5, "{rows} x {dim}, scale {scale}: {found}");
            }
        }
    }
}
