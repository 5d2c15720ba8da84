//! Each layer's map averaged over 3x3, brought to the first layer's grid, and put side by side.

use crate::error::{Error, Result};
use crate::kernels::{Isa, Pool};
use crate::tensor::{FeatureMap, Patches};

/// Turns feature maps of fixed shapes into patch embeddings.
#[derive(Clone, Debug)]
pub struct Embedder {
    shapes: Vec<(usize, usize, usize)>,
    pooled: Vec<f32>,
}

impl Embedder {
    /// For maps of `shapes` (height, width, channels), the finest first.
    ///
    /// # Errors
    /// There is no map.
    pub fn new(shapes: Vec<(usize, usize, usize)>, _isa: Isa) -> Result<Self> {
        if shapes.is_empty() {
            return Err(Error::argument("feature maps", "none", "at least one"));
        }
        Ok(Self { shapes, pooled: Vec::new() })
    }

    /// Writes the embeddings of `maps` to `out`: a row a position of the first map, row by row, its values those of the
    /// first layer, then of the next.
    ///
    /// As in the reference (`generate_embedding`): 3x3 mean with zero padding that counts, then bilinear upsampling with
    /// half-pixel centres, then concatenation.
    pub fn run<'a>(&mut self, maps: &[FeatureMap<'_>], pool: &Pool, out: &'a mut Vec<f32>) -> Patches<'a> {
        let (rows, columns, _) = self.shapes[0];
        let dim = self.shapes.iter().map(|shape| shape.2).sum();
        out.resize(rows * columns * dim, 0.0);
        let mut offset = 0;
        for map in maps {
            self.pooled.resize(map.height * map.width * map.channels, 0.0);
            mean_3x3(map, pool, &mut self.pooled);
            let pooled = FeatureMap::dense(map.height, map.width, map.channels, &self.pooled);
            upsample(&pooled, (rows, columns), pool, out, dim, offset);
            offset += map.channels;
        }
        Patches { dim, grid_width: columns, data: out }
    }
}

fn mean_3x3(map: &FeatureMap<'_>, pool: &Pool, out: &mut [f32]) {
    let FeatureMap { height, width, channels, .. } = *map;
    pool.for_each_chunk(out, width * channels, |y, row| {
        row.fill(0.0);
        for sy in y.saturating_sub(1)..(y + 2).min(height) {
            for (x, out) in row.chunks_exact_mut(channels).enumerate() {
                for sx in x.saturating_sub(1)..(x + 2).min(width) {
                    out.iter_mut().zip(map.at(sy, sx)).for_each(|(out, value)| *out += value);
                }
            }
        }
        row.iter_mut().for_each(|v| *v /= 9.0);
    });
}

/// Writes `map`, bilinearly brought to `rows` x `columns`, to the channels from `offset` on of `out`'s `dim`.
fn upsample(
    map: &FeatureMap<'_>,
    (rows, columns): (usize, usize),
    pool: &Pool,
    out: &mut [f32],
    dim: usize,
    offset: usize,
) {
    let channels = map.channels;
    pool.for_each_chunk(out, columns * dim, |y, row| {
        let (top, bottom, down) = source(y, rows, map.height);
        for (x, out) in row.chunks_exact_mut(dim).enumerate() {
            let (left, right, across) = source(x, columns, map.width);
            let (a, b) = (map.at(top, left), map.at(top, right));
            let (c, d) = (map.at(bottom, left), map.at(bottom, right));
            for (i, out) in out[offset..offset + channels].iter_mut().enumerate() {
                let upper = a[i] * (1.0 - across) + b[i] * across;
                let lower = c[i] * (1.0 - across) + d[i] * across;
                *out = upper * (1.0 - down) + lower * down;
            }
        }
    });
}

/// The two positions of `input` around position `at` of `output`, and the share of the second (align_corners false).
fn source(at: usize, output: usize, input: usize) -> (usize, usize, f32) {
    let position = ((at as f32 + 0.5) * (input as f32 / output as f32) - 0.5).max(0.0);
    let first = (position as usize).min(input - 1);
    (first, (first + 1).min(input - 1), position - first as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embed(maps: &[FeatureMap<'_>]) -> Vec<f32> {
        let shapes = maps.iter().map(|m| (m.height, m.width, m.channels)).collect();
        let mut out = Vec::new();
        Embedder::new(shapes, Isa::PORTABLE).unwrap().run(maps, &Pool::new(2).unwrap(), &mut out);
        out
    }

    #[test]
    fn padding_counts_in_the_mean() {
        let map = FeatureMap::dense(3, 3, 1, &[1.0; 9]);
        let expected = [4.0, 6.0, 4.0, 6.0, 9.0, 6.0, 4.0, 6.0, 4.0].map(|n: f32| n / 9.0);
        assert_eq!(embed(&[map]), expected);
    }

    #[test]
    fn the_second_map_is_upsampled_and_follows_the_first() {
        let fine = FeatureMap::dense(1, 4, 1, &[9.0, 0.0, 0.0, 0.0]);
        let coarse = FeatureMap::dense(1, 2, 1, &[9.0, 27.0]);
        // Means: fine 1, 1, 0, 0; coarse 4, 4.
        assert_eq!(embed(&[fine, coarse]), [1.0, 4.0, 1.0, 4.0, 0.0, 4.0, 0.0, 4.0]);
    }
}
