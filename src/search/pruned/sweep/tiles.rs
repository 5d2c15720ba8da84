//! Which patches go through the memory bank together: bands of the grid for threads, and tiles of neighbours
//! within a band.

use super::{BestSoFar, ComparedRow, Sweep};
use crate::kernels::int8::{BLOCK_ROWS, GROUP};
use crate::parallel::Pool;
use crate::search::pruned::Pruned;
use crate::tensor::{Neighbor, Patches};

/// How the grid of patches is divided into tiles, rectangles of at most `GROUP` patches.
#[derive(Clone, Copy)]
struct Tiling {
    width: usize,
    height: usize,
    tile: (usize, usize),
}

impl Tiling {
    fn new(rows: usize, width: usize) -> Self {
        let width = width.clamp(1, rows.max(1));
        let height = rows.div_ceil(width);
        let tall = height.clamp(1, 4);
        Self { width, height, tile: (tall, GROUP / tall) }
    }

    /// Patches of a band. There are few bands a thread, because each begins without neighbours to learn from.
    fn band(&self, threads: usize) -> usize {
        let rows = self.height.div_ceil(self.tile.0).div_ceil(2 * threads) * self.tile.0;
        (rows * self.width).max(1)
    }
}

/// Patches that one thread searches for, tile by tile.
#[derive(Clone, Copy)]
struct Band<'a> {
    search: &'a Pruned,
    queries: Patches<'a>,
    tiling: Tiling,
    best_so_far: Option<&'a BestSoFar>,
}

/// Writes the nearest row of each query to `out`. With `best_so_far`, only the queries farthest from the bank
/// get their nearest row; any other may get a row that is farther than its nearest, but nearer than the
/// farthest queries' nearest.
pub(in crate::search::pruned) fn nearest(
    search: &Pruned,
    queries: Patches<'_>,
    best_so_far: Option<&BestSoFar>,
    sweeps: &mut Vec<Sweep>,
    pool: &Pool,
    out: &mut [Neighbor],
) {
    let tiling = Tiling::new(out.len(), queries.grid_width);
    let band = tiling.band(pool.threads());
    let bands = out.len().div_ceil(band);
    if sweeps.len() < bands {
        sweeps.resize_with(bands, Sweep::default);
    }
    pool.for_each_chunk_pair((out, band), (&mut sweeps[..bands], 1), |i, out, sweep| {
        let dim = queries.dim;
        let data = &queries.data[i * band * dim..][..out.len() * dim];
        sweep[0].search_band(Band { search, queries: Patches { data, ..queries }, tiling, best_so_far }, out);
    });
}

/// Writes the `k` rows nearest to `query` to `out`.
pub(in crate::search::pruned) fn k_nearest(
    search: &Pruned,
    query: &[f32],
    k: usize,
    sweeps: &mut Vec<Sweep>,
    out: &mut Vec<Neighbor>,
) {
    out.clear();
    if k == 0 {
        return;
    }
    if sweeps.is_empty() {
        sweeps.push(Sweep::default());
    }
    let sweep = &mut sweeps[0];
    sweep.prepare(search, k);
    sweep.positions.clear();
    sweep.load_queries(search, [query].into_iter());
    sweep.positions.extend((0..search.blocks() as u32).map(|block| block * BLOCK_ROWS as u32));
    let start = sweep.find_nearest_sketch(search, 0);
    sweep.scan_bank(search, &[query], start, None);
    out.extend(sweep.best[0].iter().map(ComparedRow::neighbor));
}

/// Bytes that searches for all patches of a grid, and for the `k` rows nearest to one of them, take on
/// `threads` threads.
pub(in crate::search::pruned) fn scratch_bytes(
    search: &Pruned,
    grid: (usize, usize),
    k: usize,
    threads: usize,
) -> usize {
    let patches = grid.0 * grid.1;
    let bands = patches.div_ceil(Tiling::new(patches, grid.1).band(threads));
    bands * Sweep::bytes(search, k) + patches * size_of::<u32>()
}

impl Sweep {
    /// Searches for the queries of a band of the grid, tile by tile.
    fn search_band(&mut self, band: Band<'_>, out: &mut [Neighbor]) {
        let Tiling { width, tile: (tall, wide), .. } = band.tiling;
        self.prepare(band.search, 1);
        self.nearest_positions.resize(out.len(), 0);
        for top in (0..out.len().div_ceil(width)).step_by(tall) {
            for left in (0..width).step_by(wide) {
                let mut indices = [0; GROUP];
                let mut count = 0;
                for at in (top..top + tall)
                    .flat_map(|y| (left..(left + wide).min(width)).map(move |x| y * width + x))
                {
                    if at < out.len() {
                        indices[count] = at;
                        count += 1;
                    }
                }
                self.search_tile(band, &indices[..count], (top, left), out);
            }
        }
    }

    /// Searches for the queries `indices` of a band, the first of which is in row `top` and column `left`.
    fn search_tile(
        &mut self,
        band: Band<'_>,
        indices: &[usize],
        (top, left): (usize, usize),
        out: &mut [Neighbor],
    ) {
        let Band { search, queries, tiling: Tiling { width, .. }, best_so_far } = band;
        let [first, ..] = *indices else { return };
        let mut rows = [queries.row(first); GROUP];
        rows.iter_mut().zip(indices).for_each(|(row, &index)| *row = queries.row(index));
        let rows = &rows[..indices.len()];
        self.load_queries(search, rows.iter().copied());
        for (q, &index) in indices.iter().enumerate() {
            self.positions.clear();
            if top > 0 {
                self.add_block(search, self.nearest_positions[(top - 1) * width + index % width]);
            }
            if left > 0 {
                self.add_block(search, self.nearest_positions[index / width * width + left - 1]);
            }
            if top == 0 && left == 0 {
                self.positions.extend((0..search.blocks() as u32).map(|block| block * BLOCK_ROWS as u32));
            }
            for best in &self.best[..q] {
                self.positions.extend(best.first().map(|f| f.position));
            }
            let nearest = self.find_nearest_sketch(search, q);
            self.compare_row(search, q, rows[q], nearest);
        }
        let start = self.best[0].first().map_or(0, |found| found.position);
        self.scan_bank(search, rows, start, best_so_far);
        for (q, &index) in indices.iter().enumerate() {
            if let Some(found) = self.best[q].first() {
                self.nearest_positions[index] = found.position;
                out[index] = found.neighbor();
            }
        }
    }
}
