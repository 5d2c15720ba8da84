//! Vectors quantised with a scale of their own: rows to 8 bits a value, queries to 12.
//!
//! Let a row be approximated by `s X`, with integer codes `X`, and `e` bound the distance from the row to `s
//! X`; likewise `t Q` and `e'` for a query. By the triangle inequality,
//!
//! ```text
//! |query - row| >= |t Q - s X| - e - e',    |t Q - s X|^2 = t^2 |Q|^2 + s^2 |X|^2 - 2 s t Q.X
//! ```
//!
//! `Q.X` is an exact integer; `kernels::bounds` evaluates the rest in f32 and rounds it down.
//!
//! # The error `e`
//!
//! `residual_sq = |v - s X|^2` is summed in f32 over chunks of at most `CHUNK_VALUES` values, so its root has
//! a relative error below `2 CHUNK_VALUES u`, where `u` is the unit roundoff, and an absolute one of
//! `sqrt(underflow)`. Each product `s x` rounds once, which moves `s X` by at most `u |s X|`; `|s X|` is at
//! most the stored length and the residual together. Four of these cover the f32 roundings of the stored
//! scale and length, too.

use super::sketch::{TINY, UNIT, underflow};
use crate::error::Result;
use crate::kernels::bounds::{self, PARAMS};
use crate::kernels::distance::prefetch;
use crate::kernels::{Isa, quantize};
use crate::model_file::map::Slice;
use crate::model_file::sections::{SectionWriter, Sections};

/// The largest code of a row: that of a byte.
const ROW_MAX_CODE: i16 = 127;
/// The largest code of a query, in so few dimensions that their products with a row fit 32 bits.
const QUERY_MAX_CODE: i16 = 2047;
/// Values that are quantized at once.
const CHUNK_VALUES: usize = 256;
/// Scales whose squares neither vanish nor overflow in f32.
const SCALES: std::ops::RangeInclusive<f32> = 1e-15..=1e15;

/// Quantised rows.
#[derive(Clone, Debug)]
pub(super) struct QuantizedRows {
    dims: usize,
    codes: Slice<i8>,
    /// Scale, squared length and error of each row, see `kernels::bounds`.
    params: Slice<f32>,
}

/// Collects [`QuantizedRows`].
pub(super) struct QuantizedRowsBuilder {
    codes: Vec<i8>,
    params: Vec<f32>,
    dims: usize,
    buffer: Vec<i16>,
}

/// Quantised queries. Their memory is reused.
#[derive(Debug, Default)]
pub(super) struct QuantizedQueries {
    dims: usize,
    codes: Vec<i16>,
    params: Vec<VectorParams>,
}

/// What is known of a quantised vector beside its codes.
#[derive(Clone, Copy, Debug, Default)]
struct VectorParams {
    scale: f32,
    /// Squared length of the quantised vector.
    squared: f32,
    /// Upper bound on its distance from the vector; infinite where none is known.
    error: f64,
}

impl QuantizedRows {
    /// Reads `rows` rows of `dims` values from a model file; `None` if the sections have other lengths.
    pub fn open(
        sections: &Sections,
        [codes, params]: [&str; 2],
        rows: usize,
        dims: usize,
    ) -> Result<Option<Self>> {
        let all = Self { dims, codes: sections.get(codes)?, params: sections.get(params)? };
        let fits = Some(all.codes.len()) == rows.checked_mul(dims)
            && Some(all.params.len()) == rows.checked_mul(PARAMS);
        Ok(fits.then_some(all))
    }

    pub fn write<'a>(&'a self, [codes, params]: [&'static str; 2], writer: &mut SectionWriter<'a>) {
        writer.add(codes, &self.codes);
        writer.add(params, &self.params);
    }

    pub fn dims(&self) -> usize {
        self.dims
    }

    pub fn owned_bytes(&self) -> usize {
        self.codes.owned_bytes() + self.params.owned_bytes()
    }

