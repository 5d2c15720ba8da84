//! One pass over the memory bank for a group of neighbouring patches: the loop over chunks, and level 1 of
//! the cascade.

mod best_so_far;
mod candidates;
mod tiles;

use super::{Pruned, ZERO_POINT};
use crate::bytes::set_bits;
use crate::kernels::int8::{self, BLOCK_ROWS, GROUP, STEP};
use crate::search::axes::AxisCoordinates;
use crate::search::quantized::QuantizedQueries;
use crate::search::sketch::{MAX_DIMS, SketchParams, min_product, pruning_radius, quantize_sketch};
use crate::tensor::Neighbor;
pub(super) use best_so_far::BestSoFar;
use std::cmp::Ordering;
pub(super) use tiles::{k_nearest, nearest, scratch_bytes};

/// Blocks of a chunk: their centres are one block of codes.
const CHUNK_BLOCKS: usize = BLOCK_ROWS;
/// A threshold that no sum reaches.
const NEVER: i32 = i32::MAX;
/// The largest `T` that the additional codes of a query can hold, see the page of `pruned`.
const MAX_RADIUS_CODE: f64 = 127.0 * STEP as f64;

/// A row of the memory bank that was compared with a query.
#[derive(Clone, Copy, Debug)]
struct ComparedRow {
    squared: f32,
    row: u32,
    position: u32,
}

/// Counts of the work of a search, by level.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::search) struct WorkCounts {
    /// Blocks whose coarse sketches were compared.
    pub blocks: usize,
    /// Rows whose fine sketches were compared.
    pub sketches: usize,
    /// Rows whose quantised values were compared.
    pub full_rows: usize,
    /// Rows whose distances were computed.
    pub distances: usize,
}

/// The working memory of one thread: a group of queries and their passage through the bank.
#[derive(Debug, Default)]
pub(in crate::search) struct Sweep {
    coordinates: AxisCoordinates,
    sketch: Vec<f32>,
    codes: Vec<i16>,
    /// Coarse codes of the group, each followed by the codes of `T`.
    coarse: int8::Queries,
    fine: QuantizedQueries,
    full: QuantizedQueries,
    /// Whether `full` holds a query of the group: many queries need none.
    full_is_set: [bool; GROUP],
    coarse_params: [SketchParams; GROUP],
    /// Nearest rows of each query of the group, nearest first, at most `k`.
    best: [Vec<ComparedRow>; GROUP],
    k: usize,
    /// Thresholds of levels 1 and 2.
    block_limits: [i32; GROUP],
    coarse_limits: [i32; GROUP],
    /// Whether a nearer row was found since the thresholds were computed.
    stale: [bool; GROUP],
    /// Queries of the group whose search goes on.
    open: [bool; GROUP],
    masks: Vec<u32>,
    /// Blocks of the chunk that level 1 keeps for some query.
    blocks: Vec<u32>,
    /// Positions on their way to the next level, of one query after the other.
    positions: Vec<u32>,
    /// Positions that level 3 keeps, with lower bounds, of one query after the other.
    candidates: Vec<(f32, u32)>,
    /// Positions that level 4 keeps, with lower bounds, of one query.
    refined: Vec<(f32, u32)>,
    /// Position of the nearest row of each query of the band.
    nearest_positions: Vec<u32>,
    pub(super) work: WorkCounts,
}

impl ComparedRow {
    fn neighbor(&self) -> Neighbor {
        Neighbor { index: self.row, distance: self.squared.sqrt() }
    }

    fn is_before(&self, other: &Self) -> bool {
        self.squared < other.squared || (self.squared == other.squared && self.row < other.row)
    }
}

impl Sweep {
    /// Sizes the working memory, so that later groups allocate nothing.
    fn prepare(&mut self, search: &Pruned, k: usize) {
        self.k = k.min(search.rows());
        self.coarse.resize(search.coarse.sketch.dims + STEP);
        self.fine.resize(GROUP, search.fine.dims());
        self.full.resize(GROUP, search.full.dims());
        self.sketch.resize(MAX_DIMS, 0.0);
        self.codes.resize(MAX_DIMS, 0);
        self.masks.resize(GROUP * CHUNK_BLOCKS, 0);
        let max = Self::max_positions(search);
        reserve(&mut self.blocks, CHUNK_BLOCKS);
        reserve(&mut self.positions, max.max(GROUP * CHUNK_BLOCKS * BLOCK_ROWS));
        reserve(&mut self.candidates, GROUP * CHUNK_BLOCKS * BLOCK_ROWS);
        reserve(&mut self.refined, max);
        self.best.iter_mut().for_each(|best| reserve(best, self.k + 1));
    }

