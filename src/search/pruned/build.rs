//! Axes, order and codes of a memory bank.

use super::super::axes::{Axes, Projected};
use super::super::rounded::{Rounded, Rounding};
use super::super::sketch::{self, MAX_DIMS, Sketch};
use super::{ABSENT, Parts, RAISED, blocks};
use crate::kernels::int8::{BLOCK, STEP, interleaved};
use crate::kernels::{Isa, Pool};
use crate::tensor::Patches;

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

/// Builds everything but the bank itself.
pub(super) fn parts(bank: Patches<'_>, isa: Isa, pool: &Pool) -> Parts {
    let dim = bank.dim;
    // As many coordinates as the axes and what they leave over need.
    let dims = |most: usize| (dim + 1).next_power_of_two().clamp(STEP, most);
    let (coarse_dims, fine_dims) = (dims(COARSE_DIMS), dims(FINE_DIMS));
    let axes = Axes::fit(bank, Sketch::axes(fine_dims, dim), isa, pool);
    let projected = axes.project_all(bank, pool);
    let order = blocks::order(projected.along(), axes.count(), Sketch::axes(coarse_dims, dim), BLOCK);
    let lift = |dims| lift(&axes, &projected, dims, &order, isa);
    let coarse = lift(coarse_dims);
    let (coarse_codes, error) = interleave(&coarse, isa);
    let centers = centers(&coarse, isa);
    let fine = lift(fine_dims);
    let numbers: Vec<f64> =
        [error].into_iter().chain(coarse.sketch.numbers()).chain(fine.sketch.numbers()).collect();
    Parts {
        fine: line_up(&fine, isa),
        full: round(bank, &axes, &order, isa),
        order: order.into(),
        axes,
        numbers: numbers.into(),
        coarse: (coarse_codes.0.into(), coarse_codes.1.into()),
        centers: (centers.0.into(), centers.1.into()),
    }
}

fn lift(axes: &Axes, projected: &Projected, dims: usize, order: &[u32], isa: Isa) -> Lifted {
    let mut sketch = Sketch { dims, offset: 0.0, scale: 1.0 };
    let coordinates = |&row: &u32| axes.coordinates(projected, row as usize);
    sketch.offset = sketch.offset(order.iter().map(coordinates), isa);
    let mut values = vec![0.0; order.len() * sketch.dims];
    let errors = values
        .chunks_exact_mut(sketch.dims)
        .zip(order)
        .map(|(out, row)| sketch.lift(coordinates(row), isa, out))
        .collect();
    let largest = values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
    sketch.scale = sketch.scale_for(largest);
    Lifted { sketch, values, errors }
}

/// The codes of all rows in blocks, their biases, and the largest error.
fn interleave(lifted: &Lifted, isa: Isa) -> ((Vec<u8>, Vec<i32>), f64) {
    let dims = lifted.sketch.dims;
    let padded = lifted.errors.len().next_multiple_of(BLOCK);
    let (mut codes, mut bias) = (vec![0; padded * dims], vec![ABSENT; padded]);
    let error = for_each_code(lifted, isa, |position, code| {
        let block = &mut codes[position / BLOCK * BLOCK * dims..][..BLOCK * dims];
        put(block, position % BLOCK, code);
        bias[position] = sketch::bias(squared(code));
    });
    ((codes, bias), error)
}

/// The fine sketches of all rows.
fn line_up(lifted: &Lifted, isa: Isa) -> Rounded {
    let dims = lifted.sketch.dims;
    let mut rows = Rounding::new(lifted.errors.len(), dims);
    let both = lifted.values.chunks_exact(dims).zip(&lifted.errors);
    both.for_each(|(values, &error)| rows.push(values, error, isa));
    rows.finish()
}

/// All values of the rows, less the mean.
fn round(bank: Patches<'_>, axes: &Axes, order: &[u32], isa: Isa) -> Rounded {
    let mut rows = Rounding::new(order.len(), bank.dim);
    let mut centred = vec![0.0; bank.dim];
    for &row in order {
        let squared = axes.centre(bank.row(row as usize), &mut centred);
        rows.push(&centred, sketch::centring(squared, bank.dim), isa);
    }
    rows.finish()
}

fn for_each_code(lifted: &Lifted, isa: Isa, mut visit: impl FnMut(usize, &[i16])) -> f64 {
    let mut codes = [0; MAX_DIMS];
    let codes = &mut codes[..lifted.sketch.dims];
    let mut largest = 0.0;
    let rows = lifted.values.chunks_exact(lifted.sketch.dims).zip(&lifted.errors);
    for (position, (values, &error)) in rows.enumerate() {
        largest = lifted.sketch.encode(values, error, isa, codes).error.max(largest);
        visit(position, codes);
    }
    largest
}

/// The centre of each block as a code, with the block's radius in the last step, so that its product with a query's
/// reach (see `sweep`) is part of the sum.
fn centers(lifted: &Lifted, isa: Isa) -> (Vec<u8>, Vec<i32>) {
    let Lifted { sketch, values, errors } = lifted;
    let dims = sketch.dims;
    let blocks = errors.len().div_ceil(BLOCK);
    let padded = blocks.next_multiple_of(BLOCK);
    let (mut codes, mut bias) = (vec![0; padded * (dims + STEP)], vec![ABSENT; padded]);
    let members = values.chunks(BLOCK * dims).zip(errors.chunks(BLOCK));
    for (at, (values, errors)) in members.enumerate() {
        let mut center = [0; MAX_DIMS];
        let center = &mut center[..dims];
        sketch.encode(&mean(values, dims), 0.0, isa, center);
        let radius = |(values, &error): (&[f32], &f64)| radius(*sketch, values, error, center);
        let radius = values.chunks_exact(dims).zip(errors).map(radius).fold(0.0, f64::max);
        let radius = (radius / f64::from(sketch.scale) * (1.0 + 1e-9)).ceil();
        let tile = &mut codes[at / BLOCK * BLOCK * (dims + STEP)..][..BLOCK * (dims + STEP)];
        put(tile, at % BLOCK, center);
        if radius > f64::from(u8::MAX) {
            bias[at] = ALWAYS;
            continue;
        }
        (dims..dims + STEP).for_each(|dim| tile[interleaved(at % BLOCK, dim, BLOCK)] = radius as u8);
        bias[at] = sketch::bias(squared(center) - (radius * radius) as i64);
    }
    (codes, bias)
}

fn mean(rows: &[f32], dims: usize) -> Vec<f32> {
    let count = (rows.len() / dims) as f32;
    (0..dims).map(|dim| rows.iter().skip(dim).step_by(dims).map(|value| value / count).sum()).collect()
}

/// Distance of `values`, which are off by at most `error`, from a code; infinite where it is unknown.
fn radius(sketch: Sketch, values: &[f32], error: f64, code: &[i16]) -> f64 {
    let difference =
        |(&value, &code): (&f32, &i16)| f64::from(value) - f64::from(sketch.scale) * f64::from(code);
    let radius = values.iter().zip(code).map(difference).map(|d| d * d).sum::<f64>().sqrt() + error;
    if radius.is_nan() { f64::INFINITY } else { radius }
}

fn put(block: &mut [u8], lane: usize, codes: &[i16]) {
    for (dim, &code) in codes.iter().enumerate() {
        block[interleaved(lane, dim, BLOCK)] = (code + RAISED) as u8;
    }
}

fn squared(code: &[i16]) -> i64 {
    code.iter().map(|&code| i64::from(code) * i64::from(code)).sum()
}