    /// Adds those of `rows` that may be within `distance` of query `q` to `out`, with lower bounds that
    /// compare to [`QuantizedQueries::limit`].
    pub fn rows_within(
        &self,
        isa: Isa,
        queries: &QuantizedQueries,
        q: usize,
        distance: f64,
        rows: &[u32],
        out: &mut Vec<(f32, u32)>,
    ) {
        let limit = queries.limit(q, distance);
        bounds::collect_candidates(isa, self.rows(), rows, queries.get(q), limit, out);
    }

    /// The one of `rows` whose quantised values are nearest to those of query `q`.
    pub fn nearest(&self, isa: Isa, queries: &QuantizedQueries, q: usize, rows: &[u32]) -> Option<u32> {
        bounds::find_nearest(isa, self.rows(), rows, queries.get(q))
    }

    fn rows(&self) -> bounds::CodeRows<'_> {
        let (params, _) = self.params.as_chunks();
        bounds::CodeRows { codes: &self.codes, params }
    }

    /// Fetches `row` into the cache.
    pub fn prefetch(&self, row: u32) {
        let row = row as usize;
        prefetch(&self.codes[row * self.dims..][..self.dims]);
        prefetch(&self.params[row * PARAMS..][..PARAMS]);
    }
}

impl QuantizedRowsBuilder {
    pub fn new(rows: usize, dims: usize) -> Self {
        let (codes, params) = (Vec::with_capacity(rows * dims), Vec::with_capacity(rows * PARAMS));
        Self { codes, params, dims, buffer: vec![0; dims] }
    }

    /// Adds a row. `error` bounds the error of its values.
    pub fn push(&mut self, values: &[f32], error: f64, isa: Isa) {
        let VectorParams { scale, squared, error } =
            quantize_vector(values, error, ROW_MAX_CODE, isa, &mut self.buffer);
        self.codes.extend(self.buffer.iter().map(|&code| code as i8));
        self.params.extend([scale, squared, (error as f32).next_up()]);
    }

    pub fn finish(self) -> QuantizedRows {
        QuantizedRows { dims: self.dims, codes: self.codes.into(), params: self.params.into() }
    }
}

impl QuantizedQueries {
    /// Makes room for `count` queries of `dims` values.
    pub fn resize(&mut self, count: usize, dims: usize) {
        self.dims = dims;
        self.codes.resize(count * dims, 0);
        self.params.resize(count, VectorParams::default());
    }

    /// Bytes that `count` queries of `dims` values take.
    pub fn bytes(count: usize, dims: usize) -> usize {
        count * (dims * size_of::<i16>() + size_of::<VectorParams>())
    }

    /// Sets query `q`. `error` bounds the error of its values.
    pub fn set(&mut self, q: usize, values: &[f32], error: f64, isa: Isa) {
        let fits = i32::MAX / i32::from(ROW_MAX_CODE) / self.dims.max(1) as i32;
        let max_code = fits.clamp(1, QUERY_MAX_CODE.into()) as i16;
        let codes = &mut self.codes[q * self.dims..][..self.dims];
        self.params[q] = quantize_vector(values, error, max_code, isa, codes);
    }

    fn get(&self, q: usize) -> bounds::Query<'_> {
        let VectorParams { scale, squared, .. } = self.params[q];
        bounds::Query { codes: &self.codes[q * self.dims..][..self.dims], scale, squared }
    }

    /// The greatest lower bound that a row within `distance` of query `q` can have.
    pub fn limit(&self, q: usize, distance: f64) -> f32 {
        ((distance + self.params[q].error) as f32).next_up()
    }
}

