//! Vectors as a few bytes each, with a lower bound on distances that holds whatever is rounded.
//!
//! The map `f(v) = (y, |v - mean - y|)`, where `y` are the coordinates of `v - mean` along orthonormal axes, never makes a
//! distance longer (for the last coordinate that is the reverse triangle inequality). Its values are mixed by a
//! Hadamard matrix, which keeps distances and makes all coordinates alike large, and rounded to multiples of one
//! `scale`. If `q` and `x` are the whole numbers and `e` bounds how far `scale * q` is from the true `f` of the query,
//! likewise `e'`, then
//!
//! ```text
//! |query - row| >= |f(query) - f(row)| >= scale * |q - x| - e - e'
//! ```
//!
//! and `|q - x|^2` is computed in whole numbers, exactly. (Larger sketches have a scale for each vector instead, see `rounded`.) The bounds `e` cover rounding in f32 and quantisation; the
//! comments below say of what they are sums.

use crate::kernels::{Isa, distance, quantize};

/// Unit roundoff of f32.
pub(super) const UNIT: f64 = 1.0 / (1 << 24) as f64;
/// More than the squares and products of f32 that underflow can sum to, and a length that covers its root.
const UNDERFLOW: f64 = 1e-36;
pub(super) const TINY: f64 = 1e-18;
const ZEROS: [f32; MAX_DIMS] = [0.0; MAX_DIMS];

/// The most coordinates a sketch may have.
pub(super) const MAX_DIMS: usize = 128;

/// The largest code: a byte's.
const MOST: i16 = 127;

/// What all vectors of a sketch share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sketch {
    /// Coordinates: a power of two.
    pub dims: usize,
    /// What the last coordinate is lessened by before mixing, so that it is small.
    pub offset: f32,
}

/// A vector of `dim` values as its centred length and its coordinates along the axes, and what may be wrong with them.
#[derive(Clone, Copy)]
pub(super) struct Coordinates<'a> {
    /// Values of the vector.
    pub dim: usize,
    /// Computed squared length of the centred vector.
    pub squared: f32,
    /// Computed coordinates along all axes.
    pub along: &'a [f32],
    /// How far the axes are from orthonormal, see `principal::deviation`.
    pub deviation: f64,
}

/// The whole numbers of one vector, beside its codes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Code {
    /// Sum of the squared codes.
    pub squared: i64,
    /// Sum of the codes.
    pub sum: i64,
    /// Bounds the distance from `scale` times the codes to the true `f`; infinite where nothing is known.
    pub error: f64,
}

impl Coordinates<'_> {
    /// What the first `axes` axes leave over of the vector: the last coordinate before mixing, not yet lessened.
    fn left(&self, axes: usize, isa: Isa) -> f64 {
        let along = distance::squared(isa, &self.along[..axes], &ZEROS[..axes]);
        (f64::from(self.squared) - f64::from(along)).max(0.0).sqrt()
    }
}

