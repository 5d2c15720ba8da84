//! Building a pruned search: axes, order of the rows, and codes of each level.

use super::interleaved::{InterleavedRows, InterleavedRowsBuilder};
use super::{CoarseLevel, Pruned, ZERO_POINT, blocks};
use crate::kernels::Isa;
#[cfg(feature = "train")]
use crate::kernels::bounds::PARAMS;
use crate::kernels::int8::{BLOCK_ROWS, STEP};
use crate::memory_bank::MemoryBank;
use crate::parallel::Pool;
use crate::search::axes::{Axes, AxisCoordinates};
use crate::search::quantized::{QuantizedRows, QuantizedRowsBuilder};
use crate::search::sketch::{self, MAX_DIMS, Sketch};
use crate::tensor::Patches;
use std::iter::repeat_n;

/// Coordinates of the two sketches.
const COARSE_DIMS: usize = 64;
const FINE_DIMS: usize = MAX_DIMS;
/// A bias with which every sum reaches every threshold.
const ALWAYS: i32 = 1 << 29;

/// All rows projected to one sketch, by position.
struct SketchedRows {
    sketch: Sketch,
    values: Vec<f32>,
    errors: Vec<f64>,
}

/// Upper bound on the bytes a row that [`build_pruned`] takes: coordinates, both sketches with their errors,
/// and all codes.
#[cfg(feature = "train")]
pub(super) fn row_bytes(dim: usize) -> u64 {
    let along = FINE_DIMS * size_of::<f32>();
    let sketched = (COARSE_DIMS + FINE_DIMS) * size_of::<f32>() + 2 * size_of::<f64>();
    let coarse = COARSE_DIMS + size_of::<i32>();
    let quantized_rows = FINE_DIMS + dim + 2 * PARAMS * size_of::<f32>();
    (along + sketched + coarse + quantized_rows + size_of::<u32>()) as u64
}

/// Builds the search over `bank`, whose values are finite.
pub(super) fn build_pruned(bank: &MemoryBank, isa: Isa, pool: &Pool) -> Pruned {
    let (dim, values) = (bank.dim(), bank.all());
    let rows = Patches { dim, grid_width: 1, data: &values };
    // The coordinates along all axes, and the residual.
    let dims = |max: usize| (dim + 1).next_power_of_two().clamp(STEP, max);
    let (coarse_dims, fine_dims) = (dims(COARSE_DIMS), dims(FINE_DIMS));
    let axes = Axes::fit(rows, Sketch::axes(fine_dims, dim), isa, pool);
    let projected = axes.project_all(rows, pool);
    let order =
        blocks::order_rows(projected.along(), axes.count(), Sketch::axes(coarse_dims, dim), BLOCK_ROWS);
    let coarse = SketchedRows::new(&axes, &projected, coarse_dims, &order, isa);
    let scale = coarse.scale();
    let (coarse_rows, error) = coarse_rows(&coarse, scale, isa);
    let centers = centers(&coarse, scale, isa);
    let fine = SketchedRows::new(&axes, &projected, fine_dims, &order, isa);
    let params = [&[error][..], &coarse.sketch.params(scale), &fine.sketch.params(fine.scale())].concat();
    Pruned {
        bank: bank.clone(),
        dim,
        isa,
        params: params.into(),
        coarse: CoarseLevel { sketch: coarse.sketch, scale, error, rows: coarse_rows },
        fine_sketch: fine.sketch,
        fine: fine_rows(&fine, isa),
        full: full_rows(rows, &axes, &order, isa),
        centers,
        order: order.into(),
        axes,
    }
}

impl SketchedRows {
    fn new(axes: &Axes, projected: &AxisCoordinates, dims: usize, order: &[u32], isa: Isa) -> Self {
        let coordinates = |&row: &u32| axes.coordinates(projected, row as usize);
        let sketch = Sketch::fit(dims, order.iter().map(coordinates), isa);
        let mut values = vec![0.0; order.len() * dims];
        let errors = values
            .chunks_exact_mut(dims)
            .zip(order)
            .map(|(out, row)| sketch.project(coordinates(row), isa, out))
            .collect();
        Self { sketch, values, errors }
    }

