//! Which patches go through the memory bank together: bands of the grid for the threads, tiles of neighbours within them.

use super::{BestSoFar, Found, Task};
use crate::kernels::int8::{BLOCK_ROWS, GROUP};
use crate::parallel::Pool;
use crate::search::pruned::Pruned;
use crate::tensor::{Neighbor, Patches};

/// The patches that go through the bank together: a rectangle of the grid of patches.
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

    /// Patches of a band, of which there are a few a thread: each begins without neighbours to learn from.
    fn band(&self, threads: usize) -> usize {
        let rows = self.height.div_ceil(self.tile.0).div_ceil(2 * threads) * self.tile.0;
        (rows * self.width).max(1)
    }
}

/// Patches that are searched for one tile after the other.
#[derive(Clone, Copy)]
struct Band<'a> {
    search: &'a Pruned,
    queries: Patches<'a>,
    tiling: Tiling,
    floor: Option<&'a BestSoFar>,
}

/// Writes the nearest row of each query to `out`. With a `floor`, only that of the patches that are farthest from the bank; the
/// others' distances may then be too large, though not as large.
pub(in crate::search::pruned) fn nearest(
    search: &Pruned,
    queries: Patches<'_>,
    floor: Option<&BestSoFar>,
    tasks: &mut Vec<Task>,
    pool: &Pool,
    out: &mut [Neighbor],
) {
    let tiling = Tiling::new(out.len(), queries.grid_width);
    let band = tiling.band(pool.threads());
    let bands = out.len().div_ceil(band);
    if tasks.len() < bands {
        tasks.resize_with(bands, Task::default);
    }
    pool.for_each_chunk_pair((out, band), (&mut tasks[..bands], 1), |i, out, task| {
        let dim = queries.dim;
        let data = &queries.data[i * band * dim..][..out.len() * dim];
        task[0].band(Band { search, queries: Patches { data, ..queries }, tiling, floor }, out);
    });
}

/// Writes the `k` rows nearest to `query` to `out`.
pub(in crate::search::pruned) fn k_nearest(
    search: &Pruned,
    query: &[f32],
    k: usize,
    tasks: &mut Vec<Task>,
    out: &mut Vec<Neighbor>,
) {
    out.clear();
    if k == 0 {
        return;
    }
    if tasks.is_empty() {
        tasks.push(Task::default());
    }
    let task = &mut tasks[0];
    task.begin(search, k);
    task.rows.clear();
    task.encode(search, [query].into_iter());
    task.rows.extend((0..search.blocks() as u32).map(|block| block * BLOCK_ROWS as u32));
    let start = task.most_promising(search, 0);
    task.sweep(search, &[query], start, None);
    out.extend(task.best[0].iter().map(Found::neighbor));
}

/// Bytes that searches for all patches of a grid, and for the `k` rows nearest to one, take on `threads` threads.
pub(in crate::search::pruned) fn bytes(
    search: &Pruned,
    grid: (usize, usize),
    k: usize,
    threads: usize,
) -> usize {
    let patches = grid.0 * grid.1;
    let bands = patches.div_ceil(Tiling::new(patches, grid.1).band(threads));
    bands * Task::bytes(search, k) + patches * size_of::<u32>()
}

impl Task {
    /// Searches for the queries of a band of the grid, tile by tile.
    fn band(&mut self, band: Band<'_>, out: &mut [Neighbor]) {
        let Tiling { width, tile: (tall, wide), .. } = band.tiling;
        self.begin(band.search, 1);
        self.winners.resize(out.len(), 0);
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
                self.tile(band, &indices[..count], (top, left), out);
            }
        }
    }

    /// Searches for the queries `indices` of a band, whose first one is in row `top` and column `left`.
    fn tile(&mut self, band: Band<'_>, indices: &[usize], (top, left): (usize, usize), out: &mut [Neighbor]) {
        let Band { search, queries, tiling: Tiling { width, .. }, floor } = band;
        let [first, ..] = *indices else { return };
        let mut rows = [queries.row(first); GROUP];
        rows.iter_mut().zip(indices).for_each(|(row, &index)| *row = queries.row(index));
        let rows = &rows[..indices.len()];
        self.encode(search, rows.iter().copied());
        for (q, &index) in indices.iter().enumerate() {
            self.rows.clear();
            if top > 0 {
                self.add_block(search, self.winners[(top - 1) * width + index % width]);
            }
            if left > 0 {
                self.add_block(search, self.winners[index / width * width + left - 1]);
            }
            if top == 0 && left == 0 {
                self.rows.extend((0..search.blocks() as u32).map(|block| block * BLOCK_ROWS as u32));
            }
            for best in &self.best[..q] {
                self.rows.extend(best.first().map(|f| f.position));
            }
            let nearest = self.most_promising(search, q);
            self.compare(search, q, rows[q], nearest);
        }
        let start = self.best[0].first().map_or(0, |found| found.position);
        self.sweep(search, rows, start, floor);
        for (q, &index) in indices.iter().enumerate() {
            if let Some(found) = self.best[q].first() {
                self.winners[index] = found.position;
                out[index] = found.neighbor();
            }
        }
    }
}
