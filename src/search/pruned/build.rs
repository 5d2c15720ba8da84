//! Axes, order and codes of a memory bank.

use super::interleaved::{Interleaved, Interleaving};
use super::{Coarse, Pruned, RAISED, blocks};
use crate::kernels::Isa;
#[cfg(feature = "train")]
use crate::kernels::bounds::PARAMS;
use crate::kernels::int8::{BLOCK_ROWS, STEP};
use crate::memory_bank::MemoryBank;
use crate::parallel::Pool;
use crate::search::axes::{Axes, Projected};
use crate::search::quantized::{Rounded, Rounding};
use crate::search::sketch::{self, MAX_DIMS, Sketch};
use crate::tensor::Patches;
use std::iter::repeat_n;

/// Coordinates of the two sketches.
const COARSE_DIMS: usize = 64;
const FINE_DIMS: usize = MAX_DIMS;
/// A bias that no sum brings below a threshold.
const ALWAYS: i32 = 1 << 29;

/// All rows lifted into one sketch, by position.
struct Lifted {
    sketch: Sketch,
    values: Vec<f32>,
    errors: Vec<f64>,
}

/// Bytes a row that [`build`] takes at most: what it is along the axes, both sketches with their errors, and all codes.
#[cfg(feature = "train")]
pub(super) fn bytes(dim: usize) -> u64 {
    let along = FINE_DIMS * size_of::<f32>();
    let lifted = (COARSE_DIMS + FINE_DIMS) * size_of::<f32>() + 2 * size_of::<f64>();
    let coarse = COARSE_DIMS + size_of::<i32>();
    let rounded = FINE_DIMS + dim + 2 * PARAMS * size_of::<f32>();
    (along + lifted + coarse + rounded + size_of::<u32>()) as u64
}

/// Makes `bank`, of finite values, searchable.
pub(super) fn build(bank: &MemoryBank, isa: Isa, pool: &Pool) -> Pruned {
    let (dim, values) = (bank.dim(), bank.all());
    let rows = Patches { dim, grid_width: 1, data: &values };
    // As many coordinates as the axes and what they leave over need.
    let dims = |most: usize| (dim + 1).next_power_of_two().clamp(STEP, most);
    let (coarse_dims, fine_dims) = (dims(COARSE_DIMS), dims(FINE_DIMS));
    let axes = Axes::fit(rows, Sketch::axes(fine_dims, dim), isa, pool);
    let projected = axes.project_all(rows, pool);
    let order = blocks::order(projected.along(), axes.count(), Sketch::axes(coarse_dims, dim), BLOCK_ROWS);
    let coarse = Lifted::new(&axes, &projected, coarse_dims, &order, isa);
    let scale = coarse.scale();
    let (coarse_rows, error) = coarse_rows(&coarse, scale, isa);
    let centers = centers(&coarse, scale, isa);
    let fine = Lifted::new(&axes, &projected, fine_dims, &order, isa);
    let numbers = [&[error][..], &coarse.sketch.numbers(scale), &fine.sketch.numbers(fine.scale())].concat();
    Pruned {
        bank: bank.clone(),
        dim,
        isa,
        numbers: numbers.into(),
        coarse: Coarse { sketch: coarse.sketch, scale, error, rows: coarse_rows },
        fine_sketch: fine.sketch,
        fine: fine_rows(&fine, isa),
        full: full_rows(rows, &axes, &order, isa),
        centers,
        order: order.into(),
        axes,
    }
}

impl Lifted {
    fn new(axes: &Axes, projected: &Projected, dims: usize, order: &[u32], isa: Isa) -> Self {
        let coordinates = |&row: &u32| axes.coordinates(projected, row as usize);
        let sketch = Sketch::fit(dims, order.iter().map(coordinates), isa);
        let mut values = vec![0.0; order.len() * dims];
        let errors = values
            .chunks_exact_mut(dims)
            .zip(order)
            .map(|(out, row)| sketch.lift(coordinates(row), isa, out))
            .collect();
        Self { sketch, values, errors }
    }

