//! Sketches: vectors as a few bytes each, with a lower bound on distances that no rounding invalidates.
//!
//! Let `m` be the mean of the memory bank and `y(v)` the coordinates of `v - m` along `a` orthonormal axes.
//! The map
//!
//! ```text
//! f(v) = (y(v), r(v)),    r(v) = sqrt(|v - m|^2 - |y(v)|^2)
//! ```
//!
//! never lengthens a distance: `y(v) - y(w)` is the part of `v - w` inside the span of the axes, and by the
//! reverse triangle inequality `|r(v) - r(w)|` is at most the length of the part outside. `f(v)`, less a
//! constant `offset` in its last coordinate, is multiplied by an orthonormal Hadamard matrix `H`. That keeps
//! distances and gives all coordinates about the same magnitude, so that one `scale` suits them all. With the
//! integer codes `Q` of a query and `X` of a row, and `e >= |scale Q - H f(query)|`, `e' >= |scale X - H
//! f(row)|`:
//!
//! ```text
//! |query - row| >= |f(query) - f(row)| >= scale |Q - X| - e - e'
//! ```
//!
//! `|Q - X|^2 = |Q|^2 + |X|^2 - 2 Q.X` is computed in integers, without error. So a row within `distance` of
//! the query has `Q.X - |X|^2 / 2 >= (|Q|^2 - ((distance + e + e') / scale)^2) / 2`: [`row_bias`] and
//! [`min_product`] are the two sides. (`quantized` does the same with a scale for each vector.)
//!
//! # The error `e`
//!
//! Let `u = 2^-24` be the unit roundoff of f32, `n` the values of a vector, `l >= |v - m|`, and `d = |A A^T -
//! I|_F` for the matrix `A` of the axes. A sum of `n` products, in any order, has a relative error of at most
//! `s = (n + 16) u` of the sum of their magnitudes (Higham, "Accuracy and Stability of Numerical Algorithms",
//! section 3.1; the 16 leave room for higher orders and a few more roundings). The error is the sum of
//!
//! - centring: `u l`, as each difference rounds once and `|A| <= 1 + d`;
//! - products with the axes: each is off by at most `s l`, all of them together by `s l sqrt(a)`;
//! - axes that are not exactly orthonormal: `d l`;
//! - the last coordinate: the radicand is off by `w`, which sums the errors of both squared lengths, so its
//!   root is off by at most `min(sqrt(w), w / r)`;
//! - the offset, the stages of the mixing and the product with the scale: `64 u (2 l + |offset|)`;
//! - quantisation: the distance from `scale Q` to what was quantised, measured, not estimated.
//!
//! Underflow adds an absolute error to each sum of squares, see [`underflow`].

use crate::kernels::{Isa, distance, quantize};

/// Unit roundoff of f32.
pub(super) const UNIT: f64 = 1.0 / (1 << 24) as f64;
/// Upper bound on the length of a vector whose values all underflow.
pub(super) const TINY: f64 = 1e-18;
const ZEROS: [f32; MAX_DIMS] = [0.0; MAX_DIMS];

/// The most coordinates a sketch may have.
pub(super) const MAX_DIMS: usize = 128;

/// The largest code: that of a byte.
const MAX_CODE: i16 = 127;

/// What all vectors of a sketch share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sketch {
    /// Coordinates: a power of two.
    pub dims: usize,
    /// Subtracted from the last coordinate before mixing, so that the coordinate is small.
    pub offset: f32,
}

/// The coordinates of one vector along the axes, and its distance from the mean.
#[derive(Clone, Copy)]
pub(super) struct Coordinates<'a> {
    /// Values of the vector.
    pub dim: usize,
    /// Squared length of the centred vector, as computed.
    pub squared: f32,
    /// Coordinates along all axes, as computed.
    pub along: &'a [f32],
    /// `|A A^T - I|_F` of the axes.
    pub deviation: f64,
}

/// What is known of a quantised sketch beside its codes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SketchParams {
    /// Sum of the squared codes.
    pub code_sq_sum: i64,
    /// Sum of the codes.
    pub code_sum: i64,
    /// Upper bound on the distance from `scale` times the codes to the true sketch; infinite where none is
    /// known.
    pub error: f64,
}

/// Upper bound on what underflow takes from a sum of `terms` squares or products.
///
/// Where the host process flushes subnormal results to zero, each term may lose as much as the smallest
/// normal number, `2^-126`; with gradual underflow it loses `2^-150`. The factor 2 covers roundings of the
/// sum.
pub(super) fn underflow(terms: usize) -> f64 {
    2.0 * terms as f64 * f64::from(f32::MIN_POSITIVE)
}

impl Coordinates<'_> {
    /// Length of the part of the centred vector that the first `axes` axes leave over.
    fn residual_norm(&self, axes: usize, isa: Isa) -> f64 {
        let along = distance::squared(isa, &self.along[..axes], &ZEROS[..axes]);
        (f64::from(self.squared) - f64::from(along)).max(0.0).sqrt()
    }
}

