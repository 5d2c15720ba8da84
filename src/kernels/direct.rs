//! Direct convolution: each output is one sum over the window under the kernel, in a fixed order.

use super::Isa;
use super::map::{Map, Shape};
use super::tile::{Epilogue, PackedPanels, WindowLayout};
use crate::parallel::Pool;

/// Output pixels of a task, about: enough to make reading a panel of weights worthwhile, few enough to share
/// out evenly.
const TASK_PIXELS: usize = 128;

/// A square convolution with padding of half the kernel, packed for one instruction set.
#[derive(Clone, Debug)]
pub(crate) struct Direct {
    weights: PackedPanels,
    kernel: usize,
    stride: usize,
    input: usize,
}

impl Direct {
    /// Packs `weights` `[output, input, kernel, kernel]`.
    pub(crate) fn new(shape: [usize; 4], stride: usize, weights: &[f32], isa: Isa, pool: &Pool) -> Self {
        let [output, input, kernel, _] = shape;
        let area = kernel * kernel;
        // In the order of a window's values: tap by tap, channel by channel.
        let value = |row: usize, column: usize| weights[(column * input + row % input) * area + row / input];
        Self { weights: PackedPanels::new(area * input, output, isa, pool, value), kernel, stride, input }
    }

    /// Memory of the weights, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.weights.bytes()
    }

    /// As [`Convolution::convolve`](super::conv::Convolution::convolve).
    pub(crate) fn convolve(
        &self,
        source: &Map,
        bias: &[f32],
        residual: Option<&Map>,
        relu: bool,
        out: &mut Map,
        pool: &Pool,
    ) {
        let pad = self.kernel / 2;
        let (row_stride, border, offset) = (out.row_stride(), out.border(), source.border() - pad);
        let Shape { height, width, channels } = out.shape();
        let windows = WindowLayout {
            rows: self.kernel,
            row_stride: source.row_stride(),
            row_len: self.kernel * self.input,
            pixel_stride: self.stride * self.input,
        };
        let task_rows = TASK_PIXELS.div_ceil(width).min(height.div_ceil(pool.threads()));
        pool.for_each_chunk(out.rows_mut(), task_rows * row_stride, |task, out| {
            for panel in 0..self.weights.count() {
                for (i, out) in out.chunks_exact_mut(row_stride).enumerate() {
                    let y = task * task_rows + i;
                    let a = &source.data()[source.index_of(y * self.stride + offset, offset)..];
                    let residual = residual.map(|map| &map.data()[map.index_of(y + border, border)..]);
                    let epilogue = Epilogue { bias: Some(bias), residual, relu };
                    let out = &mut out[border * channels..];
                    self.weights.multiply(panel, a, windows, width, epilogue, out, channels);
                }
            }
        });
    }
}