    /// The most positions of one query: all of a chunk, or one of each block and one of each query of the
    /// group.
    fn max_positions(search: &Pruned) -> usize {
        (CHUNK_BLOCKS * BLOCK_ROWS).max(search.blocks() + GROUP)
    }

    /// Bytes of a sweep after its first group, without `nearest_positions`.
    fn bytes(search: &Pruned, k: usize) -> usize {
        let coarse = int8::Queries::bytes(search.coarse.sketch.dims + STEP) + MAX_DIMS * size_of::<i16>();
        let quantized = QuantizedQueries::bytes(GROUP, search.fine.dims())
            + QuantizedQueries::bytes(GROUP, search.full.dims());
        let max = Self::max_positions(search);
        let rows = (CHUNK_BLOCKS + max.max(GROUP * CHUNK_BLOCKS * BLOCK_ROWS)) * size_of::<u32>();
        let masks = GROUP * CHUNK_BLOCKS * size_of::<u32>();
        let candidates = (GROUP * CHUNK_BLOCKS * BLOCK_ROWS + max) * size_of::<(f32, u32)>();
        let best = GROUP * (k.min(search.rows()) + 1) * size_of::<ComparedRow>();
        let lists = coarse + quantized + MAX_DIMS * size_of::<f32>() + rows + masks + candidates + best;
        size_of::<Self>() + lists + search.axes.projected_bytes(GROUP)
    }

