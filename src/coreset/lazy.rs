//! Greedy k-center that puts off what cannot matter yet.
//!
//! A row's distance to its nearest centre only ever falls, so an old one is an upper bound, and a row need not be
//! compared with new centres before its bound is among the largest. Those few rows are brought up to date together,
//! as a matrix product that screens them against all centres they have not seen; then centres are picked among them
//! until the best is no farther than the bounds of the others.

use super::leading::Leading;
use crate::bytes::set_bits;
use crate::error::{Error, Result};
use crate::kernels::screen::{self, CenterPanels};
use crate::kernels::{Isa, distance};
use crate::parallel::Pool;
use crate::tensor::Patches;
use std::ops::ControlFlow;

/// Values held for a row, beside the row itself: components, half, slack, nearest, seen, order.
pub(super) const ROW_VALUES: usize = super::leading::DEPTH + 5;
/// Values held for a centre: components and offset in a vector that grows by doubling, and its row.
pub(super) const CENTER_VALUES: usize = 2 * (super::leading::DEPTH + 1) + 2;
/// Rows a task compares.
const BLOCK: usize = 96;
/// CenterPanels of centres after which rows that fell to the level are let go.
const GROUP: usize = 8;

pub(super) struct Lazy<'a> {
    features: Patches<'a>,
    /// Rows that are brought up to date together. More of them make fewer, larger products, and slower picks.
    candidates: usize,
    isa: Isa,
    pool: &'a Pool,
    leading: Leading,
    chosen: Vec<u32>,
    centers: CenterPanels,
    /// For each row its squared distance to the nearest of the centres it has seen.
    nearest: Vec<f32>,
    /// For each row the panels of centres that it has seen.
    seen: Vec<u32>,
    /// Room for finding the level.
    order: Vec<f32>,
}

/// A row that may be the next centre.
#[derive(Clone, Copy)]
struct Candidate {
    row: u32,
    seen: u32,
    nearest: f32,
}

impl<'a> Lazy<'a> {
    /// # Errors
    /// Memory runs out.
    pub fn new(
        features: Patches<'a>,
        start: usize,
        candidates: usize,
        isa: Isa,
        pool: &'a Pool,
    ) -> Result<Self> {
        let leading = Leading::new(features, isa, pool)?;
        let mut nearest = vec![0.0; features.rows()];
        pool.for_each_chunk(&mut nearest, BLOCK, |block, nearest| {
            for (row, nearest) in (block * BLOCK..).zip(nearest) {
                *nearest = distance::squared(isa, features.row(row), features.row(start));
            }
        });
        let centers = CenterPanels::new(isa, leading.depth);
        let mut lazy = Self {
            features,
            candidates,
            isa,
            pool,
            leading,
            chosen: Vec::new(),
            centers,
            order: nearest.clone(),
            nearest,
            seen: vec![0; features.rows()],
        };
        lazy.choose(start as u32);
        Ok(lazy)
    }

