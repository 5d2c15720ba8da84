//! Exact search that looks at few rows: bounds first, distances where the bounds leave a doubt.
//!
//! Four bounds, each a lower bound on a distance (see `sketch` and `rounded`): from a query to all rows of a block of 32; to a
//! row by a small sketch, sixteen queries at once; to a row by a larger sketch; to a row by all of its values, rounded. What
//! they leave is compared by `kernels::distance`, as the exhaustive search compares everything.

mod blocks;
mod build;
mod sweep;

use super::axes::Axes;
use super::rounded::Rounded;
use super::sketch::{MAX_DIMS, Sketch};
use super::{Rows, Scratch, Search};
use crate::bank::map::Slice;
use crate::bank::sections::{SectionWriter, Sections};
use crate::error::Result;
use crate::kernels::int8::{BLOCK, Blocks, STEP};
use crate::kernels::{Isa, Pool};
use crate::tensor::{Neighbor, Patches};
use std::sync::atomic::AtomicU32;
pub(super) use sweep::{Task, Work};

/// Exact search by bounds.
#[derive(Clone, Debug)]
pub struct Pruned {
    bank: Rows,
    dim: usize,
    isa: Isa,
    /// `order[position]` is the row at a position.
    order: Slice<u32>,
    axes: Axes,
    numbers: Slice<f64>,
    coarse: Coarse,
    /// What the fine sketch is made with; its scales are those of the rows.
    fine_sketch: Sketch,
    /// The rows' fine sketches, by position.
    fine: Rounded,
    /// All values of the rows, less the mean, by position.
    full: Rounded,
    /// The centre and radius of each block, themselves interleaved in blocks.
    centers: Slice<u8>,
    centers_bias: Slice<i32>,
}

/// The rows' codes in the coarse sketch, by position, interleaved in blocks.
#[derive(Clone, Debug)]
struct Coarse {
    sketch: Sketch,
    /// No row's error is larger.
    error: f64,
    codes: Slice<u8>,
    bias: Slice<i32>,
}

/// The bias of a row that is not there: no sum brings it up to a threshold.
const ABSENT: i32 = -(1 << 29);

/// What the signed codes of rows are raised by to be unsigned.
const RAISED: i16 = 128;

/// Where the sketches' numbers lie behind the coarse one's error.
const COARSE_AT: usize = 1;
const FINE_AT: usize = 4;

const ORDER: &str = "search.order";
const NUMBERS: &str = "search.numbers";
const COARSE: &str = "search.coarse";
const COARSE_BIAS: &str = "search.coarse.b";
const FINE: [&str; 2] = ["search.fine", "search.fine.n"];
const FULL: [&str; 2] = ["search.full", "search.full.n"];
const CENTERS: &str = "search.center";
const CENTERS_BIAS: &str = "search.center.b";

impl Sketch {
    fn numbers(&self) -> [f64; 3] {
        [self.dims as f64, self.offset.into(), self.scale.into()]
    }

    /// From [`numbers`](Self::numbers), if they can be those of a sketch.
    fn of_numbers(numbers: &[f64]) -> Option<Self> {
        let &[dims, offset, scale] = numbers else { return None };
        let dims = dims as usize;
        let fits = dims.is_power_of_two() && (STEP..=MAX_DIMS).contains(&dims);
        fits.then_some(Self { dims, offset: offset as f32, scale: scale as f32 })
    }
}

/// What `Pruned` consists of, made or read.
struct Parts {
    order: Slice<u32>,
    axes: Axes,
    numbers: Slice<f64>,
    coarse: (Slice<u8>, Slice<i32>),
    fine: Rounded,
    full: Rounded,
    centers: (Slice<u8>, Slice<i32>),
}

impl Pruned {
    /// Makes `bank`, of finite values, searchable.
    pub fn build(bank: Rows, isa: Isa, pool: &Pool) -> Self {
        let parts = build::parts(Patches { dim: bank.dim(), grid_width: 1, data: &bank.all() }, isa, pool);
        Self::assemble(bank, isa, parts).expect("what was just built has the shapes that it was built with")
    }

    /// The search of a model file over `bank`, in place; `None` where the file has another.
    ///
    /// # Errors
    /// A section is missing or of the wrong shape.
    pub fn open(sections: &Sections, bank: Rows, isa: Isa) -> Result<Option<Self>> {
        let Some(order) = sections.find(ORDER)? else { return Ok(None) };
        let numbers: Slice<f64> = sections.get(NUMBERS)?;
        let (rows, dim) = (bank.count(), bank.dim());
        let bad = |name: &str| sections.error(name, "other shapes", format!("those of {rows} rows of {dim}"));
        // The number of coordinates of the fine sketch says how many axes there are.
        let fine = numbers.get(FINE_AT..).and_then(Sketch::of_numbers).ok_or_else(|| bad(NUMBERS))?;
        let rounded = |names: [&'static str; 2], dims| {
            Rounded::open(sections, names, rows, dims)?.ok_or_else(|| bad(names[0]))
        };
        let parts = Parts {
            order,
            axes: Axes::open(sections, dim, Sketch::axes(fine.dims, dim), isa)?,
            numbers,
            coarse: (sections.get(COARSE)?, sections.get(COARSE_BIAS)?),
            fine: rounded(FINE, fine.dims)?,
            full: rounded(FULL, dim)?,
            centers: (sections.get(CENTERS)?, sections.get(CENTERS_BIAS)?),
        };
        Self::assemble(bank, isa, parts).map(Some).ok_or_else(|| bad("search.*"))
    }