impl Sketch {
    /// The sketch of `dims` coordinates. Its offset is the mean of the last coordinate over `vectors`.
    pub(super) fn fit<'a>(
        dims: usize,
        vectors: impl ExactSizeIterator<Item = Coordinates<'a>>,
        isa: Isa,
    ) -> Self {
        let count = vectors.len() as f64;
        let residual = |v: Coordinates<'_>| v.residual_norm(Self::axes(dims, v.along.len()), isa);
        let mean = vectors.map(|vector| residual(vector) / count).sum::<f64>() as f32;
        Self { dims, offset: if mean.is_finite() { mean } else { 0.0 } }
    }

    /// How many of `available` axes a sketch of `dims` coordinates uses. One coordinate is kept for the
    /// residual.
    pub(super) fn axes(dims: usize, available: usize) -> usize {
        available.min(dims - 1)
    }

    /// Writes the mixed coordinates of `vector` to `out`. Returns an upper bound on their distance from the
    /// true ones.
    pub(super) fn project(&self, vector: Coordinates<'_>, isa: Isa, out: &mut [f32]) -> f64 {
        let Coordinates { dim, squared, along, deviation } = vector;
        let axes = Self::axes(self.dims, along.len());
        let along = &along[..axes];
        out.fill(0.0);
        out[..axes].copy_from_slice(along);
        let sum = UNIT * (dim + 16) as f64;
        let length = (f64::from(squared) * (1.0 + 2.0 * sum) + underflow(dim)).sqrt();
        let mut error = length * (UNIT + sum * (axes as f64).sqrt() * 1.01 + 1.01 * deviation);
        if axes < dim {
            let residual = vector.residual_norm(axes, isa);
            // Both squared lengths as computed, then the computed coordinates in place of the true ones.
            let underflow = underflow(dim + axes);
            let wrong = 4.0 * sum * length * length + (2.0 * length + error) * error + underflow;
            error += wrong.sqrt().min(wrong / residual);
            out[self.dims - 1] = residual as f32 - self.offset;
        }
        quantize::hadamard(isa, out);
        error += 64.0 * UNIT * (2.0 * length + f64::from(self.offset.abs()));
        if error.is_finite() { error } else { f64::INFINITY }
    }
}

/// Writes the codes nearest to `sketch` in multiples of `scale`. `error` bounds the error of the sketch.
pub(super) fn quantize_sketch(
    sketch: &[f32],
    error: f64,
    scale: f32,
    isa: Isa,
    codes: &mut [i16],
) -> SketchParams {
    let quantize::Quantized { code_sq_sum, code_sum, residual_sq } =
        quantize::quantise(isa, sketch, MAX_CODE, scale, codes);
    let residual = (f64::from(residual_sq) + underflow(sketch.len())).sqrt();
    let error = error + residual * (1.0 + UNIT * (2 * MAX_DIMS) as f64) + TINY;
    let error = if error.is_finite() { error } else { f64::INFINITY };
    SketchParams { code_sq_sum: code_sq_sum.into(), code_sum: code_sum.into(), error }
}

/// The scale at which magnitudes up to `largest` have codes.
pub(super) fn scale_for(largest: f32) -> f32 {
    (largest / f32::from(MAX_CODE)).clamp(1e-15, 1e15)
}

/// Upper bound on the error of a vector of `dim` values that was centred in f32; `squared` is its squared
/// length as computed. Each difference rounds once.
pub(super) fn centring_error(squared: f32, dim: usize) -> f64 {
    UNIT * (f64::from(squared) * (1.0 + 2.0 * UNIT * (dim + 16) as f64) + underflow(dim)).sqrt() + TINY
}

/// The pruning radius of a squared distance: rows farther away than this have a greater squared distance, as
/// `kernels::distance` computes it over `dim` values.
///
/// The computed distance is at least `|a - b|^2 (1 - (dim + 16) u) - underflow(dim)`.
pub(super) fn pruning_radius(squared: f32, dim: usize) -> f64 {
    let relative = UNIT * (dim + 16) as f64;
    ((f64::from(squared) + underflow(dim)) / (1.0 - relative)).sqrt()
}

/// The least product of a query's codes and a row's, plus the [`row_bias`], of vectors within `distance` of
/// each other. `distance` is in units of the scale and includes the errors of both.
pub(super) fn min_product(query: SketchParams, distance: f64) -> i32 {
    let squared = distance * distance * (1.0 + 1e-9);
    if squared.is_nan() || squared >= f64::from(1 << 29) {
        return i32::MIN;
    }
    // |Q - X|^2 <= squared, solved for Q.X - |X|^2 / 2.
    let needed = (query.code_sq_sum - squared as i64 + 1).div_euclid(2);
    i32::try_from(needed).unwrap_or(i32::MIN)
}

/// `-|X|^2 / 2` for the sum of a row's squared codes, rounded up: the comparison with [`min_product`] keeps a
/// row in doubt.
pub(super) fn row_bias(code_sq_sum: i64) -> i32 {
    -(code_sq_sum.div_euclid(2)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sum of squares as a processor that flushes subnormal results to zero computes it.
    fn flushed_sum_of_squares(values: &[f32]) -> f32 {
        let flush = |value: f32| if value.is_subnormal() { 0.0 } else { value };
        values.iter().fold(0.0, |sum, &value| sum + flush(value * value))
    }

    #[test]
    fn bounds_hold_where_every_square_is_flushed_to_zero() {
        // The largest value whose square is subnormal.
        let value = f32::MIN_POSITIVE.sqrt().next_down();
        for dim in [1, 85, 86, 128, 384, 2048] {
            let difference = vec![value; dim];
            let squared = flushed_sum_of_squares(&difference);
            assert_eq!(squared, 0.0);
            let length = f64::from(value) * (dim as f64).sqrt();
            assert!(pruning_radius(squared, dim) >= length, "a row {length} away, {dim} values");
            // Without codes, all of the vector is residual; `quantize::quantise` flushes it in the same
            // manner.
            assert!(underflow(dim).sqrt() >= length, "a residual of {length}, {dim} values");
        }
    }
}
