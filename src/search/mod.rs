//! Exact nearest neighbours of patches in the memory bank.
//!
//! [`Index`] is a memory bank with one of three searches: [`Flat`] compares everything, [`Pruned`] excludes
//! most rows by lower bounds on their distances, and `KdTree` (feature `kdtree`) by a k-d tree. `cost_model`
//! selects one when a model is trained.

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

/// Working memory of a search. Reuse it: later searches of the same size allocate nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    distances: Vec<f32>,
    sweeps: Vec<pruned::Sweep>,
}

/// An exact search: finds the rows at the smallest distance, computed from direct differences, ties to the
/// lowest index.
pub trait Search: Send + Sync {
    /// Writes the nearest row of each query to `out`.
    fn nearest(&self, queries: Patches<'_>, scratch: &mut Scratch, pool: &Pool, out: &mut [Neighbor]);

    /// As [`nearest`](Self::nearest), but only for the queries that are farthest from the memory bank. Any
    /// other query may get a row that is not its nearest, at a distance below that of the farthest queries.
    fn farthest(&self, queries: Patches<'_>, scratch: &mut Scratch, pool: &Pool, out: &mut [Neighbor]) {
        self.nearest(queries, scratch, pool, out);
    }

    /// Bytes of the search, without the memory bank and without those in a model file.
    fn bytes(&self) -> usize;

    /// Bytes of the working memory after searches for all patches of a grid of (rows, columns) and for the
    /// `k` rows nearest to one of them, on `threads` threads.
    fn scratch_bytes(&self, grid: (usize, usize), k: usize, threads: usize) -> usize;

    /// Writes the `k` rows nearest to `query`, or all if there are fewer, to `out`, nearest first.
    fn k_nearest(&self, query: &[f32], k: usize, scratch: &mut Scratch, pool: &Pool, out: &mut Vec<Neighbor>);
}
