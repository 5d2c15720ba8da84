//! Exact nearest neighbours of patches in the memory bank.

mod axes;
mod cost_model;
mod flat;
mod index;
#[cfg(feature = "kdtree")]
mod kdtree;
mod pruned;
mod quantized;
mod sketch;

#[cfg(test)]
mod tests;

pub use flat::Flat;
pub use index::{Index, SearchKind};
#[cfg(feature = "kdtree")]
pub use kdtree::KdTree;
pub use pruned::Pruned;

use crate::parallel::Pool;
use crate::tensor::{Neighbor, Patches};

/// Working memory of a search; keep it, and a warm search allocates nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    distances: Vec<f32>,
    tasks: Vec<pruned::Task>,
}

/// An exact search: the true nearest rows by direct-difference distance, ties to the lowest index.
pub trait Search: Send + Sync {
    /// Writes the nearest row of each query to `out`.
    fn nearest(&self, queries: Patches<'_>, scratch: &mut Scratch, pool: &Pool, out: &mut [Neighbor]);

    /// As [`nearest`](Self::nearest) for the patches that are farthest from the memory bank. Any other may get another row
    /// than its nearest, at a distance below the farthest patches'.
    fn farthest(&self, queries: Patches<'_>, scratch: &mut Scratch, pool: &Pool, out: &mut [Neighbor]) {
        self.nearest(queries, scratch, pool, out);
    }

    /// Bytes that the search itself takes, beside the memory bank and what lies in a model file.
    fn bytes(&self) -> usize;

    /// Bytes that the working memory takes, after searches for all patches of a grid of (rows, columns) and for the `k` rows
    /// nearest to one, on `threads` threads.
    fn scratch_bytes(&self, grid: (usize, usize), k: usize, threads: usize) -> usize;

    /// Writes the `k` rows nearest to `query` (or all, where there are fewer) to `out`, nearest first.
    fn k_nearest(&self, query: &[f32], k: usize, scratch: &mut Scratch, pool: &Pool, out: &mut Vec<Neighbor>);
}
