//! Levels 2 to 4 of the cascade: from blocks to the rows that are compared.

use super::{Sweep, by_bound};
use crate::bytes::set_bits;
use crate::kernels::int8::{self, BLOCK_ROWS, GROUP};
use crate::search::pruned::Pruned;
use crate::search::sketch::centring_error;
use std::ops::Range;

/// Rows of a query that are fetched into the cache before they are compared.
const FETCHED: usize = 2;

impl Sweep {
    /// Takes the rows of `self.blocks` through the levels.
    pub(super) fn search_blocks(&mut self, search: &Pruned, queries: &[&[f32]]) {
        let count = self.blocks.len();
        if count == 0 {
            return;
        }
        self.work.blocks += count;
        let (blocks, limits) = (search.coarse.rows.blocks(), &self.coarse_limits);
        let masks = &mut self.masks[..GROUP * count];
        int8::mark_near_rows(search.isa, blocks, &self.blocks, &self.coarse, limits, masks);
        self.positions.clear();
        let mut ends = [0; GROUP];
        for (q, end) in ends[..queries.len()].iter_mut().enumerate() {
            self.collect_marked_rows(search, q);
            *end = self.positions.len();
        }
        // Level by level for all queries, so that what one level prefetches has arrived when the next needs
        // it.
        self.candidates.clear();
        let mut start = 0;
        for (q, end) in ends[..queries.len()].iter_mut().enumerate() {
            self.filter_by_fine_sketch(search, q, start..*end);
            (start, *end) = (*end, self.candidates.len());
        }
        start = 0;
        for (q, query) in queries.iter().enumerate() {
            self.refine(search, q, query, start..ends[q]);
            start = ends[q];
        }
    }

    /// Level 2: adds the rows that the masks of query `q` mark to `self.positions`.
    fn collect_marked_rows(&mut self, search: &Pruned, q: usize) {
        let (count, rows) = (self.blocks.len(), search.rows() as u32);
        for (&block, &mask) in self.blocks.iter().zip(&self.masks[q * count..][..count]) {
            for row in set_bits(mask).map(|bit| block * BLOCK_ROWS as u32 + bit).filter(|&row| row < rows) {
                search.fine.prefetch(row);
                self.positions.push(row);
            }
        }
    }

    /// Level 3: adds those of a range of `self.positions` to `self.candidates` whose fine sketches may be
    /// near enough. The `k` most promising come first.
    fn filter_by_fine_sketch(&mut self, search: &Pruned, q: usize, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let (distance, start) = (self.pruning_radius(search, q), self.candidates.len());
        self.work.sketches += range.len();
        let rows = &self.positions[range];
        search.fine.rows_within(search.isa, &self.fine, q, distance, rows, &mut self.candidates);
        let found = &mut self.candidates[start..];
        if found.len() > self.k {
            found.select_nth_unstable_by(self.k - 1, by_bound);
        }
        let first = found.iter().take(self.k.min(FETCHED));
        first.for_each(|&(_, position)| search.bank.prefetch(search.row(position) as usize));
    }

    /// Compares the `k` most promising of a range of `self.candidates` with query `q`, and takes the others
    /// to level 4.
    fn refine(&mut self, search: &Pruned, q: usize, query: &[f32], range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let rest = (range.start + self.k).min(range.end);
        for i in range.start..rest {
            self.compare_row(search, q, query, self.candidates[i].1);
        }
        let distance = self.pruning_radius(search, q);
        let limit = self.fine.limit(q, distance);
        self.positions.clear();
        for &(bound, position) in &self.candidates[rest..range.end] {
            if bound <= limit {
                search.full.prefetch(position);
                self.positions.push(position);
            }
        }
        if !self.positions.is_empty() {
            self.refine_by_full_rows(search, q, query, distance);
        }
    }

    /// Level 4: compares those of `self.positions` whose quantised values may be within `distance` of query
    /// `q`, in the order of their bounds.
    fn refine_by_full_rows(&mut self, search: &Pruned, q: usize, query: &[f32], distance: f64) {
        if !std::mem::replace(&mut self.full_is_set[q], true) {
            let (centred, squared) = self.coordinates.centred(q);
            self.full.set(q, centred, centring_error(squared, search.dim), search.isa);
        }
        self.work.full_rows += self.positions.len();
        self.refined.clear();
        search.full.rows_within(search.isa, &self.full, q, distance, &self.positions, &mut self.refined);
        self.refined.sort_unstable_by(by_bound);
        for i in 0..self.refined.len() {
            // The bounds ascend, so the rest is too far as well.
            if self.refined[i].0 > self.full.limit(q, self.pruning_radius(search, q)) {
                break;
            }
            self.compare_row(search, q, query, self.refined[i].1);
        }
    }
}
