//! Exact search that looks at few rows: bounds first, distances where the bounds leave a doubt.
//!
//! Four bounds, each a lower bound on a distance (see `sketch` and `rounded`): from a query to all rows of a block of 32; to a
//! row by a small sketch, sixteen queries at once; to a row by a larger sketch; to a row by all of its values, rounded. What
//! they leave is compared by `kernels::distance`, as the exhaustive search compares everything.

mod blocks;
mod build;
mod interleaved;
mod sweep;

use super::axes::Axes;
use super::quantized::Rounded;
use super::sketch::{MAX_DIMS, Sketch};
use super::{Scratch, Search};
use crate::error::Result;
use crate::kernels::Isa;
use crate::kernels::int8::{BLOCK_ROWS, STEP};
use crate::memory_bank::MemoryBank;
use crate::model_file::map::Slice;
use crate::model_file::sections::{SectionWriter, Sections};
use crate::parallel::Pool;
use crate::tensor::{Neighbor, Patches};
use interleaved::Interleaved;
use sweep::BestSoFar;
pub(super) use sweep::{Task, Work};

/// Exact search by bounds.
#[derive(Clone, Debug)]
pub struct Pruned {
    bank: MemoryBank,
    dim: usize,
    isa: Isa,
    /// `order[position]` is the row at a position.
    order: Slice<u32>,
    axes: Axes,
    /// See [`read`].
    numbers: Slice<f64>,
    coarse: Coarse,
    /// What the fine sketch is made with; its scales are those of the rows.
    fine_sketch: Sketch,
    /// The rows' fine sketches, by position.
    fine: Rounded,
    /// All values of the rows, less the mean, by position.
    full: Rounded,
    /// The centre and radius of each block.
    centers: Interleaved,
}

/// The coarse sketch.
#[derive(Clone, Debug)]
struct Coarse {
    sketch: Sketch,
    /// The distance that a difference of one in a code stands for.
    scale: f32,
    /// No row's error is larger.
    error: f64,
    /// The rows' codes, by position.
    rows: Interleaved,
}

/// What the signed codes of rows are raised by to be unsigned.
const RAISED: i16 = 128;

const ORDER: &str = "search.order";
const NUMBERS: &str = "search.numbers";
const COARSE: [&str; 2] = ["search.coarse", "search.coarse.b"];
const FINE: [&str; 2] = ["search.fine", "search.fine.n"];
const FULL: [&str; 2] = ["search.full", "search.full.n"];
const CENTERS: [&str; 2] = ["search.center", "search.center.b"];

impl Sketch {
    fn numbers(&self, scale: f32) -> [f64; 3] {
        [self.dims as f64, self.offset.into(), scale.into()]
    }

    /// From [`numbers`](Self::numbers), with the scale, if they can be those of a sketch.
    fn of_numbers([dims, offset, scale]: [f64; 3]) -> Option<(Self, f32)> {
        let dims = dims as usize;
        let fits = dims.is_power_of_two() && (STEP..=MAX_DIMS).contains(&dims);
        fits.then_some((Self { dims, offset: offset as f32 }, scale as f32))
    }
}

/// What `search.numbers` says: the coarse sketch's error and scale, and both sketches. Behind the fine one lies a scale that it
/// does not need.
fn read(numbers: &[f64]) -> Option<(f64, f32, [Sketch; 2])> {
    let (&error, sketches) = numbers.split_first()?;
    let (&[coarse, fine], []) = sketches.as_chunks::<3>() else { return None };
    let ((coarse, scale), (fine, _)) = (Sketch::of_numbers(coarse)?, Sketch::of_numbers(fine)?);
    (coarse.dims <= fine.dims).then_some((error, scale, [coarse, fine]))
}

impl Pruned {
    /// Bytes a row that [`build`](Self::build) takes at most, beside the row: more than a search of few coordinates.
    #[cfg(feature = "train")]
    pub(super) fn build_bytes(dim: usize) -> u64 {
        build::bytes(dim)
    }

    /// Makes `bank`, of finite values, searchable.
    pub fn build(bank: MemoryBank, isa: Isa, pool: &Pool) -> Self {
        build::build(&bank, isa, pool)
    }

