//! Exact search that compares few rows: a cascade of lower bounds decides which.
//!
//! The rows are reordered into blocks of 32 similar ones, so that one bound can exclude a whole block.
//! Sixteen neighbouring patches (a group) go through the bank together, so that codes are read once for all
//! of them. Let `best[q]` be the nearest row found so far for query `q`. Each level excludes rows whose lower
//! bound exceeds the pruning radius of `best[q]`; the last one computes distances as the exhaustive search
//! does. No level can exclude the nearest row, nor a row at the same computed distance, so the result is that
//! of the exhaustive search.
//!
//! ```text
//! best[q] = a row that was near to a neighbouring patch, or of the most promising block
//! for each chunk of 32 blocks, beginning at the chunk of best[0]:
//!     1. blocks     = those whose centre may be near enough to some query   int8 product, centre and radius
//!     2. rows[q]    = rows of `blocks` whose coarse sketch may be           int8 product, 64 coordinates
//!     3. rows[q]    = those whose fine sketch may be                        8 by 12 bits, 128 coordinates
//!        compare the most promising one, which usually lowers best[q]
//!     4. rows[q]    = those whose quantised values may be                   8 by 12 bits, all values
//!        compare them in the order of their bounds, until a bound exceeds the radius of best[q]
//! ```
//!
//! Levels 2 and 3 are the sketches of [`super::sketch`], level 4 is [`super::quantized`]; their error bounds
//! are proved there.
//!
//! # Level 1: block centres
//!
//! Let `s` be the scale of the coarse sketch, `C` the integer codes of a block's centre and `R` an integer
//! with `|sketch(row) - s C| <= s R` for every row of the block, errors included. Let `e` be the error of the
//! query's codes `Q`, `D` its pruning radius and `T = ceil((D + e) / s)`. If a row of the block is within `D`
//! of the query, the triangle inequality gives
//!
//! ```text
//! s |Q - C| <= |query - row| + e + s R <= s (T + R)
//! ```
//!
//! and, squared and solved for the product,
//!
//! ```text
//! Q.C + T R - (|C|^2 - R^2) / 2 >= (|Q|^2 - T^2) / 2
//! ```
//!
//! The left side is one product of integer codes: `R` is stored as one more code of the centre and `T` as one
//! more code of the query. (`T` may exceed a byte, so it is split over four codes, and `R` is repeated as
//! often.)
//!
//! Searching a group of neighbouring patches is what makes this quick on photographs: their `best` rows are
//! good guesses for one another, and they need the same blocks.

mod blocks;
mod build;
mod interleaved;
mod sweep;

use super::axes::Axes;
use super::quantized::QuantizedRows;
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
use interleaved::InterleavedRows;
use sweep::BestSoFar;
pub(super) use sweep::{Sweep, WorkCounts};

/// Exact search behind a cascade of lower bounds.
#[derive(Clone, Debug)]
pub struct Pruned {
    bank: MemoryBank,
    dim: usize,
    isa: Isa,
    /// `order[position]` is the row at a position.
    order: Slice<u32>,
    axes: Axes,
    /// See [`parse_params`].
    params: Slice<f64>,
    coarse: CoarseLevel,
    /// The fine sketch. Each of its rows has its own scale.
    fine_sketch: Sketch,
    /// The rows' fine sketches, by position.
    fine: QuantizedRows,
    /// All values of the rows, centred and quantised, by position.
    full: QuantizedRows,
    /// The centre and radius of each block.
    centers: InterleavedRows,
}

/// Coarse sketches of all rows, with one scale.
#[derive(Clone, Debug)]
struct CoarseLevel {
    sketch: Sketch,
    /// Distance between adjacent codes.
    scale: f32,
    /// The largest error of a row.
    error: f64,
    /// The rows' codes, by position.
    rows: InterleavedRows,
}

/// The zero point of row codes: added to signed codes to make them unsigned.
const ZERO_POINT: i16 = 128;

const ORDER: &str = "search.order";
const LEVEL_PARAMS: &str = "search.numbers";
const COARSE: [&str; 2] = ["search.coarse", "search.coarse.b"];
const FINE: [&str; 2] = ["search.fine", "search.fine.n"];
const FULL: [&str; 2] = ["search.full", "search.full.n"];
const CENTERS: [&str; 2] = ["search.center", "search.center.b"];

impl Sketch {
    fn params(&self, scale: f32) -> [f64; 3] {
        [self.dims as f64, self.offset.into(), scale.into()]
    }

    /// Reverses [`params`](Self::params); `None` if no sketch has these.
    fn from_params([dims, offset, scale]: [f64; 3]) -> Option<(Self, f32)> {
        let dims = dims as usize;
        let fits = dims.is_power_of_two() && (STEP..=MAX_DIMS).contains(&dims);
        fits.then_some((Self { dims, offset: offset as f32 }, scale as f32))
    }
}

