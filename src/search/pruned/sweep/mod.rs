//! One pass over the memory bank for a tile of neighbouring patches.

mod best_so_far;
mod candidates;
mod tiles;

use super::{Pruned, RAISED};
use crate::bytes::set_bits;
use crate::kernels::int8::{self, BLOCK_ROWS, GROUP, STEP};
use crate::search::axes::Projected;
use crate::search::quantized::RoundedQueries;
use crate::search::sketch::{Code, MAX_DIMS, encode, reach, threshold};
use crate::tensor::Neighbor;
pub(super) use best_so_far::BestSoFar;
use std::cmp::Ordering;
pub(super) use tiles::{bytes, k_nearest, nearest};

/// Blocks between two looks at the bounds: a tile of centres.
const CHUNK: usize = BLOCK_ROWS;
/// A threshold that no sum reaches.
const NEVER: i32 = i32::MAX;
/// What one step of a query can multiply a block's radius by.
const MAX_REACH: f64 = 127.0 * STEP as f64;

/// A row of the memory bank that was compared with a query.
#[derive(Clone, Copy, Debug)]
struct Found {
    squared: f32,
    row: u32,
    position: u32,
}

/// What a search looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::search) struct Work {
    /// Blocks whose rows were looked at.
    pub blocks: usize,
    /// MemoryBank whose fine sketches were looked at.
    pub sketches: usize,
    /// MemoryBank whose rounded values were looked at.
    pub rounded: usize,
    /// Rows that were compared.
    pub distances: usize,
}

/// The working memory of one thread.
#[derive(Debug, Default)]
pub(in crate::search) struct Task {
    projected: Projected,
    lifted: Vec<f32>,
    codes: Vec<i16>,
    /// Coarse codes of the group, with a step more for the reach to blocks.
    coarse: int8::Queries,
    fine: RoundedQueries,
    full: RoundedQueries,
    /// Whether a query of the group is among `full`: many are answered without.
    full_known: [bool; GROUP],
    coarse_codes: [Code; GROUP],
    /// Nearest rows of each query of the group, nearest first, at most `k`.
    best: [Vec<Found>; GROUP],
    k: usize,
    /// What the sums of block and row must reach, and whether something nearer was found since that was computed.
    block_limits: [i32; GROUP],
    coarse_limits: [i32; GROUP],
    stale: [bool; GROUP],
    /// Queries of the group that are still looked for.
    open: [bool; GROUP],
    masks: Vec<u32>,
    chosen: Vec<u32>,
    rows: Vec<u32>,
    /// Positions of all queries that the fine sketches leave in doubt, with lower bounds on their distances.
    doubtful: Vec<(f32, u32)>,
    /// The same of one query, by any level.
    near: Vec<(f32, u32)>,
    /// Position of the nearest row of each query of the band.
    winners: Vec<u32>,
    pub(super) work: Work,
}

impl Found {
    fn neighbor(&self) -> Neighbor {
        Neighbor { index: self.row, distance: self.squared.sqrt() }
    }

    fn is_before(&self, other: &Self) -> bool {
        self.squared < other.squared || (self.squared == other.squared && self.row < other.row)
    }
}

impl Task {
    /// Sizes the working memory, so that nothing allocates after the first group.
    fn begin(&mut self, search: &Pruned, k: usize) {
        self.k = k.min(search.rows());
        self.coarse.resize(search.coarse.sketch.dims + STEP);
        self.fine.resize(GROUP, search.fine.dims());
        self.full.resize(GROUP, search.full.dims());
        self.lifted.resize(MAX_DIMS, 0.0);
        self.codes.resize(MAX_DIMS, 0);
        self.masks.resize(GROUP * CHUNK, 0);
        let most = Self::most_rows(search);
        reserve(&mut self.chosen, CHUNK);
        reserve(&mut self.rows, most.max(GROUP * CHUNK * BLOCK_ROWS));
        reserve(&mut self.doubtful, GROUP * CHUNK * BLOCK_ROWS);
        reserve(&mut self.near, most);
        self.best.iter_mut().for_each(|best| reserve(best, self.k + 1));
    }