/// Writes the codes of `values`, whose error is at most `error`.
fn quantize_vector(values: &[f32], error: f64, max_code: i16, isa: Isa, codes: &mut [i16]) -> VectorParams {
    let scale = (quantize::max_abs(isa, values) / f32::from(max_code)).clamp(*SCALES.start(), *SCALES.end());
    let (mut squared, mut residual_sq) = (0i64, 0.0);
    for (values, codes) in values.chunks(CHUNK_VALUES).zip(codes.chunks_mut(CHUNK_VALUES)) {
        let part = quantize::quantise(isa, values, max_code, scale, codes);
        squared += i64::from(part.code_sq_sum);
        residual_sq += f64::from(part.residual_sq);
    }
    let squared = f64::from(scale).powi(2) * squared as f64;
    let residual = (residual_sq + underflow(values.len())).sqrt();
    let residual = residual * (1.0 + UNIT * (2 * CHUNK_VALUES) as f64) + TINY;
    let error = error + residual + 4.0 * UNIT * (squared.sqrt() + residual);
    VectorParams {
        scale,
        squared: squared as f32,
        error: if error.is_finite() { error } else { f64::INFINITY },
    }
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
                    let mut builder = QuantizedRowsBuilder::new(rows, dims);
                    all.iter().for_each(|row| builder.push(row, 0.0, isa));
                    let quantized = builder.finish();
                    let mut params = QuantizedQueries::default();
                    params.resize(queries, dims);
                    let chosen: Vec<u32> = (0..rows as u32).collect();
                    for (q, query) in asked.chunks_exact(dims).enumerate() {
                        params.set(q, query, 0.0, isa);
                        let mut distances: Vec<f64> = all.iter().map(|row| distance(query, row)).collect();
                        let exact = distances.clone();
                        distances.sort_by(f64::total_cmp);
                        let limit = distances[20];
                        let mut kept = Vec::new();
                        quantized.rows_within(isa, &params, q, limit, &chosen, &mut kept);
                        let about = format!("{isa:?} {dims} {scale} query {q}");
                        let near = (0..rows).filter(|&i| exact[i] <= limit);
                        for i in near {
                            assert!(
                                kept.iter().any(|(_, row)| *row as usize == i),
                                "{about}: row {i} of {limit}"
                            );
                        }
                        for &(bound, row) in &kept {
                            let least = f64::from(bound) - params.params[q].error;
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
        // The row's largest values are beyond the largest scale; only the squared distance of the clamped row
        // overflows.
        let query = [1.83e18; 100];
        let mut row = query;
        row[..80].fill(-1.27e17);
        for isa in Isa::available() {
            let mut builder = QuantizedRowsBuilder::new(1, 100);
            builder.push(&row, 0.0, isa);
            let mut queries = QuantizedQueries::default();
            queries.resize(1, 100);
            queries.set(0, &query, 0.0, isa);
            let mut kept = Vec::new();
            builder.finish().rows_within(isa, &queries, 0, distance(&query, &row), &[0], &mut kept);
            assert_eq!(kept.len(), 1, "{isa:?}");
        }
    }

    #[test]
    fn products_of_many_values_do_not_wrap() {
        // With codes of 12 bits, so many times the largest products would be beyond 32.
        let dims = 20_000;
        for isa in Isa::available() {
            let mut builder = QuantizedRowsBuilder::new(1, dims);
            builder.push(&vec![1.0; dims], 0.0, isa);
            let mut queries = QuantizedQueries::default();
            queries.resize(1, dims);
            queries.set(0, &vec![1.0; dims], 0.0, isa);
            let mut kept = Vec::new();
            builder.finish().rows_within(isa, &queries, 0, 0.0, &[0], &mut kept);
            assert_eq!(kept.len(), 1, "{isa:?}");
        }
    }

    #[test]
    fn vectors_with_nan_or_infinite_values_are_never_excluded() {
        let isa = Isa::best();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut builder = QuantizedRowsBuilder::new(2, 3);
            builder.push(&[1.0, bad, 0.0], 0.0, isa);
            builder.push(&[1.0, 2.0, 0.0], f64::NAN, isa);
            let quantized = builder.finish();
            let mut queries = QuantizedQueries::default();
            queries.resize(2, 3);
            queries.set(0, &[5.0, 5.0, 5.0], 0.0, isa);
            queries.set(1, &[5.0, bad, 5.0], 0.0, isa);
            for q in [0, 1] {
                let mut kept = Vec::new();
                quantized.rows_within(isa, &queries, q, 0.0, &[0, 1], &mut kept);
                assert_eq!(kept.len(), 2, "{bad} query {q}");
            }
        }
    }
}