/// The contents of `search.numbers`: the coarse level's error and scale, and both sketches. The fine sketch's
/// scale is unused.
fn parse_params(params: &[f64]) -> Option<(f64, f32, [Sketch; 2])> {
    let (&error, sketches) = params.split_first()?;
    let (&[coarse, fine], []) = sketches.as_chunks::<3>() else { return None };
    let ((coarse, scale), (fine, _)) = (Sketch::from_params(coarse)?, Sketch::from_params(fine)?);
    (coarse.dims <= fine.dims).then_some((error, scale, [coarse, fine]))
}

impl Pruned {
    /// Upper bound on the bytes a row that [`build`](Self::build) takes, without the row itself.
    #[cfg(feature = "train")]
    pub(super) fn build_bytes(dim: usize) -> u64 {
        build::row_bytes(dim)
    }

    /// Builds the search over `bank`, whose values are finite.
    pub fn build(bank: MemoryBank, isa: Isa, pool: &Pool) -> Self {
        build::build_pruned(&bank, isa, pool)
    }

    /// Opens the search of a model file over `bank`, in place; `None` if the file has another search. The
    /// codes are not validated: with any codes, a search ends and returns rows of the bank.
    ///
    /// # Errors
    /// A section is missing or of the wrong shape.
    pub fn open(sections: &Sections, bank: MemoryBank, isa: Isa) -> Result<Option<Self>> {
        let Some(order) = sections.find::<u32>(ORDER)? else { return Ok(None) };
        let params: Slice<f64> = sections.get(LEVEL_PARAMS)?;
        let (rows, dim) = (bank.count(), bank.dim());
        let bad = |name: &str| sections.error(name, "other shapes", format!("those of {rows} rows of {dim}"));
        let quantized_rows = |names: [&str; 2], dims| {
            QuantizedRows::open(sections, names, rows, dims)?.ok_or_else(|| bad(names[0]))
        };
        let interleaved = |names: [&str; 2], rows, dims| {
            InterleavedRows::open(sections, names, rows, dims)?.ok_or_else(|| bad(names[0]))
        };
        if order.len() != rows || order.iter().any(|&row| row as usize >= rows) {
            return Err(bad(ORDER));
        }
        let (error, scale, [coarse, fine]) = parse_params(&params).ok_or_else(|| bad(LEVEL_PARAMS))?;
        Ok(Some(Self {
            order,
            // The fine sketch uses all axes.
            axes: Axes::open(sections, dim, Sketch::axes(fine.dims, dim), isa)?,
            coarse: CoarseLevel {
                sketch: coarse,
                scale,
                error,
                rows: interleaved(COARSE, rows, coarse.dims)?,
            },
            fine_sketch: fine,
            fine: quantized_rows(FINE, fine.dims)?,
            full: quantized_rows(FULL, dim)?,
            centers: interleaved(CENTERS, rows.div_ceil(BLOCK_ROWS), coarse.dims + STEP)?,
            params,
            bank,
            dim,
            isa,
        }))
    }

    /// Adds the sections of the search to a model file.
    pub fn write<'a>(&'a self, writer: &mut SectionWriter<'a>) {
        writer.add(ORDER, &self.order);
        self.axes.write(writer);
        writer.add(LEVEL_PARAMS, &self.params);
        self.coarse.rows.write(COARSE, writer);
        self.fine.write(FINE, writer);
        self.full.write(FULL, writer);
        self.centers.write(CENTERS, writer);
    }

    /// Counts the work of a search for the `k` rows nearest to `query`.
    pub(super) fn count_work(&self, query: &[f32], k: usize) -> WorkCounts {
        let mut sweeps = Vec::new();
        sweep::k_nearest(self, query, k, &mut sweeps, &mut Vec::new());
        sweeps.first().map_or(WorkCounts::default(), |sweep| sweep.work)
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
        sweep::nearest(self, queries, None, &mut scratch.sweeps, pool, out);
    }

    fn farthest(&self, queries: Patches<'_>, scratch: &mut Scratch, pool: &Pool, out: &mut [Neighbor]) {
        sweep::nearest(self, queries, Some(&BestSoFar::default()), &mut scratch.sweeps, pool, out);
    }

    fn k_nearest(&self, query: &[f32], k: usize, scratch: &mut Scratch, _: &Pool, out: &mut Vec<Neighbor>) {
        sweep::k_nearest(self, query, k, &mut scratch.sweeps, out);
    }

    fn bytes(&self) -> usize {
        let interleaved = self.coarse.rows.owned_bytes() + self.centers.owned_bytes();
        let quantized_rows = self.fine.owned_bytes() + self.full.owned_bytes();
        self.order.owned_bytes()
            + self.axes.bytes()
            + self.params.owned_bytes()
            + interleaved
            + quantized_rows
    }

    fn scratch_bytes(&self, grid: (usize, usize), k: usize, threads: usize) -> usize {
        sweep::scratch_bytes(self, grid, k, threads)
    }
}
