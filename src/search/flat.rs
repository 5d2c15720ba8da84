//! Exhaustive search: the fallback for every bank, and the oracle of the other searches.

use super::{Scratch, Search};
use crate::kernels::Isa;
use crate::memory_bank::MemoryBank;
use crate::parallel::Pool;
use crate::tensor::{Neighbor, Patches};

/// Queries that go through the memory bank together, so that each row is read once for all of them.
const QUERIES_PER_PASS: usize = 32;
/// Rows that a task compares with a single query.
const ROWS_PER_TASK: usize = 1024;

/// Compares every query with every row.
#[derive(Clone, Debug)]
pub struct Flat {
    bank: MemoryBank,
    isa: Isa,
}

impl Flat {
    /// A search over `bank`.
    pub fn new(bank: MemoryBank, isa: Isa) -> Self {
        Self { bank, isa }
    }
}

impl Search for Flat {
    fn nearest(&self, queries: Patches<'_>, _: &mut Scratch, pool: &Pool, out: &mut [Neighbor]) {
        pool.for_each_chunk(out, QUERIES_PER_PASS, |pass, out| {
            out.fill(Neighbor { index: 0, distance: f32::INFINITY });
            for (index, row) in (0..).zip(0..self.bank.count()) {
                for (q, best) in out.iter_mut().enumerate() {
                    let squared = self.bank.squared(self.isa, queries.row(pass * QUERIES_PER_PASS + q), row);
                    if squared < best.distance {
                        *best = Neighbor { index, distance: squared };
                    }
                }
            }
            out.iter_mut().for_each(|best| best.distance = best.distance.sqrt());
        });
    }

    fn k_nearest(
        &self,
        query: &[f32],
        k: usize,
        scratch: &mut Scratch,
        pool: &Pool,
        out: &mut Vec<Neighbor>,
    ) {
        scratch.distances.resize(self.bank.count(), 0.0);
        pool.for_each_chunk(&mut scratch.distances, ROWS_PER_TASK, |chunk, distances| {
            for (row, out) in (chunk * ROWS_PER_TASK..).zip(distances) {
                *out = self.bank.squared(self.isa, query, row);
            }
        });
        out.clear();
        for (index, &distance) in (0..).zip(&scratch.distances) {
            insert_nearest(out, k, Neighbor { index, distance });
        }
        out.iter_mut().for_each(|n| n.distance = n.distance.sqrt());
    }

    fn bytes(&self) -> usize {
        0
    }

    fn scratch_bytes(&self, _: (usize, usize), k: usize, _: usize) -> usize {
        if k > 1 { self.bank.count() * size_of::<f32>() } else { 0 }
    }
}

/// Inserts `near` into `best`, the `k` nearest so far, in ascending order, ties to the lowest index.
pub(super) fn insert_nearest(best: &mut Vec<Neighbor>, k: usize, mut near: Neighbor) {
    if near.distance.is_nan() {
        near.distance = f32::INFINITY;
    }
    let is_before = |a: &Neighbor, b: &Neighbor| (a.distance, a.index) < (b.distance, b.index);
    if best.len() == k && !best.last().is_some_and(|last| is_before(&near, last)) {
        return;
    }
    let at = best.partition_point(|other| is_before(other, &near));
    best.insert(at, near);
    best.truncate(k);
}