    /// Adds the sections of the search to a model file.
    pub fn write<'a>(&'a self, writer: &mut SectionWriter<'a>) {
        writer.add(ORDER, &self.order);
        self.axes.write(writer);
        writer.add(NUMBERS, &self.numbers);
        writer.add(COARSE, &self.coarse.codes);
        writer.add(COARSE_BIAS, &self.coarse.bias);
        self.fine.write(FINE, writer);
        self.full.write(FULL, writer);
        writer.add(CENTERS, &self.centers);
        writer.add(CENTERS_BIAS, &self.centers_bias);
    }

    /// What a search for the `k` rows nearest to `query` looks at.
    pub(super) fn work(&self, query: &[f32], k: usize) -> Work {
        let mut tasks = Vec::new();
        sweep::k_nearest(self, query, k, &mut tasks, &mut Vec::new());
        tasks.first().map_or(Work::default(), |task| task.work)
    }

    /// `None` where shapes do not fit. Does not look at the codes: whatever they are, a search ends and stays inside the bank.
    fn assemble(bank: Rows, isa: Isa, parts: Parts) -> Option<Self> {
        let Parts { order, axes, numbers, coarse, fine, full, centers } = parts;
        let (rows, dim) = (bank.count(), bank.dim());
        let blocks = rows.div_ceil(BLOCK);
        let &error = numbers.first()?;
        let sketch = Sketch::of_numbers(numbers.get(COARSE_AT..FINE_AT)?)?;
        let fine_sketch = Sketch::of_numbers(numbers.get(FINE_AT..)?)?;
        let coarse = Coarse { sketch, error, codes: coarse.0, bias: coarse.1 };
        let fits = axes.count() == Sketch::axes(fine_sketch.dims, dim)
            && sketch.dims <= fine_sketch.dims
            && coarse.bias.len() == blocks * BLOCK
            && Some(coarse.codes.len()) == coarse.bias.len().checked_mul(sketch.dims)
            && centers.1.len() == blocks.next_multiple_of(BLOCK)
            && Some(centers.0.len()) == centers.1.len().checked_mul(sketch.dims + STEP)
            && order.len() == rows
            && order.iter().all(|&row| (row as usize) < rows);
        fits.then(|| Self {
            centers: centers.0,
            centers_bias: centers.1,
            bank,
            dim,
            isa,
            order,
            axes,
            numbers,
            coarse,
            fine_sketch,
            fine,
            full,
        })
    }

    fn rows(&self) -> usize {
        self.order.len()
    }

    fn blocks(&self) -> usize {
        self.rows().div_ceil(BLOCK)
    }

    /// The row at `position`.
    fn row(&self, position: u32) -> u32 {
        self.order[position as usize]
    }

    fn coarse_blocks(&self) -> Blocks<'_> {
        Blocks { codes: &self.coarse.codes, bias: &self.coarse.bias, dims: self.coarse.sketch.dims }
    }

    fn center_blocks(&self) -> Blocks<'_> {
        Blocks { codes: &self.centers, bias: &self.centers_bias, dims: self.coarse.sketch.dims + STEP }
    }
}

impl Search for Pruned {
    fn nearest(&self, queries: Patches<'_>, scratch: &mut Scratch, pool: &Pool, out: &mut [Neighbor]) {
        sweep::nearest(self, queries, None, &mut scratch.tasks, pool, out);
    }

    fn farthest(&self, queries: Patches<'_>, scratch: &mut Scratch, pool: &Pool, out: &mut [Neighbor]) {
        sweep::nearest(self, queries, Some(&AtomicU32::new(0)), &mut scratch.tasks, pool, out);
    }

    fn k_nearest(&self, query: &[f32], k: usize, scratch: &mut Scratch, _: &Pool, out: &mut Vec<Neighbor>) {
        sweep::k_nearest(self, query, k, &mut scratch.tasks, out);
    }

    fn bytes(&self) -> usize {
        let coarse = self.coarse.codes.owned_bytes() + self.coarse.bias.owned_bytes();
        let rounded = self.fine.owned_bytes() + self.full.owned_bytes();
        let centers = self.centers.owned_bytes() + self.centers_bias.owned_bytes();
        self.order.owned_bytes() + self.axes.bytes() + self.numbers.owned_bytes() + coarse + rounded + centers
    }

    fn scratch_bytes(&self, grid: (usize, usize), k: usize, threads: usize) -> usize {
        sweep::bytes(self, grid, k, threads)
    }
}
