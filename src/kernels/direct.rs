//! Direct convolution: each output is one sum in a fixed order.

use super::Isa;
use super::map::{Map, Shape};
use super::tile::{Epilogue, Panels, Rows};
use crate::parallel::Pool;

/// Output positions a task, about: enough to read a panel of weights for, few enough to share out.
const TASK_ROWS: usize = 128;

/// A square convolution with padding of half the kernel, packed for one instruction set.
#[derive(Clone, Debug)]
pub(crate) struct Direct {
    weights: Panels,
    kernel: usize,
    stride: usize,
    input: usize,
}

impl Direct {
    /// Packs `weights` `[output, input, kernel, kernel]`.
    pub(crate) fn new(shape: [usize; 4], stride: usize, weights: &[f32], isa: Isa, pool: &Pool) -> Self {
        let [output, input, kernel, _] = shape;
        let area = kernel * kernel;
        // In the order that the values under the kernel lie: tap by tap, channel by channel.
        let value = |row: usize, column: usize| weights[(column * input + row % input) * area + row / input];
        Self { weights: Panels::new(area * input, output, isa, pool, value), kernel, stride, input }
    }

    /// Memory that the weights take.
    pub(crate) fn bytes(&self) -> usize {
        self.weights.bytes()
    }

    /// Writes the convolution of `source`, with the epilogue, to `out`; its residual is a map like `out`.
    pub(crate) fn run(
        &self,
        source: &Map,
        bias: &[f32],
        residual: Option<&Map>,
        relu: bool,
        out: &mut Map,
        pool: &Pool,
    ) {
        let pad = self.kernel / 2;
        let (line, border, offset) = (out.line(), out.border(), source.border() - pad);
        let Shape { height, width, channels } = out.shape();
        let rows = Rows {
            lines: self.kernel,
            line: source.line(),
            run: self.kernel * self.input,
            step: self.stride * self.input,
        };
        let lines = TASK_ROWS.div_ceil(width).min(height.div_ceil(pool.threads()));
        pool.for_each_chunk(out.rows_mut(), lines * line, |task, out| {
            for panel in 0..self.weights.count() {
                for (i, out) in out.chunks_exact_mut(line).enumerate() {
                    let y = task * lines + i;
                    let a = &source.data()[source.at(y * self.stride + offset, offset)..];
                    let residual = residual.map(|map| &map.data()[map.at(y + border, border)..]);
                    let epilogue = Epilogue { bias: Some(bias), residual, relu };
                    self.weights.multiply(
                        panel,
                        a,
                        rows,
                        width,
                        epilogue,
                        &mut out[border * channels..],
                        channels,
                    );
                }
            }
        });
    }
}