    /// The values of each row, and how far they may be off.
    fn rows(&self) -> impl Iterator<Item = (&[f32], f64)> {
        self.values.chunks_exact(self.sketch.dims).zip(self.errors.iter().copied())
    }

    /// The scale of codes that all rows share.
    fn scale(&self) -> f32 {
        sketch::scale_for(self.values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs())))
    }
}

/// The coarse codes of all rows, and the largest error.
fn coarse_rows(lifted: &Lifted, scale: f32, isa: Isa) -> (Interleaved, f64) {
    let dims = lifted.sketch.dims;
    let mut rows = Interleaving::new(lifted.errors.len(), dims);
    let mut codes = [0; MAX_DIMS];
    let codes = &mut codes[..dims];
    let mut largest = 0.0;
    for (position, (values, error)) in lifted.rows().enumerate() {
        let code = sketch::encode(values, error, scale, isa, codes);
        largest = code.error.max(largest);
        rows.set(position, raised(codes), sketch::bias(code.squared));
    }
    (rows.finish(), largest)
}

/// The fine sketches of all rows.
fn fine_rows(lifted: &Lifted, isa: Isa) -> Rounded {
    let mut rows = Rounding::new(lifted.errors.len(), lifted.sketch.dims);
    lifted.rows().for_each(|(values, error)| rows.push(values, error, isa));
    rows.finish()
}

/// All values of the rows, less the mean.
fn full_rows(bank: Patches<'_>, axes: &Axes, order: &[u32], isa: Isa) -> Rounded {
    let mut rows = Rounding::new(order.len(), bank.dim);
    let mut centred = vec![0.0; bank.dim];
    for &row in order {
        let squared = axes.centre(bank.row(row as usize), &mut centred);
        rows.push(&centred, sketch::centring(squared, bank.dim), isa);
    }
    rows.finish()
}

/// The centre of each block as a code, with the block's radius in the last step, so that its product with a query's
/// reach (see `sweep`) is part of the sum.
fn centers(lifted: &Lifted, scale: f32, isa: Isa) -> Interleaved {
    let Lifted { sketch, values, errors } = lifted;
    let dims = sketch.dims;
    let mut centers = Interleaving::new(errors.len().div_ceil(BLOCK_ROWS), dims + STEP);
    let members = values.chunks(BLOCK_ROWS * dims).zip(errors.chunks(BLOCK_ROWS));
    for (at, (values, errors)) in members.enumerate() {
        let mut center = [0; MAX_DIMS];
        let center = &mut center[..dims];
        let squared = sketch::encode(&mean(values, dims), 0.0, scale, isa, center).squared;
        let radius = |(values, &error): (&[f32], &f64)| radius(values, error, center, scale);
        let radius = values.chunks_exact(dims).zip(errors).map(radius).fold(0.0, f64::max);
        let radius = (radius / f64::from(scale) * (1.0 + 1e-9)).ceil();
        let (step, bias) = if radius > f64::from(u8::MAX) {
            (0, ALWAYS)
        } else {
            (radius as u8, sketch::bias(squared - (radius * radius) as i64))
        };
        centers.set(at, raised(center).chain(repeat_n(step, STEP)), bias);
    }
    centers.finish()
}

fn mean(rows: &[f32], dims: usize) -> Vec<f32> {
    let count = (rows.len() / dims) as f32;
    (0..dims).map(|dim| rows.iter().skip(dim).step_by(dims).map(|value| value / count).sum()).collect()
}

/// Distance of `values`, which are off by at most `error`, from a code; infinite where it is unknown.
fn radius(values: &[f32], error: f64, code: &[i16], scale: f32) -> f64 {
    let difference = |(&value, &code): (&f32, &i16)| f64::from(value) - f64::from(scale) * f64::from(code);
    let radius = values.iter().zip(code).map(difference).map(|d| d * d).sum::<f64>().sqrt() + error;
    if radius.is_nan() { f64::INFINITY } else { radius }
}

/// Signed codes as bytes that are not.
fn raised(codes: &[i16]) -> impl Iterator<Item = u8> {
    codes.iter().map(|&code| (code + RAISED) as u8)
}
