//! Greedy k-center that compares a row with new centres only when its distance may be the largest.
//!
//! The plain loop (the oracle, `naive.rs`) updates the distance of every row for every new centre. This one
//! keeps, for each row `r`, `nearest[r]`: its squared distance to the nearest of the centres it has *seen*.
//!
//! ```text
//! while centres are missing:
//!     level      = a distance that about `candidates` rows exceed
//!     candidates = rows with nearest > level
//!     refresh: compare each candidate with the centres it has not seen, until nearest <= level
//!     pick:    while some candidate has nearest > level
//!                  choose the candidate with the largest nearest, ties to the lowest index
//!                  compare the other candidates with it
//! ```
//!
//! # Why a stale bound is safe
//!
//! Invariant: `nearest[r] >= D(r)`, the distance of `r` to the nearest of all centres, because `D(r)` is a
//! minimum over more centres, and a minimum never rises. `pick` chooses a candidate `c` that has seen all
//! centres, so `nearest[c] = D(c)`. Every row that is not a candidate has `D(r) <= nearest[r] <= level <
//! D(c)`, and every other candidate is up to date and has `D(r) <= D(c)`. So `c` is the row that the plain
//! loop chooses, including ties: they can only be among candidates.
//!
//! # How a candidate is compared
//!
//! A distance is computed only if a lower bound from the leading principal components (`leading.rs`) does not
//! prove that it is at least `nearest`. `refresh` evaluates the bounds of many candidates and centres as a
//! matrix product.
//!
//! The method is that of lazy evaluation for greedy algorithms (Minoux, "Accelerated greedy algorithms for
//! maximizing submodular set functions", 1978), applied to farthest-first traversal (Gonzalez, "Clustering to
//! minimize the maximum intercluster distance", 1985).

use super::leading::Leading;
use crate::bytes::set_bits;
use crate::error::{Error, Result};
use crate::kernels::screen::{self, CenterPanels};
use crate::kernels::{Isa, distance};
use crate::parallel::Pool;
use crate::tensor::Patches;
use std::ops::ControlFlow;

/// Values held for a row, without the row: components, half squared norm, slack, nearest, seen, order.
pub(super) const ROW_VALUES: usize = super::leading::DEPTH + 5;
/// Values held for a centre: components and offset in a vector that grows by doubling, and its row index.
pub(super) const CENTER_VALUES: usize = 2 * (super::leading::DEPTH + 1) + 2;
/// Rows that a task compares.
const TASK_ROWS: usize = 96;
/// Panels of centres between two removals of rows that fell to the level.
const PANELS_PER_ROUND: usize = 8;

/// The state of a selection.
pub(super) struct LazyGreedy<'a> {
    features: Patches<'a>,
    /// Rows that are refreshed together. More of them make fewer, larger products, and slower picks.
    candidate_count: usize,
    isa: Isa,
    pool: &'a Pool,
    leading: Leading,
    chosen: Vec<u32>,
    centers: CenterPanels,
    /// For each row, its squared distance to the nearest of the centres it has seen.
    nearest: Vec<f32>,
    /// For each row, the number of panels of centres that it has seen.
    seen: Vec<u32>,
    /// Working memory of [`find_level`](Self::find_level).
    order: Vec<f32>,
}

/// A row above the level, which may be the next centre.
#[derive(Clone, Copy)]
struct Candidate {
    row: u32,
    seen: u32,
    nearest: f32,
}

