//! Vectors rounded to multiples of a scale, each of its own: rows to 8 bits a value, queries to 12.
//!
//! If `s X` is a row so rounded and `e` bounds how far it is from the row, likewise `t Q` and `e'` for a query, then
//!
//! ```text
//! |query - row| >= |t Q - s X| - e - e',   |t Q - s X|^2 = t^2 |Q|^2 + s^2 |X|^2 - 2 s t Q.X
//! ```
//!
//! with `Q.X` in exact whole numbers.

use super::sketch::{TINY, UNIT};
use crate::error::Result;
use crate::kernels::bounds::{self, PARAMS};
use crate::kernels::distance::prefetch;
use crate::kernels::{Isa, quantize};
use crate::model_file::map::Slice;
use crate::model_file::sections::{SectionWriter, Sections};

/// The largest codes: of rows those of a byte, of queries less where so many products would not fit 32 bits.
const ROW_MOST: i16 = 127;
const QUERY_MOST: i16 = 2047;
/// Values that are rounded at once.
const PART: usize = 256;
/// A scale whose square is not nothing, and one that is finite: beyond that, nothing is known of a vector.
const SCALES: std::ops::RangeInclusive<f32> = 1e-15..=1e15;

/// Rows, rounded.
#[derive(Clone, Debug)]
pub(super) struct Rounded {
    dims: usize,
    codes: Slice<i8>,
    /// `PARAMS` a row, see `kernels::bounds`.
    numbers: Slice<f32>,
}

/// Rows on their way to be [`Rounded`].
pub(super) struct Rounding {
    codes: Vec<i8>,
    numbers: Vec<f32>,
    dims: usize,
    buffer: Vec<i16>,
}

/// Queries, rounded; the memory is kept.
#[derive(Debug, Default)]
pub(super) struct RoundedQueries {
    dims: usize,
    codes: Vec<i16>,
    known: Vec<Known>,
}

/// What is known of a vector beside its codes.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    scale: f32,
    /// Squared length of the rounded vector.
    squared: f32,
    /// How far that is from the vector at most; infinite where nothing is known.
    error: f64,
}

impl Rounded {
    /// The rows of a model file, if there are as many as that and of such length.
    pub fn open(
        sections: &Sections,
        [codes, numbers]: [&str; 2],
        rows: usize,
        dims: usize,
    ) -> Result<Option<Self>> {
        let all = Self { dims, codes: sections.get(codes)?, numbers: sections.get(numbers)? };
        let fits = Some(all.codes.len()) == rows.checked_mul(dims)
            && Some(all.numbers.len()) == rows.checked_mul(PARAMS);
        Ok(fits.then_some(all))
    }

    pub fn write<'a>(&'a self, [codes, numbers]: [&'static str; 2], writer: &mut SectionWriter<'a>) {
        writer.add(codes, &self.codes);
        writer.add(numbers, &self.numbers);
    }

    pub fn dims(&self) -> usize {
        self.dims
    }

    pub fn owned_bytes(&self) -> usize {
        self.codes.owned_bytes() + self.numbers.owned_bytes()
    }

    /// Adds those of `rows` that can be within `distance` of query `q` to `out`, with their lower bounds; see
    /// [`RoundedQueries::limit`].
    pub fn within(
        &self,
        isa: Isa,
        queries: &RoundedQueries,
        q: usize,
        distance: f64,
        rows: &[u32],
        out: &mut Vec<(f32, u32)>,
    ) {
        let limit = queries.limit(q, distance);
        bounds::collect_candidates(isa, self.rows(), rows, queries.get(q), limit, out);
    }

    /// The one of `rows` that is nearest to query `q` as far as rounded values say.
    pub fn nearest(&self, isa: Isa, queries: &RoundedQueries, q: usize, rows: &[u32]) -> Option<u32> {
        bounds::find_nearest(isa, self.rows(), rows, queries.get(q))
    }

