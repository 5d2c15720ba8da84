//! Exact nearest neighbours of patches in the memory bank.

mod flat;
mod index;

pub use flat::Flat;
pub use index::{Index, SearchKind};

use crate::kernels::Pool;
use crate::tensor::{Neighbor, Patches};

/// Working memory of a search; keep it, and a warm search allocates nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) distances: Vec<f32>,
}

/// An exact search: the true nearest rows by direct-difference distance, ties to the lowest index.
pub trait Search: Send + Sync {
    /// Writes the nearest row of each query to `out`.
    fn nearest(&self, queries: Patches<'_>, scratch: &mut Scratch, pool: &Pool, out: &mut [Neighbor]);

    /// Writes the `k` rows nearest to `query` (or all, where there are fewer) to `out`, nearest first.
    fn k_nearest(&self, query: &[f32], k: usize, scratch: &mut Scratch, pool: &Pool, out: &mut Vec<Neighbor>);
}
