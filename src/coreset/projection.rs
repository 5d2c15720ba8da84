//! Sparse random projection of embeddings, which makes the coreset's distances cheaper.
//!
//! Very sparse random projections of Li, Hastie and Church, "Very sparse random projections", KDD 2006, as
//! scikit-learn's `SparseRandomProjection` and the reference implementation use them. With density `p = 1 /
//! sqrt(input)`, each entry of the matrix is independently
//!
//! ```text
//! +scale or -scale, with probability p / 2 each; 0 otherwise;    scale = sqrt(1 / (p output))
//! ```
//!
//! so that squared distances are preserved in expectation.

use super::zeros;
use crate::error::Result;
use crate::kernels::Isa;
use crate::kernels::sparse_projection::{block_rows, project_block};
use crate::parallel::Pool;
use crate::random::Random;
use crate::tensor::Patches;

/// Blocks of rows that a task projects.
const TASK_BLOCKS: usize = 4;
const PURPOSE: u64 = 0x0050_726F_6A65_6374;

/// A sparse random matrix: each output is a signed sum of a few inputs.
#[derive(Clone, Debug)]
pub struct Projection {
    input: usize,
    /// For each output, the inputs that it adds and those that it subtracts.
    outputs: Vec<(Vec<u32>, Vec<u32>)>,
    scale: f32,
}

impl Projection {
    /// A projection from `input` to `output` values, determined by `seed`. For each output it draws, in this
    /// order, a binomial number of inputs, which inputs, and their signs.
    pub fn new(input: usize, output: usize, seed: u64) -> Self {
        let mut random = Random::new(seed, PURPOSE);
        let density = 1.0 / (input as f64).sqrt();
        let mut columns: Vec<u32> = (0..input as u32).collect();
        let mut pick = |_| {
            let count = (0..input).filter(|_| random.unit() < density).count();
            random.shuffle(&mut columns, count);
            let mut signs = (Vec::new(), Vec::new());
            for &column in &columns[..count] {
                let side = if random.next_u64() >> 63 == 0 { &mut signs.0 } else { &mut signs.1 };
                side.push(column);
            }
            signs.0.sort_unstable();
            signs.1.sort_unstable();
            signs
        };
        let outputs = (0..output).map(&mut pick).collect();
        Self { input, outputs, scale: ((1.0 / density).sqrt() / (output as f64).sqrt()) as f32 }
    }

    /// Values of a projected row.
    pub fn output_dim(&self) -> usize {
        self.outputs.len()
    }

    /// Projects every row.
    ///
    /// # Errors
    /// Memory runs out.
    ///
    /// # Panics
    /// `features` do not have `input` values a row.
    pub fn apply(&self, features: Patches<'_>, isa: Isa, pool: &Pool) -> Result<Vec<f32>> {
        let mut projected = zeros("projected features", features.rows().saturating_mul(self.output_dim()))?;
        self.apply_into(features, isa, pool, &mut projected);
        Ok(projected)
    }

    /// Projects every row into `out`. All instruction sets give the same bits, as a row's values are summed
    /// in order.
    pub(crate) fn apply_into(&self, features: Patches<'_>, isa: Isa, pool: &Pool, out: &mut [f32]) {
        assert_eq!((features.dim, features.rows() * self.output_dim()), (self.input, out.len()));
        let (rows, dim) = (block_rows(isa), self.output_dim());
        pool.for_each_chunk(out, TASK_BLOCKS * rows * dim, |task, out| {
            let mut block = vec![0.0; self.input * rows];
            let mut sums = vec![0.0; dim * rows];
            let first = task * TASK_BLOCKS * rows * self.input;
            let blocks = features.data[first..].chunks(rows * self.input);
            for (values, out) in blocks.zip(out.chunks_mut(rows * dim)) {
                transpose(values, self.input, &mut block, rows);
                for ((plus, minus), sums) in self.outputs.iter().zip(sums.chunks_exact_mut(rows)) {
                    project_block(isa, &block, plus, minus, self.scale, sums);
                }
                transpose(&sums, rows, out, dim);
            }
        });
    }
}

/// Writes row `i` of `from`, rows of `columns` values, to column `i` of `to`, rows of `to_columns` values.
/// Values without a place in `to` are left out.
fn transpose(from: &[f32], columns: usize, to: &mut [f32], to_columns: usize) {
    // One cache line of every row at a time, so that both sides stay in the first-level cache.
    for first in (0..columns).step_by(16) {
        for (i, row) in from.chunks_exact(columns).enumerate() {
            for (j, &value) in row.iter().enumerate().skip(first).take(16) {
                if let Some(place) = to.get_mut(j * to_columns + i) {
                    *place = value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_and_thread_count_has_the_bits_of_the_plain_sums() {
        for (rows, input, output) in [(1, 1, 1), (63, 10, 7), (64, 24, 30), (700, 40, 20)] {
            let data: Vec<f32> = (0..rows * input).map(|i| (i as f32 * 0.61).sin()).collect();
            let features = Patches { dim: input, grid_width: rows, data: &data };
            let projection = Projection::new(input, output, 7);
            let plain = |row: usize| {
                let row = features.row(row);
                let sum = |indices: &[u32]| indices.iter().fold(0.0, |sum, &i| sum + row[i as usize]);
                let outputs = projection.outputs.iter();
                outputs
                    .map(move |(plus, minus)| (sum(plus) - sum(minus)) * projection.scale)
                    .collect::<Vec<_>>()
            };
            let expected: Vec<f32> = (0..rows).flat_map(plain).collect();
            for isa in Isa::available() {
                for threads in [1, 2, 3] {
                    let pool = Pool::new(threads).unwrap();
                    assert_eq!(projection.apply(features, isa, &pool).unwrap(), expected, "{isa:?} {rows}");
                }
            }
        }
    }

    #[test]
    fn squared_distances_are_kept_on_average() {
        let (rows, input) = (40, 100);
        let data: Vec<f32> = (0..rows * input).map(|i| (i as f32 * 0.61).sin()).collect();
        let features = Patches { dim: input, grid_width: rows, data: &data };
        let projected = Projection::new(input, 2000, 3).apply(features, Isa::best(), &Pool::new(1).unwrap());
        let projected = projected.unwrap();
        let sum = |data: &[f32], dim: usize| -> f32 {
            data[dim..].iter().zip(data).map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let share = sum(&projected, 2000) / sum(&data, input);
        assert!((0.9..1.1).contains(&share), "{share}");
    }
}