    /// The sketch of each row, and its error.
    fn rows(&self) -> impl Iterator<Item = (&[f32], f64)> {
        self.values.chunks_exact(self.sketch.dims).zip(self.errors.iter().copied())
    }

    /// A scale for the codes of all rows.
    fn scale(&self) -> f32 {
        sketch::scale_for(self.values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs())))
    }
}

/// The coarse codes of all rows, and the largest error.
fn coarse_rows(sketched: &SketchedRows, scale: f32, isa: Isa) -> (InterleavedRows, f64) {
    let dims = sketched.sketch.dims;
    let mut rows = InterleavedRowsBuilder::new(sketched.errors.len(), dims);
    let mut codes = [0; MAX_DIMS];
    let codes = &mut codes[..dims];
    let mut largest = 0.0;
    for (position, (values, error)) in sketched.rows().enumerate() {
        let params = sketch::quantize_sketch(values, error, scale, isa, codes);
        largest = params.error.max(largest);
        rows.set(position, with_zero_point(codes), sketch::row_bias(params.code_sq_sum));
    }
    (rows.finish(), largest)
}

/// The fine sketches of all rows.
fn fine_rows(sketched: &SketchedRows, isa: Isa) -> QuantizedRows {
    let mut rows = QuantizedRowsBuilder::new(sketched.errors.len(), sketched.sketch.dims);
    sketched.rows().for_each(|(values, error)| rows.push(values, error, isa));
    rows.finish()
}

/// All values of the rows, centred.
fn full_rows(bank: Patches<'_>, axes: &Axes, order: &[u32], isa: Isa) -> QuantizedRows {
    let mut rows = QuantizedRowsBuilder::new(order.len(), bank.dim);
    let mut centred = vec![0.0; bank.dim];
    for &row in order {
        let squared = axes.centre(bank.row(row as usize), &mut centred);
        rows.push(&centred, sketch::centring_error(squared, bank.dim), isa);
    }
    rows.finish()
}

/// The codes of each block's centre, followed by the block's radius `R`, see the page of `pruned`.
fn centers(sketched: &SketchedRows, scale: f32, isa: Isa) -> InterleavedRows {
    let SketchedRows { sketch, values, errors } = sketched;
    let dims = sketch.dims;
    let mut centers = InterleavedRowsBuilder::new(errors.len().div_ceil(BLOCK_ROWS), dims + STEP);
    let members = values.chunks(BLOCK_ROWS * dims).zip(errors.chunks(BLOCK_ROWS));
    for (at, (values, errors)) in members.enumerate() {
        let mut center = [0; MAX_DIMS];
        let center = &mut center[..dims];
        let code_sq_sum = sketch::quantize_sketch(&mean(values, dims), 0.0, scale, isa, center).code_sq_sum;
        let radius = |(values, &error): (&[f32], &f64)| radius(values, error, center, scale);
        let radius = values.chunks_exact(dims).zip(errors).map(radius).fold(0.0, f64::max);
        let radius = (radius / f64::from(scale) * (1.0 + 1e-9)).ceil();
        let (step, bias) = if radius > f64::from(u8::MAX) {
            (0, ALWAYS)
        } else {
            (radius as u8, sketch::row_bias(code_sq_sum - (radius * radius) as i64))
        };
        centers.set(at, with_zero_point(center).chain(repeat_n(step, STEP)), bias);
    }
    centers.finish()
}

fn mean(rows: &[f32], dims: usize) -> Vec<f32> {
    let count = (rows.len() / dims) as f32;
    (0..dims).map(|dim| rows.iter().skip(dim).step_by(dims).map(|value| value / count).sum()).collect()
}

/// Upper bound on the distance from `values`, whose error is `error`, to `scale` times a code.
fn radius(values: &[f32], error: f64, code: &[i16], scale: f32) -> f64 {
    let difference = |(&value, &code): (&f32, &i16)| f64::from(value) - f64::from(scale) * f64::from(code);
    let radius = values.iter().zip(code).map(difference).map(|d| d * d).sum::<f64>().sqrt() + error;
    if radius.is_nan() { f64::INFINITY } else { radius }
}

/// Signed codes as unsigned bytes.
fn with_zero_point(codes: &[i16]) -> impl Iterator<Item = u8> {
    codes.iter().map(|&code| (code + ZERO_POINT) as u8)
}