    /// The search of a model file over `bank`, in place; `None` where the file has another. Does not look at the codes: whatever
    /// they are, a search ends and stays inside the bank.
    ///
    /// # Errors
    /// A section is missing or of the wrong shape.
    pub fn open(sections: &Sections, bank: MemoryBank, isa: Isa) -> Result<Option<Self>> {
        let Some(order) = sections.find::<u32>(ORDER)? else { return Ok(None) };
        let numbers: Slice<f64> = sections.get(NUMBERS)?;
        let (rows, dim) = (bank.count(), bank.dim());
        let bad = |name: &str| sections.error(name, "other shapes", format!("those of {rows} rows of {dim}"));
        let rounded =
            |names: [&str; 2], dims| Rounded::open(sections, names, rows, dims)?.ok_or_else(|| bad(names[0]));
        let interleaved = |names: [&str; 2], rows, dims| {
            Interleaved::open(sections, names, rows, dims)?.ok_or_else(|| bad(names[0]))
        };
        if order.len() != rows || order.iter().any(|&row| row as usize >= rows) {
            return Err(bad(ORDER));
        }
        let (error, scale, [coarse, fine]) = read(&numbers).ok_or_else(|| bad(NUMBERS))?;
        Ok(Some(Self {
            order,
            // The number of coordinates of the fine sketch says how many axes there are.
            axes: Axes::open(sections, dim, Sketch::axes(fine.dims, dim), isa)?,
            coarse: Coarse { sketch: coarse, scale, error, rows: interleaved(COARSE, rows, coarse.dims)? },
            fine_sketch: fine,
            fine: rounded(FINE, fine.dims)?,
            full: rounded(FULL, dim)?,
            centers: interleaved(CENTERS, rows.div_ceil(BLOCK_ROWS), coarse.dims + STEP)?,
            numbers,
            bank,
            dim,
            isa,
        }))
    }

    /// Adds the sections of the search to a model file.
    pub fn write<'a>(&'a self, writer: &mut SectionWriter<'a>) {
        writer.add(ORDER, &self.order);
        self.axes.write(writer);
        writer.add(NUMBERS, &self.numbers);
        self.coarse.rows.write(COARSE, writer);
        self.fine.write(FINE, writer);
        self.full.write(FULL, writer);
        self.centers.write(CENTERS, writer);
    }

    /// What a search for the `k` rows nearest to `query` looks at.
    pub(super) fn work(&self, query: &[f32], k: usize) -> Work {
        let mut tasks = Vec::new();
        sweep::k_nearest(self, query, k, &mut tasks, &mut Vec::new());
        tasks.first().map_or(Work::default(), |task| task.work)
    }

    fn rows(&self) -> usize {
        self.order.len()
    }

    fn blocks(&self) -> usize {
        self.rows().div_ceil(BLOCK_ROWS)
    }

    /// The row at `position`.
    fn row(&self, position: u32) -> u32 {
        self.order[position as usize]
    }
}

impl Search for Pruned {
    fn nearest(&self, queries: Patches<'_>, scratch: &mut Scratch, pool: &Pool, out: &mut [Neighbor]) {
        sweep::nearest(self, queries, None, &mut scratch.tasks, pool, out);
    }

    fn farthest(&self, queries: Patches<'_>, scratch: &mut Scratch, pool: &Pool, out: &mut [Neighbor]) {
        sweep::nearest(self, queries, Some(&BestSoFar::default()), &mut scratch.tasks, pool, out);
    }

    fn k_nearest(&self, query: &[f32], k: usize, scratch: &mut Scratch, _: &Pool, out: &mut Vec<Neighbor>) {
        sweep::k_nearest(self, query, k, &mut scratch.tasks, out);
    }

    fn bytes(&self) -> usize {
        let interleaved = self.coarse.rows.owned_bytes() + self.centers.owned_bytes();
        let rounded = self.fine.owned_bytes() + self.full.owned_bytes();
        self.order.owned_bytes() + self.axes.bytes() + self.numbers.owned_bytes() + interleaved + rounded
    }

    fn scratch_bytes(&self, grid: (usize, usize), k: usize, threads: usize) -> usize {
        sweep::bytes(self, grid, k, threads)
    }
}