    /// Rows that are looked at for a query at once: all of a chunk, or one of each block and the winners of the tile so far.
    fn most_rows(search: &Pruned) -> usize {
        (CHUNK * BLOCK_ROWS).max(search.blocks() + GROUP)
    }

    /// Memory of a task after its first group, without the winners of its band.
    fn bytes(search: &Pruned, k: usize) -> usize {
        let coarse = int8::Queries::bytes(search.coarse.sketch.dims + STEP) + MAX_DIMS * size_of::<i16>();
        let rounded = RoundedQueries::bytes(GROUP, search.fine.dims())
            + RoundedQueries::bytes(GROUP, search.full.dims());
        let most = Self::most_rows(search);
        let rows = (CHUNK + most.max(GROUP * CHUNK * BLOCK_ROWS)) * size_of::<u32>();
        let masks = GROUP * CHUNK * size_of::<u32>();
        let doubtful = (GROUP * CHUNK * BLOCK_ROWS + most) * size_of::<(f32, u32)>();
        let best = GROUP * (k.min(search.rows()) + 1) * size_of::<Found>();
        let lists = coarse + rounded + MAX_DIMS * size_of::<f32>() + rows + masks + doubtful + best;
        size_of::<Self>() + lists + search.axes.projected_bytes(GROUP)
    }

