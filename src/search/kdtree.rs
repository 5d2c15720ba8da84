//! A k-d tree over a few coordinates as a filter in front of exact distances.

use super::axes::{Axes, Projected};
use super::flat::insert;
use super::sketch::{Sketch, reach};
use super::{Scratch, Search};
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::memory_bank::MemoryBank;
use crate::model_file::map::Slice;
use crate::model_file::sections::{SectionWriter, Sections};
use crate::parallel::Pool;
use crate::tensor::{Neighbor, Patches};
use kiddo::{ImmutableKdTree, SquaredEuclidean};
use std::num::NonZero;

/// Coordinates of the tree: the leading principal ones, and what they leave over. More make its boxes no smaller.
const DIMS: usize = 8;
/// Queries a task.
const TASK: usize = 32;

const POINTS: &str = "search.points";
const NUMBERS: &str = "search.kdtree";

/// Exact search behind a k-d tree of the crate `kiddo`: what lies within reach in the tree is compared in full. Unlike the
/// other searches it allocates, for each query a list.
#[derive(Clone)]
pub struct KdTree {
    bank: MemoryBank,
    isa: Isa,
    axes: Axes,
    sketch: Sketch,
    points: Slice<f32>,
    /// The sketch's offset, and the largest error of a point.
    numbers: Slice<f64>,
    tree: std::sync::Arc<ImmutableKdTree<f64, DIMS>>,
}

impl KdTree {
    /// Makes `bank`, of finite values, searchable.
    ///
    /// # Errors
    /// The squares of its values overflow.
    pub fn build(bank: MemoryBank, isa: Isa, pool: &Pool) -> Result<Self> {
        let (dim, all) = (bank.dim(), bank.all());
        let rows = Patches { dim, grid_width: 1, data: &all };
        let axes = Axes::fit(rows, Sketch::axes(DIMS, dim), isa, pool);
        let projected = axes.project_all(rows, pool);
        let sketch = Sketch::fit(DIMS, (0..rows.rows()).map(|i| axes.coordinates(&projected, i)), isa);
        let mut points = vec![0.0; rows.rows() * DIMS];
        let mut largest = 0.0f64;
        for (i, point) in points.chunks_exact_mut(DIMS).enumerate() {
            largest = largest.max(sketch.lift(axes.coordinates(&projected, i), isa, point));
        }
        let numbers = vec![sketch.offset.into(), largest];
        Self::assemble(bank.clone(), isa, axes, points.into(), numbers.into())
            .ok_or_else(|| Error::argument("memory bank", "values whose squares overflow", "smaller ones"))
    }

    /// The search of a model file over `bank`; `None` where the file has another. The tree is grown anew.
    ///
    /// # Errors
    /// A section is missing or of the wrong shape.
    pub fn open(sections: &Sections, bank: MemoryBank, isa: Isa) -> Result<Option<Self>> {
        let Some(points) = sections.find(POINTS)? else { return Ok(None) };
        let dim = bank.dim();
        let axes = Axes::open(sections, dim, Sketch::axes(DIMS, dim), isa)?;
        Self::assemble(bank, isa, axes, points, sections.get(NUMBERS)?)
            .map(Some)
            .ok_or_else(|| sections.error(POINTS, "other points", "finite ones, one a row"))
    }

