//! Sparse random projection, which makes the coreset's distances cheaper.

use super::random::Random;
use crate::error::{Error, Result};
use crate::kernels::{Isa, Pool};
use crate::tensor::Patches;

/// Rows a task projects.
const BLOCK: usize = 64;
const PURPOSE: u64 = 0x0050_726F_6A65_6374;

/// A sparse random matrix: each output sums a few inputs with random signs (Li, Hastie, Church 2006, as scikit-learn
/// and the reference use it).
#[derive(Clone, Debug)]
pub struct Projection {
    input: usize,
    /// For each output the inputs it adds, and those it subtracts.
    outputs: Vec<(Vec<u32>, Vec<u32>)>,
    scale: f32,
}

impl Projection {
    /// From `input` values to `output`, the same for the same `seed`. Density `1 / sqrt(input)`; the scale keeps
    /// expected squared distances.
    pub fn new(input: usize, output: usize, seed: u64) -> Self {
        let mut random = Random::new(seed, PURPOSE);
        let density = 1.0 / (input as f64).sqrt();
        let mut pick = |_| {
            let mut signs = (Vec::new(), Vec::new());
            for i in 0..input {
                // Binomially many distinct inputs: each on its own with the density.
                if random.unit() < density {
                    let side = if random.next() >> 63 == 0 { &mut signs.0 } else { &mut signs.1 };
                    side.push(i as u32);
                }
            }
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
    /// A row is not finite, or memory runs out.
    pub fn apply(&self, features: Patches<'_>, _isa: Isa, pool: &Pool) -> Result<Vec<f32>> {
        assert_eq!(features.dim, self.input);
        let dim = self.output_dim();
        let mut projected = Vec::new();
        let length = features.rows() * dim;
        projected.try_reserve_exact(length).map_err(|_| {
            Error::limit("projected features", format!("{} bytes", length * 4), "what memory holds")
                .hint("train on fewer photographs")
        })?;
        projected.resize(length, 0.0);
        pool.for_each_chunk(&mut projected, BLOCK * dim, |block, out| {
            for (i, out) in out.chunks_exact_mut(dim).enumerate() {
                let row = features.row(block * BLOCK + i);
                let sum = |inputs: &[u32]| inputs.iter().map(|&i| row[i as usize]).sum::<f32>();
                for (out, (plus, minus)) in out.iter_mut().zip(&self.outputs) {
                    *out = (sum(plus) - sum(minus)) * self.scale;
                }
            }
        });
        Ok(projected)
    }
}
