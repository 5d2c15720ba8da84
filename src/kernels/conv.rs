//! Convolution with bias, residual and ReLU:
//!
//! ```text
//! out[y, x, o] = relu(bias[o] + residual[y, x, o]
//!                     + sum over ky, kx, i of w[o, i, ky, kx] * in[s y + ky - p, s x + kx - p, i])
//! ```
//!
//! with stride `s` and padding `p = kernel / 2`; inputs outside the map are zeros. [`Direct`] computes this
//! sum in the order of the formula; [`Winograd`] needs a quarter of the multiplications for 3x3 kernels of
//! stride 1.

use super::Isa;
use super::direct::Direct;
use super::map::{Map, Shape};
use super::winograd::{Winograd, Workspace, WorkspaceSize};
use crate::parallel::Pool;

/// A square convolution with padding of half the kernel, and its bias, packed for one instruction set.
#[derive(Clone, Debug)]
pub(crate) struct Convolution {
    algorithm: Algorithm,
    bias: Vec<f32>,
    /// Output channels, input channels, kernel height and width.
    shape: [usize; 4],
    stride: usize,
}

#[derive(Clone, Debug)]
enum Algorithm {
    Direct(Direct),
    Winograd(Winograd),
}

impl Convolution {
    /// Packs `weights` `[output, input, kernel, kernel]`. With `fast`, Winograd's algorithm is used where it
    /// is possible.
    pub(crate) fn new(
        shape: [usize; 4],
        stride: usize,
        weights: &[f32],
        bias: &[f32],
        fast: bool,
        isa: Isa,
        pool: &Pool,
    ) -> Self {
        let algorithm = match fast && Winograd::fits(shape, stride, isa) {
            true => Algorithm::Winograd(Winograd::new(shape, weights, isa, pool)),
            false => Algorithm::Direct(Direct::new(shape, stride, weights, isa, pool)),
        };
        Self { algorithm, bias: bias.to_vec(), shape, stride }
    }

    /// Shape of the output for an input of shape `input`.
    pub(crate) fn output(&self, input: Shape) -> Shape {
        Shape {
            height: input.height.div_ceil(self.stride),
            width: input.width.div_ceil(self.stride),
            channels: self.shape[0],
        }
    }

    /// Working memory for an output of `shape`.
    pub(crate) fn workspace_size(&self, shape: Shape) -> WorkspaceSize {
        match &self.algorithm {
            Algorithm::Direct(_) => WorkspaceSize::default(),
            Algorithm::Winograd(winograd) => winograd.workspace_size(shape),
        }
    }