    fn rows(&self) -> bounds::CodeRows<'_> {
        let (numbers, _) = self.numbers.as_chunks();
        bounds::CodeRows { codes: &self.codes, params: numbers }
    }

    /// Asks for `row` to be brought near.
    pub fn prefetch(&self, row: u32) {
        let row = row as usize;
        prefetch(&self.codes[row * self.dims..][..self.dims]);
        prefetch(&self.numbers[row * PARAMS..][..PARAMS]);
    }
}

impl Rounding {
    pub fn new(rows: usize, dims: usize) -> Self {
        let (codes, numbers) = (Vec::with_capacity(rows * dims), Vec::with_capacity(rows * PARAMS));
        Self { codes, numbers, dims, buffer: vec![0; dims] }
    }

    /// Adds a row that is off by at most `error`.
    pub fn push(&mut self, values: &[f32], error: f64, isa: Isa) {
        let Known { scale, squared, error } = round(values, error, ROW_MOST, isa, &mut self.buffer);
        self.codes.extend(self.buffer.iter().map(|&code| code as i8));
        self.numbers.extend([scale, squared, (error as f32).next_up()]);
    }

    pub fn finish(self) -> Rounded {
        Rounded { dims: self.dims, codes: self.codes.into(), numbers: self.numbers.into() }
    }
}

impl RoundedQueries {
    /// Makes room for `count` queries of `dims` values.
    pub fn resize(&mut self, count: usize, dims: usize) {
        self.dims = dims;
        self.codes.resize(count * dims, 0);
        self.known.resize(count, Known::default());
    }

    /// Memory of `count` queries of `dims` values.
    pub fn bytes(count: usize, dims: usize) -> usize {
        count * (dims * size_of::<i16>() + size_of::<Known>())
    }

    /// Sets query `q` to values that are off by at most `error`.
    pub fn set(&mut self, q: usize, values: &[f32], error: f64, isa: Isa) {
        let fits = i32::MAX / i32::from(ROW_MOST) / self.dims.max(1) as i32;
        let most = fits.clamp(1, QUERY_MOST.into()) as i16;
        let codes = &mut self.codes[q * self.dims..][..self.dims];
        self.known[q] = round(values, error, most, isa, codes);
    }

    fn get(&self, q: usize) -> bounds::Query<'_> {
        let Known { scale, squared, .. } = self.known[q];
        bounds::Query { codes: &self.codes[q * self.dims..][..self.dims], scale, squared }
    }

    /// What the bounds of a row that is within `distance` of query `q` are at most.
    pub fn limit(&self, q: usize, distance: f64) -> f32 {
        ((distance + self.known[q].error) as f32).next_up()
    }
}

