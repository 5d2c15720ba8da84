//! Patch embeddings: each layer's map averaged over 3x3, upsampled to the first layer's grid, and
//! concatenated.

use crate::error::{Error, Result};
use crate::kernels::{Isa, mean, upsample};
use crate::parallel::Pool;
use crate::tensor::{FeatureMap, Patches};

/// Turns feature maps of fixed shapes into patch embeddings.
#[derive(Clone, Debug)]
pub struct Embedder {
    shapes: Vec<(usize, usize, usize)>,
    isa: Isa,
    pooled: Vec<f32>,
}

impl Embedder {
    /// For maps of `shapes` (height, width, channels), the finest first.
    ///
    /// # Errors
    /// There is no map.
    pub fn new(shapes: Vec<(usize, usize, usize)>, isa: Isa) -> Result<Self> {
        if shapes.is_empty() {
            return Err(Error::argument("feature maps", "none", "at least one"));
        }
        Ok(Self { shapes, isa, pooled: Vec::new() })
    }

    /// Memory of an embedding, in bytes, with its output.
    pub fn bytes(&self) -> usize {
        let (rows, columns, _) = self.shapes[0];
        let dim: usize = self.shapes.iter().map(|shape| shape.2).sum();
        let coarse = self.shapes.iter().filter(|shape| (shape.0, shape.1) != (rows, columns));
        let pooled = coarse.map(|(height, width, channels)| height * width * channels).max().unwrap_or(0);
        (rows * columns * dim + pooled) * size_of::<f32>()
    }

    /// Writes the embeddings of `maps` to `out`: one row for each pixel of the first map, with the channels
    /// of the first layer, then those of the next.
    ///
    /// As in the reference (`generate_embedding`): 3x3 mean over zero padding, then bilinear upsampling with
    /// half-pixel centres, then concatenation.
    ///
    /// # Panics
    /// The maps have other shapes than those given to [`new`](Self::new).
    pub fn embed<'a>(&mut self, maps: &[FeatureMap<'_>], pool: &Pool, out: &'a mut Vec<f32>) -> Patches<'a> {
        assert!(maps.iter().map(|map| (map.height, map.width, map.channels)).eq(self.shapes.iter().copied()));
        let (rows, columns, _) = self.shapes[0];
        let dim = self.shapes.iter().map(|shape| shape.2).sum();
        out.resize(rows * columns * dim, 0.0);
        let mut offset = 0;
        for map in maps {
            if (map.height, map.width) == (rows, columns) {
                mean::mean_3x3(self.isa, map, pool, out, (offset, dim));
            } else {
                self.pooled.resize(map.height * map.width * map.channels, 0.0);
                mean::mean_3x3(self.isa, map, pool, &mut self.pooled, (0, map.channels));
                let pooled = FeatureMap::dense(map.height, map.width, map.channels, &self.pooled);
                upsample::upsample_bilinear(self.isa, &pooled, (rows, columns), pool, out, (offset, dim));
            }
            offset += map.channels;
        }
        Patches { dim, grid_width: columns, data: out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embed(maps: &[FeatureMap<'_>]) -> Vec<f32> {
        let shapes = maps.iter().map(|m| (m.height, m.width, m.channels)).collect();
        let mut out = Vec::new();
        Embedder::new(shapes, Isa::PORTABLE).unwrap().embed(maps, &Pool::new(2).unwrap(), &mut out);
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
