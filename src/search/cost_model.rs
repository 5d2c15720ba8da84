//! Selects the search for a memory bank: the one with the lowest estimated cost.
//!
//! The estimate counts the work of each search for some of the bank's own rows, and weighs each unit of work
//! with a fixed cost. It uses no clock, so the same bank always gives the same model file.

#[cfg(feature = "kdtree")]
use super::KdTree;
use super::{Flat, Pruned};
use crate::kernels::Isa;
use crate::memory_bank::MemoryBank;
use crate::parallel::Pool;

/// Rows of the bank that are searched for.
const TRIAL_QUERIES: usize = 64;
/// The nearest row to a row of the bank is itself; the second is as far as the nearest to a query would be.
const TRIAL_NEIGHBORS: usize = 2;

/// Estimated cost of a query, in nanoseconds on one core. The costs of a unit of work were measured on one
/// CPU (AVX-512, Zen 4); only their ratios matter, and these are similar on other CPUs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CostEstimate {
    pub flat: f64,
    pub pruned: f64,
    /// Infinite in a build without k-d trees.
    pub kd_tree: f64,
}

/// A distance to the next row of the bank.
fn sequential_distance_ns(dim: usize) -> f64 {
    5.0 + 0.06 * dim as f64
}
/// A distance to a row that is in no cache.
fn random_distance_ns(dim: usize) -> f64 {
    30.0 + 0.25 * dim as f64
}
/// A lower bound from a row's quantised values, a quarter of the bytes, that are in no cache.
fn quantized_bound_ns(dim: usize) -> f64 {
    10.0 + 0.06 * dim as f64
}
/// Projecting a query and quantising its sketches, before any row is compared.
fn projection_ns(dim: usize, axes: usize) -> f64 {
    1000.0 + 0.02 * (dim * axes) as f64
}
/// The coarse sketches of a block.
const BLOCK_NS: f64 = 10.0;
/// A fine sketch. The cost is low because the count is that of a query alone: neighbouring patches, which are
/// searched together, improve each other's bounds and compare fewer.
const SKETCH_NS: f64 = 2.0;

impl CostEstimate {
    fn of_flat(rows: usize, dim: usize) -> f64 {
        rows as f64 * sequential_distance_ns(dim)
    }

    fn of_pruned(search: &Pruned, dim: usize, queries: &[Vec<f32>]) -> f64 {
        let counts = queries.iter().map(|query| search.count_work(query, TRIAL_NEIGHBORS));
        let cost = |work: super::pruned::WorkCounts| {
            work.blocks as f64 * BLOCK_NS
                + work.sketches as f64 * SKETCH_NS
                + work.full_rows as f64 * quantized_bound_ns(dim)
                + work.distances as f64 * random_distance_ns(dim)
        };
        projection_ns(dim, 127) + counts.map(cost).sum::<f64>() / queries.len() as f64
    }
}

/// One of the searches.
#[derive(Clone, Debug)]
pub(super) enum AnySearch {
    Flat(Flat),
    Pruned(Box<Pruned>),
    #[cfg(feature = "kdtree")]
    KdTree(Box<KdTree>),
}

/// The search with the lowest estimated cost, and all estimates.
pub(super) fn select_search(bank: &MemoryBank, isa: Isa, pool: &Pool) -> (AnySearch, CostEstimate) {
    let (rows, dim) = (bank.count(), bank.dim());
    let trials = rows.min(TRIAL_QUERIES);
    let queries: Vec<_> =
        (0..trials).map(|i| bank.get(i * rows / trials, &mut Vec::new()).to_vec()).collect();
    let pruned = Pruned::build(bank.clone(), isa, pool);
    let tree = estimate_kd_tree(bank, &queries, isa, pool);
    let estimate = CostEstimate {
        flat: CostEstimate::of_flat(rows, dim),
        pruned: CostEstimate::of_pruned(&pruned, dim, &queries),
        kd_tree: tree.as_ref().map_or(f64::INFINITY, |tree| tree.1),
    };
    let chosen = match tree {
        Some((tree, cost)) if cost < estimate.flat.min(estimate.pruned) => tree,
        _ if estimate.pruned < estimate.flat => AnySearch::Pruned(Box::new(pruned)),
        _ => AnySearch::Flat(Flat::new(bank.clone(), isa)),
    };
    (chosen, estimate)
}

#[cfg(feature = "kdtree")]
fn estimate_kd_tree(
    bank: &MemoryBank,
    queries: &[Vec<f32>],
    isa: Isa,
    pool: &Pool,
) -> Option<(AnySearch, f64)> {
    /// A row's share of the traversal of the tree: in so many dimensions, most of its boxes are opened.
    const TREE_ROW_NS: f64 = 9.0;
    let tree = KdTree::build(bank.clone(), isa, pool).ok()?;
    let compared: usize = queries.iter().map(|query| tree.count_compared(query, TRIAL_NEIGHBORS)).sum();
    let mean = compared as f64 / queries.len() as f64;
    let dim = bank.dim();
    let cost = projection_ns(dim, 7) + bank.count() as f64 * TREE_ROW_NS + mean * random_distance_ns(dim);
    Some((AnySearch::KdTree(Box::new(tree)), cost))
}

#[cfg(not(feature = "kdtree"))]
fn estimate_kd_tree(_: &MemoryBank, _: &[Vec<f32>], _: Isa, _: &Pool) -> Option<(AnySearch, f64)> {
    None
}