    /// Begins a group of queries: projects and quantises them.
    fn load_queries<'a>(&mut self, search: &Pruned, queries: impl ExactSizeIterator<Item = &'a [f32]>) {
        let count = queries.len();
        search.axes.project(queries, &mut self.coordinates);
        let (coarse, scale, fine) = (search.coarse.sketch, search.coarse.scale, search.fine_sketch);
        for q in 0..count {
            let coordinates = search.axes.coordinates(&self.coordinates, q);
            let sketch = &mut self.sketch[..coarse.dims];
            let error = coarse.project(coordinates, search.isa, sketch);
            let codes = &mut self.codes[..coarse.dims];
            self.coarse_params[q] = quantize_sketch(sketch, error, scale, search.isa, codes);
            self.coarse.set_all(q, codes);
            let sketch = &mut self.sketch[..fine.dims];
            let error = fine.project(coordinates, search.isa, sketch);
            self.fine.set(q, sketch, error, search.isa);
        }
        self.full_is_set = [false; GROUP];
        self.open = std::array::from_fn(|q| q < count);
        self.stale = self.open;
        (self.block_limits, self.coarse_limits) = ([NEVER; GROUP], [NEVER; GROUP]);
        self.best.iter_mut().for_each(Vec::clear);
    }

    /// Adds the rows of the block of `position` to `self.positions`.
    fn add_block(&mut self, search: &Pruned, position: u32) {
        let start = position / BLOCK_ROWS as u32 * BLOCK_ROWS as u32;
        self.positions.extend(start..(start + BLOCK_ROWS as u32).min(search.rows() as u32));
    }

    /// The one of `self.positions` whose fine sketch is nearest to that of query `q`.
    fn find_nearest_sketch(&mut self, search: &Pruned, q: usize) -> u32 {
        self.work.sketches += self.positions.len();
        search.fine.nearest(search.isa, &self.fine, q, &self.positions).unwrap_or(0)
    }

    /// Compares query `q` with the row at `position`.
    fn compare_row(&mut self, search: &Pruned, q: usize, query: &[f32], position: u32) {
        self.work.distances += 1;
        let row = search.row(position);
        let squared = search.bank.squared(search.isa, query, row as usize);
        // Only a NaN query gives NaN; the exhaustive search reports an infinite distance, too.
        let squared = if squared.is_nan() { f32::INFINITY } else { squared };
        let found = ComparedRow { squared, row, position };
        let best = &mut self.best[q];
        if best.len() == self.k && !best.last().is_some_and(|last| found.is_before(last)) {
            return;
        }
        let at = best.partition_point(|other| other.is_before(&found));
        best.insert(at, found);
        best.truncate(self.k);
        self.stale[q] = true;
    }

    /// The distance beyond which no row can be among the `k` nearest to query `q`.
    fn pruning_radius(&self, search: &Pruned, q: usize) -> f64 {
        match self.best[q].get(self.k - 1) {
            Some(last) => pruning_radius(last.squared, search.dim),
            None => f64::INFINITY,
        }
    }

    /// Takes the group through the whole bank, beginning with the chunk of position `start`.
    fn scan_bank(
        &mut self,
        search: &Pruned,
        queries: &[&[f32]],
        start: u32,
        best_so_far: Option<&BestSoFar>,
    ) {
        let chunks = search.blocks().div_ceil(CHUNK_BLOCKS);
        let start = start as usize / BLOCK_ROWS / CHUNK_BLOCKS;
        for chunk in (start..chunks).chain(0..start) {
            if let Some(best_so_far) = best_so_far {
                self.drop_queries_nearer_than(best_so_far.get());
            }
            self.refresh_limits(search);
            self.filter_blocks(search, chunk);
            self.search_blocks(search, queries);
        }
        if let Some(best_so_far) = best_so_far {
            let finished = (0..queries.len()).filter(|&q| self.open[q]);
            let farthest = finished.filter_map(|q| self.best[q].first()).map(|found| found.squared.sqrt());
            best_so_far.raise(farthest.fold(0.0, f32::max));
        }
    }

    /// Ends the search of queries that are nearer than `best_so_far` to some row.
    fn drop_queries_nearer_than(&mut self, best_so_far: f32) {
        for q in 0..GROUP {
            if self.best[q].first().is_some_and(|found| found.squared.sqrt() < best_so_far) {
                self.open[q] = false;
                (self.block_limits[q], self.coarse_limits[q]) = (NEVER, NEVER);
            }
        }
    }

    /// Recomputes the thresholds of queries that found a nearer row.
    fn refresh_limits(&mut self, search: &Pruned) {
        let scale = f64::from(search.coarse.scale);
        let dims = search.coarse.sketch.dims;
        for q in (0..GROUP).filter(|&q| self.open[q]) {
            if !std::mem::take(&mut self.stale[q]) {
                continue;
            }
            let query = self.coarse_params[q];
            let distance = self.pruning_radius(search, q) + query.error;
            self.coarse_limits[q] = coarse_threshold(query, (distance + search.coarse.error) / scale);
            let steps = (distance / scale * (1.0 + 1e-9)).ceil();
            let known = (0.0..=MAX_RADIUS_CODE).contains(&steps);
            self.block_limits[q] = if known { coarse_threshold(query, steps) } else { i32::MIN };
            let mut left = if known { steps as i32 } else { 0 };
            for dim in dims..dims + STEP {
                let part = left.min(127);
                self.coarse.set(q, dim, part as i8);
                left -= part;
            }
        }
    }

    /// Level 1: sets `self.blocks` to the blocks of a chunk that some query needs.
    fn filter_blocks(&mut self, search: &Pruned, chunk: usize) {
        let mut masks = [0; GROUP];
        let (centers, limits) = (search.centers.blocks(), &self.block_limits);
        int8::mark_near_rows(search.isa, centers, &[chunk as u32], &self.coarse, limits, &mut masks);
        let any = masks.iter().fold(0, |any, mask| any | mask);
        let blocks = set_bits(any).map(|bit| (chunk * CHUNK_BLOCKS) as u32 + bit);
        self.blocks.clear();
        self.blocks.extend(blocks.filter(|&block| (block as usize) < search.blocks()));
    }
}

/// Orders by bound, then by position.
fn by_bound(a: &(f32, u32), b: &(f32, u32)) -> Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

/// Empties `list` and makes room for `capacity` items.
fn reserve<T>(list: &mut Vec<T>, capacity: usize) {
    list.clear();
    list.reserve_exact(capacity);
}

/// [`min_product`] for rows whose codes include the zero point.
fn coarse_threshold(query: SketchParams, distance: f64) -> i32 {
    let zero_point_sum = query.code_sum * i64::from(ZERO_POINT);
    match min_product(query, distance) {
        i32::MIN => i32::MIN,
        threshold => i32::try_from(i64::from(threshold) + zero_point_sum).unwrap_or(i32::MIN),
    }
}