    /// Memory of the weights and the bias, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let weights = match &self.algorithm {
            Algorithm::Direct(direct) => direct.bytes(),
            Algorithm::Winograd(winograd) => winograd.bytes(),
        };
        weights + size_of_val(&self.bias[..])
    }

    /// `direct` or `winograd`.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Direct(_) => "direct",
            Algorithm::Winograd(_) => "winograd",
        }
    }

    /// Floating-point operations of the direct sum for an output of `shape`.
    pub(crate) fn operations(&self, shape: Shape) -> usize {
        2 * shape.height * shape.width * self.shape.iter().product::<usize>()
    }

    /// Writes the convolution of `source`, plus bias and `residual`, with negative values as 0 if `relu`, to
    /// `out`. `workspace` has at least the [size](Self::workspace_size) for `out`'s shape.
    ///
    /// # Panics
    /// The border of `source` is less than half the kernel, `out` has another shape than the output, or
    /// `residual` another shape or border than `out`.
    pub(crate) fn convolve(
        &self,
        source: &Map,
        residual: Option<&Map>,
        relu: bool,
        workspace: &mut Workspace,
        out: &mut Map,
        pool: &Pool,
    ) {
        assert!(source.border() >= self.shape[2] / 2 && source.shape().channels == self.shape[1]);
        assert_eq!(out.shape(), self.output(source.shape()));
        assert!(residual.is_none_or(|r| (r.shape(), r.border()) == (out.shape(), out.border())));
        match &self.algorithm {
            Algorithm::Direct(direct) => direct.convolve(source, &self.bias, residual, relu, out, pool),
            Algorithm::Winograd(winograd) => {
                winograd.convolve(source, &self.bias, residual, relu, workspace, out, pool);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(count: usize, seed: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 0.37 + seed).sin()).collect()
    }

    fn filled(shape: Shape, border: usize, values: &[f32]) -> Map {
        let mut map = Map::new(shape, border);
        map.fill_planar(values, &Pool::new(1).unwrap());
        map
    }

    /// Direct convolution in f64 of planar data; `[height, width, output]`.
    fn naive(
        shape: [usize; 4],
        stride: usize,
        weights: &[f32],
        bias: &[f32],
        data: &[f32],
        (height, width): (usize, usize),
    ) -> Vec<f64> {
        let [output, input, kernel, _] = shape;
        let pad = (kernel / 2) as isize;
        let mut out = Vec::new();
        for y in (0..height).step_by(stride) {
            for x in (0..width).step_by(stride) {
                for o in 0..output {
                    let mut sum = f64::from(bias[o]);
                    for ky in 0..kernel {
                        for kx in 0..kernel {
                            let (sy, sx) = (y as isize + ky as isize - pad, x as isize + kx as isize - pad);
                            if (0..height as isize).contains(&sy) && (0..width as isize).contains(&sx) {
                                for c in 0..input {
                                    let value = data[(c * height + sy as usize) * width + sx as usize];
                                    sum += f64::from(value)
                                        * f64::from(weights[((o * input + c) * kernel + ky) * kernel + kx]);
                                }
                            }
                        }
                    }
                    out.push(sum);
                }
            }
        }
        out
    }

    /// Compares every algorithm, instruction set and thread count with the naive sum, with residual and ReLU.
    /// The bits must be the same at every thread count.
    fn check(shape: [usize; 4], stride: usize, input: (usize, usize)) {
        let weights = wave(shape.iter().product(), 0.1);
        let bias = wave(shape[0], 0.2);
        let data = wave(input.0 * input.1 * shape[1], 0.3);
        let sums = naive(shape, stride, &weights, &bias, &data, input);
        // Rounding errors grow with the terms, not with their sum.
        let magnitudes = |values: &[f32]| values.iter().map(|v| v.abs()).collect::<Vec<_>>();
        let sizes =
            naive(shape, stride, &magnitudes(&weights), &magnitudes(&bias), &magnitudes(&data), input);
        let max_size = sizes.into_iter().fold(1.0, f64::max);
        let source =
            filled(Shape { height: input.0, width: input.1, channels: shape[1] }, shape[2] / 2, &data);
        for (isa, fast) in Isa::available().into_iter().flat_map(|isa| [(isa, false), (isa, true)]) {
            let packing = Pool::new(2).unwrap();
            let convolution = Convolution::new(shape, stride, &weights, &bias, fast, isa, &packing);
            let out_shape = convolution.output(source.shape());
            let Shape { height, width, channels } = out_shape;
            let residual = filled(out_shape, 1, &wave(height * width * channels, 0.4));
            let mut bits = Vec::new();
            for threads in [1, 3] {
                let mut out = Map::new(out_shape, 1);
                let mut workspace = Workspace::default();
                // The intermediate values of Winograd's transforms are several times as large as inputs and
                // outputs.
                let bound = max_size * if convolution.algorithm() == "winograd" { 5e-6 } else { 1e-6 };
                workspace.reserve(convolution.workspace_size(out_shape), threads);
                let pool = Pool::new(threads).unwrap();
                convolution.convolve(&source, Some(&residual), true, &mut workspace, &mut out, &pool);
                for (i, sum) in sums.iter().enumerate() {
                    let (y, x, c) = (i / channels / width, i / channels % width, i % channels);
                    let expected = (sum + f64::from(residual.view().values_at(y, x)[c])).max(0.0);
                    let found = f64::from(out.view().values_at(y, x)[c]);
                    let what = convolution.algorithm();
                    assert!(
                        (found - expected).abs() <= bound,
                        "{isa:?} {what} {shape:?} {input:?} at {y},{x},{c}: {found} {expected}"
                    );
                }
                let inside: f64 = (0..height).map(|y| sum_of(out.view(), y)).sum();
                let all: f64 = out.data().iter().map(|&v| f64::from(v)).sum();
                assert!((inside - all).abs() <= 1e-9 * all, "{isa:?} {shape:?}: the border was written to");
                bits.push(out.data().iter().map(|v| v.to_bits()).collect::<Vec<_>>());
            }
            assert!(bits[0] == bits[1], "{isa:?} {shape:?}: the number of threads changes bits");
        }
    }

    fn sum_of(map: crate::tensor::FeatureMap<'_>, y: usize) -> f64 {
        (0..map.width).flat_map(|x| map.values_at(y, x)).map(|&v| f64::from(v)).sum()
    }

    #[test]
    fn every_kind_of_convolution_is_the_direct_sum() {
        check([64, 3, 7, 7], 2, (33, 47));
        check([8, 16, 3, 3], 1, (9, 7));
        check([33, 5, 3, 3], 2, (11, 10));
        check([40, 24, 1, 1], 1, (12, 13));
        check([16, 8, 1, 1], 2, (9, 9));
        check([32, 32, 1, 1], 1, (1, 1));
    }

    #[test]
    fn winograd_tiles_cover_maps_of_every_size() {
        for height in [1, 3, 4, 5, 9] {
            for width in [1, 2, 4, 7, 8, 17] {
                check([32, 16, 3, 3], 1, (height, width));
            }
        }
        check([64, 48, 3, 3], 1, (16, 40));
        check([96, 32, 3, 3], 1, (70, 6));
    }

    /// As in the reference: an overflow in the network must show, not look like a good part.
    #[test]
    fn a_relu_keeps_nan() {
        for (isa, fast) in Isa::available().into_iter().flat_map(|isa| [(isa, false), (isa, true)]) {
            for outputs in [32, 33] {
                let shape = [outputs, 32, 3, 3];
                let (weights, bias) = (wave(outputs * 32 * 9, 0.1), wave(outputs, 0.2));
                let convolution = Convolution::new(shape, 1, &weights, &bias, fast, isa, &Pool::SERIAL);
                let source = filled(Shape { height: 5, width: 5, channels: 32 }, 1, &wave(25 * 32, 0.3));
                let out_shape = convolution.output(source.shape());
                let mut residual = filled(out_shape, 1, &wave(25 * outputs, 0.4));
                let at = residual.index_of(1 + 4, 1 + 4) + outputs - 1;
                residual.data_mut()[at] = f32::NAN;
                let (mut out, mut workspace) = (Map::new(out_shape, 1), Workspace::default());
                workspace.reserve(convolution.workspace_size(out_shape), 1);
                convolution.convolve(&source, Some(&residual), true, &mut workspace, &mut out, &Pool::SERIAL);
                let nans = (0..out.data().len()).filter(|&i| out.data()[i].is_nan());
                assert_eq!(nans.collect::<Vec<_>>(), [at], "{isa:?} {}", convolution.algorithm());
            }
        }
    }

    #[test]
    fn winograd_is_used_where_it_fits() {
        let isa = Isa::best();
        let named = |shape: [usize; 4], stride, fast| {
            let count = shape.iter().product();
            Convolution::new(shape, stride, &wave(count, 0.0), &wave(shape[0], 0.0), fast, isa, &Pool::SERIAL)
                .algorithm()
        };
        assert_eq!(named([32, 32, 3, 3], 1, true), "winograd");
        assert_eq!(named([32, 32, 3, 3], 1, false), "direct");
        assert_eq!(named([32, 32, 3, 3], 2, true), "direct");
        assert_eq!(named([32, 32, 1, 1], 1, true), "direct");
        assert_eq!(named([32, 3, 3, 3], 1, true), "direct");
    }
}
