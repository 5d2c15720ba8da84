//! Which search suits a memory bank: decided by counts of work on some of its own rows, never by a clock, so that the
//! same bank always gives the same file.

#[cfg(feature = "kdtree")]
use super::KdTree;
use super::{Flat, Pruned};
use crate::kernels::Isa;
use crate::memory_bank::MemoryBank;
use crate::parallel::Pool;

/// Rows that are tried as queries.
const TRIALS: usize = 64;
/// Their nearest is the row itself; the next one is as far as a query's nearest would be.
const NEIGHBORS: usize = 2;

/// Estimated nanoseconds a query on one core, from the work counted. The costs of a unit of work were measured once (AVX-512,
/// Zen 4); only their ratios matter, and those are alike elsewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub flat: f64,
    pub pruned: f64,
    /// Infinite where this build has no k-d trees.
    pub kd_tree: f64,
}

/// A distance to the next row of the bank, and to one that is not in any cache.
fn in_order(dim: usize) -> f64 {
    5.0 + 0.06 * dim as f64
}
fn out_of_order(dim: usize) -> f64 {
    30.0 + 0.25 * dim as f64
}
/// Such a distance to a row's rounded values: a quarter of the bytes.
fn rounded(dim: usize) -> f64 {
    10.0 + 0.06 * dim as f64
}
/// What a query costs before it meets a row: its coordinates along 127 axes, or along 7.
fn along_axes(dim: usize, axes: usize) -> f64 {
    1000.0 + 0.02 * (dim * axes) as f64
}
const BLOCK: f64 = 10.0;
/// Little, because the count is that of a query alone: neighbouring patches, which are searched together, lend each other
/// bounds that leave fewer.
const SKETCH: f64 = 2.0;

impl Estimate {
    fn of_flat(rows: usize, dim: usize) -> f64 {
        rows as f64 * in_order(dim)
    }

    fn of_pruned(search: &Pruned, dim: usize, queries: &[Vec<f32>]) -> f64 {
        let counts = queries.iter().map(|query| search.work(query, NEIGHBORS));
        let cost = |work: super::pruned::Work| {
            work.blocks as f64 * BLOCK
                + work.sketches as f64 * SKETCH
                + work.rounded as f64 * rounded(dim)
                + work.distances as f64 * out_of_order(dim)
        };
        along_axes(dim, 127) + counts.map(cost).sum::<f64>() / queries.len() as f64
    }
}

/// A search that was chosen.
#[derive(Clone, Debug)]
pub(super) enum Chosen {
    Flat(Flat),
    Pruned(Box<Pruned>),
    #[cfg(feature = "kdtree")]
    KdTree(Box<KdTree>),
}

/// The search with the least estimated cost, and all estimates.
pub(super) fn choose(bank: &MemoryBank, isa: Isa, pool: &Pool) -> (Chosen, Estimate) {
    let (rows, dim) = (bank.count(), bank.dim());
    let trials = rows.min(TRIALS);
    let queries: Vec<_> =
        (0..trials).map(|i| bank.get(i * rows / trials, &mut Vec::new()).to_vec()).collect();
    let pruned = Pruned::build(bank.clone(), isa, pool);
    let tree = try_kd_tree(bank, &queries, isa, pool);
    let estimate = Estimate {
        flat: Estimate::of_flat(rows, dim),
        pruned: Estimate::of_pruned(&pruned, dim, &queries),
        kd_tree: tree.as_ref().map_or(f64::INFINITY, |tree| tree.1),
    };
    let chosen = match tree {
        Some((tree, cost)) if cost < estimate.flat.min(estimate.pruned) => tree,
        _ if estimate.pruned < estimate.flat => Chosen::Pruned(Box::new(pruned)),
        _ => Chosen::Flat(Flat::new(bank.clone(), isa)),
    };
    (chosen, estimate)
}

#[cfg(feature = "kdtree")]
fn try_kd_tree(bank: &MemoryBank, queries: &[Vec<f32>], isa: Isa, pool: &Pool) -> Option<(Chosen, f64)> {
    /// A row's share of the walk through the tree, most of whose boxes are opened in so many dimensions.
    const ROW: f64 = 9.0;
    let tree = KdTree::build(bank.clone(), isa, pool).ok()?;
    let compared: usize = queries.iter().map(|query| tree.work(query, NEIGHBORS)).sum();
    let mean = compared as f64 / queries.len() as f64;
    let dim = bank.dim();
    let cost = along_axes(dim, 7) + bank.count() as f64 * ROW + mean * out_of_order(dim);
    Some((Chosen::KdTree(Box::new(tree)), cost))
}

#[cfg(not(feature = "kdtree"))]
fn try_kd_tree(_: &MemoryBank, _: &[Vec<f32>], _: Isa, _: &Pool) -> Option<(Chosen, f64)> {
    None
}