    /// Adds the sections of the search to a model file.
    pub fn write<'a>(&'a self, writer: &mut SectionWriter<'a>) {
        self.axes.write(writer);
        writer.add(POINTS, &self.points);
        writer.add(NUMBERS, &self.numbers);
    }

    fn assemble(
        bank: MemoryBank,
        isa: Isa,
        axes: Axes,
        points: Slice<f32>,
        numbers: Slice<f64>,
    ) -> Option<Self> {
        let &[offset, error] = &*numbers else { return None };
        let fits = points.len() / DIMS == bank.count() && points.len().is_multiple_of(DIMS);
        if !fits || !error.is_finite() || !points.iter().all(|value| value.is_finite()) {
            return None;
        }
        let entries: Vec<_> = points.chunks_exact(DIMS).map(point).collect();
        let tree = ImmutableKdTree::new_from_slice(&entries).ok()?.into();
        let sketch = Sketch { dims: DIMS, offset: offset as f32 };
        Some(Self { bank, isa, axes, sketch, points, numbers, tree })
    }

    /// Sets `out` to the `k` nearest rows with their squared distances; returns how many were compared in full.
    fn search(&self, query: &[f32], k: usize, projected: &mut Projected, out: &mut Vec<Neighbor>) -> usize {
        out.clear();
        let Some(count) = NonZero::new(k.min(self.bank.count())) else { return 0 };
        let compare = |row: u32, out: &mut Vec<Neighbor>| {
            let distance = self.bank.squared(self.isa, query, row as usize);
            insert(out, count.get(), Neighbor { index: row, distance });
        };
        self.axes.project([query].into_iter(), projected);
        let mut lifted = [0.0; DIMS];
        let error = self.sketch.lift(self.axes.coordinates(projected, 0), self.isa, &mut lifted);
        let at = point(&lifted);
        if !error.is_finite() || at.iter().any(|value| !value.is_finite()) {
            let rows = self.bank.count() as u32;
            (0..rows).for_each(|row| compare(row, out));
            return rows as usize;
        }
        for near in self.tree.query(&at).nearest_n::<SquaredEuclidean<f64>>(count).execute() {
            compare(near.item, out);
        }
        let farthest = out.last().map_or(f32::INFINITY, |last| last.distance);
        out.clear();
        // Widened for the rounding of distances inside the tree.
        let radius = (reach(farthest, self.bank.dim()) + error + self.numbers[1]) * (1.0 + 1e-6);
        let squared = if radius.is_nan() { f64::INFINITY } else { radius * radius };
        let within = self.tree.query(&at).within::<SquaredEuclidean<f64>>(squared).unsorted().execute();
        within.iter().for_each(|near| compare(near.item, out));
        within.len()
    }

    /// Rows that a search for `query` and `k` compares in full.
    pub(super) fn work(&self, query: &[f32], k: usize) -> usize {
        self.search(query, k, &mut Projected::default(), &mut Vec::new())
    }
}

fn point(values: &[f32]) -> [f64; DIMS] {
    std::array::from_fn(|i| values[i].into())
}

impl std::fmt::Debug for KdTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KdTree").field("rows", &self.bank.count()).finish_non_exhaustive()
    }
}

impl Search for KdTree {
    fn nearest(&self, queries: Patches<'_>, _: &mut Scratch, pool: &Pool, out: &mut [Neighbor]) {
        pool.for_each_chunk(out, TASK, |task, out| {
            let (mut projected, mut found) = (Projected::default(), Vec::new());
            for (q, out) in (task * TASK..).zip(out) {
                self.search(queries.row(q), 1, &mut projected, &mut found);
                *out = found.first().map_or(Neighbor { index: 0, distance: f32::INFINITY }, |near| *near);
                out.distance = out.distance.sqrt();
            }
        });
    }

    fn k_nearest(&self, query: &[f32], k: usize, _: &mut Scratch, _: &Pool, out: &mut Vec<Neighbor>) {
        self.search(query, k, &mut Projected::default(), out);
        out.iter_mut().for_each(|near| near.distance = near.distance.sqrt());
    }

    /// Without the tree's own nodes, of which its crate does not say.
    fn bytes(&self) -> usize {
        self.axes.bytes() + self.points.owned_bytes() + self.numbers.owned_bytes()
    }

    /// Nothing is kept; what a query takes meanwhile depends on it.
    fn scratch_bytes(&self, _: (usize, usize), _: usize, _: usize) -> usize {
        0
    }
}