/// Writes the codes of `values`, which are off by at most `error`.
fn round(values: &[f32], error: f64, most: i16, isa: Isa, codes: &mut [i16]) -> Known {
    let scale = (quantize::max_abs(isa, values) / f32::from(most)).clamp(*SCALES.start(), *SCALES.end());
    let (mut squared, mut off) = (0i64, 0.0);
    for (values, codes) in values.chunks(PART).zip(codes.chunks_mut(PART)) {
        let part = quantize::quantise(isa, values, most, scale, codes);
        squared += i64::from(part.code_sq_sum);
        off += f64::from(part.residual_sq);
    }
    let squared = f64::from(scale).powi(2) * squared as f64;
    // The differences' squares are off by the roundings of their sum; the multiples that they are taken from by one each, as
    // what they are the differences of is no longer than the rounded vector and the difference together.
    let off = off.sqrt() * (1.0 + UNIT * (2 * PART) as f64) + TINY;
    let error = error + off + 4.0 * UNIT * (squared.sqrt() + off);
    Known { scale, squared: squared as f32, error: if error.is_finite() { error } else { f64::INFINITY } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn vectors(count: usize, dims: usize, scale: f32, random: &mut Random) -> Vec<f32> {
        (0..count * dims).map(|_| (random.unit() as f32 - 0.5).powi(3) * scale).collect()
    }

    fn distance(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn no_row_within_the_distance_is_left_out_and_few_others_are_kept() {
        let (rows, queries) = (200, 3);
        for dims in [1, 2, 7, 64, 255, 256, 257, 1000] {
            for scale in [1e-30, 1e-3, 1.0, 1e4, 1e17] {
                let mut random = Random::new(dims as u64, 0);
                let all = vectors(rows, dims, scale, &mut random);
                let asked = vectors(queries, dims, scale, &mut random);
                let all: Vec<_> = all.chunks_exact(dims).collect();
                for isa in Isa::available() {
                    let mut rounding = Rounding::new(rows, dims);
                    all.iter().for_each(|row| rounding.push(row, 0.0, isa));
                    let rounded = rounding.finish();
                    let mut known = RoundedQueries::default();
                    known.resize(queries, dims);
                    let chosen: Vec<u32> = (0..rows as u32).collect();
                    for (q, query) in asked.chunks_exact(dims).enumerate() {
                        known.set(q, query, 0.0, isa);
                        let mut distances: Vec<f64> = all.iter().map(|row| distance(query, row)).collect();
                        let exact = distances.clone();
                        distances.sort_by(f64::total_cmp);
                        let limit = distances[20];
                        let mut kept = Vec::new();
                        rounded.within(isa, &known, q, limit, &chosen, &mut kept);
                        let about = format!("{isa:?} {dims} {scale} query {q}");
                        let near = (0..rows).filter(|&i| exact[i] <= limit);
                        for i in near {
                            assert!(
                                kept.iter().any(|(_, row)| *row as usize == i),
                                "{about}: row {i} of {limit}"
                            );
                        }
                        for &(bound, row) in &kept {
                            let least = f64::from(bound) - known.known[q].error;
                            assert!(least <= exact[row as usize], "{about}: row {row}");
                            // The codes are those of a hundredth of the largest value or less.
                            if (1e-3..1e5).contains(&scale) {
                                assert!(
                                    exact[row as usize] <= limit * 1.05 + 0.01 * f64::from(scale),
                                    "{about}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_is_kept_that_is_nearer_than_what_it_is_rounded_to() {
        // The row's scale ends below its largest values; the square of the distance overflows only where they are cut.
        let query = [1.83e18; 100];
        let mut row = query;
        row[..80].fill(-1.27e17);
        for isa in Isa::available() {
            let mut rounding = Rounding::new(1, 100);
            rounding.push(&row, 0.0, isa);
            let mut queries = RoundedQueries::default();
            queries.resize(1, 100);
            queries.set(0, &query, 0.0, isa);
            let mut kept = Vec::new();
            rounding.finish().within(isa, &queries, 0, distance(&query, &row), &[0], &mut kept);
            assert_eq!(kept.len(), 1, "{isa:?}");
        }
    }

    #[test]
    fn products_of_many_values_do_not_wrap() {
        // With codes of 12 bits, so many times the largest products would be beyond 32.
        let dims = 20_000;
        for isa in Isa::available() {
            let mut rounding = Rounding::new(1, dims);
            rounding.push(&vec![1.0; dims], 0.0, isa);
            let mut queries = RoundedQueries::default();
            queries.resize(1, dims);
            queries.set(0, &vec![1.0; dims], 0.0, isa);
            let mut kept = Vec::new();
            rounding.finish().within(isa, &queries, 0, 0.0, &[0], &mut kept);
            assert_eq!(kept.len(), 1, "{isa:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_in_reach_of_everything() {
        let isa = Isa::best();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut rounding = Rounding::new(2, 3);
            rounding.push(&[1.0, bad, 0.0], 0.0, isa);
            rounding.push(&[1.0, 2.0, 0.0], f64::NAN, isa);
            let rounded = rounding.finish();
            let mut queries = RoundedQueries::default();
            queries.resize(2, 3);
            queries.set(0, &[5.0, 5.0, 5.0], 0.0, isa);
            queries.set(1, &[5.0, bad, 5.0], 0.0, isa);
            for q in [0, 1] {
                let mut kept = Vec::new();
                rounded.within(isa, &queries, q, 0.0, &[0, 1], &mut kept);
                assert_eq!(kept.len(), 2, "{bad} query {q}");
            }
        }
    }
}