    /// Chooses `count` rows.
    ///
    /// # Errors
    /// `observer` stopped the selection.
    pub fn run(
        mut self,
        count: usize,
        observer: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Vec<u32>> {
        while self.chosen.len() < count {
            let level = self.level();
            if level < 0.0 {
                // Every row is equal to a centre: the plain loop takes the first again and again.
                self.chosen.resize(count, 0);
                break;
            }
            let candidates = self.refresh(level);
            self.pick(candidates, level, count, observer)?;
        }
        tell(observer, count, count)?;
        Ok(self.chosen)
    }

    fn choose(&mut self, row: u32) {
        self.chosen.push(row);
        self.centers.push(self.leading.row(row), self.leading.half(row));
    }

    /// A distance with about as many rows above it as there shall be candidates, and at least one; below 0 where all are 0.
    fn level(&mut self) -> f32 {
        self.order.copy_from_slice(&self.nearest);
        let place = self.candidates.min(self.order.len() - 1);
        let (above, &mut level, _) = self.order.select_nth_unstable_by(place, |a, b| b.total_cmp(a));
        let highest = above.iter().copied().fold(level, f32::max);
        if level < highest {
            return level;
        }
        self.nearest.iter().copied().filter(|&v| v < highest).fold(-1.0, f32::max)
    }

    /// The rows above `level`, in order and up to date.
    fn refresh(&mut self, level: f32) -> Vec<Candidate> {
        let rows = self.nearest.iter().zip(&self.seen).zip(0..);
        let mut candidates: Vec<_> = rows
            .filter(|((nearest, _), _)| **nearest > level)
            .map(|((&nearest, &seen), row)| Candidate { row, seen, nearest })
            .collect();
        candidates.sort_unstable_by_key(|c| (c.seen, c.row));
        self.pool.for_each_chunk(&mut candidates, BLOCK, |_, block| self.update(block, level));
        for candidate in &candidates {
            self.nearest[candidate.row as usize] = candidate.nearest;
            self.seen[candidate.row as usize] = candidate.seen;
        }
        candidates.retain(|c| c.nearest > level);
        candidates.sort_unstable_by_key(|c| c.row);
        candidates
    }

    /// Compares `rows` with the centres they have not seen, each until it falls to `level`.
    fn update(&self, rows: &mut [Candidate], level: f32) {
        let height = screen::tile_height(self.isa);
        let size = height * self.leading.depth;
        let mut tiles = vec![0.0; rows.len().div_ceil(height) * size];
        let mut panel = rows.iter().map(|c| c.seen as usize).min().unwrap_or(0);
        let mut alive = rows.len();
        while panel < self.centers.count() && alive > 0 {
            let panels = panel..self.centers.count().min(panel + GROUP);
            panel = panels.end;
            for (rows, tile) in rows[..alive].chunks_mut(height).zip(tiles.chunks_exact_mut(size)) {
                self.pack(rows, tile);
                self.compare(rows, tile, panels.clone());
                rows.iter_mut().for_each(|c| c.seen = panel.min(self.full_panels()) as u32);
            }
            alive = keep_above(&mut rows[..alive], level);
        }
    }

    /// CenterPanels that no centre will be added to.
    fn full_panels(&self) -> usize {
        self.chosen.len() / self.centers.width()
    }

    fn pack(&self, rows: &[Candidate], tile: &mut [f32]) {
        let height = screen::tile_height(self.isa);
        for (i, candidate) in rows.iter().enumerate() {
            let values = self.leading.row(candidate.row);
            tile[i..].iter_mut().step_by(height).zip(values).for_each(|(to, &value)| *to = value);
        }
    }

    /// Lowers the distances of the rows of `tile` to those to the nearest centre of `panels`.
    fn compare(&self, rows: &mut [Candidate], tile: &[f32], panels: std::ops::Range<usize>) {
        let height = screen::tile_height(self.isa);
        let mut limits = [f32::NEG_INFINITY; screen::MAX_TILE_HEIGHT];
        let mut hits = [0; screen::MAX_TILE_HEIGHT];
        let limit = |c: &Candidate| self.ceiling(c.nearest) / 2.0 - self.leading.half(c.row);
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

    /// A lower bound from this up proves that a distance, as it is computed, is not below `nearest`: it covers the
    /// rounding of the computed distance, and what underflows in it.
    fn ceiling(&self, nearest: f32) -> f32 {
        let dim = (self.features.dim + 8) as f32;
        nearest * (1.0 + dim * f32::EPSILON) + dim * f32::MIN_POSITIVE
    }

    /// Chooses the farthest of `candidates` as long as one is above `level`.
    fn pick(
        &mut self,
        candidates: Vec<Candidate>,
        level: f32,
        count: usize,
        observer: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<()> {
        let depth = self.leading.depth;
        // Side by side, so that they stay in the cache.
        let values: Vec<f32> = candidates.iter().flat_map(|c| self.leading.row(c.row)).copied().collect();
        let mut alive: Vec<_> = (0..).zip(candidates).collect();
        while let Some(farthest) = farthest(&alive)
            && self.chosen.len() < count
        {
            tell(observer, self.chosen.len(), count)?;
            self.choose(farthest);
            let (center, slack) = (self.leading.row(farthest), self.leading.slack(farthest));
            let mut kept = 0;
            for i in 0..alive.len() {
                let (slot, mut candidate): (usize, Candidate) = alive[i];
                let between = distance::squared(self.isa, &values[slot * depth..][..depth], center);
                let bound = between - slack - self.leading.slack(candidate.row);
                // What overflows proves nothing: the rows themselves may be nearer than their components as computed.
                let far = between < f32::INFINITY && bound >= self.ceiling(candidate.nearest);
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

fn tell(observer: &mut dyn FnMut(usize, usize) -> ControlFlow<()>, done: usize, total: usize) -> Result<()> {
    if observer(done, total).is_break() { Err(Error::cancelled("coreset")) } else { Ok(()) }
}

/// The first of the largest.
fn farthest(candidates: &[(usize, Candidate)]) -> Option<u32> {
    let (first, rest) = candidates.split_first()?;
    let best = rest.iter().fold(first, |best, c| if c.1.nearest > best.1.nearest { c } else { best });
    Some(best.1.row)
}

/// Moves the rows above `level` to the front and gives their number.
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
