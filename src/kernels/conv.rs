//! Convolution as a matrix product: the patches under the kernel, gathered row by row, times the packed weights.

use super::gemm::{Epilogue, PackedMatrix};
use super::{Isa, Pool};
use crate::tensor::ImageTensor;

/// Output positions a task: their gathered patches stay in the second-level cache.
const TASK_ROWS: usize = 96;

/// A square convolution with padding of half the kernel, packed for one instruction set.
#[derive(Clone, Debug)]
pub(crate) struct Convolution {
    weights: PackedMatrix,
    bias: Vec<f32>,
    kernel: usize,
    stride: usize,
    input: usize,
}

/// What a convolution reads.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    data: &'a [f32],
    size: (usize, usize),
    /// Distance between the channels of a position, and between positions; rows are `size.1` positions.
    strides: (usize, usize),
}

impl<'a> Source<'a> {
    /// A planar image `[3, height, width]`.
    pub(crate) fn planar(image: &'a ImageTensor) -> Self {
        Self {
            data: &image.data,
            size: (image.height, image.width),
            strides: (image.height * image.width, 1),
        }
    }

    /// A map `[height, width, channels]`.
    pub(crate) fn interleaved(data: &'a [f32], size: (usize, usize)) -> Self {
        Self { data, size, strides: (1, data.len() / (size.0 * size.1)) }
    }
}

impl Convolution {
    /// Packs `weights` `[output, input, kernel, kernel]`.
    pub(crate) fn new(shape: [usize; 4], stride: usize, weights: &[f32], bias: &[f32], isa: Isa) -> Self {
        let [output, input, kernel, _] = shape;
        let area = kernel * kernel;
        // Rows in the order that `gather` writes: tap by tap, channel by channel.
        let value = |row: usize, column: usize| weights[(column * input + row % input) * area + row / input];
        Self {
            weights: PackedMatrix::new(area * input, output, isa, value),
            bias: bias.to_vec(),
            kernel,
            stride,
            input,
        }
    }

    /// Channels of the output.
    pub(crate) fn output(&self) -> usize {
        self.weights.n()
    }

    /// Height and width of the output.
    pub(crate) fn output_size(&self, input: (usize, usize)) -> (usize, usize) {
        (input.0.div_ceil(self.stride), input.1.div_ceil(self.stride))
    }

    /// Writes the convolution of `source`, plus `residual`, to `out` as `[height, width, output]`. `columns` is working
    /// memory.
    pub(crate) fn run(
        &self,
        source: Source<'_>,
        residual: Option<&[f32]>,
        relu: bool,
        columns: &mut Vec<f32>,
        out: &mut Vec<f32>,
        pool: &Pool,
    ) {
        let (height, width) = self.output_size(source.size);
        let (rows, k, n) = (height * width, self.weights.k(), self.weights.n());
        out.resize(rows * n, 0.0);
        let epilogue = |first: usize, count: usize| Epilogue {
            bias: &self.bias,
            residual: residual.map(|r| &r[first * n..(first + count) * n]),
            relu,
        };
        if self.kernel == 1 && self.stride == 1 {
            pool.for_each_chunk(out, TASK_ROWS * n, |task, out| {
                let (first, count) = (task * TASK_ROWS, out.len() / n);
                self.weights.multiply(
                    &source.data[first * k..(first + count) * k],
                    epilogue(first, count),
                    out,
                );
            });
            return;
        }
        columns.resize(rows * k, 0.0);
        pool.for_each_chunk_pair((columns, TASK_ROWS * k), (out, TASK_ROWS * n), |task, columns, out| {
            let (first, count) = (task * TASK_ROWS, out.len() / n);
            for (position, row) in (first..).zip(columns.chunks_exact_mut(k)) {
                self.gather(source, position / width, position % width, row);
            }
            self.weights.multiply(columns, epilogue(first, count), out);
        });
    }

    /// The values under the kernel at an output position, tap by tap, zero outside the input.
    fn gather(&self, source: Source<'_>, y: usize, x: usize, row: &mut [f32]) {
        let (height, width) = source.size;
        let (channel, position) = source.strides;
        let pad = self.kernel / 2;
        for (tap, values) in row.chunks_exact_mut(self.input).enumerate() {
            let (sy, sx) = (y * self.stride + tap / self.kernel, x * self.stride + tap % self.kernel);
            if sy < pad || sx < pad || sy - pad >= height || sx - pad >= width {
                values.fill(0.0);
                continue;
            }
            let at = ((sy - pad) * width + sx - pad) * position;
            match channel {
                1 => values.copy_from_slice(&source.data[at..at + self.input]),
                _ => values
                    .iter_mut()
                    .enumerate()
                    .for_each(|(c, value)| *value = source.data[at + c * channel]),
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

    /// Direct convolution in f64.
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
                                    let value = data[(sy as usize * width + sx as usize) * input + c];
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

    #[test]
    fn every_shape_convolves_like_the_direct_sum() {
        for (shape, stride, size) in [
            ([64, 3, 7, 7], 2, (33, 47)),
            ([8, 16, 3, 3], 1, (9, 7)),
            ([33, 5, 3, 3], 2, (11, 10)),
            ([40, 24, 1, 1], 1, (12, 13)),
            ([16, 8, 1, 1], 2, (9, 9)),
        ] {
            let weights = wave(shape.iter().product(), 0.1);
            let bias = wave(shape[0], 0.2);
            let data = wave(size.0 * size.1 * shape[1], 0.3);
            let expected = naive(shape, stride, &weights, &bias, &data, size);
            for isa in Isa::available() {
                for threads in [1, 3] {
                    let mut out = Vec::new();
                    let convolution = Convolution::new(shape, stride, &weights, &bias, isa);
                    let pool = Pool::new(threads).unwrap();
                    convolution.run(
                        Source::interleaved(&data, size),
                        None,
                        false,
                        &mut Vec::new(),
                        &mut out,
                        &pool,
                    );
                    assert_eq!(out.len(), expected.len());
                    for (found, expected) in out.iter().zip(&expected) {
                        assert!(
                            (f64::from(*found) - expected).abs() < 1e-4,
                            "{isa:?} {shape:?}: {found} {expected}"
                        );
                    }
                }
            }
        }
    }
}