impl<'a> LazyGreedy<'a> {
    /// Begins a selection with row `start`.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn new(
        features: Patches<'a>,
        start: usize,
        candidate_count: usize,
        isa: Isa,
        pool: &'a Pool,
    ) -> Result<Self> {
        let leading = Leading::new(features, isa, pool)?;
        let mut nearest = vec![0.0; features.rows()];
        pool.for_each_chunk(&mut nearest, TASK_ROWS, |block, nearest| {
            for (row, nearest) in (block * TASK_ROWS..).zip(nearest) {
                *nearest = distance::squared(isa, features.row(row), features.row(start));
            }
        });
        let centers = CenterPanels::new(isa, leading.depth);
        let mut lazy = Self {
            features,
            candidate_count,
            isa,
            pool,
            leading,
            chosen: Vec::new(),
            centers,
            order: nearest.clone(),
            nearest,
            seen: vec![0; features.rows()],
        };
        lazy.add_center(start as u32);
        Ok(lazy)
    }

    /// Selects `count` rows.
    ///
    /// # Errors
    /// `observer` stopped the selection.
    pub fn select_rows(
        mut self,
        count: usize,
        observer: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Vec<u32>> {
        while self.chosen.len() < count {
            let level = self.find_level();
            if level < 0.0 {
                // Every row equals a centre: the plain loop then chooses row 0 repeatedly.
                self.chosen.resize(count, 0);
                break;
            }
            let candidates = self.refresh_candidates(level);
            self.pick_centers(candidates, level, count, observer)?;
        }
        report_progress(observer, count, count)?;
        Ok(self.chosen)
    }

    fn add_center(&mut self, row: u32) {
        self.chosen.push(row);
        self.centers.push(self.leading.row(row), self.leading.half_sq_norm(row));
    }

    /// A distance that about `candidate_count` rows exceed, and at least one; negative if all distances are
    /// 0.
    fn find_level(&mut self) -> f32 {
        self.order.copy_from_slice(&self.nearest);
        let place = self.candidate_count.min(self.order.len() - 1);
        let (above, &mut level, _) = self.order.select_nth_unstable_by(place, |a, b| b.total_cmp(a));
        let highest = above.iter().copied().fold(level, f32::max);
        if level < highest {
            return level;
        }
        self.nearest.iter().copied().filter(|&v| v < highest).fold(-1.0, f32::max)
    }

    /// The rows whose distance exceeds `level`, in ascending order, compared with all centres.
    fn refresh_candidates(&mut self, level: f32) -> Vec<Candidate> {
        let rows = self.nearest.iter().zip(&self.seen).zip(0..);
        let mut candidates: Vec<_> = rows
            .filter(|((nearest, _), _)| **nearest > level)
            .map(|((&nearest, &seen), row)| Candidate { row, seen, nearest })
            .collect();
        candidates.sort_unstable_by_key(|c| (c.seen, c.row));
        self.pool
            .for_each_chunk(&mut candidates, TASK_ROWS, |_, block| self.compare_with_unseen(block, level));
        for candidate in &candidates {
            self.nearest[candidate.row as usize] = candidate.nearest;
            self.seen[candidate.row as usize] = candidate.seen;
        }
        candidates.retain(|c| c.nearest > level);
        candidates.sort_unstable_by_key(|c| c.row);
        candidates
    }

    /// Compares `rows` with the centres they have not seen, each until its distance falls to `level`.
    fn compare_with_unseen(&self, rows: &mut [Candidate], level: f32) {
        let height = screen::tile_height(self.isa);
        let size = height * self.leading.depth;
        let mut tiles = vec![0.0; rows.len().div_ceil(height) * size];
        let mut panel = rows.iter().map(|c| c.seen as usize).min().unwrap_or(0);
        let mut alive = rows.len();
        while panel < self.centers.count() && alive > 0 {
            let panels = panel..self.centers.count().min(panel + PANELS_PER_ROUND);
            panel = panels.end;
            for (rows, tile) in rows[..alive].chunks_mut(height).zip(tiles.chunks_exact_mut(size)) {
                self.pack_tile(rows, tile);
                self.compare_with_panels(rows, tile, panels.clone());
                rows.iter_mut().for_each(|c| c.seen = panel.min(self.full_panels()) as u32);
            }
            alive = keep_above(&mut rows[..alive], level);
        }
    }

    /// Number of panels that are full.
    fn full_panels(&self) -> usize {
        self.chosen.len() / self.centers.width()
    }

    /// Writes the components of `rows` to `tile` in the layout of `kernels::screen`.
    fn pack_tile(&self, rows: &[Candidate], tile: &mut [f32]) {
        let height = screen::tile_height(self.isa);
        for (i, candidate) in rows.iter().enumerate() {
            let values = self.leading.row(candidate.row);
            tile[i..].iter_mut().step_by(height).zip(values).for_each(|(to, &value)| *to = value);
        }
    }

    /// Compares the rows of `tile` with the centres of `panels`.
    fn compare_with_panels(&self, rows: &mut [Candidate], tile: &[f32], panels: std::ops::Range<usize>) {
        let height = screen::tile_height(self.isa);
        let mut limits = [f32::NEG_INFINITY; screen::MAX_TILE_HEIGHT];
        let mut hits = [0; screen::MAX_TILE_HEIGHT];
        let limit = |c: &Candidate| self.far_bound(c.nearest) / 2.0 - self.leading.half_sq_norm(c.row);
        limits.iter_mut().zip(rows.iter()).for_each(|(to, candidate)| *to = limit(candidate));
        for panel in panels {
            self.centers.screen(panel, tile, &limits[..height], &mut hits[..height]);
            let first = panel * self.centers.width();
            for (i, candidate) in rows.iter_mut().enumerate().filter(|(i, _)| hits[*i] != 0) {
                for column in set_bits(hits[i]) {
                    let between = self.distance(candidate.row, self.chosen[first + column as usize]);
                    candidate.nearest = candidate.nearest.min(between);
                }
                limits[i] = limit(candidate);
            }
        }
    }

    fn distance(&self, row: u32, center: u32) -> f32 {
        distance::squared(self.isa, self.features.row(row as usize), self.features.row(center as usize))
    }

    /// If a squared distance has a lower bound of at least this, the distance as computed is not below
    /// `nearest`.
    ///
    /// The computed distance has a relative error of `dim + 8` roundings. Each term of its sum, and each of
    /// the four sums of the lower bound, may also lose the smallest normal number where subnormal results are
    /// flushed to zero.
    fn far_bound(&self, nearest: f32) -> f32 {
        let roundings = (self.features.dim + 8) as f32;
        let terms = roundings + (4 * self.leading.depth) as f32;
        nearest * (1.0 + roundings * f32::EPSILON) + terms * f32::MIN_POSITIVE
    }

    /// Chooses the farthest of `candidates` while one is above `level`.
    fn pick_centers(
        &mut self,
        candidates: Vec<Candidate>,
        level: f32,
        count: usize,
        observer: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<()> {
        let depth = self.leading.depth;
        // A dense copy stays in the cache.
        let values: Vec<f32> = candidates.iter().flat_map(|c| self.leading.row(c.row)).copied().collect();
        let mut alive: Vec<_> = (0..).zip(candidates).collect();
        while let Some(farthest) = find_farthest(&alive)
            && self.chosen.len() < count
        {
            report_progress(observer, self.chosen.len(), count)?;
            self.add_center(farthest);
            let (center, slack) = (self.leading.row(farthest), self.leading.slack(farthest));
            let mut kept = 0;
            for i in 0..alive.len() {
                let (slot, mut candidate): (usize, Candidate) = alive[i];
                let between = distance::squared(self.isa, &values[slot * depth..][..depth], center);
                let bound = between - slack - self.leading.slack(candidate.row);
                // An overflow proves nothing: the rows may be nearer than their components as computed.
                let far = between < f32::INFINITY && bound >= self.far_bound(candidate.nearest);
                if !far {
                    candidate.nearest = candidate.nearest.min(self.distance(candidate.row, farthest));
                    self.nearest[candidate.row as usize] = candidate.nearest;
                }
                if candidate.nearest > level {
                    alive[kept] = (slot, candidate);
                    kept += 1;
                } else {
                    self.seen[candidate.row as usize] = self.full_panels() as u32;
                }
            }
            alive.truncate(kept);
        }
        Ok(())
    }
}

fn report_progress(
    observer: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    done: usize,
    total: usize,
) -> Result<()> {
    if observer(done, total).is_break() { Err(Error::cancelled("coreset")) } else { Ok(()) }
}

/// The first candidate with the largest distance.
fn find_farthest(candidates: &[(usize, Candidate)]) -> Option<u32> {
    let (first, rest) = candidates.split_first()?;
    let best = rest.iter().fold(first, |best, c| if c.1.nearest > best.1.nearest { c } else { best });
    Some(best.1.row)
}

/// Moves the rows above `level` to the front. Returns their number.
fn keep_above(rows: &mut [Candidate], level: f32) -> usize {
    let mut kept = 0;
    for i in 0..rows.len() {
        if rows[i].nearest > level {
            rows.swap(kept, i);
            kept += 1;
        }
    }
    kept
}