impl Sketch {
    /// The sketch of `dims` coordinates whose last one is small for the mean of `vectors`.
    pub(super) fn fit<'a>(
        dims: usize,
        vectors: impl ExactSizeIterator<Item = Coordinates<'a>>,
        isa: Isa,
    ) -> Self {
        let count = vectors.len() as f64;
        let left = |vector: Coordinates<'_>| vector.left(Self::axes(dims, vector.along.len()), isa);
        let mean = vectors.map(|vector| left(vector) / count).sum::<f64>() as f32;
        Self { dims, offset: if mean.is_finite() { mean } else { 0.0 } }
    }

    /// Axes that the sketch uses of `available`: the last coordinate is what these leave over.
    pub(super) fn axes(dims: usize, available: usize) -> usize {
        available.min(dims - 1)
    }

    /// Writes the mixed coordinates of `f(v)` to `out`, and returns how far they may be from the true ones.
    pub(super) fn lift(&self, vector: Coordinates<'_>, isa: Isa, out: &mut [f32]) -> f64 {
        let Coordinates { dim, squared, along, deviation } = vector;
        let axes = Self::axes(self.dims, along.len());
        let along = &along[..axes];
        out.fill(0.0);
        out[..axes].copy_from_slice(along);
        // A sum of n terms is off by at most n + 1 roundings, whatever its order; a few more for what follows.
        let sum = UNIT * (dim + 16) as f64;
        let length = (f64::from(squared) * (1.0 + 2.0 * sum) + UNDERFLOW).sqrt();
        // The centred values, each product with an axis (the axes have length 1, and there are `axes` of them), and the
        // difference to exactly orthonormal axes.
        let mut error = length * (UNIT + sum * (axes as f64).sqrt() * 1.01 + 1.01 * deviation);
        if axes < dim {
            let left = vector.left(axes, isa);
            // The two squared lengths, and the true one of the coordinates instead of the computed one.
            let wrong = 4.0 * sum * length * length + (2.0 * length + error) * error + UNDERFLOW;
            error += wrong.sqrt().min(wrong / left);
            out[self.dims - 1] = left as f32 - self.offset;
        }
        quantize::hadamard(isa, out);
        // Rounding in what was done since: the last coordinate, the stages of the mixing, and the codes' multiples below.
        error += 64.0 * UNIT * (2.0 * length + f64::from(self.offset.abs()));
        if error.is_finite() { error } else { f64::INFINITY }
    }
}

/// Writes the codes nearest to `lifted`, whose error is `error`, in multiples of `scale`.
pub(super) fn encode(lifted: &[f32], error: f64, scale: f32, isa: Isa, codes: &mut [i16]) -> Code {
    let quantize::Quantized { code_sq_sum: squared, code_sum: sum, residual_sq: off } =
        quantize::quantise(isa, lifted, MOST, scale, codes);
    let error = error + f64::from(off).sqrt() * (1.0 + UNIT * (2 * MAX_DIMS) as f64) + TINY;
    let error = if error.is_finite() { error } else { f64::INFINITY };
    Code { squared: squared.into(), sum: sum.into(), error }
}

/// The scale that has room for values up to `largest`.
pub(super) fn scale_for(largest: f32) -> f32 {
    (largest / f32::from(MOST)).clamp(1e-15, 1e15)
}

/// How far a vector that was centred in f32 may be from the true one, by its computed squared length over `dim` values.
pub(super) fn centring(squared: f32, dim: usize) -> f64 {
    UNIT * (f64::from(squared) * (1.0 + 2.0 * UNIT * (dim + 16) as f64) + UNDERFLOW).sqrt() + TINY
}

/// A distance that no row whose computed squared distance is at most `squared` exceeds, when computed over `dim` values
/// by `kernels::distance`.
pub(super) fn reach(squared: f32, dim: usize) -> f64 {
    // As above: the sum's roundings and each difference's, and what underflows.
    let relative = UNIT * (dim + 16) as f64;
    ((f64::from(squared) + UNDERFLOW) / (1.0 - relative)).sqrt()
}

/// What the product of a query's codes and a row's, plus the row's `bias`, must reach if they can be within `distance` (in
/// units of the scale, the errors of both added) of each other.
pub(super) fn threshold(query: Code, distance: f64) -> i32 {
    let squared = distance * distance * (1.0 + 1e-9);
    if squared.is_nan() || squared >= f64::from(1 << 29) {
        return i32::MIN;
    }
    // |q - x|^2 <= squared, solved for the product.
    let needed = (query.squared - squared as i64 + 1).div_euclid(2);
    i32::try_from(needed).unwrap_or(i32::MIN)
}

/// Minus half of a row's squared codes, rounded so that the threshold errs to the side of keeping.
pub(super) fn bias(squared: i64) -> i32 {
    -(squared.div_euclid(2)) as i32
}
