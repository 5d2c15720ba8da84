//! From the blocks that may hold something to the rows that are compared, by one bound after the other.

use super::{Task, nearer};
use crate::bytes::set_bits;
use crate::kernels::int8::{self, BLOCK_ROWS, GROUP};
use crate::search::pruned::Pruned;
use crate::search::sketch::centring;
use std::ops::Range;

/// Rows of a query that are brought near before they are compared.
const FETCHED: usize = 2;

impl Task {
    /// Compares the rows of the chosen blocks with the queries, as far as the sketches leave a doubt.
    pub(super) fn look_into_blocks(&mut self, search: &Pruned, queries: &[&[f32]]) {
        let count = self.chosen.len();
        if count == 0 {
            return;
        }
        self.work.blocks += count;
        let (blocks, limits) = (search.coarse.rows.blocks(), &self.coarse_limits);
        let masks = &mut self.masks[..GROUP * count];
        int8::mark_near_rows(search.isa, blocks, &self.chosen, &self.coarse, limits, masks);
        self.rows.clear();
        let mut ends = [0; GROUP];
        for (q, end) in ends[..queries.len()].iter_mut().enumerate() {
            self.add_marked(search, q);
            *end = self.rows.len();
        }
        // Each step only when what the last asked to be fetched for all queries is on its way.
        self.doubtful.clear();
        let mut start = 0;
        for (q, end) in ends[..queries.len()].iter_mut().enumerate() {
            self.find_doubtful(search, q, start..*end);
            (start, *end) = (*end, self.doubtful.len());
        }
        start = 0;
        for (q, query) in queries.iter().enumerate() {
            self.resolve(search, q, query, start..ends[q]);
            start = ends[q];
        }
    }

    /// Adds the rows of the chosen blocks that the masks of query `q` mark to `self.rows`.
    fn add_marked(&mut self, search: &Pruned, q: usize) {
        let (count, rows) = (self.chosen.len(), search.rows() as u32);
        for (&block, &mask) in self.chosen.iter().zip(&self.masks[q * count..][..count]) {
            for row in set_bits(mask).map(|bit| block * BLOCK_ROWS as u32 + bit).filter(|&row| row < rows) {
                search.fine.prefetch(row);
                self.rows.push(row);
            }
        }
    }

    /// Adds those of a range of `self.rows` to `self.doubtful` that the fine sketch leaves in doubt, the `k` most promising
    /// first.
    fn find_doubtful(&mut self, search: &Pruned, q: usize, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let (distance, start) = (self.reach(search, q), self.doubtful.len());
        self.work.sketches += range.len();
        let rows = &self.rows[range];
        search.fine.within(search.isa, &self.fine, q, distance, rows, &mut self.doubtful);
        let found = &mut self.doubtful[start..];
        if found.len() > self.k {
            found.select_nth_unstable_by(self.k - 1, nearer);
        }
        let first = found.iter().take(self.k.min(FETCHED));
        first.for_each(|&(_, position)| search.bank.prefetch(search.row(position) as usize));
    }

    /// Compares those of a range of `self.doubtful` with query `q` that may be nearer than what was found meanwhile.
    fn resolve(&mut self, search: &Pruned, q: usize, query: &[f32], range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let rest = (range.start + self.k).min(range.end);
        for i in range.start..rest {
            self.compare(search, q, query, self.doubtful[i].1);
        }
        let distance = self.reach(search, q);
        let limit = self.fine.limit(q, distance);
        self.rows.clear();
        for &(bound, position) in &self.doubtful[rest..range.end] {
            if bound <= limit {
                search.full.prefetch(position);
                self.rows.push(position);
            }
        }
        if !self.rows.is_empty() {
            self.compare_rounded(search, q, query, distance);
        }
    }

    /// Compares those of `self.rows` with query `q` whose rounded values can be within `distance`, the most promising first.
    fn compare_rounded(&mut self, search: &Pruned, q: usize, query: &[f32], distance: f64) {
        if !std::mem::replace(&mut self.full_known[q], true) {
            let (centred, squared) = self.projected.centred(q);
            self.full.set(q, centred, centring(squared, search.dim), search.isa);
        }
        self.work.rounded += self.rows.len();
        self.near.clear();
        search.full.within(search.isa, &self.full, q, distance, &self.rows, &mut self.near);
        self.near.sort_unstable_by(nearer);
        for i in 0..self.near.len() {
            // Beyond, nothing is in reach either.
            if self.near[i].0 > self.full.limit(q, self.reach(search, q)) {
                break;
            }
            self.compare(search, q, query, self.near[i].1);
        }
    }
}
