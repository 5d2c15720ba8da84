//! A k-d tree over the sketches of rows as a filter in front of exact distances.

use super::axes::{Axes, AxisCoordinates};
use super::flat::insert_nearest;
use super::sketch::{Sketch, pruning_radius};
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

/// Coordinates of the sketches. More would not make the boxes of the tree smaller.
const TREE_DIMS: usize = 8;
/// Queries of a task.
const QUERIES_PER_TASK: usize = 32;

const POINTS: &str = "search.points";
const TREE_PARAMS: &str = "search.kdtree";

/// Exact search behind a k-d tree of the crate `kiddo`. A row and a query are at least as far apart as their
/// sketches, less the errors of these. So the rows to compare are those whose sketches lie within the pruning
/// radius plus both errors, where the radius is the distance to the row with the nearest sketch. Unlike the
/// other searches, this one allocates.
#[derive(Clone)]
pub struct KdTree {
    bank: MemoryBank,
    isa: Isa,
    axes: Axes,
    sketch: Sketch,
    points: Slice<f32>,
    /// The sketch's offset, and the largest error of a row's sketch.
    params: Slice<f64>,
    tree: std::sync::Arc<ImmutableKdTree<f64, TREE_DIMS>>,
}

impl KdTree {
    /// Builds the search over `bank`, whose values are finite.
    ///
    /// # Errors
    /// The squares of its values overflow.
    pub fn build(bank: MemoryBank, isa: Isa, pool: &Pool) -> Result<Self> {
        let (dim, all) = (bank.dim(), bank.all());
        let rows = Patches { dim, grid_width: 1, data: &all };
        let axes = Axes::fit(rows, Sketch::axes(TREE_DIMS, dim), isa, pool);
        let projected = axes.project_all(rows, pool);
        let sketch = Sketch::fit(TREE_DIMS, (0..rows.rows()).map(|i| axes.coordinates(&projected, i)), isa);
        let mut points = vec![0.0; rows.rows() * TREE_DIMS];
        let mut largest = 0.0f64;
        for (i, point) in points.chunks_exact_mut(TREE_DIMS).enumerate() {
            largest = largest.max(sketch.project(axes.coordinates(&projected, i), isa, point));
        }
        let params = vec![sketch.offset.into(), largest];
        Self::assemble(bank.clone(), isa, axes, points.into(), params.into())
            .ok_or_else(|| Error::argument("memory bank", "values whose squares overflow", "smaller ones"))
    }

    /// Opens the search of a model file over `bank`; `None` if the file has another search. The tree is
    /// rebuilt.
    ///
    /// # Errors
    /// A section is missing or of the wrong shape.
    pub fn open(sections: &Sections, bank: MemoryBank, isa: Isa) -> Result<Option<Self>> {
        let Some(points) = sections.find(POINTS)? else { return Ok(None) };
        let dim = bank.dim();
        let axes = Axes::open(sections, dim, Sketch::axes(TREE_DIMS, dim), isa)?;
        Self::assemble(bank, isa, axes, points, sections.get(TREE_PARAMS)?)
            .map(Some)
            .ok_or_else(|| sections.error(POINTS, "other points", "finite ones, one a row"))
    }

    /// Adds the sections of the search to a model file.
    pub fn write<'a>(&'a self, writer: &mut SectionWriter<'a>) {
        self.axes.write(writer);
        writer.add(POINTS, &self.points);
        writer.add(TREE_PARAMS, &self.params);
    }

    fn assemble(
        bank: MemoryBank,
        isa: Isa,
        axes: Axes,
        points: Slice<f32>,
        params: Slice<f64>,
    ) -> Option<Self> {
        let &[offset, error] = &*params else { return None };
        let fits = points.len() / TREE_DIMS == bank.count() && points.len().is_multiple_of(TREE_DIMS);
        if !fits || !error.is_finite() || !points.iter().all(|value| value.is_finite()) {
            return None;
        }
        let entries: Vec<_> = points.chunks_exact(TREE_DIMS).map(point).collect();
        let tree = ImmutableKdTree::new_from_slice(&entries).ok()?.into();
        let sketch = Sketch { dims: TREE_DIMS, offset: offset as f32 };
        Some(Self { bank, isa, axes, sketch, points, params, tree })
    }

    /// Sets `out` to the `k` nearest rows with their squared distances. Returns the number of rows compared.
    fn find_nearest(
        &self,
        query: &[f32],
        k: usize,
        projected: &mut AxisCoordinates,
        out: &mut Vec<Neighbor>,
    ) -> usize {
        out.clear();
        let Some(count) = NonZero::new(k.min(self.bank.count())) else { return 0 };
        let compare = |row: u32, out: &mut Vec<Neighbor>| {
            let distance = self.bank.squared(self.isa, query, row as usize);
            insert_nearest(out, count.get(), Neighbor { index: row, distance });
        };
        self.axes.project([query].into_iter(), projected);
        let mut sketched = [0.0; TREE_DIMS];
        let error = self.sketch.project(self.axes.coordinates(projected, 0), self.isa, &mut sketched);
        let at = point(&sketched);
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
        // The factor covers the rounding of distances in the tree.
        let radius = (pruning_radius(farthest, self.bank.dim()) + error + self.params[1]) * (1.0 + 1e-6);
        let squared = if radius.is_nan() { f64::INFINITY } else { radius * radius };
        let within = self.tree.query(&at).within::<SquaredEuclidean<f64>>(squared).unsorted().execute();
        within.iter().for_each(|near| compare(near.item, out));
        within.len()
    }

    /// Counts the rows that a search for `query` compares.
    pub(super) fn count_compared(&self, query: &[f32], k: usize) -> usize {
        self.find_nearest(query, k, &mut AxisCoordinates::default(), &mut Vec::new())
    }
}

fn point(values: &[f32]) -> [f64; TREE_DIMS] {
    std::array::from_fn(|i| values[i].into())
}

impl std::fmt::Debug for KdTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KdTree").field("rows", &self.bank.count()).finish_non_exhaustive()
    }
}

impl Search for KdTree {
    fn nearest(&self, queries: Patches<'_>, _: &mut Scratch, pool: &Pool, out: &mut [Neighbor]) {
        pool.for_each_chunk(out, QUERIES_PER_TASK, |task, out| {
            let (mut projected, mut found) = (AxisCoordinates::default(), Vec::new());
            for (q, out) in (task * QUERIES_PER_TASK..).zip(out) {
                self.find_nearest(queries.row(q), 1, &mut projected, &mut found);
                *out = found.first().map_or(Neighbor { index: 0, distance: f32::INFINITY }, |near| *near);
                out.distance = out.distance.sqrt();
            }
        });
    }

    fn k_nearest(&self, query: &[f32], k: usize, _: &mut Scratch, _: &Pool, out: &mut Vec<Neighbor>) {
        self.find_nearest(query, k, &mut AxisCoordinates::default(), out);
        out.iter_mut().for_each(|near| near.distance = near.distance.sqrt());
    }

    /// Excludes the nodes of the tree: its crate does not report their size.
    fn bytes(&self) -> usize {
        self.axes.bytes() + self.points.owned_bytes() + self.params.owned_bytes()
    }

    /// Nothing is kept between searches.
    fn scratch_bytes(&self, _: (usize, usize), _: usize, _: usize) -> usize {
        0
    }
}