    /// Takes up a group of queries.
    fn encode<'a>(&mut self, search: &Pruned, queries: impl ExactSizeIterator<Item = &'a [f32]>) {
        let count = queries.len();
        search.axes.project(queries, &mut self.projected);
        let (coarse, scale, fine) = (search.coarse.sketch, search.coarse.scale, search.fine_sketch);
        for q in 0..count {
            let coordinates = search.axes.coordinates(&self.projected, q);
            let lifted = &mut self.lifted[..coarse.dims];
            let error = coarse.lift(coordinates, search.isa, lifted);
            let codes = &mut self.codes[..coarse.dims];
            self.coarse_codes[q] = encode(lifted, error, scale, search.isa, codes);
            self.coarse.set_all(q, codes);
            let lifted = &mut self.lifted[..fine.dims];
            let error = fine.lift(coordinates, search.isa, lifted);
            self.fine.set(q, lifted, error, search.isa);
        }
        self.full_known = [false; GROUP];
        self.open = std::array::from_fn(|q| q < count);
        self.stale = self.open;
        (self.block_limits, self.coarse_limits) = ([NEVER; GROUP], [NEVER; GROUP]);
        self.best.iter_mut().for_each(Vec::clear);
    }

    /// Adds the rows of the block of `position` to `self.rows`.
    fn add_block(&mut self, search: &Pruned, position: u32) {
        let start = position / BLOCK_ROWS as u32 * BLOCK_ROWS as u32;
        self.rows.extend(start..(start + BLOCK_ROWS as u32).min(search.rows() as u32));
    }

    /// Of `self.rows` the one whose fine sketch is nearest to query `q`.
    fn most_promising(&mut self, search: &Pruned, q: usize) -> u32 {
        self.work.sketches += self.rows.len();
        search.fine.nearest(search.isa, &self.fine, q, &self.rows).unwrap_or(0)
    }

    /// Compares query `q` with the row at `position`.
    fn compare(&mut self, search: &Pruned, q: usize, query: &[f32], position: u32) {
        self.work.distances += 1;
        let row = search.row(position);
        let squared = search.bank.squared(search.isa, query, row as usize);
        // Only a query that is no number gives none; the exhaustive search finds nothing near it either.
        let squared = if squared.is_nan() { f32::INFINITY } else { squared };
        let found = Found { squared, row, position };
        let best = &mut self.best[q];
        if best.len() == self.k && !best.last().is_some_and(|last| found.is_before(last)) {
            return;
        }
        let at = best.partition_point(|other| other.is_before(&found));
        best.insert(at, found);
        best.truncate(self.k);
        self.stale[q] = true;
    }

    /// A distance beyond which no row matters to query `q`.
    fn reach(&self, search: &Pruned, q: usize) -> f64 {
        match self.best[q].get(self.k - 1) {
            Some(last) => reach(last.squared, search.dim),
            None => f64::INFINITY,
        }
    }

    /// Looks at the whole bank, beginning with the chunk of `start`.
    fn sweep(&mut self, search: &Pruned, queries: &[&[f32]], start: u32, floor: Option<&BestSoFar>) {
        let chunks = search.blocks().div_ceil(CHUNK);
        let start = start as usize / BLOCK_ROWS / CHUNK;
        for chunk in (start..chunks).chain(0..start) {
            if let Some(floor) = floor {
                self.abandon(floor.get());
            }
            self.refresh_limits(search);
            self.choose_blocks(search, chunk);
            self.look_into_blocks(search, queries);
        }
        if let Some(floor) = floor {
            let finished = (0..queries.len()).filter(|&q| self.open[q]);
            let farthest = finished.filter_map(|q| self.best[q].first()).map(|found| found.squared.sqrt());
            floor.raise(farthest.fold(0.0, f32::max));
        }
    }

    /// Leaves the queries that are nearer than `floor` to some row.
    fn abandon(&mut self, floor: f32) {
        for q in 0..GROUP {
            if self.best[q].first().is_some_and(|found| found.squared.sqrt() < floor) {
                self.open[q] = false;
                (self.block_limits[q], self.coarse_limits[q]) = (NEVER, NEVER);
            }
        }
    }

    /// Computes the limits of the queries that found something nearer.
    fn refresh_limits(&mut self, search: &Pruned) {
        let scale = f64::from(search.coarse.scale);
        let dims = search.coarse.sketch.dims;
        for q in (0..GROUP).filter(|&q| self.open[q]) {
            if !std::mem::take(&mut self.stale[q]) {
                continue;
            }
            let code = self.coarse_codes[q];
            let distance = self.reach(search, q) + code.error;
            self.coarse_limits[q] = coarse_threshold(code, (distance + search.coarse.error) / scale);
            // A block is in reach if its centre is within this distance and the block's radius together: the square of
            // the sum is the square of both and, by a step of the codes, their product.
            let steps = (distance / scale * (1.0 + 1e-9)).ceil();
            let known = (0.0..=MAX_REACH).contains(&steps);
            self.block_limits[q] = if known { coarse_threshold(code, steps) } else { i32::MIN };
            let mut left = if known { steps as i32 } else { 0 };
            for dim in dims..dims + STEP {
                let part = left.min(127);
                self.coarse.set(q, dim, part as i8);
                left -= part;
            }
        }
    }

    /// Sets `self.chosen` to the blocks of a chunk in which some query may find something.
    fn choose_blocks(&mut self, search: &Pruned, chunk: usize) {
        let mut masks = [0; GROUP];
        let (centers, limits) = (search.centers.blocks(), &self.block_limits);
        int8::mark_near_rows(search.isa, centers, &[chunk as u32], &self.coarse, limits, &mut masks);
        let any = masks.iter().fold(0, |any, mask| any | mask);
        let blocks = set_bits(any).map(|bit| (chunk * CHUNK) as u32 + bit);
        self.chosen.clear();
        self.chosen.extend(blocks.filter(|&block| (block as usize) < search.blocks()));
    }
}

/// By bound, then by position.
fn nearer(a: &(f32, u32), b: &(f32, u32)) -> Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

/// Empties `list` and makes room for `most` in all.
fn reserve<T>(list: &mut Vec<T>, most: usize) {
    list.clear();
    list.reserve_exact(most);
}

/// The threshold for rows whose codes are raised to be unsigned.
fn coarse_threshold(query: Code, distance: f64) -> i32 {
    let raised = query.sum * i64::from(RAISED);
    match threshold(query, distance) {
        i32::MIN => i32::MIN,
        threshold => i32::try_from(i64::from(threshold) + raised).unwrap_or(i32::MIN),
    }
}
